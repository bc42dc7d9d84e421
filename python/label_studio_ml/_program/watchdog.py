"""Ends an import that has become a server of a kind that `servers` does not know."""

import contextlib
import logging
import os
import signal
import socket
import stat
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from label_studio_ml._program.stop import ServerStarts

#: Seconds for which the main thread must have been idle.
_IDLE = 2.0
_PAUSE = 0.25
#: The user is told when so many exceptions have not ended it.
_TRIES = 3
#: Innermost calls of the main thread that are looked at.
_FRAMES = 4
#: Most seconds of processor that a server that waits takes in that time.
_BUSY = 0.02

# gevent replaces it by one that lets greenlets run.
_sleep = time.sleep


class Watchdog:
    """Raises `ServerStarts` on the main thread once it does nothing but serve.

    That is so if `serves()` holds, or `is_recorded()` does and this process listens on a TCP port on
    which it did not listen before; and if the thread uses no processor meanwhile, and waits neither for a
    download nor for a command. Systems that do not tell the processor time of a thread have no watchdog.
    """

    def __init__(self, is_recorded: Callable[[], bool], serves: Callable[[], bool]) -> None:
        #: Whether user code runs, which alone is ended.
        self.is_armed = False
        self._is_recorded = is_recorded
        self._serves = serves
        self._lock = threading.Lock()
        self._over = True
        self._before: Any = None
        self._sockets_before: set[int] = set()

    def start(self) -> None:
        """Begin to watch the calling thread, if it is the main thread."""
        can_tell = hasattr(time, "pthread_getcpuclockid") and hasattr(signal, "SIGURG")
        if not can_tell or threading.current_thread() is not threading.main_thread():
            return
        self._over = False
        self._sockets_before = listening_sockets()
        # By default the system ignores it, so nobody else sends it.
        self._before = signal.signal(signal.SIGURG, self._wake)
        main = threading.get_ident()
        threading.Thread(target=self._watch, args=(main,), name="watchdog", daemon=True).start()

    def stop(self) -> None:
        """End; nothing is raised any more."""
        self.is_armed = False
        with self._lock:
            self._over = True
        if self._before is not None and signal.getsignal(signal.SIGURG) == self._wake:
            signal.signal(signal.SIGURG, self._before)

    def _wake(self, number: int, frame: FrameType | None) -> None:
        if self.is_armed:
            raise ServerStarts

    def _watch(self, main: int) -> None:
        clock = time.pthread_getcpuclockid(main)
        used, since = time.clock_gettime(clock), time.monotonic()
        tries = 0
        while True:
            _sleep(_PAUSE)
            if self._over:
                return
            now = time.clock_gettime(clock)
            if now - used > _BUSY:
                used, since = now, time.monotonic()
            elif time.monotonic() - since > _IDLE:
                if not _waits_for_data(main) and (
                    self._serves()
                    or (self._is_recorded() and listening_sockets() - self._sockets_before)
                ):
                    tries += 1
                    if tries == _TRIES:
                        logging.getLogger("label_studio_ml").warning(
                            "_wsgi.py serves by itself and catches every exception, so its import "
                            "does not end: let SystemExit pass"
                        )
                    with self._lock:
                        if not self._over:
                            signal.pthread_kill(main, signal.SIGURG)
                used, since = now, time.monotonic()


def _waits_for_data(thread: int) -> bool:
    """Return whether a thread waits for an answer of another program: a download, or a command."""
    frame = sys._current_frames().get(thread)
    for _ in range(_FRAMES):
        if frame is None:
            return False
        code = frame.f_code
        name = Path(code.co_filename).name
        if name in ("ssl.py", "subprocess.py") or (
            name == "socket.py" and code.co_name != "accept"
        ):
            return True
        frame = frame.f_back
    return False


def listening_sockets() -> set[int]:
    """Return the inodes of TCP sockets on which this process listens."""
    found = set()
    with contextlib.suppress(OSError):
        for entry in Path("/dev/fd").iterdir():
            with contextlib.suppress(OSError):
                descriptor = int(entry.name)
                about = os.fstat(descriptor)
                if stat.S_ISSOCK(about.st_mode) and _listens(descriptor):
                    found.add(about.st_ino)
    return found


def _listens(descriptor: int) -> bool:
    with socket.socket(fileno=os.dup(descriptor)) as one:
        is_tcp = one.family in (socket.AF_INET, socket.AF_INET6) and one.type == socket.SOCK_STREAM
        return is_tcp and bool(one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
