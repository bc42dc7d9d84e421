"""Bytes that are not HTTP, or ambiguous HTTP: refused, and the next request gets a right answer."""

from __future__ import annotations

import pytest
from backend import Backend
from wire import (
    connection,
    exchange,
    head,
    is_closed,
    predict_body,
    read_answer,
    request,
    send_all,
)

BODY = predict_body()
CHUNKED = "Transfer-Encoding: chunked"


def chunked(*pieces: bytes) -> bytes:
    return head(None, CHUNKED) + b"".join(pieces)


#: What is sent, and the statuses that it may be answered with; 0 is hanging up.
MALFORMED = {
    "nothing of HTTP": (b"\x00\x01\x02\x03" * 100, {400, 0}),
    "HTTP/0.9": (b"GET /health\r\n\r\n", {400, 0}),
    "HTTP/2 with prior knowledge": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400, 505, 0}),
    "HTTP/3.0": (b"GET /health HTTP/3.0\r\n\r\n", {400, 505, 0}),
    "a hello of TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500, {400, 0}),
    "SSH": (b"SSH-2.0-OpenSSH_9.6\r\n", {400, 0}),
    "redis": (b"*1\r\n$4\r\nPING\r\n", {400, 0}),
    "no version": (b"GET /health\r\nHost: x\r\n\r\n", {400, 0}),
    "a method in small letters": (head(None, line="get /health HTTP/1.1"), {400, 405, 0}),
    "an unknown method": (head(None, line="BREW /health HTTP/1.1"), {405, 400, 501}),
    "a method of 10,000 letters": (head(None, line="G" * 10_000 + " / HTTP/1.1"), {400, 405, 0}),
    "CONNECT": (head(None, line="CONNECT example.org:443 HTTP/1.1"), {400, 404, 405}),
    "TRACE": (head(None, line="TRACE / HTTP/1.1"), {405, 400}),
    "NUL in the path": (head(None, line="GET /a\0b HTTP/1.1"), {400, 0}),
    "invalid UTF-8 in the path": (b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n", {400, 404, 0}),
    "a space in the path": (head(None, line="GET /a b HTTP/1.1"), {400, 0}),
    "a URL of 100 KB": (head(None, line=f"GET /{'a' * 100_000} HTTP/1.1"), {404, 414, 431, 400, 0}),
    "a URL of 10 MB": (head(None, line=f"GET /{'a' * 10_000_000} HTTP/1.1"), {414, 431, 400, 0}),
    "a header of 100 KB": (head(0, f"X-Long: {'a' * 100_000}"), {400, 422, 431, 0}),
    "a header of 10 MB": (head(0, f"X-Long: {'a' * 10_000_000}"), {431, 400, 0}),
    "10,000 headers": (head(0, *(f"X-{n}: 1" for n in range(10_000))), {431, 400, 0}),
    "a header without a name": (head(0, ": value"), {400, 0}),
    "a header without a colon": (head(0, "value"), {400, 0}),
    "a header with NUL": (head(0, "X-Odd: a\0b"), {400, 0}),
    "a header name with a space": (head(0, "X Odd: a"), {400, 0}),
    "a folded header": (head(0, "X-Odd: a\r\n b"), {400, 0}),
    "a line end without CR": (b"GET /health HTTP/1.1\nHost: x\n\n", {200, 400, 0}),
    "CR alone": (b"GET /health HTTP/1.1\rHost: x\r\r", {400, 0}),
    "a negative length": (head(-1), {400, 0}),
    "a length with a plus": (head(f"+{len(BODY)}") + BODY, {400, 0}),
    "a length that is no number": (head("many") + BODY, {400, 0}),
    "a length in hexadecimal": (head("0x10") + BODY, {400, 0}),
    "a length of 2^64": (head(2**64) + BODY, {400, 413, 0}),
    "a length of 10^100": (head(10**100) + BODY, {400, 413, 0}),
    "an empty length": (head("") + BODY, {400, 0}),
    "two lengths that differ": (
        head(len(BODY), f"Content-Length: {len(BODY) + 1}") + BODY,
        {400, 0},
    ),
    "two lengths in one": (head(f"{len(BODY)}, {len(BODY) + 1}") + BODY, {400, 0}),
    "a length and chunks": (head(5, CHUNKED) + b"0\r\n\r\n", {400, 0}),
    "an unknown coding": (head(None, "Transfer-Encoding: gzip") + BODY, {400, 411, 501, 0}),
    "a coding before chunked": (
        head(None, "Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n",
        {400, 501, 0},
    ),
    "chunked twice": (
        head(None, "Transfer-Encoding: chunked, chunked") + b"0\r\n\r\n",
        {400, 501, 0},
    ),
    "chunked in HTTP/1.0": (
        head(None, CHUNKED, line="POST /predict HTTP/1.0") + b"0\r\n\r\n",
        {400, 0},
    ),
    "a chunk of no size": (chunked(b"xyz\r\nabc\r\n0\r\n\r\n"), {400, 0}),
    "a chunk of negative size": (chunked(b"-5\r\nabcde\r\n0\r\n\r\n"), {400, 0}),
    "a chunk of 2^64": (chunked(b"10000000000000000\r\nabc"), {400, 413, 0}),
    "a chunk longer than said": (chunked(b"3\r\nabcdef\r\n0\r\n\r\n"), {400, 0}),
    "a chunk extension of 1 MB": (chunked(b"1;" + b"a" * (1 << 20) + b"\r\n{\r\n"), {400, 0}),
    "trailers without end": (chunked(b"0\r\n" + b"X: y\r\n" * 100_000), {400, 431, 0}),
    "a body of empty chunks": (chunked(b"0\r\n\r\n"), {400}),
    "an expectation that is unknown": (head(0, "Expect: miracles"), {417, 400}),
    "an upgrade": (head(0, "Connection: Upgrade", "Upgrade: h2c"), {400, 422, 101}),
}


@pytest.mark.parametrize("what", MALFORMED)
def test_a_malformed_request_is_refused_and_the_next_is_right(backend: Backend, what: str) -> None:
    sent, statuses = MALFORMED[what]
    with connection(backend.server) as opened:
        send_all(opened, sent)
        answer = read_answer(opened)
    assert answer.status in statuses, answer


#: Requests that another reader could take for two: they must end their connection.
AMBIGUOUS = [
    "a length and chunks",
    "two lengths that differ",
    "a negative length",
    "chunked twice",
]


@pytest.mark.parametrize("what", AMBIGUOUS)
def test_what_could_be_two_requests_is_never_two(backend: Backend, what: str) -> None:
    sent, _ = MALFORMED[what]
    with connection(backend.server) as opened:
        send_all(opened, sent + head(None, line="GET /health HTTP/1.1", content_type=""))
        opened.shutdown(1)
        received = b""
        while piece := received_or_nothing(opened):
            received += piece
    assert b'"UP"' not in received
    assert received.count(b"HTTP/1.1 ") <= 1


def received_or_nothing(opened: object) -> bytes:
    try:
        piece: bytes = opened.recv(65536)  # type: ignore[attr-defined]
    except ConnectionResetError:
        return b""
    return piece


def test_a_body_longer_than_said_is_no_second_request(backend: Backend) -> None:
    """What follows is read as a request, and is none."""
    with connection(backend.server) as opened:
        send_all(opened, head(2) + b"{}" + b"garbage that follows\r\n\r\n")
        assert read_answer(opened).status == 422
        assert read_answer(opened).status in (400, 0)
        assert is_closed(opened)


def test_a_body_shorter_than_said_is_waited_for_and_not_answered(backend: Backend) -> None:
    with connection(backend.server) as opened:
        opened.sendall(head(len(BODY) + 1) + BODY)
        backend.check_answer()
        opened.settimeout(0.2)
        with pytest.raises(TimeoutError):
            opened.recv(1)


def test_the_same_length_twice_is_one_length(backend: Backend) -> None:
    answer = exchange(backend.server, head(len(BODY), f"Content-Length: {len(BODY)}") + BODY)
    assert answer.status in (200, 400)


def test_the_absolute_form_of_a_url_is_answered(backend: Backend) -> None:
    line = "POST http://somewhere.example/predict HTTP/1.1"
    assert exchange(backend.server, request(BODY, line=line)).status == 200


def test_http_1_0_is_answered_and_its_connection_closed(backend: Backend) -> None:
    with connection(backend.server) as opened:
        opened.sendall(request(BODY, line="POST /predict HTTP/1.0"))
        assert read_answer(opened).status == 200
        assert is_closed(opened)
