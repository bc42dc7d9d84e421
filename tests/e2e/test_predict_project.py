"""`label-studio-ml predict --project`: a whole project of a real Label Studio, also after kills."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest
from connected import CHOICES, texts
from hosting import CONSOLE_SCRIPT, environment, run, wait_for
from label_studio import LabelStudio
from rest import Api

CHOOSER = """
from label_studio_ml.model import LabelStudioMLBase


class Chooser(LabelStudioMLBase):
    LABEL_STUDIO_ML_API = 1

    def predict(self, tasks, **kwargs):
        return [self.one(task["data"]["text"]) for task in tasks]

    def one(self, text):
        if text == "raise":
            raise ValueError("no such word")
        label = "Neither" if text == "misfit" else "Positive"
        region = {"from_name": "sentiment", "to_name": "text", "type": "choices"}
        score = 1234.5 if text == "sure" else 0.5
        return {"result": [{**region, "value": {"choices": [label]}}], "score": score}
"""


class Runner:
    """The command, for one project."""

    def __init__(self, backend: Path, studio: LabelStudio, project: int, key: str) -> None:
        self.backend = backend
        self._env = {"LABEL_STUDIO_URL": studio.url, "LABEL_STUDIO_API_KEY": key}
        self._arguments = ["predict", str(backend), "--project", str(project)]

    def run(self, *more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(CONSOLE_SCRIPT), *self._arguments, *more],
            env={**environment(), **self._env},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [str(CONSOLE_SCRIPT), *self._arguments],
            env={**environment(), **self._env},
            stderr=subprocess.DEVNULL,
        )


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("chooser")
    (root / "chooser.py").write_text(CHOOSER)
    done = run("init", "backend", "--script", root / "chooser.py", "--root-dir", root)
    assert done.returncode == 0, done.stderr
    return root / "backend"


def predictions_of(api: Api, project: int) -> Counter[int]:
    return Counter(int(row["task"]) for row in api.predictions(project))


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_every_task_has_one_prediction_after_kills(
    studio: LabelStudio, api: Api, backend: Path
) -> None:
    project = api.create_project("five thousand tasks", CHOICES)
    tasks = api.import_tasks(project, texts(*(f"text {number}" for number in range(5000))))
    runner = Runner(backend, studio, project, studio.token("legacy"))

    def stored() -> int:
        counts = api.request("GET", f"/api/projects/{project}/model-versions/")
        return sum(counts.values()) if counts else 0

    # Half-way, and once more: requests sent right before a kill arrive after it.
    for share in (0.3, 0.5):
        process = runner.start()
        wait_for(lambda: stored() > share * len(tasks), "so many are stored", 120)  # noqa: B023
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert stored() < len(tasks)
    done = runner.run()
    assert done.returncode == 0, done.stderr
    assert "tasks already have predictions of this version" in done.stderr
    assert predictions_of(api, project) == Counter(tasks)
    assert {row["model_version"] for row in api.predictions(project)} == {"INITIAL"}
    again = runner.run()
    assert again.returncode == 0
    assert "0 tasks predicted and imported, 0 failed" in again.stderr
    assert predictions_of(api, project) == Counter(tasks)


@pytest.mark.parametrize("kind", ["legacy", "personal"])
def test_tokens_of_both_kinds(studio: LabelStudio, api: Api, backend: Path, kind: str) -> None:
    project = api.create_project(f"tokens {kind}", CHOICES)
    tasks = api.import_tasks(project, texts("a", "b"))
    key = studio.token(kind)
    done = Runner(backend, studio, project, key).run()
    assert done.returncode == 0, done.stderr
    assert predictions_of(api, project) == Counter(tasks)
    assert key not in done.stderr + done.stdout


def test_what_fails_is_named_and_costs_no_other(
    studio: LabelStudio, api: Api, backend: Path
) -> None:
    project = api.create_project("with failures", CHOICES)
    tasks = api.import_tasks(project, texts("a", "raise", "sure", "b"))
    done = Runner(backend, studio, project, studio.token("legacy")).run()
    assert done.returncode == 1
    assert f"task {tasks[1]}: ValueError: no such word" in done.stderr
    assert "scores outside 0 to 1 are left out" in done.stderr
    assert "3 tasks predicted and imported, 1 failed" in done.stderr
    assert predictions_of(api, project) == Counter(task for task in tasks if task != tasks[1])


def test_what_label_studio_leaves_out_is_named(
    studio: LabelStudio, api: Api, backend: Path
) -> None:
    project = api.create_project("with a misfit", CHOICES)
    good, misfit = api.import_tasks(project, texts("a", "misfit"))
    done = Runner(backend, studio, project, studio.token("legacy")).run()
    assert '"Neither"' in done.stderr
    assert done.returncode == 1
    assert f"task {misfit}: Label Studio dropped its prediction" in done.stderr
    assert predictions_of(api, project) == Counter([good])
    done = Runner(backend, studio, project, studio.token("legacy")).run("--strict")
    assert done.returncode == 1
    assert f"task {misfit}: results[0].result[0].value.choices[0]" in done.stderr


@pytest.mark.slow
def test_an_interrupt_ends_it_after_what_is_under_way(
    studio: LabelStudio, api: Api, backend: Path
) -> None:
    project = api.create_project("interrupted", CHOICES)
    tasks = api.import_tasks(project, texts(*(f"text {number}" for number in range(1500))))
    runner = Runner(backend, studio, project, studio.token("legacy"))
    process = runner.start()
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    assert process.wait(120) in (0, 2)
    stored = predictions_of(api, project)
    assert set(stored.values()) <= {1}
    done = runner.run()
    assert done.returncode == 0, done.stderr
    assert predictions_of(api, project) == Counter(tasks)


def test_a_project_that_is_not_there(studio: LabelStudio, backend: Path) -> None:
    done = Runner(backend, studio, 999_999, studio.token("legacy")).run()
    assert done.returncode == 2
    assert "there is no project 999999" in done.stderr
    done = Runner(backend, studio, 1, "0" * 40).run()
    assert done.returncode == 2
    assert "does not accept this API key" in done.stderr
