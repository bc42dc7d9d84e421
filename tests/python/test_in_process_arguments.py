"""The in-process mode and `start` make the same of what `_wsgi.py` passes to `init_app`."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from hosting import CHOICES, CONSOLE_SCRIPT, PROJECT, Server, environment, make_project, wait_for
from models_v2 import event
from ports import free_port

Serve = Callable[..., Server]

V2 = """
    import os
    from label_studio_ml.model import CACHE, LabelStudioMLBase

    class Model(LabelStudioMLBase):
        def __init__(self, label_config=None, *, project_id=None, weights="none"):
            super().__init__(project_id, label_config)
            self.weights = weights

        def predict(self, tasks, context=None, **kwargs):
            folder = os.path.abspath(os.environ.get("MODEL_DIR", "."))
            return [{"result": [], "folder": folder, "weights": self.weights, "project": self.project_id}]

        def fit(self, event, data, **kwargs):
            self.set("learned", event)
            return {"project": self.project_id, "weights": self.weights}
"""
V1 = """
    import os
    from label_studio_ml.model import LabelStudioMLBase

    class Model(LabelStudioMLBase):
        def predict(self, tasks, **kwargs):
            folder = os.path.abspath(os.environ.get("MODEL_DIR", "."))
            return [{"result": [], "folder": folder, "learned": self.train_output}]

        def fit(self, tasks, workdir=None, **kwargs):
            return {"event": kwargs.get("event"), "workdir": workdir}
"""
WSGI = """
import os
from label_studio_ml.api import init_app
from model import Model
app = init_app(model_class=Model, {arguments})
if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(os.environ["TRY_PORT"]))
"""
MODES = ("python", "debug", "start")


class Program:
    """A project that is served in one of the modes."""

    def __init__(
        self, mode: str, project: Path, cwd: Path, options: list[str], **variables: str
    ) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._log = cwd.parent / f"{mode}-{port}.log"
        started = [str(CONSOLE_SCRIPT), "start", str(project), "-p", str(port)]
        started += ["--host", "127.0.0.1"]
        command = {
            "python": [sys.executable, str(project / "_wsgi.py")],
            "debug": [*started, "--debug"],
            "start": [*started, "--train-nice", "0"],
        }[mode]
        command += options
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                cwd=cwd,
                env={**environment(), "TRY_PORT": str(port), **variables},
                stdout=log,
                stderr=log,
            )
        wait_for(self._is_up, "the program is up")

    def _is_up(self) -> bool:
        assert self._process.poll() is None, self.log()
        try:
            return requests.get(f"{self.url}/health", timeout=5).json()["status"] == "UP"
        except (requests.ConnectionError, KeyError):
            return False

    def log(self) -> str:
        return self._log.read_text()

    def post(self, path: str, **body: Any) -> requests.Response:
        return requests.post(self.url + path, json=body, timeout=60)

    def first(self) -> dict[str, Any]:
        answer = self.post("/predict", tasks=[{"id": 1}], project=PROJECT, label_config=CHOICES)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()["results"][0]
        return found

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(60)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Serve a model with these arguments to `init_app`, from an empty working folder."""
    programs = []
    (tmp_path / "here").mkdir()

    def start(mode: str, source: str, arguments: str, *options: str, **variables: str) -> Program:
        project = tmp_path / "backend"
        if not project.exists():
            # As the original makes them: without a folder for models.
            shutil.rmtree(make_project(tmp_path, source) / "models")
        (project / "_wsgi.py").write_text(WSGI.replace("{arguments}", arguments))
        programs.append(Program(mode, project, tmp_path / "here", [*options], **variables))
        return programs[-1]

    yield start
    for program in programs:
        program.stop()


@pytest.mark.parametrize("mode", MODES)
def test_a_class_of_api_v2_takes_the_arguments_of_api_v1(
    run: Callable[..., Program], tmp_path: Path, mode: str
) -> None:
    said = f"model_dir={str(tmp_path / 'said')!r}, redis_queue='q', redis_host='h', redis_port=1"
    program = run(mode, V2, f"{said}, weights='best.pt', unknown=1")
    expected = {"result": [], "folder": str(tmp_path / "said"), "weights": "best.pt"}
    assert expected.items() <= program.first().items()
    answer = program.post("/webhook", **event())
    assert answer.status_code == 201
    if mode != "start":
        assert answer.json()["result"] == {"project": "2", "weights": "best.pt"}
        (line,) = (line for line in program.log().splitlines() if "init_app got " in line)
        assert "model_dir, redis_queue, redis_host, redis_port: for API v1" in line
        assert f"MODEL_DIR is {str(tmp_path / 'said')!r}; no Redis queue is used" in line
        assert line.endswith("unknown: not a parameter of Model, so ignored")
    assert (tmp_path / "said" / "cache.db").exists()
    assert not (tmp_path / "here" / "cache.db").exists()


@pytest.mark.parametrize("mode", ["debug", "start"])
def test_arguments_of_the_command_line_count_more_than_those_of_the_file(
    run: Callable[..., Program], mode: str
) -> None:
    program = run(mode, V2, "weights='file.pt'", "--with", "weights=typed.pt", "unknown=1")
    assert program.first()["weights"] == "typed.pt"


@pytest.mark.parametrize("mode", MODES)
def test_model_dir_of_the_user_counts_more(
    run: Callable[..., Program], tmp_path: Path, mode: str
) -> None:
    said = f"model_dir={str(tmp_path / 'said')!r}"
    program = run(mode, V2, said, MODEL_DIR=str(tmp_path / "chosen"))
    assert program.first()["folder"] == str(tmp_path / "chosen")
    assert (tmp_path / "chosen" / "cache.db").exists()
    assert not (tmp_path / "said").exists()


@pytest.mark.parametrize(
    ("mode", "expected"), [("python", "said"), ("debug", "chosen"), ("start", "chosen")]
)
def test_model_dir_of_api_v1_may_be_an_option_of_the_file(
    run: Callable[..., Program], tmp_path: Path, mode: str, expected: str
) -> None:
    said = f"model_dir={str(tmp_path / 'said')!r}"
    program = run(mode, V1, said, MODEL_DIR=str(tmp_path / "chosen"))
    assert requests.get(f"{program.url}/health", timeout=30).json()["model_dir"] == str(
        tmp_path / expected
    )
    told = "`label-studio-ml start` would use MODEL_DIR" in program.log()
    assert told == (mode == "python")


@pytest.mark.parametrize("source", [V1, V2])
@pytest.mark.parametrize("mode", MODES)
def test_a_model_dir_of_another_machine_is_told(
    run: Callable[..., Program], tmp_path: Path, mode: str, source: str
) -> None:
    (tmp_path / "file").write_text("")
    impossible = tmp_path / "file" / "app"
    program = run(mode, source, f"model_dir={str(impossible)!r}")
    # For API v1 only `start` knows the project folder.
    is_project = source == V1 and mode != "python"
    instead = str(tmp_path / ("backend" if is_project else "here"))
    assert program.first()["folder"] == instead
    assert (
        f"model_dir {str(impossible)!r}, which does not exist on this machine and cannot be made "
        f"(Not a directory): MODEL_DIR is {instead!r} instead"
    ) in program.log()
    program.stop()
    new = tmp_path / "new" / "models"
    program = run(mode, source, f"model_dir={str(new)!r}")
    assert program.first()["folder"] == str(new)
    assert program.log().count(f"model_dir {str(new)!r}, which did not exist on this machine") == 1
    program.stop()
    program = run(mode, source, f"model_dir={str(new)!r}")
    assert program.first()["folder"] == str(new)
    assert "on this machine" not in program.log()


@pytest.mark.parametrize("chosen", [True, False])
@pytest.mark.parametrize("arguments", ["", "model_dir=None", "model_dir=''"])
def test_api_v1_without_model_dir_trains(
    run: Callable[..., Program], tmp_path: Path, arguments: str, chosen: bool
) -> None:
    folder = tmp_path / ("chosen" if chosen else "here")
    program = run("python", V1, arguments, **({"MODEL_DIR": str(folder)} if chosen else {}))
    assert requests.get(program.url, timeout=30).json()["model_dir"] == str(folder)
    assert program.first() == {"result": [], "folder": str(folder), "learned": {}}
    project = {"id": 2, "created_at": "2026-11-23T16:23:50Z", "label_config": CHOICES}
    answer = program.post("/webhook", action="ANNOTATION_CREATED", project=project)
    assert answer.status_code == 201, answer.text
    version = answer.json()["job_id"]
    wait_for((folder / version / "job_result.json").exists, "the job has trained")
    assert program.first()["learned"] == {
        "event": "ANNOTATION_CREATED",
        "workdir": str(folder / version),
    }
    body = {"annotations": [{"id": 1}], "project": PROJECT, "label_config": CHOICES}
    assert program.post("/train", **body).status_code == 201
    learned = program.first()["learned"]
    assert learned["workdir"].startswith(f"{folder}/{PROJECT}/")


@pytest.mark.parametrize("mode", ["python", "start"])
def test_versions_of_api_v1(run: Callable[..., Program], tmp_path: Path, mode: str) -> None:
    folder = tmp_path / "models"
    for project, version in (
        (PROJECT, "1700000000"),
        (PROJECT, "1700000009"),
        ("3.1", "1800000000"),
    ):
        (folder / project / version).mkdir(parents=True)
        (folder / project / version / "job_result.json").write_text(json.dumps({"a": 1}))
    program = run(mode, V1, f"model_dir={str(folder)!r}")
    listed = {"model_dir": str(folder), "versions": ["1700000009", "1700000000"]}
    answer = program.post("/versions", project=PROJECT)
    # The server tells more than the original about each.
    told = {name: value for name, value in answer.json().items() if name != "details"}
    assert (answer.status_code, told) == (200, listed)
    assert program.post("/versions", project="9.9").json()["versions"] == []
    assert program.post("/versions").status_code == 400
    assert "No project provided" in program.post("/versions").text

    def get(query: str) -> Any:
        return requests.get(f"{program.url}/versions{query}", timeout=30).json()

    assert get(f"?project={PROJECT}")["versions"] == listed["versions"]
    program.first()
    assert get("")["versions"][-2:] == listed["versions"]


def test_instances_get_only_what_their_constructor_takes(tmp_path: Path) -> None:
    source = textwrap.dedent("""
        from label_studio_ml.api import init_app
        from label_studio_ml.model import LabelStudioMLBase

        class Base(LabelStudioMLBase):
            LABEL_STUDIO_ML_API = 2
            def predict(self, tasks, context=None, **kwargs):
                return [self.project_id]
            def fit(self, event, data, **kwargs):
                return self.project_id

        class Turned(Base):
            def __init__(self, label_config=None, project_id=None):
                super().__init__(project_id, label_config)

        class ByName(Base):
            def __init__(self, *, label_config=None, project_id=None):
                super().__init__(project_id, label_config)

        class NoProject(Base):
            def __init__(self, label_config=None):
                super().__init__(None, label_config)

        class Nothing(Base):
            def __init__(self):
                super().__init__()

        class More(Base):
            def __init__(self, image_dir=None, **kwargs):
                super().__init__(**kwargs)
                assert image_dir is None

        class AnyOrder(Base):
            def __init__(self, *args, **kwargs):
                assert not args
                super().__init__(*args, **kwargs)

        config = '<View><Text name="t" value="$t"/></View>'
        asked = {"tasks": [{}], "project": "2.17", "label_config": config}
        hook = {"action": "ANNOTATION_CREATED", "project": {"id": 2, "label_config": config}}
        for cls in (Turned, ByName, NoProject, Nothing, More, AnyOrder):
            client = init_app(cls).test_client()
            setup = client.post("/setup", json={"project": "2.17", "schema": config})
            predicted = client.post("/predict", json=asked).json["results"]
            trained = client.post("/webhook", json=hook).json
            print(cls.__name__, setup.status_code, predicted, trained["result"])
    """)
    done = subprocess.run(
        [sys.executable, "-c", source],
        env={**environment(), "MODEL_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.stdout.splitlines() == [
        "Turned 200 ['2'] 2",
        "ByName 200 ['2'] 2",
        "NoProject 200 [''] ",
        "Nothing 200 [''] ",
        "More 200 ['2'] 2",
        "AnyOrder 200 ['2'] 2",
    ], done.stderr
