"""A prediction that does not end keeps its own thread; others are answered."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from backend import Backend
from hosting import wait_for

MakeBackend = Callable[..., Backend]

#: Said by code before it does not end, so that a test knows that it has begun.
BEGUN = "open(os.environ['TMPDIR'] + '/begun', 'w').close()\n"

ENDLESS = {
    "sleeps": "time.sleep(600)",
    "spins": "while True: pass",
    "waits for a lock": "lock = threading.Lock(); lock.acquire(); lock.acquire()",
    "waits for itself": "lock = threading.Lock()\nwith lock:\n    with lock: pass",
    "waits for a thread that waits for it": (
        "a, b = threading.Lock(), threading.Lock()\n"
        "met = threading.Barrier(2)\n"
        "def other():\n"
        "    with b: met.wait(); a.acquire()\n"
        "threading.Thread(target=other, daemon=True).start()\n"
        "with a: met.wait(); b.acquire()"
    ),
    "waits for a queue": "import queue; queue.Queue().get()",
    "waits for a pipe": "r, w = os.pipe(); os.read(r, 1)",
    "waits for a socket": (
        "a = socket.create_server(('127.0.0.1', 0))\n"
        "b = socket.create_connection(a.getsockname()); b.recv(1)"
    ),
    "waits for a child": "subprocess.run(['sleep', '600'])",
    "waits for its input": "os.read(0, 1); r, w = os.pipe(); os.dup2(r, 0); sys.stdin.readline()",
    "waits for an event loop": "asyncio.run(asyncio.Event().wait())",
    "swallows everything": (
        "while True:\n    try: time.sleep(600)\n    except BaseException: pass"
    ),
    "grows slowly": "held = []\nwhile True: held.append(len(held)); time.sleep(0.001)",
}


@contextmanager
def running(backend: Backend, code: str, times: int = 1) -> Iterator[list[Any]]:
    """Start predictions that do not end; their clients wait in threads."""
    begun = backend.temporary / "begun"
    answers: list[Any] = []

    def ask() -> None:
        try:
            answers.append(backend.do(code))
        except Exception as error:
            answers.append(error)

    threads = []
    for _ in range(times):
        threads.append(threading.Thread(target=ask))
        threads[-1].start()
        wait_for(begun.exists, "the prediction has begun")
        begun.unlink()
    try:
        yield answers
    finally:
        if backend.server.process.poll() is None and len(answers) < times:
            backend.kill_worker()
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive(), "a request waits for a worker that is gone"


@pytest.mark.parametrize("what", ENDLESS)
def test_a_prediction_that_does_not_end_holds_up_no_other(backend: Backend, what: str) -> None:
    worker = backend.worker()
    with running(backend, BEGUN + ENDLESS[what]) as answers:
        for _ in range(3):
            backend.check_answer()
        assert backend.server.get("/health").ok
        assert not answers
        assert backend.worker() == worker
    assert answers[0].status_code == 502, "the worker was killed by the test"


def test_while_all_threads_are_taken_others_wait_and_are_told(make_backend: MakeBackend) -> None:
    backend = make_backend()
    backend.start("--threads", "2")
    backend.settle()
    with running(backend, BEGUN + "time.sleep(600)", times=2):
        assert backend.server.get("/health").status_code == 200
        assert backend.server.setup().status_code == 200, "the model is loaded already"
    backend.keeps_its_promises()
    backend.end()


KEPT = {
    "pause": "ctypes.PyDLL(None).pause()",
    "sleep": "ctypes.PyDLL(None).sleep(600)",
    "an endless builtin": "max(iter(int, 1))",
    "a large power": "(10**20_000_000)**3",
}


@pytest.mark.parametrize("what", KEPT)
def test_an_interpreter_kept_by_c_code_is_told_and_the_next_worker_is_right(
    backend: Backend, what: str
) -> None:
    def is_told() -> bool:
        health = backend.server.get("/health").json()
        return any("kept the interpreter" in problem for problem in health.get("problems", []))

    with running(backend, BEGUN + KEPT[what]) as answers:
        wait_for(is_told, "/health says so")
        assert not answers
    backend.check_answer()
    assert not is_told()


@pytest.mark.parametrize("what", ["sleeps", "spins", "waits for a child"])
def test_a_prediction_that_does_not_end_holds_up_no_end(
    make_backend: MakeBackend, what: str
) -> None:
    backend = make_backend()
    backend.start("--drain-timeout", "1")
    backend.settle()
    with running(backend, BEGUN + ENDLESS[what]) as answers:
        began = time.monotonic()
        backend.end()
        assert time.monotonic() - began < 20
    assert len(answers) == 1


def test_a_kept_interpreter_holds_up_no_end(make_backend: MakeBackend) -> None:
    backend = make_backend()
    backend.start("--drain-timeout", "1")
    backend.settle()
    with running(backend, BEGUN + KEPT["pause"]):
        backend.end()


@pytest.mark.parametrize("what", ["spins", "swallows everything", "pause"])
def test_a_stuck_worker_ends_with_its_killed_server(make_backend: MakeBackend, what: str) -> None:
    backend = make_backend()
    backend.start()
    backend.settle()
    with running(backend, BEGUN + {**ENDLESS, **KEPT}[what]):
        backend.kill()
        backend.check_processes()
