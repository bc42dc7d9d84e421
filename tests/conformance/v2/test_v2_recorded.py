"""Both modes answer as the recorded upstream of API v2, except for the listed differences."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from hosting import Server, run
from v2_differences import (
    ELSEWHERE,
    IN_PROCESS,
    IN_PROCESS_SECTION,
    STARTED,
    STARTED_SECTION,
    Table,
    versioned,
)
from v2_recording import ROOT, Answer, Step, comparable, load

import label_studio_ml.model
from label_studio_ml import api
from label_studio_ml.cache import SqliteCache

STEPS = load()
PROBE = Path(__file__).parent / "v2_probe.py"

#: A test client runs the model in its own thread, so it cannot disconnect meanwhile.
ONLY_STARTED = {"predict:raise_sysexit", "predict:thread", "predict:flask_request"}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """An in-process app whose model keeps nothing from an earlier run."""
    from v2_probe import Probe

    with pytest.MonkeyPatch.context() as patch:
        cache = SqliteCache(str(tmp_path_factory.mktemp("cache")))
        patch.setattr(label_studio_ml.model, "CACHE", cache)
        patch.setattr(api, "MODEL_CLASS", api.LabelStudioMLBase)
        app = api.init_app(Probe)
        app.config["TESTING"] = False
        yield app.test_client()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("v2")
    done = run("init", "backend", "--script", f"{PROBE}:Probe", "--root-dir", root)
    assert done.returncode == 0, done.stderr
    server = Server(root / "backend")
    yield server
    assert server.stop() == 0


def ask_client(client: Any, step: Step) -> Answer:
    headers = {"X-Test": "yes"}
    with contextlib.redirect_stdout(io.StringIO()):
        answer = client.open(
            step.path,
            method=step.method,
            data=step.body,
            content_type=step.content_type,
            headers=headers,
        )
    return comparable(answer.status_code, answer.headers.get("Content-Type", ""), answer.text)


def ask_server(server: Server, step: Step) -> Answer:
    headers = {"X-Test": "yes", "Prefer": "wait=60"}
    if step.content_type is not None:
        headers["Content-Type"] = step.content_type
    answer = requests.request(
        step.method, server.url + step.path, data=step.body, headers=headers, timeout=90
    )
    if answer.status_code >= 400 and answer.content:
        assert answer.json()["error_code"], answer.text
    return comparable(answer.status_code, answer.headers.get("Content-Type", ""), answer.text)


def check(step: Step, theirs: Answer, ours: Answer, table: Table) -> str:
    """What is wrong with our answer; empty if nothing is."""
    difference = table.get(step.name)
    if difference is None:
        return "" if ours == theirs else f"recorded {theirs}, ours {ours}"
    if ours == theirs:
        return "the answers are alike, the row has become untrue"
    return difference.mismatch(ours)


@pytest.mark.parametrize(
    "step", [step for step in STEPS if step.name not in ONLY_STARTED], ids=lambda step: step.name
)
def test_in_process(client: Any, step: Step) -> None:
    assert not check(step, step.answer, ask_client(client, step), IN_PROCESS)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_the_started_server(server: Server, step: Step) -> None:
    ours, theirs = ask_server(server, step), step.answer
    answered = theirs.status == 200 == ours.status
    if (step.method, step.path) == ("POST", "/predict") and answered:
        # Trainings of this project number its version.
        version = ours.body["model_version"]
        theirs = Answer(200, theirs.media_type, versioned(theirs.body, version))
    assert not check(step, theirs, ours, STARTED)


def test_the_differences_are_about_recorded_steps() -> None:
    names = {step.name for step in STEPS}
    assert not (STARTED.keys() | IN_PROCESS.keys()) - names


def rows(section: str) -> list[str]:
    """First cells of the rows of a section of docs/compatibility.md."""
    page = (ROOT / "docs" / "compatibility.md").read_text(encoding="utf-8")
    (found,) = re.findall(rf"^## {re.escape(section)}\n(.*?)(?=^## |\Z)", page, re.M | re.S)
    lines = [line for line in found.splitlines() if line.startswith("| ") and line[2] != "|"]
    return [line.removeprefix("| ").partition(" | ")[0] for line in lines if "---" not in line]


@pytest.mark.parametrize(
    ("section", "table"), [(STARTED_SECTION, STARTED), (IN_PROCESS_SECTION, IN_PROCESS)]
)
def test_every_difference_is_documented_and_every_row_is_true(section: str, table: Table) -> None:
    documented = rows(section)
    both = set(rows(IN_PROCESS_SECTION)) | set(rows(STARTED_SECTION))
    assert len(documented) == len(set(documented))
    assert {difference.row for difference in table.values()} <= both
    named = {difference.row for one in (STARTED, IN_PROCESS) for difference in one.values()}
    assert not set(documented) - named - ELSEWHERE.keys()


@pytest.mark.parametrize("cell", ELSEWHERE)
def test_what_is_shown_elsewhere_is_there(cell: str) -> None:
    assert cell in {*rows(STARTED_SECTION), *rows(IN_PROCESS_SECTION)}
    file, _, test = ELSEWHERE[cell].partition("::")
    assert f"def {test}(" in (ROOT / file).read_text(encoding="utf-8")
