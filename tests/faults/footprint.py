"""The resources of a server: processes, descriptors, memory, files; read from /proc, not from the server."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hosting import is_running


@dataclass(frozen=True)
class Footprint:
    """What is there at one moment."""

    processes: int
    #: What the descriptors of the server lead to, and how many of each there are.
    descriptors: Counter[str]
    resident_kib: int
    files: frozenset[str]


def processes_with(mark: bytes) -> list[int]:
    """Return running processes that have `mark` in their environment.

    Processes that one of them started are found too, also after a double fork and in another session.
    """
    found = []
    for pid in all_processes():
        if pid == os.getpid():
            continue
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            continue
        if mark in environment and is_running(pid):
            found.append(pid)
    return found


def all_processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def zombies_of(parents: Iterable[int]) -> list[int]:
    """Return children that ended and that nobody waits for."""
    parents = set(parents)
    found = []
    for pid in all_processes():
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        except OSError:
            continue
        state, parent = stat.rsplit(")", 1)[1].split()[:2]
        if state == "Z" and int(parent) in parents:
            found.append(pid)
    return found


def state(pid: int) -> str:
    """Return the letter for what a process does: T for one that was stopped."""
    return Path(f"/proc/{pid}/stat").read_text(errors="replace").rsplit(")", 1)[1].split()[0]


def thread_states(pid: int) -> list[str]:
    """Return the same for each thread of a process."""
    return [state(int(thread.name)) for thread in Path(f"/proc/{pid}/task").iterdir()]


def descriptors(pid: int) -> Counter[str]:
    """Count the open descriptors of a process by what they lead to, numbers left out."""
    kinds: Counter[str] = Counter()
    try:
        entries = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return kinds
    for entry in entries:
        try:
            target = str(entry.readlink())
        except OSError:
            continue
        kinds[re.sub(r"\d+", "N", target.removesuffix(" (deleted)"))] += 1
    return kinds


def status_field(pid: int, name: str) -> int:
    """Return a number of /proc/<pid>/status, such as VmRSS in KiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def temporary_files(folder: Path, mark: bytes) -> frozenset[str]:
    """Return what lies in a folder for temporary files, and in shared memory.

    Left out is the folder for sockets that multiprocessing removes only when its process ends by itself,
    and shared memory of running processes without the mark: of tests that run beside this one.
    """
    shared = Path("/dev/shm")
    found = {str(path) for path in folder.rglob("*") if "/pymp-" not in str(path)}
    # Processes leave files there. Folders belong to other programs.
    blocks = {str(path) for path in shared.glob("*") if path.is_file()}
    return frozenset(found | (blocks and blocks - _mapped_without(mark)))


def _mapped_without(mark: bytes) -> set[str]:
    """Return the shared memory that processes without a mark have mapped or open."""
    found: set[str] = set()
    for pid in all_processes():
        folder = Path(f"/proc/{pid}")
        try:
            if mark in (folder / "environ").read_bytes():
                continue
            mapped = (folder / "maps").read_text(errors="replace").splitlines()
            opened = [str(entry.readlink()) for entry in (folder / "fd").iterdir()]
        except OSError:
            continue
        paths = [line.split(maxsplit=5)[-1] for line in mapped if "/dev/shm/" in line]
        found.update(path for path in paths + opened if path.startswith("/dev/shm/"))
    return found
