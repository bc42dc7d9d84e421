"""Findings and exceptions name the task by its id, in the server, in commands and without a server."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hosting import CHOICES, PROJECT, Server, make_project, run

Serve = Callable[..., Server]

#: Raises in a way that the text of a task names.
MODEL = """
    from label_studio_ml.model import LabelStudioMLBase

    class Careful(LabelStudioMLBase):
        LABEL_STUDIO_ML_API = {api}

        def predict(self, tasks, context=None, **kwargs):
            texts = [self.of_comprehension(task["data"]) for task in tasks]
            made = []
            for task in tasks:
                if task["data"]["text"] == "in loop":
                    raise ValueError("in loop")
                made.append(self.one(task))
            if "after" in texts:
                raise ValueError("after")
            return made

        def of_comprehension(self, data):
            if data["text"] == "in comprehension":
                raise ValueError("in comprehension")
            return data["text"]

        def one(self, task):
            if task["data"]["text"] == "in function":
                raise ValueError("in function")
            region = {{"from_name": "sentiment", "to_name": "text", "type": "choices",
                      "value": {{"choices": [task["data"]["text"]]}}}}
            return {{"result": [region]}}

        def fit(self, *args, **kwargs): ...
"""


def tasks(*texts: str) -> list[dict[str, Any]]:
    return [{"id": 16 + number, "data": {"text": text}} for number, text in enumerate(texts)]


@pytest.mark.parametrize("api", [1, 2])
def test_the_server_names_the_task(tmp_path: Path, serve: Serve, api: int) -> None:
    server = serve(make_project(tmp_path, MODEL.format(api=api)))
    server.setup()
    for text in ("in loop", "in function", "in comprehension"):
        answer = server.predict(tasks("Positive", text, "Negative"), config=CHOICES)
        assert (answer.status_code, answer.json()["detail"]) == (500, f"ValueError: {text}")
        assert answer.json()["result"]["task"] == "17"
        server.wait_logged(f"task 17: ValueError: {text}")
    # Which of them it was cannot be told.
    answer = server.predict(tasks("Positive", "after", "Negative"), config=CHOICES)
    assert "task" not in answer.json()["result"]
    answer = server.predict(tasks("after"), config=CHOICES)
    assert answer.json()["result"]["task"] == "16"

    answer = server.predict(tasks("Positive", "Unlisted"), config=CHOICES)
    assert answer.headers["X-Prediction-Warnings"] == "1"
    server.wait_logged("task 17: results[1].result[0].value.choices[0] is")
    (mistake,) = server.get("/diagnostics").json()["mistakes"]
    assert mistake["task"] == "17"
    assert mistake["message"].startswith("task 17: results[1]")


def test_strict_refuses_with_the_task(tmp_path: Path, serve: Serve) -> None:
    server = serve(make_project(tmp_path, MODEL.format(api=2)), "--strict")
    answer = server.predict(tasks("Positive", "Unlisted"), config=CHOICES)
    assert answer.status_code == 422 or answer.status_code >= 500
    assert answer.json()["detail"].startswith("task 17: results[1]")
    assert answer.json()["result"]["findings"][0]["task"] == "17"


@pytest.mark.parametrize("api", [1, 2])
def test_validate_names_the_task(tmp_path: Path, api: int) -> None:
    project = make_project(tmp_path, MODEL.format(api=api))
    (project / "label_config.xml").write_text(CHOICES)
    file = tmp_path / "tasks.json"
    for text in ("in loop", "in function", "in comprehension", "after"):
        file.write_text(json.dumps(tasks("Positive", text, "Negative")))
        done = run("validate", project, "--task", file)
        assert done.returncode == 1
        assert done.stderr == f"error: task 17: predict failed: ValueError: {text}\n"
    done = run("predict", project, "--input", file, "--output", tmp_path / "out.json")
    assert "task 17: ValueError: after" in done.stderr


@pytest.mark.parametrize("api", [1, 2])
def test_a_server_of_the_user_names_the_task(tmp_path: Path, api: int) -> None:
    """The Flask app of the in-process mode checks as the server does."""
    project = make_project(tmp_path, MODEL.format(api=api))
    program = f"""
import json, logging, sys
logging.basicConfig(level="INFO", stream=sys.stdout, format="%(message)s")
from _wsgi import app
client = app.test_client()
def post(path, **body):
    return client.post(path, json={{"project": {PROJECT!r}, **body}})
post("/setup", schema={CHOICES!r}, hostname="", access_token="")
config = {CHOICES!r}
said = post("/predict", label_config=config, tasks={tasks("Positive", "Unlisted")!r})
print(said.status_code, said.headers["X-Prediction-Warnings"])
fine = post("/predict", label_config=config, tasks={tasks("Positive")!r})
print(fine.headers.get("X-Prediction-Warnings"))
print(json.dumps(client.get("/diagnostics").json))
print(post("/predict", label_config=config, tasks={tasks("Positive", "in loop")!r}).status_code)
"""
    import subprocess
    import sys

    from hosting import environment

    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=project,
        env={**environment(), "MODEL_DIR": str(tmp_path / "kept")},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "200 1" in lines
    assert "None" in lines
    assert "500" in lines
    warning = "task 17: results[1].result[0].value.choices[0] is"
    assert sum(line.startswith(warning) for line in lines) == 1
    assert any(line.startswith("task 17: ValueError: in loop") for line in lines)
    view = next(json.loads(line) for line in lines if line.startswith('{"answers"'))
    assert view["answers"] == {"checked": 2, "with_findings": 1}
    (mistake,) = view["mistakes"]
    assert (mistake["cause"], mistake["task"], mistake["project"]) == (
        "unknown-label",
        "17",
        PROJECT,
    )
    assert set(mistake) == {
        *(
            "answers",
            "cause",
            "control",
            "first_seen",
            "last_seen",
            "message",
            "path",
            "project",
            "task",
        )
    }
    assert view["strict"] is False
