"""A server that is asked to end does so in time, whatever is running, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from backend import Backend
from doer import right_answer
from hosting import CHOICES, CONSOLE_SCRIPT, environment, free_port, wait_for
from wire import connection, head, predict_body, read_answer, request

MakeBackend = Callable[..., Backend]

SIGNALS = [signal.SIGTERM, signal.SIGINT]


def started(make_backend: MakeBackend, *arguments: str, **env: str) -> Backend:
    backend = make_backend()
    backend.start(*arguments, **env)
    backend.settle()
    return backend


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_an_idle_server_ends_with_status_0(make_backend: MakeBackend, number: int) -> None:
    backend = started(make_backend)
    assert backend.server.stop(signal.Signals(number)) == 0
    backend.check_processes()


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_prediction_that_runs_is_answered_before_the_end(
    make_backend: MakeBackend, number: int
) -> None:
    backend = started(make_backend)
    begun = backend.root / "begun"
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(backend.do, f"open({str(begun)!r}, 'w'); time.sleep(1)")
        wait_for(begun.exists, "predict runs")
        assert backend.server.stop(signal.Signals(number)) == 0
        assert asked.result().json() == right_answer(["fine"])
    backend.check_processes()


def test_a_prediction_that_takes_too_long_is_given_up(make_backend: MakeBackend) -> None:
    backend = started(make_backend, "--drain-timeout", "1")
    begun = backend.root / "begun"

    def ask() -> int:
        with suppress(OSError):
            status: int = backend.do(f"open({str(begun)!r}, 'w'); time.sleep(600)").status_code
            return status
        return 0

    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(ask)
        wait_for(begun.exists, "predict runs")
        began = time.monotonic()
        assert backend.server.stop() == 0
        assert time.monotonic() - began > 0.9, "it had its time"
        assert asked.result() in (0, 502, 503), "nobody takes it for an answer"
    backend.check_processes()


def test_nobody_new_is_let_in_while_the_server_ends(make_backend: MakeBackend) -> None:
    backend = started(make_backend)
    begun, hold = backend.root / "begun", backend.root / "hold"
    hold.touch()
    code = f"open({str(begun)!r}, 'w')\nwhile os.path.exists({str(hold)!r}): time.sleep(0.01)"
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(backend.do, code)
        wait_for(begun.exists, "predict runs")
        backend.server.process.send_signal(signal.SIGTERM)
        wait_for(lambda: is_refused(backend), "connections are refused")
        hold.unlink()
        assert asked.result().status_code == 200
    assert backend.server.process.wait(20) == 0
    backend.check_processes()


def is_refused(backend: Backend) -> bool:
    try:
        with connection(backend.server) as opened:
            opened.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            return not opened.recv(1)
    except OSError:
        return True


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_second_signal_ends_the_server_at_once(make_backend: MakeBackend, number: int) -> None:
    backend = started(make_backend, "--drain-timeout", "600")
    begun = backend.root / "begun"

    def ask() -> None:
        with suppress(OSError):
            backend.do(f"open({str(begun)!r}, 'w'); time.sleep(600)")

    thread = threading.Thread(target=ask)
    thread.start()
    wait_for(begun.exists, "predict runs")
    backend.server.process.send_signal(signal.SIGTERM)
    wait_for(lambda: "SIGTERM: stopping" in backend.server.log(), "it has heard the first")
    backend.server.process.send_signal(number)
    assert backend.server.process.wait(10) == 130
    thread.join(30)
    backend.check_processes()


def test_ten_signals_at_once_end_the_server_and_all_of_its_processes(
    make_backend: MakeBackend,
) -> None:
    backend = started(make_backend)
    for _ in range(10):
        backend.server.process.send_signal(signal.SIGTERM)
    assert backend.server.process.wait(20) in (0, 130)
    backend.check_processes()


def test_training_goes_back_to_the_queue_and_is_done_after_the_next_start(
    make_backend: MakeBackend,
) -> None:
    backend = started(make_backend, "--train-linger", "0")
    begun = backend.root / "begun"
    mark = repr(str(begun))
    job = backend.train(
        f"open({mark}, 'a').write('x')\nif os.path.getsize({mark}) == 1: time.sleep(600)"
    )
    wait_for(lambda: begun.exists() and begun.read_text(), "fit runs")
    backend.end()
    backend.start("--train-linger", "0")
    done = backend.ended(job)
    assert (done["job_status"], begun.read_text()) == ("finished", "xx")
    backend.version = done["model_version"]
    backend.keeps_its_promises()
    backend.end()


def test_training_that_ends_within_its_time_is_published(make_backend: MakeBackend) -> None:
    backend = started(make_backend, "--train-drain-timeout", "30")
    begun = backend.root / "begun"
    job = backend.train(f"open({str(begun)!r}, 'a').write('x'); time.sleep(1)")
    wait_for(begun.exists, "fit runs")
    backend.end(seconds=40)
    backend.start("--train-linger", "0")
    done = backend.ended(job)
    assert (done["job_status"], begun.read_text()) == ("finished", "x")
    backend.version = done["model_version"]
    backend.keeps_its_promises()
    backend.end()


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("doing", ["time.sleep(600)", "while True: pass", "os.getpid()"])
def test_a_server_ends_while_its_script_is_imported(
    make_backend: MakeBackend, doing: str, number: int
) -> None:
    backend = make_backend()
    begun = backend.root / "begun"
    (backend.root / "read.py").write_text(f"open({str(begun)!r}, 'w').close()\n{doing}")
    command = [CONSOLE_SCRIPT, "start", backend.project, "-p", str(free_port())]
    env = {**environment(), **backend.env, "DOER_READ": str(backend.root / "read.py")}
    with (backend.root / "log").open("wb") as log:
        server = subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_for(begun.exists, "the worker imports")
        server.send_signal(number)
        assert server.wait(20) == 0, (backend.root / "log").read_text()
    finally:
        server.kill()
        server.wait()
    backend.check_processes()


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_server_that_is_asked_to_end_before_it_listens_leaves_nothing(
    make_backend: MakeBackend, number: int
) -> None:
    """At every moment of its start."""
    backend = make_backend()
    command = [CONSOLE_SCRIPT, "start", backend.project, "-p", str(free_port())]
    for step in range(8):
        with (backend.root / "log").open("wb") as log:
            server = subprocess.Popen(
                command,
                env={**environment(), **backend.env},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        with suppress(subprocess.TimeoutExpired):
            server.wait(step * 0.05)
        server.send_signal(number)
        status, said = server.wait(60), (backend.root / "log").read_text()
        # A signal before the server handles signals ends it like any program. Python itself ends with 1
        # if it is interrupted while it starts.
        interrupted = number == signal.SIGINT and "KeyboardInterrupt" in said
        assert status in ((0, -number, 1, 130) if interrupted else (0, -number)), (status, said)
        backend.check_processes()
    backend.start()
    backend.settle()
    backend.end()


def test_idle_connections_hold_up_no_end(make_backend: MakeBackend) -> None:
    backend = started(make_backend)
    with connection(backend.server) as idle, connection(backend.server) as used:
        used.sendall(request())
        assert read_answer(used).status == 200
        began = time.monotonic()
        backend.end()
        assert time.monotonic() - began < 10
        assert idle.recv(1) == b""


def test_half_a_request_holds_up_no_end(make_backend: MakeBackend) -> None:
    backend = started(make_backend, "--drain-timeout", "2")
    body = predict_body()
    with connection(backend.server) as first, connection(backend.server) as second:
        first.sendall(b"POST /pre")
        second.sendall(head(len(body)) + body[:10])
        backend.check_answer()
        backend.end()


def test_an_answer_that_nobody_reads_holds_up_no_end(make_backend: MakeBackend) -> None:
    backend = started(make_backend, "--drain-timeout", "2")
    code = "results = [{'text': ['x' * (1 << 20)] * 20}]"
    with connection(backend.server, receive_buffer=4096) as opened:
        opened.sendall(request(predict_body(do=code)))
        assert opened.recv(1) == b"H"
        backend.end()


def test_a_hangup_of_the_terminal_ends_the_server_with_all_of_its_processes(
    make_backend: MakeBackend,
) -> None:
    backend = started(make_backend)
    os.killpg(backend.server.process.pid, signal.SIGHUP)
    backend.server.process.wait(20)
    backend.check_processes()


def test_webhooks_that_were_accepted_are_not_lost_by_the_end(make_backend: MakeBackend) -> None:
    backend = started(make_backend, "--train-linger", "0")
    jobs = [backend.train("time.sleep(0.1)") for _ in range(3)]
    backend.end()
    backend.start("--train-linger", "0")
    for job in jobs:
        assert backend.ended(job)["job_status"] == "finished"
    assert backend.server.setup(config=CHOICES).json() == {"model_version": jobs[-1]}
    backend.end()
