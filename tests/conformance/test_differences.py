"""The comparison itself: an unlisted difference fails, and so does a listed one that no longer exists."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from backends import VERSION, Answer, reduced
from comparison import Difference, Table, compare
from differences import DIFFERENCES
from differences_older import OLDER_DIFFERENCES
from differences_recorded import RECORDED_DIFFERENCES
from patterns import Expect, ok
from reasons import because
from recorded import load
from scenarios import (
    SCENARIOS,
)

WHY = because("a test", "a row")
JSON = "application/json"
THEIRS = Answer(200, {"a": 1, "b": 2}, JSON)
OTHER = Answer(200, {"a": 1, "b": 3}, JSON)
ROW = Difference(ok({"a": 1, "b": 2}), ok({"a": 1, "b": 3}), WHY)


def test_alike_is_right_without_a_row() -> None:
    assert not compare(None, THEIRS, THEIRS)


@pytest.mark.parametrize(
    "ours",
    [
        OTHER,
        replace(THEIRS, status=201),
        replace(THEIRS, media_type="text/html"),
        replace(THEIRS, allow=("GET",)),
        replace(THEIRS, body={"a": 1}),
        replace(THEIRS, body={"a": 1, "b": 2, "c": 3}),
        replace(THEIRS, body={"a": True, "b": 2}),
        replace(THEIRS, body={"a": 1, "b": 2.0}),
    ],
    ids=["value", "status", "media type", "allow", "less", "more", "true for 1", "2.0 for 2"],
)
def test_a_difference_without_a_row_fails(ours: Answer) -> None:
    assert compare(None, THEIRS, ours)


def test_a_row_allows_what_it_says() -> None:
    assert not compare(ROW, THEIRS, OTHER)
    assert not compare(replace(ROW, ours=lambda body: {**body, "b": 3}), THEIRS, OTHER)
    assert not compare(replace(ROW, allow=("GET",)), THEIRS, replace(OTHER, allow=("GET",)))


@pytest.mark.parametrize("ours", [ok({"a": 1, "b": 2}), ok(lambda body: True), lambda body: body])
def test_a_row_whose_difference_is_gone_fails(ours: Any) -> None:
    assert "untrue" in compare(replace(ROW, ours=ours), THEIRS, THEIRS)


def test_a_row_allows_nothing_else() -> None:
    other = replace(OTHER, body={"a": 1, "b": 4})
    assert compare(ROW, THEIRS, other)
    assert compare(replace(ROW, ours=lambda body: {**body, "b": 3}), THEIRS, other)
    assert compare(ROW, THEIRS, replace(OTHER, status=201))
    assert compare(ROW, THEIRS, replace(OTHER, allow=("GET",)))
    assert compare(replace(ROW, allow=("GET",)), THEIRS, OTHER)


def test_a_row_that_is_wrong_about_upstream_fails() -> None:
    assert not ROW.upstream.mismatch(THEIRS)
    assert ROW.upstream.mismatch(OTHER)
    assert Expect(500, {"a": 1, "b": 2}).mismatch(THEIRS)


def test_an_error_without_a_code_fails() -> None:
    theirs = Answer(500, {"detail": "ValueError: bad"}, JSON)
    assert not compare(None, theirs, replace(theirs, code="model_raised"))
    assert "without a code" in compare(None, theirs, theirs)


def test_a_prediction_without_a_version_fails() -> None:
    theirs = Answer(200, {"model_version": VERSION, "results": [{"result": []}]}, JSON)
    versioned = [{"result": [], "model_version": VERSION}]
    ours = replace(theirs, body={"model_version": VERSION, "results": versioned})
    assert not compare(None, theirs, ours)
    assert "without a version" in compare(None, theirs, theirs)


def test_a_prediction_with_another_version_than_its_answer_shows() -> None:
    predictions = [{}, {"model_version": "2"}, [{"model_version": "1"}], {"model_version": "mine"}]
    results = reduced({"model_version": "2", "results": predictions})["results"]
    assert results[:2] == [{}, {"model_version": VERSION}]
    assert results[2] != [{"model_version": VERSION}]
    assert results[3] == {"model_version": "mine"}


@pytest.mark.parametrize("table", [DIFFERENCES, OLDER_DIFFERENCES])
def test_tables_are_consistent(table: Table) -> None:
    steps = [(scenario.name, step.name) for scenario in SCENARIOS for step in scenario.steps]
    assert len(steps) == len(set(steps)), "a step's name is used twice in a scenario"
    assert not table.keys() - set(steps), "a difference belongs to no step"
    ids = {scenario.project_id for scenario in SCENARIOS}
    assert len(ids) == len(SCENARIOS), "two scenarios share a project"


def test_every_row_about_the_recording_belongs_to_an_answer() -> None:
    runs = load()
    kept = [(run.name, step.name) for run in runs for step in run.steps if step.answer is not None]
    assert len(kept) == len(set(kept))
    assert not RECORDED_DIFFERENCES.keys() - set(kept)
