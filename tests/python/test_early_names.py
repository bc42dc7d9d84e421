"""/setup while the program is still being imported: the version that is going to be served, or an error.

Label Studio leaves out tasks that have a prediction of the version that /setup names.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from hosting import CHOICES, PROJECT, Server, make_project, wait_for

#: Importing it takes until the file exists that HOLD names.
HELD = """
    import os, time
    from label_studio_ml.model import LabelStudioMLBase

    while os.environ.get("HOLD") and not os.path.exists(os.environ["HOLD"]):
        time.sleep(0.02)
"""
OLDER = HELD + (
    """
    class Older(LabelStudioMLBase):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            if self.train_output.get("broken"):
                raise RuntimeError("this version cannot be loaded")

        def predict(self, tasks, **kwargs):
            return [{"result": [], "score": 0.5} for _ in tasks]

        def fit(self, tasks, workdir=None, **kwargs):
            return {"tasks": len(list(tasks))}
    """
)
NEWER = HELD + (
    """
    class Newer(LabelStudioMLBase):
        def setup(self):
            if self.project_id == "3":
                self.set("model_version", "named-by-setup")

        def predict(self, tasks, context=None, **kwargs):
            return [{"result": [], "score": 0.5} for _ in tasks]

        def fit(self, event, data, **kwargs):
            self.set("learned", event)
    """
)


class HeldServer(Server):
    """A server whose program is still being imported when the test begins."""

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, f"the server ended:\n{self.log()}"
        try:
            return self.get("/livez").ok
        except requests.ConnectionError:
            return False


@pytest.fixture
def hold(tmp_path: Path) -> Iterator[Callable[..., HeldServer]]:
    servers: list[HeldServer] = []

    def start(project: Path, *arguments: str, **more: str) -> HeldServer:
        env = {"HOLD": str(tmp_path / "go"), **more}
        servers.append(HeldServer(project, "--setup-timeout", "0.2", *arguments, env=env))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def let_go(tmp_path: Path, server: Server) -> None:
    (tmp_path / "go").touch()
    wait_for(lambda: server.get("/readyz").ok, "the program is imported")


def told(server: Server, project: str = PROJECT) -> str | None:
    """What /setup names; None for the error that Label Studio shows."""
    answer = server.setup(project)
    if answer.status_code == 503:
        assert answer.json()["error_code"] == "model_not_ready"
        assert answer.reason == "the script is still being imported"
        return None
    assert answer.status_code == 200, answer.text
    name: str = answer.json()["model_version"]
    return name


def test_the_trained_version_is_told_as_long_as_the_program_is_the_same(
    tmp_path: Path, hold: Callable[..., HeldServer]
) -> None:
    project = make_project(tmp_path, OLDER)
    server = Server(project)
    assert told(server) == "INITIAL"
    server.train(3)
    version = server.wait_trained()
    server.process.kill()
    server.process.wait()

    held = hold(project)
    assert told(held) == version
    assert told(held, "9.1") == "INITIAL", "a project that was never trained"
    let_go(tmp_path, held)
    assert told(held) == version
    assert held.predict().json()["model_version"] == version
    held.stop()
    (tmp_path / "go").unlink()

    for change, options in ((b"\n# changed\n", ()), (b"", ("--with", "a=1"))):
        script = project / "model.py"
        before = script.read_bytes()
        script.write_bytes(before + change)
        held = hold(project, *options)
        assert told(held) is None
        held.stop()
        script.write_bytes(before)
    held = hold(project)
    assert told(held) == version, "what was changed is as it was"


def test_a_version_that_may_not_be_loadable_is_not_told(
    tmp_path: Path, hold: Callable[..., HeldServer]
) -> None:
    """It was published, and the server was killed before a worker loaded it."""
    project = make_project(tmp_path, OLDER)
    server = Server(project)
    server.setup()
    server.train(3)
    version = server.wait_trained()
    server.stop()
    newer = project / "models" / PROJECT / str(int(version) + 5)
    shutil.copytree(project / "models" / PROJECT / version, newer)
    (newer / "untried").write_text("no worker has loaded this version yet\n")
    result = json.loads((newer / "job_result.json").read_text())
    # Written by the server: the output itself. Written by others: with more around it.
    result = result | {"broken": True}
    if isinstance(result.get("train_output"), dict):
        result["train_output"]["broken"] = True
    (newer / "job_result.json").write_text(json.dumps(result))

    held = hold(project)
    assert told(held) is None
    let_go(tmp_path, held)
    name = wait_for(lambda: told(held), "a version is told")
    assert name == version
    assert held.predict().json()["model_version"] == version


def test_a_model_that_names_its_versions(tmp_path: Path, hold: Callable[..., HeldServer]) -> None:
    project = make_project(tmp_path, NEWER)
    models = ("--model-dir", str(tmp_path / "models"))
    server = Server(project, *models)
    assert told(server) == "0.0.1"
    assert told(server, "3.1") == "named-by-setup"
    event = {
        "action": "ANNOTATION_CREATED",
        "project": {"id": 4, "created_at": "2026-11-23T10:49:25Z", "label_config": CHOICES},
    }
    assert told(server, "4.1795430965") == "0.0.1"
    server.post("/webhook", event, headers={"Prefer": "wait=100"})
    trained = wait_for(
        lambda: (name := told(server, "4.1795430965")) != "0.0.1" and name, "the training is served"
    )
    server.process.kill()
    server.process.wait()

    held = hold(project, *models)
    assert told(held) == "0.0.1"
    assert told(held, "3.1") == "named-by-setup"
    assert told(held, "4.1795430965") == trained
    assert told(held, "5.1") is None, "its model may name its version when it is loaded"
    let_go(tmp_path, held)
    for key, name in ((PROJECT, "0.0.1"), ("3.1", "named-by-setup"), ("4.1795430965", trained)):
        assert told(held, key) == name
        body = {"tasks": [{"data": {"text": "a"}}], "project": key, "label_config": CHOICES}
        predicted = held.post("/predict", body).json()["results"]
        assert predicted[0]["model_version"] == name


def test_nothing_is_told_to_whom_the_program_may_not_let_in(
    tmp_path: Path, hold: Callable[..., HeldServer]
) -> None:
    project = make_project(tmp_path, OLDER)
    wsgi = project / "_wsgi.py"
    plain = wsgi.read_text()
    wsgi.write_text(
        "from label_studio_ml.api import init_app\nfrom model import Older\n"
        "app = init_app(Older, 'u', 'p')\n"
    )

    class WithPassword(Server):
        def _is_ready(self) -> bool:
            self.session.auth = ("u", "p")
            return super()._is_ready()

    server = WithPassword(project)
    assert told(server) == "INITIAL"
    server.stop()
    held = hold(project)
    assert told(held) is None
    held.stop()

    wsgi.write_text(plain)
    given = {"BASIC_AUTH_USER": "u", "BASIC_AUTH_PASS": "p"}
    server = WithPassword(project, env=given)
    assert told(server) == "INITIAL"
    server.stop()
    held = hold(project, **given)
    assert held.setup().status_code == 401
    held.session.auth = ("u", "p")
    assert told(held) == "INITIAL"
