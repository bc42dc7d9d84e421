"""Models of API v2: the server or a worker is killed during a training."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from host import Host
from hosting import PROJECT, Server, is_running, wait_for

MakeHost = Callable[..., Host]

#: Keeps what it learned in a file that a module global holds; every run of `fit` is noted.
COUNTER = """
    import json, os, pathlib, time
    from label_studio_ml.model import LabelStudioMLBase

    FILE = pathlib.Path(os.environ.get("MODEL_DIR", "."), "learned.txt")
    LEARNED = FILE.read_text() if FILE.exists() else "nothing"

    class Counter(LabelStudioMLBase):
        def predict(self, tasks, context=None, **kwargs):
            version = self.get("model_version")
            return [{"result": [], "learned": LEARNED, "model_version": version} for _ in tasks]

        def fit(self, event, data, **kwargs):
            with open(os.environ["FAULTS_RUNS"], "a") as runs:
                runs.write(json.dumps({"token": data["token"], "pid": os.getpid()}) + "\\n")
            if data.get("name"):
                self.set("model_version", data["name"])
            while data.get("hold") and os.path.exists(data["hold"]):
                time.sleep(0.005)
            draft = FILE.with_suffix(".draft")
            draft.write_text(data["token"])
            os.replace(draft, FILE)
            self.set("learned", data["token"])
"""

KILL_POINTS = [
    "job-claimed",
    "job-fitted",
    "job-publishing",
    "write-staged",
    "write-renamed",
    "job-switched",
    "job-settled",
]


@pytest.fixture
def host(make_host: MakeHost) -> Host:
    return make_host(COUNTER)


def train(server: Server, token: str, **more: Any) -> str | None:
    """Send an event; the job, or None if the server died of it."""
    import requests
    from hosting import CHOICES

    created = "2026-11-23T10:49:25Z"
    project = {"id": 2, "created_at": created, "label_config": CHOICES}
    body = {"action": "ANNOTATION_CREATED", "project": project, "token": token, **more}
    try:
        answer = server.post("/webhook", body)
    except requests.ConnectionError:
        return None
    assert answer.status_code == 201, answer.text
    job: str = answer.json()["job"]
    return job


def served(server: Server) -> tuple[str, str]:
    """What was learned and the version, which /setup and a prediction must tell alike."""

    def look() -> tuple[str, str] | None:
        told = server.setup(PROJECT).json()["model_version"]
        said = server.first()
        again = server.setup(PROJECT).json()["model_version"]
        if told != again:
            return None
        assert said["model_version"] == told
        return said["learned"], told

    found: tuple[str, str] = wait_for(look, "a version is served")
    return found


def runs(host: Host) -> list[str]:
    file = host.ledger.runs_file
    return [line.split('"')[3] for line in file.read_text().splitlines()] if file.exists() else []


@pytest.mark.parametrize("point", KILL_POINTS)
def test_a_job_is_done_although_the_server_is_killed(host: Host, point: str) -> None:
    server = host.start()
    assert served(server) == ("nothing", "0.0.1")
    assert server.stop() == 0
    server = host.start(failpoints=f"{point}=return")
    served(server)
    job = train(server, "one")
    host.died()
    server = host.start()
    if point == "job-claimed" and job is None:
        # The server was killed before it answered.
        (only,) = server.get("/jobs").json()["jobs"]
        job = only["job"]
    done = host.ended(job)
    assert done["job_status"] == "finished"
    assert served(server) == ("one", done["model_version"])
    # A number that a killed server took is not given again.
    assert done["model_version"] in ("0.0.1+1", "0.0.1+2")
    published = point in ("write-renamed", "job-switched", "job-settled")
    assert runs(host) == ["one"] * (1 if published or point == "job-claimed" else 2)
    host.check_processes()


def test_the_name_of_a_fit_that_was_killed_with_its_server_is_not_served(host: Host) -> None:
    server = host.start()
    before = served(server)
    host.hold.touch()
    job = train(server, "one", name="2.0.0", hold=str(host.hold))
    wait_for(lambda: runs(host) == ["one"], "fit begins")
    read = host.models / "cache.db"
    wait_for(lambda: b"2.0.0" in (Path(f"{read}-wal").read_bytes()), "fit has named its version")
    host.kill()
    server = host.start()
    wait_for(lambda: runs(host) == ["one", "one"], "fit begins again")
    assert served(server) == before
    host.hold.unlink()
    assert host.ended(job)["job_status"] == "finished"
    assert served(server) == ("one", "2.0.0")


def test_a_training_worker_that_is_killed_is_replaced(host: Host) -> None:
    server = host.start()
    before = served(server)
    host.hold.touch()
    job = train(server, "one", name="2.0.0", hold=str(host.hold))
    wait_for(lambda: runs(host) == ["one"], "fit begins")
    (line,) = host.ledger.runs_file.read_text().splitlines()
    pid = int(line.rpartition(": ")[2].rstrip("}"))
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: runs(host) == ["one", "one"], "fit begins again")
    assert served(server) == before
    host.hold.unlink()
    assert host.ended(job)["attempts"] == 2
    assert served(server) == ("one", "2.0.0")


def test_workers_that_are_killed_during_a_change_of_versions(make_host: MakeHost) -> None:
    host = make_host(COUNTER, "--workers", "2")
    server = host.start()
    served(server)
    for number in range(4):
        job = train(server, str(number))
        for pid in server.workers()[:2]:
            os.kill(pid, signal.SIGKILL)
        assert host.ended(job)["job_status"] in ("finished", "failed")
    last = train(server, "last")
    assert host.ended(last, 60)["job_status"] == "finished"
    wait_for(lambda: server.get("/health").json()["workers"]["ready"] == 2, "both are back")
    assert served(server)[0] == "last"
    host.check_processes()


def test_events_are_trained_in_their_order_and_each_once(host: Host) -> None:
    server = host.start()
    served(server)
    host.hold.touch()
    jobs = [train(server, f"token-{n}", hold=str(host.hold)) for n in range(5)]
    assert len(set(jobs)) == 5
    host.kill()
    host.hold.unlink()
    server = host.start()
    for job in jobs:
        assert host.ended(job)["job_status"] == "finished"
    order = list(dict.fromkeys(runs(host)))
    assert order == [f"token-{n}" for n in range(5)]
    assert served(server) == ("token-4", host.job(jobs[-1])["model_version"])


def test_a_stop_in_the_middle_of_a_fit_gives_the_job_back(host: Host) -> None:
    server = host.start()
    before = served(server)
    host.hold.touch()
    job = train(server, "one", name="2.0.0", hold=str(host.hold))
    wait_for(lambda: runs(host) == ["one"], "fit begins")
    workers = server.workers()
    assert server.stop() == 0
    wait_for(lambda: not any(map(is_running, workers)), "no worker is left")
    server = host.start()
    assert served(server)[1] == before[1]
    host.hold.unlink()
    assert host.ended(job)["job_status"] == "finished"
    assert served(server) == ("one", "2.0.0")
