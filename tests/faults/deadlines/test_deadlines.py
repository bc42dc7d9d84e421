"""A prediction that no client waits for is cancelled, and does not affect other requests."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
import requests
import wire
from backend import Backend, eventually
from hosting import PROJECT, wait_for

#: Loops in Python, where the exception that breaks a prediction off can be raised.
LOOP = "while True: time.sleep(0.01)"
#: Leaves the interpreter and does not come back: only the end of the process helps.
IN_C = "time.sleep(10**6)"


@pytest.fixture(scope="module")
def options() -> tuple[str, ...]:
    return ("--predict-timeout", "1", "--predict-hard-timeout", "8", "--threads", "4")


def hang_up(backend: Backend, code: str) -> None:
    """Ask for a prediction and do not wait for it, once the server has the request."""
    before = running(backend) + waiting(backend)
    with wire.connection(backend.server) as client:
        client.sendall(wire.request(wire.predict_body(do=code)))
        wait_for(lambda: running(backend) + waiting(backend) > before, "it is taken")


def running(backend: Backend) -> int:
    return gauge(backend, "running")


def waiting(backend: Backend) -> int:
    return gauge(backend, "waiting")


def gauge(backend: Backend, name: str) -> int:
    for line in backend.server.get("/metrics").text.splitlines():
        if line.startswith(f"label_studio_ml_predictions_{name} "):
            return int(float(line.split()[1]))
    raise AssertionError(f"the number of predictions that are {name} is not told")


def test_a_prediction_whose_client_hung_up_is_broken_off(backend: Backend) -> None:
    worker = backend.worker()
    seen = backend.root / "seen"
    hang_up(
        backend,
        f"try:\n    {LOOP}\nexcept BaseException as e:\n"
        f"    open({str(seen)!r}, 'w').write(type(e).__name__); raise",
    )
    wait_for(seen.exists, "the model sees the exception")
    assert seen.read_text() == "PredictionCancelled"
    wait_for(lambda: running(backend) == 0, "its thread is free again")
    assert backend.worker() == worker, "the process had to go for nothing"


def test_an_except_clause_for_errors_does_not_keep_a_prediction_alive(backend: Backend) -> None:
    worker = backend.worker()
    hang_up(
        backend,
        "while True:\n    try:\n        time.sleep(0.01)\n    except Exception:\n        pass",
    )
    wait_for(lambda: running(backend) == 0, "it is broken off")
    assert backend.worker() == worker


def test_a_model_can_ask_whether_it_is_cancelled(backend: Backend) -> None:
    seen = backend.root / "asked"
    hang_up(
        backend,
        "import label_studio_ml\n"
        "try:\n    while not label_studio_ml.cancelled(): time.sleep(0.01)\n"
        f"finally:\n    open({str(seen)!r}, 'w').write(str(label_studio_ml.cancelled()))",
    )
    wait_for(seen.exists, "the model is told")
    assert seen.read_text() == "True"


def test_while_somebody_waits_a_prediction_may_take_longer(backend: Backend) -> None:
    answer = backend.do("time.sleep(2.5)", text="good and slow")
    assert answer.status_code == 200, answer.text


def test_a_client_is_told_when_a_prediction_takes_too_long(backend: Backend) -> None:
    answer = backend.do(LOOP)
    assert answer.status_code == 504
    assert "longer than 8 s (--predict-hard-timeout)" in answer.json()["detail"]
    assert "--predict-hard-timeout" in answer.reason


def test_a_prediction_that_cannot_be_broken_off_costs_the_others_nothing(backend: Backend) -> None:
    """The worker takes no new work, another one starts, what runs in it ends, and then it goes."""
    worker = backend.worker()
    with ThreadPoolExecutor(2) as clients:
        innocent = clients.submit(backend.do, "time.sleep(3.5)", "good neighbour")
        wait_for(lambda: running(backend) == 1, "the neighbour runs")
        hang_up(backend, IN_C)
        end = time.monotonic() + 90
        while backend.server.workers() and worker in backend.server.workers():
            backend.check_answer()
            assert time.monotonic() < end, "the worker that hangs is still there"
        answer = innocent.result()
    assert answer.status_code == 200, answer.text
    assert answer.json()["results"][0]["result"][0]["id"] == "good neighbour"
    eventually(lambda: "" if len(backend.server.workers()) == 1 else "no", "one worker is left")


def test_a_prediction_that_waits_is_not_begun_when_its_client_is_gone(backend: Backend) -> None:
    begun = backend.root / "begun"
    with ThreadPoolExecutor(4) as clients:
        busy = [clients.submit(backend.do, "time.sleep(1.5)", f"good {n}") for n in range(4)]
        wait_for(lambda: running(backend) == 4, "every thread is busy")
        hang_up(backend, f"open({str(begun)!r}, 'w')")
        assert all(answer.result().status_code == 200 for answer in busy)
    backend.check_answer()
    assert not begun.exists()


def leave(backend: Backend, code: str) -> None:
    """Ask for a prediction and hang up soon, wherever the request is then."""
    with suppress(requests.Timeout):
        backend.server.post(
            "/predict",
            {"tasks": [{"data": {"text": "fine", "do": code}}], "project": PROJECT},
            timeout=0.2,
        )


def test_an_exception_that_comes_too_late_does_not_meet_the_next_request(backend: Backend) -> None:
    """Predictions that end at the very moment at which they are broken off."""
    worker = backend.worker()
    threads = []
    for n in range(16):
        code = f"end = time.monotonic() + {0.95 + n / 100}\nwhile time.monotonic() < end: pass"
        threads.append(threading.Thread(target=leave, args=(backend, code)))
        threads[-1].start()
    for thread in threads:
        thread.join()
    for _ in range(100):
        backend.check_answer()
    assert backend.worker() == worker


def test_deadlock_in_a_model_ends(backend: Backend) -> None:
    hang_up(backend, "lock = threading.Lock(); lock.acquire(); lock.acquire()")
    worker = backend.worker()
    wait_for(lambda: worker not in backend.server.workers(), "the worker is replaced")
    backend.check_answer()
