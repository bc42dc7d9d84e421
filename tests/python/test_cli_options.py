"""Options as argparse reads them, and options that are passed on to the project's own program."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from hosting import (
    CONSOLE_SCRIPT,
    ECHO,
    Server,
    environment,
    free_port,
    make_project,
    run,
    wait_for,
    write_script,
)

Serve = Callable[..., Server]

#: A model that predicts what it finds in `sys.argv` and in the environment of its import.
WITNESS = """
    import os, sys
    from label_studio_ml.model import LabelStudioMLBase
    ARGV = {argv}
    USER, PASSWORD = os.environ.get("BASIC_AUTH_USER"), os.environ.get("BASIC_AUTH_PASS")
    class Witness(LabelStudioMLBase):
        OPTIONS = None
        def predict(self, tasks, **kwargs):
            return [{{"result": [], "argv": ARGV, "options": self.OPTIONS,
                     "user": USER, "password": PASSWORD}}]
        def fit(self, event, data, **kwargs):
            assert self.OPTIONS["weights"] == ["a.pt"]
"""
DECLARES = """
    import argparse
    from label_studio_ml.api import init_app
    from model import Witness
    parser = argparse.ArgumentParser()
    parser.add_argument("-w", "--weights", nargs="+")
    parser.add_argument("--threads", type=int)
    parser.add_argument("-p", "--port", type=int)
    parser.add_argument("--model")
    Witness.OPTIONS = vars(parser.parse_args())
    app = init_app(model_class=Witness)
"""
PLAIN = """
    from label_studio_ml.api import init_app
    from model import Witness
    app = init_app(model_class=Witness)
"""


def program(root: Path, wsgi: str, is_any: bool = False) -> Path:
    """Make a project with a program of its own."""
    write_script(root / "own", WITNESS.format(argv="sys.argv[1:]" if is_any else None))
    write_script(root / "own", wsgi, "_wsgi.py")
    return root / "own"


def test_options_of_a_program_reach_it_and_ours_do_not(tmp_path: Path, serve: Serve) -> None:
    server = serve(
        program(tmp_path, DECLARES), "--weights", "a.pt", "-1", "--check", "--model", "yolo"
    )
    options = server.first()["options"]
    expected = {"weights": ["a.pt", "-1"], "threads": None, "port": server.port, "model": "yolo"}
    assert options == expected
    server.wait_logged("_wsgi.py reads --weights, --model")


def test_an_option_that_both_know_reaches_both(tmp_path: Path, serve: Serve) -> None:
    project = program(tmp_path, DECLARES)
    server = serve(project, "--threads", "3", "--weig=b.pt", "--", "-w", "c.pt")
    options = server.first()["options"]
    assert options == {"weights": ["c.pt"], "threads": 3, "port": server.port, "model": None}


def test_a_program_that_reads_all_arguments_gets_those_of_the_original(
    tmp_path: Path, serve: Serve
) -> None:
    project = program(tmp_path, PLAIN, is_any=True)
    given = ("--kwargs", "a=b", "c=d", "--own", "-0.5", "--workers=1")
    server = serve(project, *given, "--root-dir", str(tmp_path))
    port, host = str(server.port), "127.0.0.1"
    expected = ["-p", port, "--host", host, "--kwargs", "a=b", "c=d", "--own", "-0.5"]
    assert server.first()["argv"] == expected


def test_user_and_password_of_the_command_line_are_there_during_the_import(
    tmp_path: Path, serve: Serve
) -> None:
    server = serve(program(tmp_path, PLAIN), auth=("ls", "s3cret"))
    seen = server.first()
    assert (seen["user"], seen["password"]) == ("ls", "s3cret")


@pytest.mark.parametrize(
    ("wsgi", "arguments", "told"),
    [
        (PLAIN, ["--weights", "a.pt"], "unexpected argument '--weights' found"),
        (DECLARES, ["--wights", "a.pt"], "unexpected argument '--wights' found"),
        (DECLARES, ["word"], "unexpected argument 'word' found"),
        (PLAIN, ["--max-que", "3"], "unexpected argument '--max-que' found"),
        (PLAIN, ["--", "--weights"], "unexpected argument '--weights' found"),
        (PLAIN, ["--basic", "x"], "ambiguous option: --basic could match --basic-auth-user, "),
        (PLAIN, ["--p", "x"], '--port: "x" is not a port number (1 to 65535)'),
        (PLAIN, ["-p", "-1"], '--port: "-1" is not a port number (1 to 65535)'),
        (PLAIN, ["--log", "loud"], '--log-level: "loud" is not DEBUG, INFO, '),
    ],
)
def test_an_option_that_nobody_reads_is_an_error(
    tmp_path: Path, wsgi: str, arguments: list[str], told: str
) -> None:
    done = run("start", program(tmp_path, wsgi), *arguments)
    assert done.returncode == 2
    assert told in done.stderr, done.stderr


def test_a_folder_that_init_made_refuses_options_of_others(tmp_path: Path) -> None:
    project = make_project(tmp_path, ECHO)
    for command in ([CONSOLE_SCRIPT, "start", project], ["python3", project / "_wsgi.py"]):
        done = subprocess.run(
            [*command, "--weights", "a.pt"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={**environment(), "PATH": f"{CONSOLE_SCRIPT.parent}:/usr/bin:/bin"},
        )
        assert done.returncode == 2
        assert "unexpected argument '--weights' found" in done.stderr


def test_abbreviations_start_a_server(tmp_path: Path) -> None:
    project = make_project(tmp_path, ECHO)
    port = free_port()
    command = [CONSOLE_SCRIPT, "start", "--root", tmp_path, "--po", str(port), "--ho=127.0.0.1"]
    options = ["--mod", tmp_path / "models", "--ch", "--log", "warning", "--kw", "a=1", "b=2"]
    process = subprocess.Popen(
        [*command, *options, "--basic-auth-u", "ls", "--basic-auth-p", "pw", project.name],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}"

        def health() -> Any:
            try:
                return requests.get(f"{url}/health", timeout=30, auth=("ls", "pw")).json()
            except requests.ConnectionError:
                return None

        told = wait_for(lambda: (it := health()) and it["workers"]["ready"] and it, "it is ready")
        assert told["model_dir"] == str(tmp_path / "models")
        assert requests.get(f"{url}/health", timeout=30).status_code == 401
        body = {"tasks": [{"id": 1}], "project": "1.1", "label_config": "<View/>"}
        answer = requests.post(f"{url}/predict", json=body, timeout=60, auth=("ls", "pw"))
        assert {"a", "b"} <= set(answer.json()["results"][0]["init"])
    finally:
        process.terminate()
        assert process.wait(60) == 0


@pytest.mark.parametrize("level", ["CRITICAL", "critical", "Warn", "FATAL", "debug", "NOTSET"])
def test_the_level_of_the_log_may_be_any_of_pythons(
    tmp_path: Path, serve: Serve, level: str
) -> None:
    """A `_wsgi.py` of the original passes the variable to `logging` as it stands."""
    level_of = """
        import logging, os
        from label_studio_ml.api import init_app
        from model import Witness
        logging.getLogger("of_wsgi").setLevel(os.environ["LOG_LEVEL"])
        Witness.OPTIONS = logging.getLevelName(logging.getLogger("of_wsgi").level)
        app = init_app(model_class=Witness)
    """
    server = serve(program(tmp_path, level_of), env={"LOG_LEVEL": level})
    shown = {"FATAL": "CRITICAL", "WARN": "WARNING"}.get(level.upper(), level.upper())
    assert server.first()["options"] == shown


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("LOG_LEVEL", "loud", "is not DEBUG, INFO, WARNING, ERROR or CRITICAL"),
        ("PORT", "http", "is not a port number (1 to 65535)"),
        ("WORKERS", "many", "is not a whole number from 1 to 256 or auto"),
    ],
)
def test_a_wrong_variable_is_named(tmp_path: Path, variable: str, value: str, told: str) -> None:
    done = run("start", program(tmp_path, PLAIN), **{variable: value})
    assert done.returncode == 2
    value = value.upper() if variable == "LOG_LEVEL" else value
    assert done.stderr == f'error: {variable} in the environment: "{value}" {told}\n'
    option = f"--{variable.lower().replace('_', '-')}"
    done = run("start", program(tmp_path, PLAIN), option, value, **{variable: value})
    assert done.stderr == f'error: {option}: "{value}" {told}\n'


def test_options_of_a_program_reach_the_training_worker(tmp_path: Path, serve: Serve) -> None:
    server = serve(program(tmp_path, DECLARES), "--weights", "a.pt")
    event = {"action": "ANNOTATION_CREATED", "project": {"id": 1}, "annotation": {"id": 1}}
    assert server.post("/webhook", event).status_code == 201
    wait_for(lambda: server.get("/jobs").json()["jobs"][0]["job_status"] == "finished", "it trains")


@pytest.mark.parametrize("kind", ["program", "script"])
def test_options_of_a_program_reach_it_under_debug(tmp_path: Path, kind: str) -> None:
    if kind == "program":
        project: Path = program(tmp_path, PLAIN, is_any=True)
    else:
        project = write_script(tmp_path, WITNESS.format(argv="sys.argv[1:]"), "mine.py")
    port = free_port()
    arguments = ["--debug", "-p", str(port), "--host", "127.0.0.1", "--weights", "a.pt"]
    process = subprocess.Popen(
        [CONSOLE_SCRIPT, "start", project, *arguments],
        env=environment(),
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:

        def first() -> Any:
            body = {"tasks": [{"id": 1}], "project": "1.1", "label_config": "<View/>"}
            try:
                url = f"http://127.0.0.1:{port}/predict"
                return requests.post(url, json=body, timeout=60).json()["results"][0]
            except requests.ConnectionError:
                return None

        assert wait_for(first, "it predicts")["argv"] == arguments
    finally:
        process.kill()
        process.wait()


def test_force_may_be_followed_by_true(tmp_path: Path) -> None:
    write_script(tmp_path, ECHO)
    for words in (["p"], ["p", "--fo", "true"], ["p", "--force", "True", "--fr", "model.py"]):
        done = run("init", *words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    done = run("init", "p", "--force", "false", cwd=tmp_path)
    assert (done.returncode, "unexpected argument 'false' found" in done.stderr) == (2, True)
    done = run("init", "p", "--f", cwd=tmp_path)
    assert done.stderr == "error: ambiguous option: --f could match --from, --force\n"
