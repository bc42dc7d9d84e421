"""A process of the user's own trains in a model folder without a server, and is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = "2.1795430965"
TRAINS = """
import sys
from pathlib import Path
from label_studio_ml.model import LabelStudioMLBase, LabelStudioMLManager

class Counter(LabelStudioMLBase):
    LABEL_STUDIO_ML_API = 1

    def predict(self, tasks, **kwargs):
        return []

    def fit(self, tasks, workdir=None, **kwargs):
        Path(workdir, "weights").mkdir()
        Path(workdir, "weights", "1.bin").write_bytes(b"w" * 1000)
        return {"tasks": len(list(tasks))}

LabelStudioMLManager.initialize(Counter, sys.argv[1])
LabelStudioMLManager.train([{"id": 1}] * int(sys.argv[3]), sys.argv[2])
"""


def train(models: Path, tasks: int, failpoints: str = "") -> int:
    command = [sys.executable, "-c", TRAINS, str(models), PROJECT, str(tasks)]
    environment = {**os.environ, "FAILPOINTS": failpoints}
    return subprocess.run(command, env=environment, timeout=60, check=False).returncode


@pytest.mark.parametrize("point", ["publish-synced", "write-staged", "write-renamed"])
def test_a_kill_at_any_moment_leaves_a_whole_version(tmp_path: Path, point: str) -> None:
    from label_studio_ml._native import list_versions

    models = tmp_path / "models"
    assert train(models, 1) == 0
    [(old, _)] = list_versions(models, PROJECT)
    assert train(models, 2, f"{point}=return") == -signal.SIGKILL
    found = list_versions(models, PROJECT)
    assert len(found) == (2 if point == "write-renamed" else 1)
    assert found[-1][0] == old
    result = json.loads((found[0][1] / "job_result.json").read_text())
    assert result["train_output"]["tasks"] == len(found)
    assert train(models, 3) == 0, "it goes on"
    assert len(list_versions(models, PROJECT)) == len(found) + 1
