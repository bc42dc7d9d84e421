"""Our server and upstream 1.0.9 answer the same requests alike, but for the listed differences.

`-k as_written` plays the scenarios on upstream alone: it shows that the scenarios and the table of
differences say the truth about it, and needs no build of ours.
"""

from __future__ import annotations

import pytest
from backends import VERSION, Answer, Backend
from differences import DIFFERENCES, Difference, Expect, with_versions
from scenarios import (
    PREDICT,
    SCENARIOS,
    SETUP,
    TRAIN,
    TRAINING_EVENTS,
    Play,
    Scenario,
    Step,
    event,
    play,
    post,
    task,
)

EACH_SCENARIO = pytest.mark.parametrize(
    "scenario", SCENARIOS, ids=[scenario.name for scenario in SCENARIOS]
)


def first_difference(left: object, right: object, where: str = "body") -> str:
    """Where two JSON values differ first; empty if they do not."""
    if isinstance(left, dict) and isinstance(right, dict):
        for key in sorted(left.keys() | right.keys(), key=str):
            if key not in left or key not in right:
                side = "ours" if key in right else "upstream"
                return f"{where}.{key} only in {side}"
            found = first_difference(left[key], right[key], f"{where}.{key}")
            if found:
                return found
        return ""
    if isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for index, (one, other) in enumerate(zip(left, right, strict=True)):
            found = first_difference(one, other, f"{where}[{index}]")
            if found:
                return found
        return ""
    if type(left) is type(right) and left == right:
        return ""
    return f"{where}: upstream {left!r:.200}, ours {right!r:.200}"


def compare(row: Difference | None, upstream: Answer, ours: Answer) -> str:
    """What is wrong with our answer to a step; empty if nothing is."""
    allow = row.allow if row is not None and row.allow is not None else upstream.allow
    if ours.allow != allow:
        return f"Allow: upstream {upstream.allow}, ours {ours.allow}"
    if unversioned := first_difference(with_versions(ours.body), ours.body):
        return f"a prediction without a version: {unversioned}"
    if row is None:
        return alike(upstream, ours, with_versions(upstream.body))
    if not alike(upstream, ours, with_versions(upstream.body)) and upstream.allow == ours.allow:
        return "the answers are alike, the row has become untrue"
    if isinstance(row.ours, Expect):
        return row.ours.mismatch(ours)
    return alike(upstream, ours, with_versions(row.ours(upstream.body)))


def alike(upstream: Answer, ours: Answer, body: object) -> str:
    """How our answer differs from upstream's, of which this is the body expected of ours."""
    if upstream.status != ours.status:
        return f"status: upstream {upstream.status}, ours {ours.status} with {ours.body!r:.300}"
    if upstream.media_type != ours.media_type:
        return f"media type: upstream {upstream.media_type!r}, ours {ours.media_type!r}"
    return first_difference(body, ours.body)


@EACH_SCENARIO
def test_upstream_answers_as_written(scenario: Scenario, upstream_answers: Play) -> None:
    wrong = []
    for step, answer in zip(scenario.steps, upstream_answers(scenario), strict=True):
        if answer.status != step.status:
            wrong.append(f"{step.name}: {answer.status}, not {step.status}; {answer.body!r:.300}")
        row = DIFFERENCES.get((scenario.name, step.name))
        if row is not None and (mismatch := row.upstream.mismatch(answer)):
            wrong.append(f"{step.name}: {mismatch}")
    assert not wrong, "\n".join(wrong)


@EACH_SCENARIO
def test_ours_answers_like_upstream(
    scenario: Scenario, upstream_answers: Play, our_answers: Play
) -> None:
    wrong = []
    both = zip(upstream_answers(scenario), our_answers(scenario), strict=True)
    for step, (upstream, ours) in zip(scenario.steps, both, strict=True):
        row = DIFFERENCES.get((scenario.name, step.name))
        if found := compare(row, upstream, ours):
            wrong.append(f"{step.name}: {found}")
    assert not wrong, "\n".join(wrong)


def test_tables_are_consistent() -> None:
    steps = [(scenario.name, step.name) for scenario in SCENARIOS for step in scenario.steps]
    assert len(steps) == len(set(steps)), "a step's name is used twice in a scenario"
    assert not DIFFERENCES.keys() - set(steps), "a difference belongs to no step"


def test_a_prediction_with_another_version_than_its_answer_shows(ours: Backend) -> None:
    predictions = [{}, {"model_version": "2"}, [{"model_version": "1"}], {"model_version": "mine"}]
    results = ours.comparable({"model_version": "2", "results": predictions})["results"]
    assert results[:2] == [{}, {"model_version": VERSION}]
    assert results[2] != [{"model_version": VERSION}]
    assert results[3] == {"model_version": "mine"}


def test_our_versions_are_initial_then_rising_digits(ours: Backend) -> None:
    steps = [
        Step("setup", post("/setup", SETUP)),
        Step("predict", post("/predict", PREDICT)),
        Step("train", post("/train", TRAIN), 201, "result"),
        Step("setup", post("/setup", SETUP)),
        Step("predict", post("/predict", PREDICT)),
        event("ANNOTATION_CREATED", TRAINING_EVENTS["ANNOTATION_CREATED"]),
        Step("setup", post("/setup", SETUP)),
        Step("predict", post("/predict", PREDICT)),
    ]
    answers = play(ours, Scenario("versions", tuple(steps)), 99)
    versions = [answer.versions for answer in answers if answer.versions]
    assert versions[0] == versions[1] == ("INITIAL",)
    assert versions[2] == versions[3] != versions[0]
    assert versions[4] == versions[5] != versions[2]
    assert int(versions[2][0]) < int(versions[4][0])


def test_our_failed_fit_keeps_the_version(ours: Backend) -> None:
    failing = [task("fine", do="raise")]
    steps = [
        Step("train", post("/train", TRAIN), 201, "result"),
        Step("setup", post("/setup", SETUP)),
        Step("failing", post("/train", TRAIN, annotations=failing), 201, "nothing"),
        Step("setup again", post("/setup", SETUP)),
    ]
    answers = play(ours, Scenario("failed fit", tuple(steps)), 98)
    assert answers[2].status == 201
    assert answers[1].versions == answers[3].versions != ("INITIAL",)
