"""Keeps the cache folder within its limit: the least recently used copies are removed first.

Only copies in the default folder, with a name of ours, are ever removed. A copy that was used within
the last hour stays, so the limit may be exceeded for a while: a prediction that got the path may still
read it. Copies that a training got stay until the training ends, by a list that its process keeps
locked.

A process notes the use of a copy under a shared lock, and removes copies under an exclusive lock after
another look at their last use: no process returns a copy that another one removes.
"""

import fcntl
import logging
import os
import re
import secrets
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path
from typing import NamedTuple

from label_studio_ml._media import limits

logger = logging.getLogger("label_studio_ml.model")

#: Seconds for which a copy stays after its last use: the maximum time of a prediction.
IN_USE = 3600.0
#: The share of the limit to which copies are reduced, and the share that may be added before that.
_LEFT = 0.9
_STEP = 0.02
_COPY = re.compile(r"[0-9a-f]{16}__")
_LOCK = ".label-studio-ml.lock"
_HELD = ".label-studio-ml.held"

_added: dict[Path, float] = {}
_state = threading.Lock()


def _forget() -> None:
    global _state
    # A child may be forked while another thread holds the lock; the lists belong to the parent.
    _state = threading.Lock()
    _trainings.clear()


def default_folder() -> Path:
    """Return the folder of the original: `label-studio` in the user's folder for caches."""
    if sys.platform == "darwin":
        return Path("~/Library/Caches/label-studio").expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "label-studio"


def use(path: Path) -> bool:
    """Note that a copy is used; return whether there is one."""
    if not path.exists() or path.parent != default_folder():
        return path.exists()
    with _locked(path.parent, fcntl.LOCK_SH):
        try:
            os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))
        except PermissionError:  # it belongs to another user, and only that user can remove it
            return path.exists()
        except OSError:
            return False
        _note(path)
        return True


def _note(path: Path) -> None:
    for training in [*_trainings]:
        training.note(path.name)


def added(path: Path, size: int) -> None:
    """Note a new copy and its size; remove old copies if the limit may be exceeded."""
    folder = path.parent
    if folder != default_folder():
        return
    _note(path)
    if (limit := limits.cache_bytes()) == inf:
        return
    with _state:
        # At first the size of the folder is not known.
        total = _added[folder] + size if folder in _added else limit
        _added[folder] = 0 if (due := total >= limit * _STEP) else total
    if due:
        try:
            _make_room(folder, limit)
        except OSError as error:
            logger.warning("copies in %s cannot be removed: %s", folder, error)


class _Copy(NamedTuple):
    used: float
    size: int
    name: str


def _make_room(folder: Path, limit: float) -> None:
    copies = [*_copies(folder)]
    total = sum(copy.size for copy in copies)
    if total <= limit:
        return
    old = time.time() - IN_USE
    held: set[str] | None = None
    for copy in sorted(copies):
        if total <= limit * _LEFT or copy.used > old:
            return
        with _locked(folder, fcntl.LOCK_EX) as locked:
            if not locked:
                return
            held = _kept_names(folder) if held is None else held
            path = folder / copy.name
            try:
                # It may have been used since.
                if copy.name in held or path.stat().st_atime > old:
                    continue
                path.unlink()
            except FileNotFoundError:
                pass
        total -= copy.size


def _copies(folder: Path) -> Iterator[_Copy]:
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                if _COPY.match(entry.name) and entry.is_file(follow_symlinks=False):
                    found = entry.stat(follow_symlinks=False)
                    yield _Copy(found.st_atime, found.st_blocks * 512, entry.name)
            except FileNotFoundError:
                continue


@contextmanager
def _locked(folder: Path, kind: int) -> Iterator[bool]:
    """Hold the lock of a folder; yields False if no file can be made or locked there."""
    try:
        file = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError:
        yield False
        return
    try:
        try:
            fcntl.flock(file, kind)
            locked = True
        except OSError:
            locked = False
        yield locked
    finally:
        os.close(file)


class Training:
    """Keeps the copies that a training got until it ends, in whichever way."""

    def __init__(self) -> None:
        self._file: int | None = None
        self._names: set[str] = set()
        self._path = default_folder() / f"{_HELD}.{os.getpid()}.{secrets.token_hex(8)}"
        _trainings.append(self)

    def note(self, name: str) -> None:
        """Keep a copy that was just used."""
        with _state:
            if name in self._names:
                return
            try:
                if self._file is None:
                    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
                    self._file = os.open(self._path, flags, 0o666)
                    # The system releases it when the process ends.
                    fcntl.flock(self._file, fcntl.LOCK_EX)
                os.write(self._file, os.fsencode(name) + b"\n")
                self._names.add(name)
            except OSError as error:
                logger.warning("%s may be removed during the training: %s", name, error)

    def end(self) -> None:
        """Keep nothing any more."""
        with _state:
            if self in _trainings:
                _trainings.remove(self)
            if self._file is not None:
                self._path.unlink(missing_ok=True)
                os.close(self._file)
                self._file = None


_trainings: list[Training] = []
os.register_at_fork(after_in_child=_forget)


def _kept_names(folder: Path) -> set[str]:
    """Return the names that trainings keep; remove the lists of trainings that are gone."""
    names: set[str] = set()
    for path in folder.glob(f"{_HELD}.*"):
        try:
            with path.open("rb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                    path.unlink()
                except BlockingIOError:
                    names |= {os.fsdecode(line) for line in file.read().splitlines()}
        except FileNotFoundError:
            continue
    return names
