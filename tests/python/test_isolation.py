"""A failure in one project does not affect others, and the server survives faults around it."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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
    make_project,
    wait_for,
    write_script,
)

Serve = Callable[..., Server]

TOUCHY = """
    import gc, os, pathlib, time
    from label_studio_ml.model import LabelStudioMLBase

    class Touchy(LabelStudioMLBase):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            config = self.label_config or ""
            if "POISON" in config:
                os._exit(3)
            if "HANG" in config:
                pathlib.Path(os.environ["MODEL_DIR"], "hangs").touch()
                time.sleep(1000)
            if "REFUSE" in str(self.train_output):
                raise ValueError("refused")

        def fit(self, tasks, workdir=None, **kwargs):
            return {"said": list(tasks)[0]["data"].get("text")}

        def predict(self, tasks, **kwargs):
            what = tasks[0]["data"]["text"] if tasks else ""
            if what == "long":
                raise ValueError("z" * (9 << 20))
            if what == "garbage":
                os.write(3, b"garbage" * 10)
            if what == "count":
                gc.collect()
                alive = sum(isinstance(o, Touchy) for o in gc.get_objects())
                return [{"result": [], "alive": alive}]
            return [{"result": [], "output": self.train_output}]
"""


def ask(server: Server, text: str = "fine", **options: Any) -> requests.Response:
    return server.predict([{"id": 1, "data": {"text": text}}], **options)


def test_a_deadly_constructor_hurts_its_own_project_only(serve: Serve) -> None:
    server = serve(TOUCHY)
    assert server.setup("1.1").status_code == 200
    poison = CHOICES.replace("Positive", "POISON")
    for _ in range(4):
        assert ask(server, project="2.2", config=poison).status_code in (500, 502)
    answer = ask(server, project="2.2", config=poison)
    assert answer.status_code == 500
    assert "has ended its worker again and again" in answer.json()["detail"]
    assert ask(server, project="1.1").status_code == 200
    restarts = server.get("/health").json()["workers"]["restarts"]
    assert ask(server, project="1.1").status_code == 200
    assert server.get("/health").json()["workers"]["restarts"] == restarts


def test_a_hanging_constructor_holds_up_nobody_else(serve: Serve) -> None:
    server = serve(TOUCHY, "--setup-timeout", "10")
    assert ask(server, project="1.1").status_code == 200
    hang = {"project": "2.2", "schema": CHOICES.replace("Positive", "HANG")}
    with ThreadPoolExecutor(1) as clients:
        hanging = clients.submit(requests.post, f"{server.url}/setup", json=hang, timeout=100)
        wait_for((server.models / "hangs").exists, "the constructor hangs")
        assert server.setup("3.3").status_code == 200
        assert not hanging.done(), "another project loads at once"
        assert hanging.result().status_code == 200
    assert server.train(project="1.1").status_code == 201
    assert server.wait_trained("1.1").isdigit()
    assert ask(server, project="1.1").json()["results"][0]["output"] == {"said": "fine"}


def test_an_exception_with_a_long_message_is_answered(serve: Serve) -> None:
    server = serve(TOUCHY, "--threads", "1")
    for _ in range(2):
        answer = ask(server, "long")
        assert answer.status_code == 500
        assert answer.json()["detail"].startswith("ValueError: zzz")
        assert len(answer.content) < 1 << 20
    assert ask(server).status_code == 200


def test_a_worker_without_its_channel_is_replaced(serve: Serve) -> None:
    server = serve(TOUCHY)
    answer = ask(server, "garbage")
    assert answer.status_code == 502
    assert "lost its channel to the server" in answer.json()["detail"]
    assert ask(server).status_code == 200


def test_a_refused_version_stays_refused_after_a_restart(serve: Serve) -> None:
    server = serve(TOUCHY)
    # The model is loaded now, so every version will be loaded too.
    assert ask(server).status_code == 200
    server.train()
    version = server.wait_trained()
    bad = {"annotations": [{"data": {"text": "REFUSE"}}], "project": "2.1795430965"}
    server.post("/train", bad)
    assert server.wait_trained() == version
    assert server.stop() == 0
    again = serve(server.project)
    assert again.setup().json() == {"model_version": version}
    assert ask(again).status_code == 200


def test_a_broken_config_does_not_spoil_a_training(serve: Serve) -> None:
    server = serve(TOUCHY)
    server.setup()
    server.train()
    assert ask(server, config="<View><oops").status_code == 422
    version = server.wait_trained()
    assert version.isdigit()
    assert ask(server).json()["model_version"] == version


def test_old_instances_do_not_pile_up(serve: Serve) -> None:
    server = serve(TOUCHY)
    server.setup()
    stop = threading.Event()

    def keep_asking() -> None:
        session = requests.Session()
        body = {"tasks": [], "project": "2.1795430965", "label_config": CHOICES}
        while not stop.is_set():
            session.post(server.url + "/predict", json=body, timeout=30)

    with ThreadPoolExecutor(8) as threads:
        for _ in range(8):
            threads.submit(keep_asking)
        for _ in range(8):
            server.train()
            server.wait_trained()
        stop.set()
    wait_for(lambda: ask(server, "count").json()["results"][0]["alive"] == 1, "one is left")


HELD_IMPORT = """
import os, time
while not os.path.exists({gate!r}):
    time.sleep(0.01)
"""


def test_a_slow_import_delays_no_answer_and_loses_no_event(tmp_path: Path) -> None:
    project = make_project(tmp_path, ECHO)
    script, gate = project / "model.py", tmp_path / "gate"
    script.write_text(HELD_IMPORT.format(gate=str(gate)) + script.read_text())
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [
        CONSOLE_SCRIPT,
        "start",
        project,
        "-p",
        str(port),
        "--setup-timeout",
        "0.5",
        *Server.training,
    ]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(command, env=environment(), stdout=log, stderr=log)
    try:
        wait_for(lambda: answers(url), "the server listens")
        body = {"project": "2.1795430965", "schema": CHOICES}
        answer = requests.post(f"{url}/setup", json=body, timeout=60)
        # No server has imported this program before, so the version is not known.
        assert (answer.status_code, answer.json()["error_code"]) == (503, "model_not_ready")
        event = {
            "action": "ANNOTATION_CREATED",
            "project": {"id": 2, "created_at": "2026-11-23T10:49:25Z", "label_config": CHOICES},
        }
        # It is not known yet whether the event starts a training; its sender does not wait for that.
        with pytest.raises(requests.Timeout):
            requests.post(f"{url}/webhook", json=event, timeout=3)
        gate.touch()
        state = f"{url}/is_training?project=2.1795430965"
        wait_for(
            lambda: requests.get(state, timeout=60).json().get("model_version", "").isdigit(),
            "it trains",
        )
    finally:
        server.terminate()
        assert server.wait(90) == 0


def answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/health", timeout=60).ok
    except requests.ConnectionError:
        return False


def test_the_server_outlives_its_log(tmp_path: Path) -> None:
    project = make_project(tmp_path, ECHO)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    read, write = os.pipe()
    command = [CONSOLE_SCRIPT, "start", project, "-p", str(port)]
    server = subprocess.Popen(command, env=environment(), stdout=write, stderr=write)
    os.close(write)
    try:
        wait_for(lambda: answers(url), "the server listens")
        os.close(read)
        assert requests.get(f"{url}/nope", timeout=60).status_code == 404
        body = {"tasks": [{"id": 1}], "project": "1", "label_config": CHOICES}
        assert requests.post(f"{url}/predict", json=body, timeout=60).status_code == 200
        children = Path(f"/proc/{server.pid}/task").glob("*/children")
        (worker,) = (int(pid) for path in children for pid in path.read_text().split())
        os.kill(worker, signal.SIGKILL)
        # Requests that arrive before the server notices the death get a 502.
        wait_for(lambda: requests.post(f"{url}/predict", json=body, timeout=60).ok, "it recovers")
    finally:
        server.terminate()
        assert server.wait(90) == 0


def test_relative_entries_of_pythonpath_are_the_callers(serve: Serve, tmp_path: Path) -> None:
    write_script(tmp_path / "libs", "VALUE = 5\n", "borrowed.py")
    source = """
        from borrowed import VALUE
        from label_studio_ml.model import LabelStudioMLBase
        class Borrowing(LabelStudioMLBase):
            def fit(self, tasks, workdir=None, **kwargs): ...
            def predict(self, tasks, **kwargs):
                return [{"result": [], "value": VALUE}]
    """
    script = write_script(tmp_path / "scripts", source)
    done = subprocess.run(
        [CONSOLE_SCRIPT, "init", "p", "--script", script],
        cwd=tmp_path,
        env={**environment(), "PYTHONPATH": "libs"},
        check=False,
    )
    assert done.returncode == 0
    server = serve(tmp_path / "p", cwd=tmp_path, env={"PYTHONPATH": "libs"})
    assert server.first()["value"] == 5


def test_empty_variables_choose_nothing(serve: Serve) -> None:
    empty = dict.fromkeys(("WORKERS", "THREADS", "MODEL_DIR", "LOG_LEVEL"), "")
    assert serve(ECHO, env=empty).predict().status_code == 200
