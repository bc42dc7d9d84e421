"""Worker processes: crashes, restarts, many workers, and workers whose server has ended."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from hosting import Server, is_running, wait_for

Serve = Callable[..., Server]

FRAGILE = """
    import ctypes, os, signal, threading, time
    from label_studio_ml.model import LabelStudioMLBase

    class Fragile(LabelStudioMLBase):
        {attribute}
        made = turns = peak = 0

        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            type(self).made += 1
            self.running = 0

        def fit(self, tasks, workdir=None, **kwargs): ...

        def predict(self, tasks, **kwargs):
            what = tasks[0]["data"]["text"]
            if what == "exit":
                os._exit(3)
            if what == "abort":
                os.abort()
            if what == "segfault":
                ctypes.string_at(0)
            if what == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if what == "child":
                os.fork() or time.sleep(1000)
                os._exit(5)
            self.running += 1
            most = self.running
            if what == "sleep":
                for _ in range(50):
                    time.sleep(0.01)
                    most = max(most, self.running)
            if what == "meet":
                end = time.monotonic() + 60
                type(self).peak = max(self.peak, self.running)
                while self.peak < 3 and time.monotonic() < end:
                    time.sleep(0.01)
                most = self.peak
            if what == "held":
                while not os.path.exists(os.environ["MODEL_DIR"] + "/open"):
                    time.sleep(0.01)
            self.running -= 1
            type(self).turns += 1
            return [{{
                "result": [], "pid": os.getpid(), "most": most, "made": self.made,
                "thread": threading.current_thread().name, "turn": self.turns,
            }}]
"""


def ask(server: Server, what: str = "fine") -> Any:
    return server.predict([{"data": {"text": what}}])


def source(attribute: str = "") -> str:
    return FRAGILE.format(attribute=attribute)


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("exit", "exited with status 3"),
        ("abort", "was killed by signal 6"),
        ("segfault", "was killed by signal 11"),
        ("kill", "was killed by signal 9"),
    ],
)
def test_a_dead_worker_costs_one_request(serve: Serve, what: str, reason: str) -> None:
    server = serve(source())
    server.setup()
    before = ask(server).json()["results"][0]["pid"]
    answer = ask(server, what)
    assert answer.status_code == 502
    assert f"worker 1 (pid {before}) {reason}" in answer.json()["detail"]
    assert reason in answer.reason
    answer = ask(server)
    assert answer.status_code == 200
    assert answer.json()["results"][0]["pid"] != before
    assert server.get("/health").json()["workers"] == {"ready": 1, "total": 1, "restarts": 1}


def test_a_crash_leaves_the_lines_that_led_there(serve: Serve) -> None:
    server = serve(source())
    ask(server, "segfault")
    wait_for(lambda: "Fatal Python error: Segmentation fault" in server.log(), "it is logged")
    wait_for(lambda: "model.py" in server.log() and "in predict" in server.log(), "with its lines")


def test_a_new_worker_loads_the_model_before_it_takes_requests(serve: Serve) -> None:
    server = serve(source())
    server.setup()
    ask(server, "exit")
    wait_for(lambda: server.get("/health").json()["workers"]["ready"], "another worker is ready")
    assert ask(server).json()["results"][0]["made"] == 1
    server.wait_logged("Fragile is written for API v1")
    assert server.log().count("Fragile is written for API v1") == 1


def test_requests_in_flight_fail_together_and_others_do_not(serve: Serve) -> None:
    server = serve(source(), "--workers", "2")
    wait_for(lambda: server.get("/health").json()["workers"]["ready"] == 2, "both are ready")
    with ThreadPoolExecutor(8) as threads:
        held = [threads.submit(ask, server, "held") for _ in range(8)]
        wait_for(lambda: gauge(server, "running") == 8, "all of them run")
        victim = server.workers()[0]
        os.kill(victim, signal.SIGKILL)
        wait_for(lambda: any(answer.done() for answer in held), "its death is known")
        (server.models / "open").touch()
        codes = [answer.result().status_code for answer in held]
    assert sorted(set(codes)) == [200, 502]
    assert ask(server).status_code == 200


def test_children_of_the_model_go_with_their_worker(serve: Serve) -> None:
    server = serve(source())
    (worker,) = server.workers()
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(ask, server, "child")
        group = wait_for(lambda: members(worker) - {worker}, "the child runs")
        assert answer.result().status_code == 502
    wait_for(lambda: not [pid for pid in group if is_running(pid)], "the child is gone")


def gauge(server: Server, name: str) -> int:
    """Return how many predictions are `running` or `waiting`."""
    for line in server.get("/metrics").text.splitlines():
        if line.startswith(f"label_studio_ml_predictions_{name} "):
            return int(float(line.split()[1]))
    raise AssertionError(f"no gauge {name}")


def members(group: int) -> set[int]:
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if os.getpgid(int(entry.name)) == group:
                    found.add(int(entry.name))
            except ProcessLookupError:
                continue
    return found


def test_one_process_answers_several_requests_at_once(serve: Serve) -> None:
    server = serve(source())
    server.setup()
    with ThreadPoolExecutor(4) as threads:
        answers = [a.json() for a in threads.map(lambda _: ask(server, "meet"), range(4))]
    results = [answer["results"][0] for answer in answers]
    assert max(result["most"] for result in results) >= 3
    assert {result["made"] for result in results} == {1}, "threads share one instance"
    assert all(result["thread"].startswith("predict-") for result in results)


@pytest.mark.parametrize("how", ["attribute", "option"])
def test_a_model_that_is_not_thread_safe_is_called_once_at_a_time(serve: Serve, how: str) -> None:
    if how == "attribute":
        server = serve(source("THREAD_SAFE = False"))
    else:
        server = serve(source(), "--threads", "1")
    with ThreadPoolExecutor(3) as threads:
        answers = [a.json() for a in threads.map(lambda _: ask(server, "sleep"), range(3))]
    assert {answer["results"][0]["most"] for answer in answers} == {1}


def test_a_person_does_not_wait_for_a_batch(serve: Serve) -> None:
    server = serve(source(), "--threads", "1")
    server.setup()
    with ThreadPoolExecutor(5) as threads:
        first = threads.submit(ask, server, "held")
        wait_for(lambda: gauge(server, "running") == 1, "the first one runs")
        batch = [threads.submit(ask, server) for _ in range(3)]
        wait_for(lambda: gauge(server, "waiting") == 3, "the batch waits")
        tasks = [{"data": {"text": "fine"}}]
        person = threads.submit(server.predict, tasks, context={"result": []})
        wait_for(lambda: gauge(server, "waiting") == 4, "the person waits")
        (server.models / "open").touch()
        turns = [one.result().json()["results"][0]["turn"] for one in (first, person, *batch)]
    assert turns[:2] == [1, 2]
    assert sorted(turns[2:]) == [3, 4, 5]


def test_workers_share_the_requests(serve: Serve) -> None:
    server = serve(source(), "--workers", "2", "--threads", "1")
    wait_for(lambda: server.get("/health").json()["workers"]["ready"] == 2, "both are ready")
    with ThreadPoolExecutor(4) as threads:
        answers = [a.json() for a in threads.map(lambda _: ask(server, "sleep"), range(8))]
    assert len({answer["results"][0]["pid"] for answer in answers}) == 2


@pytest.mark.parametrize("busy", [False, True])
def test_workers_end_with_a_killed_server(serve: Serve, busy: bool) -> None:
    server = serve(source())
    pids = server.workers()
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(ask, server, "held") if busy else None
        wait_for(lambda: gauge(server, "running") == busy, "predict runs")
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()
        if answer:
            assert isinstance(answer.exception(), requests.ConnectionError)
    wait_for(lambda: not [pid for pid in pids if is_running(pid)], "the worker is gone")


def test_a_broken_script_is_tried_again_and_named_meanwhile(serve: Serve) -> None:
    server = serve(source())
    script = server.project / "model.py"
    good = script.read_text()
    script.write_text("import no_such_package\n")
    ask(server, "exit")

    def problems() -> str:
        return " ".join(server.get("/health").json().get("problems", []))

    wait_for(lambda: "no_such_package" in problems(), "it says so")
    # The script still has the fault, so the answer does not wait for a repair.
    answer = ask(server)
    assert answer.status_code == 503
    assert "no_such_package" in answer.json()["detail"]
    script.write_text(good)
    wait_for(lambda: ask(server).ok, "it recovers")
    assert "problems" not in server.get("/health").json()


def test_a_request_that_runs_is_answered_before_the_end(serve: Serve) -> None:
    server = serve(source())
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(ask, server, "sleep")
        wait_for(lambda: gauge(server, "running") == 1, "predict runs")
        assert server.stop() == 0
        assert answer.result().status_code == 200


def test_a_kept_interpreter_is_reported(serve: Serve) -> None:
    """C code that never releases the interpreter."""
    stuck = source().replace(
        'if what == "exit":',
        'if what == "stuck": ctypes.PyDLL(None).sleep(15)\n            if what == "exit":',
    )
    server = serve(stuck)
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(ask, server, "stuck")
        problems = wait_for(lambda: server.get("/health").json().get("problems"), "it says so")
        assert "one thread has kept the interpreter for" in problems[0]
        assert answer.result().status_code == 200
    server.wait_logged("the interpreter has been kept by one thread")
