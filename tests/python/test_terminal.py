"""What commands show to a person who looks at them in a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from hosting import (
    CONSOLE_SCRIPT,
    ECHO,
    PROJECT,
    Server,
    environment,
    free_port,
    make_project,
    wait_for,
    write_script,
)


class InTerminal:
    """A command of ours in a terminal of 120 columns; `watch` is called whenever it shows something."""

    def __init__(
        self,
        *arguments: str,
        stdout: int | None = None,
        watch: Callable[[bytes], Any] = len,
        **env: str,
    ) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.process = subprocess.Popen(
            [str(CONSOLE_SCRIPT), *arguments],
            stdin=theirs,
            stdout=theirs if stdout is None else stdout,
            stderr=theirs,
            env={**environment(), "TERM": "xterm", **env},
        )
        os.close(theirs)
        self.shown = bytearray()
        self._watch = watch
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                self.shown.extend(os.read(self._ours, 65536))
            except OSError:
                return
            self._watch(bytes(self.shown))

    def end(self) -> int:
        """Wait for the end of the command; return its exit status."""
        status = self.process.wait(90)
        self._reader.join()
        os.close(self._ours)
        return status

    def text(self) -> str:
        """Return what was shown, without colours and movements of the cursor."""
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.shown.decode(errors="replace"))


def started(project: Path, port: int, **more: Any) -> InTerminal:
    """Start a server in a terminal and wait until it is ready."""
    where = ("-p", str(port), "--host", "127.0.0.1")
    command = InTerminal("start", str(project), *where, *Server.training, **more)
    try:
        wait_for(lambda: b"Waiting for Label Studio" in command.shown, "the server is ready")
    except AssertionError:
        command.process.kill()
        command.end()
        raise
    return command


def test_start_shows_what_to_paste_once_the_model_is_loaded(tmp_path: Path) -> None:
    port = free_port()
    server = started(make_project(tmp_path, ECHO), port)
    server.process.terminate()
    assert server.end() == 0
    text = server.text().replace("\r\n", "\n")
    folder = tmp_path / "backend"
    parts = [
        "label-studio-ml ",
        f"{folder} · Echo (API v1)\n",
        "Models are kept in      ",
        "(no trained version yet)\n",
        "Loading the model …     ready in ",
        "Paste into Label Studio (Settings → Model → Connect model):\n"
        f"    http://localhost:{port}   Label Studio ",
        f"In another terminal: label-studio-ml doctor {folder} --port {port}\n",
        "SIGTERM: stopping; running predictions have 10 s to finish\n",
    ]
    places = [text.find(part) for part in parts]
    assert -1 not in places and places == sorted(places), text
    assert "label_studio_ml::" not in text and "ready after" not in text
    assert b"\x1b[1mhttp://localhost" in server.shown


def test_a_password_without_a_webhook_token_is_warned_of(tmp_path: Path) -> None:
    password = {"BASIC_AUTH_USER": "me", "BASIC_AUTH_PASS": "secret"}
    port = free_port()
    server = started(make_project(tmp_path, ECHO), port, **password)
    try:
        for _ in range(3):
            event = {"action": "ANNOTATION_CREATED", "project": {"id": 1}}
            answer = requests.post(f"http://127.0.0.1:{port}/webhook", json=event, timeout=60)
            assert answer.status_code == 401
        wait_for(lambda: b"refused" in server.shown, "the refusal is shown")
    finally:
        server.process.terminate()
        server.end()
    text = server.text()
    assert "! A password and no webhook token: annotations train nothing" in text
    assert text.count("Label Studio sends no password with its events; set LABEL_STUDIO_ML_") == 1
    assert text.count("POST /webhook → 401: Unauthorized") == 1


MISSING = """
    import no_such_package
    from label_studio_ml.model import LabelStudioMLBase
"""


@pytest.mark.parametrize("workers", ["1", "3"])
def test_a_script_that_cannot_be_imported_is_told_once(tmp_path: Path, workers: str) -> None:
    script = write_script(tmp_path, MISSING)
    where = ("-p", str(free_port()), "--host", "127.0.0.1", "--workers", workers)
    server = InTerminal("start", str(script), *where)
    assert server.end() == 2
    text = server.text()
    assert text.count("No module named") == 1, text
    assert text.count("Traceback") == 1 and "import no_such_package" in text
    assert "http://" not in text, "no address was printed"
    last = [line for line in text.splitlines() if line.strip()][-1]
    assert last.startswith("error: ") and "no_such_package" in last


EVENTFUL = """
    from label_studio_ml.model import LabelStudioMLBase

    class Eventful(LabelStudioMLBase):
        LABEL_STUDIO_ML_API = 1

        def predict(self, tasks, **kwargs):
            if tasks[0]["data"]["text"] == "bad":
                raise ValueError("a bad text")
            label = tasks[0]["data"]["text"]
            choice = {"from_name": "sentiment", "to_name": "text", "type": "choices"}
            return [{"result": [{**choice, "value": {"choices": [label]}}]} for _ in tasks]

        def fit(self, tasks, workdir=None, **kwargs):
            if kwargs["data"]["annotation"] == "bad":
                raise RuntimeError("no labels")
            return {}
"""
CONFIG = (
    '<View><Text name="text" value="$text"/><Choices name="sentiment" toName="text">'
    '<Choice value="Good"/></Choices></View>'
)


def connect(port: int, **more: Any) -> None:
    setup = {"project": PROJECT, "schema": CONFIG, "hostname": "http://studio:8080", **more}
    assert requests.post(f"http://127.0.0.1:{port}/setup", json=setup, timeout=60).ok


def predict(port: int, text: str, number: int = 1) -> requests.Response:
    tasks = [{"id": 17 + index, "data": {"text": text}} for index in range(number)]
    body = {"tasks": tasks, "project": PROJECT, "label_config": CONFIG, "params": {}}
    return requests.post(f"http://127.0.0.1:{port}/predict", json=body, timeout=60)


def train(port: int, annotation: str) -> dict[str, Any]:
    project = {"id": int(PROJECT.split(".")[0]), "label_config": CONFIG}
    event = {"action": "ANNOTATION_CREATED", "project": project, "annotation": annotation}
    answer = requests.post(
        f"http://127.0.0.1:{port}/webhook",
        json=event,
        headers={"Prefer": "wait=60"},
        timeout=90,
    )
    return dict(answer.json())


def events(text: str) -> list[str]:
    """Return the lines that begin with a time, without it."""
    found = re.findall(r"(?:^|\s)\d\d:\d\d:\d\d (\S.*)$", text.replace("\r", "\n"), re.MULTILINE)
    return [line.rstrip() for line in found]


def test_each_event_is_a_line(tmp_path: Path) -> None:
    port = free_port()
    server = started(make_project(tmp_path, EVENTFUL), port)
    try:
        for _ in range(3):
            connect(port)
        assert predict(port, "Good").ok
        wait_for(lambda: b"predicted" in server.shown, "the prediction is shown")
        assert predict(port, "Bad").ok
        assert predict(port, "bad").status_code == 500
        version = train(port, "good")["model_version"]
        assert train(port, "bad")["status"] == "failed"
        assert train(port, "good")["status"] == "finished"
        url = f"http://127.0.0.1:{port}/versions/{version}/activate"
        assert requests.post(url, params={"project": PROJECT}, timeout=60).ok
        wait_for(lambda: b"activated" in server.shown, "the activation is shown")
        wait_for(lambda: server.text().count("predicted") == 2, "both predictions are shown")
    finally:
        server.process.terminate()
        server.end()
    text = server.text().replace("\r\n", "\n")
    seen = events(text)
    assert seen.count("connected  project 2 of http://studio:8080") == 1, text
    assert any(re.fullmatch(r"predicted  1 task, \d\S* ms", line) for line in seen), text
    (warning,) = (line for line in seen if line.startswith("WARN"))
    assert warning.startswith('WARN task 17: results[0].result[0].value.choices[0] is "Bad"')
    trained = rf"trained    project 2 in \d+\.\d s → version {version}"
    assert any(re.fullmatch(trained, line) for line in seen), text
    assert f"activated  version {version} of project 2" in seen
    # What failed, the user's own line, and last what to correct; nothing of it twice.
    for failed, line, message in (
        ("predicting task 17 of project 2", "predict", "ValueError: a bad text"),
        ("training project 2", "fit", "RuntimeError: no labels"),
    ):
        told = text[text.index(f"failed     {failed}\n") :]
        told = told[: told.index(message) + len(message) + 1]
        assert told.endswith(f"\n{message}\n") and f", in {line}\n" in told
        assert text.count(message) == 1
    assert "label_studio_ml" not in text.partition("Waiting for Label Studio")[2]


def test_many_requests_are_few_lines(tmp_path: Path) -> None:
    port = free_port()
    server = started(make_project(tmp_path, EVENTFUL), port)
    try:
        for _ in range(300):
            assert predict(port, "Good", 2).ok
            assert predict(port, "bad").status_code == 500
    finally:
        server.process.terminate()
        server.end()
    text = server.text().replace("\r\n", "\n")
    seen = events(text)
    predicted = [line for line in seen if line.startswith("predicted")]
    assert 1 <= len(predicted) <= 12, predicted
    shown = re.findall(r"predicted  (\d+) tasks in (\d+) requests, ", text)
    assert sum(int(tasks) for tasks, _ in shown) in (598, 600), "one may have a line of its own"
    assert text.count("Traceback") == 1
    assert len([line for line in seen if line.startswith("failed")]) <= 6


def test_files_and_pipes_get_the_full_form(tmp_path: Path, serve: Callable[..., Server]) -> None:
    server = serve(EVENTFUL)
    connect(server.port)
    assert predict(server.port, "Good").ok
    assert predict(server.port, "bad").status_code == 500
    assert train(server.port, "bad")["status"] == "failed"
    server.wait_logged("predicted 1 task, ")
    lines = server.log().splitlines()
    start = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z +"
    for pattern in (
        rf'INFO label_studio_ml::activity::connections: connected project 2 .*project="{PROJECT}"',
        r"INFO label_studio_ml::activity::predictions: predicted 1 task, .* tasks=1 requests=1",
        r"ERROR label_studio_ml::http::finish: POST /predict → 500 ValueError: a bad text "
        r"\(predicting task 17 of project 2\)",
        r"ERROR label_studio_ml::activity: failed training project 2",
        r"INFO label_studio_ml::workers::supervision::slot: ready after \d+ ms worker=",
    ):
        assert any(re.match(start + pattern, line) for line in lines), (pattern, server.log())
    assert "activity::failures" not in server.log()


def test_no_colours_where_they_are_not_wanted(tmp_path: Path) -> None:
    server = started(make_project(tmp_path, ECHO), free_port(), NO_COLOR="1")
    server.process.terminate()
    assert server.end() == 0
    assert b"\x1b[" not in server.shown


SOURCE = """
    import os, time
    import label_studio_ml
    from label_studio_ml.model import LabelStudioMLBase

    class Slow(LabelStudioMLBase):
        def predict(self, tasks, **kwargs):
            return []

        def fit(self, tasks, workdir=None, **kwargs):
            for number in range(5):
                label_studio_ml.progress(number / 4, f"epoch {number}", loss=1 / (number + 1))
                print("a line of the model", number)
                end = time.monotonic() + 60
                while time.monotonic() < end:
                    time.sleep(0.05)
                    if os.path.exists(os.environ["MODEL_DIR"] + f"/seen {number}"):
                        break
            return {}
"""


def test_training_shows_a_bar_below_the_log(tmp_path: Path) -> None:
    project = make_project(tmp_path, SOURCE)

    def note_epochs(shown: bytes) -> None:
        for number in range(5):
            if f"%, epoch {number}, loss".encode() in shown:
                (project / "models" / f"seen {number}").touch()

    port = free_port()
    server = started(project, port, watch=note_epochs)
    try:
        body = {"annotations": [{}], "project": PROJECT}
        url = f"http://127.0.0.1:{port}/train"
        answer = requests.post(url, json=body, headers={"Prefer": "wait=100"}, timeout=200)
        assert answer.json()["status"] == "finished"
    finally:
        server.process.terminate()
        server.end()
    text = server.text()
    bars = re.findall(r"training project 2 (\S+) \d\S* +(\d+ %, epoch \d, loss [\d.]+)", text)
    said = [words for _, words in bars]
    assert "25 %, epoch 1, loss 0.5000" in said
    assert "75 %, epoch 3, loss 0.2500" in said
    assert len({bar for bar, _ in bars}) >= 3, "it grows"
    lines = [line for line in text.splitlines() if "a line of the model" in line]
    assert len(lines) == 5, "each line of the log once, and whole"
    assert all("training project" not in line for line in lines)
    assert all(re.search(r"\d\d:\d\d:\d\d model: a line", line) for line in lines), lines


STEADY = """
    import time
    from label_studio_ml.model import LabelStudioMLBase

    class Steady(LabelStudioMLBase):
        LABEL_STUDIO_ML_API = 1

        def predict(self, tasks, **kwargs):
            time.sleep(0.3)
            if tasks[0]["data"]["text"] == "40":
                raise ValueError("forty")
            return [{"result": []} for _ in tasks]
"""


def test_predict_shows_how_far_it_is(tmp_path: Path) -> None:
    project = make_project(tmp_path, STEADY)
    tasks = tmp_path / "tasks.jsonl"
    tasks.write_text("".join(f'{{"text": "{number}"}}\n' for number in range(60)))
    command = ("predict", str(project), "--input", str(tasks), "--batch-size", "5")
    predict = InTerminal(*command, stdout=subprocess.DEVNULL)
    assert predict.end() == 1
    text = predict.text()
    seen = {int(number) for number in re.findall(r"(\d+) of 60 tasks", text)}
    assert len(seen) > 2, text
    assert "task 41: ValueError: forty" in text
    assert "59 tasks predicted, 1 failed" in text
