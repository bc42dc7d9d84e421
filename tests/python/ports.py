"""Ports for servers of tests, which may run in several processes at the same time.

Another program may take a port between its probing and the start of a server, so each test process has
its own ports. Standard library only.
"""

from __future__ import annotations

import itertools
import os
import random
import socket
from collections.abc import Iterator
from contextlib import suppress

#: Below those that the system gives out by itself, so that no client's connection has one.
_PORTS = range(10_000, 32_000)
_BLOCK = 200

_own: Iterator[int] | None = None


def free_port() -> int:
    """Return a port that nobody listens on, and that no other process of tests gets."""
    global _own
    _own = _own or _claimed()
    for port in itertools.islice(_own, _BLOCK):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("0.0.0.0", port))
            return port
    raise RuntimeError(f"all {_BLOCK} ports of this process are in use")


def _claimed() -> Iterator[int]:
    """Return, again and again, the ports that are this process's as long as it lives."""
    blocks = [*_PORTS[::_BLOCK]]
    random.Random(os.getpid()).shuffle(blocks)
    for first in blocks:
        claim = socket.socket(socket.AF_UNIX)
        try:
            # A name that lies in no folder, and is gone with this process.
            claim.bind(f"\0ports of label-studio-ml tests {first}")
        except OSError:
            claim.close()
            continue
        claim.detach()
        return itertools.cycle(range(first, first + _BLOCK))
    raise RuntimeError(f"{len(blocks)} processes run tests already")
