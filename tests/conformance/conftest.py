"""The servers under test: two releases of upstream from environments of their own, and ours.

Ours is the `label-studio-ml` of the environment that runs pytest.  Upstream's environments are made
at the first run; see `upstream.upstream_venv` for what moves them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from backends import Answer, Backend, settled_by_health
from playing import Play, Scenario, StartOurs, Upstream, play
from services import Service, ServiceError, free_port
from upstream import NEWEST, OLDER, Release, init_project, upstream_venv

#: By default trainings get idle processors only, and while other tests run there may be none.
NOT_IDLE = ("--train-nice", "0")
ECHO_V1 = Path(__file__).parent / "models" / "echo_v1.py"


def venv_of(release: Release) -> Path:
    """The environment of a release.

    The newest one must be there.  The older one is skipped where its pins cannot be had, and the
    reason names what is missing.
    """
    try:
        return upstream_venv(release)
    except ServiceError as error:
        if release == NEWEST:
            raise
        missing = [line for line in str(error).splitlines() if line.startswith("ERROR: ")]
        python = ".".join(map(str, sys.version_info[:2]))
        pytest.skip(f"{release} is not to be had on Python {python}: {(missing or [error])[-1]}")


@pytest.fixture(scope="session")
def newest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    """Upstream 1.0.9."""
    upstream = Upstream(NEWEST, venv_of(NEWEST), tmp_path_factory.mktemp, ECHO_V1)
    yield upstream
    upstream.stop()


@pytest.fixture(scope="session")
def older(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    """Upstream 1.0.4."""
    upstream = Upstream(OLDER, venv_of(OLDER), tmp_path_factory.mktemp, ECHO_V1)
    yield upstream
    upstream.stop()


@pytest.fixture
def upstream(request: pytest.FixtureRequest, release: Release) -> Upstream:
    """The release that a test is about."""
    started: Upstream = request.getfixturevalue("newest" if release == NEWEST else "older")
    return started


@pytest.fixture(scope="session")
def start_ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartOurs]:
    """Our server, made and started by the commands that a user types."""
    script = Path(sys.prefix) / "bin" / "label-studio-ml"
    if not script.exists():
        pytest.fail(f"label-studio-ml is not installed in {sys.prefix}")

    def start(model: Path, *arguments: str, **environment: str) -> Backend:
        root = tmp_path_factory.mktemp("ours")
        project = init_project(script, "ours", root, model)
        made = tuple(sorted(file.name for file in project.iterdir()))
        port = free_port()
        command = [str(script), "start", project.name, "--root-dir", str(root)]
        service = Service(
            [*command, "-p", str(port), "--host", "127.0.0.1", *NOT_IDLE, *arguments],
            port=port,
            log=root / "ours.log",
            env={"MODEL_DIR": str(project), **environment},
        )
        service.start()
        backend = Backend("ours", service, project, settled_by_health, made)
        started.append(backend)
        backend.settle(backend, Answer(200), False)
        return backend

    started: list[Backend] = []
    yield start
    for backend in started:
        backend.service.stop()


@pytest.fixture(scope="session")
def ours(start_ours: StartOurs) -> Backend:
    """Our server with the echo model."""
    return start_ours(ECHO_V1)


@pytest.fixture(scope="session")
def our_answers(ours: Backend) -> Play:
    """What our server answers to the steps of a scenario; each is played once."""
    played: dict[str, list[Answer]] = {}

    def answers(scenario: Scenario) -> list[Answer]:
        if scenario.name not in played:
            played[scenario.name] = play(ours, scenario)
        return played[scenario.name]

    return answers
