"""Requests that pass through the user's app: under load, with workers that die, with hooks that hang."""

from __future__ import annotations

import concurrent.futures
import os
import signal
import time
from collections import Counter

import pytest
from backend import Backend, MakeBackend, right_answer
from hosting import CHOICES, PROJECT, wait_for

#: Every request passes; those that ask for it are refused, hang, or end the worker.
HOOKS = """
import os
import time
from flask import abort, request

@app.before_request
def hook():
    what = request.args.get("what")
    if what == "refuse":
        abort(403)
    if what == "hang":
        time.sleep(3600)
    if what == "spin":
        while True:
            pass
    if what == "end":
        os._exit(7)

@app.route("/own", methods=["GET", "POST"])
def own():
    return str(len(request.get_data()))
"""


def with_app(backend: Backend) -> Backend:
    with (backend.project / "_wsgi.py").open("a") as program:
        program.write(HOOKS)
    return backend


def body(text: str) -> dict[str, object]:
    return {"tasks": [{"data": {"text": text}}], "project": PROJECT, "label_config": CHOICES}


@pytest.mark.parametrize("arguments", [("--threads", "1"), ("--workers", "2")])
def test_a_crowd_while_workers_are_killed(
    make_backend: MakeBackend, arguments: tuple[str, ...]
) -> None:
    backend = with_app(make_backend())
    server = backend.start(*arguments)
    backend.settle()
    statuses: Counter[int] = Counter()

    def ask(number: int) -> None:
        for turn in range(25):
            text = f"good {number} {turn}"
            if turn % 5 == 4:
                answer = server.post("/own", data=b"x" * 100_000)
                wrong = answer.ok and answer.text != "100000"
            elif turn % 5 == 3:
                answer = server.post("/predict?what=refuse", body(text))
                wrong = answer.status_code not in (403, 502)
            else:
                answer = server.post("/predict", body(text))
                wrong = answer.ok and answer.json() != right_answer([text], backend.version)
            assert not wrong, answer.text
            statuses[answer.status_code] += 1

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        asking = [pool.submit(ask, number) for number in range(12)]
        for _ in range(3):
            time.sleep(0.5)
            for pid in server.workers():
                os.kill(pid, signal.SIGKILL)
            wait_for(backend.is_ready, "another worker is ready")
        for future in asking:
            future.result()
    assert set(statuses) <= {200, 403, 502}, statuses
    assert statuses[200] > 100 and statuses[403] > 10, statuses
    backend.keeps_its_promises()
    backend.end()


@pytest.mark.parametrize("what", ["hang", "spin"])
def test_hooks_that_do_not_end_cost_neither_predictions_nor_health(
    make_backend: MakeBackend, what: str
) -> None:
    backend = with_app(make_backend())
    server = backend.start("--predict-timeout", "1", "--predict-hard-timeout", "3")
    backend.settle()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(server.get, f"/own?what={what}") for _ in range(2)]
        asked += [pool.submit(server.post, f"/predict?what={what}", body("a")) for _ in range(2)]
        time.sleep(0.5)
        for path in ("/health", "/livez"):
            began = time.monotonic()
            answer = server.get(f"{path}?what={what}")
            assert answer.status_code == 200 and answer.json()["status"] == "UP"
            assert "model_class" not in answer.json()
            assert time.monotonic() - began < 60
        for future in asked:
            answer = future.result()
            # Where the interpreter could be interrupted, the worker lives on; else it is replaced.
            assert answer.status_code in (502, 504), answer.text
    backend.keeps_its_promises()
    backend.end()


def test_a_hook_that_ends_the_worker_costs_its_request(make_backend: MakeBackend) -> None:
    backend = with_app(make_backend())
    server = backend.start()
    backend.settle()
    answer = server.post("/predict?what=end", body("a"))
    assert answer.status_code == 502 and "exited with status 7" in answer.json()["detail"]
    wait_for(backend.is_ready, "another worker is ready")
    backend.keeps_its_promises()
    backend.end()


def test_a_client_that_hangs_up_frees_its_thread(make_backend: MakeBackend) -> None:
    """A prediction for which nobody waits is given up, and with it the thread of the app."""
    backend = with_app(make_backend())
    server = backend.start("--predict-timeout", "1", "--threads", "1")
    backend.settle()
    for _ in range(3):
        with pytest.raises(OSError):
            slow = body("a")
            slow["tasks"] = [{"data": {"text": "a", "do": "import time; time.sleep(2)"}}]
            server.post("/predict", slow, timeout=0.3)
    assert server.post("/predict", body("good")).json() == right_answer(["good"], backend.version)
    backend.keeps_its_promises()
    backend.end()
