"""Names and writes the copies of files in the cache folder.

A copy appears under its name only when it is complete. Threads of one process that want the same copy
share the work; processes do not, and the last one wins, which leaves a whole file in any case.
`cache_eviction` removes copies that were not used for long.
"""

import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote

from label_studio_ml._media import cache_eviction

#: Maximum number of bytes of a file's own name in the name of its copy; the extension is kept whole.
_NAME_BYTES = 120
#: Seconds after which a waiting thread runs Python again, so that it can be cancelled.
_PATIENCE = 1.0
#: Seconds after which a file that another process left unfinished is removed.
_STALE = 24 * 3600.0
_UNFINISHED = ".part"

_running: dict[Hashable, "Future[None]"] = {}
_swept: set[Path] = set()


# A forked child has none of the threads that would finish the copies in progress.
os.register_at_fork(after_in_child=_running.clear)


def path_of(folder: Path, key: str, name: str) -> Path:
    """Return where the copy of a file lies: a hash of `key`, and the file's own name.

    `name` may be a path and may be percent-encoded; the last part of it is used.
    """
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return folder / f"{digest}__{_file_name(name)}"


def _file_name(name: str) -> str:
    last = re.split(r"[/\\]", unquote(name).rstrip("/"))[-1]
    last = re.sub(r"[\x00-\x1f\x7f]", "_", last)
    raw = last.encode("utf-8", "replace")
    if len(raw) <= _NAME_BYTES:
        return raw.decode()
    suffix = Path(last).suffix.encode("utf-8", "replace")
    suffix = suffix if len(suffix) <= 16 else b""
    return (raw[: _NAME_BYTES - len(suffix)] + suffix).decode("utf-8", "ignore")


def keep(path: Path, write: Callable[[BinaryIO], None], who: Hashable = None) -> None:
    """Put a file at `path`, by calling `write` with an open file, unless there is one.

    Threads that ask meanwhile with the same `who` wait, and share the exception of `write`. Raises
    OSError if the folder cannot be written.
    """
    # Plain values, so that comparing them runs no Python code.
    key: Hashable = (os.fspath(path), who)
    while not cache_eviction.use(path):
        own: Future[None] = Future()
        try:
            if (other := _running.setdefault(key, own)) is own:
                # Another thread may have finished since the check.
                if not path.exists():
                    _write(path, write)
                _end(key, own, None)
                return
        except BaseException as error:
            _end(key, own, error)
            raise
        try:
            failure = other.exception(_PATIENCE)
        except FutureTimeoutError:
            continue
        if isinstance(failure, Exception):
            raise failure


def _end(key: Hashable, own: "Future[None]", error: BaseException | None) -> None:
    if _running.get(key) is own:
        del _running[key]
    if error is None:
        own.set_result(None)
    elif not own.done():
        own.set_exception(error)


def _write(path: Path, write: Callable[[BinaryIO], None]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path.parent)
    unfinished = path.with_name(f".{path.name[:32]}.{secrets.token_hex(8)}{_UNFINISHED}")
    try:
        with unfinished.open("xb") as file:
            write(file)
        unfinished.replace(path)
        size = path.stat().st_size
    finally:
        unfinished.unlink(missing_ok=True)
    cache_eviction.added(path, size)


def _sweep(folder: Path) -> None:
    if folder in _swept:
        return
    _swept.add(folder)
    for left in folder.glob(f".*{_UNFINISHED}"):
        try:
            if time.time() - left.stat().st_mtime > _STALE:
                left.unlink()
        except OSError:  # another process was faster
            pass


def keep_copy(path: Path, original: Callable[[], BinaryIO]) -> None:
    """Put a copy of a file of this machine at `path`, unless there is one."""

    def copy(file: BinaryIO) -> None:
        with original() as source:
            shutil.copyfileobj(source, file)

    keep(path, copy)
