"""Streams that send what user code prints and logs to the server's log, line by line.

Each line carries the project for which its thread works; the server adds the worker. Output of
subprocesses and C libraries bypasses Python and is logged without a project.
"""

import io
import logging
import sys
from typing import TextIO, cast

from label_studio_ml import _log_records, _native


class ProjectStream(io.TextIOBase):
    """Replaces `sys.stdout` (number 1) or `sys.stderr` (number 2) of a worker."""

    def __init__(self, number: int, original: TextIO) -> None:
        super().__init__()
        self._number = number
        self._original = original

    def write(self, text: str) -> int:
        _native.log_text(self._number, text)
        return len(text)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._original.fileno()

    def isatty(self) -> bool:
        return False

    def reconfigure(self, **_: object) -> None:
        """Accept what scripts set on a real stream; the server decides the format of the log."""

    @property
    def buffer(self) -> io.BufferedIOBase:
        """The real stream: bytes written to it are logged without a project."""
        return cast(io.BufferedIOBase, self._original.buffer)

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    @property
    def errors(self) -> str:  # type: ignore[override]
        return "replace"

    @property
    def name(self) -> str:
        return self._original.name


class ServerLogHandler(logging.Handler):
    """Sends records to the server's log, with their level."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            _native.log_line(record.levelname, self.format(record))
        except Exception:
            self.handleError(record)


def install() -> None:
    """Replace the standard streams and give the root logger a handler.

    A `logging.basicConfig` in user code then has no effect, and a `dictConfig` writes to the replaced
    streams: either way each record appears once.
    """
    sys.stdout = cast(TextIO, ProjectStream(1, sys.stdout))
    sys.stderr = cast(TextIO, ProjectStream(2, sys.stderr))
    root = logging.getLogger()
    if not root.handlers:
        handler = ServerLogHandler()
        handler.setFormatter(_log_records.Formatter("%(name)s: %(message)s"))
        handler.addFilter(_log_records.LibraryFilter())
        root.addHandler(handler)
    root.setLevel(logging.INFO)
    _log_records.show_exceptions_of_threads()
