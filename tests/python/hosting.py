"""Projects and servers for tests, made and started with the commands of a user."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import requests
from ports import free_port

ROOT = Path(__file__).resolve().parents[2]
CONSOLE_SCRIPT = Path(sys.prefix) / "bin" / "label-studio-ml"

CHOICES = (
    '<View><Text name="text" value="$text"/><Choices name="sentiment" toName="text">'
    '<Choice value="Positive"/><Choice value="Negative"/></Choices></View>'
)
PROJECT = "2.1795430965"

#: A model that returns its arguments, and learns by counting.
ECHO = """
    from label_studio_ml.model import LabelStudioMLBase

    class Echo(LabelStudioMLBase):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.kwargs = kwargs

        def predict(self, tasks, **kwargs):
            return [
                {
                    "result": [],
                    "score": 0.5,
                    "task": task.get("id"),
                    "train_output": self.train_output,
                    "labels": [c["labels"] for c in self.parsed_label_config.values()],
                    "kwargs": kwargs,
                    "hostname": self.hostname,
                    "init": sorted(self.kwargs),
                }
                for task in tasks
            ]

        def fit(self, tasks, workdir=None, **kwargs):
            tasks = list(tasks)
            return {
                "tasks": len(tasks),
                "workdir": workdir,
                "previous": self.train_output.get("tasks"),
                "event": kwargs.get("event"),
                "job_id": kwargs.get("job_id"),
            }
"""


def run(
    *arguments: str | Path, cwd: Path | None = None, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run one of our commands to its end."""
    return subprocess.run(
        [str(CONSOLE_SCRIPT), *map(str, arguments)],
        cwd=cwd,
        env={**environment(), **env},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def environment() -> dict[str, str]:
    """Return the environment without what would configure a server."""
    configured = {"MODEL_DIR", "PORT", "WORKERS", "THREADS", "MAX_BATCH_SIZE", "LOG_LEVEL"}
    configured |= {"BASIC_AUTH_USER", "BASIC_AUTH_PASS", "LABEL_STUDIO_ML_WEBHOOK_TOKEN"}
    configured |= {"LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY"}
    return {name: value for name, value in os.environ.items() if name not in configured}


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 90.0) -> Any:
    """Return what `condition` returns once that is true; fail saying `what` never happened."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"within {seconds} s this did not happen: {what}")


def write_script(folder: Path, source: str, name: str = "model.py") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(textwrap.dedent(source))
    return path


def make_project(root: Path, source: str, name: str = "backend") -> Path:
    """Make a project from the source of a script, by `init`."""
    script = write_script(root / "scripts", source)
    done = run("init", name, "--script", script, "--root-dir", root)
    assert done.returncode == 0, done.stdout + done.stderr
    return root / name


class Server:
    """One of our servers, started.

    `auth` is the user and the password that it asks for, `spawn` has more for `subprocess.Popen`.
    """

    #: By default trainings get idle processors only, and while other tests run there may be none.
    training: tuple[str, ...] = ("--train-nice", "0")

    def __init__(
        self,
        project: Path,
        *arguments: str,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        spawn: Mapping[str, Any] | None = None,
    ) -> None:
        self.project = project
        #: MODEL_DIR of a project that `init` made, unless a test chooses another.
        self.models = Path(str(project)) / "models"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log_file = project.parent / f"server-{self.port}.log"
        self.session = requests.Session()
        self.auth = auth
        if auth:
            self.session.auth = (auth[0].encode(), auth[1].encode())
            arguments = (*arguments, "--basic-auth-user", auth[0], "--basic-auth-pass", auth[1])
        command = [str(CONSOLE_SCRIPT), "start", str(project), "-p", str(self.port)]
        training = () if "--train-nice" in arguments else self.training
        self._command = [*command, "--host", "127.0.0.1", *training, *arguments]
        self._cwd = cwd or project.parent
        self._env = dict(env or {})
        self._spawn = dict(spawn or {})
        self.start()

    def start(self) -> None:
        """Start it or restart it, on the same port."""
        with self.log_file.open("ab") as log:
            options: dict[str, Any] = {
                "stdin": subprocess.DEVNULL,
                "stdout": log,
                "stderr": log,
                "cwd": self._cwd,
                "env": {**environment(), **self._env},
            }
            self.process = subprocess.Popen(self._command, **{**options, **self._spawn})
        try:
            wait_for(self._is_ready, "the server is ready")
        except AssertionError as error:
            self.stop()
            raise AssertionError(f"{error}\n{self.log()}") from None

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, f"the server ended:\n{self.log()}"
        try:
            return bool(self.get("/health").json()["workers"]["ready"])
        except requests.ConnectionError:
            return False

    def log(self) -> str:
        text = self.log_file.read_text(errors="replace")
        return re.sub(r"\x1b\[[0-9;]*m", "", text)

    def wait_logged(self, *texts: str) -> None:
        """Wait until the log contains all of this; lines appear a moment after the event."""
        for text in texts:
            try:
                wait_for(lambda text=text: text in self.log(), f"it is logged: {text}")
            except AssertionError as error:
                raise AssertionError(f"{error}\n{self.log()}") from None

    def get(self, path: str, timeout: float = 120, **kwargs: Any) -> requests.Response:
        return self.session.get(self.url + path, timeout=timeout, **kwargs)

    def post(
        self, path: str, json: Any = None, timeout: float = 120, **kwargs: Any
    ) -> requests.Response:
        return self.session.post(self.url + path, json=json, timeout=timeout, **kwargs)

    def setup(
        self, project: str = PROJECT, config: str = CHOICES, **more: Any
    ) -> requests.Response:
        body = {
            "project": project,
            "schema": config,
            "hostname": "http://127.0.0.1:1",
            "access_token": "a-secret-token",
            "extra_params": None,
        }
        return self.post("/setup", {**body, **more})

    def predict(
        self,
        tasks: Any = None,
        project: str = PROJECT,
        config: str = CHOICES,
        **params: Any,
    ) -> requests.Response:
        tasks = [{"id": 1, "data": {"text": "fine"}}] if tasks is None else tasks
        body = {"tasks": tasks, "project": project, "label_config": config, "params": params}
        return self.post("/predict", body)

    def first(self, **params: Any) -> dict[str, Any]:
        """Return the first prediction for one task."""
        answer = self.predict(**params)
        assert answer.status_code == 200, answer.text
        prediction: dict[str, Any] = answer.json()["results"][0]
        return prediction

    def train(self, tasks: int = 1, project: str = PROJECT, **more: Any) -> requests.Response:
        annotations = [
            {"id": number, "data": {"text": "fine"}, "annotations": []} for number in range(tasks)
        ]
        body = {"annotations": annotations, "project": project, "label_config": CHOICES}
        return self.post("/train", {**body, **more})

    def wait_trained(self, project: str = PROJECT, seconds: float = 120.0) -> str:
        """Wait until nothing trains; return the version that is served then."""

        def version() -> Any:
            state = self.get("/is_training", params={"project": project}).json()
            return not state["is_training"] and state["model_version"]

        served: str = wait_for(version, "training ends", seconds)
        return served

    def wait_all_ready(self) -> None:
        """Wait until every worker takes requests; a server has started once the first of them does."""

        def are_ready() -> bool:
            told = self.get("/health").json()["workers"]
            return bool(told["ready"] == told["total"])

        wait_for(are_ready, "all workers are ready")

    def workers(self) -> list[int]:
        """Return the pids of the worker processes."""
        children = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        pids = " ".join(path.read_text() for path in children).split()
        return [int(pid) for pid in pids]

    def stop(self, with_signal: int = signal.SIGTERM) -> int:
        """Stop the server; return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(with_signal)
        try:
            return self.process.wait(90)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            self.session.close()


def is_running(pid: int) -> bool:
    """Return whether a process exists and is not a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        # The second is the error of reading a process that ends at that moment.
        return False
    return stat.rsplit(")", 1)[1].split()[0] != "Z"
