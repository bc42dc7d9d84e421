"""Generated requests: whatever a client sends, it can read the answer.

openapi.json describes every route; schemathesis makes requests that keep to it and requests that do
not, the same ones in each run.  More, made here, are not even JSON.
"""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from error_page import read_error
from hosting import ROOT, Server, make_project, wait_for
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

HERE = Path(__file__).parent
DESCRIPTION = json.loads((HERE / "openapi.json").read_text())
schema = schemathesis.openapi.from_dict(DESCRIPTION)

#: A model that accepts any input, so that it causes no 5xx.
PATIENT = """
    from label_studio_ml.model import LabelStudioMLBase

    class Patient(LabelStudioMLBase):
        def predict(self, tasks, *args, **kwargs):
            return [[] for _ in tasks]

        def fit(self, tasks, workdir=None, **kwargs):
            return {}
"""

METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"]

#: The same requests each time, and as many as fit into a minute.
few = settings(
    max_examples=30,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=[*HealthCheck],
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that gets all requests; at the end it must run and have lost no worker."""
    server = Server(make_project(tmp_path_factory.mktemp("api"), PATIENT))
    workers = server.workers()
    yield server
    wait_for(lambda: server.get("/health").json()["jobs"] == 0, "all jobs end", 60)
    health = server.get("/health").json()
    assert health["workers"] == {"ready": 1, "total": 1, "restarts": 0}, server.log()
    assert set(workers) <= set(server.workers())
    assert server.predict().json()["results"] == [[]]
    assert server.stop() == 0
    assert "panicked" not in server.log()


def test_every_route_is_described() -> None:
    router = (ROOT / "src" / "http" / "router.rs").read_text()
    routes = {
        (path, method)
        for path, methods in re.findall(r'\.route\("([^"]+)", (.+)\)\n', router)
        for method in re.findall(r"\b(get|post)\(", methods)
    }
    described = {(path, method) for path, item in DESCRIPTION["paths"].items() for method in item}
    assert routes == described


@schema.parametrize()
@few
def test_described_requests_are_answered_as_described(case: Any, server: Server) -> None:
    answer = case.call(base_url=server.url, timeout=60)
    assert_answered(answer.status_code, answer.message, answer.headers, answer.content)
    case.validate_response(
        answer,
        checks=[
            status_code_conformance,
            content_type_conformance,
            response_schema_conformance,
        ],
    )


targets = st.one_of(
    st.sampled_from([path.replace("{", "").replace("}", "") for path in DESCRIPTION["paths"]]),
    st.text("abc/.%0123456789?&=", max_size=30).map(lambda text: "/" + text),
    st.tuples(
        st.sampled_from(["/jobs/", "/versions/", "/is_training?project=", "/jobs?limit="]),
        st.one_of(
            st.integers(-(2**65), 2**65).map(str),
            st.binary(max_size=6).map(lambda data: "".join(f"%{byte:02X}" for byte in data)),
        ),
        st.sampled_from(["", "/log", "/cancel", "/activate"]),
    ).map("".join),
)
fields = st.fixed_dictionaries(
    {},
    optional={
        name: st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.text(max_size=5) | st.just("context"), inner, max_size=3)
            ),
            max_leaves=6,
        )
        for name in [
            "tasks",
            "project",
            "label_config",
            "params",
            "schema",
            "action",
            "annotations",
            "job",
        ]
    },
)
bodies = st.one_of(
    st.none(),
    st.binary(max_size=40),
    fields.map(json.dumps).map(str.encode),
    st.integers(1, 100_000).map(lambda depth: b'{"tasks":' + b"[" * depth),
    st.integers(1, 3_000).map(lambda depth: b'{"tasks":' + b"[" * depth + b"]" * depth + b"}"),
)
headers = st.dictionaries(
    st.sampled_from(["Prefer", "Authorization", "X-Request-Id", "Accept", "Cookie"]),
    st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f")),
    max_size=2,
)
content_types = st.sampled_from(["application/json"] * 4 + ["text/plain", "", "application/\xff"])


@settings(few, max_examples=600)
@given(st.sampled_from(METHODS), targets, bodies, headers, content_types)
def test_any_request_is_answered(
    server: Server,
    method: str,
    target: str,
    body: bytes | None,
    headers: dict[str, str],
    content_type: str,
) -> None:
    note(f"{method} {target} {content_type} {headers} {body!r}")
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        connection.putrequest(method, target)
        connection.putheader("Content-Type", content_type.encode("latin-1"))
        for name, value in headers.items():
            connection.putheader(name, value.strip().encode("latin-1"))
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    if method == "HEAD":
        content = None
    assert_answered(answer.status, answer.reason, dict(answer.getheaders()), content)


def assert_answered(status: int, reason: str, headers: Any, content: bytes | None) -> None:
    """Check the rules for every answer; `content` is None where HTTP allows no body."""
    lowered = {name.lower(): value for name, value in headers.items()}
    assert reason.isascii() and reason.isprintable() and len(reason) <= 120
    if status < 400:
        return
    assert status < 500, (status, reason, content)
    assert lowered["content-type"] in ("application/json", ["application/json"])
    if content is None:
        return
    assert read_error(status, content)["result"]["request_id"]
