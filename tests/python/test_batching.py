"""`--max-batch-size`: one call of `predict` answers requests that wait at the same time."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from hosting import CHOICES, PROJECT, Server, wait_for
from raw_http import Wire, post

#: Says with each prediction how many tasks its call had. A call with "slow…" waits for its gate.
GATHERING = """
    import itertools, os, pathlib, time
    from label_studio_ml.model import LabelStudioMLBase

    CALLS = itertools.count()
    GATE = pathlib.Path(os.environ.get("GATE", "."))

    class Gathering(LabelStudioMLBase):
        {marks}

        def predict(self, tasks, **kwargs):
            texts = [task["data"]["text"] for task in tasks]
            call = next(CALLS)
            for text in texts:
                if text.startswith("slow"):
                    (GATE / f"begun {{text}}").touch()
                    while not (GATE / f"open {{text}}").exists():
                        time.sleep(0.01)
            if "bad" in texts:
                raise ValueError("no such text")
            if "several" in texts and len(texts) > 1:
                return [{{"result": []}}]
            return [
                {{"result": [], "text": text, "of": len(texts), "call": call, "login": kwargs.get("login"),
                  "score": float("nan") if text == "nan" else 0.5}}
                for text in texts
            ]
"""
V1 = GATHERING.format(marks="pass")
V2 = GATHERING.format(marks="def setup(self): pass")
api_versions = pytest.mark.parametrize("source", [V1, V2], ids=["v1", "v2"])


class Gated:
    """A server whose model blocks until enough requests wait."""

    def __init__(self, server: Server, gate: Path) -> None:
        self.server, self.gate = server, gate
        # The model instance is made.
        assert self.ask("warm").ok

    def ask(self, *texts: str, **params: Any) -> requests.Response:
        # `Server` has only one connection.
        url, body = f"{self.server.url}/predict", request(*texts, **params)
        return requests.post(url, json=body, timeout=60)

    def running(self) -> int:
        """Return how many requests the worker got."""
        for line in self.server.get("/metrics").text.splitlines():
            if line.startswith("label_studio_ml_predictions_running "):
                return int(float(line.split()[1]))
        raise AssertionError("no such gauge")

    def wait_begun(self, text: str) -> None:
        wait_for((self.gate / f"begun {text}").exists, f"the call with {text!r} has begun")

    def open(self, text: str) -> None:
        (self.gate / f"open {text}").touch()

    @contextmanager
    def busy(self) -> Iterator[Callable[..., Future[requests.Response]]]:
        """Keep the model busy; yield a function that sends a request and returns once the worker has it."""
        for name in ("begun slow", "open slow"):
            (self.gate / name).unlink(missing_ok=True)
        # Its requests may be answered long after the model is free again.
        pool = ThreadPoolExecutor(32)
        slow = pool.submit(self.ask, "slow")
        self.wait_begun("slow")

        def ask(*texts: str, **params: Any) -> Future[requests.Response]:
            before = self.running()
            asked = pool.submit(self.ask, *texts, **params)
            wait_for(lambda: self.running() == before + 1, "the worker has the request")
            return asked

        try:
            yield ask
        finally:
            self.open("slow")
            pool.shutdown(wait=False)
        assert slow.result().ok

    def ask_together(self, *asked: list[str]) -> list[requests.Response]:
        with self.busy() as ask:
            answers = [ask(*texts) for texts in asked]
        return [answer.result() for answer in answers]


Serve = Callable[..., Gated]


@pytest.fixture
def gated(serve: Callable[..., Server], tmp_path: Path) -> Serve:
    gate = tmp_path / "gate"
    gate.mkdir()

    def start(source: str, *arguments: str, **env: str) -> Gated:
        return Gated(serve(source, *arguments, env={"GATE": str(gate), **env}), gate)

    return start


def request(*texts: str, **params: Any) -> dict[str, Any]:
    return {
        "tasks": [{"id": n, "data": {"text": text}} for n, text in enumerate(texts)],
        "project": PROJECT,
        "label_config": CHOICES,
        "params": {"login": None, **params},
    }


def sizes(answers: list[requests.Response]) -> list[int]:
    """Return how many tasks the call had that answered each request."""
    return [answer.json()["results"][0]["of"] for answer in answers]


@api_versions
def test_requests_that_wait_are_answered_together(gated: Serve, source: str) -> None:
    server = gated(source, "--max-batch-size", "16")
    asked = [[f"a{n}", f"b{n}"][: 1 + n % 2] for n in range(10)]
    answers = server.ask_together(*asked)
    for texts, answer in zip(asked, answers, strict=True):
        results = answer.json()["results"]
        assert [result["text"] for result in results] == texts
        assert {result["model_version"] for result in results} == {answer.json()["model_version"]}
    assert sizes(answers) == [15] * 10


@api_versions
def test_without_the_option_each_request_has_its_own_call(gated: Serve, source: str) -> None:
    server = gated(source)
    with server.busy():
        assert sizes([server.ask("a", "b"), server.ask("c")]) == [2, 1]


def test_the_option_can_come_from_the_environment(gated: Serve) -> None:
    server = gated(V1, MAX_BATCH_SIZE="8")
    assert sizes(server.ask_together(["a"], ["b"])) == [2, 2]


def test_a_batch_has_no_more_tasks_than_allowed(gated: Serve) -> None:
    server = gated(V1, "--max-batch-size", "4")
    answers = server.ask_together(["x"] * 3, ["x"] * 3, ["x"] * 9, ["y"])
    # A request that is larger than a batch gets its own call.
    assert sizes(answers) == [4, 3, 9, 4]
    assert [len(answer.json()["results"]) for answer in answers] == [3, 3, 9, 1]


@api_versions
def test_an_error_is_that_of_one_request(gated: Serve, source: str) -> None:
    server = gated(source, "--max-batch-size", "16")
    answers = server.ask_together(["a"], ["bad"], ["b", "c"], ["nan"])
    assert [answer.status_code for answer in answers] == [200, 500, 200, 200]
    assert answers[1].json()["detail"] == "ValueError: no such text"
    assert [result["text"] for result in answers[2].json()["results"]] == ["b", "c"]
    assert answers[3].json()["results"][0]["score"] is None
    # The next ones are answered together again.
    assert sizes(server.ask_together(["a"], ["b"])) == [2, 2]


@api_versions
def test_a_model_without_a_result_for_each_task_gets_one_request_at_a_time(
    gated: Serve, source: str
) -> None:
    server = gated(source, "--max-batch-size", "16")
    assert sizes(server.ask_together(["several"], ["a"])) == [1, 1]
    server.server.wait_logged("returned 1 results for 2 tasks of several requests")
    assert sizes(server.ask_together(["a"], ["b"])) == [1, 1]


def test_only_requests_with_the_same_parameters_go_together(gated: Serve) -> None:
    server = gated(V1, "--max-batch-size", "16")
    with server.busy() as ask:
        asked = [ask(text, login=login) for text, login in [("a", "x"), ("b", "y"), ("c", "x")]]
    answers = [one.result() for one in asked]
    assert [answer.json()["results"][0]["login"] for answer in answers] == ["x", "y", "x"]
    assert sizes(answers) == [2, 1, 2]


def test_a_person_goes_first_and_alone(gated: Serve) -> None:
    server = gated(V1, "--max-batch-size", "4")
    with server.busy() as ask:
        asked = [ask(*["x"] * 4), ask(*["x"] * 4), ask("y", context={"result": []})]
    answers = [one.result() for one in asked]
    assert sizes(answers) == [4, 4, 1]
    calls = [answer.json()["results"][0]["call"] for answer in answers]
    assert calls[2] < calls[0] < calls[1]


def test_a_client_that_leaves_costs_the_others_of_its_batch_nothing(gated: Serve) -> None:
    server = gated(V1, "--max-batch-size", "16", "--predict-timeout", "0.1")
    with Wire(server.server.port) as left:
        with server.busy() as ask:
            before = server.running()
            left.send(post("/predict", json.dumps(request("left"))))
            wait_for(lambda: server.running() == before + 1, "the worker has the request")
            asked = [ask("slow too"), ask("a")]
        server.wait_begun("slow too")
        left.socket.close()
        # Long enough for it to be cancelled if it were alone.
        time.sleep(0.5)
        server.open("slow too")
    answers = [one.result() for one in asked]
    assert [answer.json()["results"][0]["text"] for answer in answers] == ["slow too", "a"]
    assert sizes(answers) == [3, 3]
    assert sizes(server.ask_together(["c"], ["d"])) == [2, 2]


def test_a_client_that_leaves_before_its_request_begins_takes_it_along(gated: Serve) -> None:
    server = gated(V1, "--max-batch-size", "16")
    with server.busy() as ask:
        before = server.running()
        with Wire(server.server.port) as left:
            left.send(post("/predict", json.dumps(request("left"))))
            wait_for(lambda: server.running() == before + 1, "the worker has the request")
            stays = ask("stays")
        wait_for(lambda: server.running() == before + 1, "the worker has one request less")
    assert sizes([stays.result()]) == [1]


def test_a_request_does_not_wait_for_its_batch_longer_than_in_line(gated: Serve) -> None:
    server = gated(V1, "--max-batch-size", "16", "--queue-timeout", "3")
    with server.busy() as ask:
        late = ask("late").result()
        assert late.status_code == 503
        assert "within 3 s (--queue-timeout)" in late.json()["detail"]
        in_time = ask("in time")
    assert in_time.result().ok


def test_a_class_that_is_not_thread_safe_is_called_once_at_a_time(gated: Serve) -> None:
    source = GATHERING.format(marks="THREAD_SAFE = False")
    server = gated(source, "--max-batch-size", "16", "--threads", "4")
    assert sizes(server.ask_together(*[[f"a{n}"] for n in range(6)])) == [6] * 6
