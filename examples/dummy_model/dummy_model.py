"""The smallest useful ML backend: it picks a label at random.

A template to start from. Copy the file, then replace the two places marked "YOUR MODEL".
It works with any labelling config that has a Choices control, and needs no further packages.
"""

import random
from collections.abc import Iterable
from typing import Any

from label_studio_ml.model import LabelStudioMLBase


class DummyModel(LabelStudioMLBase):
    """Answers every task with a random label of the labelling config."""

    def __init__(self, **kwargs: Any) -> None:
        # The base class reads the labelling config and stores, among others:
        #   self.label_config         the config as text (XML)
        #   self.parsed_label_config  the same as a dict, one entry per control tag
        #   self.train_output         what the last fit() returned, {} before the first one
        super().__init__(**kwargs)

        # Every prediction has to name the control tag it fills in (from_name) and the object tag
        # it is about (to_name). Both come from the config, so that yours may call them anything.
        self.from_name = self.to_name = ""
        self.labels: list[str] = []
        for name, control in self.parsed_label_config.items():
            if control["type"] == "Choices":
                self.from_name = name
                self.to_name = control["to_name"][0]
                self.labels = control["labels"]
                break

        # YOUR MODEL, part 1: load it here, for example from a path in self.train_output.

    def predict(self, tasks: list[dict[str, Any]], **kwargs: Any) -> list[dict[str, Any]]:
        """Return one prediction per task, in the order of the tasks.

        A task is {"id": 1, "data": {"text": "..."}, ...}; the keys of its data are the project's.
        A prediction is {"result": [regions], "score": number}; an empty result means "no idea".
        """
        return [self._predict_one(task) for task in tasks]

    def _predict_one(self, task: dict[str, Any]) -> dict[str, Any]:
        if not self.labels:  # no Choices control in the config: nothing to answer with
            return {"result": [], "score": 0.0}

        # YOUR MODEL, part 2: look at task["data"] and decide. This one does not look.
        label = random.choice(self.labels)
        score = random.random()

        region = {
            "from_name": self.from_name,
            "to_name": self.to_name,
            "type": "choices",  # the control tag's name in lower case ...
            "value": {"choices": [label]},  # ... which is also the key of its value
        }
        return {"result": [region], "score": score}

    def fit(
        self, tasks: Iterable[dict[str, Any]], workdir: str | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """Pretend to train, and return what the next instance gets as self.train_output.

        tasks are the annotated tasks; for a webhook event they are empty and kwargs["data"] has
        the event's payload. Files of your model belong into workdir. The returned dict has to be
        JSON: store paths in it, not the model itself.
        """
        return {"tasks_seen": sum(1 for _ in tasks), "lucky_number": random.randint(1, 100)}
