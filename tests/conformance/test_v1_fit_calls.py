"""`fit` of API v1 gets for an event what 1.0.9 passes, wherever its parameters take that."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from services import child_environment
from upstream import upstream_venv

#: The same program for both packages: what `fit` with some parameters gets.
PROGRAM = """
import json, sys
from label_studio_ml.model import LabelStudioMLBase

def told(parameters):
    found = {"Base": LabelStudioMLBase}
    exec(
        "class Model(Base):\\n"
        "    LABEL_STUDIO_ML_API = 1\\n"
        "    def predict(self, tasks, **kwargs): return []\\n"
        f"    def fit(self, {parameters}):\\n"
        "        got = locals()\\n"
        "        return {name: got[name] for name in got if name != 'self'}\\n",
        found,
    )
    try:
        return found["Model"]().process_event(
            "ANNOTATION_CREATED", {"project": {"id": 2}}, "7", {"workdir": "w"}
        )
    except TypeError:
        return "TypeError"

print(json.dumps({parameters: told(parameters) for parameters in sys.argv[1:]}))
"""
#: Parameters to which the original's call fits.
FITTING = [
    "tasks, workdir=None, **kwargs",
    "completions, **kwargs",
    "annotations=None, workdir=None, event=None, data=None, **kw",
    "*args, **kwargs",
    "x, y=None, **kw",
    "tasks, payload=None, **kwargs",
    "tasks, body=None, action=None, **kwargs",
    "tasks, event, data, **kw",
    "items=(), *, event=None, data=None, job_id=None, workdir=None",
    "data_iter, workdir, event, data, job_id",
]
#: Parameters to which it does not fit, and what they get here.
EVENT, DATA = "ANNOTATION_CREATED", {"project": {"id": 2}}
OTHERS: dict[str, Any] = {
    "event": {"event": EVENT},
    "event, payload": {"event": EVENT, "payload": DATA},
    "action, data": {"action": EVENT, "data": DATA},
    "**kwargs": {"kwargs": {"event": EVENT, "data": DATA, "job_id": "7", "workdir": "w"}},
    "tasks, event": {"tasks": [], "event": EVENT},
    "tasks, workdir=None": "TypeError",
}


def told(python: Path | str) -> dict[str, Any]:
    done = subprocess.run(
        [str(python), "-c", PROGRAM, *FITTING, *OTHERS],
        env=child_environment(),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def both() -> tuple[dict[str, Any], dict[str, Any]]:
    return told(upstream_venv() / "bin" / "python"), told(sys.executable)


def test_a_call_that_fits_is_the_originals(both: tuple[dict[str, Any], dict[str, Any]]) -> None:
    original, ours = both
    for parameters in FITTING:
        assert original[parameters] != "TypeError", parameters
        assert ours[parameters] == original[parameters], parameters


def test_a_call_that_does_not_fit_is_bound(both: tuple[dict[str, Any], dict[str, Any]]) -> None:
    original, ours = both
    for parameters, expected in OTHERS.items():
        assert original[parameters] == "TypeError", parameters
        assert ours[parameters] == expected, parameters
