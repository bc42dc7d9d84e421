"""A model script instead of a project folder: `start`, `predict`, `validate` and `doctor`."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from hosting import (
    CHOICES,
    CONSOLE_SCRIPT,
    ECHO,
    Server,
    environment,
    free_port,
    run,
    wait_for,
    write_script,
)

Serve = Callable[..., Server]

TWO = """
    import os
    from label_studio_ml.model import LabelStudioMLBase
    class One(LabelStudioMLBase):
        SCORE = 0.25
        def predict(self, tasks, **kwargs):
            where = {"cwd": os.getcwd(), "model_dir": os.environ["MODEL_DIR"], "file": __file__}
            about = {"class": type(self).__name__, "name": __name__, **where}
            return [{"result": [], "score": self.SCORE, **about}]
    class Two(One):
        def setup(self):
            self.set("model_version", "two")
"""


class TypedPath:
    """A path as it was typed: `Path` would take a leading `./` away."""

    def __init__(self, typed: str) -> None:
        self.typed = typed
        self.parent = Path(typed).parent

    def __str__(self) -> str:
        return self.typed


@pytest.mark.parametrize(
    "typed", ["{root}/scripts/my-echo.py", "scripts/my-echo.py", "./scripts/my-echo.py"]
)
def test_a_script_is_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: str) -> None:
    monkeypatch.chdir(tmp_path)
    script = write_script(tmp_path / "scripts", ECHO, "my-echo.py")
    (script.parent / "config.json").write_text('{"from_file": 1}')
    path: Any = TypedPath(typed.format(root=tmp_path))
    server = Server(path, "--with", "b=2", cwd=tmp_path)
    try:
        assert {"from_file", "b"} <= set(server.first()["init"])
        # A model of API v1 lives beside its script.
        assert server.get("/health").json()["model_dir"] == str(script.parent)
        server.train()
        server.wait_trained()
        assert server.first()["train_output"]["tasks"] == 1
    finally:
        assert server.stop() == 0


def test_a_class_of_a_script_is_served(tmp_path: Path, serve: Serve) -> None:
    script = write_script(tmp_path / "a:b", TWO, "both.py")
    done = run("start", script, cwd=tmp_path)
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last == (
        f"error: {script} holds several model classes: One, Two; name one, as in {script}:One"
    )
    done = run("start", f"{script}:Three", cwd=tmp_path)
    last = done.stderr.splitlines()[-1]
    assert last == f"error: {script} has no model class Three; it has One, Two"
    server = serve(Path(f"{script}:Two"), cwd=tmp_path)
    seen = server.first()
    assert (seen["class"], seen["name"], seen["file"]) == ("Two", "both", str(script))
    # A model of API v2 lives in the working folder.
    assert seen["cwd"] == seen["model_dir"] == str(tmp_path)


def test_a_folder_with_one_model_script_is_served(tmp_path: Path, serve: Serve) -> None:
    folder = tmp_path / "folder"
    write_script(folder, ECHO, "mine.py")
    write_script(folder, "raise SystemExit('this is not a model')", "train.py")
    assert serve(folder).get("/health").json()["model_class"] == "Echo"


def test_a_folder_with_several_model_scripts_names_them(tmp_path: Path, serve: Serve) -> None:
    folder = tmp_path / "folder"
    write_script(folder, ECHO, "b.py")
    write_script(folder, ECHO, "a.py")
    done = run("start", "folder", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (
        2,
        "error: folder contains no _wsgi.py, and several scripts with a model class: a.py, b.py; "
        "name one, as in folder/a.py\n",
    )
    write_script(folder, TWO.replace("class Two(One)", "class Two"), "model.py")
    assert serve(folder).get("/health").json()["model_class"] == "One"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("none.py", "there is no script none.py"),
        ("none.py:My", "there is no script none.py"),
        ("notes.txt", "notes.txt is neither a project folder nor a Python script"),
        ("p/_wsgi.py:My", "p/_wsgi.py names its class itself: leave out :My"),
    ],
)
@pytest.mark.parametrize("command", ["start", "doctor"])
def test_what_is_not_a_script_is_said(tmp_path: Path, command: str, name: str, told: str) -> None:
    (tmp_path / "notes.txt").touch()
    write_script(tmp_path / "p", "", "_wsgi.py")
    done = run(command, name, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (2, f"error: {told}\n")


def test_predict_and_validate_take_a_script(tmp_path: Path) -> None:
    script = write_script(tmp_path, TWO, "both.py")
    (tmp_path / "tasks.json").write_text(json.dumps([{"data": {"text": "x"}}]))
    (tmp_path / "label_config.xml").write_text(CHOICES)
    done = run("predict", f"{script}:One", "--input", "tasks.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["predictions"][0]["score"] == 0.25
    done = run("validate", "both.py:Two", "--task", "tasks.json", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Two (API v2), model version two, 1 tasks\n" in done.stdout


def test_the_command_for_the_doctor_works(tmp_path: Path, serve: Serve) -> None:
    script = write_script(tmp_path, TWO, "both.py")
    server = serve(Path(f"{script}:One"))
    server.wait_logged("something does not work? label-studio-ml doctor ")
    found = re.search(r"label-studio-ml (doctor .*)", server.log())
    assert found
    done = run(*found[1].split(), cwd=tmp_path)
    assert f"Script {script}:One\n  ok       the script loads: One" in done.stdout, done.stdout
    assert "serves One; 1 of 1 workers ready" in done.stdout


@pytest.mark.parametrize("class_name", ["Two", None])
def test_debug_serves_a_script(tmp_path: Path, class_name: str | None) -> None:
    script = write_script(tmp_path / "scripts", TWO, "both.py")
    port = free_port()
    named = f"{script}:{class_name}" if class_name else str(script)
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [CONSOLE_SCRIPT, "start", named, "--debug", "--port", str(port), "--check"],
            cwd=tmp_path,
            env=environment(),
            stdout=log,
            stderr=log,
        )
    try:

        def first() -> Any:
            body = {"tasks": [{"id": 1}], "project": "1.1", "label_config": "<View/>"}
            try:
                url = f"http://127.0.0.1:{port}/predict"
                return requests.post(url, json=body, timeout=60).json()["results"][0]
            except requests.ConnectionError:
                return None

        if class_name:
            seen = wait_for(first, "it predicts")
            assert (seen["class"], seen["model_dir"]) == ("Two", str(tmp_path))
        else:
            told = f"{script} holds several model classes: One, Two; name one, as in {script}:One"
            wait_for(lambda: told in (tmp_path / "log").read_text(), "it says which there are")
            # It waits for a change.
            assert process.poll() is None
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
