"""Job managers of API v1: jobs that run outside their caller."""

from __future__ import annotations

import json
import multiprocessing
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hosting import CHOICES, PROJECT, wait_for
from test_managers import TASKS, Counter, models, newest

from label_studio_ml.model import (
    JobManager,
    LabelStudioMLManager,
    RQJobManager,
    SimpleJobManager,
)

__all__ = ["models"]


def event(project: int = 2, **more: Any) -> dict[str, Any]:
    # 1795430965 is the time in PROJECT
    created = {"id": project, "created_at": "2026-11-23T10:49:25.999999Z", "label_config": CHOICES}
    return {"project": created, **more}


def finish(job_id: str) -> dict[str, Any]:
    """Wait for a job; return its status."""
    wait_for(
        lambda: LabelStudioMLManager.job_status(job_id)["job_status"] != "started", "the job ends"
    )
    return LabelStudioMLManager.job_status(job_id)


class Tracker(JobManager):
    """Keeps runs in memory, as a user's manager would keep them in a tracking service."""

    def __init__(self) -> None:
        self.runs: dict[str, Any] = {}
        self.open: list[str] = []

    @contextmanager
    def start_run(self, event: str, data: dict[str, Any], job_id: str) -> Iterator[str]:
        self.open.append(job_id)
        yield job_id
        self.open.remove(job_id)

    def get_additional_params(
        self, event: str, data: dict[str, Any], job_id: str
    ) -> dict[str, Any]:
        assert self.open == [job_id]
        return {"run": job_id}

    def post_process(self, event: str, data: dict[str, Any], job_id: str, result: Any) -> None:
        self.runs[job_id] = {"train_output": result}

    def _get_result_from_job_id(self, job_id: str | int) -> Any:
        return self.runs[str(job_id)]

    def iter_finished_jobs(self) -> list[str]:
        return ["broken", *reversed(self.runs)]

    def run_job(self, model_class: type, args: tuple[str, dict[str, Any], str]) -> Any:
        return self.job(model_class, *args)


def test_a_job_manager_of_the_users_own() -> None:
    tracker = Tracker()
    assert tracker.get_result() == {}
    tracker.model_kwargs = {"hostname": "http://ls"}
    first = tracker.run_job(Counter, ("ANNOTATION_CREATED", event(), "1"))
    assert first["previous"] is None
    assert (first["run"], first["hostname"]) == ("1", "http://ls")
    tracker.runs["1"]["train_output"]["tasks"] = 5
    assert tracker.run_job(Counter, ("ANNOTATION_CREATED", event(), "2"))["previous"] == 5
    old = event(model_version="1")
    assert tracker.run_job(Counter, ("ANNOTATION_CREATED", old, "3"))["previous"] == 5
    assert tracker.get_result("2")["job_id"] == "2"
    assert tracker.get_result("no such job") == {}
    last = tracker.get_result_from_last_job()
    assert last is not None and last["job_id"] == "3"
    assert tracker.run_job(Counter, ("TASKS_CREATED", event(), "4")) is None
    assert tracker.open == []


def test_a_job_manager_must_be_extended() -> None:
    manager = JobManager()
    assert manager.get_additional_params("e", {}, "1") == {}
    for call in (
        lambda: manager.start_run("e", {}, "1"),
        lambda: manager.post_process("e", {}, "1", {}),
        lambda: manager.run_job(Counter, ("e", {}, "1")),
        manager.iter_finished_jobs,
        lambda: manager.get_result_from_job_id("1"),
    ):
        with pytest.raises(NotImplementedError):
            call()


def test_a_simple_job_leaves_the_files_of_the_original(tmp_path: Path) -> None:
    manager = SimpleJobManager(str(tmp_path))
    assert list(manager.iter_finished_jobs()) == []
    output = manager.job(Counter, "ANNOTATION_CREATED", event(), "1700000000")
    folder = tmp_path / "1700000000"
    assert output["workdir"] == str(folder)
    text = (folder / "event.json").read_text()
    assert text.startswith('{\n  "event": "ANNOTATION_CREATED",\n  "job_id": "1700000000",\n')
    assert json.loads((folder / "job_result.json").read_text()) == output
    assert manager.get_result() == {**output, "job_id": 1700000000}
    assert manager.get_result("1700000000") == {**output, "job_id": "1700000000"}
    with manager.start_run("TASKS_CREATED", {}, "1700000001") as run:
        assert run == str(tmp_path / "1700000001")
    assert json.loads((tmp_path / "1700000001" / "event.json").read_text()) == {
        "event": "TASKS_CREATED",
        "job_id": "1700000001",
    }
    manager.post_process("TASKS_CREATED", {}, "1700000001", None)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "job_result.json").write_text("{}")
    assert list(manager.iter_finished_jobs()) == [1700000000]
    manager.job(Counter, "ANNOTATION_CREATED", event(project=5), "1699999999")
    assert list(manager.iter_finished_jobs()) == [1700000000, 1699999999]
    with pytest.raises(FileNotFoundError):
        manager.get_result_from_job_id("1700000001")
    (tmp_path / "1700000001" / "job_result.json").write_text("[]")
    with pytest.raises(ValueError, match="did not return a dict"):
        manager.get_result_from_job_id("1700000001")
    assert manager.get_result() == {**output, "job_id": 1700000000}
    assert SimpleJobManager().model_dir == "."
    assert SimpleJobManager.JOB_RESULT == "job_result.json"
    assert list(SimpleJobManager("no such folder").iter_finished_jobs()) == []


def test_a_job_starts_from_its_own_project(tmp_path: Path) -> None:
    LabelStudioMLManager.initialize(Counter, tmp_path)
    LabelStudioMLManager.train(TASKS, "3.1795430965")

    def run(project: int, job_id: str, **more: Any) -> Any:
        data = event(project, **more)
        return SimpleJobManager(str(tmp_path)).job(Counter, "ANNOTATION_CREATED", data, job_id)

    trained = newest(tmp_path, "3.1795430965")["version"]
    assert run(3, "1700000000")["previous"] == 2
    assert run(2, "1700000001")["previous"] is None
    assert run(2, "1700000002")["previous"] == 0
    assert run(3, "1700000003", model_version=trained)["previous"] == 2
    assert run(3, "1700000004", model_version="1700000000")["previous"] == 0


class Elsewhere(SimpleJobManager):
    JOB_RESULT = "result.json"


class Renamed(SimpleJobManager):
    def _job_dir(self, job_id: str | int) -> str:
        return f"{self.model_dir}/run-{job_id}"


def test_an_extended_simple_manager_decides_where_its_jobs_are(tmp_path: Path) -> None:
    elsewhere, renamed = Elsewhere(str(tmp_path)), Renamed(str(tmp_path))
    assert elsewhere.job(Counter, "ANNOTATION_CREATED", event(), "1")["previous"] is None
    assert (tmp_path / "1" / "result.json").exists()
    assert elsewhere.job(Counter, "ANNOTATION_CREATED", event(), "2")["previous"] == 0
    workdir = renamed.job(Counter, "ANNOTATION_CREATED", event(), "3")["workdir"]
    assert workdir == f"{tmp_path}/run-3"
    assert renamed.get_result("3")["workdir"] == workdir


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_a_job_runs_in_a_child_however_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr(multiprocessing, "get_start_method", lambda allow_none=False: method)
    arguments = ("ANNOTATION_CREATED", event(), "17")
    process = SimpleJobManager(str(tmp_path)).run_job(Pid, arguments)
    assert process.daemon
    process.join(60)
    assert process.exitcode == 0
    stored = json.loads((tmp_path / "17" / "job_result.json").read_text())
    assert stored == {"pid": process.pid}


class Pid(Counter):
    def fit(self, tasks: Any, workdir: str | None = None, **kwargs: Any) -> Any:
        import os

        return {"pid": os.getpid()}


def test_a_child_is_spawned_where_pytorch_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    methods: list[str | None] = []
    get_context = multiprocessing.get_context
    monkeypatch.setattr(multiprocessing, "get_start_method", lambda allow_none=False: None)
    monkeypatch.setattr(
        multiprocessing,
        "get_context",
        lambda method=None: (methods.append(method), get_context(method))[1],
    )
    for torch in ({}, {"torch": None}):
        for name, module in torch.items():
            monkeypatch.setitem(sys.modules, name, module)  # type: ignore[arg-type]
        process = SimpleJobManager(str(tmp_path)).run_job(Pid, ("START_TRAINING", event(), "17"))
        process.join(60)
        assert process.exitcode == 0
    assert methods == [None, "spawn"]


def test_a_class_without_an_address_is_forked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Local(Pid): ...

    monkeypatch.setattr(multiprocessing, "get_start_method", lambda allow_none=False: "spawn")
    process = SimpleJobManager(str(tmp_path)).run_job(Local, ("START_TRAINING", event(), "17"))
    process.join(60)
    assert process.exitcode == 0
    assert (tmp_path / "17" / "job_result.json").exists()
    assert "Local cannot be imported by name" in caplog.text


@pytest.mark.parametrize("switch", [None, "1"])
def test_a_webhook_trains_in_a_child_and_both_ways_count(
    models: Path, monkeypatch: pytest.MonkeyPatch, switch: str | None
) -> None:
    if switch:
        monkeypatch.setenv("LABEL_STUDIO_ML_BACKEND_V2", switch)
    manager = LabelStudioMLManager
    manager.fetch(PROJECT, CHOICES, hostname="http://ls")
    manager.train(TASKS, PROJECT)
    job_id = manager.webhook("ANNOTATION_CREATED", event())["job_id"]
    status = finish(job_id)
    assert status["job_status"] == "finished"
    assert status["created_at"] <= status["ended_at"]
    assert status["result"] == {
        "tasks": 0,
        "workdir": str(models / job_id),
        "previous": 2,
        "hostname": "http://ls",
        "event": "ANNOTATION_CREATED",
        "job_id": job_id,
    }
    assert manager.fetch(PROJECT).model_version == job_id
    assert manager.fetch("9.1").model_version == "INITIAL"
    manager.train(TASKS, PROJECT)
    assert newest(models)["train_output"]["previous"] == 0
    assert manager.job_status(newest(models)["version"])["result"] == newest(models)
    stored = json.loads((models / job_id / "event.json").read_text())
    assert stored == {"event": "ANNOTATION_CREATED", "job_id": job_id, "data": event()}


@pytest.mark.usefixtures("models")
def test_the_state_of_a_job_is_told() -> None:
    manager = LabelStudioMLManager
    manager.fetch(PROJECT, CHOICES)
    with pytest.raises(FileNotFoundError):
        manager.job_status("17")
    assert finish(manager.webhook("TASKS_CREATED", event())["job_id"])["job_status"] == "unfinished"
    assert manager.fetch(PROJECT).model_version == "INITIAL"


class Held(Counter):
    def fit(self, tasks: Any, workdir: str | None = None, **kwargs: Any) -> Any:
        go = Path(str(workdir)).parent / "go"
        wait_for(go.exists, "it may go on")
        raise ZeroDivisionError


def test_a_child_that_trains_shows(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    manager = LabelStudioMLManager
    manager.initialize(Held, tmp_path)
    manager.fetch(PROJECT, CHOICES)
    job_id = manager.webhook("ANNOTATION_CREATED", event())["job_id"]
    assert manager.webhook("ANNOTATION_CREATED", event(project=5))["job_id"] != job_id
    state = {"is_training": True, "backend": "none", "job_id": job_id, "model_version": "INITIAL"}
    assert manager.is_training(PROJECT) == state
    assert manager.job_status(job_id)["job_status"] == "started"
    (tmp_path / "go").touch()
    assert finish(job_id)["job_status"] == "unfinished"
    wait_for(lambda: not multiprocessing.active_children(), "both jobs end")
    assert manager.is_training(PROJECT)["is_training"] is False
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_a_redis_queue_names_the_packages_that_it_needs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("redis", "rq"):
        monkeypatch.setitem(sys.modules, name, None)  # type: ignore[arg-type]
    with pytest.raises(ImportError, match="pip install redis"):
        RQJobManager("localhost", 6379, "default")
    LabelStudioMLManager.initialize(Counter, tmp_path)
    assert LabelStudioMLManager.without_redis()
    assert isinstance(LabelStudioMLManager.get_job_manager(), SimpleJobManager)
    monkeypatch.setenv("USE_REDIS", "1")
    with pytest.raises(ImportError, match="pip install redis"):
        LabelStudioMLManager.initialize(Counter, tmp_path)


states: list[dict[str, Any]] = []


def note_state() -> None:
    states.append(LabelStudioMLManager.is_training(PROJECT))


def test_a_redis_queue_runs_jobs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fakeredis = pytest.importorskip("fakeredis", reason="needs redis, rq and fakeredis")
    rq = pytest.importorskip("rq")
    connection = fakeredis.FakeStrictRedis()
    monkeypatch.setattr("redis.Redis", lambda **_: connection)
    monkeypatch.setenv("USE_REDIS", "1")
    manager = LabelStudioMLManager
    manager.initialize(Counter, tmp_path)
    assert not manager.without_redis()

    def work() -> None:
        queue = rq.Queue("default", connection=connection)
        assert rq.SimpleWorker([queue], connection=connection).work(
            burst=True, with_scheduler=False
        )

    manager.fetch(PROJECT, CHOICES)
    job = manager.train(TASKS, PROJECT, CHOICES, held=note_state)
    assert manager.job_status(job.id)["job_status"] == "queued"
    work()
    status = manager.job_status(job.id)
    assert status["job_status"] == "finished"
    assert status["result"]["train_output"]["tasks"] == 2
    assert status["result"]["job_id"] == job.id
    (state,) = states
    assert (state["is_training"], state["backend"], state["job_id"]) == (True, "redis", job.id)
    assert manager.fetch(PROJECT).model_version == status["result"]["version"]
    job_id = manager.webhook("ANNOTATION_CREATED", event())["job_id"]
    assert rq.job.Job.fetch(job_id, connection=connection).meta == {"project": PROJECT}
    work()
    assert manager.fetch(PROJECT).model_version == job_id
    assert manager.is_training(PROJECT) == {
        "is_training": False,
        "backend": "redis",
        "model_version": job_id,
    }

    plain = RQJobManager("localhost", 6379, "default")
    assert plain.run_job(Counter, ("ANNOTATION_CREATED", event(), "17")).id == "17"
    assert plain.run_job(Counter, ("ANNOTATION_CREATED", event(), "18")) is None
    work()
    assert plain.get_result()["job_id"] == "17"
    assert next(iter(plain.iter_finished_jobs())) == "17"
