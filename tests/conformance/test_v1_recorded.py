"""Our server answers as the recorded upstream 75fafe0, except for the listed differences."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from backends import Answer, Backend
from comparison import compare
from differences_recorded import RECORDED_DIFFERENCES
from playing import StartOurs
from recorded import (
    FIXTURE,
    TOKEN,
    Run,
    comparable,
    comparable_files,
    exporting,
    files_of_jobs,
    load,
)

RUNS = load()
PROJECT = "7.1645000000"
SHARED = json.loads(FIXTURE.read_text(encoding="utf-8"))["shared"]


@pytest.fixture(scope="session")
def label_studio() -> Iterator[str]:
    """The address of a Label Studio with annotated tasks."""
    with exporting(SHARED["@annotated"]) as url:
        yield url


def play_recorded(run: Run, backend: Backend, label_studio: str) -> list[Answer]:
    """What our server answers to the steps of a run."""
    answers = []
    names = {"@project": PROJECT, "@label_studio": label_studio}
    for step in run.steps:
        if step.request is not None:
            answer = backend.send(step.request.filled(names))
            if step.trains and answer.status in (200, 201):
                backend.settle(backend, answer, True)
        elif step.name == "init":
            answer = Answer(0, {"files": list(backend.made)})
        elif step.name == "start-failed":
            # The server runs already, else there would be no backend.
            answer = Answer(0, {"log": ""})
        else:
            assert step.name == "model_dir", step.name
            answer = Answer(0, files_of_jobs(backend.model_dir, PROJECT))
        answers.append(answer)
    return answers


@pytest.mark.parametrize("run", RUNS, ids=[run.name for run in RUNS])
def test_ours_answers_as_recorded(run: Run, start_ours: StartOurs, label_studio: str) -> None:
    backend = start_ours(
        run.script,
        *run.arguments,
        LABEL_STUDIO_HOST=label_studio,
        LABEL_STUDIO_HOSTNAME=label_studio,
        LABEL_STUDIO_API_KEY=TOKEN,
    )
    wrong = []
    for step, ours in zip(run.steps, play_recorded(run, backend, label_studio), strict=True):
        if step.answer is None:
            continue
        theirs = replace(step.answer, allow=ours.allow)
        if step.name == "model_dir":
            theirs, ours = (
                replace(answer, body=comparable_files(answer.body, PROJECT))
                for answer in (theirs, ours)
            )
        else:
            theirs, ours = (comparable(answer, run) for answer in (theirs, ours))
        row = RECORDED_DIFFERENCES.get((run.name, step.name))
        if row is not None and (mismatch := row.upstream.mismatch(theirs)):
            wrong.append(f"{step.name}: {mismatch}")
        if found := compare(row, theirs, ours):
            wrong.append(f"{step.name}: {found}")
    assert not wrong, "\n".join(wrong)
