"""Fixtures: one Label Studio for all tests, servers of ours, projects that are connected to them.

`label-studio-ml` is really started, by the command of the environment that runs the tests.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.append(str(ROOT / "tests" / "python"))

from connected import Connected
from hosting import CONSOLE_SCRIPT, Server, run
from label_studio import LabelStudio
from rest import Api

MAJORITY = {
    "v1": HERE / "models" / "majority_first.py",
    "v2": HERE / "models" / "majority_second.py",
}


def pytest_sessionstart() -> None:
    assert CONSOLE_SCRIPT.exists(), f"install the wheel first: there is no {CONSOLE_SCRIPT}"


@pytest.fixture(scope="session")
def studio() -> Iterator[LabelStudio]:
    with LabelStudio() as studio:
        yield studio


@pytest.fixture(scope="session")
def api(studio: LabelStudio) -> Iterator[Api]:
    with studio.api() as api:
        yield api


def start_server(root: Path, script: Path, *arguments: str, **options: Any) -> Server:
    """Make a project folder from a script, and start it."""
    done = run("init", "backend", "--script", script, "--root-dir", root)
    assert done.returncode == 0, done.stdout + done.stderr
    options["env"] = {"MODEL_DIR": str(root / "trained"), **options.get("env", {})}
    return Server(root / "backend", *arguments, **options)


@pytest.fixture
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Start servers for one test."""
    servers: list[Server] = []

    def start(script: Path, *arguments: str, **options: Any) -> Server:
        root = tmp_path_factory.mktemp("server")
        servers.append(start_server(root, script, *arguments, **options))
        return servers[-1]

    yield start
    for server in servers:
        assert server.stop() == 0, server.log()


@pytest.fixture(scope="session")
def majorities(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Server]]:
    """The servers that tests share which leave them as they are: one for each generation."""
    servers: dict[str, Server] = {}

    def get(generation: str) -> Server:
        if generation not in servers:
            root = tmp_path_factory.mktemp(generation)
            servers[generation] = start_server(root, MAJORITY[generation])
        return servers[generation]

    yield get
    for server in servers.values():
        assert server.stop() == 0, server.log()


@pytest.fixture(params=["v1", "v2"])
def generation(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def majority(majorities: Callable[[str], Server], generation: str) -> Server:
    """A server for a model that answers with the choice that most annotations have."""
    return majorities(generation)


@pytest.fixture
def connect(api: Api, request: pytest.FixtureRequest) -> Callable[..., Connected]:
    """Make a project that bears the name of the test, and connect a server to it."""

    def connected(server: Server, *arguments: Any, **options: Any) -> Connected:
        options.setdefault("title", request.node.name)
        return Connected(options.pop("api", api), server, *arguments, **options)

    return connected
