"""Instances of a model class in the calling process, one for each project."""

import inspect
import logging
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from label_studio_ml import _native
from label_studio_ml._v1.jobs import make_model, read_result, train_output
from label_studio_ml._v1.rq import connect, rq_module
from label_studio_ml.model import LabelStudioMLBase

logger = logging.getLogger("label_studio_ml.model")

#: Version of a model that was never trained.
INITIAL = "INITIAL"


@dataclass
class ModelWrapper:
    """An instance, the version from which it was made, and whether it is being trained now."""

    model: Any
    model_version: str | None
    is_training: bool = False


@dataclass
class Made:
    """The arguments of which an instance was made."""

    label_config: str | None = None
    train_output: Any = None
    version: str | None = None
    kwargs: dict[str, Any] = field(default_factory=dict)


class Instances:
    """The part of `LabelStudioMLManager` that predicts."""

    model_class: ClassVar[Any] = None
    model_dir: ClassVar[str | None] = None
    redis_host: ClassVar[str | None] = None
    redis_port: ClassVar[int | None] = None
    redis_queue: ClassVar[str | None] = None
    train_kwargs: ClassVar[dict[str, Any] | None] = None
    init_kwargs: ClassVar[dict[str, Any]] = {}

    _redis: ClassVar[Any] = None
    _redis_queue: ClassVar[Any] = None
    _current_model: ClassVar[dict[tuple[str, int], ModelWrapper]] = {}
    _made: ClassVar[dict[tuple[str, int], Made]] = {}
    _last_id: ClassVar[int] = 0

    @classmethod
    def initialize(
        cls,
        model_class: type,
        model_dir: str | os.PathLike[str] | None = None,
        redis_host: str = "localhost",
        redis_port: int = 6379,
        redis_queue: str = "default",
        **init_kwargs: Any,
    ) -> None:
        """Set the class and the folder of trained models; earlier instances are forgotten.

        `model_dir` is made if it is missing; without it nothing outlives this process.
        `init_kwargs` are passed to every instance. If USE_REDIS is set in the environment and Redis
        answers, `train` and `webhook` put jobs into its queue, whose workers must share
        `model_dir`. Raises ValueError for a class that is not a model of API v1, and ImportError if
        USE_REDIS is set and the packages redis and rq are missing.
        """
        from label_studio_tools.core.utils.params import get_bool_env

        _require_v1(model_class)
        if model_dir:
            # Absolute: fit may return paths in it, and a server may run in another folder.
            model_dir = Path(model_dir).expanduser().absolute()
            model_dir.mkdir(parents=True, exist_ok=True)
        cls.model_class = model_class
        cls.model_dir = str(model_dir) if model_dir else None
        cls.redis_host, cls.redis_port, cls.redis_queue = redis_host, redis_port, redis_queue
        cls.init_kwargs = init_kwargs
        cls._current_model, cls._made = {}, {}
        cls._redis = cls._redis_queue = None
        if get_bool_env("USE_REDIS", False):
            cls._redis = connect(redis_host, redis_port)
        if cls._redis:
            cls._redis_queue = rq_module("rq").Queue(name=redis_queue, connection=cls._redis)

    @classmethod
    def get_initialization_params(cls) -> dict[str, Any]:
        """Return the arguments of `initialize`, as keyword arguments."""
        return {
            "model_class": cls.model_class,
            "model_dir": cls.model_dir,
            "redis_host": cls.redis_host,
            "redis_port": cls.redis_port,
            "redis_queue": cls.redis_queue,
            **cls.init_kwargs,
        }

    @classmethod
    def without_redis(cls) -> bool:
        """Tell whether jobs run without a Redis queue."""
        return cls._redis is None

    @staticmethod
    def _name(project: Any) -> str:
        return "" if project is None else str(project)

    @classmethod
    def _key(cls, project: Any) -> tuple[str, int]:
        # A forked child makes instances of its own.
        return cls._name(project), os.getpid()

    @classmethod
    def _versions(cls, project: Any, as_served: bool = False) -> list[tuple[int, Path]]:
        """Return the stored versions of a project, newest first, each with its folder."""
        if not cls.model_dir:
            return []
        return _native.list_versions(cls.model_dir, cls._name(project), as_served)

    @classmethod
    def _generate_version(cls, project: Any = None) -> str:
        """Return an unused version: digits, the time in seconds or more."""
        folder = cls.model_dir
        free = _native.next_job(folder, cls._name(project)) if folder else int(time.time())
        cls._last_id = max(free, cls._last_id + 1)
        return str(cls._last_id)

    @classmethod
    def has_active_model(cls, project: Any) -> bool:
        """Tell whether the project has an instance in this process."""
        return cls._key(project) in cls._current_model

    @classmethod
    def get(cls, project: Any) -> ModelWrapper | None:
        """Return the instance of a project, or None."""
        return cls._current_model.get(cls._key(project))

    @classmethod
    def get_current_model_version(cls) -> str | None:
        """Return the version of the instance of this process, or None.

        With several projects it is that of the one that got its instance last.
        """
        own = [wrapper for (_, pid), wrapper in cls._current_model.items() if pid == os.getpid()]
        return own[-1].model_version if own else None

    @classmethod
    def create(
        cls,
        project: Any = None,
        label_config: str | None = None,
        train_output: Any = None,
        version: str | None = None,
        **kwargs: Any,
    ) -> ModelWrapper:
        """Make the instance of a project anew and return it.

        `kwargs` (`hostname`, `access_token`) are passed to the class if it takes them; those of
        `initialize` win. Without `version` it is `INITIAL`, or a new one for a train_output.
        """
        if cls.model_class is None:
            raise RuntimeError("call LabelStudioMLManager.initialize(model_class) first")
        if version is None:
            version = INITIAL if train_output is None else cls._generate_version(project)
        given = {**kwargs, "label_config": label_config, "train_output": train_output}
        model = make_model(cls.model_class, given, cls.init_kwargs, cls._name(project), version)
        wrapper = ModelWrapper(model, version)
        key, before = cls._key(project), cls.get(project)
        wrapper.is_training = before is not None and before.is_training
        cls._current_model[key] = wrapper
        cls._made[key] = Made(label_config, train_output, version, kwargs)
        return wrapper

    @classmethod
    def get_or_create(
        cls,
        project: Any = None,
        label_config: str | None = None,
        force_reload: bool = False,
        train_output: Any = None,
        version: str | None = None,
        **kwargs: Any,
    ) -> ModelWrapper:
        """Return the instance of a project, made anew if an argument differs.

        Arguments that are left out stay as they were for the instance before.
        """
        made = cls._made.get(cls._key(project), Made())
        wanted = Made(
            label_config or made.label_config, train_output, version, made.kwargs | kwargs
        )
        if version is None and train_output is None:
            wanted.train_output, wanted.version = made.train_output, made.version
        wrapper = cls.get(project)
        same = (wanted.label_config, wanted.version, wanted.kwargs) == (
            made.label_config,
            made.version,
            made.kwargs,
        )
        if wrapper and same and not force_reload:
            return wrapper
        return cls.create(
            project, wanted.label_config, wanted.train_output, wanted.version, **wanted.kwargs
        )

    @classmethod
    def fetch(
        cls,
        project: Any = None,
        label_config: str | None = None,
        force_reload: bool = False,
        **kwargs: Any,
    ) -> ModelWrapper:
        """Return the instance of a project's newest version in `model_dir`.

        `hostname` and `access_token` are passed to the class and kept for later instances.
        `model_version` asks for another version than the newest; if there is no such version, that
        is logged and the untrained model is returned.
        """
        version, output = cls._stored(project, kwargs.pop("model_version", None))
        return cls.get_or_create(project, label_config, force_reload, output, version, **kwargs)

    @classmethod
    def _stored(cls, project: Any, wanted: Any) -> tuple[str | None, Any]:
        """Return version and train_output of a project; skip versions that cannot be read."""
        for number, folder in cls._versions(project, as_served=wanted is None):
            if wanted is not None and str(wanted) != str(number):
                continue
            try:
                return str(number), train_output(read_result(folder))
            except (OSError, ValueError) as error:
                logger.error("version %s of project %r cannot be read: %s", number, project, error)
        if wanted is None or str(wanted) == INITIAL:
            return wanted, None
        logger.error("project %r has no version %s", project, wanted)
        return INITIAL, None

    @classmethod
    def predict(
        cls,
        tasks: list[dict[str, Any]],
        project: Any = None,
        label_config: str | None = None,
        force_reload: bool = False,
        try_fetch: bool = True,
        **kwargs: Any,
    ) -> tuple[Any, ModelWrapper]:
        """Return what the model's `predict(tasks, **kwargs)` returns, and the instance.

        `try_fetch=False` takes the instance that is there; FileNotFoundError if there is none.
        """
        wrapper = cls.fetch(project, label_config, force_reload) if try_fetch else cls.get(project)
        if wrapper is None:
            raise FileNotFoundError(
                f"project {project!r} has no instance; try_fetch=True makes one"
            )
        return wrapper.model.predict(tasks, **kwargs), wrapper


def _require_v1(model_class: Any) -> None:
    """Raise ValueError for a class that is not written for API v1.

    A class that shows nothing itself counts as one, since it was passed to the manager.
    """
    if not (isinstance(model_class, type) and issubclass(model_class, LabelStudioMLBase)):
        raise ValueError(f"{model_class!r} is not a subclass of LabelStudioMLBase")
    fit = list(inspect.signature(model_class.fit).parameters)[1:3]
    init = inspect.signature(model_class.__init__).parameters
    stated = getattr(model_class, "LABEL_STUDIO_ML_API", None)
    if stated != 1 and (stated == 2 or fit == ["event", "data"] or "project_id" in init):
        raise ValueError(
            f"{model_class.__name__} is written for API v2, which has no manager; "
            "`label-studio-ml start` serves it"
        )
    if "_known_ml_api" not in model_class.__dict__:
        model_class._known_ml_api = 1
