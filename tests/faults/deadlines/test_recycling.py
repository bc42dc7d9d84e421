"""Workers are recycled after some use, and none of their requests fails."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter

import pytest
import requests
from backend import Backend, MakeBackend, eventually
from doer import DOER, right_answer
from hosting import CHOICES, PROJECT, wait_for


class Load:
    """Clients that ask without a break until they are told to stop."""

    def __init__(self, backend: Backend, clients: int = 3) -> None:
        self.url = backend.server.url + "/predict"
        self.seen: Counter[str] = Counter()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(clients)]

    def _run(self, client: int) -> None:
        session = requests.Session()
        number = 0
        while not self._stop.is_set():
            number += 1
            text = f"good {client}-{number}"
            body = {
                "tasks": [{"data": {"text": text}}],
                "project": PROJECT,
                "label_config": CHOICES,
            }
            answer = session.post(self.url, json=body, timeout=120)
            if answer.status_code == 200 and answer.json() == right_answer([text]):
                self.seen["right"] += 1
            else:
                self.seen[f"{answer.status_code} {answer.text[:200]}"] += 1
        session.close()

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def metric(backend: Backend, name: str) -> int:
    for line in backend.server.get("/metrics").text.splitlines():
        if line.startswith(f"{name} "):
            return int(float(line.split()[1]))
    return 0


def renewals(backend: Backend) -> int:
    return metric(backend, "label_studio_ml_worker_renewals_total")


def spares(backend: Backend) -> int:
    return metric(backend, "label_studio_ml_workers_spare")


@pytest.mark.parametrize(
    "options",
    [("--max-requests", "50"), ("--max-worker-age", "2")],
    ids=["by requests", "by age"],
)
def test_a_worker_is_recycled_without_a_failed_request(
    make_backend: MakeBackend, options: tuple[str, ...]
) -> None:
    backend = make_backend(DOER, "--workers", "2", *options)
    backend.start()
    backend.settle()
    with Load(backend) as load:
        wait_for(lambda: renewals(backend) >= 4, "four workers are renewed", 90)
    assert set(load.seen) == {"right"}, load.seen
    eventually(lambda: "" if len(backend.server.workers()) == 2 else "no", "two workers are left")
    backend.end()


def test_a_worker_that_leaks_is_renewed_without_a_failed_request(
    make_backend: MakeBackend,
) -> None:
    backend = make_backend(DOER, "--max-worker-rss", "300")
    backend.start()
    worker = backend.worker()
    assert backend.do("import builtins; builtins.kept = b'x' * (330 << 20)").ok
    with Load(backend) as load:
        wait_for(lambda: renewals(backend) >= 1, "it is renewed")
        wait_for(lambda: worker not in backend.server.workers(), "it is gone")
    assert set(load.seen) == {"right"}, load.seen
    backend.server.wait_logged("over 300 MiB (--max-worker-rss)")
    backend.end()


def test_a_prediction_that_takes_all_memory_is_ended_with_its_worker(
    make_backend: MakeBackend,
) -> None:
    backend = make_backend(DOER, "--max-worker-rss", "200")
    backend.start()
    backend.check_answer()
    answer = backend.do("kept = []\nwhile True: kept.append(b'x' * (1 << 20)); time.sleep(0.002)")
    assert answer.status_code == 502
    assert "over 1.5 × 200 MiB (--max-worker-rss)" in answer.json()["detail"]
    backend.check_answer()
    backend.end()


def test_a_successor_that_cannot_start_leaves_the_old_worker_serving(
    make_backend: MakeBackend,
) -> None:
    backend = make_backend(DOER, "--max-requests", "20")
    broken = backend.root / "read.py"
    backend.start(DOER_READ=str(broken))
    worker = backend.worker()
    backend.check_answer()
    broken.write_text("raise RuntimeError('not today')")
    for _ in range(25):
        backend.check_answer()
    wait_for(lambda: "no other worker could take its place" in backend.server.log(), "it is tried")
    for _ in range(5):
        backend.check_answer()
    assert backend.worker() == worker
    broken.unlink()
    backend.end()


def test_a_spare_worker_takes_the_place_of_a_dead_one(make_backend: MakeBackend) -> None:
    backend = make_backend(DOER, "--spare-workers", "1")
    slow = backend.root / "read.py"
    backend.start(DOER_READ=str(slow))
    backend.check_answer()
    wait_for(lambda: spares(backend) == 1, "the spare is there")
    slow.write_text("time.sleep(100)")
    # A worker that had to import the script now would be too late for this request.
    assert backend.do("os._exit(1)").status_code == 502
    answer = requests.post(
        backend.server.url + "/predict",
        json={
            "tasks": [{"data": {"text": "good spare"}}],
            "project": PROJECT,
            "label_config": CHOICES,
        },
        timeout=60,
    )
    assert answer.json() == right_answer(["good spare"])
    slow.write_text("")
    backend.end()


def test_a_spare_worker_that_dies_is_replaced(make_backend: MakeBackend) -> None:
    backend = make_backend(DOER, "--spare-workers", "1", "--load-spare-workers")
    backend.start()
    backend.check_answer()
    wait_for(lambda: spares(backend) == 1, "the spare is there")
    both = backend.server.workers()
    pid = backend.do("results = [{'result': [], 'pid': os.getpid()}]").json()["results"][0]["pid"]
    (spare,) = set(both) - {pid}
    os.kill(spare, signal.SIGKILL)
    wait_for(
        lambda: spare not in backend.server.workers() and len(backend.server.workers()) == 2,
        "another spare is started",
    )
    wait_for(lambda: spares(backend) == 1, "it is ready")
    assert backend.do("os._exit(1)").status_code == 502
    backend.check_answer()
    backend.end()
