"""What Label Studio does with wrong predictions, and that our server reports each of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from connected import Connected
from hosting import Server
from mistakes import CONFIG
from rest import ApiError

#: Mistakes of the model with the first of two tasks, and how many predictions Label Studio stores.
STORED = {
    "none": 1,
    "no result": 1,
    "version none": 2,
    "other version": 2,
    "result dict": 2,
    "from_name": 2,
    "to_name": 2,
    "type": 2,
    "label": 2,
    "pixels": 2,
    "nothing": 0,
    "returns none": 0,
    "returns dict": 0,
}
#: Those for which it refuses the whole batch.
REFUSED = ("result none", "score", "region text")


@pytest.fixture
def project(connect: Callable[..., Connected], mistaken: Server) -> Callable[..., Connected]:
    def made(*mistakes: str) -> Connected:
        tasks = [
            {"data": {"text": "fine", "image": "/i.png", "mistake": mistake}}
            for mistake in mistakes
        ]
        return connect(mistaken, tasks, config=CONFIG)

    return made


def told(connected: Connected) -> list[str]:
    mistakes = connected.server.get("/diagnostics").json()["mistakes"]
    return [entry["cause"] for entry in mistakes if entry["project"] == connected.key]


@pytest.mark.parametrize("mistake", STORED)
def test_what_is_stored(project: Callable[..., Connected], mistake: str) -> None:
    connected = project(mistake, "right")
    connected.api.retrieve_predictions(connected.project)
    assert len(connected.api.predictions(connected.project)) == STORED[mistake]
    assert told(connected)


@pytest.mark.parametrize("mistake", REFUSED)
def test_what_costs_the_whole_batch(project: Callable[..., Connected], mistake: str) -> None:
    connected = project(mistake, "right")
    with pytest.raises(ApiError) as refused:
        connected.api.retrieve_predictions(connected.project)
    assert refused.value.status == 400
    assert not connected.api.predictions(connected.project)
    assert told(connected)


def test_fewer_results_than_tasks_are_all_lost(project: Callable[..., Connected]) -> None:
    connected = project("fewer", "right", "right")
    connected.api.retrieve_predictions(connected.project)
    assert not connected.api.predictions(connected.project)
    assert told(connected) == ["wrong-number-of-results"]


def test_one_for_all_is_asked_for_one_by_one(project: Callable[..., Connected]) -> None:
    connected = project("one for all", "right", "right")
    connected.api.retrieve_predictions(connected.project)
    assert len(connected.api.predictions(connected.project)) == 3
    assert told(connected) == ["one-for-several"]


def test_another_version_is_asked_for_again_and_again(
    project: Callable[..., Connected],
) -> None:
    connected = project("other version")
    for times in (1, 2):
        connected.api.retrieve_predictions(connected.project)
        assert len(connected.api.predictions(connected.project)) == times
    assert told(connected) == ["other-version"]


def test_right_predictions_have_no_findings(project: Callable[..., Connected]) -> None:
    connected = project("right", "right", "several", "empty")
    connected.api.retrieve_predictions(connected.project)
    assert len(connected.api.predictions(connected.project)) == 4
    assert not told(connected)
