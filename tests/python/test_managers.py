"""The manager of API v1: predicting and training in this process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hosting import CHOICES, PROJECT

from label_studio_ml.model import LabelStudioMLBase, LabelStudioMLManager, ModelWrapper

OTHER_CONFIG = CHOICES.replace("Positive", "Good")
TASKS = [{"id": 1, "data": {"text": "schön"}}, {"id": 2, "data": {"text": "\udc80"}}]


class Counter(LabelStudioMLBase):
    """Learns by counting, and does what its arguments say."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kwargs = kwargs
        if self.train_output.get("tasks") == 13:
            raise ValueError("thirteen is too many")

    def predict(self, tasks: list[dict[str, Any]], **kwargs: Any) -> list[Any]:
        return [{"result": [], "seen": self.train_output, "kwargs": kwargs} for _ in tasks]

    def fit(self, tasks: Any, workdir: str | None = None, **kwargs: Any) -> Any:
        assert iter(tasks) is tasks or tasks == ()
        held = kwargs.pop("held", None)
        if held:
            held()
        if workdir:
            (Path(workdir) / "weights").mkdir()
            (Path(workdir) / "weights" / "1.bin").write_bytes(b"w" * 1000)
        return {
            "tasks": len(list(tasks)),
            "workdir": workdir,
            "previous": self.train_output.get("tasks"),
            "hostname": self.hostname,
            **{name: kwargs[name] for name in kwargs if name != "data"},
        }


@pytest.fixture
def models(tmp_path: Path) -> Path:
    LabelStudioMLManager.initialize(Counter, tmp_path / "models")
    return tmp_path / "models"


def newest(models: Path, project: str = PROJECT) -> dict[str, Any]:
    versions = LabelStudioMLManager._get_models_from_workdir(project)
    content: dict[str, Any] = json.loads(
        (models / project / versions[0] / "job_result.json").read_text()
    )
    return content


@pytest.mark.usefixtures("models")
def test_an_instance_lives_for_each_project_and_config() -> None:
    manager = LabelStudioMLManager
    assert not manager.has_active_model(PROJECT)
    assert manager.get(PROJECT) is None
    assert manager.is_training(PROJECT) == {"is_training": False}
    predictions, made = manager.predict(TASKS, PROJECT, CHOICES, flag=1)
    assert predictions == [{"result": [], "seen": {}, "kwargs": {"flag": 1}}] * 2
    assert isinstance(made, ModelWrapper)
    assert (made.model_version, made.is_training) == ("INITIAL", False)
    assert made.model.label_config == CHOICES
    assert manager.has_active_model(PROJECT)
    assert manager.predict(TASKS, PROJECT)[1] is made is manager.get(PROJECT)
    assert manager.fetch(PROJECT, OTHER_CONFIG) is not made
    assert manager.predict(TASKS, PROJECT)[1].model.label_config == OTHER_CONFIG
    assert manager.fetch("3.1") is not manager.get(PROJECT)
    assert manager.fetch(0) is manager.fetch("0") is not manager.fetch()
    assert manager.fetch() is manager.fetch(None) is manager.fetch("")
    before = manager.fetch(PROJECT)
    assert manager.fetch(PROJECT, force_reload=True) is not before
    assert manager.create(PROJECT, CHOICES).model.label_config == CHOICES


def test_the_connection_is_kept_and_own_arguments_win(tmp_path: Path) -> None:
    manager = LabelStudioMLManager
    manager.initialize(Counter, str(tmp_path / "models"), threshold=0.5, access_token="mine")
    made = manager.fetch(PROJECT, CHOICES, hostname="http://ls", access_token="t")
    assert made.model.kwargs == {
        "label_config": CHOICES,
        "train_output": None,
        "hostname": "http://ls",
        "access_token": "mine",
        "threshold": 0.5,
    }
    assert manager.predict(TASKS, PROJECT)[1] is made
    manager.train(TASKS, PROJECT)
    assert manager.predict(TASKS, PROJECT)[0][0]["seen"]["hostname"] == "http://ls"
    params = manager.get_initialization_params()
    assert params == {
        "model_class": Counter,
        "model_dir": str(tmp_path / "models"),
        "redis_host": "localhost",
        "redis_port": 6379,
        "redis_queue": "default",
        "threshold": 0.5,
        "access_token": "mine",
    }
    manager.initialize(**params)
    assert not manager.has_active_model(PROJECT)
    assert manager.fetch(PROJECT).model.kwargs["threshold"] == 0.5


@pytest.mark.usefixtures("models")
def test_what_is_missing_or_wrong_is_said() -> None:
    with pytest.raises(FileNotFoundError, match="try_fetch"):
        LabelStudioMLManager.predict(TASKS, PROJECT, try_fetch=False)
    with pytest.raises(ValueError, match="not a subclass"):
        LabelStudioMLManager.initialize(Path)

    class ModelV2(LabelStudioMLBase):
        def fit(self, event, data, **kwargs): ...

    with pytest.raises(ValueError, match="ModelV2 is written for API v2"):
        LabelStudioMLManager.initialize(ModelV2)
    assert LabelStudioMLManager.model_class is Counter

    class Unset(LabelStudioMLManager):
        model_class = None

    with pytest.raises(RuntimeError, match="initialize"):
        Unset.fetch(PROJECT)


def test_a_class_without_evidence_is_taken_for_one_of_api_v1(tmp_path: Path) -> None:
    class Plain(LabelStudioMLBase):
        def predict(self, tasks, **kwargs):
            return [self.hostname]

    class Seen(Plain): ...

    assert Seen(label_config=CHOICES).project_id == ""  # made before: of API v2
    for model in (Plain, Seen):
        LabelStudioMLManager.initialize(model, tmp_path)
        made = LabelStudioMLManager.fetch(PROJECT, CHOICES, hostname="h").model
        assert made.predict([]) == ["h"]
        assert made.train_output == {}
        assert hasattr(made, "project_id") == (model is Seen)


def test_training_makes_a_version_as_the_server_does(models: Path) -> None:
    manager = LabelStudioMLManager
    manager.predict(TASKS, PROJECT, CHOICES)
    assert manager.train(iter(TASKS), PROJECT, CHOICES, epochs=2) is None
    predictions, made = manager.predict(TASKS, PROJECT, CHOICES)
    version = made.model_version
    folder = models / PROJECT / str(version)
    assert version is not None and version.isdigit()
    assert abs(int(version) - time.time()) < 60
    assert predictions[0]["seen"] == {
        "tasks": 2,
        "workdir": str(folder),
        "previous": None,
        "hostname": "",
        "epochs": 2,
    }
    result = json.loads((folder / "job_result.json").read_text())
    took = result.pop("time")
    assert 0 <= took < 60
    assert result == {
        "status": "ok",
        "train_output": predictions[0]["seen"],
        "project": PROJECT,
        "workdir": str(folder),
        "version": version,
        "job_id": version,
    }
    assert json.loads((folder / "train_data.json").read_text()) == TASKS
    assert "schön" in (folder / "train_data.json").read_text()
    assert json.loads((folder / "train_data_info.json").read_text()) == {"count": 2}
    assert sorted(path.name for path in folder.iterdir()) == [
        "job_result.json",
        "train_data.json",
        "train_data_info.json",
        "weights",
    ]


def test_versions_in_one_second_follow_each_other(models: Path) -> None:
    manager = LabelStudioMLManager
    for number in range(4):
        manager.train(TASKS[:1] * number, PROJECT)
    versions = manager._get_models_from_workdir(PROJECT)
    assert len(set(versions)) == 4
    assert versions == sorted(versions, reverse=True)
    assert newest(models)["train_output"]["previous"] == 2
    future = models / PROJECT / "99999999999"
    future.mkdir()
    (future / "event.json").write_text("{}")
    manager.train(TASKS, PROJECT)
    assert newest(models)["version"] == "100000000000"


def test_two_processes_never_share_a_version(models: Path) -> None:
    code = (
        "import sys\n"
        "from label_studio_ml.model import LabelStudioMLManager\n"
        "from test_managers import Counter\n"
        "LabelStudioMLManager.initialize(Counter, sys.argv[1])\n"
        "for _ in range(5): LabelStudioMLManager.train([], sys.argv[2])\n"
    )
    children = [start_python(code, models, PROJECT) for _ in range(3)]
    for child in children:
        assert child.wait(60) == 0
    assert len(LabelStudioMLManager._get_models_from_workdir(PROJECT)) == 15


def test_a_folder_that_another_process_has_just_made_is_left_to_it(models: Path) -> None:
    now = int(time.time())
    taken = [models / PROJECT / str(now + seconds) for seconds in range(30)]
    for folder in taken:
        folder.mkdir(parents=True)
    LabelStudioMLManager.train(TASKS, PROJECT)
    assert newest(models)["version"] == str(now + 30)
    assert not [folder for folder in taken if list(folder.iterdir())]


def start_python(code: str, *arguments: str | Path) -> subprocess.Popen[bytes]:
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], env={**os.environ, "PYTHONPATH": path}
    )


def test_a_failed_fit_keeps_the_version(models: Path) -> None:
    manager = LabelStudioMLManager
    manager.train(TASKS, PROJECT)
    version = newest(models)["version"]

    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        manager.train(TASKS, PROJECT, held=fail)
    made = manager.fetch(PROJECT)
    assert (made.model_version, made.is_training) == (version, False)
    assert len(list((models / PROJECT).iterdir())) == 2


def test_a_version_that_no_instance_can_be_made_of_is_refused(models: Path) -> None:
    manager = LabelStudioMLManager
    manager.train(TASKS, PROJECT)
    version = manager.fetch(PROJECT).model_version
    with pytest.raises(ValueError, match="thirteen"):
        manager.train(TASKS[:1] * 13, PROJECT)
    assert manager.fetch(PROJECT, force_reload=True).model_version == version
    (refused,) = (models / PROJECT).glob("*/refused.txt")
    assert refused.read_text() == "ValueError: thirteen is too many"


@pytest.mark.usefixtures("models")
def test_a_training_shows_while_it_runs() -> None:
    manager = LabelStudioMLManager
    manager.fetch(PROJECT, CHOICES)
    begun, go = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        assert go.wait(30)

    thread = threading.Thread(target=manager.train, args=([], PROJECT), kwargs={"held": hold})
    thread.start()
    assert begun.wait(30)
    state = {"is_training": True, "backend": "none", "model_version": "INITIAL"}
    assert manager.is_training(PROJECT) == state
    manager.fetch(PROJECT, OTHER_CONFIG)  # a new instance trains no less
    assert manager.is_training(PROJECT) == state
    go.set()
    thread.join()
    version = manager.fetch(PROJECT).model_version
    assert manager.is_training(PROJECT) == {**state, "is_training": False, "model_version": version}


def test_without_a_model_dir_it_stays_in_memory() -> None:
    manager = LabelStudioMLManager
    manager.initialize(Counter)
    manager.train(TASKS, PROJECT, CHOICES)
    predictions, made = manager.predict(TASKS, PROJECT, OTHER_CONFIG)
    assert predictions[0]["seen"]["tasks"] == 2
    assert predictions[0]["seen"]["workdir"] is None
    assert str(made.model_version).isdigit()
    assert manager._get_models_from_workdir(PROJECT) == []
    with pytest.raises(RuntimeError, match="model_dir"):
        manager.webhook("ANNOTATION_CREATED", {})
    with pytest.raises(FileNotFoundError):
        manager.job_status("1")


def test_another_version_can_be_asked_for(models: Path, caplog: pytest.LogCaptureFixture) -> None:
    manager = LabelStudioMLManager
    manager.train(TASKS[:1], PROJECT)
    manager.train(TASKS, PROJECT)
    new, old = manager._get_models_from_workdir(PROJECT)
    assert manager.fetch(PROJECT, model_version=int(old)).model.train_output["tasks"] == 1
    assert manager.fetch(PROJECT).model_version == new
    assert manager.fetch(PROJECT, model_version="17").model_version == "INITIAL"
    assert "has no version 17" in caplog.text
    choice = models / ".label-studio-ml" / "active" / f"{PROJECT}.json"
    choice.parent.mkdir(parents=True)
    choice.write_text(json.dumps({"version": int(old), "instead_of": int(new)}))
    assert manager.fetch(PROJECT).model_version == old
    manager.train(TASKS, PROJECT)
    assert manager.fetch(PROJECT).model.train_output == newest(models)["train_output"]
    (models / PROJECT / newest(models)["version"] / "job_result.json").write_text('{"status": ')
    assert manager.fetch(PROJECT).model_version == new
    assert "cannot be read" in caplog.text


def test_results_are_stored_as_the_server_stores_them(tmp_path: Path) -> None:
    import numpy as np

    class Numbers(Counter):
        def fit(self, tasks, workdir=None, **kwargs):
            scores = {"f1": np.float32(0.5), "loss": float("nan"), 1: np.int64(2)}
            return {**scores, "array": np.arange(2), "path": Path("a"), "pair": (1, None, True)}

    manager = LabelStudioMLManager
    manager.initialize(Numbers, tmp_path)
    manager.train([], PROJECT)
    stored = {
        "f1": 0.5,
        "loss": None,
        "1": 2,
        "array": [0, 1],
        "path": "a",
        "pair": [1, None, True],
    }
    assert manager.fetch(PROJECT).model.train_output == stored == newest(tmp_path)["train_output"]


def test_a_project_key_is_never_a_path(models: Path) -> None:
    LabelStudioMLManager.train([], "../../etc/ü")
    assert [path.name for path in models.iterdir()] == ["%2E.%2F..%2Fetc%2F%C3%BC"]
    assert LabelStudioMLManager.fetch("../../etc/ü").model_version != "INITIAL"
    with pytest.raises(ValueError, match="too long"):
        LabelStudioMLManager.train([], "x" * 201)
