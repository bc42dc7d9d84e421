"""One model folder and the servers that come and go on it."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import requests
from hosting import Server, is_running, make_project, wait_for
from learner import LEARNER
from ledger import Ledger


class EarlyServer(Server):
    """A server that counts as started once it answers at all, or has ended."""

    def _is_ready(self) -> bool:
        if self.process.poll() is not None:
            return True
        try:
            return self.get("/health").status_code == 200
        except requests.ConnectionError:
            return False


class Host:
    """A project whose servers are killed and started again, with what they promised."""

    def __init__(
        self,
        root: Path,
        source: str = LEARNER,
        *arguments: str,
        model_dir: Path | None = None,
    ) -> None:
        self.project = make_project(root, source)
        self.models = model_dir or self.project
        self.arguments = [*arguments, "--model-dir", str(self.models)]
        self.database = self.models / ".label-studio-ml" / "state.db"
        #: What `fit` may be told to wait for.
        self.hold = root / "hold"
        self.ledger = Ledger(self.models, root / "runs.jsonl")
        self.servers: list[Server] = []

    def start(
        self, *arguments: str, failpoints: str = "", kind: type[Server] = Server, **env: str
    ) -> Server:
        """Start a server that takes the name of one of its failpoints for a reason to die."""
        told = {"FAULTS_RUNS": str(self.ledger.runs_file), **env}
        if failpoints:
            told["FAILPOINTS"] = failpoints
        server = kind(self.project, *self.arguments, *arguments, env=told)
        self.servers.append(server)
        return server

    @property
    def server(self) -> Server:
        return self.servers[-1]

    def died(self, server: Server | None = None) -> None:
        """Wait until a server has killed itself."""
        server = server or self.server
        assert server.process.wait(30) == -signal.SIGKILL, server.log()
        server.session.close()

    def kill(self, server: Server | None = None) -> None:
        server = server or self.server
        server.process.kill()
        self.died(server)

    def check(self, server: Server | None = None) -> None:
        """Wait for the end of all jobs and compare what is there with what was promised."""
        server = server or self.server
        self.ledger.settle(server)
        self.ledger.check(server)
        assert "panicked" not in server.log()
        self.check_processes()

    def check_processes(self) -> None:
        """Nothing runs but the server and its workers."""
        wait_for(lambda: not self.strangers(), "workers of former servers are gone", 10)

    def strangers(self) -> list[int]:
        """Return processes of this project that no living server knows."""
        known: set[int] = set()
        for server in self.servers:
            if server.process.poll() is None:
                known.update([server.process.pid, *server.workers()])
        mark = f"FAULTS_RUNS={self.ledger.runs_file}\0".encode()
        return [pid for pid in processes_with(mark) if pid not in known]

    def wait_for_fit(self, job: str | None, times: int = 1) -> int:
        """Wait until `fit` of a job has begun so many times; return the pid of its process."""
        assert job is not None
        wait_for(lambda: len(self.ledger.runs_of(job)) == times, f"fit of {job} begins")
        pid: int = self.ledger.runs_of(job)[-1]["pid"]
        return pid

    def job(self, job: str | None) -> dict[str, Any]:
        return answer(self.server, f"/jobs/{job}")

    def ended(self, job: str | None, seconds: float = 30) -> dict[str, Any]:
        """Wait for the end of a job; return what is known of it."""

        def look() -> dict[str, Any] | None:
            now = self.job(job)
            return now if now["ended_at"] else None

        found: dict[str, Any] = wait_for(look, f"job {job} ends", seconds)
        return found

    def stop(self) -> None:
        """End whatever still runs."""
        self.hold.unlink(missing_ok=True)
        for server in self.servers:
            if server.process.poll() is None:
                server.process.kill()
            server.process.wait()
            server.session.close()
        self.check_processes()


def processes_with(mark: bytes) -> list[int]:
    """Return running processes that have `mark` in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue
        if mark in environment and is_running(int(entry.name)):
            found.append(int(entry.name))
    return found


def status_field(pid: int, name: str) -> int:
    """Return a number of /proc/<pid>/status, such as VmRSS in KiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def answer(server: Server, path: str, body: Any = None) -> dict[str, Any]:
    """Return the body of an answer that must be good."""
    response = server.get(path) if body is None else server.post(path, body)
    assert response.ok, response.text
    found: dict[str, Any] = response.json()
    return found
