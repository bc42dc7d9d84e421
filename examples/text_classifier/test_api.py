"""Trains and predicts over HTTP, with requests like those of Label Studio."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
CONFIG = (HERE / "label_config.xml").read_text()
TASKS = json.loads((HERE / "tasks.json").read_text())
ANNOTATED = json.loads((HERE / "annotations.json").read_text())

START_ELSEWHERE = """
from model import TextClassifier
model = TextClassifier(project_id="{}", label_config=open("label_config.xml").read())
assert model.fit("START_TRAINING", {{}})["examples"]
"""


def send(client: Any, project: int, action: str, **payload: Any) -> dict[str, Any]:
    body = {"action": action, "project": {"id": project, "label_config": CONFIG}, **payload}
    response = client.post("/webhook", json=body)
    assert response.status_code == 201
    return response.json["result"]


def annotate(
    client: Any,
    project: int,
    number: int,
    text: str | None,
    choice: str = "Roads",
    action: str = "ANNOTATION_CREATED",
    at: str = "2025-02-03T10:00:00Z",
    skipped: bool = False,
) -> dict[str, Any]:
    region = {
        "from_name": "department",
        "to_name": "message",
        "type": "choices",
        "value": {"choices": [choice]},
    }
    annotation = {"id": number, "result": [region], "was_cancelled": skipped, "updated_at": at}
    task = {"id": number, "data": {} if text is None else {"text": text}}
    return send(client, project, action, annotation=annotation, task=task)


def send_all(client: Any, project: int, number: int | None = None) -> None:
    for task in ANNOTATED[:number]:
        for annotation in task["annotations"]:
            send(client, project, "ANNOTATION_CREATED", annotation=annotation, task=task)


def predict(client: Any, project: int, *texts: str, config: str = CONFIG) -> list[dict[str, Any]]:
    tasks = [{"id": number, "data": {"text": text}} for number, text in enumerate(texts)]
    body = {"tasks": tasks, "project": f"{project}.1738573200", "label_config": config}
    response = client.post("/predict", json={**body, "params": {"context": None}})
    assert response.status_code == 200
    assert len(response.json["results"]) == len(texts)
    return response.json["results"]


def choices(predictions: list[dict[str, Any]]) -> list[str | None]:
    regions = [prediction["result"] for prediction in predictions]
    return [r[0]["value"]["choices"][0] if r else None for r in regions]


def model_version(client: Any, project: int) -> str:
    response = client.post("/setup", json={"project": f"{project}.1", "schema": CONFIG})
    assert response.status_code == 200
    return response.json["model_version"]


def test_it_says_nothing_before_training(client: Any, project: int) -> None:
    first, second = predict(client, project, "A pothole.", "A bin.")
    assert first["result"] == second["result"] == []
    assert first["score"] is None


def test_it_learns_from_events(client: Any, project: int) -> None:
    before = model_version(client, project)
    send_all(client, project)
    trained = send(client, project, "START_TRAINING")
    assert trained["examples"] == 36  # 38 annotations, two of them skipped

    predictions = predict(client, project, *(task["data"]["text"] for task in TASKS))
    expected = [task["meta"]["expected"] for task in TASKS]
    right = sum(a == b for a, b in zip(choices(predictions), expected, strict=True))
    assert right >= 15
    assert all(1 / 3 <= prediction["score"] <= 1 for prediction in predictions)
    assert predictions[0]["result"][0]["from_name"] == "department"
    assert predictions[0]["result"][0]["to_name"] == "message"
    assert predictions[0]["model_version"] == trained["model_version"]
    assert model_version(client, project) == trained["model_version"] != before


def test_it_trains_by_itself(client: Any, project: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAIN_EVERY", "3")
    assert annotate(client, project, 1, "pothole", "Roads") is None
    assert annotate(client, project, 2, "bin", "Waste") is None
    assert annotate(client, project, 3, "pond", "Parks", skipped=True) is None
    assert annotate(client, project, 4, "tree", "Parks")["examples"] == 3
    assert annotate(client, project, 5, "road", "Roads") is None


def test_it_can_be_told_to_train_on_request_only(
    client: Any, project: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAIN_EVERY", "0")
    send_all(client, project)
    assert choices(predict(client, project, "pothole")) == [None]


def test_one_choice_is_not_enough(client: Any, project: int) -> None:
    annotate(client, project, 1, "pothole", "Roads")
    annotate(client, project, 2, "", "Waste")
    annotate(client, project, 3, None, "Parks")
    answer = send(client, project, "START_TRAINING")
    assert answer is None
    assert predict(client, project, "pothole")[0]["result"] == []


def test_an_update_replaces_the_annotation(client: Any, project: int) -> None:
    annotate(client, project, 1, "swing", "Roads", at="2025-02-03T10:00:00Z")
    annotate(client, project, 2, "bin", "Waste")
    annotate(client, project, 1, "swing", "Parks", "ANNOTATION_UPDATED", at="2025-02-03T11:00:00Z")
    # arrives late, was made earlier
    annotate(client, project, 1, "swing", "Roads", "ANNOTATION_UPDATED", at="2025-02-03T10:30:00Z")
    assert send(client, project, "START_TRAINING")["examples"] == 2
    assert choices(predict(client, project, "swing")) == ["Parks"]


@pytest.mark.parametrize("how", ["deleted", "skipped"])
def test_a_withdrawn_annotation_does_not_count(client: Any, project: int, how: str) -> None:
    for number, choice in enumerate(["Roads", "Waste", "Parks"]):
        annotate(client, project, number, f"text {number}", choice)
    if how == "deleted":
        send(client, project, "ANNOTATION_DELETED", annotation={"id": 2}, task={"id": 2})
    else:
        annotate(client, project, 2, "text 2", "Parks", "ANNOTATION_UPDATED", skipped=True)
    assert send(client, project, "START_TRAINING")["examples"] == 2
    assert "Parks" not in choices(predict(client, project, "text 2"))


def test_a_task_without_text_gets_an_empty_result(client: Any, project: int) -> None:
    send_all(client, project)
    send(client, project, "START_TRAINING")
    tasks = [{"id": 1, "data": {"title": "no text"}}, {"id": 2, "data": {"text": None}}]
    body = {"tasks": tasks, "project": f"{project}.1", "label_config": CONFIG}
    results = client.post("/predict", json=body).json["results"]
    assert [prediction["result"] for prediction in results] == [[], []]
    blank, odd = choices(predict(client, project, "  ", "pothole ⚠️ räikeä 道路"))
    assert blank is None
    assert odd is not None


def test_projects_do_not_mix(client: Any, project: int) -> None:
    send_all(client, project)
    send(client, project, "START_TRAINING")
    assert predict(client, project + 100_000, "pothole")[0]["result"] == []


def test_a_removed_choice_is_no_answer(client: Any, project: int) -> None:
    send_all(client, project)
    send(client, project, "START_TRAINING")
    smaller = CONFIG.replace('<Choice value="Roads"/>', "")
    assert choices(predict(client, project, "pothole on Mill Lane")) == ["Roads"]
    assert choices(predict(client, project, "pothole on Mill Lane", config=smaller)) != ["Roads"]


def test_it_sees_what_another_process_has_trained(client: Any, project: int) -> None:
    annotate(client, project, 1, "swing", "Roads")
    annotate(client, project, 2, "bin", "Waste")
    send(client, project, "START_TRAINING")
    assert choices(predict(client, project, "swing")) == ["Roads"]

    annotate(client, project, 1, "swing", "Parks", "ANNOTATION_UPDATED", at="2025-02-04")
    code = START_ELSEWHERE.format(project)
    subprocess.run([sys.executable, "-c", code], cwd=HERE, env=os.environ, check=True)
    prediction = predict(client, project, "swing")[0]
    assert choices([prediction]) == ["Parks"]
    assert prediction["model_version"] == "0.2.0"


def test_a_config_without_choices_is_refused(client: Any, project: int) -> None:
    schema = '<View><Text name="t" value="$text"/></View>'
    response = client.post("/setup", json={"project": f"{project}.1", "schema": schema})
    assert response.status_code == 500
    assert "Choices" in response.json["detail"]
