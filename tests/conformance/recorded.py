"""The recorded answers of upstream 75fafe0, and how our server is asked the same.

tests/fixtures/v1_recorded_75fafe0.json was recorded with upstream's own examples.  Ours have the same
names and share no code with them, so what a model chooses is compared as far as two models can
agree: a random label is one of the config, a score a number from 0 to 1, and what fit returns, and
the files it writes, are its own.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from backends import ID, Answer, Request, fill_placeholders, reduced

ROOT = Path(__file__).resolve().parents[2]
FIXTURE = ROOT / "tests" / "fixtures" / "v1_recorded_75fafe0.json"
TOKEN = "a-key"

_MODELS = Path(__file__).parent / "models"
_EXAMPLES = ROOT / "examples"
SCRIPTS = {
    "DummyModel": _EXAMPLES / "dummy_model" / "dummy_model.py",
    "SimpleTextClassifier": _EXAMPLES / "simple_text_classifier" / "simple_text_classifier.py",
    "MyModel": _MODELS / "repeater.py",
    "SubstringMatcher": _EXAMPLES / "substring_matching" / "substring_matching.py",
}
"""Class of upstream's example -> our model for it."""

JOB_FILES = ("event.json", "job_result.json", "train_data.json", "train_data_info.json")


@dataclass(frozen=True)
class RecordedStep:
    """One request, or another look at the server, and what upstream answered."""

    name: str
    request: Request | None
    """None where no request was sent."""
    answer: Answer | None
    """None where the answer was not kept."""

    @property
    def trains(self) -> bool:
        """Whether a job may follow that must have ended before the next step."""
        return self.request is not None and self.request.path in ("/train", "/webhook")


@dataclass(frozen=True)
class Run:
    """One example on a server of its own."""

    name: str
    steps: tuple[RecordedStep, ...]

    @property
    def script(self) -> Path:
        """Our model for it."""
        return SCRIPTS[self.name.partition("+")[0].partition(" ")[0]]

    @property
    def arguments(self) -> list[str]:
        """What `start` was given."""
        return self.name.split(" ")[1:]


def load() -> list[Run]:
    """The recording."""
    recording = json.loads(FIXTURE.read_text(encoding="utf-8"))
    shared = recording["shared"]
    return [
        Run(run["run"], tuple(_step(step, shared) for step in run["steps"]))
        for run in recording["runs"]
    ]


def _step(step: dict[str, Any], shared: dict[str, Any]) -> RecordedStep:
    request = None
    if "request" in step:
        method, path, *bodies = fill_placeholders(step["request"], shared)
        body = bodies[0] if bodies else None
        raw = body.encode() if isinstance(body, str) else None
        request = Request(method, path, json=None if raw is not None else body, raw=raw)
    answer = None
    if "status" in step:
        body = reduced(fill_placeholders(step["body"], shared))
        answer = Answer(step["status"], body, step["type"] if body != "" else "")
    return RecordedStep(step["step"], request, answer)


def comparable(answer: Answer, run: Run) -> Answer:
    """The answer with what the model chose replaced."""
    body = answer.body
    if isinstance(body, dict) and isinstance(body.get("results"), list):
        body = {**body, "results": [_prediction(item, run) for item in body["results"]]}
    return replace(answer, body=body)


def _prediction(item: dict[str, Any], run: Run) -> dict[str, Any]:
    if run.script == SCRIPTS["SubstringMatcher"]:
        return item
    score = item["score"]
    assert isinstance(score, float), item
    assert 0 <= score <= 1, item
    item = {**item, "score": "<score>"}
    if run.script == SCRIPTS["DummyModel"]:
        (region,) = item["result"]
        (label,) = region["value"]["choices"]
        assert label in ("Positive", "Negative", "Neutral"), item
        item["result"] = [{**region, "value": {"choices": ["<a label>"]}}]
    return item


# The contents of the model folder.


def files_of_jobs(model_dir: Path, project: str) -> dict[str, Any]:
    """What the server wrote for each job: path -> content, comparable between two servers."""
    found: dict[str, Any] = {}
    for path in sorted(model_dir.rglob("*.json")):
        name = path.relative_to(model_dir).as_posix().replace(project, "@project")
        if path.name in JOB_FILES and path.parent.name.isdigit():
            found[name] = json.loads(path.read_text(encoding="utf-8"))
    return found


def comparable_files(files: dict[str, Any], project: str) -> dict[str, Any]:
    """The jobs numbered in the order of time, and what is the model's own replaced."""
    jobs = sorted({name.split("/")[-2] for name in files})
    numbered = {job: f"<job {number}>" for number, job in enumerate(jobs, 1)}

    def content(name: str, value: Any) -> Any:
        if name.endswith("job_result.json"):
            if not (isinstance(value, dict) and "status" in value):
                return "<train_output>"
            value = {**value, "train_output": "<train_output>"}
            value["workdir"], value["time"] = "<workdir>", "<seconds>"
        if isinstance(value, dict):
            ids = {key: ID for key in ("job_id", "version") if str(value.get(key)).isdigit()}
            named = {"project": "@project"} if value.get("project") == project else {}
            return {**value, **ids, **named}
        return value

    def renamed(name: str) -> str:
        *folders, job, file = name.split("/")
        return "/".join([*folders, numbered[job], file])

    return {renamed(name): content(name, value) for name, value in files.items()}


# Label Studio.


@contextmanager
def exporting(tasks: object) -> Iterator[str]:
    """A Label Studio that knows one call: the export of a project."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            known = path == "/api/projects/7/export"
            allowed = self.headers.get("Authorization") == f"Token {TOKEN}"
            body = json.dumps(tasks if known and allowed else {"detail": "no"}).encode()
            self.send_response((200 if allowed else 401) if known else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Nothing: what is asked shows in the answers."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
