"""Sends sequences of requests to a server, one after the other."""

from __future__ import annotations

import shutil
import time
import zlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from backends import Answer, Backend, Request, settled_at_once, settled_by_file
from upstream import NEWEST, Mode, Release, upstream_service

UNDER_WAY = 0.4
"""Seconds after which a request that goes on is surely being answered; its fit takes 1.5 s."""

Trains = Literal["no", "result", "nothing"]
"""What an event leaves behind on upstream: "nothing" where no fit runs, or none succeeds."""


@dataclass(frozen=True)
class Step:
    """One request of a scenario."""

    name: str
    request: Request
    status: int = 200
    trains: Trains = "no"
    goes_on: bool = False
    """Whether the answer is not waited for before the next steps."""
    awaits: bool = False
    """Whether what goes on must be over before."""


@dataclass(frozen=True)
class Scenario:
    """A sequence of requests on one project."""

    name: str
    steps: tuple[Step, ...]
    mode: Mode = "projects"
    """Which of its two designs upstream is started in."""
    fresh: bool = False
    """Whether upstream must be started for this scenario alone."""

    @property
    def project_id(self) -> int:
        """The id of its project: the same on every server, and no other scenario's."""
        return 1000 + zlib.crc32(self.name.encode())


Play = Callable[[Scenario], list[Answer]]
"""Sends the steps of a scenario to a server; the answers, in order."""


StartOurs = Callable[..., Backend]
"""Makes and starts a project from a script; takes arguments of `start` and environment variables."""


def play(backend: Backend, scenario: Scenario, *, by_the_clock: bool = False) -> list[Answer]:
    """Send the steps in order, each training awaited.

    `by_the_clock`: the server names a version by the time in seconds, so that every training gets
    a second of its own, and begins early enough to end in it.
    """
    answers: list[Future[Answer]] = []
    going_on: list[tuple[Step, Future[Answer]]] = []
    second = 0

    def settle(step: Step, answer: Future[Answer]) -> None:
        if step.trains != "no" and answer.result().status in (200, 201):
            backend.settle(backend, answer.result(), step.trains == "result")

    with ThreadPoolExecutor(2) as sending:
        for step in scenario.steps:
            while step.awaits and going_on:
                settle(*going_on.pop())
            if step.trains != "no" and by_the_clock:
                second = wait_for_second(second)
            jobs = [a.result().job for a in answers if a.done() and a.result().job]
            answer = sending.submit(backend.send, step.request.bound_to(scenario.project_id, jobs))
            answers.append(answer)
            if step.goes_on:
                going_on.append((step, answer))
                time.sleep(UNDER_WAY)
            else:
                settle(step, answer)
                answer.result()
    return [answer.result() for answer in answers]


def wait_for_second(after: int) -> int:
    """Wait for a later second of the clock that has a while to go; return it."""
    while True:
        now = time.time()
        if int(now) > after and now % 1 < 0.7:
            return int(now)
        time.sleep(0.01)


def of_release(scenario: Scenario, release: Release) -> Scenario:
    """The scenario with what a release's trainings leave behind."""
    if release == NEWEST:
        return scenario
    idle = ("PROJECT_UPDATED",)
    steps = [replace(s, trains="nothing") if s.name in idle else s for s in scenario.steps]
    return replace(scenario, steps=tuple(steps))


def forget_jobs(model_dir: Path) -> None:
    """Remove what trainings left; one that leaves no result may still be writing."""
    for folder in model_dir.iterdir():
        if folder.name.isdigit():
            shutil.rmtree(folder, ignore_errors=True)


class Upstream:
    """One release; each scenario is played once.

    In its "events" design upstream gives every project the newest model of its folder, so that is
    emptied before each of those scenarios.
    """

    def __init__(
        self, release: Release, venv: Path, new_folder: Callable[[str], Path], model: Path
    ) -> None:
        self.release = release
        self._venv = venv
        self._new_folder = new_folder
        self._model = model
        self._played: dict[str, list[Answer]] = {}
        self._running: dict[Mode, Backend] = {}

    def answers(self, scenario: Scenario) -> list[Answer]:
        """What this release answers to the steps of a scenario."""
        if scenario.name not in self._played:
            if scenario.fresh:
                self._stop(scenario.mode)
            backend = self._running.get(scenario.mode) or self._start(scenario.mode)
            if scenario.mode == "events":
                forget_jobs(backend.model_dir)
            ours = of_release(scenario, self.release)
            answered = play(backend, ours, by_the_clock=True)
            self._played[scenario.name] = answered
        return self._played[scenario.name]

    def _start(self, mode: Mode) -> Backend:
        root = self._new_folder("upstream")
        service = upstream_service(self._venv, root, self._model, mode)
        service.start()
        settle = settled_at_once if mode == "projects" else settled_by_file
        self._running[mode] = Backend("upstream", service, root / "upstream", settle)
        return self._running[mode]

    def _stop(self, mode: Mode) -> None:
        if mode in self._running:
            self._running.pop(mode).service.stop()

    def stop(self) -> None:
        """Stop what is running."""
        for mode in tuple(self._running):
            self._stop(mode)
