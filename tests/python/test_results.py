"""Return values of models as JSON, with values of the real packages."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import json
import logging
import pathlib
import uuid
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pandas as pd
import pydantic
import pytest
import semver

from label_studio_ml import _native


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


@dataclasses.dataclass
class Box:
    x: float
    score: Any = None


class Region(pydantic.BaseModel):
    id: str
    path: pathlib.Path


DATE = "Thu, 02 Jan 2020 03:04:05 GMT"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.arange(4).reshape(2, 2), [[0, 1], [2, 3]]),
        (np.datetime64("2020-01-02T03:04:05"), DATE),
        ({np.int64(7): "key"}, {"7": "key"}),
        (pd.Timestamp("2020-01-02 03:04:05"), DATE),
        (pd.Series([1, 2]), [1, 2]),
        (pd.Series([1.5]).iloc[0], 1.5),
        (pd.NaT, None),
        (pd.NA, None),
        (datetime.datetime(2020, 1, 2, 3, 4, 5), DATE),
        (datetime.date(2020, 1, 2), "Thu, 02 Jan 2020 00:00:00 GMT"),
        (decimal.Decimal("1.50"), "1.50"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (pathlib.Path("/a/b"), "/a/b"),
        (Colour.RED, "red"),
        (Level.HIGH, 3),
        (Box(1.5, np.float32(0.25)), {"x": 1.5, "score": 0.25}),
        (Region(id="r", path=pathlib.Path("/a")), {"id": "r", "path": "/a"}),
        (semver.Version(1, 2, 3), "1.2.3"),
        ((1, "two"), [1, "two"]),
        (2**70, 2**70),
    ],
    ids=lambda value: type(value).__name__,
)
def test_it_is_written_as_what_it_stands_for(value: Any, written: Any) -> None:
    assert json.loads(_native.to_json([{"result": value}])) == [{"result": written}]


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), np.float32("nan")])
def test_no_number_is_null_and_a_warning(value: Any, caplog: pytest.LogCaptureFixture) -> None:
    results = {"results": [{}, {"score": value, "others": [value, value]}]}
    with caplog.at_level(logging.WARNING, "label_studio_ml"):
        written = json.loads(_native.to_json(results))
    assert written["results"][1] == {"score": None, "others": [None, None]}
    (record,) = caplog.records
    # Members are written in the order of their names.
    assert record.message.startswith("results[1].others[0] is NaN or infinite, and 2 more: ")


@pytest.mark.parametrize("value", [{1}, b"bytes", bytearray(b"x"), object(), iter([1]), 1j])
def test_what_cannot_be_written_names_its_place(value: Any) -> None:
    results = {"results": [{"result": [{"value": value}]}]}
    with pytest.raises(TypeError, match=r"^results\[0\]\.result\[0\]\.value: Object of type "):
        _native.to_json(results)


def test_a_value_that_contains_itself_is_an_error() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    with pytest.raises(ValueError, match="contains itself"):
        _native.to_json(cycle)


def test_a_number_longer_than_pythons() -> None:
    assert _native.to_json(np.longdouble("0.5")) == "0.5"


def test_a_mock_is_an_error() -> None:
    with pytest.raises(TypeError, match=r"^score: .*Mock is not JSON serializable"):
        _native.to_json({"score": MagicMock()})
