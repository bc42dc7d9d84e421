"""Fixtures: one Label Studio for all tests, our servers, and projects that are connected to them.

`label-studio-ml` is really started, by the command of the environment that runs the tests.
"""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).resolve().parent.parent / "python"))

from browser import SCREENSHOTS, Browser
from connected import Connected
from hosting import CONSOLE_SCRIPT, Server, run
from label_studio import OLDER_VERSION, VERSION, LabelStudio, python_for_older
from mistakes import MISTAKEN
from rest import Api

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MAJORITY = {
    "v1": HERE / "models" / "majority_v1.py",
    "v2": HERE / "models" / "majority_v2.py",
}


def pytest_sessionstart() -> None:
    assert CONSOLE_SCRIPT.exists(), f"install the wheel first: there is no {CONSOLE_SCRIPT}"


def pytest_collection_finish(session: pytest.Session) -> None:
    if session.config.option.collectonly:
        return
    shutil.rmtree(SCREENSHOTS, ignore_errors=True)
    # Here, and not in a fixture, since it takes longer than a test may.
    wants_older = any(item.path.name == "test_older_client.py" for item in session.items)
    versions = [VERSION, *([OLDER_VERSION] if wants_older and python_for_older() else [])]
    with ThreadPoolExecutor() as pool:
        list(pool.map(install, versions))


def install(version: str) -> None:
    studio = LabelStudio(version)
    try:
        studio.install()
    finally:
        studio.stop()


@pytest.fixture(scope="session")
def studio() -> Iterator[LabelStudio]:
    with LabelStudio() as studio:
        yield studio


@pytest.fixture(scope="session")
def api(studio: LabelStudio) -> Iterator[Api]:
    with studio.api() as api:
        yield api


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Show what the programs printed beside a test that failed."""
    report = yield
    if report.failed:
        for name, value in getattr(item, "funcargs", {}).items():
            if isinstance(value, LabelStudio):
                report.sections.append(
                    (f"the end of Label Studio's log ({name})", value.log_tail())
                )
            elif isinstance(value, Server):
                report.sections.append((f"the log of the server ({name})", value.log()[-4000:]))
    return report


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
    """The servers that tests share which leave them as they are: one for each API version."""
    servers: dict[str, Server] = {}

    def get(api_version: str) -> Server:
        if api_version not in servers:
            root = tmp_path_factory.mktemp(api_version)
            servers[api_version] = start_server(root, MAJORITY[api_version])
        return servers[api_version]

    yield get
    for server in servers.values():
        assert server.stop() == 0, server.log()


@pytest.fixture(scope="session")
def mistaken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for a model that makes the mistake that each task names."""
    root = tmp_path_factory.mktemp("mistaken")
    script = root / "mistaken.py"
    script.write_text(textwrap.dedent(MISTAKEN))
    server = start_server(root, script)
    yield server
    assert server.stop() == 0, server.log()


@pytest.fixture(params=["v1", "v2"])
def api_version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def majority(majorities: Callable[[str], Server], api_version: str) -> Server:
    """A server for a model that answers with the choice that most annotations have."""
    return majorities(api_version)


@pytest.fixture
def connect(api: Api, request: pytest.FixtureRequest) -> Callable[..., Connected]:
    """Make a project that bears the name of the test, and connect a server to it."""

    def connected(server: Server, *arguments: Any, **options: Any) -> Connected:
        options.setdefault("title", request.node.name)
        return Connected(options.pop("api", api), server, *arguments, **options)

    return connected


@pytest.fixture
def browser() -> Iterator[Browser]:
    browser = Browser()
    yield browser
    browser.close()
