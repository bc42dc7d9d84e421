"""Too many connections: idle ones, slow ones, and ones with half a request."""

from __future__ import annotations

import resource
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from backend import Backend
from footprint import descriptors, status_field
from hosting import wait_for
from wire import connection, head, predict_body, read_answer, request, send_all

MakeBackend = Callable[..., Backend]

BODY = predict_body()


@pytest.fixture(autouse=True)
def many_descriptors() -> Iterator[None]:
    """The test itself needs as many as the server."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4096 if hard == resource.RLIM_INFINITY else min(4096, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def held(backend: Backend, number: int, sent: bytes, opened: ExitStack) -> list[socket.socket]:
    """Open connections on which only this much is sent."""
    clients = []
    for _ in range(number):
        clients.append(opened.enter_context(connection(backend.server)))
        clients[-1].sendall(sent)
    return clients


CROWDS = {
    "2,000 idle connections": (2000, b""),
    "500 halves of a request line": (500, b"POST /predict HT"),
    "500 halves of the headers": (500, head(len(BODY))[:-10]),
    "500 halves of a body": (500, request(BODY)[:-10]),
    "500 halves of a chunk": (500, head(None, "Transfer-Encoding: chunked") + b"ff\r\n{"),
    "500 announcements of 200 MB": (500, head(200 << 20) + b"{"),
}


@pytest.mark.parametrize("crowd", CROWDS)
def test_a_crowd_of_connections_holds_up_no_answer(backend: Backend, crowd: str) -> None:
    number, sent = CROWDS[crowd]
    server = backend.server.process.pid
    before = status_field(server, "VmRSS")
    with ExitStack() as opened:
        held(backend, number, sent, opened)
        began = time.monotonic()
        for _ in range(5):
            backend.check_answer()
        assert backend.server.get("/health").ok
        assert time.monotonic() - began < 20
        grown = status_field(server, "VmRSS") - before
        assert grown < number * 50, f"{grown / number:.0f} KiB for each connection"
    backend.check_answer()


def test_a_body_of_one_byte_at_a_time_is_answered(backend: Backend) -> None:
    with connection(backend.server) as opened:
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in request(BODY):
            opened.sendall(bytes([byte]))
        assert read_answer(opened).status == 200


def test_500_clients_at_once_are_all_answered(backend: Backend) -> None:
    with ExitStack() as opened:
        for client in held(backend, 500, request(BODY), opened):
            assert read_answer(client).status == 200


def test_a_client_that_does_not_read_its_answer_holds_up_nobody(backend: Backend) -> None:
    """50 MB wait in the server until the client goes."""
    code = "results = [{'text': ['x' * (1 << 20)] * 50}]"
    with connection(backend.server, receive_buffer=4096) as opened:
        opened.sendall(request(predict_body(do=code)))
        assert opened.recv(1) == b"H", "the answer has begun"
        for _ in range(3):
            backend.check_answer()
        assert backend.server.get("/health").ok


def test_without_descriptors_no_connection_is_lost_for_ever(make_backend: MakeBackend) -> None:
    """Of more clients than the server has descriptors for, those that ask nothing make room."""

    def few() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

    backend = make_backend(spawn={"preexec_fn": few})
    backend.start()
    backend.settle()
    server = backend.server.process.pid
    with ExitStack() as opened:
        clients = held(backend, 100, b"", opened)
        wait_for(lambda: "no more than 64 files may be open" in backend.server.log(), "it says so")
        clients[-1].sendall(request(BODY))
        assert read_answer(clients[-1]).status == 200, "those that ask nothing make room"
        assert descriptors(server).total() < 64
    backend.keeps_its_promises()
    backend.end()


def test_a_worker_that_dies_while_descriptors_are_scarce_comes_back(
    make_backend: MakeBackend,
) -> None:
    def few() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

    backend = make_backend(spawn={"preexec_fn": few})
    backend.start()
    backend.settle()
    server = backend.server.process.pid
    with ExitStack() as opened:
        clients = held(backend, 100, b"", opened)
        clients[-1].sendall(request(predict_body(do="os._exit(3)")))
        assert read_answer(clients[-1]).status == 502
        assert descriptors(server).total() < 64
        for client in clients[:80]:
            client.close()
    backend.keeps_its_promises()
    backend.end()


def test_a_line_of_connections_that_send_nothing_is_cleared(backend: Backend) -> None:
    """The server forgets a client that sends half a request and closes."""
    server = backend.server.process.pid
    before = descriptors(server).total()
    for _ in range(3):
        with ExitStack() as opened:
            for client in held(backend, 200, b"POST /", opened):
                send_all(client, b"x")
        wait_for(lambda: descriptors(server).total() <= before, "they are gone", 60)
