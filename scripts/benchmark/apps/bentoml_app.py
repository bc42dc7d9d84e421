"""BentoML, with a service whose method runs on a thread."""

import os
from typing import Any

import bentoml
from bench_model import make


@bentoml.service
class Predictor:
    def __init__(self) -> None:
        self.model = make(os.environ["BENCH_MODEL"])

    @bentoml.api
    def predict(
        self, tasks: list[dict[str, Any]], project: str, label_config: str, params: dict[str, Any]
    ) -> dict[str, Any]:
        return {"results": self.model.predict(tasks)}
