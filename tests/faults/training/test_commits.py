"""Failing transactions of the job store, for one request or for the runner."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import requests
from backend import answer
from host import Host
from hosting import wait_for
from ledger import key
from small_disk import SmallDisk

MakeHost = Callable[..., Host]

#: The server waits for ten.
LOCKED = 12
ROUNDS, AT_ONCE = 8, 24


@contextlib.contextmanager
def locked(host: Host, condition: str) -> Iterator[None]:
    """Lock the store, as a backup may, at the first moment at which some job meets `condition`."""
    with contextlib.closing(
        sqlite3.connect(host.database, timeout=0, isolation_level=None)
    ) as database:
        until = time.monotonic() + 30
        while time.monotonic() < until:
            try:
                database.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                continue  # the server has it
            if database.execute(f"SELECT 1 FROM jobs WHERE {condition}").fetchone():
                yield
                database.execute("ROLLBACK")
                return
            database.execute("ROLLBACK")
    raise AssertionError(f"no job was seen with {condition}")


def test_a_job_taken_while_the_store_is_locked_still_ends(host: Host) -> None:
    # So each job starts its own worker, and has none for a while.
    host.start("--train-linger", "0")
    host.ended(host.ledger.train(host.server))
    with ThreadPoolExecutor(1) as client:
        asked = client.submit(host.ledger.train, host.server)
        with locked(host, "state = 'running' AND worker IS NULL"):
            time.sleep(LOCKED)
        job = asked.result()
    behind = host.ledger.train(host.server)
    assert host.ended(behind)["job_status"] == "finished"
    assert host.ended(job)["job_status"] == "finished"
    host.check()


def test_what_was_trained_while_the_store_is_locked_is_published(host: Host) -> None:
    host.start()
    host.hold.touch()
    job = host.ledger.train(host.server, hold=host.hold)
    host.wait_for_fit(job)
    with locked(host, "state = 'running'"):
        host.hold.unlink()
        time.sleep(LOCKED)
        assert host.server.predict().status_code == 200
    done = host.ended(job)
    assert (done["job_status"], done["attempts"]) == ("finished", 1)
    assert len(host.ledger.runs_of(str(job))) == 1, "it is not trained again"
    host.check()


def test_what_a_nearly_full_disk_refuses_is_not_there(
    small_disk: SmallDisk, make_host: MakeHost
) -> None:
    """Small and large requests share a commit; the large ones find no room."""
    host = make_host(model_dir=small_disk.models)
    host.start()
    host.ended(host.ledger.train(host.server))
    host.hold.touch()
    host.wait_for_fit(host.ledger.train(host.server, hold=host.hold))

    def ask(project: str, size: int) -> tuple[str, int, str]:
        body = {"annotations": [{}], "project": project, "params": {"token": project}}
        data = json.dumps({**body, "filler": "x" * size})
        headers = {"Content-Type": "application/json"}
        answered = requests.post(f"{host.server.url}/train", data, headers=headers, timeout=60)
        return project, answered.status_code, answered.text

    answers: list[tuple[str, int, str]] = []
    with ThreadPoolExecutor(AT_ONCE) as clients:
        for number in range(ROUNDS):
            small_disk.fill(leave=1 << 20)
            sizes = [6 << 20 if place % 6 == 3 else 100 for place in range(AT_ONCE)]
            names = [f"round{number}-{place}" for place in range(AT_ONCE)]
            answers += clients.map(ask, names, sizes)
            small_disk.free()
    there = {job["project"] for job in answer(host.server, "/jobs?limit=1000")["jobs"]}
    accepted = {project for project, status, _ in answers if status == 201}
    refused = {project: text for project, status, text in answers if status != 201}
    assert refused, "the disk was not full"
    assert accepted <= there, "accepted and lost"
    assert not there & set(refused), f"refused, and there all the same: {there & set(refused)}"
    assert {status for _, status, _ in answers} <= {201, 507}, {*refused.values()}


def test_jobs_taken_while_large_requests_find_no_room_still_end(
    small_disk: SmallDisk, make_host: MakeHost
) -> None:
    host = make_host(model_dir=small_disk.models)
    host.start()
    host.ended(host.ledger.train(host.server))
    host.hold.touch()
    host.wait_for_fit(host.ledger.train(host.server, hold=host.hold))
    small = [host.ledger.train(host.server, key(number % 5 + 3)) for number in range(150)]
    # Enough space for small transactions, not for large ones.
    small_disk.fill(leave=3 << 20)
    large = {"annotations": [{}], "project": "large", "params": {"token": "large"}}
    data = json.dumps({**large, "filler": "x" * (6 << 20)})
    headers = {"Content-Type": "application/json"}
    over = threading.Event()

    def ask() -> set[int]:
        found = set()
        while not over.is_set():
            url = f"{host.server.url}/train"
            found.add(requests.post(url, data, headers=headers, timeout=60).status_code)
        return found

    with ThreadPoolExecutor(6) as clients:
        asking = [clients.submit(ask) for _ in range(6)]
        host.hold.unlink()
        until = time.monotonic() + 12
        while answer(host.server, "/health")["jobs"] and time.monotonic() < until:
            time.sleep(0.05)
        over.set()
    answered = {status for found in asking for status in found.result()}
    small_disk.free()
    wait_for(lambda: not waiting(host), "all waiting jobs have been taken", 60)
    # Jobs run one at a time, so these must have ended before a later one.
    host.ended(host.ledger.train(host.server))
    running = [job for job in small if host.job(job)["job_status"] == "started"]
    assert not running, f"accepted, taken, and run by nobody: {running}"
    assert answered == {507}, answered


def waiting(host: Host) -> int:
    jobs = answer(host.server, "/jobs?limit=1000")["jobs"]
    return sum(job["job_status"] == "queued" for job in jobs)
