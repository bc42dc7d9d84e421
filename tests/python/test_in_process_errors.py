"""Errors of the in-process mode: JSON where the original has a page, and the user's own ones as they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Blueprint, Flask, abort, request
from models_v2 import event

from label_studio_ml import api
from label_studio_ml._inprocess import flask_app
from label_studio_ml.api import init_app
from label_studio_ml.model import LabelStudioMLBase


class Model(LabelStudioMLBase):
    def predict(self, tasks: Any, context: Any = None, **kwargs: Any) -> Any:
        return []

    def fit(self, event: str, data: Any, **kwargs: Any) -> Any:
        raise RuntimeError("fit broke")


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    """An app that the test may change."""
    monkeypatch.setattr(api, "BASIC_AUTH", None)
    monkeypatch.setattr(api, "MODEL_CLASS", LabelStudioMLBase)
    init_app(Model)
    yield flask_app.make()


def check(answer: Any, status: int, detail: str) -> dict[str, Any]:
    assert (answer.status_code, answer.mimetype) == (status, "application/json")
    assert answer.json.keys() == {"detail", "request", "result", "status"}
    assert (answer.json["status"], answer.json["detail"]) == (status, detail)
    result: dict[str, Any] = answer.json["result"]
    return result


def test_errors_of_the_app_have_a_body_in_json(app: Flask) -> None:
    client = app.test_client()
    answer = client.get("/nope?a=1&a=2")
    assert check(answer, 404, "no such path: /nope") == {}
    assert answer.json["request"] == {"a": "1"}
    answer = client.get("/predict")
    assert check(answer, 405, "GET is not allowed for /predict") == {}
    assert set(answer.headers["Allow"].split(", ")) == {"OPTIONS", "POST"}
    check(client.get("/static/nope"), 404, "no such path: /static/nope")
    json_type = {"content_type": "application/json"}
    answer = client.post("/webhook", data="{", **json_type)
    assert (answer.status_code, answer.mimetype) == (400, "application/json")
    assert answer.json["detail"].startswith("Failed to decode JSON object: ")
    answer = client.post("/webhook", data="{}", content_type="text/plain")
    assert (answer.status_code, answer.mimetype) == (415, "application/json")
    assert "application/json" in answer.json["detail"]
    answer = client.post("/webhook", json=event())
    assert "in fit" in check(answer, 500, "RuntimeError: fit broke")["traceback"]
    check(client.post("/webhook", json={}), 500, "KeyError: 'action'")
    assert client.options("/predict").status_code == 200
    assert client.head("/nope").status_code == 404


def test_what_the_original_answers_in_json_or_text_stays(app: Flask) -> None:
    client = app.test_client()
    answer = client.post("/predict", data="{", content_type="application/json")
    assert answer.status_code == 500
    assert answer.json["detail"].startswith("BadRequest: 400 Bad Request: ")
    answer = client.post("/setup", json={})
    assert answer.json["detail"].startswith("AttributeError: ")


def test_errors_of_the_users_own_routes_stay(app: Flask) -> None:
    blueprint = Blueprint("mine", __name__)
    blueprint.add_url_rule("/gone", "gone", lambda: abort(410))
    blueprint.add_url_rule("/broken", "broken", lambda: 1 / 0)
    app.register_blueprint(blueprint)
    client = app.test_client()
    for path, status in (("/gone", 410), ("/broken", 500)):
        answer = client.get(path)
        assert (answer.status_code, answer.mimetype) == (status, "text/html")


def test_a_model_of_api_v2_leaves_routes_of_api_v1_to_the_user(app: Flask) -> None:
    for method, path in (("POST", "/train"), ("GET", "/versions"), ("GET", "/train")):
        answer = app.test_client().open(path, method=method, json={})
        check(answer, 404, f"{path} is for models of API v1, and Model is of API v2")
    asked = []

    def gate() -> Any:
        asked.append(request.path)
        return None if request.headers.get("X-Key") == "open" else ("closed", 403)

    mine = Blueprint("mine", __name__)
    mine.before_request(gate)
    mine.add_url_rule("/train", "train", lambda: {"mine": request.method}, methods=["POST"])
    mine.add_url_rule("/<path:rest>", "rest", lambda rest: {"rest": rest})
    app = flask_app.make()
    app.register_blueprint(mine)
    client, key = app.test_client(), {"X-Key": "open"}
    assert client.post("/train", json={}).status_code == 403
    assert client.post("/train", json={}, headers=key).json == {"mine": "POST"}
    assert client.get("/versions").status_code == 403
    assert client.get("/versions", headers=key).json == {"rest": "versions"}
    assert asked == ["/train", "/train", "/versions", "/versions"]
    check(client.post("/versions", json={}), 405, "POST is not allowed for /versions")
    api.BASIC_AUTH = ("user", "pass")
    for path in ("/train", "/versions", "/is_training"):
        assert client.post(path, headers=key).status_code == 401


@pytest.mark.parametrize("handled", [404, Exception, "HTTPException"])
def test_handlers_of_the_user_come_first(app: Flask, handled: Any) -> None:
    from werkzeug.exceptions import HTTPException

    handled = HTTPException if handled == "HTTPException" else handled
    app.register_error_handler(handled, lambda error: (f"mine: {type(error).__name__}", 404))
    client = app.test_client()
    assert client.get("/nope").text == "mine: NotFound"
    if handled is Exception:
        assert client.post("/webhook", json=event()).text == "mine: RuntimeError"
    if handled is HTTPException:
        assert client.post("/webhook", json=event()).text == "mine: InternalServerError"


@pytest.mark.parametrize("setting", ["TESTING", "PROPAGATE_EXCEPTIONS"])
def test_exceptions_reach_tests_that_ask_for_them(app: Flask, setting: str) -> None:
    app.config[setting] = True
    with pytest.raises(RuntimeError, match="fit broke"):
        app.test_client().post("/webhook", json=event())
    check(app.test_client().get("/nope"), 404, "no such path: /nope")


def test_a_class_decides_which_actions_train(monkeypatch: pytest.MonkeyPatch, app: Flask) -> None:
    def status(action: str) -> int:
        body = event() | {"action": action}
        return int(app.test_client().post("/webhook", json=body).status_code)

    monkeypatch.setattr(Model, "fit", lambda self, event, data: {"event": event})
    assert (status("ANNOTATION_CREATED"), status("TASKS_CREATED")) == (201, 200)
    monkeypatch.setattr(api, "TRAIN_EVENTS", ("TASKS_CREATED",))
    assert (status("ANNOTATION_CREATED"), status("TASKS_CREATED")) == (200, 201)
    monkeypatch.setattr(Model, "TRAIN_EVENTS", ("ANNOTATION_DELETED",))
    assert (status("TASKS_CREATED"), status("ANNOTATION_DELETED")) == (200, 201)
