"""Answers of Flask views, and the exception by which a model chooses its answer."""

from __future__ import annotations

import json
import pickle

import pytest
from flask import Flask

from label_studio_ml.exceptions import AnswerException, answer, exception_handler


class Unavailable(AnswerException):
    def __init__(self, reason: str) -> None:
        super().__init__(503, reason, {"retry": True})


def test_an_answer_exception_needs_no_request() -> None:
    error = AnswerException(status=422, msg="no text", result={"field": "text"})
    assert (error.status, error.msg, error.result) == (422, "no text", {"field": "text"})
    assert str(error) == "no text"
    assert (AnswerException(422).msg, AnswerException(422).result) == ("", None)
    for raised in (error, Unavailable("busy")):
        copy = pickle.loads(pickle.dumps(raised))
        assert type(copy) is type(raised)
        assert (copy.status, str(copy), copy.result) == (raised.status, str(raised), raised.result)
    with Flask("test").test_request_context("/?a=1"):
        response = error.answer
    assert response.status_code == 422
    assert response.get_json() == {
        "status": 422,
        "detail": "no text",
        "request": {"a": "1"},
        "result": {"field": "text"},
    }


def test_answers_have_one_shape() -> None:
    with Flask("test").test_request_context("/"):
        assert answer(200).get_json() == {"status": 200, "detail": "ok", "request": {}}
        assert answer(201, "made", []).get_json()["result"] == []
        assert answer(404, "gone").status_code == 404
        nothing = json.loads(answer().data)
    assert nothing == {"status": -1000, "detail": "nothing happened", "request": {}}


def test_exceptions_of_a_view_become_answers(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    @exception_handler
    def view(error: Exception | None) -> str:
        if error:
            raise error
        return "fine"

    def ask(error: Exception) -> tuple[int, str, dict[str, str]]:
        response = view(error)
        body = response.get_json()
        return response.status_code, body["detail"], body.get("result")

    assert view.__name__ == "view"
    assert view(None) == "fine"
    with Flask("test").test_request_context("/"):
        status, detail, result = ask(ValueError("bad"))
        assert (status, detail, list(result)) == (500, "ValueError: bad", ["traceback"])
        assert "raise error\nValueError: bad" in result["traceback"]
        assert capsys.readouterr().out == result["traceback"] + "\n"
        assert result["traceback"] in caplog.text
        status, detail, result = ask(AnswerException(422, "no text"))
        assert (status, detail, list(result)) == (422, "no text", ["traceback"])
        assert capsys.readouterr().out == ""
        assert ask(AnswerException(422, "x", {"traceback": "mine"}))[2] == {"traceback": "mine"}
        assert ask(AnswerException(422, "x", ["a list"]))[2] == ["a list"]
        view.request_id = "7"
        assert ask(ValueError("bad"))[2]["request_id"] == "7"
        assert ask(AnswerException(422, "x"))[2]["request_id"] == "7"
        assert ask(AnswerException(422, "x", {"request_id": "own"}))[2]["request_id"] == "own"
