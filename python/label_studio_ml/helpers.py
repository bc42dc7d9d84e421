"""Base classes that handle the shape of tasks and predictions (API v1)."""

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any

from label_studio_ml.model import LabelStudioMLBase


class LabelStudioMLBaseHelper(LabelStudioMLBase):
    """Splits prediction and training into preparing tasks, the model itself, and converting back.

    `prepare_tasks` turns tasks into inputs for `predict2`, `convert_predictions` turns its result
    into predictions; `fit2` trains on such inputs. A class that lacks one of these four cannot be
    instantiated: TypeError.
    """

    @abstractmethod
    def prepare_tasks(
        self, tasks: Iterable[dict[str, Any]], workdir: str | None = None, **kwargs: Any
    ) -> tuple[Any, Any]:
        """Return inputs and targets, one of each for a task; a task without annotation has no target."""

    @abstractmethod
    def convert_predictions(self, predictions: Any, **kwargs: Any) -> list[dict[str, Any]]:
        """Return predictions in Label Studio's format."""

    @abstractmethod
    def predict2(self, X: Any, y: Any = None, **kwargs: Any) -> Any:
        """Return what the model predicts for the inputs."""

    @abstractmethod
    def fit2(self, X: Any, y: Any, **kwargs: Any) -> Any:
        """Train the model; the returned value becomes `self.train_output`."""

    def predict(self, tasks: list[dict[str, Any]], **kwargs: Any) -> list[dict[str, Any]]:
        inputs, targets = self.prepare_tasks(tasks, **kwargs)
        return self.convert_predictions(self.predict2(inputs, targets, **kwargs), **kwargs)

    def fit(
        self, completions: Iterable[dict[str, Any]], workdir: str | None = None, **kwargs: Any
    ) -> Any:
        inputs, targets = self.prepare_tasks(completions, workdir=workdir, **kwargs)
        return self.fit2(inputs, targets, **kwargs)

    def _has_annotation(self, task: dict[str, Any]) -> bool:
        return "completions" in task


class LabelStudioMLChoices(LabelStudioMLBaseHelper):
    """A model for configs with one Choices tag over one object tag.

    Attributes: `from_name`, `to_name`, `value` (key in the task's data) and `info` (the control
    tag's description). A subclass has to define `predict2`, which returns a list of lists of labels
    and a list of scores, and `fit2`, which gets texts or addresses and lists of labels (None for a
    task that is not annotated). Raises AssertionError for another labelling config.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        assert len(self.parsed_label_config) == 1, "the labelling config must have one control tag"
        self.from_name, self.info = next(iter(self.parsed_label_config.items()))
        assert self.info["type"] == "Choices", "the control tag must be <Choices>"
        assert len(self.info["to_name"]) == 1, "the control tag must name one object tag"
        assert len(self.info["inputs"]) == 1, "the control tag must have one object tag"
        self.to_name = self.info["to_name"][0]
        self.value = self.info["inputs"][0]["value"]

    def prepare_tasks(
        self, tasks: Iterable[dict[str, Any]], workdir: str | None = None, **kwargs: Any
    ) -> tuple[list[Any], list[Any]]:
        inputs, targets = [], []
        for task in tasks:
            inputs.append(task["data"][self.value])
            annotated = self._has_annotation(task)
            targets.append(
                task["completions"][0]["result"][0]["value"]["choices"] if annotated else None
            )
        return inputs, targets

    def convert_predictions(self, predictions: Any, **kwargs: Any) -> list[dict[str, Any]]:
        labels, scores = predictions
        return [
            {
                "result": [
                    {
                        "from_name": self.from_name,
                        "to_name": self.to_name,
                        "type": "choices",
                        "value": {"choices": choices},
                    }
                ],
                "score": score,
            }
            for choices, score in zip(labels, scores, strict=False)
        ]
