"""Learns and predicts over HTTP, with requests like those of Label Studio."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
CONFIG = (HERE / "label_config.xml").read_text()
TASKS = json.loads((HERE / "tasks.json").read_text())
ANNOTATED = json.loads((HERE / "annotations.json").read_text())


def send(client: Any, project: int, action: str, **payload: Any) -> dict[str, Any]:
    body = {"action": action, "project": {"id": project, "label_config": CONFIG}, **payload}
    response = client.post("/webhook", json=body)
    assert response.status_code == 201
    return response.json["result"]


def annotate(
    client: Any,
    project: int,
    text: str,
    *spans: tuple[str, list[str]],
    number: int = 1,
    action: str = "ANNOTATION_CREATED",
    skipped: bool = False,
) -> dict[str, Any]:
    result = []
    for marked, labels in spans:
        start = text.index(marked)
        shown = marked.replace("\n", "\\n")  # as Label Studio writes it
        value = {"start": start, "end": start + len(marked), "text": shown, "labels": labels}
        region = {"from_name": "entity", "to_name": "text", "type": "labels", "value": value}
        result.append(region)
    annotation = {"id": number, "result": result, "was_cancelled": skipped}
    task = {"id": number, "data": {"text": text}}
    return send(client, project, action, annotation=annotation, task=task)


def send_all(client: Any, project: int) -> None:
    for task in ANNOTATED:
        for annotation in task["annotations"]:
            send(client, project, "ANNOTATION_CREATED", annotation=annotation, task=task)


def predict(client: Any, project: int, *texts: Any, config: str = CONFIG) -> list[dict[str, Any]]:
    tasks = [{"id": number, "data": {"text": text}} for number, text in enumerate(texts)]
    body = {"tasks": tasks, "project": f"{project}.1741593600", "label_config": config}
    response = client.post("/predict", json={**body, "params": {"context": None}})
    assert response.status_code == 200
    assert len(response.json["results"]) == len(texts)
    return response.json["results"]


def entities(prediction: dict[str, Any]) -> list[tuple[str, list[str]]]:
    values = [region["value"] for region in prediction["result"]]
    return [(value["text"], value["labels"]) for value in values]


def find(client: Any, project: int, text: str, **kwargs: Any) -> list[tuple[str, list[str]]]:
    return entities(predict(client, project, text, **kwargs)[0])


def test_rules_work_without_annotations(client: Any, project: int) -> None:
    text = "On 3 May 2025 ada@example.org paid $20."
    prediction = predict(client, project, text)[0]
    assert entities(prediction) == [
        ("3 May 2025", ["Date"]),
        ("ada@example.org", ["E-mail"]),
        ("$20", ["Money"]),
    ]
    region = prediction["result"][0]
    assert (region["value"]["start"], region["value"]["end"]) == (3, 13)
    assert (region["from_name"], region["to_name"], region["type"]) == ("entity", "text", "labels")
    assert [region["score"], prediction["score"]] == pytest.approx([0.8, 0.8])


def test_rules_need_their_label(client: Any, project: int) -> None:
    config = CONFIG.replace('<Label value="Date" background="#8e44ad"/>', "")
    text = "On 3 May 2025 it was $20."
    assert find(client, project, text, config=config) == [("$20", ["Money"])]


def test_it_learns_from_events(client: Any, project: int) -> None:
    assert send(client, project, "START_TRAINING") is None
    send_all(client, project)
    predictions = predict(client, project, *(task["data"]["text"] for task in TASKS))
    assert [entities(prediction) for prediction in predictions[:3]] == [
        [
            ("Marisa Teuber", ["Person"]),
            ("Kestrel Shipping", ["Organisation"]),
            ("1 June 2025", ["Date"]),
        ],
        [("Évora", ["Place"]), ("€ 2.4 million", ["Money"])],
        [("Brandt & Søn", ["Organisation"]), ("Hull", ["Place"])],
    ]
    # the longest pattern wins: not the place Hull
    assert ("Hull Trust", ["Organisation"]) in entities(predictions[4])
    assert predictions[5]["result"] == []
    assert predictions[5]["score"] == 0


@pytest.mark.parametrize("before", ["", "🚢🚢 ", "naïve café: ", "e\u0301 👩‍👩‍👧 ", "東京 "])
def test_offsets_count_code_points(client: Any, project: int, before: str) -> None:
    annotate(client, project, "😀 I saw Zoë Ångström.", ("Zoë Ångström", ["Person"]))
    text = f"{before}Zoë Ångström left on 2025-01-31."
    result = predict(client, project, text)[0]["result"]
    assert len(result) == 2
    for region, expected in zip(result, ["Zoë Ångström", "2025-01-31"], strict=True):
        value = region["value"]
        assert value["text"] == text[value["start"] : value["end"]] == expected


def test_every_occurrence_is_found_but_no_part_of_a_word(client: Any, project: int) -> None:
    annotate(client, project, "Mar called.", ("Mar", ["Person"]))
    result = predict(client, project, "Mar, Maria and Mar's sister")[0]["result"]
    assert [region["value"]["start"] for region in result] == [0, 15]


def test_a_span_with_a_line_break(client: Any, project: int) -> None:
    annotate(client, project, "From:\nAda\nOkafor\n", ("Ada\nOkafor", ["Person"]))
    assert find(client, project, "To:\nAda\nOkafor") == [("Ada\nOkafor", ["Person"])]


def test_several_labels_and_disagreement(client: Any, project: int) -> None:
    both = ["Organisation", "Place"]
    annotate(client, project, "at the White House", ("White House", both), number=1)
    annotate(client, project, "the White House", ("White House", ["Place"]), number=2)
    annotate(client, project, "a White House", ("White House", both[::-1]), number=3)
    region = predict(client, project, "White House!")[0]["result"][0]
    assert region["value"]["labels"] == both
    assert region["score"] == pytest.approx(2 / 3)


def test_an_update_takes_the_former_spans_back(client: Any, project: int) -> None:
    annotate(client, project, "Hull won", ("Hull", ["Person"]), ("won", ["Place"]))
    annotate(client, project, "Hull won", ("Hull", ["Place"]), action="ANNOTATION_UPDATED")
    assert find(client, project, "Hull won") == [("Hull", ["Place"])]


@pytest.mark.parametrize("how", ["deleted", "skipped"])
def test_a_withdrawn_annotation_does_not_count(client: Any, project: int, how: str) -> None:
    annotate(client, project, "Hull won", ("Hull", ["Place"]))
    if how == "deleted":
        send(client, project, "ANNOTATION_DELETED", annotation={"id": 1})
    else:
        annotate(client, project, "Hull won", ("Hull", ["Place"]), skipped=True)
    assert find(client, project, "Hull won") == []


def test_a_removed_label_is_not_suggested(client: Any, project: int) -> None:
    annotate(client, project, "Ada won", ("Ada", ["Person"]))
    config = CONFIG.replace('<Label value="Person" background="#2e86de"/>', "")
    assert find(client, project, "Ada won", config=config) == []


def test_tasks_without_text(client: Any, project: int) -> None:
    annotate(client, project, "Ada won", ("Ada", ["Person"]))
    tasks = [{"id": 1, "data": {"title": "Ada"}}, {"id": 2, "data": {"text": None}}, {"id": 3}]
    tasks.append({"id": 4, "data": {"text": ""}})
    body = {"tasks": tasks, "project": f"{project}.1", "label_config": CONFIG}
    results = client.post("/predict", json=body).json["results"]
    assert [prediction["result"] for prediction in results] == [[], [], [], []]


def test_the_version_changes_with_what_is_known(client: Any, project: int) -> None:
    def version() -> str:
        body = {"project": f"{project}.1", "schema": CONFIG}
        return client.post("/setup", json=body).json["model_version"]

    initial = version()
    annotate(client, project, "Ada won", ("Ada", ["Person"]))
    learnt = version()
    assert learnt != initial
    assert predict(client, project, "Ada")[0]["model_version"] == learnt
    send(client, project, "START_TRAINING")
    assert version() == learnt


def test_projects_do_not_mix(client: Any, project: int) -> None:
    annotate(client, project, "Ada won", ("Ada", ["Person"]))
    assert find(client, project + 100_000, "Ada") == []
