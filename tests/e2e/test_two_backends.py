"""Two ML backends in one project: the first one predicts, both learn."""

from __future__ import annotations

from collections.abc import Callable

from connected import Connected, texts
from hosting import Server
from rest import CONNECTED

Connect = Callable[..., Connected]


def test_two_backends(connect: Connect, majorities: Callable[[str], Server]) -> None:
    project = connect(majorities("v1"), texts("one", "two"), title="two backends")
    second = majorities("v2")
    row = project.api.connect_backend(project.project, second.url, "second")
    rows = project.api.backends(project.project)
    assert [(row["state"], row["model_version"]) for row in rows] == [
        (CONNECTED, "INITIAL"),
        (CONNECTED, "0.0.1"),
    ]
    assert sorted(hook["url"] for hook in project.api.webhooks(project.project)) == sorted(
        f"{server.url}/webhook" for server in (project.server, second)
    )
    assert {row["model_version"] for row in project.retrieve().values()} == {"INITIAL"}

    project.annotate(project.tasks[0], "Negative")
    project.trained("INITIAL")
    second.wait_trained(project.key)
    assert project.api.backend(row["id"])["model_version"] != "0.0.1"
    assert project.predicted() == "Negative"

    # The second one takes over once the first one is removed.
    project.api.delete_backend(project.backend)
    project.backend, project.server = row["id"], second
    assert project.predicted() == "Negative"
