"""What a model of generation 2 returns from `predict`."""

from typing import TypeAlias

from label_studio_sdk.label_interface.objects import PredictionValue
from pydantic import BaseModel, ConfigDict

#: One prediction for a task, or several.
SingleTaskPredictions: TypeAlias = list[PredictionValue] | PredictionValue


class ModelResponse(BaseModel):
    """Predictions, one item for each task in the order of the tasks, and the version that made them.

    Dicts in the shape of a prediction become `PredictionValue`; such objects are kept as they are.
    Unknown arguments are ignored. Raises pydantic's ValidationError for what is no prediction.
    """

    model_config = ConfigDict(protected_namespaces=())

    model_version: str | None = None
    predictions: list[SingleTaskPredictions]

    def has_model_version(self) -> bool:
        """Tell whether the response as a whole has a version."""
        return bool(self.model_version)

    def update_predictions_version(self) -> None:
        """Give the version of the response to every prediction that has none."""
        for item in self.predictions:
            for prediction in item if isinstance(item, list) else [item]:
                if not prediction.model_version:
                    prediction.model_version = self.model_version

    def set_version(self, version: str) -> None:
        """Set the version of the response, and of every prediction that has none."""
        self.model_version = version
        self.update_predictions_version()
