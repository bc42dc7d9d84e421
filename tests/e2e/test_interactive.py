"""Interactive labelling: what the editor sends when a region was drawn, and what it gets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import HERE, ROOT
from connected import Connected, texts
from hosting import Server

Connect = Callable[..., Connected]
Serve = Callable[..., Server]

SUBSTRING = ROOT / "examples" / "substring_matching"
CONFIG = (SUBSTRING / "label_config.xml").read_text(encoding="utf-8")
TEXT = "Zoë 🦊 met zoë in München"


def drawn(start: int, end: int) -> dict[str, Any]:
    value = {"start": start, "end": end, "text": TEXT[start:end], "labels": ["Person"]}
    region = {"id": "r1", "from_name": "label", "to_name": "text", "type": "labels"}
    return {"result": [{**region, "value": value}]}


@pytest.mark.parametrize(
    ("script", "marked"),
    [
        pytest.param(SUBSTRING / "substring_matching.py", "zoë", id="v1"),
        pytest.param(HERE / "models" / "whole_text.py", TEXT, id="v2"),
    ],
)
def test_interactive(connect: Connect, serve: Serve, script: Path, marked: str) -> None:
    project = connect(serve(script), texts(TEXT), config=CONFIG, is_interactive=True)
    (task,) = project.tasks
    answer = project.api.interactive(project.backend, task, drawn(0, 3))
    (region,) = answer["data"]["result"]
    value = region["value"]
    assert (value["text"], value["labels"]) == (marked, ["Person"])
    assert TEXT[value["start"] : value["end"]] == marked
    # Before anything is drawn the editor sends no context.
    assert project.api.interactive(project.backend, task, None)["data"]["result"] == []
    # A batch has no context either; an empty result is a prediction too.
    assert [row["result"] for row in project.retrieve().values()] == [[]]


def test_a_backend_that_is_not_interactive(connect: Connect, majority: Server) -> None:
    project = connect(majority, texts("one"))
    answer = project.api.interactive(project.backend, project.tasks[0], drawn(0, 3))
    assert answer == {"errors": ["Model is not set to be used for interactive preannotations"]}
