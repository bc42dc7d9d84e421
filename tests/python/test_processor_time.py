"""A training that waits for processor time says so."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hosting import Server

SOURCE = """
    import os, time
    from label_studio_ml.model import LabelStudioMLBase

    class Busy(LabelStudioMLBase):
        LABEL_STUDIO_ML_API = 2

        def predict(self, tasks, **kwargs):
            return []

        def fit(self, event, data, **kwargs):
            os.sched_setaffinity(0, {int(os.environ["ONLY_CPU"])})
            end = time.monotonic() + 90
            while not os.path.exists(os.environ["SEEN"]) and time.monotonic() < end:
                sum(range(100_000))
"""


def counts_waiting() -> bool:
    try:
        return len(Path("/proc/self/schedstat").read_text().split()) == 3
    except OSError:
        return False


@pytest.mark.skipif(not counts_waiting(), reason="the system does not count it")
def test_a_training_without_processor_time_says_so(
    tmp_path: Path, serve: Callable[..., Server]
) -> None:
    cpu = min(os.sched_getaffinity(0))
    seen = tmp_path / "seen"
    server = serve(SOURCE, "--train-nice", "idle", env={"ONLY_CPU": str(cpu), "SEEN": str(seen)})
    hog = "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])})\nwhile True: pass"
    busy = subprocess.Popen([sys.executable, "-c", hog, str(cpu)])
    try:
        event = {"action": "ANNOTATION_CREATED", "project": {"id": 1}, "annotation": {}}
        assert server.post("/webhook", event).status_code == 201
        server.wait_logged(
            "waiting for processor time to train project 1: training runs only when the CPU is "
            "otherwise idle"
        )
    finally:
        seen.touch()
        busy.kill()
        busy.wait()
    server.wait_logged("trained project 1 in ")
    assert server.log().count("waiting for processor time") == 1
