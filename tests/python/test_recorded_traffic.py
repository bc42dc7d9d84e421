"""Recorded traffic of Label Studio 1.23.2, replayed against the text classifier of the examples.

The model fetches the annotated tasks from Label Studio when it trains; here that is a small server
that exports what the recorded events brought. The checks are what that client needs of each answer: /health any JSON within a second, /setup an
object whose `model_version` is text, /predict an object with one result for each task and a
version that is not null in any of them, webhooks any answer within a second.
"""

from __future__ import annotations

import json
import statistics
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from hosting import ROOT, Server, run, wait_for

RECORDED = ROOT / "tests" / "fixtures" / "label_studio_1.23_v1.json"
EXAMPLE = ROOT / "examples" / "simple_text_classifier" / "simple_text_classifier.py"
PROJECT = "23.1795432188"


def check_setup(answer: dict[str, Any]) -> None:
    assert isinstance(answer["model_version"], str)
    assert answer["model_version"]


def check_predict(answer: dict[str, Any], tasks: list[dict[str, Any]]) -> None:
    results = answer["results"]
    assert isinstance(results, list)
    assert len(results) == len(tasks)
    for prediction in results:
        assert isinstance(prediction["result"], list)
        assert isinstance(prediction["score"], float)
        assert prediction["model_version"] == answer["model_version"]
        for region in prediction["result"]:
            assert region["from_name"] == "sentiment"
            assert region["to_name"] == "text"
            assert region["type"] == "choices"
            assert set(region["value"]["choices"]) <= {"Positive", "Negative"}


class Export:
    """The annotated tasks of a project, as Label Studio exports them."""

    def __init__(self) -> None:
        self.tasks: dict[int, dict[str, Any]] = {}
        export = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                found = self.path.startswith("/api/projects/23/export")
                body = json.dumps(list(export.tasks.values())).encode()
                self.send_response(200 if found else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, event: dict[str, Any]) -> None:
        if event["action"] in ("ANNOTATION_CREATED", "ANNOTATION_UPDATED"):
            task = {**event["task"], "annotations": [event["annotation"]]}
            self.tasks[task["id"]] = task


@pytest.fixture
def export() -> Iterator[Export]:
    export = Export()
    yield export
    export.server.shutdown()
    export.server.server_close()


@pytest.mark.timeout(300)
def test_every_answer_satisfies_the_client(
    tmp_path: Any, serve: Callable[..., Server], export: Export
) -> None:
    done = run("init", "backend", "--script", EXAMPLE, "--root-dir", tmp_path)
    assert done.returncode == 0, done.stderr
    server = serve(tmp_path / "backend")
    exchanges = json.loads(RECORDED.read_text())
    assert len(exchanges) == 97
    versions: list[str] = []
    predicted: dict[str, set[str]] = {}
    jobs: set[str] = set()
    seconds: dict[str, list[float]] = {}
    for exchange in exchanges:
        path, body = exchange["path"], exchange["body"]
        if exchange["label"] == "version_after_train":
            server.wait_trained(PROJECT)
        if path == "/setup":
            body = {**body, "hostname": export.url}
        if path == "/webhook":
            export.take(body)
        answer = server.session.request(
            exchange["method"],
            server.url + path,
            json=body,
            headers=exchange["headers"],
            timeout=60,
        )
        place = f"{exchange['label']}: {exchange['method']} {path}"
        assert answer.status_code in (200, 201), f"{place}: {answer.status_code} {answer.text}"
        parsed = answer.json()
        assert isinstance(parsed, dict), place
        seconds.setdefault(path, []).append(answer.elapsed.total_seconds())
        if path == "/setup":
            check_setup(parsed)
            versions.append(parsed["model_version"])
        if path == "/versions":
            assert isinstance(parsed["versions"], list)
        if path == "/predict":
            check_predict(parsed, body["tasks"])
            texts = {
                region["value"]["choices"][0] for p in parsed["results"] for region in p["result"]
            }
            predicted[exchange["label"]] = texts
        if path == "/webhook":
            action = body["action"]
            trains = action.startswith(("ANNOTATION", "PROJECT_UPDATED", "START_TRAINING"))
            assert answer.status_code == (201 if trains else 200), place
            if trains:
                jobs.add(parsed["job"])
                assert parsed["job"] == parsed["job_id"]
    for path in ("/health", "/setup", "/webhook"):
        # Label Studio gives up after 3 s. Other programs may delay a few.
        assert statistics.median(seconds[path]) < 1, (path, seconds[path])
    assert versions[0] == "INITIAL"
    assert versions[-1].isdigit()
    assert len(jobs) < 15, "events that waited were merged"
    assert predicted["batch_predict"] == {"Positive"}
    assert predicted["predict_again"] == {"Positive", "Negative"}, "the model has learned"
    wait_for(lambda: server.get("/versions").json()["versions"], "versions are listed")
