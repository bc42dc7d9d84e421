"""Hundreds of kills at random moments while requests come in: nothing accepted is lost."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import sqlite3
import tempfile
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from backend import answer
from host import EarlyServer, Host
from ledger import key
from test_kill_points import KILL_POINTS

KILLS = 220
PROJECTS = [key(number) for number in range(2, 8)]
#: Another one is tried with FAULTS_SEED=…; a failure says which one it was.
SEED = int(os.environ.get("FAULTS_SEED", "20261123"))


@dataclass
class Clients:
    """One client a project, each sending one request after the other."""

    host: Host
    chance: random.Random
    threads: dict[str, ThreadPoolExecutor] = field(default_factory=dict)
    sent: list[Future[Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.threads = {project: ThreadPoolExecutor(1) for project in PROJECTS}

    def send(self) -> None:
        """Let one of the clients send something, at some time."""
        project, kind = self.chance.choice(PROJECTS), self.chance.choice(["train", "event"])
        told = {"seconds": self.chance.choice([0, 0, 0.02, 0.1])}
        if self.chance.random() < 0.1:
            told["raise"] = "this one is to fail"  # type: ignore[assignment]
        if kind == "event" and self.chance.random() < 0.1:
            told["nothing"] = True
        server, ask = self.host.server, self.host.ledger.ask
        self.sent.append(self.threads[project].submit(ask, kind, server, project, **told))

    def finish(self) -> None:
        """Wait for all answers, and for those that will not come."""
        for sent in self.sent:
            sent.result(60)
        self.sent.clear()

    def stop(self) -> None:
        for thread in self.threads.values():
            thread.shutdown()


def states(host: Host) -> set[str]:
    """Return the states of jobs as a killed server has left them.

    Reads a copy: opening the store itself would do a part of the recovery that the next server has to do.
    """
    with tempfile.TemporaryDirectory() as folder:
        for path in host.database.parent.glob("state.db*"):
            shutil.copy(path, folder)
        with contextlib.closing(sqlite3.connect(Path(folder) / host.database.name)) as database:
            try:
                return {state for (state,) in database.execute("SELECT DISTINCT state FROM jobs")}
            except sqlite3.OperationalError:
                return set()  # killed before it had tables


def live(host: Host, clients: Clients, chance: random.Random) -> int:
    """Live the life of one server until it is killed; return how often something was killed."""
    kills = 1
    until = time.monotonic() + chance.choice([0.05, 0.2, 0.5]) * chance.random()
    while (left := until - time.monotonic()) > 0 and host.server.process.poll() is None:
        clients.send()
        time.sleep(min(left, 0.1 * chance.random()))
        if chance.random() < 0.15 and (worker := last_worker(host)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
                kills += 1
    host.server.process.kill()
    host.died()
    clients.finish()
    host.ledger.look()
    return kills


def last_worker(host: Host) -> int | None:
    """Return the pid of the process that trained last, if it is one of this server."""
    runs = host.ledger.runs()
    pid = runs[-1]["pid"] if runs else None
    return pid if pid in host.server.workers() else None


@pytest.mark.timeout(400)
def test_nothing_is_lost_in_hundreds_of_random_kills(host: Host) -> None:
    print(f"FAULTS_SEED={SEED}")
    chance = random.Random(SEED)
    clients = Clients(host, chance)
    began, kills, lives, training, waiting = time.monotonic(), 0, 0, 0, 0
    # On a busy machine many servers are killed before they have accepted anything.
    while kills < KILLS or len(host.ledger.accepted()) < KILLS // 2 or training < KILLS // 10:
        # A quarter of the servers is killed between two steps, if it gets that far.
        point = chance.choice(KILL_POINTS) if chance.random() < 0.25 else ""
        times = chance.randrange(4)
        host.start(
            kind=EarlyServer, failpoints=point and f"{point}={f'{times}*off->' * bool(times)}return"
        )
        kills += live(host, clients, chance)
        lives += 1
        left = states(host)
        training += bool(left & {"running", "publishing"})
        waiting += "queued" in left and not left & {"running", "publishing"}
    clients.stop()
    killed = time.monotonic() - began
    host.start()
    host.check()
    jobs = answer(host.server, "/jobs?limit=1000")["jobs"]
    ends: dict[str, int] = {}
    for job in jobs:
        reason = (job["error"] or "").partition("(")[0]
        ends[f"{job['job_status']} {reason}"] = ends.get(f"{job['job_status']} {reason}", 0) + 1
    print(
        f"{kills} kills ({lives} of servers: {training} while a job ran, {waiting} while jobs only "
        f"waited, {lives - training - waiting} idle; {kills - lives} of workers) in {killed:.0f} s, "
        f"{len(host.ledger.asked)} requests, {len(host.ledger.accepted())} jobs accepted, "
        f"{len(host.ledger.runs())} runs, 0 lost, {time.monotonic() - began:.0f} s; {ends}"
    )
