"""`label-studio-ml start`: finding the project, options, and failing before anything is served."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from hosting import CHOICES, ECHO, Server, free_port, make_project, run, wait_for, write_script

Serve = Callable[..., Server]


def test_a_named_project_must_be_one(tmp_path: Path) -> None:
    done = run("start", "nowhere", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (2, "error: there is no folder nowhere\n")
    (tmp_path / "empty").mkdir()
    done = run("start", "empty", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (
        2,
        "error: empty is not a project: it contains no _wsgi.py, and no script with a model class\n",
    )


def test_without_a_name_it_says_what_it_found(tmp_path: Path) -> None:
    done = run("start", cwd=tmp_path)
    assert done.returncode == 2
    assert "contains none; make one with" in done.stderr
    for name in ("b", "a"):
        write_script(tmp_path / name, "", "_wsgi.py")
    done = run("start", cwd=tmp_path)
    assert "contains several: a, b; name one" in done.stderr


def test_a_taken_port_is_explained(tmp_path: Path) -> None:
    project = make_project(tmp_path, ECHO)
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        done = run("start", project, "-p", str(port))
    assert done.returncode == 2
    # Linux tells which process it is.
    by = f"python\\S* \\(process {os.getpid()}\\)" if sys.platform == "linux" else "a program"
    said = f"port {port} is already in use: {by} listens on 127.0.0.1:{port};"
    assert re.search(said, done.stderr), done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell which process it is")
def test_a_port_taken_by_our_own_server_names_its_project(echo: Server) -> None:
    done = run("start", echo.project, "-p", str(echo.port), "--host", "127.0.0.1")
    assert done.returncode == 2
    said = f"in use: `label-studio-ml start {echo.project}` in "
    assert said in done.stderr, done.stderr


def test_a_failing_import_ends_the_start(tmp_path: Path) -> None:
    project = make_project(tmp_path, ECHO)
    (project / "model.py").write_text("import no_such_package\n")
    done = run("start", project, "-p", str(free_port()))
    assert done.returncode == 2
    assert "ModuleNotFoundError: No module named 'no_such_package'" in done.stderr
    assert "import no_such_package" in done.stderr


def test_check_constructs_the_class_first(tmp_path: Path) -> None:
    source = ECHO.replace(
        "self.kwargs = kwargs", "self.kwargs = kwargs; assert kwargs.get('a') == 1"
    )
    project = make_project(tmp_path, source)
    done = run("start", project, "-p", str(free_port()), "--check")
    assert done.returncode == 2
    assert "AssertionError" in done.stderr


def test_kwargs_come_from_the_file_and_the_command_line(tmp_path: Path, serve: Serve) -> None:
    project = make_project(
        tmp_path, ECHO.replace('"init": sorted(self.kwargs)', '"init": self.kwargs')
    )
    (project / "config.json").write_text('{"from_file": [1], "both": "file"}')
    server = serve(
        project, "--check", "--with", "both=line", "url=http://h/?a=b", "n=3", "f=0.5", "t=True"
    )
    init = server.first()["init"]
    assert {name: init[name] for name in ("from_file", "both", "url", "n", "f", "t")} == {
        "from_file": [1],
        "both": "line",
        "url": "http://h/?a=b",
        "n": 3,
        "f": 0.5,
        "t": True,
    }


WHERE = """
    import os, sys
    from label_studio_ml.model import LabelStudioMLBase
    AT_IMPORT = os.environ.get("MODEL_DIR")
    class Where(LabelStudioMLBase):
        {more}
        def predict(self, tasks, **kwargs):
            return [{{
                "result": [], "at_import": AT_IMPORT, "now": os.environ["MODEL_DIR"],
                "cwd": os.getcwd(), "argv": sys.argv, "path": sys.path[0], "name": __name__,
            }}]
"""


def without_models_folder(project: Path) -> Path:
    """Make a project like those of the original."""
    shutil.rmtree(project / "models")
    return project


def test_a_model_of_api_v1_lives_in_its_project(tmp_path: Path, serve: Serve) -> None:
    source = WHERE.format(more="def fit(self, tasks, workdir=None, **kwargs): return {}")
    project = without_models_folder(make_project(tmp_path, source))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    seen = serve(project, cwd=elsewhere).first()
    assert seen["at_import"] == seen["now"] == str(project)
    assert seen["cwd"] == str(elsewhere)
    assert seen["path"] == str(project)
    assert seen["argv"] == [str(project / "_wsgi.py")]
    assert seen["name"] == "model"


def test_a_model_of_api_v2_lives_in_the_working_folder(tmp_path: Path, serve: Serve) -> None:
    source = WHERE.format(more="def setup(self): ...")
    project = without_models_folder(make_project(tmp_path, source))
    # A Hugging Face config beside the model is none of its arguments.
    (project / "config.json").write_text('{"architectures": ["BertModel"], "hidden_size": 768}')
    seen = serve(project, cwd=tmp_path).first()
    assert seen["at_import"] == seen["now"] == str(tmp_path)


@pytest.mark.parametrize("how", ["option", "environment"])
def test_the_model_dir_can_be_chosen(tmp_path: Path, serve: Serve, how: str) -> None:
    project = make_project(tmp_path, WHERE.format(more="def fit(self, tasks, workdir=None): ..."))
    chosen = tmp_path / "models"
    if how == "option":
        server = serve(project, "--model-dir", "models", cwd=tmp_path)
    else:
        server = serve(project, env={"MODEL_DIR": str(chosen)})
    seen = server.first()
    assert seen["at_import"] == seen["now"] == str(chosen)
    assert server.get("/health").json()["model_dir"] == str(chosen)


UPSTREAM_WSGI = """
    import os, argparse, logging.config
    logging.config.dictConfig({
      "version": 1,
      "handlers": {"console": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout"}},
      "root": {"level": "ERROR", "handlers": ["console"], "propagate": True},
    })
    from label_studio_ml.api import init_app
    from model import Echo
    if __name__ == "__main__":
        raise SystemExit("this is for a process of its own")
    else:
        app = init_app(
            model_class=Echo,
            model_dir=os.environ.get("MODEL_DIR", os.path.dirname(__file__)),
            redis_queue=os.environ.get("RQ_QUEUE_NAME", "default"),
            redis_host=os.environ.get("REDIS_HOST", "localhost"),
            redis_port=os.environ.get("REDIS_PORT", 6379),
            own="kwarg",
        )
"""


def test_a_folder_of_the_original_starts_unchanged(tmp_path: Path, serve: Serve) -> None:
    folder = tmp_path / "theirs"
    write_script(folder, ECHO)
    write_script(folder, UPSTREAM_WSGI, "_wsgi.py")
    server = serve(folder, cwd=tmp_path)
    assert server.get("/health").json()["model_dir"] == str(folder)
    init = server.first()["init"]
    assert "own" in init
    assert not [name for name in init if name.startswith("redis")]


def test_wsgi_py_runs_by_itself(tmp_path: Path) -> None:
    project = make_project(tmp_path, ECHO)
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, project / "_wsgi.py", "-p", str(port), "--host", "127.0.0.1"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:

        def healthy() -> bool:
            try:
                return requests.get(f"http://127.0.0.1:{port}/health", timeout=30).ok
            except requests.ConnectionError:
                return False

        wait_for(healthy, "the server answers")
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


def test_another_package_of_this_name_is_noticed(tmp_path: Path) -> None:
    """Installing a model's requirements may overwrite files of this package."""
    import label_studio_ml

    project = make_project(tmp_path, ECHO)
    installed = Path(label_studio_ml.__file__).parent
    copy = tmp_path / "site" / "label_studio_ml"
    shutil.copytree(installed, copy)
    (copy / "model.py").write_text("class LabelStudioMLBase: ...\n")
    done = subprocess.run(
        [sys.executable, "-m", "label_studio_ml.server", "start", project, "-p", str(free_port())],
        cwd=copy.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert "is not the one that this command belongs to; reinstall it" in done.stderr


HELD = """
    import os, pathlib, threading, time
    from label_studio_ml.model import LabelStudioMLBase

    GATE = pathlib.Path(os.environ.get("GATE", "."))

    class Held(LabelStudioMLBase):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)

        def predict(self, tasks, **kwargs):
            (GATE / f"begun-{os.getpid()}-{threading.get_ident()}").touch()
            while not (GATE / "open").exists():
                time.sleep(0.01)
            return [{"result": []} for _ in tasks]
"""


@pytest.mark.parametrize("how", ["options", "environment", "both"])
def test_workers_and_threads_may_be_chosen_by_options_and_the_environment(
    tmp_path: Path, serve: Serve, how: str
) -> None:
    gate = tmp_path / "gate"
    gate.mkdir()
    env = {"GATE": str(gate)}
    chosen = {"WORKERS": "2", "THREADS": "3"}
    # What stands in the command line counts.
    env |= {"options": {}, "environment": chosen, "both": {"WORKERS": "1", "THREADS": "5"}}[how]
    options = () if how == "environment" else ("--workers", "2", "--threads", "3")
    server = serve(HELD, *options, env=env)
    wait_for(lambda: server.get("/health").json()["workers"]["ready"] == 2, "both are ready")
    assert len(server.workers()) == 2
    body = {"tasks": [{"id": 1, "data": {}}], "project": "1", "label_config": CHOICES}
    with ThreadPoolExecutor(8) as clients:
        url = f"{server.url}/predict"
        asked = [clients.submit(requests.post, url, json=body, timeout=100) for _ in range(8)]
        wait_for(lambda: gauge(server, "waiting") == 2, "six run and two wait")
        assert gauge(server, "running") == 6
        wait_for(lambda: len([*gate.iterdir()]) == 6, "each on a thread of its own")
        (gate / "open").touch()
        assert [answer.result().status_code for answer in asked] == [200] * 8


def gauge(server: Server, name: str) -> int:
    for line in server.get("/metrics").text.splitlines():
        if line.startswith(f"label_studio_ml_predictions_{name} "):
            return int(float(line.split()[1]))
    raise AssertionError(f"no gauge {name}")


def test_as_many_workers_as_the_machine_has_room_for(serve: Serve) -> None:
    server = serve(ECHO, "--workers", "auto")
    told = re.search(r"--workers auto: (\d+), since ", server.log())
    assert told
    wait_for(lambda: len(server.workers()) == int(told[1]), "that many workers")
    assert 1 <= int(told[1]) <= (os.cpu_count() or 1)


def test_no_worker_outlives_a_stopped_server(serve: Serve) -> None:
    server = serve(ECHO, "--workers", "2")
    wait_for(lambda: len(server.workers()) == 2, "both workers run")
    pids = server.workers()
    assert server.setup(config=CHOICES).ok
    assert server.stop() == 0
    from hosting import is_running

    assert not [pid for pid in pids if is_running(pid)]
