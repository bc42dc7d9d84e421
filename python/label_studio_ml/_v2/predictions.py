"""Reads what `predict` of a model of API v2 returns."""

import sys
from collections.abc import Callable
from typing import Any


def _for_server(prediction: Any) -> dict[str, Any]:
    """Return a prediction as a dict, as pydantic does, but without copying regions that are dicts.

    The server walks through them anyway, and writes what pydantic would write.
    """
    value = sys.modules["label_studio_sdk.label_interface.objects"].PredictionValue
    regions = prediction.result
    if type(prediction) is value and type(regions) is list and {*map(type, regions)} <= {dict}:
        dumped = dict(prediction.__dict__)
    else:
        dumped = prediction.model_dump()
    if dumped.get("model_version") is None:
        dumped.pop("model_version", None)
    return dumped


def of(response: Any, version: Callable[[], Any] | None = None) -> Any:
    """Return the predictions in the result of `predict`: a list, or whatever came in its place.

    None counts as no predictions; of a dict its `predictions` count, else the dict itself. In a
    `ModelResponse` every prediction gets the version of the response, else that of the model, which
    `version` returns. Without `version`, predictions that have none stay without: the server adds
    the version.
    """
    module = sys.modules.get("label_studio_ml.response")
    if module is not None and isinstance(response, module.ModelResponse):
        if response.has_model_version():
            response.update_predictions_version()
        elif version is not None and (served := version()):
            response.set_version(str(served))
        if version is not None:
            return response.model_dump()["predictions"]
        return [
            [_for_server(one) for one in item] if isinstance(item, list) else _for_server(item)
            for item in response.predictions
        ]
    if response is None:
        return []
    if isinstance(response, dict):
        return response.get("predictions", response)
    return response
