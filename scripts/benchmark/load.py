"""Puts load on a server with h2load, over HTTP/1.1 with connections that stay open."""

from __future__ import annotations

import http.client
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

JSON = {"Content-Type": "application/json"}


@dataclass
class Answers:
    """What clients saw: answers with 200 per second, and how long they took, in µs."""

    rate: float
    p50: float
    p90: float
    p99: float
    count: int
    failed: int


class Load:
    """Clients that each send their next request once the last one is answered."""

    def __init__(
        self,
        url: str,
        body: Path | None,
        clients: int,
        seconds: float,
        rate: float | None = None,
    ) -> None:
        self.seconds = seconds
        self.log = Path(tempfile.mkstemp(prefix="h2load-")[1])
        # h2load wants whole seconds, and appends to an existing log.
        self.log.unlink()
        command = [
            "h2load", "--h1", "-t1", "-m1", f"-c{clients}", f"-D{max(1, round(seconds))}",
            f"--log-file={self.log}",
        ]  # fmt: skip
        if body is not None:
            command += ["-d", str(body), "-H", "Content-Type: application/json"]
        if rate is not None:
            command.append(f"--rps={rate / clients:.6f}")
        self.process = subprocess.Popen(
            [*command, url], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def end(self) -> Answers:
        output, _ = self.process.communicate(timeout=self.seconds + 120)
        if self.process.returncode != 0 or not self.log.exists():
            raise RuntimeError(f"h2load: {output}")
        try:
            return answers(self.log, self.seconds)
        finally:
            self.log.unlink()


def answers(log: Path, seconds: float) -> Answers:
    """Read h2load's log: a line for each answer, with its start in µs, status and duration in µs."""
    good, failed = [], 0
    first, last = None, 0
    for line in log.read_text().splitlines():
        began, status, took = (int(column) for column in line.split("\t")[:3])
        if status == 200:
            good.append(took)
            first = began if first is None else min(first, began)
            last = max(last, began + took)
        else:
            failed += 1
    if not good or first is None:
        return Answers(0, 0, 0, 0, 0, failed)
    good.sort()
    return Answers(
        rate=len(good) / max((last - first) / 1e6, 1e-6),
        p50=quantile(good, 0.5),
        p90=quantile(good, 0.9),
        p99=quantile(good, 0.99),
        count=len(good),
        failed=failed,
    )


def quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def available() -> bool:
    return shutil.which("h2load") is not None


def ask(port: int, body: bytes | None, path: str = "/predict", timeout: float = 60) -> bytes:
    """Send one request; return the body of the answer, whose status must be 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        if body is None:
            connection.request("GET", path)
        else:
            connection.request("POST", path, body, JSON)
        response = connection.getresponse()
        answer = response.read()
        if response.status != 200:
            raise RuntimeError(f"{path} answered {response.status}: {answer[:300]!r}")
        return answer
    finally:
        connection.close()


def wait_until_answered(port: int, body: bytes | None, path: str, seconds: float = 60) -> float:
    """Ask until there is an answer; return its time on the clock of `time.monotonic`."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            ask(port, body, path)
            return time.monotonic()
        except (OSError, http.client.HTTPException, RuntimeError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.002)
