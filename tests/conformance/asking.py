"""Requests of the tests: labelling configs, tasks, requests as Label Studio sends them, and variants."""

from __future__ import annotations

from typing import Any

from backends import CREATED_AT, Request
from playing import Step, Trains

CONFIG = """<View>
  <Text name="text" value="$text"/>
  <Choices name="mood" toName="text" choice="single">
    <Choice value="Good"/><Choice value="Bad"/>
  </Choices>
</View>"""

OTHER_CONFIG = """<View>
  <Text name="review" value="$text"/>
  <Choices name="topic" toName="review"><Choice value="Price"/><Choice value="Size"/></Choices>
</View>"""

BROKEN_CONFIG = "<View><Text name='text'"

NOBODY = {"login": None, "password": None, "context": None}


def task(text: str = "a text", **data: object) -> dict[str, Any]:
    """A task as Label Studio sends it, in short."""
    return {"id": 1, "data": {"text": text, **data}, "annotations": [], "predictions": []}


def annotated(text: str, label: str, **data: object) -> dict[str, Any]:
    """An exported task with one annotation, as the client of 2022 sends to /train."""
    value = {"choices": [label]}
    result = [{"from_name": "mood", "to_name": "text", "type": "choices", "value": value}]
    return {**task(text, **data), "annotations": [{"id": 11, "result": result}]}


def without(body: dict[str, Any], *keys: str) -> dict[str, Any]:
    """The body less some of its keys."""
    return {key: value for key, value in body.items() if key not in keys}


SETUP: dict[str, Any] = {
    "project": "@project",
    "schema": CONFIG,
    "hostname": "http://127.0.0.1:8080",
    "access_token": "a-token",
    "extra_params": None,
}
PREDICT: dict[str, Any] = {
    "tasks": [task("one"), task("two")],
    "project": "@project",
    "label_config": CONFIG,
    "params": NOBODY,
}
TRAIN: dict[str, Any] = {
    "annotations": [annotated("fine", "Good"), annotated("poor", "Bad")],
    "project": "@project",
    "label_config": CONFIG,
    "params": {"login": None, "password": None},
}
PROJECT: dict[str, Any] = {
    "id": "@id",
    "title": "a title",
    "label_config": CONFIG,
    "created_at": CREATED_AT,
    # The title of the ML backend, in spite of its name.
    "model_version": "a title",
}
ANNOTATION: dict[str, Any] = {"id": 31, "result": [], "was_cancelled": False, "task": 1}


def post(path: str, body: object, **changes: Any) -> Request:
    """A JSON request; `changes` are put over the body."""
    return Request("POST", path, json={**body, **changes} if isinstance(body, dict) else body)


def setup(name: str = "setup", status: int = 200, **changes: Any) -> Step:
    """Label Studio's /setup, or a variant of it."""
    return Step(name, post("/setup", SETUP, **changes), status)


def predict(name: str = "predict", status: int = 200, **changes: Any) -> Step:
    """Label Studio's /predict, or a variant of it."""
    return Step(name, post("/predict", PREDICT, **changes), status)


def ordered(order: str, status: int = 200) -> Step:
    """A /predict that tells the echo model what to do."""
    return predict(order, status, tasks=[task("one", do=order), task("two")])


def instance(name: str, **changes: Any) -> Step:
    """A /predict that is answered by what the model instance knows of itself."""
    return predict(name, tasks=[task("one", do="self")], **changes)


def train(name: str = "train", status: int = 201, **changes: Any) -> Step:
    """A /train of the client of 2022."""
    trains: Trains = "result" if status == 201 else "nothing"
    return Step(name, post("/train", TRAIN, **changes), status, trains)


def event(action: str, payload: dict[str, Any], trains: Trains = "result") -> Step:
    """A webhook event; upstream answers 201 whatever it is."""
    body = {"action": action, "project": PROJECT, **payload}
    return Step(action, Request("POST", "/webhook", json=body), 201, trains)


def raw(name: str, path: str, body: bytes, status: int, content_type: str | None = None) -> Step:
    """A body that is sent as it is."""
    kind = content_type if content_type is not None else "application/json"
    return Step(name, Request("POST", path, raw=body, content_type=kind or None), status)


IS_TRAINING = Step("is_training", Request("GET", "/is_training?project=@project"))
VERSIONS = Step("versions", Request("POST", "/versions", json={"project": "@project"}))

ROUTES = {
    "/": "GET",
    "/health": "GET",
    "/metrics": "GET",
    "/is_training": "GET",
    "/setup": "POST",
    "/predict": "POST",
    "/train": "POST",
    "/webhook": "POST",
    "/versions": "POST",
}


TRAINING_EVENTS: dict[str, dict[str, Any]] = {
    "ANNOTATION_CREATED": {"annotation": ANNOTATION, "task": task()},
    "ANNOTATION_UPDATED": {"annotation": ANNOTATION, "task": task()},
    "ANNOTATION_DELETED": {"annotation": {"id": 31}, "task": task()},
    "PROJECT_UPDATED": {},
}
OTHER_EVENTS: dict[str, dict[str, Any]] = {
    "ANNOTATIONS_CREATED": {"annotation": [ANNOTATION], "task": [task()]},
    "ANNOTATIONS_DELETED": {"annotations": [{"id": 31}]},
    "START_TRAINING": {},
    "TASKS_CREATED": {"tasks": [task()]},
    "TASKS_DELETED": {"tasks": [{"id": 1}]},
    "LABEL_LINK_CREATED": {"label_link": {"id": 1}, "label": {"id": 1}},
    "PROJECT_CREATED": {},
    "NO_SUCH_ACTION": {},
}
