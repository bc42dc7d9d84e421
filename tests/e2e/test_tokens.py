"""The main path with the examples: connect, predict, annotate, train, predict again.

`fit` of some models reads annotations back from Label Studio, with a token of one kind or another.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import HERE, ROOT
from connected import PLAIN, Connected, chosen, header
from hosting import Server
from label_studio import LabelStudio
from rest import Api, ApiError

pytestmark = pytest.mark.slow
V1_EXAMPLE = ROOT / "examples" / "simple_text_classifier"
V2_EXAMPLE = ROOT / "examples" / "text_classifier"


@dataclass(frozen=True)
class Model:
    """A script, and the example whose data it is fed with."""

    script: Path
    example: Path
    from_name: str
    to_name: str

    def tasks(self) -> list[dict[str, Any]]:
        return list(json.loads((self.example / "tasks.json").read_text(encoding="utf-8")))

    def annotated(self) -> list[dict[str, Any]]:
        """The tasks of the example that have an annotation, also where it was skipped."""
        content = (self.example / "annotations.json").read_text(encoding="utf-8")
        return [task for task in json.loads(content) if task["annotations"]]

    def config(self) -> str:
        return (self.example / "label_config.xml").read_text(encoding="utf-8")


V1 = Model(V1_EXAMPLE / "simple_text_classifier.py", V1_EXAMPLE, "team", "ticket")
V2 = Model(V2_EXAMPLE / "model.py", V2_EXAMPLE, "department", "message")
V2_SDK = Model(HERE / "models" / "reads_back.py", V2_EXAMPLE, "department", "message")

KINDS = [
    pytest.param(V1, "given by /setup", id="v1-token of setup"),
    pytest.param(V1, "legacy", id="v1-legacy token"),
    pytest.param(V1, "personal", id="v1-personal token"),
    pytest.param(V2, "none", id="v2-no token"),
    pytest.param(V2_SDK, "legacy", id="v2 with SDK-legacy token"),
    pytest.param(V2_SDK, "personal", id="v2 with SDK-personal token"),
]


def environment(studio: LabelStudio, kind: str) -> dict[str, str]:
    """What a user would set, so that the model can read annotations back."""
    if kind not in ("legacy", "personal"):
        return {}
    return {"LABEL_STUDIO_URL": studio.url, "LABEL_STUDIO_API_KEY": studio.token(kind)}


@pytest.mark.parametrize("auth", [None, PLAIN], ids=["open", "password"])
@pytest.mark.parametrize(("model", "kind"), KINDS)
def test_the_main_path(
    studio: LabelStudio,
    connect: Callable[..., Connected],
    serve: Callable[..., Server],
    model: Model,
    kind: str,
    auth: tuple[str, str] | None,
) -> None:
    env = {"TRAIN_EVERY": "0", **environment(studio, kind)}
    server = serve(model.script, auth=auth, env=env)
    with studio.api("personal" if kind == "personal" else "legacy") as api:
        project = connect(server, model.annotated()[:6], api=api, config=model.config())
        if auth:
            project.api.change_webhook(project.webhook, headers=header(auth))
        untrained = project.version
        project.retrieve()
        submitted = annotate_all(project, model)
        assert project.start_training() != untrained
        assert project.jobs()[0]["event"] == "START_TRAINING"
        newest = project.retrieve()
    if model is V2_SDK:
        labels = list(submitted.values())
        assert {label for row in newest.values() for label in chosen(row)} == {
            max(labels, key=labels.count)
        }
    else:
        assert {task: chosen(newest[task]) for task in submitted} == {
            task: [label] for task, label in submitted.items()
        }
    log = server.log()
    assert studio.token("legacy") not in log
    assert studio.token("personal") not in log


@pytest.fixture
def only_personal_tokens(studio: LabelStudio) -> Iterator[Api]:
    """Label Studio as it is where nobody allowed legacy tokens."""
    with studio.api("personal") as api:
        api.allow_legacy_tokens(False)
        yield api
        api.allow_legacy_tokens(True)


def test_the_token_of_setup_is_refused(
    studio: LabelStudio,
    only_personal_tokens: Api,
    connect: Callable[..., Connected],
    serve: Callable[..., Server],
) -> None:
    """Then the example learns from the events, which bring annotations along."""
    api, model = only_personal_tokens, V1
    with studio.api() as legacy, pytest.raises(ApiError, match="has been disabled"):
        legacy.create_project("refused", model.config())
    server = serve(model.script)
    project = connect(server, model.annotated()[:6], api=api, config=model.config())
    untrained = project.version
    (first, second), (label, other) = project.tasks[:2], ("Billing", "Technical")
    region = {"from_name": model.from_name, "to_name": model.to_name}
    project.annotate(first, label, **region)
    trained = project.trained(untrained)
    project.annotate(second, other, **region)
    project.trained(trained)
    project.start_training()
    newest = project.retrieve()
    assert (chosen(newest[first]), chosen(newest[second])) == ([label], [other])
    assert "401" in server.log()


@pytest.mark.parametrize("model", [pytest.param(V1, id="v1"), pytest.param(V2, id="v2")])
def test_an_example_learns_its_data(
    connect: Callable[..., Connected], serve: Callable[..., Server], model: Model
) -> None:
    """All its annotations are submitted, one after another, and it trains on the way."""
    tasks, annotated = model.tasks(), model.annotated()
    project = connect(serve(model.script), [*tasks, *annotated], config=model.config())
    untrained = project.version
    expected = {
        task: content["meta"]["expected"]
        for task, content in zip(project.tasks, tasks, strict=False)
    }
    right = agreement(project.retrieve(), expected)
    assert right < 0.5, "untrained, it cannot know"

    annotate_all(project, model, project.tasks[len(tasks) :])
    trained = project.trained(untrained)
    assert {job["event"] for job in project.jobs()} == {"ANNOTATION_CREATED"}
    assert agreement(project.retrieve(), expected) >= 0.9
    assert project.version == trained
    stored = {row["model_version"] for row in project.stored()}
    assert stored == {untrained, trained}, "the predictions of before stay"


def annotate_all(
    project: Connected, model: Model, tasks: list[int] | None = None
) -> dict[int, str]:
    """Submit the annotations of the example; what was chosen for each task, if not skipped."""
    submitted = {}
    for task, content in zip(tasks or project.tasks, model.annotated(), strict=False):
        annotation = content["annotations"][0]
        if annotation["was_cancelled"]:
            project.api.annotate(task, result=[], was_cancelled=True)
            continue
        (submitted[task],) = chosen(annotation)
        region = {"from_name": model.from_name, "to_name": model.to_name}
        project.annotate(task, submitted[task], **region)
    return submitted


def agreement(newest: dict[int, dict[str, Any]], expected: dict[int, str]) -> float:
    """The share of tasks that are predicted as expected."""
    return sum(expected[task] in chosen(newest[task]) for task in expected) / len(expected)
