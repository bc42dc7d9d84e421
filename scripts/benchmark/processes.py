"""A server with all its child processes: measures their cost, and ends them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

TICK = 1 / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _stat(pid: int) -> list[str] | None:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return None


class Running:
    """A process in its own session."""

    def __init__(
        self, command: Sequence[str], cwd: Path, env: Mapping[str, str], log: Path
    ) -> None:
        self.log = log
        with log.open("w") as out:
            self.process = subprocess.Popen(
                command,
                cwd=cwd,
                env={**os.environ, **env},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def tree(self) -> list[int]:
        """Return the process and its descendants, also those in other process groups."""
        parents: dict[int, list[int]] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and (stat := _stat(int(entry.name))):
                parents.setdefault(int(stat[1]), []).append(int(entry.name))
        found, look = [], [self.process.pid]
        while look:
            pid = look.pop()
            found.append(pid)
            look.extend(parents.get(pid, []))
        return found

    def cpu(self) -> float:
        """Return the processor time in seconds, with that of ended children."""
        ticks = 0
        for pid in self.tree():
            if stat := _stat(pid):
                # utime, stime, cutime, cstime
                ticks += sum(int(stat[index]) for index in range(11, 15))
        return ticks * TICK

    def pss(self) -> int:
        """Return the memory of all processes in KiB; shared memory is counted once."""
        kib = 0
        for pid in self.tree():
            with suppress(OSError):
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    if line.startswith("Pss:"):
                        kib += int(line.split()[1])
        return kib

    def end(self) -> None:
        pids = self.tree()
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(3)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline and any(_stat(pid) for pid in pids):
            time.sleep(0.02)
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
