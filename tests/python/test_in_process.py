"""The in-process mode: `init_app` as people's tests and WSGI servers use it."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from flask import Blueprint, Flask
from hosting import CHOICES, environment
from models_v2 import event

from label_studio_ml import api
from label_studio_ml.api import init_app
from label_studio_ml.exceptions import AnswerException
from label_studio_ml.model import LabelStudioMLBase

PROJECT = "2.1795430965"


class Model(LabelStudioMLBase):
    def predict(self, tasks: Any, context: Any = None, **kwargs: Any) -> Any:
        mode = tasks[0].get("mode") if isinstance(tasks, list) and tasks else None
        if mode == "raise":
            raise KeyError("sentiment")
        if mode == "teapot":
            raise AnswerException(418, "short and stout", {"lid": True})
        return [{"tasks": tasks, "context": context, "kwargs": kwargs, "id": id(self)}]

    def fit(self, event: str, data: Any, **kwargs: Any) -> Any:
        if data.get("raise"):
            raise RuntimeError("fit broke")
        self.set("learned", data.get("learn", "nothing"))
        return {"learned": data.get("learn")}


@pytest.fixture
def app() -> Iterator[Flask]:
    app = init_app(Model)
    app.config["TESTING"] = False
    yield app
    app.config["TESTING"] = False
    api.BASIC_AUTH = None


def predict(client: Any, **more: Any) -> Any:
    body = {"tasks": [{"id": 1}], "project": PROJECT, "label_config": CHOICES, **more}
    return client.post("/predict", data=json.dumps(body), content_type="application/json")


def test_it_is_one_real_flask_app(app: Flask) -> None:
    assert isinstance(app, Flask)
    assert app is init_app(Model) is api._server
    assert app.name == "label_studio_ml.api"
    assert api.MODEL_CLASS is Model
    with pytest.raises(ValueError, match="not a subclass of LabelStudioMLBase"):
        init_app(dict)


def test_bodies_have_no_other_keys_than_the_originals(app: Flask) -> None:
    with app.test_client() as client:
        assert client.get("/health").json == {"model_class": "Model", "status": "UP"}
        assert client.get("/").json == {"model_class": "Model", "status": "UP"}
        assert client.get("/metrics").json == {}
        answer = predict(client, params={"context": {"result": []}, "login": None})
        assert list(answer.json) == ["results"]
        (said,) = answer.json["results"]
        assert (said["context"], said["kwargs"]) == ({"result": []}, {"login": None})
        setup = client.post("/setup", json={"project": PROJECT, "schema": CHOICES})
        assert setup.json == {"model_version": "0.0.1"}


@pytest.mark.parametrize("tasks", [{"id": 1}, None, "text", 5, []])
def test_tasks_may_be_any_json(app: Flask, tasks: Any) -> None:
    answer = predict(app.test_client(), tasks=tasks, params=None)
    assert answer.status_code == 200
    assert answer.json["results"][0]["tasks"] == tasks


def test_every_request_has_an_instance_of_its_own(app: Flask) -> None:
    made = []
    with patch.object(Model, "setup", lambda self: made.append(self)):
        for _ in range(3):
            predict(app.test_client())
    assert len({id(model) for model in made}) == 3


def test_webhook_trains_before_it_answers(app: Flask) -> None:
    client = app.test_client()
    answer = client.post("/webhook", json=event(learn="a lot"))
    assert (answer.status_code, answer.json) == (
        201,
        {"result": {"learned": "a lot"}, "status": "ok"},
    )
    assert Model(project_id="2").get("learned") == "a lot"
    for action in ("ANNOTATION_UPDATED", "ANNOTATION_DELETED", "START_TRAINING"):
        assert client.post("/webhook", json=event() | {"action": action}).status_code == 201
    other = client.post("/webhook", json=event() | {"action": "TASKS_CREATED"})
    assert (other.status_code, other.json) == (200, {"status": "Unknown event"})


def test_an_exception_is_an_answer_with_its_traceback(
    app: Flask, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = predict(app.test_client(), tasks=[{"mode": "raise"}])
    assert answer.status_code == 500
    assert answer.json["detail"] == "KeyError: 'sentiment'"
    assert answer.json["status"] == 500
    assert "Traceback" in answer.json["result"]["traceback"]
    assert "KeyError: 'sentiment'" in capsys.readouterr().out
    teapot = predict(app.test_client(), tasks=[{"mode": "teapot"}])
    assert (teapot.status_code, teapot.json["result"]["lid"]) == (418, True)


def test_testing_lets_exceptions_of_fit_through(app: Flask) -> None:
    client = app.test_client()
    body = event() | {"raise": True}
    answer = client.post("/webhook", json=body)
    assert (answer.status_code, answer.json["detail"]) == (500, "RuntimeError: fit broke")
    assert "in fit" in answer.json["result"]["traceback"]
    app.config["TESTING"] = True
    with pytest.raises(RuntimeError, match="fit broke"):
        client.post("/webhook", json=body)


def test_a_document_type_is_an_error_of_parse_config(app: Flask) -> None:
    with app.test_client() as client:
        answer = predict(client, label_config=f"<!DOCTYPE View>{CHOICES}")
    assert answer.status_code == 500
    assert "<!DOCTYPE> is not allowed" in answer.text


@pytest.mark.parametrize(
    ("raised", "status"), [(FileNotFoundError, 404), (AssertionError, 500), (IndexError, 500)]
)
def test_some_exceptions_of_fit_are_answered_as_text(
    app: Flask, raised: type[Exception], status: int
) -> None:
    with patch.object(Model, "fit", side_effect=raised("what is wrong")):
        answer = app.test_client().post("/webhook", json=event())
    assert (answer.status_code, answer.text) == (status, "what is wrong")


def test_what_tests_patch_is_what_is_called(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Model, "predict", lambda self, tasks, **kwargs: ["patched"])
    assert predict(app.test_client()).json == {"results": ["patched"]}
    with patch.object(api, "MODEL_CLASS", type("Other", (Model,), {})):
        assert app.test_client().get("/health").json["model_class"] == "Other"
    with patch.object(api, "MODEL_CLASS") as stand_in:
        stand_in.return_value.predict.return_value = ["of a mock"]
        assert predict(app.test_client()).json == {"results": ["of a mock"]}
        stand_in.assert_called_once_with(project_id="2", label_config=CHOICES)


def test_routes_hooks_and_middleware_of_the_user(app: Flask) -> None:
    from werkzeug.middleware.dispatcher import DispatcherMiddleware
    from werkzeug.middleware.proxy_fix import ProxyFix

    blueprint = Blueprint("mine", "mine")
    blueprint.add_url_rule("/mine", "mine", lambda: {"mine": True})
    outer = Flask("outer")
    outer.register_blueprint(blueprint)
    outer.wsgi_app = DispatcherMiddleware(outer.wsgi_app, {"/model": app})  # type: ignore[method-assign]
    outer.wsgi_app = ProxyFix(outer.wsgi_app)  # type: ignore[method-assign]
    with outer.test_client() as client:
        assert client.get("/mine").json == {"mine": True}
        assert client.get("/model/health").json["status"] == "UP"
    before, after = app.before_request_funcs.copy(), app.after_request_funcs.copy()
    seen = []
    try:
        app.before_request_funcs.setdefault(None, []).append(lambda: seen.append("before"))

        def stamp(response: Any) -> Any:
            response.headers["X-Mine"] = "yes"
            return response

        app.after_request_funcs.setdefault(None, []).append(stamp)
        assert predict(app.test_client()).headers["X-Mine"] == "yes"
    finally:
        app.before_request_funcs, app.after_request_funcs = before, after
        app.before_request_funcs[None].pop()
    assert seen == ["before"]


def test_what_models_return_becomes_json(app: Flask) -> None:
    import numpy as np

    results = [{"score": np.float32(0.25), "list": np.arange(2), "not": float("nan"), "é": 1}]
    with patch.object(Model, "predict", return_value=results):
        answer = predict(app.test_client())
    expected = '{"results":[{"list":[0,1],"not":null,"score":0.25,"\\u00e9":1}]}\n'
    assert answer.text == expected
    with patch.object(Model, "predict", return_value=[{"result": [{"value": {1}}]}]):
        answer = predict(app.test_client())
    assert answer.status_code == 500
    assert answer.json["detail"].startswith("TypeError: results[0].result[0].value: ")


def test_credentials_are_asked_for_everywhere() -> None:
    app = init_app(Model, basic_auth_user="jürgen", basic_auth_pass="pä:ss")
    try:
        client = app.test_client()

        def status(header: str | None, path: str = "/health") -> int:
            headers = {} if header is None else {"Authorization": header}
            return int(client.get(path, headers=headers).status_code)

        def basic(text: str) -> str:
            return "Basic " + base64.b64encode(text.encode()).decode()

        right = basic("jürgen:pä:ss")
        for good in (right, right.replace("Basic", "basic"), right.replace("Basic ", "BASIC  ")):
            assert status(good) == 200, good
        for wrong in (None, basic("jürgen:x"), basic("x"), "Bearer t", "Basic ?", "", "Basic"):
            assert status(wrong) == 401, wrong
        # What is right in another scheme, or nearly right, is wrong.
        for wrong in (right.replace("Basic", "Bearer"), right.removeprefix("Basic "), right[:-4]):
            assert status(wrong) == 401, wrong
        for text in (
            "jürgen:pä:ss ",
            "jürgen:pä:s",
            "jürgen:pä",
            ":pä:ss",
            "jürgen:",
            "Jürgen:pä:ss",
        ):
            assert status(basic(text)) == 401, text
        assert status(None, "/nope") == 401
        answer = client.get("/health")
        assert answer.headers["WWW-Authenticate"] == 'Basic realm="Login required"'
    finally:
        api.BASIC_AUTH = None


def test_routes_of_the_other_api_version_are_not_there(app: Flask) -> None:
    client = app.test_client()
    for method, path in (("POST", "/train"), ("GET", "/is_training"), ("POST", "/versions")):
        answer = client.open(path, method=method, json={"project": PROJECT})
        assert answer.status_code == 404
        assert answer.json["detail"] == f"{path} is for models of API v1, and Model is of API v2"


V1 = """
import json, sys
from label_studio_ml.api import init_app, _server
from label_studio_ml.model import LabelStudioMLBase

class ModelV1(LabelStudioMLBase):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seen = 0

    def predict(self, tasks, **kwargs):
        self.seen += 1
        return [{"seen": self.seen, "learned": self.train_output} for _ in tasks]

    def fit(self, tasks, workdir=None, **kwargs):
        return {"tasks": len(list(tasks)), "event": kwargs.get("event")}
"""


def test_a_model_of_api_v1_keeps_one_live_instance(tmp_path: Path) -> None:
    source = V1 + textwrap.dedent(f"""
        import time
        app = init_app(ModelV1, model_dir={str(tmp_path)!r})
        client = app.test_client()
        body = {{"tasks": [{{}}], "project": "2.17", "label_config": {CHOICES!r}}}
        print(client.get("/health").json)
        print(client.post("/setup", json={{"project": "2.17", "schema": {CHOICES!r}}}).json)
        for _ in range(2):
            print(client.post("/predict", json=body).json["results"][0]["seen"])
        answer = client.post("/train", json={{**body, "annotations": [{{}}, {{}}]}})
        print(answer.status_code, answer.json)
        print(client.post("/predict", json=body).json["results"])
        print(client.get("/is_training?project=2.17").json["is_training"])
        print(client.post("/train", json={{**body, "annotations": []}}).text.strip())
        project = {{"id": 2, "created_at": "1970-01-01T00:00:17Z", "label_config": {CHOICES!r}}}
        hook = {{"action": "ANNOTATION_CREATED", "project": project}}
        answer = client.post("/webhook", json=hook)
        print(answer.status_code, sorted(answer.json))
        job = answer.json["job_id"]
        import os
        for _ in range(1000):
            if os.path.exists(f"{tmp_path}/{{job}}/job_result.json"): break
            time.sleep(0.05)
        print(client.post("/predict", json=body).json["results"][0]["learned"])
    """)
    done = subprocess.run(
        [sys.executable, "-c", source],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines == [
        str({"model_dir": str(tmp_path), "status": "UP"}),
        str({"model_version": "INITIAL"}),
        "1",
        "2",
        "201 {}",
        str([{"learned": {"event": None, "tasks": 2}, "seen": 1}]),
        "False",
        '"No annotations found."',
        "201 ['job_id']",
        str({"event": "ANNOTATION_CREATED", "tasks": 0}),
    ]


def test_nothing_that_a_fork_would_break_is_made_before_the_first_request(tmp_path: Path) -> None:
    source = """
import os, threading
from label_studio_ml.api import init_app
from label_studio_ml.model import LabelStudioMLBase
class Model(LabelStudioMLBase):
    def predict(self, tasks, context=None): return []
before = sorted(os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}"))
app = init_app(Model)
after = sorted(os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}"))
print(before == after, threading.active_count(), len(os.listdir("/proc/self/task")))
print(os.listdir(os.environ["MODEL_DIR"]))
"""
    done = subprocess.run(
        [sys.executable, "-c", source],
        env={**environment(), "MODEL_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    assert done.stdout.splitlines() == ["True 1 1", "[]"]
