"""Unusual ways to use a connection that HTTP allows."""

from __future__ import annotations

import pytest
import requests
from backend import Backend
from doer import right_answer
from wire import connection, exchange, head, predict_body, read_answer, request

BODY = predict_body()


def test_one_connection_carries_a_thousand_requests(backend: Backend) -> None:
    with connection(backend.server) as opened:
        for number in range(1000):
            text = f"good {number}"
            opened.sendall(request(predict_body(text)))
            assert read_answer(opened).json() == right_answer([text])


def test_requests_sent_ahead_are_answered_in_order(backend: Backend) -> None:
    texts = [f"good {number}" for number in range(50)]
    with connection(backend.server) as opened:
        opened.sendall(b"".join(request(predict_body(text)) for text in texts))
        for text in texts:
            assert read_answer(opened).json() == right_answer([text])


def test_a_death_costs_a_connection_one_answer_and_the_next_is_right(backend: Backend) -> None:
    with connection(backend.server) as opened:
        opened.sendall(request(predict_body(do="os._exit(3)")) + request(BODY))
        assert read_answer(opened).status == 502
        assert read_answer(opened).json() == right_answer(["fine"])


def test_a_refused_request_costs_a_connection_nothing(backend: Backend) -> None:
    with connection(backend.server) as opened:
        for bad in (b"{", b"[]", b"{}"):
            opened.sendall(request(bad) + request(BODY))
            assert read_answer(opened).status in (400, 422)
            assert read_answer(opened).status == 200


def test_a_client_that_expects_to_be_told_to_go_on_is_told(backend: Backend) -> None:
    with connection(backend.server) as opened:
        opened.sendall(head(len(BODY), "Expect: 100-continue"))
        assert read_answer(opened).status == 100
        opened.sendall(BODY)
        assert read_answer(opened).status == 200


def test_a_client_that_expects_to_send_too_much_is_refused_before_it_does(backend: Backend) -> None:
    with connection(backend.server) as opened:
        opened.sendall(head(1 << 40, "Expect: 100-continue"))
        assert read_answer(opened).status == 413


def test_an_empty_line_before_a_request_is_passed_over(backend: Backend) -> None:
    assert exchange(backend.server, b"\r\n" + request(BODY)).status == 200


def test_chunks_of_one_byte_are_one_body(backend: Backend) -> None:
    pieces = b"".join(b"1\r\n" + bytes([byte]) + b"\r\n" for byte in BODY)
    sent = head(None, "Transfer-Encoding: chunked") + pieces + b"0\r\n\r\n"
    assert exchange(backend.server, sent).json() == right_answer(["fine"])


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
@pytest.mark.parametrize("path", ["/", "/health"])
def test_head_and_options_have_no_body(backend: Backend, method: str, path: str) -> None:
    answer = requests.request(method, backend.server.url + path, timeout=30)
    assert answer.status_code == 200
    assert answer.content == b""


@pytest.mark.parametrize("path", ["/predict", "/setup", "/train", "/webhook"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH"])
def test_another_method_is_refused_with_those_that_are_allowed(
    backend: Backend, method: str, path: str
) -> None:
    answer = requests.request(method, backend.server.url + path, timeout=30)
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]
