"""Fixtures: a server for each test that changes it, and one for all tests that only send requests."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hosting import CONSOLE_SCRIPT, ECHO, Server, make_project
from media_hosts import Host, LabelStudio

# Read when the package is imported; servers that tests start get their own folders.
os.environ["MODEL_DIR"] = tempfile.mkdtemp(prefix="label-studio-ml-tests-")


def pytest_sessionstart() -> None:
    assert CONSOLE_SCRIPT.exists(), f"install the wheel first: there is no {CONSOLE_SCRIPT}"


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start servers from the source of a script, or for a project folder; stop them afterwards."""
    servers: list[Server] = []

    def start(source: str | Path, *arguments: str, **options: Any) -> Server:
        project = source if isinstance(source, Path) else make_project(tmp_path, source)
        servers.append(Server(project, *arguments, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server with the echo model for a whole file."""
    server = Server(make_project(tmp_path_factory.mktemp("echo"), ECHO))
    yield server
    assert server.stop() == 0


@pytest.fixture
def media_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No setting names a Label Studio; copies of files go to the returned folder."""
    for name in [*os.environ]:
        if name.startswith(("LABEL_STUDIO_", "HEARTEX_")) or "LOCAL_FILES" in name:
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOSTNAME", "0123456789ab")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    return tmp_path / "cache" / "label-studio"


@pytest.fixture
def label_studio(media_environment: Path) -> Iterator[LabelStudio]:
    """A host that behaves like Label Studio."""
    host = LabelStudio()
    yield host
    host.stop()


@pytest.fixture
def storage(media_environment: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """A host of another origin, from which files may come although it is on this machine."""
    monkeypatch.setenv("LABEL_STUDIO_ML_ALLOW_HOSTS", "*, 127.0.0.1")
    host = Host()
    yield host
    host.stop()


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[list[str]]]:
    """Names, each with the answers of its lookups in order; the last answer is repeated."""
    answers: dict[str, list[list[str]]] = {}
    real = socket.getaddrinfo

    def lookup(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        if host not in answers:
            return real(host, port, *args, **kwargs)
        found = answers[host].pop(0) if len(answers[host]) > 1 else answers[host][0]
        return [each for one in found for each in real(one, port, *args, **kwargs)]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    return answers
