"""Bodies that are too large, too deep, or not JSON, and projects with impossible names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import requests
from backend import Backend
from doer import right_answer
from hosting import CHOICES, PROJECT
from wire import connection, exchange, head, predict_body, read_answer, request, send_all

LIMIT = 2 << 20


@pytest.fixture(scope="module")
def options() -> tuple[str, ...]:
    return ("--train-linger", "0", "--max-body", "2")


def of_size(size: int) -> bytes:
    """Return a good body of exactly so many bytes."""
    empty = len(predict_body(filler=""))
    return predict_body(filler="x" * (size - empty))


def test_a_body_of_exactly_the_limit_is_answered(backend: Backend) -> None:
    assert exchange(backend.server, request(of_size(LIMIT))).json() == right_answer(["fine"])


def test_a_body_of_one_byte_more_is_refused(backend: Backend) -> None:
    answer = exchange(backend.server, request(of_size(LIMIT + 1)))
    assert answer.status == 413
    assert "--max-body" in answer.json()["detail"]


def test_chunks_of_one_byte_more_are_refused(backend: Backend) -> None:
    body = of_size(LIMIT + 1)
    chunks = [body[at : at + 65536] for at in range(0, len(body), 65536)]
    sent = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    answer = exchange(
        backend.server, head(None, "Transfer-Encoding: chunked") + sent + b"0\r\n\r\n"
    )
    assert answer.status == 413


def test_chunks_without_end_are_refused_and_not_kept(backend: Backend) -> None:
    chunk = b"100000\r\n" + b"x" * (1 << 20) + b"\r\n"
    with connection(backend.server) as opened:
        opened.sendall(head(None, "Transfer-Encoding: chunked"))
        for _ in range(30):
            send_all(opened, chunk)
        send_all(opened, b"0\r\n\r\n")
        assert read_answer(opened).status in (413, 0)


@pytest.mark.parametrize("path", ["/predict", "/setup", "/train", "/webhook", "/versions"])
def test_every_path_has_the_limit(backend: Backend, path: str) -> None:
    answer = exchange(backend.server, request(b" " * (LIMIT + 1), line=f"POST {path} HTTP/1.1"))
    assert answer.status == 413


DEEP = 100_000
NO_JSON = {
    "nothing": b"",
    "half of it": predict_body()[:-5],
    "more after it": predict_body() + b"x",
    "a comment": b"/* */" + predict_body(),
    "single quotes": b"{'tasks': []}",
    "NaN": b'{"tasks": [NaN]}',
    "a trailing comma": b'{"tasks": [],}',
    "invalid UTF-8": b'{"tasks": [], "project": "\xff\xfe"}',
    "UTF-16": predict_body().decode().encode("utf-16"),
    "UTF-32": predict_body().decode().encode("utf-32"),
    "a byte order mark": b"\xef\xbb\xbf" + predict_body(),
    "Latin-1": '{"tasks": [{"data": {"text": "naïve"}}]}'.encode("latin-1"),
    "NUL": b"\0" * 1000,
    "a raw control character": b'{"tasks": [{"data": {"text": "a\nb"}}]}',
    "half an escape": rb'{"tasks": [], "project": "\ud8"}',
    "a form": b"tasks=&project=1",
    "gzip": b"\x1f\x8b\x08\0\0\0\0\0",
    "a deep list": b'{"tasks": ' + b"[" * DEEP + b"]" * DEEP + b"}",
    "a deep object": b'{"tasks": ' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"}",
    "a deep list without end": b'{"tasks": ' + b"[" * DEEP,
    "a deep list beside": b'{"tasks": [], "x": ' + b"[" * DEEP + b"]" * DEEP + b"}",
    "a number of 500,000 digits": b'{"tasks": [], "project": ' + b"9" * 500_000 + b"}",
    "a number beyond all": b'{"tasks": [{"data": 1e999}], "project": 1e999}',
}


@pytest.mark.parametrize("what", NO_JSON)
def test_a_body_that_cannot_be_read_is_refused(backend: Backend, what: str) -> None:
    worker = backend.worker()
    answer = exchange(backend.server, request(NO_JSON[what]))
    assert answer.status in (400, 422, 500), answer
    assert answer.status != 500 or "deep" in what or "beyond" in what, answer
    assert answer.json()["detail"]
    assert len(answer.body) < 10_000
    assert backend.worker() == worker


READ = {
    "50,000 keys": {f"k{number}": number for number in range(50_000)},
    "a key of 500 KB": {"k" * 500_000: 1},
    "50,000 empty lists": {"lists": [[] for _ in range(50_000)]},
    "100 levels": {"deep": json.loads("[" * 100 + "]" * 100)},
    "a lone surrogate": {"half": "\ud800", "\udfff": 1},
    "a number of 4,000 digits": {"long": 10**4000},
    "keys of objects in Python": {"__class__": 1, "__init__": 2, "self": 3, "tasks": 4},
}


@pytest.mark.parametrize("what", READ)
def test_a_body_that_is_odd_but_good_is_answered(backend: Backend, what: str) -> None:
    body = predict_body(odd=READ[what])
    answer = exchange(backend.server, request(body))
    assert answer.status == 200, answer
    assert answer.json() == right_answer(["fine"])


def test_of_a_key_that_occurs_twice_the_last_value_counts(backend: Backend) -> None:
    body = predict_body("first")[:-1] + b', "tasks": [{"data": {"text": "good last"}}]}'
    assert exchange(backend.server, request(body)).json() == right_answer(["good last"])


@pytest.mark.parametrize(
    "content_type",
    ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "/", "\xff"],
)
def test_another_content_type_is_refused(backend: Backend, content_type: str) -> None:
    """A page on another site can send these without being asked."""
    answer = exchange(backend.server, request(content_type=content_type))
    assert answer.status == 415


WRONG = [None, True, 1.5, [], {}, "text", -1, 10**30]


@pytest.mark.parametrize("field", ["tasks", "project", "label_config", "params", "force_reload"])
@pytest.mark.parametrize("value", WRONG, ids=repr)
def test_a_field_of_another_type_is_answered_or_refused_by_name(
    backend: Backend, field: str, value: Any
) -> None:
    body = {"tasks": [], "project": PROJECT, "label_config": CHOICES, field: value}
    answer = backend.server.post("/predict", body)
    assert answer.status_code in (200, 422), answer.text
    if answer.status_code == 422:
        # A string has the right type, but is not a labelling config.
        named = "labelling config" if (field, value) == ("label_config", "text") else f"`{field}`"
        assert named in answer.json()["detail"]


PROJECTS = {
    "a way up": "../../x",
    "an absolute path": "/etc/passwd",
    "dots": "..",
    "nothing": "",
    "NUL": "a\0b",
    "a line": "a\r\nb",
    "another alphabet": "проект-漢字-\U0001f600",
    "right to left": "\u202egnp.exe",
    "10 KB": "x" * 10_000,
    "a percent sign": "%2e%2e%2f",
    "a shell": "$(touch x); `id`",
    "SQL": "'; DROP TABLE jobs; --",
    "markup": "<script>alert(1)</script>",
    "our own folder": ".label-studio-ml",
    "a lone surrogate": "\ud800",
}


@pytest.mark.parametrize("what", PROJECTS)
def test_a_project_of_any_name_stays_in_the_model_folder(backend: Backend, what: str) -> None:
    def files() -> set[Path]:
        return {path for path in backend.root.rglob("*") if path.is_relative_to(backend.root)}

    def outside() -> set[Path]:
        return {path for path in files() if not path.is_relative_to(backend.models)}

    before = outside()
    body = {"annotations": [{"data": {}}], "project": PROJECTS[what], "label_config": CHOICES}
    answers = [
        backend.server.setup(PROJECTS[what]),
        backend.server.predict([{"data": {"text": "fine"}}], project=PROJECTS[what]),
        backend.server.post("/train", body),
        backend.server.get(
            "/is_training", params={"project": PROJECTS[what].encode("utf-8", "replace")}
        ),
    ]
    for answer in answers[:3]:
        assert answer.status_code in (200, 201, 400, 422), answer.text
    if answers[2].status_code == 201:
        backend.ended(answers[2].json()["job"])
    assert outside() == before
    secrets = backend.models / ".label-studio-ml"
    assert not (secrets / "job_result.json").exists()


@pytest.mark.parametrize("path", ["/jobs", "/versions"])
@pytest.mark.parametrize("name", ["..%2f..%2fetc", "%00", "-1", "1e3", "9" * 50, "a" * 5000, "%ff"])
def test_a_job_or_version_of_any_name_is_told_to_be_unknown(
    backend: Backend, path: str, name: str
) -> None:
    ends = ["", "/log", "/cancel"] if path == "/jobs" else ["/activate"]
    for end in ends:
        method = "GET" if end in ("", "/log") else "POST"
        url = f"{backend.server.url}{path}/{name}{end}"
        answer = requests.request(method, url, json={"project": PROJECT}, timeout=30)
        assert answer.status_code in (400, 404, 422), (url, answer.text)
