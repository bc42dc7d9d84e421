"""A started server with API v2 models: the arguments of their methods, and their instances."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hosting import CHOICES, ECHO, PROJECT, Server, make_project, wait_for
from models_v2 import TELLER, event

Serve = Callable[..., Server]


def test_what_predict_is_given(serve: Serve) -> None:
    server = serve(TELLER)
    said = server.first()
    assert (said["context"], said["kwargs"], said["project_id"]) == ({}, {}, "2")
    said = server.first(context={"result": []}, login=None)
    assert (said["context"], said["kwargs"]) == ({"result": []}, {"login": None})
    assert server.first(context=None)["context"] is None
    tasks = [{"id": 1, "data": {}}]
    body = {"tasks": tasks, "project": PROJECT, "label_config": CHOICES}
    for params in ({}, {"params": None}):
        assert server.post("/predict", {**body, **params}).json()["results"][0]["context"] == {}


@pytest.mark.parametrize(
    ("typed", "seen"),
    [({"n": 1}, {"n": 1}), ('{"n": 2}', {"n": 2}), (None, {}), ("", {}), ({}, {})],
)
def test_extra_params_as_text_or_as_json(serve: Serve, typed: Any, seen: Any) -> None:
    server = serve(TELLER)
    assert server.setup(extra_params=typed).status_code == 200
    assert server.first()["extra_params"] == seen
    server.setup(extra_params={"later": True})
    assert server.first()["extra_params"] == {"later": True}


RESULTS = """
    from label_studio_ml.model import LabelStudioMLBase
    from label_studio_ml.response import ModelResponse
    from label_studio_sdk.label_interface.objects import PredictionValue

    class Results(LabelStudioMLBase):
        def predict(self, tasks, context=None, **kwargs):
            one, two = {"result": [], "score": 0.5}, {"result": [], "model_version": "own"}
            value = PredictionValue(result=[], score=0.25)
            return {
                "none": None,
                "list": [one],
                "nested": [[one, two]],
                "dict": {"predictions": [one], "more": 1},
                "single": one,
                "response": ModelResponse(predictions=[value, one]),
                "response nested": ModelResponse(predictions=[[value, one]]),
                "response version": ModelResponse(predictions=[value], model_version="all"),
                "response own": ModelResponse(predictions=[two], model_version="0.0.1"),
            }[tasks[0]["data"]["kind"]]
"""


def test_what_predict_may_return(serve: Serve) -> None:
    server = serve(RESULTS)

    def results(kind: str) -> Any:
        answer = server.predict([{"id": 1, "data": {"kind": kind}}])
        assert answer.status_code == 200, answer.text
        return answer.json()["results"]

    one = {"result": [], "score": 0.5, "model_version": "0.0.1"}
    own = {"result": [], "model_version": "own"}
    value = {"result": [], "score": 0.25, "model_version": "0.0.1"}
    assert results("none") == []
    assert results("list") == [one]
    assert results("nested") == [[one, own]]
    assert results("dict") == [one]
    assert results("single") == {"result": [], "score": 0.5}
    assert results("response") == [value, one]
    assert results("response nested") == [[value, one]]
    assert results("response version") == [{**value, "model_version": "all"}]
    assert results("response own") == [{**own, "score": 0.0}]
    wait_for(lambda: '.model_version is "own"' in server.log(), "the version is reported")
    assert server.log().count('.model_version is "own"') == 1
    assert server.log().count('.model_version is "all"') == 1


def test_an_instance_is_used_again_by_the_thread_that_made_it(serve: Serve) -> None:
    server = serve(TELLER, "--threads", "4")
    server.setup()
    said = [server.first() for _ in range(20)]
    assert {one["instance"] for one in said} == {1}
    assert all(one["own_thread"] for one in said)


def test_a_further_instance_is_made_while_the_others_are_busy(serve: Serve) -> None:
    server = serve(TELLER, "--threads", "4")
    server.setup()
    slow = [{"id": 1, "data": {"sleep": 0.4}}]
    with ThreadPoolExecutor(4) as clients:
        asked = [clients.submit(server.first, tasks=slow) for _ in range(4)]
        said = [answer.result() for answer in asked]
    assert len({one["instance"] for one in said}) > 1
    assert all(one["own_thread"] for one in said)


#: With several threads a request may meet the holder of its instance before it is idle again, and
#: gets another one.
ONE_THREAD = ("--threads", "1")


def test_other_configs_and_parameters_have_instances_of_their_own(serve: Serve) -> None:
    server = serve(TELLER, *ONE_THREAD)
    other = CHOICES.replace("Negative", "Bad")
    first = server.first()["instance"]
    assert server.predict(config=other).json()["results"][0]["instance"] != first
    assert server.first()["instance"] == first
    assert server.predict(project="3.1").json()["results"][0]["instance"] != first


def test_so_many_instances_are_kept(serve: Serve) -> None:
    server = serve(TELLER, "--max-instances", "2", *ONE_THREAD)

    def instance(project: str) -> int:
        answer = server.predict(project=project)
        number: int = answer.json()["results"][0]["instance"]
        return number

    first, second = instance("1.1"), instance("2.1")
    assert instance("1.1") == first
    instance("3.1")
    assert instance("1.1") == first
    assert instance("2.1") != second, "it was used longest ago"


def test_fresh_instances_for_those_who_want_them(serve: Serve) -> None:
    server = serve(TELLER, "--fresh-instances")
    server.setup()
    numbers = [server.first()["instance"] for _ in range(3)]
    assert len(set(numbers)) == 3


def test_a_reload_makes_every_instance_anew(serve: Serve) -> None:
    server = serve(TELLER)
    first = server.first()["instance"]
    server.setup()
    server.setup(force_reload=True)
    assert server.first()["instance"] != first


SLOW_TO_MAKE = """
    import time
    from label_studio_ml.model import LabelStudioMLBase

    made = []

    class Slow(LabelStudioMLBase):
        def setup(self):
            made.append(self)
            time.sleep(1.5)

        def predict(self, tasks, context=None, **kwargs):
            return [{"result": [], "made": len(made)} for _ in tasks]
"""


def test_a_crowd_at_the_start_waits_for_one_instance(serve: Serve) -> None:
    server = serve(SLOW_TO_MAKE)
    server.setup()
    with ThreadPoolExecutor(8) as clients:
        asked = [clients.submit(server.first) for _ in range(8)]
        assert {answer.result()["made"] for answer in asked} == {1}


LOOKER = """
    import threading
    from flask import has_request_context, request
    from label_studio_ml.model import LabelStudioMLBase

    setups = []

    def look():
        if not has_request_context():
            return None
        seen = {"path": request.path, "method": request.method, "json": sorted(request.get_json())}
        return {**seen, "header": request.headers.get("X-Test"), "args": dict(request.args)}

    class Looker(LabelStudioMLBase):
        def setup(self):
            setups.append(look())
            self.token = (request.get_json().get("access_token") if has_request_context() else None)

        def predict(self, tasks, context=None, **kwargs):
            if tasks and tasks[0].get("die"):
                import os
                os._exit(1)
            return [{"result": [], "look": look(), "token": self.token, "setups": setups}]

        def fit(self, event, data, **kwargs):
            print("fit sees", look()["path"], look()["json"], self.token)
"""


def test_user_code_sees_the_request(serve: Serve) -> None:
    server = serve(LOOKER)
    server.session.headers["X-Test"] = "yes"
    server.setup(access_token="from setup")
    answer = server.post("/predict?a=1", {"tasks": [{}], "project": PROJECT, "params": {}})
    (said,) = answer.json()["results"]
    assert said["look"] == {
        "path": "/predict",
        "method": "POST",
        "json": ["params", "project", "tasks"],
        "header": "yes",
        "args": {"a": "1"},
    }
    (setup,) = said["setups"]
    assert (setup["path"], setup["header"]) == ("/setup", "yes")
    assert "access_token" in setup["json"]
    assert said["token"] == "from setup"
    server.post("/webhook", event(), headers={"Prefer": "wait=100"})
    seen = "fit sees /webhook ['action', 'project'] from setup"
    wait_for(lambda: seen in server.log(), "fit saw the request")


def test_the_newest_setup_is_replayed_to_a_new_worker(serve: Serve) -> None:
    server = serve(LOOKER)
    server.setup(access_token="old")
    server.setup(access_token="new")
    assert server.first()["token"] == "new"
    assert server.predict([{"die": True}]).status_code == 502
    wait_for(lambda: server.get("/health").json()["workers"]["ready"], "a new worker is there")
    said = server.first()
    assert (said["token"], said["setups"][-1]["path"]) == ("new", "/setup")


def test_a_token_is_in_no_log(serve: Serve) -> None:
    server = serve(LOOKER, "--log-level", "DEBUG")
    server.session.headers["Authorization"] = "Basic c2VjcmV0"
    server.setup(access_token="a-very-secret-token")
    server.first()
    assert not re.search("a-very-secret-token|c2VjcmV0", server.log())


def test_train_is_not_for_api_v2(serve: Serve) -> None:
    server = serve(TELLER)
    answer = server.train()
    assert answer.status_code == 404
    assert "trains by /webhook" in answer.json()["detail"]


def test_an_event_that_trains_nobody_says_so(serve: Serve) -> None:
    server = serve(TELLER)
    answer = server.post("/webhook", event() | {"action": "ANNOTATIONS_CREATED"})
    assert answer.status_code == 200
    assert "these actions do: ANNOTATION_CREATED" in answer.json()["detail"]


def test_both_apis_side_by_side(serve: Serve, tmp_path: Any) -> None:
    newer, older = serve(TELLER), serve(make_project(tmp_path, ECHO, "older"))
    assert "written for API v2: fit(event, data, ...)" in newer.log()
    assert "written for API v1: fit(tasks, workdir, ...)" in older.log()
    for _ in range(3):
        assert newer.first()["project_id"] == "2"
        assert older.first()["labels"] == [["Positive", "Negative"]]
    older.train(3)
    newer.post("/webhook", event(set={"a": "b"}), headers={"Prefer": "wait=100"})
    older.wait_trained()
    assert older.first()["train_output"]["tasks"] == 3
    assert newer.first(tasks=[{"data": {"get": ["a"]}}])["get"] == {"a": "b"}


def test_a_further_instance_that_cannot_be_made_costs_no_answer(serve: Serve) -> None:
    source = """
        import time
        from label_studio_ml.model import LabelStudioMLBase

        made = []

        class Lonely(LabelStudioMLBase):
            def setup(self):
                made.append(self)
                if len(made) > 1:
                    raise MemoryError("one is all there is room for")

            def predict(self, tasks, context=None, **kwargs):
                time.sleep(0.2)
                return [{"result": [], "made": len(made)} for _ in tasks]
    """
    server = serve(source, "--workers", "1", "--threads", "4")
    assert server.setup().status_code == 200
    with ThreadPoolExecutor(4) as clients:
        answers = list(clients.map(lambda _: server.predict([{}]), range(8)))
    assert [answer.status_code for answer in answers] == [200] * 8, [a.text for a in answers]
    tried = max(answer.json()["results"][0]["made"] for answer in answers)
    assert tried > 1, "nobody tried to make a further one"
