"""One model folder, used with a server and without."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hosting import CHOICES, ECHO, PROJECT, ROOT, Server, write_script
from test_job_managers import event, finish
from test_managers import TASKS, newest

from label_studio_ml.model import LabelStudioMLManager

Serve = Callable[..., Server]


def load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"loaded_{path.stem}", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_a_server_serves_what_was_trained_without_it(serve: Serve, tmp_path: Path) -> None:
    models = tmp_path / "models"
    manager = LabelStudioMLManager
    manager.initialize(load(write_script(tmp_path, ECHO, "alone.py")).Echo, models)
    manager.train(TASKS, PROJECT, CHOICES)
    version = newest(models)["version"]
    job_id = manager.webhook("ANNOTATION_CREATED", event(project=5))["job_id"]
    assert finish(job_id)["job_status"] == "finished"
    server = serve(ECHO, "--model-dir", str(models))
    assert server.setup().json() == {"model_version": version}
    assert server.first()["train_output"] == newest(models)["train_output"]
    assert server.setup("5.1795430965").json() == {"model_version": job_id}
    assert server.first(project="5.1795430965")["train_output"]["event"] == "ANNOTATION_CREATED"
    trained = server.train(1).json()["job"]
    assert server.wait_trained() == trained > version
    assert server.first()["train_output"]["previous"] == 2


def test_what_a_server_trained_goes_on_without_it(serve: Serve, tmp_path: Path) -> None:
    models = tmp_path / "models"
    server = serve(ECHO, "--model-dir", str(models))
    server.setup()
    server.train(3)
    server.wait_trained()
    server.post("/webhook", {"action": "ANNOTATION_CREATED", **event()})
    version = server.wait_trained()
    manager = LabelStudioMLManager
    manager.initialize(load(tmp_path / "scripts" / "model.py").Echo, models)
    predictions, made = manager.predict(TASKS, PROJECT, CHOICES)
    assert made.model_version == version
    assert predictions[0]["train_output"]["event"] == "ANNOTATION_CREATED"
    while_it_runs = pytest.raises(
        RuntimeError, match=rf"server \(pid {server.process.pid}\) trains"
    )
    with while_it_runs:
        manager.train(TASKS, PROJECT)
    with while_it_runs:
        manager.webhook("ANNOTATION_CREATED", event())
    assert server.stop() == 0
    assert len(manager._get_models_from_workdir(PROJECT)) == 2
    manager.train(TASKS, PROJECT)
    again = serve(server.project, "--model-dir", str(models))
    assert again.setup().json() == {"model_version": newest(models)["version"]}
    assert again.first()["train_output"]["previous"] == 0


def test_a_real_model_learns_without_a_server(tmp_path: Path) -> None:
    name = "simple_text_classifier"
    folder = ROOT / "examples" / name
    config, tasks, annotations = (
        (folder / file).read_text()
        for file in ("label_config.xml", "tasks.json", "annotations.json")
    )
    manager = LabelStudioMLManager
    manager.initialize(load(folder / f"{name}.py").SimpleTextClassifier, tmp_path)
    expected = [task["meta"]["expected"] for task in json.loads(tasks)]

    def right() -> int:
        predictions, _ = manager.predict(json.loads(tasks), PROJECT, config)
        chosen = [prediction["result"][0]["value"]["choices"][0] for prediction in predictions]
        return sum(map(str.__eq__, chosen, expected))

    assert right() < 0.5 * len(expected)
    manager.train(json.loads(annotations), PROJECT, config)
    assert right() > 0.9 * len(expected)


GUEST = """
    import os
    from label_studio_ml.api import _manager
    from label_studio_ml.model import LabelStudioMLBase, LabelStudioMLManager

    class Guest(LabelStudioMLBase):
        def setup(self):
            self.ready = self.project_id

        def predict(self, tasks, **kwargs):
            LabelStudioMLManager.initialize(Guest, os.environ.get("MODEL_DIR"))
            own = LabelStudioMLManager.fetch("own").model_version
            return [{"result": [], "ready": self.ready, "own": own} for _ in tasks]

    assert isinstance(_manager, LabelStudioMLManager)
    LabelStudioMLManager.initialize(Guest, os.environ.get("MODEL_DIR"))
"""


def test_a_manager_inside_a_worker_leaves_the_server_alone(serve: Serve) -> None:
    server = serve(GUEST)
    for project in ("2", "3"):
        prediction = server.first(project=f"{project}.1795430965")
        assert (prediction["ready"], prediction["own"]) == (project, "INITIAL")
