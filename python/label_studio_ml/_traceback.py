"""Tracebacks as authors of models need them: their own frames, without those of this package.

Used wherever a traceback is shown: answers, the server's log, the logs of jobs, `validate` and `predict`.
"""

import logging
import os
import traceback
from pathlib import Path

#: Where this package lies; its frames say nothing about the code of a model.
_PACKAGE = f"{Path(__file__).absolute().parent}{os.sep}"
_IMPORTLIB = "<frozen importlib"


def text(error: BaseException, everything: bool | None = None) -> str:
    """Return the traceback of an exception, with those that it was raised from, ending with its message.

    `everything`: with the frames of this package, as the log level DEBUG asks for, too.
    """
    if everything is None:
        everything = logging.root.level <= logging.DEBUG
    whole = traceback.TracebackException.from_exception(error)
    if not everything:
        _shorten(whole)
    return "".join(whole.format()).rstrip("\n")


def _shorten(whole: traceback.TracebackException) -> None:
    """Take our frames out, unless no others are there: then something is wrong in this package."""
    parts = _parts(whole)
    kept = [[frame for frame in part.stack if not is_ours(frame.filename)] for part in parts]
    # A syntax error names its own place.
    if not any(kept) and not _is_told(whole):
        return
    for part, frames in zip(parts, kept, strict=True):
        if not frames:
            # Without frames Python leaves out the line that announces them.
            part.stack = None  # type: ignore[assignment]
        elif len(frames) < len(part.stack):
            part.stack = traceback.StackSummary.from_list(frames)


def _parts(whole: traceback.TracebackException) -> list[traceback.TracebackException]:
    """Return an exception with its causes, and the members of exception groups, each once."""
    found: list[traceback.TracebackException] = []
    waiting: list[traceback.TracebackException | None] = [whole]
    seen: set[int] = set()
    while waiting:
        part = waiting.pop()
        if part is None or id(part) in seen:
            continue
        seen.add(id(part))
        found.append(part)
        waiting += [part.__cause__, part.__context__, *(getattr(part, "exceptions", None) or [])]
    return found


def is_ours(filename: str) -> bool:
    """Tell whether a file belongs to this package, or to the import machinery that is in between."""
    return filename.startswith((_PACKAGE, _IMPORTLIB))


def _is_told(whole: traceback.TracebackException) -> bool:
    """Tell whether the message says enough without a frame."""
    kind = whole.exc_type
    return kind is not None and (
        issubclass(kind, SyntaxError) or (kind.__module__ or "").startswith("label_studio_ml.")
    )
