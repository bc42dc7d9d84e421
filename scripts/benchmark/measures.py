"""Measures a server for each scenario. A measurement gets a started server, or starts one itself."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hosts import APPS, HOSTS, MODELS, Server
from load import Load, ask, wait_until_answered

if TYPE_CHECKING:
    from scenarios import Contender, Scenario

Measured = dict[str, float]
CONFIG = """<View>
  <Text name="text" value="$text"/>
  <Choices name="sentiment" toName="text" choice="single">
    <Choice value="Positive"/>
    <Choice value="Negative"/>
  </Choices>
</View>"""
PROJECT = "21.1795432149"
#: Seconds of load before a measurement, which are not counted.
WARM_UP = 1.0
MIB = 1024.0


@dataclass
class Task:
    """The input of a measurement."""

    scenario: Scenario
    contender: Contender
    seconds: float
    venvs: Path
    folder: Path

    def start(self) -> Server:
        contender = self.contender
        return Server(HOSTS[contender.host], contender.setup, self.venvs, self.folder)

    def body(self) -> Path:
        path = self.folder / "body.json"
        path.write_bytes(body(self.scenario.tasks))
        return path


def body(tasks: int, text: str | None = None) -> bytes:
    """Return the body of a request as Label Studio sends it; with one task it has 1 KB."""
    text = text if text is not None else "good " * 39
    # The fields of an open task, as Label Studio 1.23 sends them.
    rest = {
        "meta": {},
        "created_at": "2026-11-23T11:09:09.471383Z",
        "updated_at": "2026-11-23T11:09:09.471388Z",
        "is_labeled": False,
        "overlap": 1,
        "inner_id": 8,
        "total_annotations": 0,
        "cancelled_annotations": 0,
        "total_predictions": 0,
        "comment_count": 0,
        "unresolved_comment_count": 0,
        "last_comment_updated_at": None,
        "project": 21,
        "updated_by": None,
        "file_upload": None,
        "comment_authors": [],
        "annotations": [],
        "predictions": [],
    }
    listed = [{"id": n, "data": {"text": text}, **rest} for n in range(tasks)]
    params = {"login": None, "password": None, "context": None}
    request = {"tasks": listed, "project": PROJECT, "label_config": CONFIG, "params": params}
    return json.dumps(request).encode()


def check(server: Server, asked: bytes, tasks: int) -> None:
    """Raise an error if a server answers something else than the others."""
    results = json.loads(ask(server.port, asked))["results"]
    if results and "predictions" in results[0] and len(results) == 1:
        results = results[0]["predictions"]
    choices = [item["result"][0]["value"]["choices"] for item in results]
    if choices != [["Positive"]] * tasks:
        raise RuntimeError(f"wrong answer: {results[:2]}")


def set_up(server: Server) -> None:
    setup = {"project": PROJECT, "schema": CONFIG, "hostname": "", "access_token": ""}
    wait_until_answered(server.port, json.dumps(setup).encode(), "/setup")


def ready(server: Server, asked: bytes) -> tuple[float, float]:
    """Wait for the first answers of /health and /predict; return their times.

    Label Studio sends /setup in between; without it the original does not predict.
    """
    health = 0.0
    if server.host.api_versions:
        health = wait_until_answered(server.port, None, "/health")
        set_up(server)
    return health, wait_until_answered(server.port, asked, "/predict")


def with_server(measure: Callable[[Task, Server], Measured]) -> Callable[[Task], Measured]:
    """Start the server before a measurement, wait for a right prediction, and end it afterwards."""

    def measured(task: Task) -> Measured:
        server = task.start()
        try:
            asked = task.body().read_bytes()
            ready(server, asked)
            check(server, asked, task.scenario.tasks)
            return measure(task, server)
        except Exception as error:
            raise RuntimeError(f"{error}\n{server.said()}") from error
        finally:
            server.end()

    return measured


def run(server: Server, task: Task, seconds: float, **more: float) -> Measured:
    url = f"http://127.0.0.1:{server.port}/predict"
    before = server.running.cpu()
    answers = Load(url, task.body(), task.scenario.clients, seconds, **more).end()
    cpu = server.running.cpu() - before
    if answers.failed or not answers.count:
        raise RuntimeError(f"{answers.failed} requests failed, {answers.count} did not")
    return {
        "requests/s": answers.rate,
        "p50 µs": answers.p50,
        "p90 µs": answers.p90,
        "p99 µs": answers.p99,
        "CPU µs": cpu / answers.count * 1e6,
    }


@with_server
def throughput(task: Task, server: Server) -> Measured:
    run(server, task, WARM_UP)
    measured = run(server, task, task.seconds)
    measured["PSS MiB"] = server.running.pss() / MIB
    return measured


@with_server
def health_under_load(task: Task, server: Server) -> Measured:
    url = f"http://127.0.0.1:{server.port}"
    crowd = Load(f"{url}/predict", task.body(), task.scenario.clients, task.seconds + 2)
    time.sleep(1)
    answers = Load(f"{url}/health", None, 1, task.seconds).end()
    crowd.end()
    return {
        "requests/s": answers.rate,
        "p50 µs": answers.p50,
        "p90 µs": answers.p90,
        "p99 µs": answers.p99,
    }


def train(server: Server) -> None:
    event = {"action": "START_TRAINING", "project": {"id": 21, "label_config": CONFIG}}
    try:
        ask(server.port, json.dumps(event).encode(), "/webhook", timeout=120)
    except RuntimeError as error:
        # This package answers 201: the training job is queued.
        if " 201" not in str(error):
            raise


def during_training(task: Task) -> Measured:
    """One training lasts as long as the measurements beside it. The load is first the maximum, then
    half of that."""
    contender = task.contender
    lasts = 2 * task.seconds + 8
    contender.setup.env["BENCH_TRAINING"] = str(lasts)

    @with_server
    def measure(task: Task, server: Server) -> Measured:
        run(server, task, WARM_UP)
        idle = run(server, task, task.seconds)
        half = idle["requests/s"] / 2
        idle_half = run(server, task, task.seconds, rate=half)
        training = threading.Thread(target=train, args=[server])
        training.start()
        time.sleep(2)
        busy = run(server, task, task.seconds)
        busy_half = run(server, task, task.seconds, rate=half)
        training.join()
        return {
            "idle requests/s": idle["requests/s"],
            "training requests/s": busy["requests/s"],
            "share kept": busy["requests/s"] / idle["requests/s"],
            "idle p50 µs at half": idle_half["p50 µs"],
            "training p50 µs at half": busy_half["p50 µs"],
            "training p99 µs at half": busy_half["p99 µs"],
            "served at half": busy_half["requests/s"] / half,
        }

    return measure(task)


def cold_start(task: Task) -> Measured:
    began = time.monotonic()
    server = task.start()
    try:
        health, prediction = ready(server, task.body().read_bytes())
        return {
            "first /health ms": (health - began) * 1000,
            "first prediction ms": (prediction - began) * 1000,
        }
    finally:
        server.end()


def slow_load(task: Task) -> Measured:
    server = task.start()
    try:
        wait_until_answered(server.port, None, "/health")
        asked = task.body().read_bytes()
        began = time.monotonic()
        set_up(server)
        ask(server.port, asked)
        first = time.monotonic()
        ask(server.port, asked)
        return {
            "/setup and first ms": (first - began) * 1000,
            "second ms": (time.monotonic() - first) * 1000,
        }
    finally:
        server.end()


def memory(task: Task) -> Measured:
    """The body consists of few long texts, so that the texts take nearly all of its memory."""
    server = task.start()
    try:
        wait_until_answered(server.port, None, "/health")
        idle = server.running.pss()
        ready(server, body(1))
        large = body(200, "good " * 200_000)
        # The interpreter needs at least this much for the texts.
        held = len(large) / 1024
        before = server.running.pss()
        peak, asking = before, threading.Event()

        def watch() -> None:
            nonlocal peak
            while not asking.wait(0.01):
                peak = max(peak, server.running.pss())

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            ask(server.port, large)
        finally:
            asking.set()
            watcher.join()
        time.sleep(1)
        after = server.running.pss()
        return {
            "idle PSS MiB": idle / MIB,
            "PSS with model MiB": before / MIB,
            "200 MB body MiB": (peak - before) / MIB,
            "beyond the objects, of its size": (peak - before - held) / held,
            "kept afterwards MiB": (after - before) / MIB,
        }
    finally:
        server.end()


@with_server
def overhead(task: Task, server: Server) -> Measured:
    run(server, task, WARM_UP)
    measured = run(server, task, task.seconds)
    python = task.venvs / HOSTS[task.contender.host].venv / "bin" / "python"
    bare = subprocess.run(
        [python, APPS / "bare_loop.py", task.body(), "1"],
        env={"PYTHONPATH": str(MODELS), "BENCH_MODEL": task.contender.setup.model},
        capture_output=True,
        text=True,
        check=True,
    )
    alone = float(bare.stdout)
    return {
        "p50 µs": measured["p50 µs"],
        "bare loop µs": alone,
        "added µs": measured["p50 µs"] - alone,
    }
