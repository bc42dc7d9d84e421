"""Recorded results of the original parsers, through the Python interface."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hosting import ROOT

from label_studio_ml.label_config import parse_config

RECORDED = json.loads((ROOT / "tests" / "fixtures" / "label_configs.json").read_text())["cases"]
SIDES = {"tools": "label_studio_tools_0_0_4", "sdk": "label_studio_sdk_2_1_2"}


def test_there_are_cases() -> None:
    assert len(RECORDED) > 90


@pytest.mark.parametrize("dialect", ["tools", "sdk"])
@pytest.mark.parametrize("case", RECORDED, ids=lambda case: case["id"])
def test_a_config_gives_the_recorded_dict_or_exception(case: dict[str, Any], dialect: Any) -> None:
    recorded = case[SIDES[dialect]]
    if "ok" in recorded:
        # The text is compared, since the order of keys counts.
        assert json.dumps(parse_config(case["config"], dialect)) == json.dumps(recorded["ok"])
    else:
        with pytest.raises(Exception) as raised:
            parse_config(case["config"], dialect)
        cls = type(raised.value)
        name = cls.__name__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__name__}"
        assert name == recorded["exception"].removeprefix("builtins.")
