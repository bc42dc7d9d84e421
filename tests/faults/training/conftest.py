"""Servers that can kill themselves between two steps. Needs a build with the feature `failpoints`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from host import Host  # noqa: E402
from learner import LEARNER  # noqa: E402

MakeHost = Callable[..., Host]


@pytest.fixture(scope="session", autouse=True)
def failpoints(tmp_path_factory: pytest.TempPathFactory) -> None:
    """End the whole run at its start if the server cannot kill itself: every test would mislead."""
    host = Host(tmp_path_factory.mktemp("failpoints"))
    server = host.start(failpoints="job-queued=return")
    try:
        if host.ledger.train(server) is not None:
            pytest.exit(
                "the installed wheel was built without failpoints; build it with "
                "`maturin develop --features failpoints`",
                returncode=1,
            )
    finally:
        host.stop()


@pytest.fixture
def make_host(tmp_path: Path) -> Iterator[MakeHost]:
    """Make model folders with servers; afterwards nothing of them runs any more."""
    hosts: list[Host] = []

    def make(source: str = LEARNER, *arguments: str, **options: Any) -> Host:
        root = tmp_path / f"host-{len(hosts)}"
        root.mkdir()
        hosts.append(Host(root, source, *arguments, **options))
        return hosts[-1]

    yield make
    for host in hosts:
        host.stop()


@pytest.fixture
def host(make_host: MakeHost) -> Host:
    """A model folder with one server at a time."""
    return make_host()
