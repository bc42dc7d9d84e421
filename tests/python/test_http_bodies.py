"""Every kind of answer, whole: status, reason phrase, and body.

A changed answer is a changed file: look at the difference, then UPDATE_SNAPSHOTS=1 writes it.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import requests
from hosting import CHOICES, ECHO, PROJECT, Server, make_project

SNAPSHOT = Path(__file__).parent / "snapshots" / "http_bodies.json"
SOURCE = ECHO.replace(
    "return [\n",
    'if tasks and tasks[0].get("fail"): raise KeyError("sentiment")\n'
    '            if tasks and tasks[0].get("err"): return [{"result": [{"value": {}}]}]\n'
    "            return [\n",
    1,
)

TASKS = [{"id": 1, "data": {"text": "fine"}}]
BODY = {"tasks": TASKS, "project": PROJECT, "label_config": CHOICES, "params": {}}
TRAIN = {"annotations": TASKS, "project": PROJECT, "label_config": CHOICES}

REQUESTS: list[tuple[str, str, Any]] = [
    ("GET", "/health", None),
    ("GET", "/", None),
    ("GET", f"/is_training?project={PROJECT}", None),
    ("POST", "/setup", {"project": PROJECT, "schema": CHOICES}),
    ("POST", "/setup", {"project": 1.5}),
    ("POST", "/predict", BODY),
    ("POST", "/predict", {**BODY, "tasks": []}),
    ("POST", "/predict", {**BODY, "tasks": [{"fail": True}]}),
    ("POST", "/predict", {**BODY, "tasks": [{"err": True}]}),
    ("POST", "/predict", {}),
    ("POST", "/predict", []),
    ("POST", "/train", TRAIN),
    ("POST", "/train", {"annotations": []}),
    ("WAIT", "", None),
    ("GET", f"/is_training?project={PROJECT}", None),
    ("POST", "/predict", BODY),
    ("POST", "/webhook", {"action": "START_TRAINING", "project": {"id": 2}}),
    ("POST", "/webhook", {}),
    ("WAIT", "", None),
    ("GET", "/versions", None),
    ("POST", "/versions", {"project": PROJECT}),
    ("POST", "/versions", {}),
    ("GET", "/jobs", None),
    ("GET", "/jobs/JOB", None),
    ("GET", "/jobs/1", None),
    ("POST", "/jobs/JOB/cancel", None),
    ("POST", "/job_status", {"job": "JOB"}),
    ("POST", "/job_status", {}),
    ("POST", "/versions/JOB/activate", {"project": PROJECT}),
    ("POST", "/versions/1/activate", {"project": PROJECT}),
    ("GET", "/diagnostics", None),
    ("GET", "/nope?a=1", None),
    ("DELETE", "/predict", None),
    ("OPTIONS", "/predict", None),
    ("HEAD", "/health", None),
]


@pytest.fixture
def server(tmp_path: Path) -> Any:
    server = Server(make_project(tmp_path, SOURCE))
    yield server
    server.stop()


def steady(text: str, server: Server) -> str:
    """Replace what differs from run to run."""
    text = text.replace(str(server.project), "PROJECT_FOLDER")
    text = re.sub(r'"request_id":\s*"[0-9a-f-]+"', '"request_id":"ID"', text)
    text = re.sub(r'"time":\s*[0-9.e-]+', '"time":"SECONDS"', text)
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", text)
    text = re.sub(r":\s*\d{10}\b", ':"VERSION"', text)
    return re.sub(r"\b\d{10}\b(?<!1795430965)", "VERSION", text)


def parsed(answer: requests.Response, server: Server) -> Any:
    text = steady(answer.text, server)
    body = json.loads(text) if text else ""
    if body and "traceback" in (body.get("result") or {}):
        # Its form depends on the version of Python.
        body["result"]["traceback"] = "TRACEBACK"
    return body


def test_answers_are_what_they_were(server: Server) -> None:
    seen = []
    job = ""
    for method, path, body in REQUESTS:
        if method == "WAIT":
            server.wait_trained()
            continue
        meant = json.loads(json.dumps([path, body]).replace("JOB", job))
        answer = requests.request(method, server.url + meant[0], json=meant[1], timeout=30)
        if answer.status_code == 201:
            job = answer.json()["job"]
        seen.append(
            {
                "request": f"{method} {path}",
                "body": body,
                "status": answer.status_code,
                "reason": steady(answer.reason, server),
                "content type": answer.headers.get("Content-Type"),
                "answer": parsed(answer, server),
            }
        )
    if os.environ.get("UPDATE_SNAPSHOTS"):
        SNAPSHOT.parent.mkdir(exist_ok=True)
        SNAPSHOT.write_text(json.dumps(seen, indent=2) + "\n")
    assert seen == json.loads(SNAPSHOT.read_text())
