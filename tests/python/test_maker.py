"""A model folder whose versions and keys belong to another class or project, however they are served."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from hosting import (
    CHOICES,
    CONSOLE_SCRIPT,
    PROJECT,
    Server,
    environment,
    make_project,
    run,
    wait_for,
)
from ports import free_port

Serve = Callable[..., Server]

#: Learns on /train (API v1) or on a webhook (API v2), and keeps a key in API v2.
SOURCE = """
    from label_studio_ml.model import LabelStudioMLBase

    class {name}(LabelStudioMLBase):
        LABEL_STUDIO_ML_API = {api}

        def setup(self):
            self.set("model_version", "{name}-1")

        def predict(self, tasks, **kwargs):
            return [{"result": []} for _ in tasks]

        def fit(self, *args, **kwargs):
            if {api} == 2:
                self.set("weights", "1")
            return {"labels": ["x"]}
"""
IN_PROCESS = """
import json, sys
from label_studio_ml.api import init_app
from model import *
client = init_app(model_class=globals()[sys.argv[1]]).test_client()
assert client.get("/health").status_code == 200
body = {"tasks": [{}], "project": sys.argv[2], "label_config": sys.argv[3]}
answers = [client.post("/predict", json=body) for _ in range(2)]
event = {"action": "ANNOTATION_CREATED", "project": {"id": 2, "label_config": sys.argv[3]}}
client.post("/webhook", json=event)
print(json.dumps([[answer.status_code, answer.text] for answer in answers]))
"""


def source(name: str, api: int) -> str:
    return SOURCE.replace("{name}", name).replace("{api}", str(api))


def project_of(root: Path, name: str, api: int, folder: str = "") -> Path:
    """Make a project whose class has this name, unless it is there."""
    folder = folder or name
    if not (root / folder).exists():
        make_project(root, source(name, api), folder)
    return root / folder


def train(server: Server, api: int) -> None:
    server.setup()
    if api == 1:
        answer = server.post(
            "/train",
            {"annotations": [{"id": 1}], "project": PROJECT, "label_config": CHOICES},
            headers={"Prefer": "wait=100"},
        )
    else:
        event = {"action": "ANNOTATION_CREATED", "project": {"id": 2}}
        answer = server.post("/webhook", event, headers={"Prefer": "wait=100"})
    assert answer.json()["job_status"] == "finished", answer.text


def refused(project: Path, models: Path, *more: str, cwd: Path | None = None) -> str:
    """Start a server that must not serve what is in a folder; return what it says."""
    began = time.monotonic()
    done = run(
        "start", project, "-p", free_port(), "--model-dir", models, *more, cwd=cwd or project.parent
    )
    assert done.returncode == 2, done.stderr
    assert time.monotonic() - began < 40, "it says so at once"
    return done.stderr.splitlines()[-1]


def in_process(project: Path, name: str, models: Path, **env: str) -> list[tuple[int, str]]:
    done = subprocess.run(
        [sys.executable, "-c", IN_PROCESS, name, PROJECT, CHOICES],
        cwd=project,
        env={**environment(), "MODEL_DIR": str(models), **env},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers: list[tuple[int, str]] = json.loads(done.stdout.splitlines()[-1])
    return answers


@pytest.mark.parametrize("api", [1, 2])
def test_what_one_class_learned_is_not_served_by_another(
    serve: Serve, tmp_path: Path, api: int
) -> None:
    models = tmp_path / "models"
    cats, dogs = (project_of(tmp_path, name, api) for name in ("Cats", "Dogs"))
    server = serve(cats, "--model-dir", str(models))
    train(server, api)
    assert server.stop() == 0
    for sentence in (refused(dogs, models), refused(dogs / "model.py", models)):
        assert sentence.startswith(f"error: {models}: "), sentence
        assert f"belong to the class Cats in {cats}/model.py" in sentence, sentence
        assert "--take-over" in sentence
    tasks = tmp_path / "tasks.json"
    tasks.write_text('[{"data": {"text": "fine"}}]')
    arguments = ("--task", tasks, "--model-dir", models)
    done = run("validate", dogs, *arguments)
    assert done.returncode == 2 and "the class Cats" in done.stderr, done.stderr
    assert "version" not in done.stdout
    assert run("validate", cats, *arguments).returncode == 0
    (status, text), _ = in_process(dogs, "Dogs", models)
    assert status == 503 and "the class Cats" in text
    assert in_process(cats, "Cats", models)[0][0] == 200
    # What was learned is still that of Cats.
    server.start()
    server.setup()
    # One can go back to the state of API v2 before its training, too.
    assert len(server.get("/versions").json()["versions"]) == api
    assert server.stop() == 0
    taken = serve(dogs, "--model-dir", str(models), "--take-over")
    assert taken.setup().status_code == 200
    wait_for(lambda: taken.get("/jobs").ok, "it owns the folder")
    assert taken.stop() == 0
    assert "the class Dogs" in refused(cats, models)


@pytest.mark.parametrize("api", [1, 2])
def test_a_folder_is_claimed_in_process_too(tmp_path: Path, api: int) -> None:
    models = tmp_path / "models"
    models.mkdir()
    cats, dogs = (project_of(tmp_path, name, api) for name in ("Cats", "Dogs"))
    assert [status for status, _ in in_process(cats, "Cats", models)] == [200, 200]
    assert [status for status, _ in in_process(cats, "Cats", models)] == [200, 200]
    if api == 1:
        version = models / "2.1" / "1700000000"
        version.mkdir(parents=True)
        (version / "job_result.json").write_text("{}")
    assert [status for status, _ in in_process(dogs, "Dogs", models)] == [503, 503]
    sentence = refused(dogs, models)
    assert "the class Cats" in sentence
    taken = in_process(dogs, "Dogs", models, LABEL_STUDIO_ML_TAKE_OVER="1")
    assert [status for status, _ in taken] == [200, 200]
    assert [status for status, _ in in_process(cats, "Cats", models)] == [503, 503]
    assert (models / ".label-studio-ml").stat().st_mode & 0o777 == 0o700


def test_debugging_refuses_and_takes_over(serve: Serve, tmp_path: Path) -> None:
    models = tmp_path / "models"
    cats, dogs = (project_of(tmp_path, name, 2) for name in ("Cats", "Dogs"))
    server = serve(cats, "--model-dir", str(models))
    train(server, 2)
    assert server.stop() == 0
    for more, expected in (((), 503), (("--take-over",), 200)):
        port = free_port()
        command = [CONSOLE_SCRIPT, "start", dogs, "--debug", "-p", port, "--host", "127.0.0.1"]
        command += ["--model-dir", models, *more]
        process = subprocess.Popen([*map(str, command)], env=environment())
        body = {"tasks": [{}], "project": PROJECT, "label_config": CHOICES}

        def status(port: int = port, body: dict[str, Any] = body) -> int | None:
            try:
                url = f"http://127.0.0.1:{port}/predict"
                return requests.post(url, json=body, timeout=60).status_code
            except requests.ConnectionError:
                return None

        found = wait_for(status, "it answers")
        process.terminate()
        process.wait(30)
        assert found == expected


def test_two_projects_with_a_class_of_the_same_name(serve: Serve, tmp_path: Path) -> None:
    models = tmp_path / "models"
    first, second = (project_of(tmp_path, "Cats", 2, name) for name in ("first", "second"))
    server = serve(first, "--model-dir", str(models))
    train(server, 2)
    assert server.stop() == 0
    assert f"{first}/model.py" in refused(second, models)
    # A project that moved is the same one.
    shutil.rmtree(second)
    first.rename(second)
    moved = serve(second, "--model-dir", str(models))
    assert moved.predict().status_code == 200
    assert moved.stop() == 0


def names_in(models: Path) -> list[str]:
    """The names of versions that models have stored."""
    if not (models / "cache.db").exists():
        return []
    with sqlite3.connect(models / "cache.db") as keys:
        rows = keys.execute("SELECT value FROM cache WHERE key = 'model_version'")
        return [value for (value,) in rows]


def test_names_of_another_model_are_not_shown(serve: Serve, tmp_path: Path) -> None:
    models = tmp_path / "models"
    for name in ("Cats", "Dogs"):
        server = serve(project_of(tmp_path, name, 2), "--model-dir", str(models))
        wait_for(lambda server=server: server.get("/jobs").ok, "it owns the folder")
        assert names_in(models) == []
        assert server.setup().json() == {"model_version": f"{name}-1"}
        assert server.stop() == 0
        assert names_in(models) == [f"{name}-1"]


def test_a_folder_whose_maker_is_not_known_is_served(serve: Serve, tmp_path: Path) -> None:
    version = tmp_path / "models" / PROJECT / "1700000000"
    version.mkdir(parents=True)
    (version / "job_result.json").write_text('{"labels": ["x"]}')
    server = serve(project_of(tmp_path, "Cats", 1), "--model-dir", str(tmp_path / "models"))
    assert server.setup().json() == {"model_version": "1700000000"}
    wait_for(lambda: server.get("/jobs").ok, "it owns the folder")
    assert server.stop() == 0
    assert "the class Cats" in refused(project_of(tmp_path, "Dogs", 1), tmp_path / "models")
    # So does a note of an earlier version, which names the class alone.
    own = tmp_path / "models" / ".label-studio-ml"
    (own / "maker.json").unlink()
    (own / "class").write_text("Dogs\n")
    assert "belong to the class Dogs, and this is the class Cats" in refused(
        project_of(tmp_path, "Cats", 1), tmp_path / "models"
    )


def test_another_model_does_not_wait_for_the_folder(serve: Serve, tmp_path: Path) -> None:
    models = tmp_path / "models"
    first = serve(project_of(tmp_path, "Cats", 2), "--model-dir", str(models))
    first.wait_logged("paste into Label Studio")
    assert first.setup().status_code == 200
    sentence = refused(project_of(tmp_path, "Dogs", 2), models)
    assert f"server {first.process.pid} (port {first.port}) uses this folder" in sentence
    assert "--model-dir" in sentence
    second = serve(first.project, "--model-dir", str(models), "--lock-wait", "600")
    second.wait_logged(
        f"training is off: server {first.process.pid} (port {first.port}) already uses {models}",
        "choose another --model-dir, or stop that server: this one stops in 600 s",
    )
    assert second.predict().status_code == 200


def test_a_folder_that_cannot_be_written_is_not_an_error(tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    project = project_of(tmp_path, "Cats", 2)
    # A file in the place of the folder: also root cannot write below it.
    (models / ".label-studio-ml").write_text("")
    assert in_process(project, "Cats", models)[0][0] == 200
    (models / ".label-studio-ml").unlink()
    (models / ".label-studio-ml").mkdir()
    (models / ".label-studio-ml" / "class").write_text("'; DROP\nx" + "y" * 10_000_000)
    done = run("start", project, "-p", free_port(), "--model-dir", models, "--help")
    assert done.returncode == 0 and CONSOLE_SCRIPT.exists()
    (status, text), _ = in_process(project, "Cats", models)
    assert status == 503 and len(text) < 2000
