"""Connecting, changing and losing an ML backend, as in the settings of a project."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from conftest import MAJORITY
from connected import CHOICES, Connected, choice, texts
from hosting import Server, free_port
from rest import CONNECTED, DISCONNECTED, ERROR, Api, ApiError

Connect = Callable[..., Connected]
Serve = Callable[..., Server]


def refused(api: Api, project: int, url: str, **fields: str) -> str:
    """Try to connect; what Label Studio says against it."""
    with pytest.raises(ApiError) as caught:
        api.connect_backend(project, url, "refused", **fields)
    assert caught.value.status == 400
    assert not api.backends(project)
    return caught.value.text


def test_connect(connect: Connect, majority: Server, api_version: str) -> None:
    project = connect(majority)
    row = project.row()
    assert row["readable_state"] == "Connected"
    assert row["model_version"] == {"v1": "INITIAL", "v2": "0.0.1"}[api_version]
    assert row["error_message"] is None
    hook = project.webhook
    assert hook["url"] == f"{majority.url}/webhook"
    assert hook["send_payload"] and hook["send_for_all_actions"] and hook["is_active"]


def test_an_address_with_a_slash_at_its_end(connect: Connect, majority: Server) -> None:
    project = connect(majority, texts("one"), url=f"{majority.url}/")
    assert project.predicted() == "Positive"
    assert project.webhook["url"] == f"{majority.url}/webhook"


def test_extra_params_of_every_kind(connect: Connect, majority: Server) -> None:
    project = connect(majority, texts("one"), extra_params={"threshold": 0.5})
    assert project.predicted() == "Positive"
    for params in ('{"threshold": 0.5}', "just text", None):
        project.change(extra_params=params)
        assert project.row()["extra_params"] == params


def test_connect_again(connect: Connect, majority: Server, api: Api) -> None:
    project = connect(majority, texts("one"))
    api.delete_backend(project.backend)
    # The webhook of the deleted backend is still there, and the new one takes it over.
    assert project.webhook["url"] == f"{majority.url}/webhook"
    project.backend = api.connect_backend(project.project, majority.url, "again")["id"]
    before = project.version
    project.annotate(project.tasks[0], "Negative")
    project.trained(before)
    assert project.predicted() == "Negative"
    assert len([job for job in project.jobs() if job["event"] == "ANNOTATION_CREATED"]) == 1


def test_move_to_another_address(connect: Connect, majority: Server, serve: Serve) -> None:
    project = connect(majority, texts("one"))
    assert project.change(title="renamed")["title"] == "renamed"
    assert project.row()["title"] == "renamed"

    other = serve(MAJORITY["v2"])
    project.change(url=other.url)
    project.server = other
    assert project.predicted() == "Positive"
    # Events go on to the first address, as the webhook is made only once.
    assert project.webhook["url"] == f"{majority.url}/webhook"


def test_nobody_at_the_address(majority: Server, api: Api) -> None:
    project = api.create_project("nobody there", CHOICES)
    said = refused(api, project, f"http://127.0.0.1:{free_port()}")
    assert "health check failed" in said and "Connection refused" in said
    assert "404 Client Error" in refused(api, project, f"{majority.url}/nothing-here")


def test_the_reason_why_a_model_cannot_be_loaded_is_shown(majority: Server, api: Api) -> None:
    config = '<View><Text name="text" value="$text"/><TextArea name="t" toName="text"/></View>'
    project = api.create_project("no choices", config)
    said = refused(api, project, majority.url)
    assert "doesn't look like a valid ML backend" in said
    assert "500 Server Error: ValueError: " in said and "Choices" in said


def test_the_backend_stops_and_comes_back(connect: Connect, serve: Serve, api_version: str) -> None:
    server = serve(MAJORITY[api_version])
    project = connect(server, texts("one", "two"))
    before = project.version
    project.annotate(project.tasks[0], "Negative")
    trained = project.trained(before)
    project.retrieve()

    assert server.stop() == 0
    row = project.api.backend(project.backend)
    assert (row["state"], row["model_version"]) == (DISCONNECTED, trained)
    # An annotation is saved although no ML backend gets the event, and no prediction is retrieved.
    project.annotate(project.tasks[1], "Negative")
    assert project.api.retrieve_predictions(project.project) == 2
    assert {row["model_version"] for row in project.newest().values()} == {trained}

    server.start()
    assert project.version == trained
    project.tasks += project.api.import_tasks(project.project, texts("three"))
    assert project.predicted() == "Negative"


def test_the_labelling_config_changes(connect: Connect, majority: Server) -> None:
    """A config that the model cannot work with is an error with a reason, until it is mended."""
    project = connect(majority, texts("one"))
    other = CHOICES.replace("Positive", "Yes").replace("Negative", "No")
    project.api.change_project(project.project, label_config=other)
    project.settled()
    assert project.predicted() == "Yes"

    useless = '<View><Text name="text" value="$text"/><TextArea name="t" toName="text"/></View>'
    project.api.change_project(project.project, label_config=useless)
    row = project.api.backend(project.backend)
    assert row["state"] == ERROR
    assert "500 Server Error: ValueError: " in row["error_message"]

    project.api.change_project(project.project, label_config=other)
    assert project.api.backend(project.backend)["state"] == CONNECTED
    project.api.annotate(project.tasks[0], result=choice("No"))
