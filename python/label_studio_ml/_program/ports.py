"""Lets a file bind the port that the server in front of this process has already.

Many servers bind when they are made and serve later. A file that names the port on which `start`
listens would fail between the two, so its socket gets a free port of this machine instead; the server
that it is for is stopped before it serves.
"""

import contextlib
import errno
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

#: Seconds to wait for a worker beside this one, which has the port only until its import stops.
_PATIENCE = 5.0
_LISTENING = "0A"

_sleep, _thread_id = time.sleep, threading.get_ident


@contextlib.contextmanager
def shared_with_server() -> Iterator[None]:
    """Replace `socket.bind` for the calling thread."""
    # gevent and eventlet put classes of their own in its place.
    kind = socket.socket
    main, original = _thread_id(), kind.bind

    def bind(self: socket.socket, address: Any) -> None:
        if _thread_id() != main or self.family not in (socket.AF_INET, socket.AF_INET6):
            original(self, address)
            return

        def at(where: Any) -> None:
            original(self, where)

        listen(at, (address,), {})

    kind.bind = bind  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        # It was inherited.
        if vars(kind).get("bind") is bind:
            del kind.bind


def listen(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call what binds to `args[0]`; elsewhere if our own server has that port."""
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            return original(*args, **kwargs)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            address = args[0]
            port = int(address[1])
            if _listens(os.getppid(), port):
                loopback = "::1" if len(address) == 4 else "127.0.0.1"
                return original((loopback, 0, *address[2:]), *args[1:], **kwargs)
            beside = any(_listens(process, port) for process in _children(os.getppid()))
            if not beside or time.monotonic() > end:
                raise
            _sleep(0.05)


def _listens(process: int, port: int) -> bool:
    """Return whether a process listens on a TCP port; false where the system does not tell."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{process}/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                    inodes.add(fields[9])
    with contextlib.suppress(OSError):
        for link in Path(f"/proc/{process}/fd").iterdir():
            with contextlib.suppress(OSError):
                held = re.fullmatch(r"socket:\[(\d+)\]", str(link.readlink()))
                if held and held[1] in inodes:
                    return True
    return False


def _children(process: int) -> set[int]:
    found: set[int] = set()
    for listed in Path(f"/proc/{process}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found.update(map(int, listed.read_text().split()))
    return found - {os.getpid()}
