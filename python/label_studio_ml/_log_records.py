"""What is logged of records of `logging`, and in which form; for workers and `start --debug`."""

import logging
import os
import sys
import sysconfig
import threading
from pathlib import Path
from types import TracebackType

from label_studio_ml import _traceback

#: Folders in which packages are installed, wherever an environment lies.
_INSTALLED = {"site-packages", "dist-packages"}
_STANDARD_LIBRARY = f"{sysconfig.get_path('stdlib')}{os.sep}"


class Formatter(logging.Formatter):
    """Formats records whose exceptions have tracebacks without the frames of this package."""

    def formatException(
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None]
        | tuple[None, None, None],
    ) -> str:
        error = ei[1]
        return super().formatException(ei) if error is None else _traceback.text(error)


class LibraryFilter(logging.Filter):
    """Leaves out DEBUG records of other packages, which would hide those of the model.

    A program gets those of a package by setting the level of its logger:
    `logging.getLogger("urllib3").setLevel(logging.DEBUG)`.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        return (
            record.levelno >= logging.INFO
            or not _is_of_library(record.pathname)
            or _is_asked_for(record.name)
        )


def _is_of_library(path: str) -> bool:
    is_installed = not _INSTALLED.isdisjoint(Path(path).parts)
    is_standard = path.startswith((_STANDARD_LIBRARY, "<frozen "))
    return (is_installed or is_standard) and not _traceback.is_ours(path)


def _is_asked_for(name: str) -> bool:
    """Tell whether the level of a logger, or of one above it, was set."""
    logger: logging.Logger | None = logging.getLogger(name)
    while logger is not None and logger is not logging.root:
        if logger.level:
            return True
        logger = logger.parent
    return False


def show_exceptions_of_threads() -> None:
    """Print the exceptions that end threads without the frames of this package."""

    def show(args: threading.ExceptHookArgs) -> None:
        # As Python does: a thread may end in this way.
        if args.exc_type is SystemExit or args.exc_value is None:
            return
        name = args.thread.name if args.thread else "(unknown)"
        print(f"Exception in thread {name}:\n{_traceback.text(args.exc_value)}", file=sys.stderr)

    threading.excepthook = show
