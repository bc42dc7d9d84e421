"""What a model of API v2 returns from `predict`."""

from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from label_studio_sdk.label_interface.objects import PredictionValue
from pydantic import (
    BaseModel,
    ConfigDict,
    TypeAdapter,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from label_studio_ml._original import names as _names

if not TYPE_CHECKING:
    __getattr__ = _names.getter(__name__)

#: One prediction for a task, or several.
SingleTaskPredictions: TypeAlias = list[PredictionValue] | PredictionValue


class _OfDicts(PredictionValue):  # type: ignore[misc]  # where the SDK is not installed
    """A prediction whose regions are dicts, as nearly all are.

    `PredictionValue` tries each region as an object of the SDK too, which takes ten times as long.
    """

    result: list[dict[str, Any]] | None


_ALL_OF_DICTS = TypeAdapter(list[_OfDicts])


def _has_dicts(item: object) -> bool:
    """Tell whether an item is certainly a prediction whose regions are dicts."""
    regions = item.get("result") if type(item) is dict else None
    return type(regions) is list and all(
        # A dict with all that an object of the SDK needs may become one.
        type(region) is dict and "from_tag" not in region
        for region in regions
    )


def _validate(items: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    """Validate predictions with the result that pydantic has without it, in a third of the time."""
    if type(items) is list and all(map(_has_dicts, items)):
        try:
            made = _ALL_OF_DICTS.validate_python(items)
        except ValidationError:
            # The message of the error must name `PredictionValue`, which users know.
            return validate(items)
        for prediction in made:
            prediction.__class__ = PredictionValue
        return made
    return validate(items)


class ModelResponse(BaseModel):
    """Predictions, one item for each task in the order of the tasks, and the version that made them.

    Dicts in the shape of a prediction become `PredictionValue`; such objects are kept. Unknown
    arguments are ignored. Raises pydantic's ValidationError for items that are not predictions.
    """

    model_config = ConfigDict(protected_namespaces=())

    model_version: str | None = None
    predictions: Annotated[list[SingleTaskPredictions], WrapValidator(_validate)]

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

    def serialize(self) -> dict[str, Any]:
        """Return the response as dicts and lists."""
        return self.model_dump()
