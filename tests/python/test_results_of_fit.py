"""The return value of `fit`: after a webhook only a dict is stored, after /train anything."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hosting import CHOICES, Server, make_project

RETURNING = """
    from label_studio_ml.model import LabelStudioMLBase

    class Returning(LabelStudioMLBase):
        def predict(self, tasks, **kwargs):
            return [{"result": [], "trained": self.train_output} for _ in tasks]

        def fit(self, tasks, workdir=None, data=None, **params):
            return eval((params if data is None else data)["returns"])
"""

NO_DICTS = ["[1, 2]", "[{'a': 1}]", "'{text}'", "7", "0.5", "True", "None", "()"]
DICTS = ["{'a': 1}", "{'a': {'b': [1]}}", "{}"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Any:
    server = Server(make_project(tmp_path_factory.mktemp("returning"), RETURNING))
    yield server
    assert server.stop() == 0


def sent(server: Server, path: str, project: int, returns: str) -> dict[str, Any]:
    """Train; return the job once it has ended."""
    described = {"id": project, "label_config": CHOICES}
    body = {
        "/webhook": {"action": "ANNOTATION_CREATED", "project": described, "returns": returns},
        "/train": {
            "annotations": [{}],
            "project": str(project),
            "label_config": CHOICES,
            "params": {"returns": returns},
        },
    }[path]
    answer = server.post(path, body, headers={"Prefer": "wait=100"})
    assert answer.status_code == 201, answer.text
    job: dict[str, Any] = server.get(f"/jobs/{answer.json()['job']}").json()
    assert job["job_status"] == "finished", job
    return job


def stored(server: Server, job: dict[str, Any]) -> Any:
    path = server.models / job["project"] / job["job"] / "job_result.json"
    return json.loads(path.read_text()) if path.exists() else None


@pytest.mark.parametrize("returns", NO_DICTS)
def test_what_is_no_dict_is_not_kept_of_a_webhook(server: Server, returns: str) -> None:
    project = 100 + NO_DICTS.index(returns)
    first = sent(server, "/webhook", project, "{'first': 1}")
    assert first["model_version"] == first["job"]
    job = sent(server, "/webhook", project, returns)
    assert job["model_version"] is None
    assert stored(server, job) is None
    answer = server.predict(project=str(project)).json()
    assert answer["model_version"] == first["job"], "the version stays"
    assert answer["results"][0]["trained"] == {"first": 1}


@pytest.mark.parametrize("returns", DICTS)
def test_a_dict_is_kept_of_a_webhook(server: Server, returns: str) -> None:
    project = 200 + DICTS.index(returns)
    job = sent(server, "/webhook", project, returns)
    assert job["model_version"] == job["job"]
    assert stored(server, job)["train_output"] == eval(returns)
    answer = server.predict(project=str(project)).json()
    assert answer["model_version"] == job["job"]
    assert answer["results"][0]["trained"] == eval(returns)


@pytest.mark.parametrize("returns", NO_DICTS + DICTS)
def test_whatever_it_is_it_is_kept_of_train(server: Server, returns: str) -> None:
    project = 300 + (NO_DICTS + DICTS).index(returns)
    job = sent(server, "/train", project, returns)
    assert job["model_version"] == job["job"]
    kept = json.loads(json.dumps(eval(returns)))
    assert stored(server, job)["train_output"] == kept
    answer = server.predict(project=str(project)).json()
    assert answer["model_version"] == job["job"]
    # As in the original, an empty result becomes an empty dict.
    assert answer["results"][0]["trained"] == (kept or {})
