"""Workers that are killed: their requests get an error, and everything else goes on."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from backend import Backend
from hosting import is_running, wait_for

MakeBackend = Callable[..., Backend]


def test_a_worker_killed_while_idle_costs_no_answer(backend: Backend) -> None:
    worker = backend.worker()
    backend.kill_worker()
    backend.check_answer()
    assert backend.worker() != worker


def test_a_worker_killed_within_predict_costs_that_answer(backend: Backend) -> None:
    worker = backend.worker()
    begun = backend.temporary / "begun"
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(backend.do, f"open({str(begun)!r}, 'w'); time.sleep(600)")
        wait_for(begun.exists, "predict runs")
        os.kill(worker, signal.SIGKILL)
        answer = asked.result()
    assert answer.status_code == 502
    assert f"worker 1 (pid {worker}) was killed by signal 9" in answer.json()["detail"]
    begun.unlink()


def test_all_requests_on_a_killed_worker_are_told_and_none_waits(backend: Backend) -> None:
    worker = backend.worker()
    begun = backend.temporary / "begun"
    code = f"open({str(begun)!r} + str(threading.get_ident()), 'w'); time.sleep(600)"

    def all_begun() -> bool:
        return len(list(backend.temporary.glob("begun*"))) == 8

    with ThreadPoolExecutor(8) as threads:
        asked = [threads.submit(backend.do, code) for _ in range(8)]
        wait_for(all_begun, "all run")
        os.kill(worker, signal.SIGKILL)
        assert [answer.result().status_code for answer in asked] == [502] * 8
    for path in backend.temporary.glob("begun*"):
        path.unlink()


def test_requests_in_line_survive_the_worker_that_they_wait_for(backend: Backend) -> None:
    """They were not on it yet, so the next one answers them."""
    worker = backend.worker()
    begun = backend.temporary / "begun"
    code = f"open({str(begun)!r} + str(threading.get_ident()), 'w'); time.sleep(600)"
    with ThreadPoolExecutor(24) as threads:
        running = [threads.submit(backend.do, code) for _ in range(8)]
        wait_for(lambda: len(list(backend.temporary.glob("begun*"))) == 8, "all threads are taken")
        waiting = [threads.submit(backend.do, "", f"good {n}") for n in range(16)]
        metric = "label_studio_ml_predictions_waiting"
        wait_for(lambda: waits(backend, metric) == 16, "the others wait")
        os.kill(worker, signal.SIGKILL)
        assert {answer.result().status_code for answer in running} == {502}
        assert {answer.result().status_code for answer in waiting} == {200}
    for path in backend.temporary.glob("begun*"):
        path.unlink()


def waits(backend: Backend, metric: str) -> float:
    lines = backend.server.get("/metrics").text.splitlines()
    return next((float(line.split()[-1]) for line in lines if line.startswith(metric)), -1)


def test_a_worker_killed_right_after_its_answer_costs_no_answer(backend: Backend) -> None:
    """The answer is whole before the death is."""
    answer = backend.do("threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGKILL)).start()")
    assert answer.status_code == 200
    restarts = backend.restarts()
    wait_for(lambda: backend.restarts() > restarts or backend.is_ready(), "the next is ready")
    wait_for(lambda: "was killed by signal 9" in backend.server.log(), "it is told")


def test_a_worker_killed_while_it_imports_is_started_again(make_backend: MakeBackend) -> None:
    backend = make_backend()
    reading = backend.root / "read.py"
    begun = backend.temporary / "begun"
    backend.start(DOER_READ=str(reading))
    backend.settle()
    reading.write_text(f"open({str(begun)!r}, 'w').close(); time.sleep(600)")
    os.kill(backend.worker(), signal.SIGKILL)
    wait_for(begun.exists, "the next one imports")
    assert backend.server.get("/health").status_code == 200
    reading.unlink()
    os.kill(backend.worker(), signal.SIGKILL)
    begun.unlink()
    wait_for(backend.is_ready, "the one after it serves")
    backend.keeps_its_promises()
    backend.end()


def test_a_worker_killed_while_it_loads_is_started_again(make_backend: MakeBackend) -> None:
    backend = make_backend()
    making = backend.root / "made.py"
    begun = backend.temporary / "begun"
    backend.start(DOER_MADE=str(making))
    backend.settle()
    making.write_text(f"open({str(begun)!r}, 'w').close(); time.sleep(600)")
    os.kill(backend.worker(), signal.SIGKILL)
    wait_for(begun.exists, "the next one loads")
    making.unlink()
    os.kill(backend.worker(), signal.SIGKILL)
    begun.unlink()
    backend.keeps_its_promises()
    backend.end()


@pytest.fixture
def four(make_backend: MakeBackend) -> Backend:
    """Four workers."""
    backend = make_backend()
    backend.start("--workers", "4")
    wait_for(lambda: backend.server.get("/health").json()["workers"]["ready"] == 4, "all are ready")
    backend.settle()
    return backend


def test_all_workers_killed_at_once_come_back(four: Backend) -> None:
    for pid in four.server.workers():
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: four.restarts() == 4, "the deaths are known")
    four.check_answer()
    wait_for(lambda: four.server.get("/health").json()["workers"]["ready"] == 4, "all are ready")
    four.keeps_its_promises()
    four.end()


def test_others_answer_while_one_worker_after_the_other_is_killed(four: Backend) -> None:
    """A request costs at most one 502, and only if it ran on the worker that died."""
    stop = threading.Event()
    statuses: list[int] = []

    def keep_asking() -> None:
        while not stop.is_set():
            statuses.append(four.do("time.sleep(0.01)").status_code)

    askers = [threading.Thread(target=keep_asking) for _ in range(4)]
    for asker in askers:
        asker.start()
    for _ in range(4):
        restarts = four.restarts()
        victim = four.server.workers()[0]
        os.kill(victim, signal.SIGKILL)
        wait_for(lambda before=restarts: four.restarts() > before, "the death is known")
        answered = len(statuses)
        wait_for(lambda before=answered: len(statuses) > before + 8, "answers go on")
    stop.set()
    for asker in askers:
        asker.join(60)
        assert not asker.is_alive()
    assert set(statuses) <= {200, 502}
    assert statuses.count(502) <= 4 * 4
    wait_for(lambda: four.server.get("/health").json()["workers"]["ready"] == 4, "all are ready")
    four.keeps_its_promises()
    four.end()


def test_a_worker_killed_again_and_again_is_started_again_each_time_and_then_serves(
    make_backend: MakeBackend,
) -> None:
    backend = make_backend()
    backend.start()
    backend.settle()
    for _ in range(6):
        pid = wait_for(lambda: next(iter(backend.server.workers()), None), "there is one", 120)
        restarts = backend.restarts()
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda pid=pid: not is_running(pid), "it is gone")
        wait_for(lambda before=restarts: backend.restarts() > before, "it is counted")
    wait_for(backend.is_ready, "it serves again", 60)
    backend.keeps_its_promises()
    backend.end()
