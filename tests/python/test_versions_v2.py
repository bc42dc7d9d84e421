"""Model versions of API v2: their names, and how workers get a new one."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from hosting import PROJECT, Server, make_project, wait_for
from models_v2 import COUNTER, TELLER, event

Serve = Callable[..., Server]


def train(server: Server, **more: Any) -> dict[str, Any]:
    """Send an event and wait for its job."""
    answer = server.post("/webhook", event(**more), headers={"Prefer": "wait=60"})
    assert answer.status_code == 201, answer.text
    job: dict[str, Any] = answer.json()
    return job


def learn(server: Server, learned: int | None, **more: Any) -> dict[str, Any]:
    return train(server, annotation={"learned": learned, **more})


def version(server: Server) -> str:
    answer = server.setup()
    assert answer.status_code == 200, answer.text
    told: str = answer.json()["model_version"]
    return told


@contextmanager
def asking(server: Server, clients: int = 4) -> Iterator[list[tuple[str, float]]]:
    """Predict from several clients meanwhile; yields versions and scores as they arrive."""
    # Every worker has made its instance, which sets the version.
    server.wait_all_ready()
    with ThreadPoolExecutor(8) as pool:
        url, body = f"{server.url}/predict", {"tasks": [{"id": 1}], "project": PROJECT}
        asked = [pool.submit(requests.post, url, json=body, timeout=100) for _ in range(64)]
        assert {answer.result().status_code for answer in asked} == {200}
    seen: list[tuple[str, float]] = []
    failures: list[str] = []
    ended = threading.Event()

    def ask() -> None:
        with Client(server) as client:
            while not ended.is_set():
                answer = client.predict()
                if answer.status_code != 200:
                    failures.append(answer.text)
                    return
                (one,) = answer.json()["results"]
                seen.append((one["model_version"], one["score"]))

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert not failures, failures[0]


class Client(Server):
    """Another client of a server that runs."""

    def __init__(self, server: Server) -> None:
        self.url, self.session = server.url, requests.Session()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.session.close()


def test_a_training_changes_model_and_version_in_every_worker_at_once(serve: Serve) -> None:
    server = serve(COUNTER, "--workers", "3")
    assert version(server) == "Counter-v1"
    with asking(server) as seen:
        wait_for(lambda: len(seen) > 50, "predictions")
        for number in (1, 2):
            job = learn(server, number)
            assert (job["job_status"], job["error"]) == ("finished", None), job
            after = len(seen)
            assert version(server) == f"Counter-v1+{number}" == job["model_version"]
            # A few were sent before.
            wait_for(lambda start=after: len(seen) > start + 50, "more predictions")
    scores = {name: {score for other, score in seen if other == name} for name, _ in seen}
    assert list(scores.values()) == [{0}, {1}, {2}], scores
    assert next(iter(scores)) == "Counter-v1"


def test_a_fit_that_changes_nothing_makes_no_version(serve: Serve) -> None:
    server = serve(COUNTER)
    before, pids = version(server), server.workers()
    job = learn(server, None)
    assert (job["job_status"], job["model_version"]) == ("finished", None)
    assert version(server) == before
    assert set(pids) <= set(server.workers())


def test_a_change_of_keys_refreshes_instances_and_no_processes(serve: Serve) -> None:
    server = serve(TELLER)
    assert version(server) == "0.0.1"
    before = server.first()
    train(server, set={"prompt": "new"})
    said = server.first()
    assert said["instance"] != before["instance"]
    assert said["pid"] == before["pid"]
    assert version(server) == "0.0.1+1" == said["model_version"]


def test_what_fit_returns_renews_the_processes(serve: Serve) -> None:
    server = serve(TELLER)
    before = server.first()
    job = train(server, **{"return": {"weights": "elsewhere"}})
    said = server.first()
    assert said["pid"] != before["pid"]
    record = server.post("/job_status", {"job": job["job"]}).json()["result"]
    assert record["result"] == {"weights": "elsewhere"}
    assert (record["event"], record["own"]) == ("ANNOTATION_CREATED", "0.0.1")
    assert train(server, **{"return": {}})["model_version"] is None
    assert server.first()["pid"] == said["pid"]


def test_a_model_that_names_its_versions_is_left_alone(serve: Serve) -> None:
    server = serve(TELLER)
    version(server)
    job = train(server, set={"model_version": "2.0.0"})
    assert job["model_version"] == "2.0.0" == version(server)
    assert server.first()["model_version"] == "2.0.0"
    server.first(tasks=[{"data": {"set": {"model_version": "named by predict"}}}])
    assert version(server) == "named by predict"
    assert server.first()["model_version"] == "named by predict"
    assert server.get("/versions").json()["versions"] == ["named by predict", "0.0.1"]


def test_until_the_end_of_a_fit_its_name_is_not_served(serve: Serve) -> None:
    server = serve(TELLER)
    before = version(server)
    body = event(set={"model_version": "2.0.0"}, until_set=["go on"])
    server.post("/webhook", body)
    read = [{"data": {"get": ["model_version"]}}]
    wait_for(
        lambda: server.first(tasks=read)["get"]["model_version"] == "2.0.0", "fit has named it"
    )
    assert version(server) == before == server.first()["model_version"]
    server.first(tasks=[{"data": {"set": {"go on": "yes"}}}])
    wait_for(lambda: version(server) == "2.0.0", "it is served")


def test_a_fit_that_fails_leaves_the_version(serve: Serve) -> None:
    server = serve(TELLER)
    before = version(server)
    job = train(server, set={"model_version": "2.0.0"}, **{"raise": "no data"})
    assert (job["job_status"], job["error"]) == ("failed", "ValueError: no data")
    assert version(server) == before == server.first()["model_version"]
    read = [{"data": {"get": ["model_version"]}}]
    assert server.first(tasks=read)["get"]["model_version"] == before


def test_a_version_that_cannot_be_loaded_is_not_served(serve: Serve) -> None:
    server = serve(COUNTER, "--workers", "2")
    before = version(server)
    with asking(server) as seen:
        # Both workers have their instances.
        wait_for(lambda: len(seen) > 50, "predictions")
        job = learn(server, 5, **{"break": True})
        assert job["job_status"] == "finished"
        assert "RuntimeError: the weights are broken" in job["error"]
        assert version(server) == before
        after = len(seen)
        wait_for(lambda: len(seen) > after + 20, "predictions go on")
    assert set(seen) == {(before, 0)}
    problems = server.get("/health").json()["problems"]
    assert any("the weights are broken" in problem for problem in problems)


def test_versions_survive_a_restart(serve: Serve, tmp_path: Path) -> None:
    models = str(tmp_path / "models")
    server = serve(COUNTER, "--model-dir", models)
    version(server)
    first = learn(server, 7)["model_version"]
    second = learn(server, 8)["model_version"]
    assert server.stop() == 0
    again = serve(server.project, "--model-dir", models)
    assert version(again) == second
    said = again.first()
    assert (said["score"], said["model_version"]) == (8, second)
    assert again.get("/versions").json()["versions"] == [second, first, "Counter-v1"]
    number = second.rpartition("+")[2]
    assert again.post(f"/versions/{number}/activate", {"project": PROJECT}).status_code == 404


def test_old_records_go(serve: Serve) -> None:
    server = serve(TELLER, "--keep-versions", "2")
    version(server)
    names = [train(server, set={"k": str(number)})["model_version"] for number in range(4)]
    assert server.get("/versions").json()["versions"] == names[:1:-1]


@pytest.mark.parametrize("workers", [1, 2])
def test_stop_first_keeps_requests_waiting(serve: Serve, workers: int) -> None:
    server = serve(COUNTER, "--rollout", "stop-first", "--workers", str(workers))
    version(server)
    with asking(server) as seen:
        wait_for(lambda: len(seen) > 20, "predictions")
        job = learn(server, 3)
        after = len(seen)
        wait_for(lambda: len(seen) > after + 20, "more predictions")
    assert set(seen) == {("Counter-v1", 0), (job["model_version"], 3)}
    ready = lambda: server.get("/health").json()["workers"]["ready"]  # noqa: E731
    wait_for(lambda: ready() == workers, "all workers are back")


def is_worker(pid: int) -> bool:
    """Return whether a child of the server is a worker."""
    try:
        return b"label_studio_ml._worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def test_a_full_graphics_card_makes_it_stop_first(serve: Serve, tmp_path: Path) -> None:
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    tool.write_text(
        "#!/bin/sh\n"
        'case "$1" in\n'
        f"*compute-apps*) for pid in $(cat {tmp_path}/pids); do echo $pid, 9000, GPU-a; done;;\n"
        "*) echo 100, GPU-a;;\n"
        "esac\n"
    )
    tool.chmod(0o755)
    path = {"PATH": f"{tool.parent}:{os.environ['PATH']}"}
    server = serve(COUNTER, env=path)
    version(server)
    (old,) = server.workers()
    (tmp_path / "pids").write_text(str(old))
    most = 0
    ended = threading.Event()

    def watch() -> None:
        nonlocal most
        while not ended.is_set():
            most = max(most, sum(map(is_worker, server.workers())))

    watcher = threading.Thread(target=watch)
    watcher.start()
    learn(server, 1)
    ended.set()
    watcher.join()
    # The training worker, and one predicting worker at a time.
    assert most <= 2
    assert server.first()["score"] == 1


def test_a_cheap_fit_starts_no_process(serve: Serve) -> None:
    server = serve(TELLER)
    version(server)
    pids = set()
    for number in range(3):
        job = train(server, set={"k": str(number)})
        log = server.get(f"/jobs/{job['job']}/log").text
        pids.add(log.partition("fit in ")[2].split()[0])
    assert len(pids) == 1


IN_MEMORY = """
    import os, time
    from label_studio_ml.model import LabelStudioMLBase

    LEARNED = []

    class Memory(LabelStudioMLBase):
        def predict(self, tasks, context=None, **kwargs):
            return [{"result": [], "score": len(LEARNED), "pid": os.getpid()} for _ in tasks]

        def fit(self, event, data, **kwargs):
            print("learning in", os.getpid())
            while data.get("hold") and os.path.exists(data["hold"]):
                time.sleep(0.01)
            LEARNED.append(data)
            return len(LEARNED)
"""


def test_fit_inside_the_worker_that_predicts(serve: Serve) -> None:
    server = serve(IN_MEMORY, "--fit-in", "worker")
    before = version(server)
    pid = server.first()["pid"]
    job = train(server, annotation={})
    said = server.first()
    assert (said["score"], said["pid"]) == (1, pid)
    assert said["model_version"] == version(server) == job["model_version"] != before
    assert f"learning in {pid}" in server.get(f"/jobs/{job['job']}/log").text
    hold = server.project.parent / "hold"
    hold.touch()
    server.post("/webhook", event(hold=str(hold)))
    wait_for(lambda: server.get("/jobs").json()["jobs"][0]["job_status"] == "started", "it trains")
    assert server.first()["score"] == 1, "predictions go on meanwhile"
    hold.unlink()
    wait_for(lambda: server.first()["score"] == 2, "it has learned")


def test_a_fit_in_the_worker_can_be_cancelled(serve: Serve) -> None:
    server = serve(IN_MEMORY, "--fit-in", "worker")
    before = version(server)
    hold = server.project.parent / "hold"
    hold.touch()
    job = server.post("/webhook", event(hold=str(hold))).json()["job"]
    wait_for(lambda: "learning in" in server.get(f"/jobs/{job}/log").text, "it trains")
    cancelled = server.post(f"/jobs/{job}/cancel", {}).json()
    assert cancelled["job_status"] == "cancelled"
    assert version(server) == before
    assert server.first()["score"] == 0
    assert train(server, annotation={})["job_status"] == "finished"


def test_fit_in_the_worker_needs_one_worker(tmp_path: Path) -> None:
    from hosting import run

    project = make_project(tmp_path, TELLER)
    done = run("start", project, "--fit-in", "worker", "--workers", "2")
    assert done.returncode == 2
    assert "--fit-in worker needs --workers 1" in done.stderr


def test_a_version_that_predict_names_is_the_same_everywhere(serve: Serve) -> None:
    source = """
        from label_studio_ml.model import LabelStudioMLBase

        class Weights(LabelStudioMLBase):
            def predict(self, tasks, context=None, **kwargs):
                self.set("model_version", f"weights-{self.get('trainings') or 0}")
                return [{"result": [], "score": 0.5} for _ in tasks]

            def fit(self, event, data, **kwargs):
                self.set("trainings", str(int(self.get("trainings") or 0) + 1))
    """
    server = serve(source)
    server.setup()
    for training in (1, 2):
        server.predict()
        train(server, annotation={"id": training})
        predicted = server.predict().json()["model_version"]
        assert predicted == f"weights-{training}"
        assert server.setup().json()["model_version"] == predicted
        assert server.get("/versions").json()["versions"][0] == predicted
    listed = server.get("/versions").json()["versions"]
    assert listed == ["weights-2", "weights-1", "weights-0"]
