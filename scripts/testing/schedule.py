"""Runs stages, those of different lanes at the same time, each with a log file, and reports their results."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stages import Stage

#: Exit status of a stage that cannot run on this machine; its last line of output says why.
LEFT_OUT = 77
#: Makes `politely` in scripts/common.sh leave the processors to tests that run beside a stage.
POLITE = {"POLITE": "yes"}
#: Maximum number of lines of a failed stage's log that are shown.
SHOWN = 150

State = Literal["passed", "failed", "left out", "skipped"]


@dataclass(frozen=True)
class Result:
    """The result of a stage; times in seconds, `cpu` of all its processes."""

    name: str
    state: State
    began: float = 0
    wall: float = 0
    cpu: float = 0
    reason: str = ""


class Running:
    """A stage that is running, as the leader of a process group."""

    def __init__(self, stage: Stage, log: Path) -> None:
        self.stage = stage
        self.log = log
        self.began = time.monotonic()
        self._too_late = False
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [str(stage.path)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **POLITE},
                process_group=0,
            )

    def poll(self) -> Result | None:
        """Return the result once the stage has ended; end it if it takes too long."""
        pid, status, usage = os.wait4(self._process.pid, os.WNOHANG)
        wall = time.monotonic() - self.began
        if pid == 0:
            if wall > self.stage.minutes * 60 and not self._too_late:
                self._too_late = True
                self.end()
            return None
        code = os.waitstatus_to_exitcode(status)
        self._process.returncode = code
        # Processes that it left behind must not disturb the next stage.
        self.end()
        state: State = "passed" if code == 0 else "left out" if code == LEFT_OUT else "failed"
        reason = ""
        if self._too_late:
            state, reason = "failed", f"it took longer than {self.stage.minutes:g} minutes"
        elif state == "left out":
            reason = (self.tail(1) or ["it did not say why"])[-1]
        elif state == "failed":
            reason = f"exit status {code}"
        cpu = usage.ru_utime + usage.ru_stime
        return Result(self.stage.name, state, self.began, wall, cpu, reason)

    def end(self) -> None:
        """Kill all processes of the stage."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def tail(self, lines: int) -> list[str]:
        """Return the last lines of its output."""
        return self.log.read_text(errors="replace").splitlines()[-lines:]


class Schedule:
    """The stages that wait, those that are running, and the results of the others."""

    def __init__(self, stages: Iterable[Stage], logs: Path, tell: Callable[[str], None]) -> None:
        # Stages that others need come first, then those that take longest.
        self._waiting = list(stages)
        self._needed = {need for stage in self._waiting for need in stage.after}
        self._waiting.sort(
            key=lambda stage: (not stage.first, stage.name not in self._needed, -stage.minutes)
        )
        self._running: list[Running] = []
        self._logs = logs
        self._tell = tell
        self.results: dict[str, Result] = {}

    def run(self, pause: float = 0.1) -> list[Result]:
        """Run all stages; a failure skips only the stages that need the failed one."""
        try:
            while self._waiting or self._running:
                self._skip()
                self._start()
                self._look()
                time.sleep(pause)
        finally:
            for running in self._running:
                running.end()
        return list(self.results.values())

    def _skip(self) -> None:
        """Drop the stages that need one that did not succeed."""
        for stage in [*self._waiting]:
            for need in stage.after:
                result = self.results.get(need)
                if result and result.state != "passed":
                    self._waiting.remove(stage)
                    state: State = "left out" if result.state == "left out" else "skipped"
                    reason = f"needs {need}, which {'was' if state == 'left out' else 'has'} {result.state}"
                    self._end(Result(stage.name, state, reason=reason))
                    break

    def _start(self) -> None:
        """Start the stages that can start now."""
        for stage in [*self._waiting]:
            busy = {running.stage.lane for running in self._running}
            if "alone" in busy:
                return
            if stage.lane == "alone":
                # It waits for all others, so that they need not wait for it.
                is_free = not busy and all(other.lane == "alone" for other in self._waiting)
            elif stage.name in self._needed:
                is_free = stage.lane not in busy
            else:
                # Stages that others need have precedence in their lane.
                is_free = stage.lane not in busy and not any(
                    other.lane == stage.lane and other.name in self._needed
                    for other in self._waiting
                )
            needs = {running.stage.name for running in self._running}
            needs |= {other.name for other in self._waiting}
            if is_free and not needs & set(stage.after):
                self._waiting.remove(stage)
                self._tell(f"begins   {stage.name}")
                self._running.append(Running(stage, self._logs / f"{stage.name}.log"))

    def _look(self) -> None:
        for running in [*self._running]:
            if result := running.poll():
                self._running.remove(running)
                if result.state == "failed":
                    for line in running.tail(SHOWN):
                        self._tell(f"{result.name} | {line}")
                self._end(result)

    def _end(self, result: Result) -> None:
        self.results[result.name] = result
        took = f" after {minutes(result.wall)}" if result.wall else ""
        reason = f": {result.reason}" if result.reason else ""
        self._tell(f"{result.state:8} {result.name}{took}{reason}")


def minutes(seconds: float) -> str:
    """Format a time as minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def table(results: Iterable[Result]) -> list[str]:
    """Return a line for each stage: its result, how long it took, its processor time."""
    lines = [f"{'stage':20} {'':9} {'time':>7} {'CPU':>7}"]
    for result in results:
        times = f"{minutes(result.wall):>7} {minutes(result.cpu):>7}"
        lines.append(f"{result.name:20} {result.state:9} {times}  {result.reason}".rstrip())
    return lines
