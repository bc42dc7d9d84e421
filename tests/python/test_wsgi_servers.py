"""WSGI servers that people run: gunicorn and uWSGI, with projects of ours and of the original."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from hosting import CHOICES, PROJECT, environment, free_port, make_project, wait_for
from models_second import TELLER, event

Start = Callable[..., str]

#: What the original's `create` writes, as far as it matters: class and credentials, a logging config,
#: a command line of its own.
ORIGINAL_WSGI = """
import argparse, json, logging, logging.config, os
logging.config.dictConfig({"version": 1, "root": {"level": "INFO"}})
from label_studio_ml.api import init_app
from model import Teller

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("-p", "--port", type=int, default=9090)
    parser.add_argument("--host", default="0.0.0.0")
    parser.add_argument("-d", "--debug", action="store_true")
    parser.add_argument("--basic-auth-user", default=os.environ.get("ML_SERVER_BASIC_AUTH_USER"))
    parser.add_argument("--basic-auth-pass", default=os.environ.get("ML_SERVER_BASIC_AUTH_PASS"))
    args = parser.parse_args()
    app = init_app(
        model_class=Teller,
        basic_auth_user=args.basic_auth_user,
        basic_auth_pass=args.basic_auth_pass,
    )
    app.run(host=args.host, port=args.port, debug=args.debug)
else:
    app = init_app(model_class=Teller)
"""


@pytest.fixture(params=["ours", "the original's"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    project = make_project(tmp_path, TELLER)
    if request.param != "ours":
        (project / "_wsgi.py").write_text(ORIGINAL_WSGI)
    return project


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a command with `{port}` in it; return its address once it answers."""
    processes: list[subprocess.Popen[bytes]] = []
    (tmp_path / "models").mkdir()

    def start(*command: str, cwd: Path) -> str:
        port = str(free_port())
        log = tmp_path / "server.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [part.replace("{port}", port) for part in command],
                cwd=cwd,
                env={**environment(), "MODEL_DIR": str(tmp_path / "models")},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        processes.append(process)
        url = f"http://127.0.0.1:{port}"

        def answers() -> bool:
            assert process.poll() is None, log.read_text()
            try:
                return requests.get(f"{url}/health", timeout=30).ok
            except requests.ConnectionError:
                return False

        wait_for(answers, "the server answers")
        return url

    yield start
    for process in processes:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def predict(url: str, **data: Any) -> dict[str, Any]:
    tasks = [{"id": 1, "data": data}]
    body = {"tasks": tasks, "project": PROJECT, "label_config": CHOICES}
    answer = requests.post(f"{url}/predict", json=body, timeout=30)
    assert answer.status_code == 200, answer.text
    said: dict[str, Any] = answer.json()["results"][0]
    return said


def check_serving(url: str, processes: int) -> None:
    """Many requests at once, training, and a value that every process sees at once."""
    assert requests.get(f"{url}/health", timeout=30).json() == {
        "model_class": "Teller",
        "status": "UP",
    }
    with ThreadPoolExecutor(8) as clients:
        said = list(clients.map(lambda _: predict(url, sleep=0.2), range(16)))
    # The clock is the same for all processes of a machine.
    moments = [(one["began"], 1) for one in said] + [(one["ended"], -1) for one in said]
    running = itertools.accumulate(step for _, step in sorted(moments))
    assert max(running) > 1, "they ran beside each other"
    assert 1 <= len({one["pid"] for one in said}) <= processes
    assert {one["project_id"] for one in said} == {"2"}
    for number in range(3):
        body = event(set={"learned": f"round {number}"})
        answer = requests.post(f"{url}/webhook", json=body, timeout=30)
        assert (answer.status_code, answer.json()["status"]) == (201, "ok"), answer.text
        with ThreadPoolExecutor(8) as clients:
            seen = list(clients.map(lambda _: predict(url, get=["learned"]), range(16)))
        assert {one["get"]["learned"] for one in seen} == {f"round {number}"}


GUNICORN = (sys.executable, "-m", "gunicorn", "--preload", "--bind", "127.0.0.1:{port}")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_gunicorn_with_preload(start: Start, project: Path, workers: str) -> None:
    command = (*GUNICORN, "--workers", workers, "--threads", "8", "--timeout", "0", "_wsgi:app")
    check_serving(start(*command, cwd=project), int(workers))


@pytest.mark.parametrize("lazily", [(), ("--lazy-apps",)], ids=["forked after", "lazy apps"])
def test_uwsgi(start: Start, project: Path, lazily: tuple[str, ...]) -> None:
    uwsgi = str(Path(sys.prefix) / "bin" / "pyuwsgi")
    command = (uwsgi, "--http-socket", "127.0.0.1:{port}", "--module", "_wsgi:app", "--master")
    more = ("--processes", "2", "--threads", "8", "--enable-threads", "--need-app", "--die-on-term")
    check_serving(start(*command, *more, *lazily, cwd=project), 2)


def test_the_originals_own_command_line(start: Start, tmp_path: Path) -> None:
    project = make_project(tmp_path, TELLER)
    (project / "_wsgi.py").write_text(ORIGINAL_WSGI)
    command = (sys.executable, "_wsgi.py", "--host", "127.0.0.1", "-p", "{port}")
    url = start(*command, cwd=project)
    assert predict(url)["project_id"] == "2"
