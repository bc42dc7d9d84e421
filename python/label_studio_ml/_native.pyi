"""The part of the package that is written in Rust."""

import os
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypeAlias, final

__all__ = [
    "KeyFile",
    "WithoutServer",
    "api_verdict",
    "ask_key",
    "ask_route",
    "check_predictions",
    "claim_job",
    "claim_models",
    "detect_api_version",
    "is_cancelled",
    "is_hosted",
    "job_times",
    "list_versions",
    "log_line",
    "log_text",
    "main",
    "models_of_project",
    "next_job",
    "parse_config",
    "publish_result",
    "refuse_version",
    "report_progress",
    "result_json",
    "to_json",
    "unserved_models",
    "worker_main",
    "write_event",
    "write_tasks",
]

_Path: TypeAlias = str | os.PathLike[str]

def main(argv: list[str]) -> int:
    """Run the command line `argv`, the program first; return the exit status."""

def worker_main(channel: int) -> None:
    """Serve the server at the other end of the socket `channel` until it says to end."""

def parse_config(
    config: str | None, dialect: Literal["tools", "sdk"] = "tools"
) -> dict[str, dict[str, Any]]:
    """Parse a labelling config; see `label_studio_ml.label_config.parse_config`."""

def api_verdict(name: str, version: int, reason: str) -> str:
    """What users are told of a verdict about a class."""

def detect_api_version(class_: type, init_app: list[str] = ...) -> tuple[int, str]:
    """Tell for which version of the API a class is written, 1 or 2, and why.

    `init_app` names the arguments that its `_wsgi.py` passed to `init_app`.
    """

def to_json(value: object) -> str:
    """Write a value as Flask does, and also what models return: NumPy numbers and such.

    NaN and infinities become null, with a warning. Raises TypeError, which names the place.
    """

def check_predictions(
    body: bytes, request: bytes, label_config: str | None, about: tuple[int, str | None, bool, bool]
) -> str:
    """Check the body of an answer to /predict against a labelling config, if there is one.

    `request` is the body of the request; `about` has the number of its tasks, the version that /setup
    tells, whether it has a context, and whether the class looks at that. Returns JSON: `total`, and the
    first of each mistake as `findings`.
    """

# In a worker process.

def is_hosted() -> bool:
    """Tell whether this process is a worker of a server."""

def ask_key(ask: str, project: str, key: str, value: str | None) -> tuple[bool, str | None]:
    """Ask the server to `get`, `has`, `set` or `delete` a value of a project.

    Returns whether the server keeps values for this process, and what was found. Raises OSError.
    """

def ask_route(
    method: str, target: str, headers: str, body: bytes | None
) -> tuple[int, str | None, list[tuple[str, str]], bytes]:
    """Ask the server for one of its routes; `headers` has one line `name: value` each.

    Without `body` it is that of the request which the thread answers. Returns status, reason phrase,
    headers and body. Raises OSError if the server cannot be asked, and ValueError outside of a worker.
    """

def log_text(stream: int, text: str) -> None:
    """Take text written to stdout (1) or stderr (2); whole lines go to the server's log."""

def log_line(level: str, text: str) -> None:
    """Take one record of `logging`."""

def is_cancelled() -> bool:
    """Tell whether the request that this thread answers was cancelled."""

def report_progress(
    fraction: float | None, message: str | None, metrics: dict[str, object]
) -> None:
    """Tell the server how far `fit` is; see `label_studio_ml.progress`."""

# Without a server: values and versions below MODEL_DIR. Nothing is opened before it is used, no thread
# is started, and nothing stays open over a fork. Raises OSError if files cannot be read or written, and
# ValueError for a project key that is too long to name a folder.

@final
class KeyFile:
    """Texts by project and key in a SQLite file, which several processes may use at once.

    Raises `sqlite3.OperationalError`.
    """

    def __new__(cls, path: _Path) -> KeyFile: ...
    def get(self, project: str, key: str) -> str | None: ...
    def set(self, project: str, key: str, value: str) -> None: ...
    def delete(self, project: str, key: str) -> None: ...

@final
class WithoutServer:
    """Keeps servers from becoming the owner of a model folder during a `with` block.

    Raises RuntimeError if a server owns it.
    """

    def __new__(cls, model_dir: _Path) -> WithoutServer: ...
    def __enter__(self) -> None: ...
    def __exit__(
        self,
        _class: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None: ...

def list_versions(
    model_dir: _Path, project: str, as_served: bool = False
) -> list[tuple[int, Path]]:
    """Return the versions of a project that can be served, newest first, each with its folder.

    With `as_served` the list begins with the one that a server would serve: the newest, unless a
    user went back to another one and no newer one was published since.
    """

def next_job(model_dir: _Path, project: str) -> int:
    """Return an unused number for a job: the time in seconds, or more."""

def claim_job(model_dir: _Path, project: str, shared: bool = False) -> tuple[int, Path]:
    """Make the folder of a new job, directly below MODEL_DIR if `shared`; return number and path."""

def write_tasks(folder: _Path, tasks: list[Any]) -> None:
    """Write `train_data.json`, and `train_data_info.json` with the number of tasks."""

def write_event(folder: _Path, event: str, job_id: str, data: Any) -> None:
    """Write `event.json`; empty `data` is left out."""

def result_json(value: object) -> str:
    """Write what a model returned as a server stores it. Raises TypeError, which names the place.

    Takes NumPy scalars and arrays, paths, dataclasses and such; NaN and infinities become null,
    with a warning.
    """

def publish_result(folder: _Path, json: str, name: str) -> None:
    """Make the folder of a job a version by the file `name`; after a crash it is there whole or not."""

def refuse_version(model_dir: _Path, project: str, version: int, reason: str) -> None:
    """Note that no instance can be made of a version, so that it is not served."""

def models_of_project(folder: _Path) -> Path | None:
    """Return the folder for models of the project in a folder, if `init` made one."""

def claim_models(model_dir: _Path, class_: str, script: _Path | None, takes_over: bool) -> None:
    """Note that a class makes what is in a model folder.

    Raises RuntimeError if that belongs to another model, unless the class takes it over.
    """

def unserved_models(
    model_dir: _Path, project: _Path, class_: str, script: _Path | None
) -> list[str]:
    """Say where else the class has learned something that is not served."""

def job_times(folder: _Path) -> tuple[datetime | None, datetime | None]:
    """Return when a job began, and when it left its result; None if it did not."""
