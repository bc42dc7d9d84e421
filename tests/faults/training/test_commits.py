"""Transactions of the job store that fail, for one request or for the runner."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import requests
from host import Host, answer
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
    host.start()
    host.ended(host.ledger.train(host.server))
    with ThreadPoolExecutor(1) as client:
        asked = client.submit(host.ledger.train, host.server)
        with locked(host, "state = 'running' AND worker IS NULL"):
            time.sleep(LOCKED)
        job = asked.result()
    behind = host.ledger.train(host.server)
    assert host.ended(behind)["job_status"] == "finished"
    assert host.ended(job, 15)["ended_at"], "it is still said to run, and nobody runs it"
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
