"""A model of API v2 whose class says its version itself, in an attribute or a property `model_version`."""

import logging
from typing import Any

logger = logging.getLogger("label_studio_ml.model")

#: Where an instance remembers the name that was kept at the last call.
_NOTED = "_noted_model_version"


def note_own(model: Any) -> None:
    """Keep the version that the class says as the project's `model_version`.

    So /setup and predictions name the same one. Called when an instance is made and after `fit`. A
    name that the model has kept by `set` since the last call stands. A property that is made from
    the kept name, and so changes with it, is left alone.
    """
    from label_studio_ml.model import LabelStudioMLBase

    state = vars(model)
    derived = LabelStudioMLBase.model_version
    if type(model).model_version is derived and "model_version" not in state:
        return
    try:
        kept, own = model.get("model_version"), _said(model)
        if own and own != kept == state.get(_NOTED, kept):
            model.set("model_version", own)
            if _said(model) != own:
                model.set("model_version", kept or LabelStudioMLBase.INITIAL_MODEL_VERSION)
        state[_NOTED] = model.get("model_version")
    except Exception:
        # The model may say it only once it has predicted, or keep nothing at all.
        logger.debug("the version that %s says is not used", type(model).__name__, exc_info=True)


def _said(model: Any) -> str | None:
    version = model.model_version
    return None if version is None else str(version)
