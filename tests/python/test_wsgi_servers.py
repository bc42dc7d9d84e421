"""WSGI servers that people run: gunicorn and uWSGI, with projects of ours and of the original."""

from __future__ import annotations

import itertools
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from hosting import CHOICES, PROJECT, environment, free_port, make_project, wait_for
from models_v2 import TELLER, event

from label_studio_ml import _native

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
UWSGI = (
    str(Path(sys.prefix) / "bin" / "pyuwsgi"),
    *("--http-socket", "127.0.0.1:{port}", "--module", "_wsgi:app", "--master"),
    *("--processes", "2", "--threads", "8", "--enable-threads", "--need-app", "--die-on-term"),
)
#: Two processes of each kind: forked after the import of the app, or each with an import of its own.
SERVERS = {
    "gunicorn": (*GUNICORN, "--workers", "2", "--threads", "8", "--timeout", "0", "_wsgi:app"),
    "uwsgi": UWSGI,
    "uwsgi lazy": (*UWSGI, "--lazy-apps"),
}


def test_gunicorn_with_one_worker(start: Start, project: Path) -> None:
    command = (*GUNICORN, "--workers", "1", "--threads", "8", "--timeout", "0", "_wsgi:app")
    check_serving(start(*command, cwd=project), 1)


@pytest.mark.parametrize("server", SERVERS)
def test_two_processes(start: Start, project: Path, server: str) -> None:
    check_serving(start(*SERVERS[server], cwd=project), 2)


#: Uses the values of a project before the server forks, and notes what each process has then.
EARLY_WSGI = """
import json, os, threading
from pathlib import Path
from label_studio_ml.api import init_app
from label_studio_ml.model import CACHE
from model import Teller

FOLDER = Path(os.environ["MODEL_DIR"])

def descriptors():
    ends = (entry for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink())
    return sum("cache.db" in os.readlink(end) for end in ends)

def threads(pid):
    names = {path.read_text().strip() for path in Path(f"/proc/{pid}/task").glob("*/comm")}
    return sorted(names - {Path(f"/proc/{pid}/comm").read_text().strip()})

def note_fork():
    said = {"open": descriptors(), "threads": threads(os.getppid())}
    draft = FOLDER / f"draft-{os.getpid()}"
    draft.write_text(json.dumps(said))
    draft.rename(FOLDER / f"forked-{os.getpid()}.json")

app = init_app(model_class=Teller)
CACHE["2", "early"] = "kept before the fork"
assert CACHE["2", "early"] and descriptors() == 1
assert threads(os.getpid()) == [], "the package starts no thread"
try:
    import uwsgi
    uwsgi.post_fork_hook = note_fork
except ImportError:
    os.register_at_fork(after_in_child=note_fork)
"""


@pytest.mark.parametrize("server", ["gunicorn", "uwsgi"])
def test_nothing_of_the_package_is_carried_over_a_fork(
    start: Start, tmp_path: Path, server: str
) -> None:
    project = make_project(tmp_path, TELLER)
    (project / "_wsgi.py").write_text(EARLY_WSGI)
    url = start(*SERVERS[server], cwd=project)
    notes = tmp_path / "models"
    wait_for(lambda: len(list(notes.glob("forked-*.json"))) == 2, "both processes are forked")
    noted = [json.loads(path.read_text()) for path in notes.glob("forked-*.json")]
    assert noted == [{"open": 0, "threads": []}] * 2
    assert predict(url, get=["early"])["get"] == {"early": "kept before the fork"}
    check_serving(url, 2)
    with sqlite3.connect(tmp_path / "models" / "cache.db") as connection:
        rows = connection.execute("SELECT key, value FROM cache WHERE project_id = '2'")
        kept = dict(rows.fetchall())
    connection.close()
    assert (kept["early"], kept["learned"]) == ("kept before the fork", "round 2")


#: Of API v1: what it learned is a version below MODEL_DIR.
COUNTER = """
    import os
    from label_studio_ml.model import LabelStudioMLBase

    class Counter(LabelStudioMLBase):
        def predict(self, tasks, **kwargs):
            learned = self.train_output.get("names", [])
            return [{"result": [], "learned": learned, "pid": os.getpid()} for _ in tasks]

        def fit(self, tasks, workdir=None, name=None, **kwargs):
            return {"names": [*self.train_output.get("names", []), name], "pid": os.getpid()}
"""
COUNTER_WSGI = """
import os
from label_studio_ml.api import init_app
from model import Counter
app = init_app(model_class=Counter, model_dir=os.environ["MODEL_DIR"])
"""


@pytest.mark.parametrize("server", SERVERS)
def test_versions_of_several_processes(start: Start, tmp_path: Path, server: str) -> None:
    """Each training is a version of its own, and every process serves the newest one."""
    project = make_project(tmp_path, COUNTER)
    (project / "_wsgi.py").write_text(COUNTER_WSGI)
    url = start(*SERVERS[server], cwd=project)
    models = tmp_path / "models"

    def train(name: str) -> int:
        body = {"annotations": [{"id": 1}], "project": PROJECT, "label_config": CHOICES}
        body["params"] = {"name": name}
        return requests.post(f"{url}/train", json=body, timeout=60).status_code

    def check_served() -> list[str]:
        """Ask until both processes have answered; return what the newest version has learned."""
        newest, folder = _native.list_versions(models, PROJECT, as_served=True)[0]
        output = json.loads((folder / "job_result.json").read_text())["train_output"]
        processes = set()
        body = {"tasks": [{"id": 1, "data": {}}], "project": PROJECT, "label_config": CHOICES}

        def ask(_: int) -> dict[str, Any]:
            told: dict[str, Any] = requests.post(f"{url}/predict", json=body, timeout=30).json()
            return told

        def both_answered() -> bool:
            with ThreadPoolExecutor(8) as clients:
                for told in clients.map(ask, range(16)):
                    assert told["model_version"] == str(newest)
                    assert told["results"][0]["learned"] == output["names"]
                    processes.add(told["results"][0]["pid"])
            return len(processes) == 2

        wait_for(both_answered, "both processes answer")
        learned: list[str] = output["names"]
        return learned

    assert train("first") == 201
    assert check_served() == ["first"]
    with ThreadPoolExecutor(8) as clients:
        assert set(clients.map(train, map(str, range(24)))) == {201}
    versions = _native.list_versions(models, PROJECT)
    assert len(versions) == 25, "none was lost or written over"
    results = [json.loads((folder / "job_result.json").read_text()) for _, folder in versions]
    assert {result["train_output"]["names"][-1] for result in results} == {
        "first",
        *map(str, range(24)),
    }
    assert len({result["train_output"]["pid"] for result in results}) == 2
    assert train("last") == 201
    assert check_served()[-1] == "last"


def test_the_originals_own_command_line(start: Start, tmp_path: Path) -> None:
    project = make_project(tmp_path, TELLER)
    (project / "_wsgi.py").write_text(ORIGINAL_WSGI)
    command = (sys.executable, "_wsgi.py", "--host", "127.0.0.1", "-p", "{port}")
    url = start(*command, cwd=project)
    assert predict(url)["project_id"] == "2"
