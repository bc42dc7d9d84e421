"""The model of the recording: a task or an event tells it what to do."""

from __future__ import annotations

import datetime
import decimal
import threading
import uuid
from typing import Any

import numpy as np
from label_studio_sdk.label_interface.objects import PredictionValue

from label_studio_ml.exceptions import AnswerException
from label_studio_ml.model import LabelStudioMLBase
from label_studio_ml.response import ModelResponse

REGIONS = [{"from_name": "c", "to_name": "t", "type": "choices", "value": {"choices": ["a"]}}]
ONE = {"result": REGIONS, "score": 0.5}


def response(*predictions: Any, **more: Any) -> ModelResponse:
    return ModelResponse(predictions=list(predictions), **more)


RETURNS: dict[str, Any] = {
    "none": lambda: None,
    "dict": lambda: ONE,
    "dict_predictions": lambda: {"predictions": [{"result": REGIONS}], "model_version": "x"},
    "list": lambda: [ONE],
    "tuple": lambda: ({"result": REGIONS},),
    "str": lambda: "hello",
    "empty_list": lambda: [],
    "mr_empty": lambda: response(),
    "mr_dict": lambda: response(ONE),
    "mr_extra": lambda: response({**ONE, "foo": 1}, model_versions="zz"),
    "mr_version": lambda: response(
        {"result": REGIONS}, {"result": REGIONS, "model_version": "own"}, model_version="top"
    ),
    "mr_nested": lambda: response(
        [PredictionValue(result=REGIONS), PredictionValue(result=REGIONS, score=1)],
        PredictionValue(result=REGIONS),
    ),
    "mr_np64": lambda: response({"result": REGIONS, "score": np.float64(0.25)}),
    "mr_np32": lambda: response({"result": REGIONS, "score": np.float32(0.25)}),
    "mr_np32_inner": lambda: response(
        {"result": [{**REGIONS[0], "score": np.float32(0.25)}], "score": 0.1}
    ),
    "mr_npint_inner": lambda: response(
        {"result": [{**REGIONS[0], "start": np.int64(3)}], "score": 0.1}
    ),
    "list_np64": lambda: [{"result": REGIONS, "score": np.float64(0.25)}],
    "list_np32": lambda: [{"result": REGIONS, "score": np.float32(0.25)}],
    "list_npint": lambda: [{"result": REGIONS, "start": np.int64(3)}],
    "list_nparray": lambda: [{"result": REGIONS, "a": np.zeros(2)}],
    "list_nan": lambda: [{"score": float("nan"), "inf": float("inf")}],
    "list_dt": lambda: [
        {
            "d": datetime.datetime(2020, 1, 2, 3, 4, 5),
            "dd": datetime.date(2020, 1, 2),
            "u": uuid.UUID(int=1),
            "dec": decimal.Decimal("1.50"),
        }
    ],
    "list_bytes": lambda: [{"b": b"x"}],
    "list_set": lambda: [{"s": {1}}],
    "list_intkeys": lambda: [{2: "b", 1: "a", 10: "c"}],
    "list_mixkeys": lambda: [{"b": 1, 1: 2}],
    "list_unicode": lambda: [{"я": "é😀", "a": "</script>&\u2028"}],
    "mr_score_none": lambda: response({"result": REGIONS, "score": None}),
    "mr_score_str": lambda: response({"result": REGIONS, "score": "abc"}),
}


def flask_request() -> Any:
    from flask import current_app, has_request_context, request

    return {
        "ctx": has_request_context(),
        "path": request.path,
        "json_keys": sorted(request.get_json()),
        "hdr": request.headers.get("X-Test"),
        "app": current_app.name,
        "remote": request.remote_addr,
    }


def not_found() -> Any:
    from werkzeug.exceptions import NotFound

    raise NotFound("x")


def failing(error: BaseException) -> Any:
    def fail() -> Any:
        raise error

    return fail


RAISES: dict[str, Any] = {
    "raise_value": failing(ValueError("boom é")),
    "raise_assert": failing(AssertionError("assert msg")),
    "raise_index": lambda: [][0],  # type: ignore[misc]
    "raise_fnf": failing(FileNotFoundError("nofile")),
    "raise_sysexit": failing(SystemExit(3)),
    "raise_http": not_found,
    "raise_answer": failing(AnswerException(418, "teapot", {"a": 1})),
    "raise_answer_noresult": failing(AnswerException(418, "teapot")),
}


class Probe(LabelStudioMLBase):
    """Does what it is told."""

    def predict(self, tasks: Any, context: Any = None, **kwargs: Any) -> Any:
        mode = tasks[0]["data"].get("mode") if tasks else "none"
        if mode in RETURNS:
            return RETURNS[mode]()
        if mode in RAISES:
            return RAISES[mode]()
        said: dict[str, Any] = {"mode": mode}
        if mode == "kwargs":
            version = str(self.model_version)
            said = {"ctx": context, "kw": kwargs, "pid": self.project_id, "mv": version}
        elif mode == "mr_pv_region":
            region = self.label_interface.get_tag("c").label("a")
            return response(PredictionValue(result=[region], score=0.1))
        elif mode == "mr_mv_semver":
            return response({"result": REGIONS, "model_version": self.model_version})
        elif mode == "get_missing":
            said = {"v": self.get("nokey"), "has": self.has("nokey"), "lc": self.label_config}
            said |= {"extra": self.extra_params, "mv": self.get("model_version")}
        elif mode == "get_int":
            said = {"v": self.get(5)}  # type: ignore[arg-type]
        elif mode == "set_nonstr":
            self.set("k", 5)  # type: ignore[arg-type]
            return []
        elif mode == "flask_request":
            said = flask_request()
        elif mode == "bump":
            said = {"v": str(self.bump_model_version()), "now": self.get("model_version")}
        elif mode == "thread":
            said = {"main": threading.current_thread() is threading.main_thread()}
        return [said]

    def fit(self, event: str, data: dict[str, Any], **kwargs: Any) -> Any:
        mode = data.get("mode")
        if mode == "none":
            return None
        if mode == "dict":
            return {"a": 1}
        if mode == "unser":
            return {"a": object()}
        if mode == "np":
            return {"a": np.float32(1)}
        if mode == "raise":
            raise ValueError("fit boom")
        if mode == "assert":
            raise AssertionError("fit assert")
        if mode == "index":
            return [][0]  # type: ignore[misc]
        if mode == "fnf":
            raise FileNotFoundError("fit nofile")
        if mode == "keys":
            return {"event": event, "keys": sorted(data), "kw": kwargs}
        self.set("k", "v")
        return "ok"
