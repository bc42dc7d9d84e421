"""Job managers of API v1: they run `process_event` apart from the caller, and keep results.

`label-studio-ml start` does not use them. They are for scripts that train by themselves, perhaps
with managers that extend these.
"""

import json
import logging
import math
import multiprocessing
import pickle
import sys
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import MappingProxyType
from typing import Any

from label_studio_ml import _native
from label_studio_ml._construction import Origin, made
from label_studio_ml._inspect.script import accepted_names
from label_studio_ml._media.label_studio_address import Connection

logger = logging.getLogger("label_studio_ml.model")

#: The file that makes the folder of a job a version.
JOB_RESULT = "job_result.json"

_PROCESS_NAME = "label-studio-ml job "


def project_key(data: Any) -> str:
    """Return the key `{id}.{time of creation}` of the project that a webhook payload is about.

    The bare id if the payload does not tell the time, "" if it names no project.
    """
    project = data.get("project") if isinstance(data, Mapping) else None
    if not isinstance(project, Mapping):
        return ""
    number = project.get("id")
    if isinstance(number, bool) or not isinstance(number, int | str):
        return ""
    try:
        # Python 3.10 does not know the Z of UTC.
        created = datetime.fromisoformat(str(project.get("created_at")).replace("Z", "+00:00"))
    except ValueError:
        return str(number)
    if created.tzinfo is None:
        return str(number)
    return f"{number}.{math.floor(created.timestamp())}"


def read_result(folder: Path, name: str = JOB_RESULT) -> Any:
    """Return what a job left. Raises OSError or ValueError."""
    return json.loads((folder / name).read_bytes())


def train_output(result: Any) -> Any:
    """Return what `fit` returned, given what its job left.

    Webhook jobs of the original left it bare; others wrapped it. Raises ValueError for something that is
    not a dict.
    """
    if not isinstance(result, Mapping):
        raise ValueError(f"{JOB_RESULT} must hold a JSON object, not {type(result).__name__}")
    if None not in (result.get("workdir"), result.get("version")):
        return result.get("train_output")
    return result


def make_model(
    model_class: type,
    given: Mapping[str, Any],
    own: Mapping[str, Any],
    project: str,
    version: str | None = None,
) -> Any:
    """Return an instance, made with the user's `own` arguments and those `given` that it takes.

    It knows its project and version, and those `given` that it does not take.
    """
    names = accepted_names(model_class)
    taken = {name: given[name] for name in given if names is None or name in names}
    reached = (given.get(name) or "" for name in ("hostname", "access_token"))
    origin = Origin(
        model_class, project, given.get("label_config"), given.get("train_output"), version
    )
    return made(lambda: model_class(**{**taken, **own}), origin, Connection(*reached))


class JobManager:
    """Runs one call of `process_event` as a job, and finds the results of earlier ones.

    Extend it to keep runs elsewhere, in MLflow for instance: override `start_run`, `run_job`,
    `post_process`, `iter_finished_jobs` and `_get_result_from_job_id`.
    """

    #: Arguments for the class besides `label_config` and `train_output`, as far as it takes them.
    model_kwargs: Mapping[str, Any] = MappingProxyType({})

    def get_result(self, model_version: str | int | None = None) -> dict[str, Any]:
        """Return the result of the job `model_version`, or of the last one that has a result.

        A result is what `fit` returned plus `job_id`; {} if there is none or it cannot be read.
        """
        if not model_version:
            return self.get_result_from_last_job() or {}
        try:
            return self.get_result_from_job_id(model_version) or {}
        except Exception as error:
            logger.error("job %s has no result: %s", model_version, error, exc_info=True)
            return {}

    def job(self, model_class: type, event: str, data: dict[str, Any], job_id: str) -> Any:
        """Make an instance from the last result, let it process an event, and keep the outcome.

        `event` is the action of Label Studio's webhook, `data` the rest of the payload. Returns
        what `process_event` returns. Exceptions of the model pass.
        """
        with self.start_run(event, data, job_id):
            project = data.get("project")
            project = project if isinstance(project, Mapping) else {}
            result = self.get_result(data.get("model_version") or project.get("model_version"))
            given = {
                "label_config": data.get("label_config") or project.get("label_config"),
                "train_output": _output_of(result),
                **self.model_kwargs,
            }
            model = make_model(model_class, given, {}, project_key(data))
            parameters = self.get_additional_params(event, data, job_id)
            output = model.process_event(event, data, job_id, parameters)
            self.post_process(event, data, job_id, output)
        return output

    def get_additional_params(
        self, event: str, data: dict[str, Any], job_id: str
    ) -> dict[str, Any]:
        """Return further keyword arguments for `fit`."""
        return {}

    def start_run(
        self, event: str, data: dict[str, Any], job_id: str
    ) -> AbstractContextManager[Any]:
        """Return the context that a job runs in."""
        raise NotImplementedError

    def get_result_from_job_id(self, job_id: str | int) -> dict[str, Any]:
        """Return the result of a job, with `job_id` in it.

        Override `_get_result_from_job_id` instead. Raises what that raises, and ValueError if the
        result is not a dict.
        """
        result = self._get_result_from_job_id(job_id)
        if not isinstance(result, dict):
            raise ValueError(f"job {job_id} did not return a dict")
        result["job_id"] = job_id
        return result

    def _get_result_from_job_id(self, job_id: str | int) -> Any:
        raise NotImplementedError

    def iter_finished_jobs(self) -> Iterable[str | int]:
        """Return the ids of finished jobs, newest first."""
        raise NotImplementedError

    def get_result_from_last_job(self, skip_empty_results: bool = True) -> dict[str, Any] | None:
        """Return the newest result that can be read, or None; others are logged and skipped."""
        for job_id in self.iter_finished_jobs():
            try:
                result = self.get_result_from_job_id(job_id)
            except Exception as error:
                logger.error("job %s has no result: %s", job_id, error, exc_info=True)
                continue
            if result is not None or not skip_empty_results:
                return result
        return None

    def post_process(self, event: str, data: dict[str, Any], job_id: str, result: Any) -> None:
        """Keep what `process_event` returned."""
        raise NotImplementedError

    def run_job(self, model_class: type, args: tuple[str, dict[str, Any], str]) -> Any:
        """Start `job(model_class, *args)` in the background; `args` are event, data and job id."""
        raise NotImplementedError


def _output_of(result: Mapping[str, Any]) -> Any:
    """Return what `fit` returned, given a result of `get_result`; None for no result."""
    if "train_output" in result:
        return result["train_output"]
    return {name: value for name, value in result.items() if name != "job_id"} or None


class SimpleJobManager(JobManager):
    """Runs each job in a child process, and keeps it in `model_dir/<job_id>/`.

    The folder holds `event.json`, `job_result.json` once `fit` returned a dict, and the files that
    `fit` writes into its `workdir`. `label-studio-ml start --model-dir` serves it.
    """

    JOB_RESULT = JOB_RESULT

    #: The project of the running job, which sees only its own results; None outside of jobs.
    _project: str | None = None

    def __init__(self, model_dir: str = ".", async_job: bool = True) -> None:
        self.model_dir = model_dir
        self.async_job = async_job

    @contextmanager
    def start_run(
        self, event: str, data: dict[str, Any], job_id: str
    ) -> Generator[Any, None, None]:
        """Make the folder of a job and write `event.json`; the context is the folder's path."""
        folder = Path(self._job_dir(job_id))
        folder.mkdir(parents=True, exist_ok=True)
        _native.write_event(folder, event, str(job_id), data)
        yield str(folder)

    def job(self, model_class: type, event: str, data: dict[str, Any], job_id: str) -> Any:
        self._project = project_key(data)
        try:
            return super().job(model_class, event, data, job_id)
        finally:
            self._project = None

    def _job_dir(self, job_id: str | int) -> str:
        # Absolute: fit may return paths in it, and a server may run in another folder.
        return str(Path(self.model_dir).absolute() / str(job_id))

    def get_additional_params(
        self, event: str, data: dict[str, Any], job_id: str
    ) -> dict[str, Any]:
        """Return the folder of the job as `workdir`."""
        return {"workdir": self._job_dir(job_id)}

    def _get_result_from_job_id(self, job_id: str | int) -> Any:
        """Return the result of a job. Raises FileNotFoundError, or ValueError."""
        folder = Path(self._job_dir(job_id))
        if not (folder / self.JOB_RESULT).exists() and self._project:
            versions = dict(_native.list_versions(self.model_dir, self._project))
            folder = versions.get(int(job_id), folder)
        return read_result(folder, self.JOB_RESULT)

    def iter_finished_jobs(self) -> Iterator[Any]:
        """Return the ids of jobs that left a result, newest first.

        Inside a job: versions of its project, starting with the one that a server would serve.
        """
        if self._project is not None and self.JOB_RESULT == JOB_RESULT:
            versions = _native.list_versions(self.model_dir, self._project, as_served=True)
            return (number for number, _ in versions)
        folder = Path(self.model_dir)
        if not folder.is_dir():
            return iter(())
        numbers = (
            int(path.parent.name)
            for path in folder.glob(f"*/{self.JOB_RESULT}")
            if path.parent.name.isascii() and path.parent.name.isdigit()
        )
        return iter(sorted(numbers, reverse=True))

    def post_process(self, event: str, data: dict[str, Any], job_id: str, result: Any) -> None:
        """Write `job_result.json` if the result is a dict: all of it or, if killed, none."""
        if isinstance(result, dict):
            text = _native.result_json(result)
            _native.publish_result(self._job_dir(job_id), text, self.JOB_RESULT)
        else:
            logger.info("job %s: %s did not return a dict, so there is no result", job_id, event)

    def run_job(
        self, model_class: type, args: tuple[str, dict[str, Any], str]
    ) -> BaseProcess | None:
        """Start a job in a child process and return that process; `join()` waits for it.

        With `async_job=False` the job runs here and now, its exceptions pass, and None is returned.

        The child ends with this process. It is started by the method that is set in
        multiprocessing; if none is set and PyTorch is loaded, by `spawn`, since CUDA does not
        survive a fork. The class must then be importable by its name; otherwise the child is forked.
        """
        if not self.async_job:
            self.job(model_class, *args)
            return None
        name = f"{_PROCESS_NAME}{args[2]} {project_key(args[1])}"
        method = multiprocessing.get_start_method(allow_none=True)
        if method is None and "torch" in sys.modules:
            method = "spawn"
        process = self._start(method, name, (model_class, *args))
        logger.info("job %s runs in process %s", args[2], process.pid)
        return process

    def _start(self, method: str | None, name: str, args: tuple[Any, ...]) -> BaseProcess:
        context: Any = multiprocessing.get_context(method)
        process: BaseProcess = context.Process(target=self.job, args=args, name=name, daemon=True)
        try:
            process.start()
        except (pickle.PicklingError, AttributeError, TypeError):
            can_fork = "fork" in multiprocessing.get_all_start_methods()
            if context.get_start_method() == "fork" or not can_fork:
                raise
            logger.warning("%s cannot be imported by name, so its job is forked", args[0].__name__)
            return self._start("fork", name, args)
        return process


def running_jobs() -> dict[str, str]:
    """Return the jobs that run in children of this process: job id → project."""
    names = [child.name for child in multiprocessing.active_children()]
    jobs = [name.removeprefix(_PROCESS_NAME) for name in names if name.startswith(_PROCESS_NAME)]
    return {job: project for job, _, project in (name.partition(" ") for name in jobs)}


def status(model_dir: Path, job_id: str | int) -> dict[str, Any]:
    """Return the state of a job by its files; see `LabelStudioMLManager.job_status`."""
    # Asked first: a job that ends meanwhile has left its result when the files are read.
    is_running = str(job_id) in running_jobs()
    found = [model_dir / str(job_id)]
    # A training of a project may have the same number, and a job that runs here has a folder of its
    # own, which is empty at first.
    if str(job_id).isdigit() and not is_running:
        found += model_dir.glob(f"*/{job_id}")
    folder = next((path for path in found if _native.job_times(path)[0]), None)
    if folder is None and not is_running:
        raise FileNotFoundError(f"there is no job {job_id} in {model_dir}")
    folder = folder or found[0]
    began, ended = _native.job_times(folder)
    state = "finished" if ended else "started" if is_running else "unfinished"
    times = {"created_at": began, "enqueued_at": began, "started_at": began, "ended_at": ended}
    result = {"result": read_result(folder)} if ended else {}
    return {"job_status": state, "error": None, **times, **result}
