"""From an annotation to a new version, and to predictions of that version."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from connected import Connected, choice, texts
from hosting import Server

Connect = Callable[..., Connected]


def test_created_updated_deleted(connect: Connect, majority: Server) -> None:
    project = connect(majority, texts("one", "two", "three"))
    versions = [project.version]
    assert project.predicted() == "Positive"

    annotation = project.annotate(project.tasks[0], "Negative")
    versions.append(project.trained(versions[-1]))
    assert project.predicted() == "Negative"

    project.api.change_annotation(annotation, result=choice("Positive"))
    versions.append(project.trained(versions[-1]))
    assert project.predicted() == "Positive"

    for task in project.tasks[1:]:
        project.annotate(task, "Negative")
        versions.append(project.trained(versions[-1]))
    assert project.predicted() == "Negative"

    # The action of the data manager sends one event for all annotations.
    deleted = project.api.act(project.project, "delete_tasks_annotations")
    assert deleted["processed_items"] == 3
    versions.append(project.trained(versions[-1]))
    assert project.predicted() == "Positive"
    assert len(set(versions)) == len(versions)

    stored = Counter(row["model_version"] for row in project.stored())
    retrieved = [version for version in versions if version != versions[3]]
    assert stored == dict.fromkeys(retrieved, 3), "predictions of earlier versions stay"


def test_one_annotation_is_deleted(connect: Connect, majority: Server) -> None:
    project = connect(majority, texts("one", "two"))
    versions = [project.version]
    annotation = project.annotate(project.tasks[0], "Negative")
    versions.append(project.trained(versions[-1]))
    project.api.delete_annotation(annotation)
    versions.append(project.trained(versions[-1]))
    assert project.predicted() == "Positive"
    assert [job["event"] for job in project.jobs()] == ["ANNOTATIONS_DELETED", "ANNOTATION_CREATED"]


def test_predictions_become_annotations(connect: Connect, majority: Server) -> None:
    """Create Annotations From Predictions sends one event for all of them."""
    project = connect(majority, texts("one", "two", "three"))
    before = project.version
    project.annotate(project.tasks[0], "Negative")
    trained = project.trained(before)
    project.retrieve()
    project.api.act(project.project, "predictions_to_annotations")
    project.trained(trained)
    assert [job["event"] for job in project.jobs()] == ["ANNOTATIONS_CREATED", "ANNOTATION_CREATED"]
    assert project.predicted() == "Negative"


def test_a_skipped_task(connect: Connect, majority: Server) -> None:
    project = connect(majority, texts("one", "two"))
    before = project.version
    project.api.annotate(project.tasks[0], result=[], was_cancelled=True)
    skipped = project.trained(before)
    assert project.predicted() == "Positive"
    project.annotate(project.tasks[1], "Negative")
    project.trained(skipped)
    assert project.predicted() == "Negative"


def test_start_training(connect: Connect, majority: Server) -> None:
    project = connect(majority, texts("one", "two"))
    before = project.version
    project.annotate(project.tasks[0], "Negative")
    version = project.trained(before)
    assert project.start_training() != version
    assert project.jobs()[0]["event"] == "START_TRAINING"
    assert project.jobs()[0]["job_status"] == "finished"
    assert project.predicted() == "Negative"


def test_training_after_every_so_many_annotations(connect: Connect, majority: Server) -> None:
    project = connect(majority, texts("one", "two", "three"))
    # Only Label Studio itself should start a training.
    hook = project.webhook
    project.api.change_webhook(hook, is_active=False)
    project.api.change_project(project.project, min_annotations_to_start_training=2)
    before = project.settled()
    project.annotate(project.tasks[0], "Negative")
    assert project.settled() == before
    project.annotate(project.tasks[1], "Negative")
    project.trained(before)
    assert [job["event"] for job in project.jobs()] == ["START_TRAINING"]


def test_versions(connect: Connect, majority: Server) -> None:
    project = connect(majority, texts("one"))
    first = project.version
    project.annotate(project.tasks[0], "Negative")
    second = project.trained(first)
    versions = project.api.versions(project.backend)["versions"]
    assert second in versions
    assert first != second


def test_events_that_train_nobody(connect: Connect, majority: Server) -> None:
    """Imports and deletions of tasks leave the model as it is."""
    project = connect(majority, texts("one", "two"))
    before = project.version
    project.api.act(project.project, "delete_tasks")
    project.api.import_tasks(project.project, texts("three"))
    assert project.settled() == before
    assert project.jobs() == []
