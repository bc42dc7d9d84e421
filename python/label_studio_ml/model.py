"""The base class of models.

A model is a subclass of `LabelStudioMLBase` in a script of the user's. Two generations of this
API are in use and one class serves both: which one a subclass is written for is told from the
subclass itself (`LABEL_STUDIO_ML_API = 1` or `2` on the class decides where that goes wrong).

Generation 1 (2022): one instance lives for each project; it is constructed with the labelling
config and the result of the last training, which it finds in `self.train_output`.
Generation 2 (2024): `setup()` takes the place of the constructor.

`LabelStudioMLManager`, `ModelWrapper` and the job managers of generation 1 are imported from
`label_studio_ml.managers` when somebody asks for them here.
"""

import logging
from abc import ABC
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, cast

from label_studio_ml import _native
from label_studio_ml.label_config import parse_config

if TYPE_CHECKING:
    from label_studio_ml.managers import (
        JobManager,
        LabelStudioMLManager,
        ModelWrapper,
        RQJobManager,
        SimpleJobManager,
    )

__all__ = [
    "AUTO_UPDATE_DEFAULT",
    "LABEL_STUDIO_ML_BACKEND_V2_DEFAULT",
    "JobManager",
    "LabelStudioMLBase",
    "LabelStudioMLManager",
    "ModelWrapper",
    "RQJobManager",
    "SimpleJobManager",
    "get_all_classes_inherited_LabelStudioMLBase",
    "get_local_path",
    "logger",
    "parse_config",
]

#: Values of the original for switches of the environment that change nothing here.
LABEL_STUDIO_ML_BACKEND_V2_DEFAULT = False
AUTO_UPDATE_DEFAULT = True

logger = logging.getLogger(__name__)


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from label_studio_ml import managers

        globals()[name] = found = getattr(managers, name)
        return found


def get_local_path(url: str, *args: Any, **kwargs: Any) -> str:
    """Return the path of a local copy of `url`: `get_local_path` of label-studio-tools."""
    from label_studio_tools.core.utils.io import get_local_path

    return cast(str, get_local_path(url, *args, **kwargs))


class LabelStudioMLBase(ABC):
    """Base class of models. Override `predict`, and `fit` if the model learns."""

    HOSTED_IN_RUST: ClassVar[bool] = True

    #: Webhook actions that train the model. Label Studio sends the plural forms for bulk changes,
    #: START_TRAINING for its button, and (2022) PROJECT_UPDATED for the same button.
    TRAIN_EVENTS: ClassVar[tuple[str, ...]] = (
        "ANNOTATION_CREATED",
        "ANNOTATION_UPDATED",
        "ANNOTATION_DELETED",
        "ANNOTATIONS_CREATED",
        "ANNOTATIONS_DELETED",
        "START_TRAINING",
        "PROJECT_UPDATED",
    )

    #: False: `predict` is called by one thread at a time.
    THREAD_SAFE: ClassVar[bool] = True

    _generation: ClassVar[int] = 0

    label_config: str | None
    parsed_label_config: dict[str, Any]
    train_output: dict[str, Any]
    hostname: str = ""
    access_token: str = ""
    project_id: str

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Make an instance.

        Generation 1: `label_config=None, train_output=None, **kwargs`, with `hostname` and
        `access_token` of Label Studio once /setup was called. Generation 2: `project_id=None,
        label_config=None`; ends with a call of `setup()`.

        Raises the exception of label-studio-tools (generation 1) or label-studio-sdk
        (generation 2) for a labelling config that is no well-formed XML, and TypeError for a class
        of generation 1 that does not override `predict`.
        """
        if self._api_generation() == 1:
            self._init_first(*args, **kwargs)
        else:
            self._init_second(*args, **kwargs)

    @classmethod
    def _api_generation(cls) -> int:
        """Return the generation that the class is written for; decided once for each class."""
        if "_generation" not in cls.__dict__:
            cls._generation = _native.detect_generation(cls)[0]
        return cls._generation

    def _init_first(
        self,
        label_config: str | None = None,
        train_output: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if type(self).predict is LabelStudioMLBase.predict:
            name = type(self).__name__
            raise TypeError(f"{name} cannot be instantiated: it does not override predict(tasks)")
        self.label_config = label_config
        self.parsed_label_config = parse_config(label_config, "tools")
        self.train_output = cast(dict[str, Any], train_output or {})
        self.hostname = kwargs.get("hostname") or ""
        self.access_token = kwargs.get("access_token") or ""

    def _init_second(
        self,
        project_id: str | None = None,
        label_config: str | None = None,
        **older: Any,
    ) -> None:
        # A class that fits both generations may be made by a manager of the first one.
        nothing: dict[str, Any] = {"train_output": {}, "hostname": "", "access_token": ""}
        for name in nothing.keys() & older.keys():
            setattr(self, name, older.pop(name) or nothing[name])
        if older:
            raise TypeError(f"{type(self).__name__} got unexpected arguments: {', '.join(older)}")
        self.project_id = project_id or ""
        self.label_config = label_config
        self.parsed_label_config = parse_config(label_config, "sdk")
        self.setup()

    def setup(self) -> None:  # noqa: B027 - overriding it is a choice
        """Generation 2: load the model. Called at the end of the constructor."""

    def predict(self, tasks: list[dict[str, Any]], *args: Any, **kwargs: Any) -> Any:
        """Return one prediction for each task, in the order of the tasks.

        A prediction is a dict with `result`, a list of regions in Label Studio's format, and
        optionally `score` and `model_version`; or a list of such dicts. Keyword arguments are the
        `params` of the request; `context` holds what a person has drawn so far where Label Studio
        asks interactively.
        """
        raise NotImplementedError(f"{type(self).__name__} does not override predict(tasks)")

    def process_event(
        self, event: str, data: Mapping[str, Any], job_id: str, additional_params: Mapping[str, Any]
    ) -> Any:
        """Train on a webhook event of Label Studio, if it is one of `TRAIN_EVENTS`.

        `event` is the action, `data` the rest of the payload. Returns what `fit` returns.
        """
        if event not in self.TRAIN_EVENTS:
            return None
        if self._api_generation() == 1:
            return self.fit((), event=event, data=data, job_id=job_id, **additional_params)
        return self.fit(event, data)

    def fit(self, *args: Any, **kwargs: Any) -> Any:
        """Train the model; override it in a model that learns.

        Generation 1: `fit(tasks, workdir=None, **kwargs)`. From /train `tasks` iterates over
        annotated tasks and `kwargs` are the `params` of the request; from a webhook `tasks` is
        empty and `event`, `data` and `job_id` are given. The dict that it returns is
        `self.train_output` of every later instance; files belong into `workdir`.
        """
        return {}

    def get_local_path(self, url: str, project_dir: str | None = None) -> str:
        """Return the path of a local copy of `url`, which may be one of Label Studio's own."""
        return get_local_path(
            url,
            project_dir=project_dir,
            hostname=self.hostname,
            access_token=self.access_token,
        )


def get_all_classes_inherited_LabelStudioMLBase(script_file: str) -> list[str]:
    """Import a script and return the names of the model classes in it, sorted.

    Classes that it imports count too; so do those of another class named LabelStudioMLBase. What
    the import raises passes.
    """
    import importlib
    import inspect
    import sys
    from pathlib import Path

    path = Path(script_file).resolve()
    sys.path.append(str(path.parent))
    try:
        module = importlib.import_module(path.stem)
    finally:
        sys.path.pop()
    return [
        name
        for name, cls in inspect.getmembers(module, inspect.isclass)
        if name != LabelStudioMLBase.__name__
        and (
            issubclass(cls, LabelStudioMLBase)
            or any(base.__name__ == LabelStudioMLBase.__name__ for base in cls.__bases__)
        )
    ]
