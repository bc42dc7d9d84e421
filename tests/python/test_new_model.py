"""`init` without a script: a new model to start from, with tests that pass."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hosting import Server, environment, run, write_script
from models_v2 import event

Serve = Callable[..., Server]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    done = run("create", "my_model", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Your model is my_model/model.py" in done.stdout
    return tmp_path / "my_model"


def test_its_own_tests_pass(project: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."]
    done = subprocess.run(
        command, cwd=project, env=environment(), capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout
    assert sorted(path.name for path in project.glob("requirements*")) == [
        "requirements-test.txt",
        "requirements.txt",
    ]


def test_a_changed_model_fails_its_tests(project: Path) -> None:
    script = project / "model.py"
    script.write_text(script.read_text().replace("learned.get(text, first)", "first"))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."]
    done = subprocess.run(
        command, cwd=project, env=environment(), capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 1, done.stdout + done.stderr


def test_it_learns_from_an_event_on_a_server(project: Path, serve: Serve) -> None:
    server = serve(project)
    before = server.setup().json()["model_version"]
    task = {"id": 1, "data": {"text": "fine"}}
    assert server.first()["score"] == 0.1
    region = {"from_name": "sentiment", "to_name": "text", "type": "choices"}
    annotation = {"result": [{**region, "value": {"choices": ["Negative"]}}]}
    body = event(task=task, annotation=annotation)
    answer = server.post("/webhook", body, headers={"Prefer": "wait=100"})
    assert answer.json()["job_status"] == "finished", answer.text
    said = server.first()
    assert (said["result"][0]["value"]["choices"], said["score"]) == (["Negative"], 0.9)
    assert said["model_version"] == server.setup().json()["model_version"] != before


def test_model_py_of_the_folder_comes_first(tmp_path: Path) -> None:
    source = (
        "from label_studio_ml.model import LabelStudioMLBase\n"
        "class Mine(LabelStudioMLBase):\n"
        "    def predict(self, tasks, context=None): return []\n"
    )
    write_script(tmp_path, source)
    assert run("create", "p", cwd=tmp_path).returncode == 0
    assert "from model import Mine" in (tmp_path / "p" / "_wsgi.py").read_text()
