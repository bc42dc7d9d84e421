"""A deterministic model of the 2022 interface that answers with what it was given.

`predict` returns one prediction per task with an `echo` of what it was called with.  The first
task may carry an order in `data.do`: to tell about the instance, a shape to return, or an error
to raise.  `fit` returns a summary of its arguments and of the instance, or follows the order of
the first task or of the event's annotation.
"""

from __future__ import annotations

import dataclasses
import datetime
import importlib
import os
import sys
import time
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from label_studio_ml.exceptions import AnswerException
from label_studio_ml.model import LabelStudioMLBase

if TYPE_CHECKING:
    # On Python 3.10 upstream takes what this name stands for to be a class, and `init` fails.
    Item = dict[str, Any]


class OddError(Exception):
    """An exception class that only the model knows."""


@dataclasses.dataclass
class Region:
    """Neither a dict nor any other type of JSON."""

    start: int
    end: int


class EchoModel(LabelStudioMLBase):
    """Says what it sees."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.calls = 0

    def predict(self, tasks: list[Item], **kwargs: Any) -> Any:
        self.calls += 1
        order = tasks[0]["data"].get("do") if tasks else None
        if order in RAISES:
            raise RAISES[order]()
        if order == "exit":
            sys.exit(3)
        if order == "brief":
            return [self._prediction(task) for task in tasks]
        if order == "where":
            here = self.train_output["pid"] == os.getpid()
            return [dict(self._prediction(task), trained_here=here) for task in tasks]
        if order == "self":
            return [dict(self._prediction(task), echo=self._self()) for task in tasks]
        answer = [dict(self._prediction(task), echo=self._echo(task, kwargs)) for task in tasks]
        return RESHAPES[order](answer) if order else answer

    def fit(self, tasks: Iterable[Item], workdir: str | None = None, **kwargs: Any) -> Any:
        tasks = list(tasks)
        event = kwargs.get("event")
        if event:
            annotation = kwargs["data"].get("annotation")
            order = annotation.get("do") if isinstance(annotation, dict) else None
        else:
            order = tasks[0]["data"].get("do")
        if order == "raise":
            raise ValueError("the training was told to fail")
        if order == "nothing":
            return None
        if order == "list":
            return ["no", "dict"]
        if order == "set":
            return {"labels": {"a", "b"}}
        if order == "where":
            return {"pid": os.getpid()}
        if order == "slow":
            time.sleep(1.5)
        if event:
            return {
                "event": event,
                "data": sorted(kwargs["data"]),
                "project": kwargs["data"]["project"]["id"],
                "tasks": len(tasks),
                "given": sorted(kwargs),
                "job": kwargs["job_id"],
                "workdir": workdir is not None and Path(workdir).is_dir(),
                "before": self.train_output.get("event"),
                "config": self.label_config,
                "hostname": self.hostname,
                "access_token": self.access_token,
            }
        return {
            "texts": [task["data"]["text"] for task in tasks],
            "labels": [task["annotations"][0]["result"] for task in tasks],
            "params": kwargs,
            "workdir": workdir is not None and Path(workdir).is_dir(),
            "before": self.train_output.get("texts"),
            "config": self.label_config,
            7: "an integer key",
        }

    def _prediction(self, task: Item) -> Item:
        regions = []
        for name, control in self.parsed_label_config.items():
            regions.append(
                {
                    "from_name": name,
                    "to_name": control["to_name"][0],
                    "type": control["type"].lower(),
                    "value": {"choices": control["labels"][:1]},
                }
            )
        return {"result": regions, "score": 0.5}

    def _echo(self, task: Item, kwargs: Item) -> Item:
        return {
            "data": task["data"],
            "task_keys": sorted(task),
            "kwargs": kwargs,
            "label_config": self.label_config,
            "parsed_label_config": self.parsed_label_config,
            "train_output": self.train_output,
        }

    def _self(self) -> Item:
        return {
            "calls": self.calls,
            "hostname": self.hostname,
            "access_token": self.access_token,
            "train_output": self.train_output,
        }


def _recurse() -> NoReturn:
    _recurse()


RAISES: dict[str, Callable[[], BaseException]] = {
    "raise": lambda: ValueError("told to fail"),
    "raise_key": lambda: KeyError("missing"),
    "raise_odd": lambda: OddError("one", 2),
    "raise_assertion": lambda: AssertionError(),
    "raise_not_found": lambda: FileNotFoundError(2, "No such file or directory", "weights.bin"),
    "raise_lines": lambda: RuntimeError("first line\nsecond line"),
    "raise_unicode": lambda: RuntimeError("nicht möglich: 日本"),
    "raise_deep": _recurse,
    "answer": lambda: AnswerException(418, "there is no tea", {"pot": "short and stout"}),
    "answer_empty": lambda: AnswerException(418, "there is no tea"),
}


def _numpy(kind: str, value: object) -> Callable[[list[Item]], object]:
    # Imported here, since only this instruction needs the package.
    return lambda answer: [
        dict(item, value=getattr(importlib.import_module("numpy"), kind)(value)) for item in answer
    ]


RESHAPES: dict[str, Callable[[list[Item]], object]] = {
    "none": lambda answer: None,
    "empty": lambda answer: [],
    "short": lambda answer: answer[:-1],
    "long": lambda answer: [*answer, answer[0]],
    "dict": lambda answer: answer[0],
    "tuple": tuple,
    "text": lambda answer: "no list",
    "list_per_task": lambda answer: [[item, item] for item in answer],
    "empty_list_per_task": lambda answer: [[] for _ in answer],
    "null_item": lambda answer: [None, *answer[1:]],
    "no_result": lambda answer: [{"score": 0.5} for _ in answer],
    "result_null": lambda answer: [dict(item, result=None) for item in answer],
    "result_dict": lambda answer: [dict(item, result={"a": 1}) for item in answer],
    "no_score": lambda answer: [{"result": item["result"]} for item in answer],
    "score_null": lambda answer: [dict(item, score=None) for item in answer],
    "score_text": lambda answer: [dict(item, score="0.5") for item in answer],
    "score_nan": lambda answer: [dict(item, score=float("nan")) for item in answer],
    "score_infinite": lambda answer: [dict(item, score=float("-inf")) for item in answer],
    "own_version": lambda answer: [dict(item, model_version="mine-1") for item in answer],
    "version_null": lambda answer: [dict(item, model_version=None) for item in answer],
    "extra": lambda answer: [dict(item, cluster=3, neighbors=[1], nested=({},)) for item in answer],
    "unicode": lambda answer: [
        dict(item, note="nicht möglich: 日本 \U0001f600 \ud800 \x7f</b>") for item in answer
    ],
    "large_int": lambda answer: [dict(item, number=2**70) for item in answer],
    "floats": lambda answer: [
        dict(item, numbers=[0.1, 1e300, 5e-324, -0.0, 1.0]) for item in answer
    ],
    "int_keys": lambda answer: [dict(item, table={1: "a", 10: "b", 2: "c"}) for item in answer],
    "datetime": lambda answer: [
        dict(item, at=datetime.datetime(2024, 3, 4, 9, 0, 21), on=datetime.date(2024, 3, 4))
        for item in answer
    ],
    "uuid": lambda answer: [dict(item, id=uuid.UUID(int=1)) for item in answer],
    "numpy_float64": _numpy("float64", 0.25),
    "numpy_float32": _numpy("float32", 0.25),
    "numpy_int": _numpy("int64", 3),
    "numpy_array": _numpy("array", [[1, 2], [3, 4]]),
    "path": lambda answer: [dict(item, file=Path("weights.bin")) for item in answer],
    "dataclass": lambda answer: [dict(item, region=Region(1, 2)) for item in answer],
    "set": lambda answer: [dict(item, labels={"a"}) for item in answer],
    "bytes": lambda answer: [dict(item, raw=b"a") for item in answer],
}
