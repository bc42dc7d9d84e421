"""Mixed load while workers are killed at random: no wrong answer, no lost job, no growing resource.

Runs for `SOAK_SECONDS`, two minutes unless that is set; prints what it measured.
"""

from __future__ import annotations

import json
import os
import random
import signal
import statistics
import time
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from backend import Backend, MakeBackend
from doer import DOER
from footprint import descriptors, status_field
from hosting import wait_for
from load import Load

#: What it measures would grow with what runs beside it.
pytestmark = pytest.mark.alone

SECONDS = float(os.environ.get("SOAK_SECONDS", "120"))
SEED = int(os.environ.get("SOAK_SEED", "20"))
#: Until what is made at the first use is made.
WARM_UP = 20.0
#: How much more the server may hold at the end than at the beginning.
MOST_MEMORY_KIB = 24 << 10
MOST_DESCRIPTORS = 8
#: The memory of a worker that answered thousands, compared with others.
MOST_WORKER_KIB = 48 << 10
#: How long the training that is queued at the end may take.
TRAINING_ENDS = 120.0


@dataclass
class Samples:
    """What server and workers occupied in the course of time."""

    server_kib: list[int] = field(default_factory=list)
    server_descriptors: list[int] = field(default_factory=list)
    worker_kib: list[int] = field(default_factory=list)
    worker_descriptors: list[int] = field(default_factory=list)

    def take(self, backend: Backend) -> None:
        server = backend.server.process.pid
        self.server_kib.append(status_field(server, "VmRSS"))
        self.server_descriptors.append(descriptors(server).total())
        kib, opened = [], []
        for pid in backend.server.workers():
            # It may be killed at this moment.
            with suppress(OSError, StopIteration):
                kib.append(status_field(pid, "VmRSS"))
                opened.append(descriptors(pid).total())
        if kib:
            self.worker_kib.append(max(kib))
            self.worker_descriptors.append(max(opened))

    def growth(self, name: str) -> tuple[float, float]:
        """Return the medians of the first and of the last third."""
        series = getattr(self, name)
        third = max(1, len(series) // 3)
        return statistics.median(series[:third]), statistics.median(series[-third:])


# Further time for the start, for queued trainings, and for the end.
@pytest.mark.timeout(SECONDS + TRAINING_ENDS + 120)
def test_mixed_load_with_random_kills(make_backend: MakeBackend) -> None:
    backend = make_backend(
        DOER, "--workers", "2", "--threads", "4", "--max-requests", "3000", "--spare-workers", "1"
    )
    backend.start()
    dice = random.Random(SEED)
    load, samples = Load(backend.server.url, SEED), Samples()
    load.start()
    kills = 0
    began = time.monotonic()
    next_kill = began + 5
    try:
        while (now := time.monotonic()) < began + SECONDS:
            assert backend.server.process.poll() is None, backend.server.log()[-5000:]
            if now >= next_kill:
                next_kill = now + dice.uniform(2, 8)
                if workers := backend.server.workers():
                    with suppress(ProcessLookupError):
                        os.kill(dice.choice(workers), signal.SIGKILL)
                        kills += 1
            if now > began + WARM_UP:
                samples.take(backend)
            time.sleep(1)
    finally:
        load.stop()

    def all_ended() -> bool:
        listed = backend.server.get("/jobs", params={"limit": 1000}).json()
        return all(job["ended_at"] for job in listed["jobs"])

    wait_for(all_ended, "all training has ended", TRAINING_ENDS)
    jobs = [backend.job(job) for job in sorted(load.jobs)]
    report = {
        "seconds": SECONDS,
        "seed": SEED,
        "requests": dict(sorted(load.counts.items())),
        "kills": kills,
        "worker restarts": backend.restarts(),
        "jobs": len(jobs),
        "jobs run twice": sum(job["attempts"] > 1 for job in jobs),
        "growth (first third, last third)": {name: samples.growth(name) for name in vars(samples)},
        "wrong": load.wrong[:10],
        "not finished": [(job["job"], job["attempts"], job["error"]) for job in unfinished(jobs)],
    }
    print(json.dumps(report, indent=2))
    assert not load.wrong, f"{len(load.wrong)}: {load.wrong[:5]}"
    assert not [job for job in unfinished(jobs) if not was_killed_twice(job)]
    assert kills > SECONDS / 15
    for name, most in {
        "server_kib": MOST_MEMORY_KIB,
        "server_descriptors": MOST_DESCRIPTORS,
        "worker_kib": MOST_WORKER_KIB,
        "worker_descriptors": MOST_DESCRIPTORS,
    }.items():
        first, last = samples.growth(name)
        assert last <= first + most, f"{name} grows: {first} → {last}"
    # Kills of spare workers and of the training process, about half of them, are no restarts.
    assert backend.restarts() >= kills / 8
    backend.end()


def unfinished(jobs: list[dict[str, object]]) -> list[dict[str, object]]:
    return [job for job in jobs if job["job_status"] != "finished"]


def was_killed_twice(job: dict[str, object]) -> bool:
    """A job whose worker was killed at both of its attempts is given up, and says so."""
    return job["attempts"] == 2 and "SIGKILL" in str(job["error"])
