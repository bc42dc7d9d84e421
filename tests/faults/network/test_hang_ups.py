"""Clients that hang up: only their own request is lost, and nothing of it is left behind."""

from __future__ import annotations

import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import pytest
from backend import Backend
from footprint import descriptors
from hosting import wait_for
from wire import connection, head, predict_body, read_answer, request, reset, send_all

BODY = predict_body()
#: How much of a request is sent before the client hangs up.
PARTS = {
    "before the first byte": b"",
    "within the request line": b"POST /pre",
    "within the headers": head(len(BODY))[:40],
    "before the empty line": head(len(BODY))[:-2],
    "before the body": head(len(BODY)),
    "within the body": request(BODY)[:-20],
    "before the last byte": request(BODY)[:-1],
    "after the request": request(BODY),
    "within a chunk": head(None, "Transfer-Encoding: chunked") + b"ff\r\n{",
    "within the size of a chunk": head(None, "Transfer-Encoding: chunked") + b"f",
    "within the second request": request(BODY) + request(BODY)[:30],
}


def farewell(opened: object) -> None:
    """Close as a client does that has read everything."""
    opened.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("leave", [farewell, reset], ids=["close", "reset"])
@pytest.mark.parametrize("part", PARTS)
def test_a_client_that_hangs_up_costs_nobody(
    backend: Backend, part: str, leave: Callable[..., None]
) -> None:
    worker = backend.worker()
    for _ in range(3):
        with connection(backend.server) as opened:
            opened.sendall(PARTS[part])
            leave(opened)
    backend.check_answer()
    assert backend.worker() == worker


@pytest.mark.parametrize("leave", [farewell, reset], ids=["close", "reset"])
def test_a_client_that_hangs_up_while_predict_runs_costs_nobody(
    backend: Backend, leave: Callable[..., None]
) -> None:
    begun = backend.temporary / "begun"
    code = f"open({str(begun)!r}, 'w').close(); time.sleep(0.3)"
    with connection(backend.server) as opened:
        opened.sendall(request(predict_body(do=code)))
        wait_for(begun.exists, "predict runs")
        leave(opened)
    backend.check_answer()
    begun.unlink()


def test_a_client_that_hangs_up_just_before_the_answer_costs_nobody(backend: Backend) -> None:
    """At every moment around the answer."""
    for pause in range(20):
        code = "time.sleep(0.02)"
        with connection(backend.server) as opened:
            opened.sendall(request(predict_body(do=code)))
            opened.settimeout(0.015 + pause / 2000)
            with suppress(TimeoutError):
                opened.recv(1)
            reset(opened)
    backend.check_answer()


def test_a_client_that_hangs_up_within_a_large_answer_costs_nobody(backend: Backend) -> None:
    code = "results = [{'text': ['x' * (1 << 20)] * 20}]"
    for _ in range(3):
        with connection(backend.server) as opened:
            opened.sendall(request(predict_body(do=code)))
            assert opened.recv(1000).startswith(b"HTTP/1.1 200 ")
            reset(opened)
    backend.check_answer()


def test_a_client_that_closes_its_sending_side_costs_nobody(backend: Backend) -> None:
    """It cannot be told from one that has gone, so its answer may be lost."""
    with connection(backend.server) as opened:
        opened.sendall(request(BODY))
        opened.shutdown(socket.SHUT_WR)
        assert read_answer(opened).status in (200, 0)


@pytest.mark.parametrize("part", ["within the headers", "within the body", "after the request"])
def test_64_clients_that_hang_up_at_once_cost_nobody(backend: Backend, part: str) -> None:
    def hang_up(_: int) -> None:
        with connection(backend.server) as opened:
            opened.sendall(PARTS[part])
            reset(opened)

    for _ in range(3):
        with ThreadPoolExecutor(64) as threads:
            list(threads.map(hang_up, range(64)))
    backend.check_answer()


def test_64_clients_that_hang_up_in_line_are_not_waited_for(backend: Backend) -> None:
    """They wait for a thread of the worker, which has eight; the last of them would take a minute."""
    code = "time.sleep(0.2)"
    with ExitStack() as opened:
        clients = [opened.enter_context(connection(backend.server)) for _ in range(64)]
        for client in clients:
            client.sendall(request(predict_body(do=code)))
    backend.check_answer()


def test_answers_of_others_arrive_while_clients_come_and_go(backend: Backend) -> None:
    before = descriptors(backend.server.process.pid).total()
    with ThreadPoolExecutor(8) as threads:
        leaving = [threads.submit(come_and_go, backend, number) for number in range(200)]
        for _ in range(20):
            backend.check_answer()
        for left in leaving:
            left.result()
    wait_for(lambda: descriptors(backend.server.process.pid).total() <= before, "they are gone", 60)


def come_and_go(backend: Backend, number: int) -> None:
    whole = request(BODY)
    with connection(backend.server) as opened:
        send_all(opened, whole[: number * len(whole) // 200])
        reset(opened)
