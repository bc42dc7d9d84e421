"""The manager of API v1: models by project, in the calling process and without a server.

`label-studio-ml start` does not use it. It is for scripts that predict or train by themselves: it
reads and writes the same MODEL_DIR, so a server that starts later serves what was trained here, and
the other way round. While a server runs on that folder, only the server trains: `train` and
`webhook` raise RuntimeError.

Calling it inside a worker process is harmless, but its instances are not those that the server uses.

LABEL_STUDIO_ML_BACKEND_V2 chose between two ways of training; both work here, and it has no effect.
"""

import json
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from label_studio_ml import _fit_call, _native
from label_studio_ml._v1 import jobs, rq
from label_studio_ml._v1.instances import Instances, Made, ModelWrapper
from label_studio_ml._v1.jobs import JobManager, SimpleJobManager
from label_studio_ml._v1.rq import RQJobManager

__all__ = [
    "JobManager",
    "LabelStudioMLManager",
    "ModelWrapper",
    "RQJobManager",
    "SimpleJobManager",
]


class LabelStudioMLManager(Instances):
    """Holds one instance of a model class for each project, and trains it.

    All methods are class methods; call `initialize` first. A project is a key like
    `2.1795430965`; None is the default project.
    """

    @classmethod
    def create_data_snapshot(
        cls, data_iter: Iterable[Any], workdir: str | os.PathLike[str]
    ) -> None:
        """Write the tasks to `train_data.json`, and `{"count"}` to `train_data_info.json`."""
        _native.write_tasks(workdir, [*data_iter])

    @classmethod
    def train_script_wrapper(
        cls,
        project: Any,
        label_config: str | None,
        train_kwargs: Mapping[str, Any],
        initialization_params: Mapping[str, Any] | None = None,
        tasks: Iterable[Any] = (),
    ) -> str:
        """Train on from the newest version, and store a new one; return `job_result.json` as text.

        `fit` gets an iterator over the tasks, the folder of the version (None without `model_dir`)
        and `train_kwargs`. If it raises, the exception passes and no version is made.
        `initialization_params` of `get_initialization_params` are for another process.
        """
        if initialization_params:
            cls.initialize(**initialization_params)
        began = time.monotonic()
        wrapper = cls.fetch(project, label_config)
        tasks = list(tasks)
        version, workdir = cls._begin(project, tasks)
        wrapper.is_training = True
        try:
            output = _fit_call.on_tasks(wrapper.model.fit, iter(tasks), workdir, train_kwargs)
        finally:
            for instance in (wrapper, cls.get(project) or wrapper):
                instance.is_training = False
        result = {
            "status": "ok",
            "train_output": output,
            "project": cls._name(project),
            "workdir": workdir,
            "version": version,
            "job_id": version if cls.without_redis() else rq.rq_module("rq").get_current_job().id,
            "time": time.monotonic() - began,
        }
        text = _native.result_json(result)
        if workdir:
            _native.publish_result(workdir, text, jobs.JOB_RESULT)
        return text

    @classmethod
    def _begin(cls, project: Any, tasks: list[Any]) -> tuple[str, str | None]:
        folder = cls.model_dir
        if folder is None:
            return cls._generate_version(project), None
        with _native.WithoutServer(folder):
            number, workdir = _native.claim_job(folder, cls._name(project))
            cls.create_data_snapshot(tasks, workdir)
        return str(number), str(workdir)

    @classmethod
    def train(
        cls,
        tasks: Iterable[Any],
        project: Any = None,
        label_config: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """Train on annotated tasks in this process, and switch to the new version; return None.

        `kwargs` are passed to `fit`, whose exceptions pass. Raises RuntimeError while a server runs
        on `model_dir`. A version of which no instance can be made is marked as refused: the one
        before stays, and the exception passes. With Redis the job is queued and returned.
        """
        if not cls.without_redis():
            parameters = (project, label_config, kwargs, cls.get_initialization_params(), [*tasks])
            return cls._redis_queue.enqueue(
                cls.train_script_wrapper,
                args=parameters,
                meta={"project": cls._name(project)},
                **rq.RQ_TIMES,
            )
        result = json.loads(cls.train_script_wrapper(project, label_config, kwargs, tasks=tasks))
        try:
            cls.get_or_create(
                project, label_config, True, result["train_output"], result["version"]
            )
        except Exception as error:
            if cls.model_dir:
                reason = f"{type(error).__name__}: {error}"
                version = int(result["version"])
                _native.refuse_version(cls.model_dir, cls._name(project), version, reason)
            raise
        return None

    @classmethod
    def get_job_manager(cls) -> Any:
        """Return a job manager: for the Redis queue if there is one, else for child processes.

        The latter keeps results in files; without a `model_dir` RuntimeError is raised.
        """
        manager: JobManager
        if not cls.without_redis():
            where = str(cls.redis_host), int(cls.redis_port or 0), str(cls.redis_queue)
            if cls.model_dir:
                manager = rq.StoredRQJobManager(cls.model_dir, *where)
            else:
                manager = RQJobManager(*where)
        elif cls.model_dir:
            manager = SimpleJobManager(cls.model_dir)
        else:
            raise RuntimeError("jobs keep results in files: call initialize with a model_dir")
        manager.model_kwargs = cls.init_kwargs
        return manager

    @classmethod
    def webhook(cls, event: str, data: dict[str, Any]) -> dict[str, str]:
        """Start a job for an event of Label Studio; return `{"job_id"}` at once.

        `data` is the payload without its action. `process_event` of the class decides whether the
        job trains; its result, in `model_dir/<job_id>/`, is then the project's newest version.
        Raises RuntimeError while a server runs on `model_dir`.
        """
        manager = cls.get_job_manager()
        project = jobs.project_key(data)
        if isinstance(manager, SimpleJobManager) and cls.model_dir:
            with _native.WithoutServer(cls.model_dir):
                job_id = str(_native.claim_job(cls.model_dir, project, shared=True)[0])
        else:
            job_id = cls._generate_version(project)
        made = cls._made.get(cls._key(project), Made())
        manager.model_kwargs = {**made.kwargs, **cls.init_kwargs}
        manager.run_job(cls.model_class, (event, data, job_id))
        return {"job_id": job_id}

    @classmethod
    def is_training(cls, project: Any) -> dict[str, Any]:
        """Tell whether this process, a child of it or a worker of the queue trains a project.

        Returns `{"is_training", "backend", "model_version"}`, with `job_id` if a job runs; only
        `{"is_training": False}` for a project without an instance.
        """
        wrapper = cls.get(project)
        if wrapper is None:
            return {"is_training": False}
        key = cls._name(project)
        if cls.without_redis():
            running = jobs.running_jobs().items()
            job_id = next((job for job, trained in running if trained == key), None)
        else:
            job_id = rq.running_job(cls._redis, str(cls.redis_queue), key)
        return {
            "is_training": wrapper.is_training or job_id is not None,
            "backend": "none" if cls.without_redis() else "redis",
            "model_version": wrapper.model_version,
            **({"job_id": job_id} if job_id else {}),
        }

    @classmethod
    def job_status(cls, job_id: str | int) -> dict[str, Any]:
        """Return the state of a job.

        A dict with `job_status`, `error`, `created_at`, `enqueued_at`, `started_at` and `ended_at`
        (datetimes or None), and `result` once there is one: the content of `job_result.json`.
        `job_status` is `finished`; `started` while a child of this process runs the job;
        `unfinished` if it failed, was killed, or runs in another process. With Redis it is RQ's
        status.

        Raises FileNotFoundError for an unknown job; with Redis, RQ's NoSuchJobError.
        """
        if not cls.without_redis():
            return rq.status(cls._redis, job_id)
        if cls.model_dir is None:
            raise FileNotFoundError("jobs leave no files without a model_dir")
        return jobs.status(Path(cls.model_dir), job_id)

    @classmethod
    def _projects(cls) -> list[str]:
        """Return the keys of the projects that have an instance in this process."""
        return [name for name, pid in list(cls._current_model) if pid == os.getpid()]

    @classmethod
    def _get_models_from_workdir(cls, project: Any) -> list[str]:
        """Return the versions of a project that are stored, newest first."""
        return [str(number) for number, _ in cls._versions(project)]
