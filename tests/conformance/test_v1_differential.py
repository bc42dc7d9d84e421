"""Our server and upstream give the same answers to the same requests, except for the listed differences.

`-k as_written` plays the scenarios on upstream alone: it shows that the scenarios and the tables of
differences are right about it, and needs no build of this package.  `-k 1.0.9` leaves the older release
out.
"""

from __future__ import annotations

import pytest
from asking import (
    PREDICT,
    SETUP,
    TRAIN,
    TRAINING_EVENTS,
    event,
    post,
    task,
)
from backends import Backend
from comparison import Table, compare
from differences import DIFFERENCES
from differences_older import OLDER_DIFFERENCES
from playing import Play, Scenario, Step, Upstream, play
from scenarios import (
    SCENARIOS,
)
from upstream import OLDER, Release

TABLES: dict[Release, Table] = {"1.0.9": DIFFERENCES, "1.0.4": OLDER_DIFFERENCES}

EACH_SCENARIO = pytest.mark.parametrize(
    "scenario", SCENARIOS, ids=[scenario.name for scenario in SCENARIOS]
)
EACH_RELEASE = pytest.mark.parametrize("release", TABLES)


@EACH_RELEASE
@EACH_SCENARIO
def test_upstream_answers_as_written(
    scenario: Scenario, release: Release, upstream: Upstream
) -> None:
    wrong = []
    for step, answer in zip(scenario.steps, upstream.answers(scenario), strict=True):
        row = TABLES[release].get((scenario.name, step.name))
        if row is not None and (mismatch := row.upstream.mismatch(answer)):
            wrong.append(f"{step.name}: {mismatch}")
        older = release == OLDER and (scenario.name, step.name) in DIFFERENCES | OLDER_DIFFERENCES
        if answer.status != step.status and not older:
            wrong.append(f"{step.name}: {answer.status}, not {step.status}; {answer.body!r:.300}")
    assert not wrong, "\n".join(wrong)


@EACH_RELEASE
@EACH_SCENARIO
def test_ours_answers_like_upstream(
    scenario: Scenario, release: Release, upstream: Upstream, our_answers: Play
) -> None:
    wrong = []
    both = zip(upstream.answers(scenario), our_answers(scenario), strict=True)
    for step, (theirs, ours) in zip(scenario.steps, both, strict=True):
        row = TABLES[release].get((scenario.name, step.name))
        if found := compare(row, theirs, ours):
            wrong.append(f"{step.name}: {found}")
    assert not wrong, "\n".join(wrong)


def named(name: str) -> Scenario:
    """A scenario of the list."""
    return next(scenario for scenario in SCENARIOS if scenario.name == name)


@EACH_RELEASE
def test_ours_keeps_the_order_of_keys(upstream: Upstream, our_answers: Play) -> None:
    scenario = named("after setup")
    at = [step.name for step in scenario.steps].index("predict")
    assert upstream.answers(scenario)[at].sorted_keys
    assert not our_answers(scenario)[at].sorted_keys


@pytest.mark.parametrize("name", ["service", "failures", "missing fields", "bad input /predict"])
def test_our_reason_phrase_is_the_detail(name: str, newest: Upstream, our_answers: Play) -> None:
    scenario = named(name)
    both = zip(newest.answers(scenario), our_answers(scenario), strict=True)
    refused = 0
    for step, (theirs, ours) in zip(scenario.steps, both, strict=True):
        detail = ours.body["detail"] if ours.status >= 400 and ours.body else ""
        # Characters beyond ASCII are escaped.
        if detail.isascii() and detail:
            assert ours.phrase.split()[:3] == detail.split()[:3], step.name
            assert theirs.status < 400 or theirs.phrase.isupper(), step.name
            refused += 1
    assert refused > 5


def test_train_is_answered_before_it_has_trained(newest: Upstream, our_answers: Play) -> None:
    scenario = named("long training")
    at = [step.name for step in scenario.steps].index("train")
    theirs, ours = newest.answers(scenario)[at].seconds, our_answers(scenario)[at].seconds
    assert theirs > 1
    # It would take at least as long if it waited.
    assert ours < theirs


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
    answers = play(ours, Scenario("versions", tuple(steps)))
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
    answers = play(ours, Scenario("failed fit", tuple(steps)))
    assert answers[2].status == 201
    assert answers[1].versions == answers[3].versions != ("INITIAL",)
