"""The examples, run as in their READMEs: init, start, predict, train, predict."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hosting import ROOT, Server, run

Serve = Callable[..., Server]
EXAMPLES = ROOT / "examples"
PROJECT = "2.1795430965"


@pytest.fixture
def start(tmp_path: Path, serve: Serve) -> Callable[[str], Server]:
    def start(name: str) -> Server:
        script = EXAMPLES / name / f"{name}.py"
        done = run("init", "backend", "--script", script, "--root-dir", tmp_path)
        assert done.returncode == 0, done.stderr
        return serve(tmp_path / "backend")

    return start


def read(name: str, file: str) -> Any:
    text = (EXAMPLES / name / file).read_text()
    return json.loads(text) if file.endswith(".json") else text


def accuracy(server: Server, config: str, tasks: list[dict[str, Any]]) -> float:
    results = server.predict(tasks, config=config).json()["results"]
    chosen = [prediction["result"][0]["value"]["choices"][0] for prediction in results]
    expected = [task["meta"]["expected"] for task in tasks]
    return sum(map(str.__eq__, chosen, expected)) / len(tasks)


def test_the_text_classifier_learns_from_annotated_tasks(start: Callable[[str], Server]) -> None:
    name = "simple_text_classifier"
    config, tasks = read(name, "label_config.xml"), read(name, "tasks.json")
    server = start(name)
    assert server.setup(config=config).json() == {"model_version": "INITIAL"}
    assert accuracy(server, config, tasks) < 0.5
    body = {"annotations": read(name, "annotations.json"), "project": PROJECT}
    assert server.post("/train", body).status_code == 201
    server.wait_trained()
    assert accuracy(server, config, tasks) > 0.9


def test_the_text_classifier_learns_from_events(start: Callable[[str], Server]) -> None:
    """No Label Studio answers at the address of /setup, so it learns from the contents of events."""
    name = "simple_text_classifier"
    config, tasks = read(name, "label_config.xml"), read(name, "tasks.json")
    server = start(name)
    server.setup(config=config)
    annotated: dict[str, Any] = {}
    for task in read(name, "annotations.json"):
        for region in task["annotations"][0]["result"]:
            annotated.setdefault(region["value"]["choices"][0], task)
    assert len(annotated) == 3
    for task in annotated.values():
        (annotation,) = task["annotations"]
        project = {"id": 2, "created_at": "2026-11-23T10:49:25Z", "label_config": config}
        event = {"action": "ANNOTATION_CREATED", "project": project, "annotation": annotation}
        assert server.post("/webhook", {**event, "task": task}).status_code == 201
        server.wait_trained()
    results = server.predict(tasks, config=config).json()["results"]
    chosen = {prediction["result"][0]["value"]["choices"][0] for prediction in results}
    assert chosen == set(annotated)


def test_the_dummy_model_labels_and_trains(start: Callable[[str], Server]) -> None:
    name = "dummy_model"
    config, tasks = read(name, "label_config.xml"), read(name, "tasks.json")
    server = start(name)
    server.setup(config=config)
    results = server.predict(tasks, config=config).json()["results"]
    assert len(results) == len(tasks)
    for prediction in results:
        (region,) = prediction["result"]
        assert region["value"]["choices"][0] in config
    assert server.train().status_code == 201
    assert server.wait_trained().isdigit()


def test_substring_matching_finds_the_other_occurrences(start: Callable[[str], Server]) -> None:
    name = "substring_matching"
    config = read(name, "label_config.xml")
    server = start(name)
    server.setup(config=config)
    text = "Ada met Bob. ADA (Ada Lovelace) wrote to Bob."
    drawn = {
        "from_name": "label",
        "to_name": "text",
        "type": "labels",
        "value": {"start": 0, "end": 3, "text": "Ada", "labels": ["PER"]},
    }
    control = config.split('<Labels name="')[1].split('"')[0]
    target = config.split('toName="')[1].split('"')[0]
    drawn |= {"from_name": control, "to_name": target}
    task = {"id": 1, "data": {"text": text}}
    (prediction,) = server.predict([task], config=config, context={"result": [drawn]}).json()[
        "results"
    ]
    found = [(r["value"]["start"], r["value"]["end"]) for r in prediction["result"]]
    assert found == [(13, 16), (18, 21)]
    for context in (None, {}, {"result": []}):
        (prediction,) = server.predict([task], config=config, context=context).json()["results"]
        assert prediction["result"] == []


@pytest.mark.parametrize("name", ["simple_text_classifier", "dummy_model", "substring_matching"])
def test_an_example_is_complete(name: str) -> None:
    folder = EXAMPLES / name
    assert (folder / "README.md").is_file()
    assert read(name, "label_config.xml").startswith("<View>")
    assert len(read(name, "tasks.json")) >= 24
    assert len({json.dumps(task["data"]) for task in read(name, "tasks.json")}) >= 24
