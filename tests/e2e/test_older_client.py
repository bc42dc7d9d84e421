"""The main path with the Label Studio of February 2022, whose requests differ.

/setup has no `extra_params`, /predict has a `model_version`, there is no password, and the button
sends PROJECT_UPDATED. With one of its flags off, the button posts the annotated tasks to
/train instead. It needs Python 3.8 or 3.9; tests/conformance replays these requests without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from connected import Connected, choice, texts
from hosting import Server
from label_studio import OLDER_VERSION, LabelStudio, python_for_older
from rest import Api

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        python_for_older() is None, reason=f"Label Studio {OLDER_VERSION} needs Python 3.8 or 3.9"
    ),
]
TRAIN_BY_WEBHOOK = "ff_back_dev_1417_start_training_mlbackend_webhooks_250122_long"


@pytest.fixture(scope="module")
def older_api() -> Iterator[Api]:
    with LabelStudio(OLDER_VERSION) as studio, studio.api() as api:
        assert api.version() == OLDER_VERSION
        yield api


@pytest.fixture(scope="module")
def flag_off_api() -> Iterator[Api]:
    with LabelStudio(OLDER_VERSION, env={TRAIN_BY_WEBHOOK: "false"}) as studio, studio.api() as api:
        yield api


def test_the_main_path(connect: Callable[..., Connected], majority: Server, older_api: Api) -> None:
    project = connect(majority, texts("one", "zwölf 🦊"), api=older_api)
    versions = [project.version]
    assert project.webhook["url"] == f"{majority.url}/webhook"
    assert project.predicted() == "Positive"
    opened = older_api.open_task(project.tasks[0])
    assert opened["predictions"][0]["model_version"] == versions[0]

    annotation = project.annotate(project.tasks[0], "Negative")
    versions.append(project.trained(versions[-1]))
    assert project.predicted() == "Negative"

    older_api.change_annotation(annotation, result=choice("Positive"))
    versions.append(project.trained(versions[-1]))
    assert project.predicted() == "Positive"

    project.annotate(project.tasks[1], "Negative")
    versions.append(project.trained(versions[-1]))
    older_api.delete_annotation(annotation)
    versions.append(project.trained(versions[-1]))
    assert project.predicted() == "Negative"
    assert len(set(versions)) == len(versions)


def test_start_training(
    connect: Callable[..., Connected], majority: Server, api_version: str, older_api: Api
) -> None:
    project = connect(majority, texts("one"), api=older_api)
    before = project.version
    older_api.start_training(project.backend)
    if api_version == "v1":
        project.trained(before)
        assert [job["event"] for job in project.jobs()] == ["PROJECT_UPDATED"]
    else:
        # Models of API v2 do not know that event; their clients send START_TRAINING.
        assert project.settled() == before
        assert project.jobs() == []


def test_start_training_with_the_tasks(
    connect: Callable[..., Connected], majorities: Callable[[str], Server], flag_off_api: Api
) -> None:
    project = connect(majorities("v1"), texts("one", "two"), api=flag_off_api)
    (hook,) = flag_off_api.webhooks(project.project)
    flag_off_api.change_webhook(hook, is_active=False)
    project.annotate(project.tasks[0], "Negative")
    assert project.jobs() == []
    project.start_training()
    assert project.predicted() == "Negative"
    (job,) = project.jobs()
    assert job["event"] is None, job


def test_interactive(connect: Callable[..., Connected], majority: Server, older_api: Api) -> None:
    project = connect(majority, texts("one"), api=older_api, is_interactive=True)
    answer = older_api.interactive(project.backend, project.tasks[0], {"result": []})
    assert answer["data"]["result"] == choice("Positive")
