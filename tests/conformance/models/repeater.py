"""A model that repeats the newest annotation of the project on every task.

It learns from events only: each time it asks Label Studio for the annotated tasks, and its train_output
is the result of the last annotation.  Untrained it predicts nothing.
"""

import os
import random
from collections.abc import Iterable
from typing import Any

import requests

from label_studio_ml.model import LabelStudioMLBase


class Repeater(LabelStudioMLBase):
    """Says again what was said last."""

    def predict(self, tasks: list[dict[str, Any]], **kwargs: Any) -> list[dict[str, Any]]:
        if not self.train_output:
            return []
        again = self.train_output["prediction_example"]
        return [{"result": again, "score": random.random()} for _ in tasks]

    def fit(
        self, tasks: Iterable[dict[str, Any]], workdir: str | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        if "data" not in kwargs:
            raise KeyError("an event tells the project, /train does not")
        annotated = self._annotated(kwargs["data"]["project"]["id"])
        return {"prediction_example": annotated[-1]["annotations"][0]["result"]}

    def _annotated(self, project: int) -> list[dict[str, Any]]:
        answer = requests.get(
            f"{os.environ['LABEL_STUDIO_HOST']}/api/projects/{project}/export",
            headers={"Authorization": f"Token {os.environ['LABEL_STUDIO_API_KEY']}"},
            timeout=10,
        )
        answer.raise_for_status()
        tasks: list[dict[str, Any]] = answer.json()
        return tasks
