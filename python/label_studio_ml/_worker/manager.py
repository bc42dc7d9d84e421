"""`label_studio_ml.api._manager` in a worker: views that call the manager reach the server's models."""

import json
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

from label_studio_ml import _native
from label_studio_ml.exceptions import AnswerException
from label_studio_ml.managers import LabelStudioMLManager


class HostedManager(LabelStudioMLManager):
    """Asks the server, which has the queue of predictions and of training jobs.

    Each method raises `AnswerException` with the status of an answer that is an error.
    """

    @classmethod
    def predict(
        cls,
        tasks: Any,
        project: Any = None,
        label_config: str | None = None,
        force_reload: bool = False,
        try_fetch: bool = True,
        **kwargs: Any,
    ) -> tuple[Any, Any]:
        """Return the predictions, and a model of which only `model_version` is known."""
        answer = _post(
            "/predict",
            tasks=tasks,
            project=project,
            label_config=label_config,
            force_reload=force_reload,
            try_fetch=try_fetch,
            params=kwargs,
        )
        return answer["results"], SimpleNamespace(model_version=answer.get("model_version"))

    @classmethod
    def fetch(
        cls,
        project: Any = None,
        label_config: str | None = None,
        force_reload: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Load the model of a project; return an object with its `model_version`."""
        asked = {"project": project, "schema": label_config, "force_reload": force_reload}
        return SimpleNamespace(**_post("/setup", **asked, **kwargs))

    @classmethod
    def train(
        cls,
        tasks: Iterable[Any],
        project: Any = None,
        label_config: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """Queue a training job on annotated tasks; return an object with its `id`."""
        asked = {"project": project, "label_config": label_config, "params": kwargs}
        return SimpleNamespace(id=_post("/train", annotations=[*tasks], **asked)["job_id"])

    @classmethod
    def webhook(cls, event: str, data: dict[str, Any]) -> dict[str, str]:
        """Queue a training job for an event of Label Studio; return `{"job_id"}`."""
        answer = _post("/webhook", **data, action=event)
        return {"job_id": answer["job_id"]} if "job_id" in answer else {}

    @classmethod
    def is_training(cls, project: Any) -> dict[str, Any]:
        """Return `{"is_training", "backend", "model_version"}`, with `job_id` if a job runs."""
        found: dict[str, Any] = _ask("GET", f"/is_training?project={quote(str(project))}", b"")
        return found

    @classmethod
    def job_status(cls, job_id: str | int) -> dict[str, Any]:
        """Return the state of a job, its times as text."""
        found: dict[str, Any] = _post("/job_status", job=str(job_id))
        return found


def _post(path: str, **fields: Any) -> Any:
    return _ask("POST", path, _native.to_json(fields).encode())


def _ask(method: str, target: str, body: bytes) -> Any:
    headers = "content-type: application/json\n"
    status, _, _, answer = _native.ask_route(method, target, headers, body)
    found = json.loads(answer)
    if status >= 400:
        raise AnswerException(status, found.get("detail", ""), found.get("result"))
    return found
