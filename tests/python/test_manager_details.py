"""Managers and job managers of API v1: which of two values counts, and what is no result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hosting import CHOICES, PROJECT

import label_studio_ml.model
from label_studio_ml._v1 import jobs as v1_jobs
from label_studio_ml.exceptions import MediaError
from label_studio_ml.model import LabelStudioMLBase, LabelStudioMLManager, SimpleJobManager


class Learner(LabelStudioMLBase):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kwargs = kwargs

    def predict(self, tasks: Any, **kwargs: Any) -> Any:
        return []

    def fit(self, tasks: Any, workdir: Any = None, **kwargs: Any) -> Any:
        return {}


@pytest.mark.parametrize("result", [[1], "text", 7, None, True, [{"a": 1}]])
def test_what_is_no_dict_is_no_result(tmp_path: Path, result: Any) -> None:
    jobs = SimpleJobManager(str(tmp_path))
    with jobs.start_run("ANNOTATION_CREATED", {}, "7"):
        jobs.post_process("ANNOTATION_CREATED", {}, "7", result)
    assert not (tmp_path / "7" / "job_result.json").exists()
    assert jobs.get_result() == {}


def test_a_dict_is_a_result(tmp_path: Path) -> None:
    jobs = SimpleJobManager(str(tmp_path))
    with jobs.start_run("ANNOTATION_CREATED", {}, "7"):
        jobs.post_process("ANNOTATION_CREATED", {}, "7", {})
    assert json.loads((tmp_path / "7" / "job_result.json").read_text()) == {}
    assert (jobs.get_result(), jobs.get_result("7")) == ({"job_id": 7}, {"job_id": "7"})


def test_a_job_that_has_left_its_result_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process may still be there."""
    jobs = SimpleJobManager(str(tmp_path))
    monkeypatch.setattr(v1_jobs, "running_jobs", lambda: {"7": PROJECT})
    with jobs.start_run("ANNOTATION_CREATED", {}, "7"):
        assert v1_jobs.status(tmp_path, "7")["job_status"] == "started"
        jobs.post_process("ANNOTATION_CREATED", {}, "7", {"a": 1})
    told = v1_jobs.status(tmp_path, "7")
    assert (told["job_status"], told["result"]) == ("finished", {"a": 1})
    monkeypatch.setattr(v1_jobs, "running_jobs", dict)
    assert v1_jobs.status(tmp_path, "7")["job_status"] == "finished"


def test_what_is_given_last_counts_and_what_the_user_chose_before_all() -> None:
    manager = LabelStudioMLManager
    manager.initialize(Learner)
    assert manager.fetch(PROJECT, CHOICES, hostname="http://one").model.hostname == "http://one"
    assert manager.fetch(PROJECT, hostname="http://two").model.hostname == "http://two"
    assert manager.fetch(PROJECT).model.hostname == "http://two", "it is kept"
    manager.initialize(Learner, hostname="http://own")
    assert manager.fetch(PROJECT, hostname="http://two").model.hostname == "http://own"


def test_a_webhook_is_trained_with_what_the_user_chose(monkeypatch: pytest.MonkeyPatch) -> None:
    class Recorder:
        model_kwargs: Any = None
        ran: Any = None

        def run_job(self, model_class: type, args: Any) -> None:
            self.ran = (model_class, args)

    recorder = Recorder()
    manager = LabelStudioMLManager
    manager.initialize(Learner, hostname="http://own")
    manager.fetch(PROJECT, CHOICES, hostname="http://setup", access_token="t")
    monkeypatch.setattr(manager, "get_job_manager", lambda: recorder)
    event = {"project": {"id": 2, "created_at": "2026-11-23T10:49:25Z"}}
    job = manager.webhook("ANNOTATION_CREATED", event)["job_id"]
    assert recorder.ran == (Learner, ("ANNOTATION_CREATED", event, job))
    assert recorder.model_kwargs == {"hostname": "http://own", "access_token": "t"}


def test_versions_without_a_folder_never_repeat() -> None:
    manager = LabelStudioMLManager
    manager.initialize(Learner)
    made = [int(manager._generate_version(PROJECT)) for _ in range(5)]
    assert made == [*range(made[0], made[0] + 5)]


def test_an_argument_goes_before_what_setup_brought(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(
        label_studio_ml.model, "get_local_path", lambda url, **named: asked.append(named) or "path"
    )
    model = Learner(label_config=CHOICES, hostname="http://setup", access_token="of setup")
    model.get_local_path("a")
    model.get_local_path("a", ls_host="http://mine", ls_access_token="mine", task_id=0)
    model.get_local_path("a", hostname="http://mine", access_token="mine")
    assert [(one["hostname"], one["access_token"]) for one in asked] == [
        ("http://setup", "of setup"),
        ("http://mine", "mine"),
        ("http://mine", "mine"),
    ]
    assert [one.get("task_id") for one in asked] == [None, 0, None]


@pytest.mark.usefixtures("media_environment")
def test_a_path_of_this_machine_is_no_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "word").write_text("secret")
    monkeypatch.chdir(tmp_path)
    model = Learner(label_config=CHOICES)
    assert model.preload_task_data({}, {"text": ["word"]}) == {"text": ["word"]}
    with pytest.raises(MediaError):
        model.preload_task_data({}, str(tmp_path / "word"))
