"""The two servers under test: upstream 1.0.9 from its own environment, and ours.

Ours is the `label-studio-ml` of the environment that runs pytest.  Upstream's environment is made
at the first run; LABEL_STUDIO_ML_UPSTREAM_VENV names one that is there already.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from backends import Answer, Backend, settled_at_once, settled_by_file, settled_by_health
from scenarios import SCENARIOS, Play, Scenario, play
from services import Service, free_port
from upstream import Mode, init_project, upstream_service, upstream_venv

ECHO_V1 = Path(__file__).parent / "models" / "echo_v1.py"


def project_id(scenario: Scenario) -> int:
    """The id of the project of a scenario: the same on both servers, and no other scenario's."""
    return 101 + SCENARIOS.index(scenario)


def forget_jobs(model_dir: Path) -> None:
    """Remove what trainings left; one that leaves no result may still be writing."""
    for folder in model_dir.iterdir():
        if folder.name.isdigit():
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def upstream_answers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Play]:
    """What upstream answers to the steps of a scenario; each scenario is played once.

    In its "events" design upstream gives every project the newest model of its folder, so that is
    emptied before each of those scenarios.
    """
    played: dict[str, list[Answer]] = {}
    running: dict[Mode, Backend] = {}

    def start(mode: Mode) -> Backend:
        root = tmp_path_factory.mktemp("upstream")
        service = upstream_service(upstream_venv(), root, ECHO_V1, mode)
        service.start()
        settle = settled_at_once if mode == "projects" else settled_by_file
        running[mode] = Backend("upstream", service, root / "upstream", settle)
        return running[mode]

    def stop(mode: Mode) -> None:
        if mode in running:
            running.pop(mode).service.stop()

    def answers(scenario: Scenario) -> list[Answer]:
        if scenario.name not in played:
            if scenario.fresh:
                stop(scenario.mode)
            backend = running.get(scenario.mode) or start(scenario.mode)
            if scenario.mode == "events":
                forget_jobs(backend.model_dir)
            answered = play(backend, scenario, project_id(scenario), by_the_clock=True)
            played[scenario.name] = answered
        return played[scenario.name]

    yield answers
    for mode in tuple(running):
        stop(mode)


@pytest.fixture(scope="session")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """Our server, made and started by the commands that a user types."""
    script = Path(sys.prefix) / "bin" / "label-studio-ml"
    if not script.exists():
        pytest.fail(f"label-studio-ml is not installed in {sys.prefix}")
    root = tmp_path_factory.mktemp("ours")
    project = init_project(script, "ours", root, ECHO_V1)
    port = free_port()
    command = [str(script), "start", project.name, "--root-dir", str(root)]
    service = Service(
        [*command, "-p", str(port), "--host", "127.0.0.1"],
        port=port,
        log=root / "ours.log",
        env={"MODEL_DIR": str(project)},
    )
    with service:
        backend = Backend("ours", service, project, settled_by_health)
        backend.settle(backend, Answer(200), False)
        yield backend


@pytest.fixture(scope="session")
def our_answers(ours: Backend) -> Play:
    """What our server answers to the steps of a scenario."""
    return lambda scenario: play(ours, scenario, project_id(scenario))
