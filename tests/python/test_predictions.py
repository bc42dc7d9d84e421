"""Why predictions do not show: models that make one mistake each, and what their users are told."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from hosting import PROJECT, ROOT, Server, make_project, run, wait_for
from mistakes import ABOUT_ALL, LARGE_CONFIG, MISTAKEN, TOLD


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("mistaken"), MISTAKEN)


@pytest.fixture(scope="module")
def server(project: Path) -> Iterator[Server]:
    started = Server(project)
    yield started
    started.stop()


@pytest.fixture(scope="module")
def strict(project: Path) -> Iterator[Server]:
    started = Server(project, "--strict")
    yield started
    started.stop()


def ask(server: Server, *mistakes: str, project: str = PROJECT, **params: Any) -> requests.Response:
    tasks = [
        {
            "id": number,
            "data": {
                "text": "fine",
                "image": "/i.png",
                "pages": ["/1.png", "/2.png"],
                "mistake": mistake,
            },
        }
        for number, mistake in enumerate(mistakes)
    ]
    return server.predict(tasks, project=project, config=LARGE_CONFIG, **params)


def mistakes_of(server: Server, project: str) -> list[dict[str, Any]]:
    answer = server.get("/diagnostics")
    assert answer.status_code == 200
    return [entry for entry in answer.json()["mistakes"] if entry["project"] == project]


def sentence(mistake: str) -> str:
    """Return what is told of a mistake, which begins with the task unless it is about all of them."""
    return TOLD[mistake] if mistake in ABOUT_ALL else f"task 0: {TOLD[mistake]}"


@pytest.mark.parametrize("mistake", TOLD)
def test_the_user_is_told_in_one_sentence(server: Server, mistake: str) -> None:
    project = f"{1000 + list(TOLD).index(mistake)}.1"
    tasks = (mistake, "right") if mistake in ABOUT_ALL else (mistake,)
    answer = ask(server, *tasks, project=project)
    assert answer.status_code == 200
    assert int(answer.headers["X-Prediction-Warnings"]) >= 1
    told = [entry["message"] for entry in mistakes_of(server, project)]
    assert sentence(mistake) in told
    wait_for(lambda: sentence(mistake) in server.log(), "the log says it")


@pytest.mark.parametrize("mistake", TOLD)
def test_strict_answers_with_the_places(strict: Server, mistake: str) -> None:
    tasks = (mistake, "right") if mistake in ABOUT_ALL else (mistake,)
    answer = ask(strict, *tasks)
    assert answer.status_code == 500
    body = answer.json()
    assert body["detail"].startswith(sentence(mistake))
    findings = body["result"]["findings"]
    assert findings[0]["path"] == TOLD[mistake].split(" ")[0]
    assert body["result"]["total"] == len(findings)
    # Label Studio shows the reason phrase to its user.
    assert answer.reason == sentence(mistake)[:120].rstrip()


@pytest.mark.parametrize("item", ["right", "empty", "several"])
def test_right_answers_are_left_alone(server: Server, strict: Server, item: str) -> None:
    for each in (server, strict):
        answer = ask(each, item, item)
        assert answer.status_code == 200, answer.text
        assert "X-Prediction-Warnings" not in answer.headers
    assert ask(server, item).json() == ask(strict, item).json()


def test_a_mistake_is_said_once_however_often_it_is_made(server: Server) -> None:
    project = "77.1"
    for _ in range(3):
        answer = ask(server, "label", "label", "right", project=project)
        assert answer.headers["X-Prediction-Warnings"] == "2"
    [mistake] = mistakes_of(server, project)
    assert mistake["cause"] == "unknown-label"
    assert mistake["control"] == "sentiment"
    assert mistake["answers"] == 3
    assert mistake["first_seen"] <= mistake["last_seen"]
    lines = [line for line in server.log().splitlines() if 'is "positive"' in line]
    assert len([line for line in lines if f'"{project}"' in line]) == 1


def test_only_what_label_studio_fails_on_is_changed(server: Server) -> None:
    body = ask(server, "none", "version none", "other version", "result none").json()
    choices = body["results"][1]["result"]
    assert body["results"] == [
        [],
        {"result": choices, "model_version": "INITIAL"},
        {"result": choices, "model_version": "mine"},
        {"result": None, "model_version": "INITIAL"},
    ]


def test_an_interactive_answer_is_checked_too(server: Server) -> None:
    answer = ask(server, "from_name", project="78.1", context={"result": []})
    assert answer.headers["X-Prediction-Warnings"] == "1"


def test_without_a_labelling_config_regions_are_not_judged(server: Server) -> None:
    tasks = [{"id": 1, "data": {"mistake": "from_name"}}]
    answer = server.post("/predict", {"tasks": tasks, "project": "79.1"})
    assert answer.status_code == 200
    assert "X-Prediction-Warnings" not in answer.headers


def test_a_long_answer_is_checked(server: Server) -> None:
    answer = ask(server, *["label"] * 5000, project="80.1")
    assert answer.headers["X-Prediction-Warnings"] == "5000"
    assert len(answer.json()["results"]) == 5000


def test_diagnostics_count_answers(strict: Server) -> None:
    before = strict.get("/diagnostics").json()
    assert before["strict"] is True
    ask(strict, "right")
    ask(strict, "label")
    after = strict.get("/diagnostics").json()
    assert after["answers"]["checked"] == before["answers"]["checked"] + 2
    assert after["answers"]["with_findings"] == before["answers"]["with_findings"] + 1


def test_strict_and_debug_exclude_each_other(project: Path) -> None:
    done = run("start", project, "--strict", "--debug")
    assert done.returncode == 2
    assert "--debug" in done.stderr


def test_every_cause_is_documented() -> None:
    source = (ROOT / "src" / "labelling" / "check" / "finding.rs").read_text()
    enum = source.split("pub enum Cause {")[1].split("\n}")[0]
    names = re.findall(r"^    (\w+),$", enum, re.MULTILINE)
    kebab = {re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower() for name in names}
    page = (ROOT / "docs" / "predictions.md").read_text()
    assert set(re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE)) == kebab


RESPONSE = """
    from label_studio_ml.model import LabelStudioMLBase
    from label_studio_ml.response import ModelResponse

    class Responding(LabelStudioMLBase):
        def setup(self):
            self.set("model_version", "2.0.0")

        def predict(self, tasks, context=None, **kwargs):
            region = {"from_name": "sentiment", "to_name": "text", "type": "choices",
                      "value": {"choices": ["Positive"]}}
            return ModelResponse(predictions=[{"result": [region], "score": 0.5} for _ in tasks])
"""


def test_a_response_without_a_version_is_no_mistake(tmp_path: Path) -> None:
    server = Server(make_project(tmp_path, RESPONSE), "--strict")
    try:
        answer = ask(server, "right", "right")
        assert answer.status_code == 200, answer.text
        assert {item["model_version"] for item in answer.json()["results"]} == {"2.0.0"}
    finally:
        server.stop()


def test_none_for_a_task_in_api_v2(tmp_path: Path) -> None:
    second = MISTAKEN.replace("LABEL_STUDIO_ML_API = 1", "LABEL_STUDIO_ML_API = 2")
    server = Server(make_project(tmp_path, second))
    try:
        answer = ask(server, "none", "empty")
        assert answer.json()["results"] == [[], []]
        assert answer.headers["X-Prediction-Warnings"] == "1"
        assert [entry["cause"] for entry in mistakes_of(server, PROJECT)] == ["null-item"]
    finally:
        server.stop()
