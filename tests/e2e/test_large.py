"""A project of 5,000 tasks: Label Studio sends them all in one request."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from connected import Connected, chosen, texts
from hosting import Server

TASKS = 5000


@pytest.mark.slow
@pytest.mark.timeout(400)  # Label Studio takes 5 to 20 ms to store a prediction
def test_5000_tasks_in_one_call(
    connect: Callable[..., Connected], majorities: Callable[[str], Server]
) -> None:
    server = majorities("v2")
    numbered = texts(*(f"message number {number}" for number in range(TASKS)))
    project = connect(server, numbered, title="5000 tasks")
    assert len(project.tasks) == TASKS
    before = requests_to_predict(server)
    newest = project.retrieve()
    assert requests_to_predict(server) == before + 1
    assert all(chosen(row) == ["Positive"] for row in newest.values())
    assert len(project.stored()) == TASKS


def requests_to_predict(server: Server) -> int:
    series = 'label_studio_ml_requests_total{route="/predict",status="200"}'
    lines = server.get("/metrics").text.splitlines()
    return sum(int(line.split()[-1]) for line in lines if line.startswith(series))
