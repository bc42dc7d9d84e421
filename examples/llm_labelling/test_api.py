"""Asks a small endpoint of the tests, over HTTP as in real life."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from fake_llm import FakeLLM

HERE = Path(__file__).parent
CONFIG = (HERE / "label_config.xml").read_text()
TASKS = json.loads((HERE / "tasks.json").read_text())
CHOICES_ONLY = """<View><Text name="review" value="$text"/>
<Choices name="opinion" toName="review"><Choice value="Positive"/><Choice value="Negative"/></Choices>
</View>"""
TEXT_ONLY = """<View><Text name="article" value="$text"/>
<TextArea name="prompt" toName="article"/><TextArea name="summary" toName="article"/></View>"""


def post(client: Any, project: int, tasks: list, config: str, context: Any = None) -> Any:
    body = {"tasks": tasks, "project": f"{project}.1741593600", "label_config": config}
    return client.post("/predict", json={**body, "params": {"context": context}})


def predict(
    client: Any, project: int, *texts: str, config: str = CONFIG, context: Any = None
) -> list[dict[str, Any]]:
    tasks = [{"id": number, "data": {"text": text}} for number, text in enumerate(texts)]
    response = post(client, project, tasks, config, context)
    assert response.status_code == 200
    assert len(response.json["results"]) == len(texts)
    return response.json["results"]


def values(prediction: dict[str, Any]) -> dict[str, Any]:
    return {region["from_name"]: region["value"] for region in prediction["result"]}


def setup(client: Any, project: int, extra_params: Any = None, config: str = CONFIG) -> Any:
    body = {"project": f"{project}.1", "schema": config, "extra_params": extra_params}
    return client.post("/setup", json=body)


def written(prompt: Any) -> dict[str, Any]:
    region = {"from_name": "prompt", "to_name": "review", "type": "textarea"}
    return {"result": [{**region, "value": {"text": prompt}}]}


def test_choice_and_reason(client: Any, project: int, llm: FakeLLM) -> None:
    llm.reply = lambda text: "Mixed\nGood garden,\nbad coffee."
    prediction = predict(client, project, "Lovely garden, sad coffee.")[0]
    assert values(prediction) == {
        "opinion": {"choices": ["Mixed"]},
        "reason": {"text": ["Good garden,\nbad coffee."]},
    }
    assert prediction["score"] == 1.0
    assert [region["type"] for region in prediction["result"]] == ["choices", "textarea"]
    assert {region["to_name"] for region in prediction["result"]} == {"review"}
    assert llm.requests[0]["model"] == "test-model"
    assert llm.requests[0]["messages"][-1]["content"] == "Lovely garden, sad coffee."
    assert "- Mixed" in llm.instruction


def test_choices_alone(client: Any, project: int, llm: FakeLLM) -> None:
    llm.reply = lambda text: "**negative**.\nBecause."
    prediction = predict(client, project, "Never again.", config=CHOICES_ONLY)[0]
    assert values(prediction) == {"opinion": {"choices": ["Negative"]}}


def test_text_alone(client: Any, project: int, llm: FakeLLM) -> None:
    llm.reply = lambda text: " First line.\nSecond line. "
    prediction = predict(client, project, "A long article", config=TEXT_ONLY)[0]
    assert values(prediction) == {"summary": {"text": ["First line.\nSecond line."]}}
    assert prediction["score"] is None


def test_an_answer_that_is_no_choice(client: Any, project: int, llm: FakeLLM) -> None:
    llm.reply = lambda text: "I cannot say."
    with_reason, without = (
        predict(client, project, "Hm.", config=config)[0] for config in (CONFIG, CHOICES_ONLY)
    )
    assert values(with_reason) == {"reason": {"text": ["I cannot say."]}}
    assert without["result"] == []
    assert without["score"] == 0


def test_a_refusal_is_an_empty_result(client: Any, project: int, llm: FakeLLM) -> None:
    llm.reply = lambda text: None
    assert predict(client, project, "Hm.")[0]["result"] == []


def test_tasks_without_text_are_not_asked_about(client: Any, project: int, llm: FakeLLM) -> None:
    tasks: list[dict] = [{"id": 1, "data": {}}, {"id": 2, "data": {"text": " \n"}}, {"id": 3}]
    response = post(client, project, tasks, CONFIG)
    assert [prediction["result"] for prediction in response.json["results"]] == [[], [], []]
    assert llm.requests == []


def test_many_tasks_at_once_stay_in_order(
    client: Any, project: int, llm: FakeLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLM_CONCURRENCY", "3")
    # Nobody passes before three are there: one request after the other would never end well.
    together = threading.Barrier(3, timeout=5)

    def reply(text: str) -> str:
        together.wait()
        return f"Positive\n{text}"

    llm.reply = reply
    texts = [task["data"]["text"] for task in TASKS]
    predictions = predict(client, project, *texts)
    assert [values(p)["reason"]["text"] for p in predictions] == [[text] for text in texts]
    assert llm.most_busy == 3


def test_prompt_from_extra_params(client: Any, project: int, llm: FakeLLM) -> None:
    assert (
        setup(client, project, json.dumps({"prompt": "Judge the food {only}."})).status_code == 200
    )
    first = predict(client, project, "x")[0]
    assert llm.instruction.startswith("Judge the food {only}.")
    setup(client, project, json.dumps({"prompt": "Judge the service."}))
    second = predict(client, project, "x")[0]
    assert llm.instruction.startswith("Judge the service.")
    assert first["model_version"] != second["model_version"]
    assert setup(client, project).json["model_version"] == second["model_version"]


@pytest.mark.parametrize("prompt", [["Is it about food?"], "Is it about food?"])
def test_prompt_from_a_person(client: Any, project: int, llm: FakeLLM, prompt: Any) -> None:
    setup(client, project, json.dumps({"prompt": "Judge the service."}))
    predict(client, project, "x", context=written(prompt))
    assert llm.instruction.startswith("Is it about food?")
    for context in (None, {}, {"result": []}):  # it is kept
        predict(client, project, "x", context=context)
        assert llm.instruction.startswith("Is it about food?")
    predict(client, project + 100_000, "x")
    assert "food" not in llm.instruction
    predict(client, project, "x", context=written([" "]))  # until somebody empties it
    assert llm.instruction.startswith("Judge the service.")


def test_the_key_is_sent(
    client: Any, project: int, llm: FakeLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict(client, project, "x")
    assert llm.headers[-1]["Authorization"] is None
    monkeypatch.setenv("LLM_API_KEY", "secret")
    predict(client, project, "x")
    assert llm.headers[-1]["Authorization"] == "Bearer secret"


def test_a_config_without_a_control_to_fill_is_refused(client: Any, project: int) -> None:
    config = '<View><Text name="t" value="$text"/><TextArea name="prompt" toName="t"/></View>'
    response = setup(client, project, config=config)
    assert response.status_code == 500
    assert "<Choices>" in response.json["detail"]


def test_events_are_accepted(client: Any, project: int) -> None:
    body = {"action": "START_TRAINING", "project": {"id": project, "label_config": CONFIG}}
    assert client.post("/webhook", json=body).status_code == 201
