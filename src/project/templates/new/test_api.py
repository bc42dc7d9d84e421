"""Tests of the model over HTTP, without a server: `python -m pytest` in this folder.

In this mode /webhook answers when `fit` has ended. Add tests of what your model should do.
"""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# Set before the package is imported, so that the tests do not train the model of the server.
os.environ["MODEL_DIR"] = tempfile.mkdtemp()

from _wsgi import app

LABEL_CONFIG = (Path(__file__).parent / "label_config.xml").read_text(encoding="utf-8")
TASK = {"id": 1, "data": {"text": "It broke on the first day"}}


@pytest.fixture
def client() -> Iterator[Any]:
    app.config["TESTING"] = True
    with app.test_client() as client:
        yield client


def predict(client: Any) -> dict[str, Any]:
    request = {"tasks": [TASK], "project": "1.1700000000", "label_config": LABEL_CONFIG}
    response = client.post("/predict", json=request)
    assert response.status_code == 200, response.text
    # Set if Label Studio would drop or hide something of the prediction.
    mistakes = client.get("/diagnostics").json["mistakes"]
    assert "X-Prediction-Warnings" not in response.headers, mistakes
    (prediction,) = response.json["results"]
    return prediction


def choice(prediction: dict[str, Any]) -> str:
    (region,) = prediction["result"]
    assert (region["from_name"], region["to_name"]) == ("sentiment", "text")
    return region["value"]["choices"][0]


def test_health(client: Any) -> None:
    assert client.get("/health").json["status"] == "UP"


def test_setup_tells_the_version(client: Any) -> None:
    request = {"project": "1.1700000000", "schema": LABEL_CONFIG}
    response = client.post("/setup", json=request)
    assert response.status_code == 200, response.text
    assert response.json["model_version"]


def test_it_learns_from_an_annotation(client: Any) -> None:
    before = predict(client)
    assert choice(before) == "Positive"
    region = {
        "from_name": "sentiment",
        "to_name": "text",
        "type": "choices",
        "value": {"choices": ["Negative"]},
    }
    event = {
        "action": "ANNOTATION_CREATED",
        "project": {"id": 1, "label_config": LABEL_CONFIG},
        "task": TASK,
        "annotation": {"id": 1, "project": 1, "result": [region]},
    }
    assert client.post("/webhook", json=event).status_code == 201
    after = predict(client)
    assert choice(after) == "Negative"
    assert after["score"] > before["score"]
