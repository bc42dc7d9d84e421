"""Training: queued at once, run in its own process, published, and served without a restart."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from hosting import CHOICES, ECHO, PROJECT, Server, is_running, wait_for, write_script

Serve = Callable[..., Server]


def event(action: str = "ANNOTATION_CREATED", project: Any = None, **more: Any) -> dict[str, Any]:
    # 1795430965 is the time in PROJECT
    created = {"id": 2, "created_at": "2026-11-23T10:49:25.999999Z", "label_config": CHOICES}
    return {"action": action, "project": created if project is None else project, **more}


def test_the_result_of_fit_is_the_train_output_afterwards(serve: Serve) -> None:
    server = serve(ECHO)
    assert server.setup().json() == {"model_version": "INITIAL"}
    answer = server.train(3, params={"epochs": 2})
    assert answer.status_code == 201
    job = answer.json()["job"]
    assert answer.json() == {"job": job, "job_id": job, "status": "queued"}
    version = server.wait_trained()
    assert version == job
    assert server.setup().json() == {"model_version": version}
    prediction = server.first()
    assert prediction["model_version"] == version
    workdir = server.models / PROJECT / version
    assert prediction["train_output"] == {
        "tasks": 3,
        "workdir": str(workdir),
        "previous": None,
        "event": None,
        "job_id": None,
    }
    assert len(json.loads((workdir / "train_data.json").read_text())) == 3
    assert json.loads((workdir / "train_data_info.json").read_text()) == {"count": 3}
    result = json.loads((workdir / "job_result.json").read_text())
    assert result["train_output"] == prediction["train_output"]


def test_an_event_trains_by_way_of_process_event(serve: Serve) -> None:
    server = serve(ECHO)
    server.setup()
    answer = server.post("/webhook", event(annotation={"id": 1}))
    assert answer.status_code == 201
    version = server.wait_trained()
    assert version == answer.json()["job_id"]
    output = server.first()["train_output"]
    assert output["event"] == "ANNOTATION_CREATED"
    assert output["job_id"] == version
    assert output["tasks"] == 0
    stored = json.loads((server.models / PROJECT / version / "event.json").read_text())
    assert stored["event"] == "ANNOTATION_CREATED"
    assert stored["data"]["annotation"] == {"id": 1}


def test_a_project_id_alone_finds_its_setup(serve: Serve) -> None:
    server = serve(ECHO)
    server.setup()
    server.post("/webhook", event(project={"id": 2}))
    assert server.wait_trained().isdigit()
    assert server.first()["train_output"]["event"] == "ANNOTATION_CREATED"


def test_each_training_starts_from_the_one_before(serve: Serve) -> None:
    server = serve(ECHO)
    server.setup()
    first = server.train(1).json()["job"]
    server.wait_trained()
    second = server.train(2).json()["job"]
    server.wait_trained()
    assert int(second) > int(first)
    assert server.first()["train_output"]["previous"] == 1
    versions = server.post("/versions", {"project": PROJECT}).json()["versions"]
    assert versions == [second, first]
    assert server.get("/versions").json()["versions"] == versions


def test_a_restarted_server_serves_the_newest_version(serve: Serve) -> None:
    server = serve(ECHO)
    server.setup()
    server.train(4)
    version = server.wait_trained()
    assert server.stop() == 0
    again = serve(server.project)
    assert again.setup().json() == {"model_version": version}
    assert again.first()["train_output"]["tasks"] == 4


def test_a_folder_of_the_original_goes_on(serve: Serve, tmp_path: Path) -> None:
    models = tmp_path / "models"
    result = {
        "status": "ok",
        "train_output": {"tasks": 9},
        "project": PROJECT,
        "workdir": "/elsewhere",
        "version": "1600000000",
        "job_id": None,
        "time": 0.1,
    }
    write_script(models / PROJECT / "1600000000", json.dumps(result), "job_result.json")
    server = serve(ECHO, "--model-dir", str(models))
    assert server.setup().json() == {"model_version": "1600000000"}
    assert server.first()["train_output"] == {"tasks": 9}
    server.train(1)
    server.wait_trained()
    assert server.first()["train_output"]["previous"] == 9


def test_events_that_train_nobody_are_answered_with_the_reason(serve: Serve) -> None:
    server = serve(ECHO)
    for action in ("TASKS_CREATED", "LABEL_LINK_CREATED", "NO_SUCH_ACTION"):
        answer = server.post("/webhook", event(action))
        assert answer.status_code == 200
        assert answer.json()["status"] == "ignored"
        assert f"{action} does not train" in answer.json()["detail"]
    for action in (
        "ANNOTATION_UPDATED",
        "ANNOTATION_DELETED",
        "ANNOTATIONS_CREATED",
        "ANNOTATIONS_DELETED",
        "START_TRAINING",
        "PROJECT_UPDATED",
    ):
        assert server.post("/webhook", event(action)).status_code == 201, action


NO_FIT = """
    from label_studio_ml.model import LabelStudioMLBase
    class Fixed(LabelStudioMLBase):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
        def predict(self, tasks, **kwargs):
            return [{"result": []} for _ in tasks]
"""


def test_a_model_without_fit_trains_on_nothing(serve: Serve) -> None:
    server = serve(NO_FIT)
    for status, answer in ((201, server.train()), (200, server.post("/webhook", event()))):
        assert answer.status_code == status
        assert answer.json() == {
            "status": "ignored",
            "detail": "Fixed has no fit method, so nothing is trained",
        }
    assert server.predict().json()["model_version"] == "INITIAL"


FAILING = ECHO.replace("tasks = list(tasks)", "tasks = list(tasks); {do}")


def test_a_failed_training_keeps_the_version_and_says_why(serve: Serve) -> None:
    server = serve(FAILING.replace("{do}", "1 / 0 if len(tasks) == 2 else None"))
    server.setup()
    server.train(1)
    version = server.wait_trained()
    failed = server.train(2).json()["job"]
    assert server.wait_trained() == version
    assert server.first()["model_version"] == version
    server.wait_logged("ZeroDivisionError", "1 / 0 if")
    folder = server.models / PROJECT / failed
    assert not (folder / "job_result.json").exists()
    server.train(3)
    server.wait_trained()
    assert server.first()["train_output"]["previous"] == 1


def test_a_training_that_kills_its_process_is_reported(serve: Serve) -> None:
    server = serve(FAILING.replace("{do}", "import os; os._exit(9)"))
    server.setup()
    server.train(1)
    assert server.wait_trained() == "INITIAL"
    server.wait_logged("the training worker exited with status 9")
    assert server.predict().status_code == 200


def test_a_version_that_cannot_be_loaded_is_not_served(serve: Serve) -> None:
    source = ECHO.replace(
        "self.kwargs = kwargs", "self.kwargs = kwargs; assert self.train_output.get('tasks') != 2"
    )
    server = serve(source)
    # The model is loaded now, so every version will be loaded too.
    assert server.predict().status_code == 200
    server.train(1)
    version = server.wait_trained()
    bad = server.train(2).json()["job"]
    assert server.wait_trained() == version
    assert server.first()["model_version"] == version
    (problem,) = server.get("/health").json()["problems"]
    assert f"version {bad} cannot be loaded: AssertionError" in problem
    server.train(3)
    assert server.wait_trained() > version
    assert "problems" not in server.get("/health").json()


HELD = ECHO.replace(
    "            tasks = list(tasks)\n",
    """
            import os, pathlib, time
            (pathlib.Path(os.environ["MODEL_DIR"]) / "begun").touch()
            while not (pathlib.Path(os.environ["MODEL_DIR"]) / "go").exists():
                time.sleep(0.01)
            tasks = list(tasks)
""",
)


def test_events_that_wait_are_merged_and_trains_are_not(serve: Serve) -> None:
    server = serve(HELD)
    server.setup()
    running = server.post("/webhook", event(number=0)).json()
    wait_for((server.models / "begun").exists, "training begins")
    waiting = [server.post("/webhook", event(number=number)).json() for number in (1, 2, 3)]
    trains = [server.train(number).json() for number in (5, 6)]
    ids = {answer["job"] for answer in waiting}
    assert len(ids) == 1
    assert [answer["status"] for answer in waiting] == ["queued", "merged", "merged"]
    assert len({running["job"], *ids, *(answer["job"] for answer in trains)}) == 4
    state = server.get("/is_training", params={"project": PROJECT}).json()
    assert state == {
        "is_training": True,
        "backend": "none",
        "job_id": running["job"],
        "model_version": "INITIAL",
    }
    (server.models / "go").touch()
    assert server.wait_trained() == trains[-1]["job"]
    assert server.first()["train_output"]["tasks"] == 6
    merged = server.models / PROJECT / ids.pop() / "event.json"
    assert json.loads(merged.read_text())["data"]["number"] == 3


def test_predictions_go_on_from_the_old_version_while_training_runs(serve: Serve) -> None:
    busy = HELD.replace("time.sleep(0.01)", "sum(range(10_000))")
    server = serve(busy)
    server.setup()
    assert server.train(1).status_code == 201, "it is answered while fit is held up"
    wait_for((server.models / "begun").exists, "training begins")
    seen: list[str] = []
    statuses: set[int] = set()
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            answer = server.predict()
            statuses.add(answer.status_code)
            seen.append(answer.json()["model_version"])

    thread = threading.Thread(target=ask)
    thread.start()
    wait_for(lambda: len(seen) > 20, "predictions go on")
    assert server.get("/health").json()["jobs"] == 1
    assert set(seen) == {"INITIAL"}
    (server.models / "go").touch()
    version = server.wait_trained()
    wait_for(lambda: version in seen, "the new version answers")
    stop.set()
    thread.join()
    assert set(seen) == {"INITIAL", version}
    assert statuses == {200}


@pytest.mark.parametrize(
    ("options", "priority"),
    [([], (None, os.SCHED_IDLE)), (["--train-nice", "17"], (17, os.SCHED_OTHER))],
)
def test_fit_runs_on_the_main_thread_of_a_process_of_its_own(
    serve: Serve,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    priority: tuple[int | None, int],
) -> None:
    monkeypatch.setattr(Server, "training", ())
    source = """
        import os, signal, threading
        from label_studio_ml.model import LabelStudioMLBase
        class Where(LabelStudioMLBase):
            def predict(self, tasks, **kwargs):
                return [{"result": [], "pid": os.getpid(), "trained": self.train_output}]
            def fit(self, tasks, workdir=None, **kwargs):
                signal.signal(signal.SIGALRM, lambda *_: None)
                return {
                    "pid": os.getpid(),
                    "main": threading.current_thread() is threading.main_thread(),
                    "nice": os.nice(0),
                    "policy": os.sched_getscheduler(0),
                }
    """
    server = serve(source, "--train-linger", "1", *options)
    server.setup()
    server.train()
    server.wait_trained()
    seen = server.first()
    assert seen["trained"]["main"] is True
    assert seen["trained"]["pid"] != seen["pid"]
    # The process of the tests may be nice itself; without an option a training keeps that.
    nice = (
        os.getpriority(os.PRIO_PROCESS, server.process.pid) if priority[0] is None else priority[0]
    )
    assert (seen["trained"]["nice"], seen["trained"]["policy"]) == (nice, priority[1])
    wait_for(lambda: not is_running(seen["trained"]["pid"]), "the training worker is gone")


def test_training_ends_with_a_killed_server(serve: Serve) -> None:
    server = serve(HELD)
    server.setup()
    server.train()
    wait_for((server.models / "begun").exists, "training begins")
    pids = server.workers()
    assert len(pids) == 2
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait()
    wait_for(lambda: not [pid for pid in pids if is_running(pid)], "both workers are gone")


def test_a_stop_does_not_wait_for_training(serve: Serve) -> None:
    server = serve(HELD)
    server.setup()
    server.train()
    wait_for((server.models / "begun").exists, "training begins")
    pids = server.workers()
    assert server.stop() == 0
    assert not [pid for pid in pids if is_running(pid)]


def test_no_prediction_fails_while_versions_follow_each_other(serve: Serve) -> None:
    server = serve(ECHO, "--workers", "2")
    server.setup()
    stop = threading.Event()
    seen: list[list[str]] = [[], [], []]
    failures: list[str] = []

    def ask(versions: list[str]) -> None:
        while not stop.is_set():
            answer = requests.post(
                server.url + "/predict",
                json={"tasks": [{"id": 1}], "project": PROJECT, "label_config": CHOICES},
                timeout=30,
            )
            if answer.status_code != 200:
                failures.append(answer.text)
            versions.append(answer.json().get("model_version"))

    threads = [threading.Thread(target=ask, args=(versions,)) for versions in seen]
    for thread in threads:
        thread.start()
    for number in range(6):
        server.train(number + 1)
        server.wait_trained()
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures
    for versions in seen:
        order = [version for version in versions if version != "INITIAL"]
        assert order == sorted(order), "an older version never answers after a newer one"
        assert len(set(order)) >= 2
