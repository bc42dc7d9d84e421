"""A labelling config with a document type is refused, and a project that was trained with one goes on.

`fixtures/document_type` has two MODEL_DIRs of a release that still read document types, `v1` and `v2`. In
each, project 2 was trained with one and project 3 without; a further training of project 2 was running when
that server stopped.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_studio import KEY, FakeStudio
from fake_studio import PROJECT as STUDIO_PROJECT
from hosting import CHOICES, ROOT, Server, make_project, run, wait_for, write_script

Serve = Callable[..., Server]

WITH_TYPE = '<!DOCTYPE View [<!ENTITY yes "Positive">]>' + CHOICES.replace('"Positive"', '"&yes;"')
SAID = (
    "<!DOCTYPE> is not allowed, as in Label Studio: remove it and write out its entities,"
    " line 1, column 1"
)
DETAIL = f"the labelling config cannot be read: {SAID}"
OLD, OTHER = "2.1795430965", "3.1795430965"

V1 = """
    from label_studio_ml.model import LabelStudioMLBase

    class Counter(LabelStudioMLBase):
        def predict(self, tasks, **kwargs):
            learned = self.train_output.get("learned")
            labels = [c["labels"] for c in self.parsed_label_config.values()]
            return [{"result": [], "learned": learned, "labels": labels} for _ in tasks]

        def fit(self, tasks, workdir=None, **kwargs):
            return {"learned": len(list(tasks))}
"""
V2 = """
    from label_studio_ml.model import LabelStudioMLBase

    class Counter(LabelStudioMLBase):
        def predict(self, tasks, context=None, **kwargs):
            learned = int(self.get("learned") or 0)
            labels = [c["labels"] for c in self.parsed_label_config.values()]
            return [{"result": [], "learned": learned, "labels": labels} for _ in tasks]

        def fit(self, event, data, **kwargs):
            self.set("learned", str(data["learned"]))
"""
MODELS = {"v1": V1, "v2": V2}


@pytest.fixture(params=["v1", "v2"])
def api(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def upgraded(api: str, serve: Serve, tmp_path: Path) -> Server:
    """A server on the MODEL_DIR of the older release."""
    models = tmp_path / "models"
    shutil.copytree(ROOT / "tests" / "fixtures" / "document_type" / api, models)
    return serve(MODELS[api], "--model-dir", str(models))


def event(config: str) -> dict[str, Any]:
    project = {"id": 2, "created_at": "2026-11-23T10:49:25.999999Z", "label_config": config}
    return {"action": "ANNOTATION_CREATED", "project": project, "learned": 7}


def ended(server: Server, job: str) -> dict[str, Any]:
    def state() -> dict[str, Any] | None:
        told: dict[str, Any] = server.get(f"/jobs/{job}").json()
        return told if told["ended_at"] else None

    told: dict[str, Any] = wait_for(state, f"job {job} ends")
    return told


def learned(server: Server, project: str, config: str = CHOICES) -> int:
    """Return what the version knows that answers; a model that was never trained knows nothing."""
    answer = server.predict(project=project, config=config)
    assert answer.status_code == 200, answer.text
    known: int = answer.json()["results"][0]["learned"]
    return known


def test_a_trained_project_goes_on_with_a_config_that_can_be_read(upgraded: Server) -> None:
    jobs = {job["project"]: job for job in reversed(upgraded.get("/jobs").json()["jobs"])}
    waiting = ended(upgraded, jobs[OLD]["job"])
    assert waiting["job_status"] == "failed"
    assert SAID in waiting["error"]

    # Without a config in the request none is read again.
    assert learned(upgraded, OLD, config="") == 2
    for refused in (upgraded.setup(OLD, WITH_TYPE), upgraded.predict(None, OLD, WITH_TYPE)):
        assert (refused.status_code, refused.json()["detail"]) == (422, DETAIL)

    version = upgraded.setup(OLD).json()["model_version"]
    first = upgraded.first(project=OLD)
    assert (first["learned"], first["model_version"]) == (2, version)
    assert version.endswith(
        upgraded.get("/versions", params={"project": OLD}).json()["versions"][-1]
    )
    assert first["labels"] == [["Positive", "Negative"]]

    trained = ended(upgraded, upgraded.post("/webhook", event(CHOICES)).json()["job"])
    assert trained["job_status"] == "finished"
    assert upgraded.setup(OLD).json()["model_version"] == trained["model_version"] != version


def test_other_projects_are_not_affected(upgraded: Server) -> None:
    upgraded.setup(OLD, WITH_TYPE)
    assert upgraded.setup(OTHER).status_code == 200
    assert learned(upgraded, OTHER) == 3
    assert learned(upgraded, OTHER, config="") == 3


def test_what_each_route_says(api: str, serve: Serve) -> None:
    server = serve(MODELS[api])
    for refused in (
        server.setup(config=WITH_TYPE),
        server.predict(config=WITH_TYPE),
        server.train(label_config=WITH_TYPE),
    ):
        assert (refused.status_code, refused.json()["detail"]) == (422, DETAIL)
    # Label Studio shows no more than this.
    assert "remove it and write out its entities" in server.setup(config=WITH_TYPE).reason

    accepted = server.post("/webhook", event(WITH_TYPE))
    assert accepted.status_code == 201
    failed = ended(server, accepted.json()["job"])
    assert (failed["job_status"], failed["model_version"]) == ("failed", None)
    assert failed["error"].endswith(SAID)


def test_what_the_commands_say(tmp_path: Path) -> None:
    project = make_project(tmp_path, V1)
    (project / "label_config.xml").write_text(WITH_TYPE)
    tasks = write_script(tmp_path, json.dumps([{"data": {"text": "fine"}}]), "tasks.json")
    for done in (
        run("validate", project, "--task", tasks),
        run("predict", project, "--input", tasks),
    ):
        assert done.returncode == 2
        assert done.stderr == f"error: {project / 'label_config.xml'}: {SAID}\n"

    with FakeStudio() as studio:
        told = {
            "id": STUDIO_PROJECT,
            "label_config": WITH_TYPE,
            "created_at": "2026-11-25T06:40:32Z",
        }
        studio.answers[f"GET /api/projects/{STUDIO_PROJECT}"] = (200, told)
        given = ("--label-studio-url", studio.url, "--api-key", KEY)
        done = run("predict", project, "--project", str(STUDIO_PROJECT), *given)
    assert done.returncode == 2
    assert SAID in done.stderr
