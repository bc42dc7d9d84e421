"""A worker that is alive but stuck is distinguished from a busy one, and replaced."""

from __future__ import annotations

import os
import signal
import threading

import pytest
from backend import Backend
from hosting import wait_for

GIL_IN_C = "ctypes.PyDLL(None).sleep(3600)"


@pytest.fixture(scope="module")
def options() -> tuple[str, ...]:
    return ("--gil-timeout", "5", "--setup-timeout", "0.5")


def test_code_in_c_that_keeps_the_interpreter_ends_with_its_worker(backend: Backend) -> None:
    worker = backend.worker()
    answer = backend.do(GIL_IN_C)
    assert answer.status_code == 502
    assert "let nobody into its interpreter for 5 s (--gil-timeout)" in answer.json()["detail"]
    assert backend.worker() != worker


def test_health_answers_while_the_interpreter_is_kept(backend: Backend) -> None:
    begun = backend.temporary / "begun"
    code = f"open({str(begun)!r}, 'w').close()\n{GIL_IN_C}"
    asking = threading.Thread(target=backend.do, args=(code,))
    asking.start()
    wait_for(begun.exists, "the interpreter is kept")
    answered = 0
    while asking.is_alive():
        assert backend.server.get("/health").status_code == 200
        answered += 1
    begun.unlink()
    assert answered > 20, "none of them waited for the interpreter"


def test_a_stopped_worker_is_replaced(backend: Backend) -> None:
    worker = backend.worker()
    os.kill(worker, signal.SIGSTOP)
    answer = backend.do("")
    assert answer.status_code == 502
    assert "gave no sign of life for 5 s" in answer.json()["detail"]
    assert backend.worker() != worker


def test_a_worker_that_was_stopped_for_a_moment_goes_on(backend: Backend) -> None:
    worker = backend.worker()
    os.kill(worker, signal.SIGSTOP)
    threading.Timer(1, os.kill, (worker, signal.SIGCONT)).start()
    backend.check_answer()
    assert backend.worker() == worker


def test_busy_python_code_is_not_taken_for_stuck(backend: Backend) -> None:
    worker = backend.worker()
    code = "end = time.monotonic() + 8\nwhile time.monotonic() < end: pass"
    assert backend.do(code, text="good and busy").status_code == 200
    assert backend.worker() == worker


def test_a_server_that_was_stopped_does_not_blame_its_workers(backend: Backend) -> None:
    worker, server = backend.worker(), backend.server.process.pid
    os.kill(server, signal.SIGSTOP)
    threading.Event().wait(8)
    os.kill(server, signal.SIGCONT)
    backend.check_answer()
    threading.Event().wait(2)
    assert backend.worker() == worker
