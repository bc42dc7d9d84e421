"""Workers that are stopped by SIGSTOP, as by a debugger or a frozen container, and go on."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from backend import Backend
from footprint import thread_states
from hosting import wait_for

MakeBackend = Callable[..., Backend]


def stop(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    # A process whose server dies is only woken, and so ended, if all of its threads have stopped by then.
    wait_for(lambda: set(thread_states(pid)) == {"T"}, "it has stopped")


def test_a_worker_that_goes_on_after_a_stop_gives_its_answer(backend: Backend) -> None:
    worker = backend.worker()
    stop(worker)
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(backend.do, "")
        assert backend.server.get("/health").status_code == 200
        os.kill(worker, signal.SIGCONT)
        assert asked.result().status_code == 200
    assert backend.worker() == worker


def test_a_worker_that_stops_itself_holds_up_its_own_request_only(
    make_backend: MakeBackend,
) -> None:
    backend = make_backend()
    backend.start("--workers", "2")
    wait_for(
        lambda: backend.server.get("/health").json()["workers"]["ready"] == 2, "both are ready"
    )
    backend.settle()
    told = backend.root / "pid"
    code = f"open({str(told)!r}, 'w').write(str(os.getpid())); os.kill(os.getpid(), signal.SIGSTOP)"
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(backend.do, code)
        pid = int(wait_for(lambda: told.exists() and told.read_text(), "it is about to stop"))
        wait_for(lambda: set(thread_states(pid)) == {"T"}, "it has stopped")
        assert backend.server.get("/health").status_code == 200
        os.kill(pid, signal.SIGCONT)
        assert asked.result().status_code == 200
    backend.keeps_its_promises()
    backend.end()


def test_a_stopped_worker_holds_up_no_end(make_backend: MakeBackend) -> None:
    backend = make_backend()
    backend.start("--drain-timeout", "1")
    backend.settle()
    stop(backend.worker())
    backend.end()


def test_a_stopped_worker_ends_with_its_killed_server(make_backend: MakeBackend) -> None:
    backend = make_backend()
    backend.start()
    backend.settle()
    stop(backend.worker())
    backend.kill()
    backend.check_processes()


def test_a_stopped_worker_that_is_killed_is_replaced(backend: Backend) -> None:
    stop(backend.worker())
    backend.kill_worker()
    backend.check_answer()
