"""Tests of the backend over HTTP, without a server: `python -m pytest` in this folder.

They use the labelling config in label_config.xml and the first task in tasks.json, and fail if Label
Studio could not show the prediction for it. Add tests of what your model should do.
"""

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
PROJECT = "1.1700000000"

# Set before the package is imported, so that the tests do not train the model of the server.
os.environ["MODEL_DIR"] = tempfile.mkdtemp()
# Tasks may name files of this folder: /data/local-files/?d=images/house.png
os.environ.setdefault("LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT", str(HERE))

from _wsgi import app


@pytest.fixture
def client() -> Iterator[Any]:
    with app.test_client() as client:
        yield client


@pytest.fixture
def config() -> str:
    path = HERE / "label_config.xml"
    if not path.is_file():
        pytest.skip("there is no label_config.xml: put the labelling config of your project there")
    return path.read_text(encoding="utf-8")


@pytest.fixture
def task() -> dict[str, Any]:
    path = HERE / "tasks.json"
    if not path.is_file():
        pytest.skip("there is no tasks.json: export some tasks of your project as JSON")
    tasks = json.loads(path.read_text(encoding="utf-8"))
    # As in Label Studio's import, an object without `data` is the data of a task.
    first = tasks[0] if isinstance(tasks, list) else tasks
    return first if "data" in first else {"id": 1, "data": first}


def test_health(client: Any) -> None:
    assert client.get("/health").json["status"] == "UP"


def test_setup_tells_the_version(client: Any, config: str) -> None:
    response = client.post("/setup", json={"project": PROJECT, "schema": config})
    assert response.status_code == 200, response.text
    assert response.json["model_version"]


def test_label_studio_can_show_the_prediction(
    client: Any, config: str, task: dict[str, Any]
) -> None:
    request = {"tasks": [task], "project": PROJECT, "label_config": config}
    response = client.post("/predict", json=request)
    assert response.status_code == 200, response.text
    mistakes = client.get("/diagnostics").json["mistakes"]
    assert "X-Prediction-Warnings" not in response.headers, mistakes
