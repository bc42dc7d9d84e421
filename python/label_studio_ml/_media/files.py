"""Files of this machine that the data of a task may name: those below folders that the user set.

First all links of a path are resolved; the result must lie below such a folder. Then the file is opened
from that folder downwards without following links, so a link that is put in its place meanwhile has no
effect.
"""

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, NamedTuple
from urllib.parse import unquote, urlsplit

ROOT_VARIABLES = tuple(
    f"{prefix}LOCAL_FILES_DOCUMENT_ROOT" for prefix in ("LABEL_STUDIO_", "HEARTEX_", "")
)
#: The variable that messages name.
ROOT_VARIABLE = ROOT_VARIABLES[0]
_LONGEST = 4096
# On systems with O_PATH only the right to pass through a folder is needed.
_PASS = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Opening a pipe without a writer, put in the place of a file, would block.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Root(NamedTuple):
    """The root for local files, and the variable that names it."""

    variable: str
    #: None if it is "/", below which every file would count.
    folder: Path | None


def root() -> Root | None:
    """Return the root for local files from the environment."""
    for name in ROOT_VARIABLES:
        if text := os.environ.get(name):
            folder = Path(os.path.realpath(text))
            return Root(name, None if folder == Path(folder.anchor) else folder)
    return None


def nothing_here() -> str:
    """Return why a path is not opened here; the same whether there is such a file or not."""
    known = root()
    if known and known.folder:
        return f"it is not a file below {known.folder} ({known.variable})"
    variable = known.variable if known else ROOT_VARIABLE
    said = "is /: name a folder" if known else "is not set"
    return f"files of this machine are opened only below {variable}, which {said}"


def remedy() -> str:
    """Return what makes a file of this machine available."""
    known = root()
    variable = known.variable if known else ROOT_VARIABLE
    return f"if the file is on this machine, set {variable} to a folder above it"


def real(path: str | Path) -> Path | None:
    """Return a path with all links resolved; None if the text cannot be a path."""
    text = os.fspath(path)
    if not text or "\0" in text or len(text) > _LONGEST:
        return None
    try:
        return Path(os.path.realpath(text))
    except (OSError, ValueError):
        return None


def found(path: str | Path, folders: Iterable[Path]) -> Path | None:
    """Return a path with all links resolved if it is a readable file below one of some folders."""
    end = real(path)
    if end is None:
        return None
    for folder in folders:
        below = real(folder)
        if below is None or not end.is_relative_to(below):
            continue
        try:
            opened(end, below).close()
            return end
        except OSError:
            continue
    return None


def opened(path: Path, folder: Path) -> BinaryIO:
    """Open a file below a folder; both are real paths.

    Raises OSError for a link on the way, and if it is not a regular file.
    """
    *between, name = path.relative_to(folder).parts or ("",)
    at = os.open(folder, _PASS)
    try:
        for part in between:
            inner = os.open(part, _PASS, dir_fd=at)
            os.close(at)
            at = inner
        # Opening a device may have an effect.
        _require_file(os.stat(name, dir_fd=at, follow_symlinks=False), path)
        file = os.open(name, _READ, dir_fd=at)
    finally:
        os.close(at)
    try:
        _require_file(os.fstat(file), path)
        return os.fdopen(file, "rb")
    except BaseException:
        os.close(file)
        raise


def _require_file(found: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise OSError(f"{path} is not a regular file")


def of_uri(uri: str) -> str | None:
    """Return the path in a `file:` address; None if it names another machine."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return None
    return unquote(parts.path) if parts.netloc.lower() in ("", "localhost") else None
