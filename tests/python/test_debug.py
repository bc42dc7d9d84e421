"""`start --debug`: one request at a time on the main thread, breakpoints, a restart at every change."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from hosting import CHOICES, CONSOLE_SCRIPT, ECHO, environment, free_port, make_project, wait_for
from models_v2 import event

MODEL = """
    import threading, time
    from label_studio_ml.model import LabelStudioMLBase

    WORD = "first"

    class Debugged(LabelStudioMLBase):
        def predict(self, tasks, context=None, **kwargs):
            data = tasks[0]["data"]
            if data.get("stop"):
                breakpoint()
            time.sleep(data.get("sleep", 0))
            main = threading.current_thread() is threading.main_thread()
            return [{"result": [], "word": WORD, "main": main}]

        def fit(self, event, data, **kwargs):
            return "fitted"
"""


class Terminal:
    """A debugged project in its own terminal."""

    def __init__(self, project: Path, *arguments: str) -> None:
        self.project = project
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.master, slave = pty.openpty()
        command = [str(CONSOLE_SCRIPT), "start", str(project), "--debug", "-p", str(port)]
        self.process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**environment(), "MODEL_DIR": str(project.parent / "models")},
            start_new_session=True,
        )
        os.close(slave)
        self.shown = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                self.shown += os.read(self.master, 4096).decode(errors="replace")
            except OSError:
                return

    def close(self) -> None:
        """End the processes in it, and then the terminal."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        # Otherwise it would read from the descriptor number that the next terminal gets, and take its output.
        self._reader.join(30)
        assert not self._reader.is_alive(), "something still has the terminal"
        os.close(self.master)

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def wait_shown(self, pattern: str, times: int = 1) -> None:
        try:
            wait_for(lambda: len(re.findall(pattern, self.shown)) >= times, f"it shows {pattern}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.shown}") from None

    def predict(self, **data: object) -> requests.Response:
        body = {"tasks": [{"data": data}], "project": "2.1", "label_config": CHOICES}
        return requests.post(f"{self.url}/predict", json=body, timeout=30)

    def word(self) -> str:
        said: str = self.predict().json()["results"][0]["word"]
        return said

    def change(self, old: str, new: str) -> None:
        script = self.project / "model.py"
        script.write_text(script.read_text().replace(old, new))


@pytest.fixture
def debug(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    started: list[Terminal] = []

    def start(source: str, *arguments: str) -> Terminal:
        started.append(Terminal(make_project(tmp_path, source), *arguments))
        started[-1].wait_shown("debugging on http")
        return started[-1]

    yield start
    for terminal in started:
        terminal.close()


def test_requests_run_one_at_a_time_on_the_main_thread(debug: Callable[..., Terminal]) -> None:
    terminal = debug(MODEL)
    assert requests.get(f"{terminal.url}/health", timeout=30).json() == {
        "model_class": "Debugged",
        "status": "UP",
    }
    began = time.monotonic()
    with ThreadPoolExecutor(4) as clients:
        answers = list(clients.map(lambda _: terminal.predict(sleep=0.2), range(4)))
    assert time.monotonic() - began >= 0.8
    assert all(answer.json()["results"][0]["main"] for answer in answers)
    hook = requests.post(f"{terminal.url}/webhook", json=event(), timeout=60)
    assert (hook.status_code, hook.json()) == (201, {"result": "fitted", "status": "ok"})


def test_a_breakpoint_has_the_terminal(debug: Callable[..., Terminal]) -> None:
    terminal = debug(MODEL)
    with ThreadPoolExecutor(1) as clients:
        answer = clients.submit(terminal.predict, stop=True)
        terminal.wait_shown(r"\(Pdb\)")
        terminal.type("p WORD * 2\n")
        terminal.wait_shown("'firstfirst'")
        # A change waits until the debugger goes on.
        terminal.change('"first"', '"second"')
        time.sleep(1)
        assert not answer.done()
        terminal.type("c\n")
        assert answer.result().json()["results"][0]["word"] == "first"
    terminal.wait_shown("debugging on http", 2)
    assert terminal.word() == "second"


def test_a_change_begins_anew_also_after_a_mistake(debug: Callable[..., Terminal]) -> None:
    terminal = debug(MODEL)
    pid = terminal.process.pid
    terminal.change('WORD = "first"', "WORD = ")
    terminal.wait_shown("SyntaxError")
    terminal.wait_shown("waiting for a change")
    terminal.change("WORD = ", 'WORD = "mended"')
    terminal.wait_shown("debugging on http", 2)
    assert terminal.word() == "mended"
    assert terminal.process.poll() is None
    assert terminal.process.pid == pid


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_ends_it(debug: Callable[..., Terminal], name: str) -> None:
    terminal = debug(MODEL)
    os.killpg(terminal.process.pid, signal.Signals[name])
    assert terminal.process.wait(10) == 0


def test_a_model_of_api_v1_with_arguments(debug: Callable[..., Terminal]) -> None:
    terminal = debug(ECHO, "--with", "size=3")
    body = {"tasks": [{}], "project": "2.1", "label_config": CHOICES}
    answer = requests.post(f"{terminal.url}/predict", json=body, timeout=30).json()
    assert answer["model_version"] == "INITIAL"
    assert "size" in answer["results"][0]["init"]


def test_a_taken_port_is_said(debug: Callable[..., Terminal]) -> None:
    terminal = debug(MODEL)
    port = terminal.url.rpartition(":")[2]
    command = [str(CONSOLE_SCRIPT), "start", str(terminal.project), "-d", "-p", port]
    done = subprocess.run(
        [*command, "--host", "127.0.0.1"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert "cannot listen on 127.0.0.1" in done.stderr
