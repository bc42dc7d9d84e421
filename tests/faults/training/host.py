"""A model folder, the servers that use it one after the other, and their promises about training."""

from __future__ import annotations

from pathlib import Path

import requests
from backend import Backend
from hosting import Server, wait_for
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


class Host(Backend):
    """A project whose servers are killed and started again, with what they promised."""

    def __init__(
        self, root: Path, source: str = LEARNER, *arguments: str, model_dir: Path | None = None
    ) -> None:
        super().__init__(root, source, *arguments, model_dir=model_dir)
        self.database = self.models / ".label-studio-ml" / "state.db"
        #: What `fit` may be told to wait for.
        self.hold = root / "hold"
        self.ledger = Ledger(self.models, root / "runs.jsonl")

    def start(
        self, *arguments: str, failpoints: str = "", kind: type[Server] = Server, **env: str
    ) -> Server:
        """Start a server that takes the name of one of its failpoints for a reason to die."""
        told = {"FAULTS_RUNS": str(self.ledger.runs_file), **env}
        if failpoints:
            told["FAILPOINTS"] = failpoints
        return super().start(*arguments, kind=kind, **told)

    def check(self, server: Server | None = None) -> None:
        """Wait for the end of all jobs and compare what is there with what was promised."""
        server = server or self.server
        self.ledger.settle(server)
        self.ledger.check(server)
        assert "panicked" not in server.log()
        self.check_processes()

    def wait_for_fit(self, job: str | None, times: int = 1) -> int:
        """Wait until `fit` of a job has begun so many times; return the pid of its process."""
        assert job is not None
        wait_for(lambda: len(self.ledger.runs_of(job)) == times, f"fit of {job} begins")
        pid: int = self.ledger.runs_of(job)[-1]["pid"]
        return pid

    def stop(self) -> None:
        """End whatever still runs."""
        self.hold.unlink(missing_ok=True)
        super().stop()
