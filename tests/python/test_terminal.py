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
        wait_for(lambda: b"ready after" in command.shown, "the server is ready")
    except AssertionError:
        command.process.kill()
        command.end()
        raise
    return command


def test_start_shows_what_to_paste_and_short_lines(tmp_path: Path) -> None:
    port = free_port()
    server = started(make_project(tmp_path, ECHO), port)
    wait_for(lambda: b"Ctrl-C stops" in server.shown, "the block is shown")
    server.process.terminate()
    assert server.end() == 0
    text = server.text().replace("\r\n", "\n")
    parts = [
        "label-studio-ml ",
        "Loading the model …\n",
        "Model                   Echo (API v1), loaded in ",
        f"Models are kept in      {tmp_path / 'backend'} (no trained version yet)\n",
        "Paste into Label Studio (Settings → Model → Connect model):\n"
        f"    http://localhost:{port}   Label Studio ",
        f"In another terminal: label-studio-ml doctor {tmp_path / 'backend'} --port {port}\n",
        "SIGTERM: stopping; running predictions have 10 s to finish\n",
    ]
    places = [text.find(part) for part in parts]
    assert -1 not in places and places == sorted(places), text
    assert re.search(r"^\d\d:\d\d:\d\d ready after \d+ ms worker=", text, re.MULTILINE), text
    assert "label_studio_ml::" not in text
    assert b"\x1b[1mhttp://localhost" in server.shown


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
                (project / f"seen {number}").touch()

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
    bars = re.findall(
        rf"training project {re.escape(PROJECT)} (\S+) \d\S* +(\d+ %, epoch \d, loss [\d.]+)", text
    )
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
