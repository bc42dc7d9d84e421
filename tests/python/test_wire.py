"""HTTP/1.1 as bytes: each unusual request gets its right answer, with a reason, and the server goes on."""

from __future__ import annotations

import json

import pytest
from hosting import CHOICES, Server
from raw_http import Answer, Wire, ask, post

PREDICT = json.dumps({"tasks": [{"id": 1, "data": {"text": "fine"}}], "label_config": CHOICES})
GET = "GET /health HTTP/1.1\r\nHost: h\r\n\r\n"


def is_refused(answer: Answer, status: int, *words: str) -> None:
    """Check that the body and the reason phrase of an answer say what was wrong."""
    body = answer.json()
    assert (answer.status, body["status"]) == (status, status), answer
    for word in words:
        assert word in body["detail"], body
    assert answer.reason, answer
    assert body["detail"].startswith(answer.reason[:60]), answer
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "target",
    [
        "/health",
        "//health",
        "/%68ealth",
        "/health?a=b",
        "http://elsewhere:1/health",
        "http://elsewhere/health",
    ],
)
def test_one_path_has_many_spellings(echo: Server, target: str) -> None:
    answer = ask(echo.port, f"GET {target} HTTP/1.1\r\nHost: h\r\n\r\n")
    assert answer.status == 200
    assert answer.json()["status"] == "UP"


@pytest.mark.parametrize("target", ["/health/", "/heal%2Fth", "/HEALTH", "/../health"])
def test_other_paths_are_unknown(echo: Server, target: str) -> None:
    is_refused(ask(echo.port, f"GET {target} HTTP/1.1\r\nHost: h\r\n\r\n"), 404, "no such path")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/health",
        "/livez",
        "/readyz",
        "/is_training",
        "/jobs",
        "/versions",
        "/diagnostics",
        "/metrics",
    ],
)
def test_head_is_get_without_the_body(echo: Server, path: str) -> None:
    with Wire(echo.port) as wire:
        got = wire.ask(f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n")
        head = wire.ask(f"HEAD {path} HTTP/1.1\r\nHost: h\r\n\r\n", of_head=True)
        assert (head.status, head.headers["content-type"]) == (200, got.headers["content-type"])
        assert wire.ask(GET).status == 200


def test_options_says_what_is_allowed(echo: Server) -> None:
    for target, allowed in [
        ("/predict", {"POST", "OPTIONS"}),
        ("/health", {"GET", "HEAD", "OPTIONS"}),
    ]:
        answer = ask(echo.port, f"OPTIONS {target} HTTP/1.1\r\nHost: h\r\n\r\n")
        assert answer.status == 200
        assert {name.strip() for name in answer.headers["allow"].split(",")} == allowed
    assert ask(echo.port, "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n").status == 200


@pytest.mark.parametrize("method", ["get", "PUT", "BREW"])
def test_other_methods_are_not_allowed(echo: Server, method: str) -> None:
    answer = ask(echo.port, f"{method} /health HTTP/1.1\r\nHost: h\r\n\r\n")
    is_refused(answer, 405, f"{method} is not allowed for /health")
    assert "GET" in answer.headers["allow"]


@pytest.mark.parametrize(
    ("request_head", "status", "words"),
    [
        ("GET /he alth HTTP/1.1\r\nHost: h\r\n\r\n", 400, ["not a valid HTTP"]),
        ("GET /health HTTP/1.1\r\n\r\n", 400, ["Host is missing"]),
        ("GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, ["more than once"]),
        ("GET /health HTTP/1.1\r\nHost: h\r\nno header\r\n\r\n", 400, ["not a valid HTTP"]),
        ("GET /health HTTP/1.1\r\nHost: h\r\nA : b\r\n\r\n", 400, ["not a valid HTTP"]),
        ("GET /health HTTP/1.1\r\nHost: h\r\nA: b\x00c\r\n\r\n", 400, ["not a valid HTTP"]),
        ("GET /health HTTP/3.7\r\nHost: h\r\n\r\n", 400, ["not a valid HTTP"]),
        ("\x01\x02\x03\x04\r\n\r\n", 400, ["not a valid HTTP"]),
        (f"GET /{'x' * 65_600} HTTP/1.1\r\nHost: h\r\n\r\n", 431, ["--max-header-size"]),
        (f"GET / HTTP/1.1\r\nHost: h\r\nA: {'x' * 70_000}\r\n\r\n", 431, ["--max-header-size"]),
        ("GET / HTTP/1.1\r\nHost: h\r\n" + "A: b\r\n" * 101 + "\r\n", 431, ["100 headers"]),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, ["HTTP/2"]),
        ("POST /train HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n", 400, ["content-length"]),
        (
            "POST /train HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            400,
            ["content-length"],
        ),
        (
            "POST /train HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n",
            400,
            ["transfer-encoding"],
        ),
    ],
)
def test_what_is_no_request_is_told_so(
    echo: Server, request_head: str, status: int, words: list[str]
) -> None:
    with Wire(echo.port) as wire:
        is_refused(wire.ask(request_head.encode("latin-1")), status, *words)
    assert ask(echo.port, GET).status == 200


def test_tls_is_told_that_this_is_none(echo: Server) -> None:
    hello = bytes.fromhex("16030100c8010000c40303") + bytes(194)
    with Wire(echo.port) as wire:
        is_refused(wire.ask(hello), 400, "plain HTTP, not TLS")
        assert wire.closed() < 60


@pytest.mark.parametrize("first", ["length", "coding"])
def test_two_lengths_are_one_too_many(echo: Server, first: str) -> None:
    headers = ["Content-Length: 5", "Transfer-Encoding: chunked"]
    if first == "coding":
        headers.reverse()
    with Wire(echo.port) as wire:
        answer = wire.ask(
            post("/train", b"0\r\n\r\nGET /jobs HTTP/1.1\r\nHost: h\r\n\r\n", *headers)
        )
        is_refused(answer, 400, "contradict")
        assert wire.closed() < 60, "what follows is no request"


def test_the_same_length_twice_is_one_length(echo: Server) -> None:
    again = f"Content-Length: {len(PREDICT)}"
    assert ask(echo.port, post("/predict", PREDICT, again)).status == 200


def test_a_body_in_chunks_with_trailers(echo: Server) -> None:
    chunks = b"".join(
        f"{len(part):x};x=y\r\n{part}\r\n".encode() for part in (PREDICT[:7], PREDICT[7:])
    )
    with Wire(echo.port) as wire:
        wire.send(post("/predict", chunks, "Transfer-Encoding: chunked"))
        answer = wire.ask(b"0\r\nX-Checksum: 1\r\n\r\n")
        assert answer.status == 200, answer
        assert answer.json()["results"]
        assert wire.ask(GET).status == 200


@pytest.mark.parametrize("chunk", [b"zz\r\n", b"ffffffffffffffffff\r\n", b"3\r\nabcdef\r\n"])
def test_broken_chunks_are_refused(echo: Server, chunk: bytes) -> None:
    answer = ask(echo.port, post("/predict", chunk, "Transfer-Encoding: chunked"))
    is_refused(answer, 400, "the body could not be read")


def test_expect_is_answered_before_the_body(echo: Server) -> None:
    expecting = post("/predict", PREDICT, "Expect: 100-continue")[: -len(PREDICT)]
    with Wire(echo.port) as wire:
        wire.send(expecting)
        assert wire.head().status == 100
        assert wire.ask(PREDICT).status == 200
    for change, status in [
        ((f"Content-Length: {len(PREDICT)}", "Content-Length: 999999999999"), 413),
        (("application/json", "text/plain"), 415),
    ]:
        refused = ask(echo.port, expecting.decode().replace(*change))
        is_refused(refused, status)
    strange = expecting.replace(b"100-continue", b"miracles") + PREDICT.encode()
    assert ask(echo.port, strange).status == 200


def test_a_large_refused_body_does_not_hide_the_answer(echo: Server) -> None:
    body = bytes(8 << 20)
    for path, status in [("/nope", 404), ("/health", 405)]:
        is_refused(ask(echo.port, post(path, body)), status)


def test_requests_in_a_row_are_answered_in_order(echo: Server) -> None:
    with Wire(echo.port) as wire:
        wire.send(GET, post("/predict", PREDICT), "GET /nope HTTP/1.1\r\nHost: h\r\n\r\n", GET)
        assert wire.answer().json()["status"] == "UP"
        assert "results" in wire.answer().json()
        assert wire.answer().status == 404
        assert wire.answer().status == 200
        wire.send(GET + GET + "nonsense\r\n\r\n")
        assert [wire.answer().status, wire.answer().status] == [200, 200]
        is_refused(wire.answer(), 400, "not a valid HTTP")


def test_connections_last_as_long_as_they_should(echo: Server) -> None:
    for head, lasts in [
        ("GET /health HTTP/1.1\r\nHost: h\r\n\r\n", True),
        ("GET /health HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", False),
        ("GET /health HTTP/1.0\r\n\r\n", False),
        ("GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", True),
    ]:
        with Wire(echo.port) as wire:
            assert wire.ask(head).status == 200
            if lasts:
                assert wire.ask(head).status == 200, head
            else:
                assert wire.closed() < 60, head


def test_a_head_may_come_byte_by_byte(echo: Server) -> None:
    with Wire(echo.port) as wire:
        wire.send(*(bytes([byte]) for byte in GET.encode()))
        assert wire.answer().status == 200
