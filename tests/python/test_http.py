"""Requests and answers: shapes, bad input, limits."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from hosting import CHOICES, ECHO, PROJECT, Server

Serve = Callable[..., Server]

RAISING = """
    from label_studio_ml.model import LabelStudioMLBase
    from label_studio_ml.exceptions import AnswerException

    class Raising(LabelStudioMLBase):
        def fit(self, tasks, workdir=None, **kwargs): ...
        def predict(self, tasks, **kwargs):
            what = tasks[0]["data"]["what"]
            if what == "answer":
                raise AnswerException(418, "short and stout", {"pot": ["tea"]})
            if what == "exit":
                raise SystemExit(3)
            if what == "interrupt":
                raise KeyboardInterrupt
            if what == "unprintable":
                class Odd(Exception):
                    def __str__(self): raise ValueError
                raise Odd()
            if what == "recursion":
                return self.predict(tasks, **kwargs)
            if what == "set":
                return [{"result": [{"value": {1, 2}}]}]
            raise KeyError(what)
"""


def post(server: Server, path: str, body: Any, **kwargs: Any) -> requests.Response:
    headers = {"Content-Type": "application/json", **kwargs.pop("headers", {})}
    return requests.post(server.url + path, data=body, headers=headers, timeout=60, **kwargs)


def test_health_says_what_is_served(echo: Server) -> None:
    for path in ("/", "/health"):
        answer = echo.get(path)
        assert answer.status_code == 200
        body = answer.json()
        assert body["status"] == "UP"
        assert body["model_class"] == "Echo"
        assert body["model_dir"] == str(echo.models)
        assert body["workers"] == {"ready": 1, "total": 1, "restarts": 0}


def test_setup_and_predict_agree_on_the_version(echo: Server) -> None:
    assert echo.setup("5.1").json() == {"model_version": "INITIAL"}
    body = echo.predict(project="5.1").json()
    assert body["model_version"] == "INITIAL"
    assert [item["model_version"] for item in body["results"]] == ["INITIAL"]


def test_predict_gives_the_model_what_the_client_sent(echo: Server) -> None:
    tasks = [{"id": 7, "data": {"text": "naïve 漢字 \u2028 \U0001f600"}}, {"id": 8, "data": {}}]
    context = {"result": [{"id": "r1"}]}
    answer = echo.predict(tasks, project="6.1", login=None, password=None, context=context)
    first, second = answer.json()["results"]
    assert (first["task"], second["task"]) == (7, 8)
    assert first["kwargs"] == {"login": None, "password": None, "context": context}
    assert first["labels"] == [["Positive", "Negative"]]


def test_the_connection_of_setup_reaches_the_model(echo: Server) -> None:
    assert "hostname" not in echo.first(project="7.1")["init"]
    echo.setup("7.1", hostname="http://label.studio")
    seen = echo.first(project="7.1")
    assert seen["hostname"] == "http://label.studio"
    assert seen["init"] == ["access_token", "hostname", "label_config", "train_output"]


def test_a_config_may_come_from_setup_alone(echo: Server) -> None:
    echo.setup("8.1")
    tasks = [{"id": 1, "data": {}}]
    body = {"tasks": tasks, "project": "8.1", "label_config": None}
    assert echo.post("/predict", body).json()["results"][0]["labels"] == [["Positive", "Negative"]]


NEEDS_CONFIG = """
    from label_studio_ml.model import LabelStudioMLBase

    class Needs(LabelStudioMLBase):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.first = list(self.parsed_label_config)[0]

        def predict(self, tasks, **kwargs):
            return [{"result": []} for task in tasks]
"""


def test_a_config_that_is_needed_and_missing_is_named(serve: Serve) -> None:
    server = serve(NEEDS_CONFIG)
    answer = server.post("/predict", {"tasks": [], "project": "1.1"})
    assert answer.status_code == 422
    assert "`label_config` is missing, no /setup brought one" in answer.json()["detail"]
    answer = server.setup(config="<View><Text")
    assert answer.status_code == 422
    assert (
        "the labelling config cannot be read: the tag <View> is never closed"
        in answer.json()["detail"]
    )
    assert server.setup().status_code == 200


BAD = [
    ("/predict", "{", 400, "not valid JSON"),
    ("/predict", b"\xff\xfe", 400, "not valid JSON"),
    ("/predict", "[]", 422, "must be a JSON object"),
    ("/predict", "{}", 422, "`tasks` is missing; it must be a list"),
    ("/predict", '{"tasks": {}}', 422, "`tasks` must be a list"),
    ("/predict", '{"tasks": null}', 422, "`tasks` is missing"),
    ("/predict", '{"tasks": [], "project": 1.5}', 422, "`project` must be a string or an integer"),
    ("/predict", '{"tasks": [], "project": {}}', 422, "`project` must be"),
    ("/predict", '{"tasks": [], "params": []}', 422, "`params` must be an object"),
    ("/predict", '{"tasks": [], "label_config": 1}', 422, "`label_config` must be a string"),
    ("/predict", '{"tasks": [], "force_reload": "x"}', 422, "`force_reload` must be true or false"),
    ("/predict", '{"tasks": [], "try_fetch": false, "project": "none"}', 404, "no model is loaded"),
    ("/setup", '{"project": [], "schema": ""}', 422, "`project` must be"),
    ("/setup", '{"project": "1", "schema": 1}', 422, "`schema` must be a string"),
    ("/setup", '{"project": "1", "hostname": 1}', 422, "`hostname` must be a string"),
    ("/train", "{}", 422, "`annotations` is missing"),
    ("/train", '{"annotations": []}', 400, "No annotations found."),
    ("/train", '{"annotations": [ ]}', 400, "No annotations found."),
    ("/train", '{"annotations": [1], "params": 1}', 422, "`params` must be an object"),
    ("/webhook", "{}", 422, "`action` is missing"),
    ("/webhook", '{"action": 1}', 422, "`action` must be a string"),
    ("/versions", "{}", 400, "No project provided"),
]


@pytest.mark.parametrize(("path", "body", "status", "detail"), BAD)
def test_bad_input_is_named(
    echo: Server, path: str, body: str | bytes, status: int, detail: str
) -> None:
    answer = post(echo, path, body)
    assert answer.status_code == status, answer.text
    error = answer.json()
    assert detail in error["detail"]
    assert error["status"] == status
    assert error["result"]["request_id"] == answer.headers["X-Request-Id"]
    # Label Studio shows the reason phrase, and nothing of the body.
    assert detail in answer.reason
    assert echo.get("/health").ok


def test_other_content_types_are_refused(echo: Server) -> None:
    for content_type in ("text/plain", "application/x-www-form-urlencoded", ""):
        answer = post(echo, "/predict", "{}", headers={"Content-Type": content_type})
        assert answer.status_code == 415, content_type
        assert "must be application/json" in answer.json()["detail"]


def test_unknown_paths_and_wrong_methods(echo: Server) -> None:
    answer = echo.get("/nope", params={"a": ["1", "2"]})
    assert answer.status_code == 404
    assert answer.json()["detail"] == "no such path: /nope"
    assert answer.json()["request"] == {"a": "1"}
    answer = echo.get("/predict")
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "POST,OPTIONS"
    assert "GET is not allowed for /predict" in answer.json()["detail"]
    answer = requests.options(echo.url + "/health", timeout=60)
    assert (answer.status_code, answer.headers["Allow"]) == (200, "GET,HEAD,OPTIONS")
    assert requests.head(echo.url + "/health", timeout=60).status_code == 200


def test_a_body_over_the_limit_is_refused(serve: Serve) -> None:
    server = serve(ECHO, "--max-body", "1")
    tasks = [{"id": 1, "data": {"text": "x" * (1 << 20)}}]
    answer = server.predict(tasks)
    assert answer.status_code == 413
    assert "--max-body" in answer.json()["detail"]
    assert server.predict().status_code == 200


def test_five_thousand_tasks_pass_in_one_request(echo: Server) -> None:
    """Label Studio sends all selected tasks in one POST; above 1 MiB the body travels by file."""
    tasks = [{"id": number, "data": {"text": "x" * 1000}} for number in range(5000)]
    results = echo.predict(tasks, project="9.1").json()["results"]
    assert [item["task"] for item in results] == list(range(5000))


def test_a_project_key_writes_nothing_outside_the_model_folder(
    serve: Serve, tmp_path: Path
) -> None:
    server = serve(ECHO)
    before = {path for path in tmp_path.parent.iterdir()}
    for key in ("../../etc/x", "/etc/x", "..", ".", "a\u0000b", "x" * 150):
        assert server.setup(key).status_code == 200, key
        assert server.predict(project=key).status_code == 200, key
        assert server.train(project=key).status_code == 201, key
        server.wait_trained(key)
    assert {path for path in tmp_path.parent.iterdir()} == before
    names = sorted(path.name for path in server.models.iterdir() if path.is_dir())
    assert "%2E.%2F..%2Fetc%2Fx" in names
    assert server.predict(project="x" * 400).status_code == 422


@pytest.mark.parametrize(
    ("what", "status", "detail"),
    [
        ("sentiment", 500, "KeyError: 'sentiment'"),
        ("answer", 418, "short and stout"),
        ("exit", 500, "SystemExit: 3"),
        ("interrupt", 500, "KeyboardInterrupt: "),
        ("unprintable", 500, "Odd: (its message could not be made)"),
        ("recursion", 500, "RecursionError"),
        ("set", 500, "results[0].result[0].value: Object of type set is not JSON serializable"),
    ],
)
def test_what_user_code_raises_is_said(
    raising: Server, what: str, status: int, detail: str
) -> None:
    answer = raising.predict([{"data": {"what": what}}])
    assert answer.status_code == status
    assert detail in answer.json()["detail"]
    assert detail[:60].strip() in answer.reason
    assert raising.get("/health").json()["workers"]["restarts"] == 0


@pytest.fixture(scope="module")
def raising(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from hosting import make_project

    server = Server(make_project(tmp_path_factory.mktemp("raising"), RAISING))
    yield server
    server.stop()


def test_a_traceback_shows_the_lines_of_the_user(raising: Server) -> None:
    traceback = raising.predict([{"data": {"what": "x"}}]).json()["result"]["traceback"]
    assert "model.py" in traceback
    assert "raise KeyError(what)" in traceback
    raising.wait_logged("KeyError: 'x'")


def test_user_code_can_choose_its_answer(raising: Server) -> None:
    answer = raising.predict([{"data": {"what": "answer"}}])
    assert answer.json()["detail"] == answer.reason == "short and stout"
    assert answer.json()["result"]["pot"] == ["tea"]
    assert "AnswerException" in answer.json()["result"]["traceback"]


def test_tracebacks_can_be_hidden(serve: Serve) -> None:
    server = serve(RAISING, "--hide-tracebacks")
    answer = server.predict([{"data": {"what": "x"}}])
    assert set(answer.json()["result"]) == {"request_id"}
    server.wait_logged("raise KeyError(what)")


def test_metrics_are_prometheus_text(echo: Server) -> None:
    echo.predict()
    answer = echo.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert 'label_studio_ml_requests_total{route="/predict",status="200"}' in answer.text
    assert "label_studio_ml_workers_ready 1" in answer.text


def test_half_a_request_blocks_nobody(echo: Server) -> None:
    host = ("127.0.0.1", echo.port)
    halves = []
    for half in (b"POST /predict HT", b"POST /predict HTTP/1.1\r\nContent-Length: 100\r\n\r\n{"):
        for _ in range(50):
            connection = socket.create_connection(host)
            connection.sendall(half)
            halves.append(connection)
    assert echo.predict(project=PROJECT, config=CHOICES).status_code == 200
    for connection in halves:
        connection.close()


def test_lone_surrogates_and_long_numbers_survive(echo: Server) -> None:
    body = json.dumps(
        {
            "tasks": [{"id": 10**40, "data": {"text": "\ud800"}}],
            "project": "1",
            "label_config": CHOICES,
        }
    )
    answer = post(echo, "/predict", body)
    assert answer.json()["results"][0]["task"] == 10**40
