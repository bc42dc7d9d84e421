"""All the ways in which Label Studio asks for predictions."""

from __future__ import annotations

from collections.abc import Callable

from connected import Connected, chosen, texts
from hosting import Server

Connect = Callable[..., Connected]


def test_retrieve_predictions_of_all_tasks(connect: Connect, majority: Server) -> None:
    project = connect(majority, texts("one", "two", "three"))
    newest = project.retrieve()
    assert [chosen(row) for row in newest.values()] == [["Positive"]] * 3
    assert {row["score"] for row in newest.values()} == {0.5}
    # Label Studio does not send tasks again that have a prediction of this version.
    assert project.retrieve() == newest
    assert len(project.stored()) == 3


def test_only_tasks_without_a_prediction_are_asked_for(connect: Connect, majority: Server) -> None:
    project = connect(majority, texts("one", "two"))
    first = project.retrieve()
    project.tasks += project.api.import_tasks(project.project, texts("three"))
    again = project.retrieve()
    assert {task: again[task]["id"] for task in first} == {
        task: row["id"] for task, row in first.items()
    }


def test_open_a_task(connect: Connect, majority: Server) -> None:
    project = connect(majority, texts("one", "two"))
    (prediction,) = project.api.open_task(project.tasks[1])["predictions"]
    assert chosen(prediction) == ["Positive"]
    assert prediction["model_version"] == project.version
    assert list(project.newest()) == [project.tasks[1]]


def test_label_stream(connect: Connect, majority: Server) -> None:
    project = connect(majority, texts("one", "two"))
    first = project.api.next_task(project.project)
    assert [chosen(row) for row in first["predictions"]] == [["Positive"]]
    project.annotate(first["id"], "Positive")
    second = project.api.next_task(project.project)
    assert {first["id"], second["id"]} == set(project.tasks)
    assert [chosen(row) for row in second["predictions"]] == [["Positive"]]


def test_predictions_when_the_table_is_opened(connect: Connect, majority: Server) -> None:
    project = connect(majority, texts("one", "two"))
    project.api.load_tab(project.project)
    assert not project.newest()
    project.api.change_project(project.project, evaluate_predictions_automatically=True)
    project.settled()
    project.api.load_tab(project.project)
    assert sorted(project.newest()) == project.tasks


def test_send_test_request(connect: Connect, majority: Server) -> None:
    project = connect(majority, texts("one"))
    answer = project.api.test_prediction(project.backend)
    assert answer["status"] == 200
    assert answer["url"] == f"{majority.url}/predict"
    (prediction,) = answer["response"]
    assert chosen(prediction) == ["Positive"]
    assert prediction["model_version"] == project.version
    assert not project.newest(), "a test stores nothing"
