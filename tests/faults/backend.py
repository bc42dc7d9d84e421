"""A project folder and its servers, and the properties that must hold after every fault.

After a fault `keeps_its_promises` checks that the server answers, the next prediction is right, and
no process, descriptor, file or memory is left behind.
"""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import requests
from doer import DOER, right_answer
from footprint import (
    Footprint,
    descriptors,
    processes_with,
    status_field,
    temporary_files,
    zombies_of,
)
from hosting import CHOICES, PROJECT, Server, is_running, make_project, wait_for
from requests.adapters import HTTPAdapter

#: How much more memory than after its first answers the server may keep: some of what a crowd of a
#: thousand needed stays with the allocator.
MEMORY_KIB = 64 << 10
#: Has the allocator give back at once what is freed, so that only what is held counts.
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "32768", "MALLOC_TRIM_THRESHOLD_": "32768"}
#: How long what a fault left may take to be gone.
GONE = 40.0

_numbers = itertools.count(1)


class Backend:
    """A project whose servers come and go; everything that they start carries its mark."""

    def __init__(
        self,
        root: Path,
        source: str = DOER,
        *arguments: str,
        model_dir: Path | None = None,
        env: Mapping[str, str] | None = None,
        spawn: Mapping[str, Any] | None = None,
    ) -> None:
        self.root = root
        self.project = make_project(root, source)
        self.models = model_dir or self.project
        self.arguments = [*arguments, "--model-dir", str(self.models)]
        self.temporary = root / "tmp"
        self.temporary.mkdir()
        self.mark = f"FAULTS_MARK={root}"
        self.env = {"FAULTS_MARK": str(root), "TMPDIR": str(self.temporary), **ALLOCATOR}
        self.env.update(env or {})
        self.spawn = {"start_new_session": True, **(spawn or {})}
        self.servers: list[Server] = []
        self.version = "INITIAL"
        self._before: Footprint | None = None
        self._workers: dict[int, int] = {}

    def start(self, *arguments: str, kind: type[Server] = Server, **env: str) -> Server:
        server = kind(
            self.project,
            *self.arguments,
            *arguments,
            env={**self.env, **env},
            spawn=self.spawn,
        )
        # A connection that is kept open is a descriptor of the server too.
        server.session = requests.Session()
        server.session.headers["Connection"] = "close"
        server.session.mount("http://", HTTPAdapter(pool_maxsize=64))
        self.servers.append(server)
        self._before = None
        return server

    @property
    def server(self) -> Server:
        return self.servers[-1]

    # Requests and faults of tests.

    def do(self, code: str, text: str = "fine", **params: Any) -> requests.Response:
        """Make `predict` run some Python."""
        return self.server.predict([{"data": {"text": text, "do": code}}], **params)

    def train(self, code: str, **more: Any) -> str:
        """Make `fit` run some Python; return the job."""
        body = {
            "annotations": [{"data": {"text": "fine", "do": code}}],
            "project": PROJECT,
            "label_config": CHOICES,
            **more,
        }
        answer = self.server.post("/train", body)
        assert answer.status_code == 201, answer.text
        job: str = answer.json()["job"]
        return job

    def job(self, job: str | None) -> dict[str, Any]:
        return answer(self.server, f"/jobs/{job}")

    def ended(self, job: str | None, seconds: float = 120) -> dict[str, Any]:
        """Wait for the end of a job; return what is known of it."""

        def look() -> dict[str, Any] | None:
            now = self.job(job)
            return now if now["ended_at"] else None

        found: dict[str, Any] = wait_for(look, f"job {job} ends", seconds)
        return found

    def kill_worker(self) -> None:
        """End the worker that serves, and wait until another one has replaced it."""
        restarts = self.restarts()
        os.kill(self.worker(), signal.SIGKILL)
        wait_for(lambda: self.restarts() > restarts, "the death is known")
        wait_for(self.is_ready, "another worker is ready")

    def is_ready(self) -> bool:
        return bool(self.server.get("/health").json()["workers"]["ready"])

    def worker(self) -> int:
        """Return the pid of the one worker."""
        wait_for(lambda: len(self.server.workers()) == 1, "there is one worker")
        (pid,) = self.server.workers()
        return pid

    def restarts(self) -> int:
        """Return how many workers had to be started again."""
        restarts: int = self.server.get("/health").json()["workers"]["restarts"]
        return restarts

    def kill(self, server: Server | None = None) -> None:
        server = server or self.server
        server.process.kill()
        self.died(server)

    def died(self, server: Server | None = None) -> None:
        """Wait until a server was killed, by somebody or by itself."""
        server = server or self.server
        assert server.process.wait(90) == -signal.SIGKILL, server.log()
        server.session.close()

    # Checks after a fault.

    def settle(self) -> None:
        """Note what is there before a fault, of a server that has answered before."""
        if self._before is None:
            # Resources that are made at the first use are not leaks.
            for text in ("good", "bad", "good" * 300_000):
                self.check_answer(text)
            # Predictions are answered before the job store is open; the list of jobs waits for it.
            self.server.get("/jobs")
            self._before = self.footprint()
        self._workers = {pid: descriptors(pid).total() for pid in self.server.workers()}

    def keeps_its_promises(self) -> None:
        """Fail unless everything is as it was before the fault."""
        assert self.server.process.poll() is None, f"the server ended:\n{self.server.log()}"
        health = self.server.get("/health")
        assert (health.status_code, health.json()["status"]) == (200, "UP")
        self.check_answer()
        if self._before is None:
            self.settle()
        before = self._before
        assert before is not None
        eventually(lambda: self._more_processes(before), "processes are left")
        eventually(lambda: self._zombies(), "children are not waited for")
        eventually(lambda: self._more_descriptors(before), "descriptors are left open")
        eventually(lambda: self._more_files(before), "files are left")
        eventually(lambda: self._more_memory(before), "the server keeps memory")
        log = self.server.log()
        assert "panicked" not in log, log

    def check_answer(self, text: str | None = None) -> None:
        """Ask for a prediction that nobody asked for before, and compare every byte of it."""
        text = text or f"good {next(_numbers)}"
        answer = self.server.predict([{"data": {"text": text}}])
        assert answer.status_code == 200, f"{answer.text}\n{self.server.log()}"
        assert answer.json() == right_answer([text], self.version)

    def footprint(self) -> Footprint:
        pid = self.server.process.pid
        return Footprint(
            processes=len(processes_with(self.mark_bytes())),
            descriptors=descriptors(pid),
            resident_kib=status_field(pid, "VmRSS"),
            files=temporary_files(self.temporary, self.mark_bytes()),
        )

    def mark_bytes(self) -> bytes:
        return f"{self.mark}\0".encode()

    def _more_processes(self, before: Footprint) -> str:
        now = processes_with(self.mark_bytes())
        strangers = self.strangers()
        if len(now) == before.processes and not strangers:
            return ""
        return f"{len(now)} instead of {before.processes}: {described(strangers or now)}"

    def _zombies(self) -> str:
        return described(zombies_of(processes_with(self.mark_bytes())))

    def _more_descriptors(self, before: Footprint) -> str:
        more = descriptors(self.server.process.pid) - before.descriptors
        if more:
            return f"of the server: {dict(more)}"
        for pid, number in self._workers.items():
            now = descriptors(pid)
            if is_running(pid) and now.total() > number:
                return f"of worker {pid}, {now.total()} instead of {number}: {dict(now)}"
        return ""

    def _more_files(self, before: Footprint) -> str:
        return ", ".join(sorted(temporary_files(self.temporary, self.mark_bytes()) - before.files))

    def _more_memory(self, before: Footprint) -> str:
        now = status_field(self.server.process.pid, "VmRSS")
        if now <= before.resident_kib + MEMORY_KIB:
            return ""
        return f"{now} KiB instead of {before.resident_kib} KiB"

    def check_processes(self) -> None:
        """Nothing runs but servers and their workers."""
        eventually(lambda: described(self.strangers()), "processes of former servers are left")

    def strangers(self) -> list[int]:
        """Return processes of this project that no living server knows."""
        known: set[int] = set()
        for server in self.servers:
            if server.process.poll() is None:
                known.update([server.process.pid, *server.workers()])
        return [pid for pid in processes_with(self.mark_bytes()) if pid not in known]

    def end(self, seconds: float = 20) -> None:
        """Ask the server to end, which it must do with status 0 and leave nothing."""
        if self.server.process.poll() is None:
            began = time.monotonic()
            status = self.server.stop()
            assert status == 0, f"status {status}:\n{self.server.log()}"
            assert time.monotonic() - began < seconds
        self.check_processes()

    def stop(self) -> None:
        """End whatever still runs, after a test that went wrong too."""
        for server in self.servers:
            if server.process.poll() is None:
                server.process.kill()
            server.process.wait()
            server.session.close()
        try:
            self.check_processes()
        finally:
            for pid in self.strangers():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


#: Makes a project with servers of its own: the fixture `make_backend`.
MakeBackend = Callable[..., Backend]


def eventually(wrong: Callable[[], str], what: str, seconds: float = GONE) -> None:
    """Fail if something is still wrong after a while; `wrong` says what it is, or nothing."""
    end = time.monotonic() + seconds
    while told := wrong():
        assert time.monotonic() < end, f"{what}: {told}"
        time.sleep(0.02)


def described(pids: list[int]) -> str:
    """Name processes for a message."""
    names = []
    for pid in pids:
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
        except OSError:
            command = b""
        names.append(f"{pid} ({command.decode(errors='replace').strip()})")
    return ", ".join(names)


def answer(server: Server, path: str, body: Any = None) -> dict[str, Any]:
    """Return the body of an answer that must be good."""
    response = server.get(path) if body is None else server.post(path, body)
    assert response.ok, response.text
    found: dict[str, Any] = response.json()
    return found
