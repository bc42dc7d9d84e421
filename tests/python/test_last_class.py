"""A model folder that another class used last: one warning, under `start` and in-process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from hosting import CHOICES, PROJECT, Server, environment, make_project, wait_for

Serve = Callable[..., Server]

SOURCE = """
    from label_studio_ml.model import LabelStudioMLBase

    class {name}(LabelStudioMLBase):
        LABEL_STUDIO_ML_API = {api}

        def predict(self, tasks, **kwargs):
            return [{"result": []} for _ in tasks]
"""
IN_PROCESS = """
import json, os, sys
from label_studio_ml.api import init_app
from model import *
client = init_app(model_class=globals()[sys.argv[1]]).test_client()
print(os.path.exists(os.environ["MODEL_DIR"] + "/.label-studio-ml"))
body = {"tasks": [{}], "project": sys.argv[2], "label_config": sys.argv[3]}
for _ in range(3):
    assert client.get("/health").status_code == 200
    assert client.post("/predict", json=body).status_code == 200
"""


def source(name: str, api: int) -> str:
    return SOURCE.replace("{name}", name).replace("{api}", str(api))


def in_process(tmp_path: Path, name: str, models: Path, api: int = 2) -> list[str]:
    """Serve a few requests in a process; return what it logs about the folder."""
    project = tmp_path / f"in-process-{name}"
    if not project.exists():
        make_project(tmp_path, source(name, api), project.name)
    done = subprocess.run(
        [sys.executable, "-c", IN_PROCESS, name, PROJECT, CHOICES],
        cwd=project,
        env={**environment(), "MODEL_DIR": str(models)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [line for line in done.stderr.splitlines() if "used this model folder" in line]


@pytest.mark.parametrize("api", [1, 2])
def test_it_is_told_in_process(tmp_path: Path, api: int) -> None:
    models = tmp_path / "models"
    models.mkdir()
    assert in_process(tmp_path, "Cats", models, api) == []
    assert in_process(tmp_path, "Cats", models, api) == []
    (line,) = in_process(tmp_path, "Dogs", models, api)
    assert line.startswith(f"{models}: the class 'Cats' used this model folder before")
    assert "now 'Dogs' does" in line
    assert in_process(tmp_path, "Dogs", models, api) == []
    assert (models / ".label-studio-ml").stat().st_mode & 0o777 == 0o700


def test_it_is_told_by_the_server(serve: Serve, tmp_path: Path) -> None:
    models = tmp_path / "models"
    for name, before in (("Cats", None), ("Cats", None), ("Dogs", "Cats"), ("Dogs", None)):
        project = tmp_path / name
        if not project.exists():
            make_project(tmp_path, source(name, 2), name)
        server = serve(project, "--model-dir", str(models), "--workers", "2")

        def owns(url: str = server.url) -> bool:
            return requests.get(f"{url}/jobs", timeout=10).status_code == 200

        wait_for(owns, "the server owns the folder")
        assert (models / ".label-studio-ml/class").read_text() == f"{name}\n"
        assert server.stop() == 0
        lines = [line for line in server.log().splitlines() if "used this model folder" in line]
        assert len(lines) == (1 if before else 0), server.log()
        assert all(f'the class "{before}"' in line and f'now "{name}"' in line for line in lines)
    # Both modes keep the same note.
    assert in_process(tmp_path, "Dogs", models) == []
    (line,) = in_process(tmp_path, "Birds", models)
    assert "'Dogs'" in line


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    # A file in the place of the folder: also root cannot write below it.
    (models / ".label-studio-ml").write_text("")
    assert in_process(tmp_path, "Cats", models) == []
    (models / ".label-studio-ml").unlink()
    (models / ".label-studio-ml").mkdir()
    (models / ".label-studio-ml" / "class").write_text("'; DROP\nx" + "y" * 10_000_000)
    (line,) = in_process(tmp_path, "Cats", models)
    assert len(line) < 2000
