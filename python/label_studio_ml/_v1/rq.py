"""Jobs in a Redis queue. Needs the packages redis and rq, which are not dependencies of this one."""

import importlib
import json
import logging
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from label_studio_ml._v1.jobs import JobManager, SimpleJobManager, project_key

logger = logging.getLogger("label_studio_ml.model")


def rq_module(name: str) -> Any:
    """Import a module of redis or rq. Raises ImportError, which tells how to install them."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        message = (
            f"a Redis queue needs the packages redis and rq: pip install redis 'rq>=1.12' ({error})"
        )
        raise ImportError(message, name=name) from error


def connect(host: str, port: int, raise_on_error: bool = False) -> Any:
    """Return a connection to Redis, or None if it does not answer.

    Raises ImportError without the package redis and, if `raise_on_error`, its ConnectionError.
    """
    redis = rq_module("redis")
    connection = redis.Redis(host=host, port=port)
    try:
        connection.ping()
    except redis.ConnectionError:
        if raise_on_error:
            raise
        return None
    return connection


#: How long jobs and results stay in the queue: training may take long, and results are kept.
RQ_TIMES: Mapping[str, Any] = MappingProxyType(
    {"job_timeout": "365d", "ttl": None, "result_ttl": -1, "failure_ttl": 300}
)


class RQJobManager(JobManager):
    """Runs jobs in workers of an RQ queue (`rq worker QUEUE`), where their results stay too.

    The packages redis and rq must be installed: raises ImportError otherwise.
    """

    #: Number of waiting jobs from which on further jobs are left out.
    MAX_QUEUE_LEN = 1

    def __init__(self, redis_host: str, redis_port: int, redis_queue: str) -> None:
        rq_module("rq")
        self.redis_host = redis_host
        self.redis_port = redis_port
        self.redis_queue = redis_queue

    def _get_redis(self, host: str, port: int, raise_on_error: bool = False) -> Any:
        return connect(host, port, raise_on_error)

    def _connection(self) -> Any:
        return self._get_redis(self.redis_host, self.redis_port, raise_on_error=True)

    @contextmanager
    def start_run(
        self, event: str, data: dict[str, Any], job_id: str
    ) -> Generator[Any, None, None]:
        """Return an empty context: RQ itself separates the runs."""
        yield

    def run_job(self, model_class: type, args: tuple[str, dict[str, Any], str]) -> Any:
        """Put a job into the queue and return it; None, with a warning, if the queue is full."""
        queue = rq_module("rq").Queue(name=self.redis_queue, connection=self._connection())
        if len(queue) >= self.MAX_QUEUE_LEN:
            logger.warning("%s jobs wait in the queue; job %s is left out", len(queue), args[2])
            return None
        meta = {"project": project_key(args[1])}
        return queue.enqueue(
            self.job, args=(model_class, *args), job_id=args[2], meta=meta, **RQ_TIMES
        )

    def _get_result_from_job_id(self, job_id: str | int) -> Any:
        job = rq_module("rq.job").Job.fetch(str(job_id), connection=self._connection())
        outcome = job.latest_result()
        return outcome and outcome.return_value

    def iter_finished_jobs(self) -> Iterator[Any]:
        """Return the ids of finished jobs, newest first."""
        connection = self._connection()
        registry = rq_module("rq.registry").FinishedJobRegistry(
            self.redis_queue, connection=connection
        )
        fetch = rq_module("rq.job").Job.fetch
        ended = {job: fetch(job, connection=connection).ended_at for job in registry.get_job_ids()}
        return iter(sorted(ended, key=lambda job: ended[job], reverse=True))

    def post_process(self, event: str, data: dict[str, Any], job_id: str, result: Any) -> None:
        """RQ keeps what a job returns."""


class StoredRQJobManager(SimpleJobManager, RQJobManager):
    """Runs jobs in workers of an RQ queue, and keeps them in `model_dir/<job_id>/`.

    The workers must share that folder.
    """

    def __init__(self, model_dir: str, redis_host: str, redis_port: int, redis_queue: str) -> None:
        SimpleJobManager.__init__(self, model_dir)
        RQJobManager.__init__(self, redis_host, redis_port, redis_queue)

    def run_job(self, model_class: type, args: tuple[str, dict[str, Any], str]) -> Any:
        return RQJobManager.run_job(self, model_class, args)


def status(connection: Any, job_id: str | int) -> dict[str, Any]:
    """Return the state of a job in RQ; see `LabelStudioMLManager.job_status`."""
    job = rq_module("rq.job").Job.fetch(str(job_id), connection=connection)
    outcome = job.latest_result()
    answer = {
        "job_status": job.get_status(),
        "error": outcome and outcome.exc_string,
        "created_at": job.created_at,
        "enqueued_at": job.enqueued_at,
        "started_at": job.started_at,
        "ended_at": job.ended_at,
    }
    value = outcome and outcome.return_value
    if value is not None:
        answer["result"] = json.loads(value) if isinstance(value, str) else value
    return answer


def running_job(connection: Any, queue: str, project: str) -> str | None:
    """Return the id of the job of a project that a worker of the queue runs, or None."""
    fetch = rq_module("rq.job").Job.fetch
    started = rq_module("rq.registry").StartedJobRegistry(queue, connection=connection)
    for job_id in started.get_job_ids():
        if fetch(job_id, connection=connection).meta.get("project") == project:
            return str(job_id)
    return None
