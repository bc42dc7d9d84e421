"""A project that cannot be imported: the reason is the same whoever asks, in one line, until the end."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from hosting import CONSOLE_SCRIPT, ECHO, Server, environment, free_port, make_project, run

#: Time for clients to ask before the import fails.
SOON = "import time; time.sleep(0.7)\n"

#: A project that `init` made has a requirements.txt.
MISSING = (
    'Package "no_such_package" is missing. Add it to {project}/requirements.txt and run '
    '"label-studio-ml install {project}"'
)
FAILURES = {
    "import": ("import no_such_package", MISSING),
    "syntax": ("compile('def x(:', 'm.py', 'exec')", "SyntaxError: invalid syntax (m.py, line 1)"),
    "lines": (
        "raise ImportError('\\n\\nREAD THIS\\n\\n  at once\\n')",
        "ImportError: READ THIS at once",
    ),
    "exit": ("raise SystemExit('bye')", "bye"),
    "os._exit": (
        "import os; os._exit(7)",
        "importing the script ended its process: it exited with status 7",
    ),
    "no class": (
        "Echo = int",
        "ValueError: <class 'int'> is not a subclass of LabelStudioMLBase",
    ),
}
BODY = {"tasks": [{"id": 1}], "project": "1.1", "label_config": "<View/>"}
EVENT = {"action": "ANNOTATION_CREATED", "project": {"id": 1}, "annotation": {"id": 1}}
ASKED: list[tuple[str, str, Any]] = [
    ("GET", "/health", None),
    ("GET", "/readyz", None),
    ("GET", "/jobs", None),
    ("GET", "/versions?project=1.1", None),
    ("POST", "/predict", BODY),
    ("POST", "/setup", {"project": "1.1", "schema": "<View/>"}),
    ("POST", "/webhook", EVENT),
    ("POST", "/train", {"annotations": [], "project": "1.1", "label_config": "<View/>"}),
]


def broken(root: Path, source: str) -> Path:
    project = make_project(root, ECHO)
    (project / "model.py").write_text(SOON + source + "\n")
    return project


def asked_until_the_end(project: Path, *arguments: str) -> tuple[int, str, list[requests.Response]]:
    """Start a server and ask it all the time; return its status, last line and answers."""
    port = free_port()
    command = [CONSOLE_SCRIPT, "start", project, "--port", str(port), "--host", "127.0.0.1"]
    process = subprocess.Popen(
        [*command, *arguments], env=environment(), stderr=subprocess.PIPE, text=True
    )
    answers: list[requests.Response] = []

    def ask(method: str, path: str, body: Any) -> None:
        while process.poll() is None:
            try:
                url = f"http://127.0.0.1:{port}{path}"
                answers.append(requests.request(method, url, json=body, timeout=60))
            except requests.ConnectionError:
                time.sleep(0.02)

    clients = [threading.Thread(target=ask, args=asked) for asked in ASKED]
    for client in clients:
        client.start()
    _, shown = process.communicate(timeout=60)
    for client in clients:
        client.join()
    return process.returncode, shown.splitlines()[-1], answers


@pytest.mark.parametrize("failure", FAILURES)
def test_everybody_is_told_the_reason(tmp_path: Path, failure: str) -> None:
    source, reason = FAILURES[failure]
    project = broken(tmp_path, source)
    reason = reason.format(project=project)
    # If a request kept it from ending, that would take longer than the test waits.
    patient = ("--setup-timeout", "100", "--drain-timeout", "100")
    status, last, answers = asked_until_the_end(project, "--workers", "2", *patient)
    assert status == 2
    # What ends with a status is told where.
    assert last == f"error: {reason}" or (failure == "exit" and last.endswith(reason))
    paths = {answer.request.path_url for answer in answers}
    assert paths >= {"/predict", "/setup", "/jobs", "/webhook", "/train", "/versions?project=1.1"}
    for answer in answers:
        text = " ".join(answer.text.replace("\\n", " ").replace('\\"', '"').split())
        if answer.request.path_url in {"/health", "/readyz"}:
            is_known = "the server is stopping" in text or '"restarts":0' not in text
            assert not is_known or "no worker is ready" in text or reason in text, text
        else:
            assert (answer.status_code, reason in text) == (503, True), text
            assert answer.json()["error_code"] == "model_not_ready"


def test_a_failing_check_reads_like_a_failing_import(tmp_path: Path) -> None:
    project = make_project(tmp_path, ECHO)
    source = (project / "model.py").read_text()
    failing = "self.kwargs = kwargs; import time; time.sleep(0.7); raise ValueError('no weights')"
    (project / "model.py").write_text(source.replace("self.kwargs = kwargs", failing))
    status, last, answers = asked_until_the_end(project, "--check")
    assert (status, last) == (2, "error: ValueError: no weights")
    predicted = [it for it in answers if it.request.path_url == "/predict"]
    assert predicted
    assert all("the model is not ready: ValueError: no weights" in it.text for it in predicted)


def test_the_sentence_is_the_same_again_and_again(tmp_path: Path) -> None:
    project = make_project(tmp_path, ECHO)
    (project / "model.py").write_text("import no_such_package\n")
    ends = {
        (done.returncode, done.stderr.splitlines()[-1])
        for done in (run("start", project, "-p", str(free_port())) for _ in range(8))
    }
    assert ends == {(2, f"error: {MISSING.format(project=project)}")}


def test_other_commands_say_the_same(tmp_path: Path) -> None:
    project = make_project(tmp_path, ECHO)
    (project / "model.py").write_text("import no_such_package\n")
    (tmp_path / "tasks.json").write_text('[{"data": {}}]')
    tasks = str(tmp_path / "tasks.json")
    for command in (["predict", project, "--input", tasks], ["validate", project, "--task", tasks]):
        done = run(*command)
        assert done.returncode == 2
        last = done.stderr.splitlines()[-1]
        assert last == f"error: {MISSING.format(project=project)}"


def test_a_job_that_was_interrupted_does_not_change_the_reason(
    tmp_path: Path, serve: Callable[..., Server]
) -> None:
    slow = ECHO.replace("tasks = list(tasks)", "tasks = list(tasks); import time; time.sleep(600)")
    server = serve(slow)
    server.train()
    server.wait_logged("training begins")
    server.process.kill()
    server.process.wait()
    (server.project / "model.py").write_text(SOON + "import no_such_package\n")
    status, last, _ = asked_until_the_end(server.project)
    assert status == 2
    assert last == f"error: {MISSING.format(project=server.project)}"
