"""Kills at random moments while requests for training come in: nothing accepted is ever lost."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from pathlib import Path

import pytest
import requests
from host import EarlyServer, Host
from hosting import Server, wait_for
from ledger import key

KILLS = 200
PROJECTS = [key(number) for number in range(2, 6)]
#: A life is about as long as it takes to start, to train a little, and to begin with something else.
SHORTEST, LONGEST = 0.02, 0.9


class Clients:
    """Threads that ask for training all the time, whatever becomes of the server."""

    def __init__(self, host: Host, seed: int) -> None:
        self.host = host
        self.over = threading.Event()
        self.failures: list[str] = []
        self.threads = [
            threading.Thread(target=self._ask, args=(random.Random(seed + number),))
            for number in range(2)
        ]
        for thread in self.threads:
            thread.start()

    def _ask(self, chance: random.Random) -> None:
        while not self.over.is_set():
            time.sleep(chance.uniform(0.05, 0.4))
            server = self.host.server
            kind = "event" if chance.random() < 0.7 else "train"
            try:
                self.host.ledger.ask(
                    kind, server, chance.choice(PROJECTS), seconds=chance.choice([0, 0, 0.02, 0.1])
                )
            except requests.Timeout:
                continue
            except AssertionError as error:
                self.failures.append(str(error))

    def stop(self) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join()


def training_workers(server: Server) -> list[int]:
    """Return the pids of processes of a server that train, by their niceness."""
    found = []
    for pid in server.workers():
        with contextlib.suppress(OSError, IndexError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            if fields[16] == "10":
                found.append(pid)
    return found


@pytest.mark.timeout(600)
def test_nothing_is_lost_in_two_hundred_kills(host: Host) -> None:
    seed = int(os.environ.get("FAULTS_SEED", random.SystemRandom().randrange(1_000_000)))
    print(f"FAULTS_SEED={seed}")
    chance = random.Random(seed)
    host.start()
    clients = Clients(host, seed)
    began = time.monotonic()
    of_workers = 0
    try:
        for _ in range(KILLS):
            time.sleep(chance.uniform(SHORTEST, LONGEST))
            workers = training_workers(host.server)
            if workers and chance.random() < 0.25:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(chance.choice(workers), signal.SIGKILL)
                of_workers += 1
                continue
            host.server.process.kill()
            host.server.process.wait()
            host.ledger.look()
            host.start(kind=EarlyServer)
    finally:
        clients.stop()
    assert not clients.failures, clients.failures
    wait_for(lambda: host.server.get("/health").json()["workers"]["ready"], "a worker is ready")
    host.ledger.settle(host.server, 120)
    host.check()
    jobs = host.server.get("/jobs?limit=1000").json()["jobs"]
    states = [job["job_status"] for job in jobs]
    print(
        f"{KILLS} kills ({of_workers} of training workers) in {time.monotonic() - began:.0f} s: "
        f"{len(host.ledger.accepted())} jobs accepted, {states.count('finished')} finished, "
        f"{states.count('failed')} failed after two deaths of their worker, 0 lost"
    )
    assert all(
        "training worker" in job["error"] for job in jobs if job["job_status"] == "failed"
    ), jobs
