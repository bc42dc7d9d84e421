"""Fault tests: failures of models, workers, servers, clients and disks, and what must hold afterwards.

Each test is a promise. After it the fixture checks that the server answers, answers rightly, and has
left nothing behind.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
# Servers are made and started as in the other tests.
sys.path.insert(0, str(HERE.parent / "python"))

from backend import Backend, MakeBackend  # noqa: E402
from doer import DOER  # noqa: E402
from hosting import CONSOLE_SCRIPT  # noqa: E402
from small_disk import SmallDisk, cannot_mount  # noqa: E402

#: A worker that keeps dying young is started again at growing intervals. After so many deaths, tests
#: get another server, so that none has to wait for what those before it did.
MOST_DEATHS = 3


@pytest.fixture(scope="session", autouse=True)
def installed() -> None:
    # A shell that starts the tests in the background may make them ignore these, and so would all servers.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if not CONSOLE_SCRIPT.exists():
        pytest.exit(f"install the wheel first: there is no {CONSOLE_SCRIPT}", returncode=1)


class Shelf:
    """The server that the tests of a file share while nothing is wrong with it."""

    def __init__(self, make_root: Callable[[], Path], arguments: tuple[str, ...]) -> None:
        self._make_root = make_root
        self._arguments = arguments
        self._backend: Backend | None = None

    def take(self) -> Backend:
        if self._backend and self._backend.restarts() > MOST_DEATHS:
            self.end()
        if self._backend is None:
            self._backend = Backend(self._make_root(), DOER, *self._arguments)
            self._backend.start()
        return self._backend

    def end(self) -> None:
        """End the server as its promises say."""
        backend, self._backend = self._backend, None
        if backend:
            try:
                backend.end()
            finally:
                backend.stop()

    def drop(self) -> None:
        """End a server of which something is wrong."""
        backend, self._backend = self._backend, None
        if backend:
            backend.stop()


@pytest.fixture(scope="module")
def options() -> tuple[str, ...]:
    """Options of the shared server; a file may have its own."""
    return ("--train-linger", "0")


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory, options: tuple[str, ...]) -> Iterator[Shelf]:
    shelf = Shelf(lambda: tmp_path_factory.mktemp("backend"), options)
    yield shelf
    shelf.end()


@pytest.fixture
def backend(shelf: Shelf) -> Iterator[Backend]:
    """A server that keeps its promises after the test."""
    yield from lent(shelf)


@pytest.fixture
def changed(shelf: Shelf) -> Iterator[Backend]:
    """The same, for faults that a worker keeps: afterwards it dies, and all that it had with it."""
    for backend in lent(shelf):
        yield backend
        if backend.server.process.poll() is None:
            backend.check_answer()
            backend.kill_worker()


def lent(shelf: Shelf) -> Iterator[Backend]:
    backend = shelf.take()
    try:
        backend.settle()
        yield backend
        if backend.server.process.poll() is not None:
            backend.start()
        backend.keeps_its_promises()
    except BaseException:
        shelf.drop()
        raise


@pytest.fixture
def make_backend(tmp_path: Path) -> Iterator[MakeBackend]:
    """Make projects with servers of their own; afterwards nothing of them runs any more."""
    backends: list[Backend] = []

    def make(source: str = DOER, *arguments: str, **options: Any) -> Backend:
        root = tmp_path / f"backend-{len(backends)}"
        root.mkdir()
        backends.append(Backend(root, source, *arguments, **options))
        return backends[-1]

    yield make
    for backend in backends:
        backend.stop()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A file system of a few MiB. Ask for it before the server, so that it outlives that."""
    if reason := cannot_mount(tmp_path / "probe"):
        pytest.skip(f"a small file system cannot be mounted here: {reason}")
    disk = SmallDisk(tmp_path / "disk")
    yield disk
    disk.unmount()
