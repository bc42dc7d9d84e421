"""The examples of API v2: their own tests, and a first prediction of a server."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hosting import ROOT, Server, environment, run, wait_for

Serve = Callable[..., Server]
EXAMPLES = ROOT / "examples"
NAMES = ["dominant_colours", "llm_labelling", "named_entities", "text_classifier"]
PROJECT = "2.1795430965"


@pytest.fixture
def start(tmp_path: Path, serve: Serve) -> Callable[..., Server]:
    def start(name: str, **options: Any) -> Server:
        script = EXAMPLES / name / "model.py"
        done = run("init", "backend", "--script", script, "--root-dir", tmp_path)
        assert done.returncode == 0, done.stderr
        models = str(tmp_path / "models")
        return serve(tmp_path / "backend", "--model-dir", models, **options)

    return start


def read(name: str, file: str) -> Any:
    text = (EXAMPLES / name / file).read_text()
    return json.loads(text) if file.endswith(".json") else text


@pytest.mark.parametrize("name", NAMES)
def test_their_own_tests_pass(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."],
        cwd=EXAMPLES / name,
        env={**environment(), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


# Each of its events is trained on, and each training has new processes that import scikit-learn.
@pytest.mark.timeout(900)
def test_the_text_classifier_learns_from_events(start: Callable[..., Server]) -> None:
    name = "text_classifier"
    config, tasks = read(name, "label_config.xml"), read(name, "tasks.json")
    server = start(name)
    before = server.setup(config=config).json()["model_version"]
    results = server.predict(tasks, config=config).json()["results"]
    assert all(one["result"] == [] for one in results)
    project = {"id": 2, "created_at": "2026-11-23T10:49:25Z", "label_config": config}
    for task in read(name, "annotations.json"):
        for annotation in task["annotations"]:
            body = {"action": "ANNOTATION_CREATED", "project": project, "task": task}
            assert server.post("/webhook", {**body, "annotation": annotation}).status_code == 201
    server.post("/webhook", {"action": "START_TRAINING", "project": project})
    wait_for(lambda: server.get("/health").json()["jobs"] == 0, "training ends", 800)
    assert server.setup(config=config).json()["model_version"] != before
    results = server.predict(tasks, config=config).json()["results"]
    chosen = [one["result"][0]["value"]["choices"][0] for one in results]
    right = sum(a == task["meta"]["expected"] for a, task in zip(chosen, tasks, strict=True))
    assert right / len(tasks) > 0.8


def test_named_entities_finds_what_was_marked(start: Callable[..., Server]) -> None:
    name = "named_entities"
    config, tasks = read(name, "label_config.xml"), read(name, "tasks.json")
    server = start(name)
    server.setup(config=config)
    project = {"id": 2, "created_at": "2026-11-23T10:49:25Z", "label_config": config}
    before = server.predict(tasks, config=config).json()["results"]
    for task in read(name, "annotations.json"):
        for annotation in task["annotations"]:
            body = {"action": "ANNOTATION_CREATED", "project": project, "task": task}
            server.post("/webhook", {**body, "annotation": annotation})
    wait_for(lambda: server.get("/health").json()["jobs"] == 0, "training ends", 240)
    after = server.predict(tasks, config=config).json()["results"]

    def regions(results: Any) -> int:
        return sum(len(one["result"]) for one in results)

    assert regions(after) > regions(before) > 0


def test_dominant_colours_draws_boxes(start: Callable[..., Server]) -> None:
    name = "dominant_colours"
    folder = EXAMPLES / name / "images"
    environment = {
        "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(folder),
        "LOCAL_FILES_DOCUMENT_ROOT": str(folder),
    }
    server = start(name, env=environment)
    config = read(name, "label_config.xml")
    server.setup(config=config)
    tasks = [{"id": 1, "data": {"image": "/data/local-files/?d=blocks.png"}}]
    answer = server.predict(tasks, config=config)
    assert answer.status_code == 200, answer.text
    (one,) = answer.json()["results"]
    assert one["result"]
    for region in one["result"]:
        value = region["value"]
        assert region["type"] == "rectanglelabels"
        assert 0 <= value["x"] <= value["x"] + value["width"] <= 100.001
        assert 0 <= value["y"] <= value["y"] + value["height"] <= 100.001


def test_llm_labelling_asks_its_endpoint(
    start: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES / "llm_labelling"))
    from fake_llm import FakeLLM

    name = "llm_labelling"
    config, tasks = read(name, "label_config.xml"), read(name, "tasks.json")
    with FakeLLM() as endpoint:
        threading.Thread(target=endpoint.serve_forever, daemon=True).start()
        endpoint.reply = lambda text: labels(config)[0]
        server = start(name, env={"LLM_BASE_URL": endpoint.url, "LLM_MODEL": "small"})
        server.setup(config=config, extra_params={"prompt": "What is it about?"})
        answer = server.predict(tasks, config=config)
        assert answer.status_code == 200, answer.text
        results = answer.json()["results"]
        assert len(results) == len(tasks) == len(endpoint.requests)
        assert labels(config)[0] in json.dumps(results[0]["result"])
        assert endpoint.requests[0]["model"] == "small"
        assert "What is it about?" in json.dumps(endpoint.requests[0])
        endpoint.shutdown()
    gone = server.predict(tasks[:1], config=config)
    assert gone.status_code == 500
    assert endpoint.url in gone.json()["detail"]


def labels(config: str) -> list[str]:
    return [choice.attrib["value"] for choice in ElementTree.fromstring(config).iter("Choice")]
