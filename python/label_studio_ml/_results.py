"""What becomes of what `predict` of a model of generation 2 returns."""

import sys
from collections.abc import Callable
from typing import Any


def of(response: Any, version: Callable[[], Any] | None = None) -> Any:
    """Return the predictions in what a model returned: a list, or what takes its place.

    Nothing is no predictions; of a dict its `predictions` count, else the dict itself. In a
    `ModelResponse` every prediction gets the version of the response, else that of the model,
    which `version` tells. Without `version`, predictions that have none say nothing of it: the
    server marks them.
    """
    module = sys.modules.get("label_studio_ml.response")
    if module is not None and isinstance(response, module.ModelResponse):
        if response.has_model_version():
            response.update_predictions_version()
        elif version is not None and (served := version()):
            response.set_version(str(served))
        predictions = response.model_dump()["predictions"]
        if version is None:
            for item in predictions:
                for prediction in item if isinstance(item, list) else [item]:
                    if prediction.get("model_version") is None:
                        prediction.pop("model_version", None)
        return predictions
    if response is None:
        return []
    if isinstance(response, dict):
        return response.get("predictions", response)
    return response
