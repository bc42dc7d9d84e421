"""Many requests at once, and many projects."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import requests
from backend import answer
from host import Host
from hosting import CHOICES, PROJECT, wait_for
from ledger import event, key

MakeHost = Callable[..., Host]

EVENTS, THREADS = 1_000, 8


def predicting(host: Host, over: threading.Event, failures: list[str]) -> threading.Thread:
    """Predict all the time; note what was not answered well."""

    def ask() -> None:
        session = requests.Session()
        body = {"tasks": [{"id": 1}], "project": PROJECT, "label_config": CHOICES}
        while not over.is_set():
            answered = session.post(f"{host.server.url}/predict", json=body, timeout=60)
            if answered.status_code != 200:
                failures.append(answered.text)
            time.sleep(0.005)

    thread = threading.Thread(target=ask)
    thread.start()
    return thread


def test_a_storm_of_events_is_at_most_two_fits(host: Host) -> None:
    host.start()
    host.server.setup()
    host.ended(host.ledger.train(host.server))
    host.hold.touch()
    seconds: list[float] = []
    jobs: set[str] = set()
    failures: list[str] = []
    over = threading.Event()

    def storm(number: int) -> None:
        session = requests.Session()
        for count in range(EVENTS // THREADS):
            body = event(PROJECT, f"storm-{number}-{count}", hold=host.hold, pad="x" * 10_000)
            data = json.dumps(body)
            headers = {"Content-Type": "application/json"}
            began = time.perf_counter()
            answered = session.post(f"{host.server.url}/webhook", data, headers=headers, timeout=60)
            seconds.append(time.perf_counter() - began)
            if answered.status_code == 201:
                jobs.add(answered.json()["job"])
            else:
                failures.append(answered.text)

    first = answer(host.server, "/webhook", event(PROJECT, "first", hold=host.hold))["job"]
    host.wait_for_fit(first)
    predictions = predicting(host, over, failures)
    threads = [threading.Thread(target=storm, args=(number,)) for number in range(THREADS)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    own = host.ledger.train(host.server)
    for thread in threads:
        thread.join()
    took = time.monotonic() - began
    last = answer(host.server, "/webhook", event(PROJECT, "the last one"))["job"]
    host.hold.unlink()
    host.ledger.settle(host.server)
    over.set()
    predictions.join()

    seconds.sort()
    print(
        f"{EVENTS} events in {took:.2f} s: "
        f"p50 {seconds[500] * 1e3:.1f} ms, p99 {seconds[990] * 1e3:.1f} ms"
    )
    assert not failures, failures[:3]
    assert jobs == {last}
    waiting = host.job(last)
    assert (waiting["merged"], waiting["job_status"]) == (EVENTS, "finished")
    runs = {run["job"]: run["token"] for run in host.ledger.runs()}
    assert runs[last] == "the last one"
    assert runs[str(own)] == host.ledger.token_of(str(own)), "/train learns from its own data"
    assert len(host.ledger.runs()) == 4, "the first version, the first event, the rest, /train"


def test_fifty_projects_have_their_turns(host: Host) -> None:
    host.start()
    host.server.setup()
    projects = [key(number) for number in range(2, 52)]
    host.hold.touch()
    blocker = host.ledger.train(host.server, key(99), hold=host.hold)
    host.wait_for_fit(blocker)
    failures: list[str] = []
    over = threading.Event()
    asked: dict[str, list[str]] = {project: [] for project in projects}
    for project in projects:
        for _ in range(3):
            asked[project].append(str(host.ledger.train(host.server, project)))
    thread = predicting(host, over, failures)
    host.hold.unlink()
    host.ledger.settle(host.server, 180)
    over.set()
    thread.join()
    assert not failures, failures[:3]
    order = [run["job"] for run in host.ledger.runs() if run["job"] != blocker]
    assert len(order) == 150
    for project, jobs in asked.items():
        assert [job for job in order if job in jobs] == jobs, project
    of_job = {job: project for project, jobs in asked.items() for job in jobs}
    for turn in range(3):
        turns = [of_job[job] for job in order[50 * turn : 50 * turn + 50]]
        assert len(set(turns)) == 50, "nobody has another turn while somebody waits"
    host.check()


def test_a_waiting_storm_survives_a_kill(host: Host) -> None:
    host.start()
    host.hold.touch()
    host.wait_for_fit(host.ledger.event(host.server, hold=host.hold))
    answers: list[Any] = [host.ledger.event(host.server) for _ in range(100)]
    assert len(set(answers)) == 1
    host.kill()
    host.hold.unlink()
    host.start()
    host.check()
    wait_for(lambda: host.job(answers[0])["job_status"] == "finished", "the merged job is done")
    assert host.job(answers[0])["merged"] == 99
