"""The base class of models.

A model is a subclass of `LabelStudioMLBase` in the user's script. Two versions of this API are in
use and one base class serves both: the subclass itself shows for which one it is written
(`LABEL_STUDIO_ML_API = 1` or `2` on the class overrules what was detected).

API v1 (2022): each project has one instance, constructed with the labelling config and the result
of the last training, which it finds in `self.train_output`.
API v2 (2024): `setup()` takes the place of the constructor; a model keeps what it learns with
`self.set` and in files below MODEL_DIR.

Names that need heavy packages, and the managers of API v1, are imported at their first use.
"""

import json
import logging
import re
import sys
from abc import ABC
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, cast

from label_studio_ml import _foreign_attributes, _native
from label_studio_ml._api_attributes import DerivedInV2, OfSetup, TrainEvents, train_events
from label_studio_ml._construction import origin_of
from label_studio_ml._inspect import importers
from label_studio_ml._media import label_studio_address
from label_studio_ml._media.base import Media
from label_studio_ml._original import names as _names
from label_studio_ml._v2.version import note_own
from label_studio_ml.cache import BaseCache, default_cache
from label_studio_ml.label_config import parse_config

if TYPE_CHECKING:
    from label_studio_sdk import LabelStudio
    from label_studio_sdk.label_interface import LabelInterface

    from label_studio_ml.managers import (
        JobManager,
        LabelStudioMLManager,
        ModelWrapper,
        RQJobManager,
        SimpleJobManager,
    )
    from label_studio_ml.response import ModelResponse

__all__ = [
    "AUTO_UPDATE_DEFAULT",
    "CACHE",
    "LABEL_STUDIO_ML_BACKEND_V2_DEFAULT",
    "LABEL_STUDIO_STRICT_ERRORS",
    "JobManager",
    "LabelInterface",
    "LabelStudio",
    "LabelStudioMLBase",
    "LabelStudioMLManager",
    "ModelResponse",
    "ModelWrapper",
    "RQJobManager",
    "SimpleJobManager",
    "get_all_classes_inherited_LabelStudioMLBase",
    "get_local_path",
    "logger",
    "parse_config",
    "predict_fn",
    "update_fn",
]

#: Defaults of the original for variables of the environment that have no effect here.
LABEL_STUDIO_ML_BACKEND_V2_DEFAULT = False
LABEL_STUDIO_STRICT_ERRORS = False
AUTO_UPDATE_DEFAULT = True

logger = logging.getLogger(__name__)

#: Where `self.get` and `self.set` of every model keep values; opened at its first use.
CACHE = default_cache()

_this = sys.modules[__name__]

if not TYPE_CHECKING:
    __getattr__ = _names.getter(__name__)
    __all__ += _names.starred(__name__)


_predict_fn: Callable[..., Any] | None = None
_update_fn: Callable[..., Any] | None = None


def predict_fn(f: Callable[..., Any]) -> Callable[..., Any]:
    """Register a function as the prediction of models that do not override `predict`.

    It is called as `f(tasks, context, helper=model, **params)`.
    """
    global _predict_fn
    _predict_fn = f
    return f


def update_fn(f: Callable[..., Any]) -> Callable[..., Any]:
    """Register a function as the training of models that do not override `fit`.

    It is called as `f(event, data, helper=model, **params)`.
    """
    global _update_fn
    _update_fn = f
    return f


def get_local_path(url: str, *args: Any, **kwargs: Any) -> str:
    """Return the path of a local copy of `url`: a file, or what a task's data may name.

    Takes the arguments of `get_local_path` of label-studio-sdk and label-studio-tools: `url, cache_dir,
    project_dir, hostname, image_dir, access_token, download_resources, task_id`. Raises
    `label_studio_ml.exceptions.MediaError`, a FileNotFoundError.
    """
    from label_studio_ml._media import resolver

    return resolver.get_local_path(url, *args, **kwargs)


class LabelStudioMLBase(Media, ABC):
    """Base class of models. Override `predict`, and `fit` if the model learns."""

    HOSTED_IN_RUST: ClassVar[bool] = True

    #: API v2: the version of a model whose class sets none.
    INITIAL_MODEL_VERSION: ClassVar[str] = "0.0.1"

    #: Webhook actions that train the model; a class may name its own.
    TRAIN_EVENTS: Any = TrainEvents()

    #: False: only one thread at a time calls `predict`.
    THREAD_SAFE: ClassVar[bool] = True

    _known_ml_api: ClassVar[int] = 0

    train_output: dict[str, Any]
    hostname: Any = OfSetup("hostname")
    access_token: Any = OfSetup("access_token")
    project_id: str

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Make an instance.

        API v1: `label_config=None, train_output=None, **kwargs`, with `hostname` and `access_token`
        of Label Studio after a call of /setup. API v2: `project_id=None, label_config=None,
        cache=None`, with a `BaseCache` for what it keeps; ends with a call of `setup()`.

        Raises the exception of label-studio-tools (API v1) or label-studio-sdk (API v2) for a
        labelling config that is not well-formed XML, and TypeError for a class of API v1 that does
        not override `predict`.
        """
        if self._ml_api_version() == 1:
            self._init_v1(*args, **kwargs)
        else:
            self._init_v2(*args, **kwargs)

    @classmethod
    def _ml_api_version(cls) -> int:
        """Return the version of the API for which the class is written; detected once per class."""
        if "_known_ml_api" not in cls.__dict__:
            cls._known_ml_api = _native.detect_api_version(cls)[0]
        return cls._known_ml_api

    def _init_v1(
        self,
        label_config: str | None = None,
        train_output: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if type(self).predict is LabelStudioMLBase.predict:
            name = type(self).__name__
            raise TypeError(f"{name} cannot be instantiated: it does not override predict(tasks)")
        # A constructor that does not take all of it cannot pass it on.
        origin, of_setup = origin_of(self), label_studio_address.current()
        label_config = origin.label_config if label_config is None else label_config
        self.label_config = label_config
        self.parsed_label_config = parse_config(label_config, "tools")
        self.train_output = cast(dict[str, Any], train_output or origin.train_output or {})
        self.hostname = kwargs.get("hostname") or of_setup.hostname
        self.access_token = kwargs.get("access_token") or of_setup.access_token
        if kwargs.get("project_id"):
            self.project_id = kwargs["project_id"]

    def _init_v2(
        self,
        project_id: str | None = None,
        label_config: str | None = None,
        cache: BaseCache | None = None,
        **older: Any,
    ) -> None:
        if cache is not None:
            self.cache = cache
        # A manager of API v1 may make an instance of a class that fits both versions.
        nothing: dict[str, Any] = {"train_output": {}, "hostname": "", "access_token": ""}
        for name in nothing.keys() & older.keys():
            setattr(self, name, older.pop(name) or nothing[name])
        if older:
            raise TypeError(f"{type(self).__name__} got unexpected arguments: {', '.join(older)}")
        if label_config is None:
            # Empty is as good as none: the constructor did not ask for it.
            label_config = origin_of(self).label_config or None
        self.project_id = project_id or ""
        self._label_studio_client = None
        self._label_studio_of_setup = label_studio_address.current()
        if label_config is not None:
            self.use_label_config(label_config)
        if not self.get("model_version"):
            self.set("model_version", self.INITIAL_MODEL_VERSION)
        self.setup()
        note_own(self)

    def setup(self) -> None:
        """Load the model (API v2). Called at the end of the constructor."""

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Find what only the base class of the other API has, for a wrong guess of the API."""
            return _foreign_attributes.find(self, name)

    # What API v2 keeps for a project.

    def get(self, key: str) -> str | None:
        """Return the text that is kept for this project under a key, or None."""
        return self._kept()[self.project_id, key]

    def set(self, key: str, value: str) -> None:
        """Keep a text for this project; every worker and thread sees it from now on.

        Raises ValueError if the value is not a string.
        """
        self._kept()[self.project_id, key] = value

    def has(self, key: str) -> bool:
        """Tell whether something is kept for this project under a key."""
        return (self.project_id, key) in self._kept()

    def _kept(self) -> BaseCache:
        own = self.__dict__.get("cache")
        return own if isinstance(own, BaseCache) else CACHE

    def use_label_config(self, label_config: str) -> None:
        """Use a labelling config for this instance, and keep it for the project.

        Raises the exception of label-studio-sdk if it is not well-formed XML.
        """
        parsed = parse_config(label_config, "sdk")
        if not label_config.strip():
            # Raises the error of the SDK.
            _this.LabelInterface(config=label_config)
        self.__dict__["_own_label_config"] = label_config
        self.__dict__.pop("label_interface", None)
        if self.get("label_config") != label_config:
            self.set("label_config", label_config)
            self.set("parsed_label_config", json.dumps(parsed))

    @DerivedInV2
    def label_interface(self) -> Any:
        """The labelling config as a `LabelInterface` of label-studio-sdk, made at its first use.

        AttributeError for an instance that got no labelling config.
        """
        config = self.__dict__.get("_own_label_config")
        if config is None:
            raise AttributeError(
                f"{type(self).__name__!r} object has no 'label_interface': it got no labelling config"
            )
        interface = _this.LabelInterface(config=config)
        self.__dict__["label_interface"] = interface
        return interface

    @DerivedInV2
    def label_config(self) -> Any:
        """The labelling config, or None."""
        return self.__dict__.get("_own_label_config") or self.get("label_config")

    @DerivedInV2
    def parsed_label_config(self) -> Any:
        """The labelling config as a dict, see `parse_config`; a new one each time.

        Raises TypeError if the project has no labelling config.
        """
        own = self.__dict__.get("_own_label_config")
        if own is not None:
            return parse_config(own, "sdk")
        kept = self.get("parsed_label_config")
        if kept is None:
            name = type(self).__name__
            raise TypeError(
                f"{name!r} object has no 'parsed_label_config': it got no labelling config"
            )
        return json.loads(kept)

    def set_extra_params(self, extra_params: str) -> None:
        """Keep the extra parameters of the project: JSON, as the user typed it in Label Studio."""
        self.set("extra_params", extra_params)

    @DerivedInV2
    def extra_params(self) -> Any:
        """The extra parameters of the project, as the user typed them in Label Studio; {} for none."""
        params = self.get("extra_params")
        return json.loads(params) if params else {}

    @DerivedInV2
    def model_version(self) -> Any:
        """The version: a `semver.Version` if it can be read as one, else a str; None for none."""
        return read_version(self.get("model_version"))

    def bump_model_version(self) -> Any:
        """Raise the minor version, keep the new version and return it.

        `1.2.3` becomes `1.3.0`, `MyModel-v0.0.1` becomes `MyModel-v0.1.0`. In a version that does
        not end with three numbers the last number is raised; one without a number gets `-1`.
        """
        version = self.get("model_version") or self.INITIAL_MODEL_VERSION
        self.set("model_version", _bumped(version))
        logger.debug("model version %s becomes %s", version, self.get("model_version"))
        return self.model_version

    # What a model overrides.

    def predict(self, tasks: list[dict[str, Any]], *args: Any, **kwargs: Any) -> Any:
        """Return one prediction for each task, in the order of the tasks.

        A prediction is a dict with `result`, a list of regions in Label Studio's format, and
        optionally `score` and `model_version`; or a list of such dicts. Keyword arguments are the
        `params` of the request; `context` holds what a person has drawn so far if Label Studio
        asks interactively. In API v2 it may also return a `ModelResponse`.
        """
        if self._ml_api_version() == 1:
            raise NotImplementedError(f"{type(self).__name__} does not override predict(tasks)")
        if _predict_fn is None:
            return None
        context = args[0] if args else kwargs.pop("context", None)
        return _predict_fn(tasks, context, helper=self, **kwargs)

    def process_event(
        self, event: str, data: Mapping[str, Any], job_id: str, additional_params: Mapping[str, Any]
    ) -> Any:
        """Train on a webhook event of Label Studio, if it is one of `TRAIN_EVENTS`.

        `event` is the action, `data` the rest of the payload. Returns the result of `fit`.
        """
        if event not in train_events(self):
            return None
        from label_studio_ml import _fit_call

        more = {"job_id": job_id, **additional_params}
        if self._ml_api_version() == 1:
            return _fit_call.on_event_of_v1(self.fit, event, data, more)
        return _fit_call.on_event_with(self.fit, event, data, more)

    def fit(self, *args: Any, **kwargs: Any) -> Any:
        """Train the model; override it in a model that learns.

        API v1: `fit(tasks, workdir=None, **kwargs)`. For /train `tasks` iterates over annotated
        tasks and `kwargs` are the `params` of the request; for a webhook `tasks` is empty and
        `event`, `data` and `job_id` are given. The returned dict is `self.train_output` of every
        later instance; files belong in `workdir`.

        API v2: `fit(event, data, **kwargs)` with the action and the payload of a webhook. Later
        predictions see what it keeps with `self.set` or below MODEL_DIR.
        """
        if self._ml_api_version() == 1:
            return {}
        return _update_fn(*args, helper=self, **kwargs) if _update_fn else None

    # What a model reads from its labelling config.

    def get_first_tag_occurence(
        self,
        control_type: str | tuple[str, ...],
        object_type: str | tuple[str, ...],
        name_filter: Callable[..., Any] | None = None,
        to_name_filter: Callable[..., Any] | None = None,
    ) -> tuple[str, str, str]:
        """Return `(from_name, to_name, value)` of the first control tag of a type over an object tag.

        `value` is the key in the task's data. The filters take a name and tell whether it counts.
        Raises ValueError if the labelling config has no such tags.
        """
        found = self.label_interface.get_first_tag_occurence(
            control_type=control_type,
            object_type=object_type,
            name_filter=name_filter,
            to_name_filter=to_name_filter,
        )
        return cast(tuple[str, str, str], found)

    def get_first_tag_occurrence(self, *args: Any, **kwargs: Any) -> tuple[str, str, str]:
        """Do what `get_first_tag_occurence` does, which the original misspells; see there."""
        return self.get_first_tag_occurence(*args, **kwargs)

    def build_label_map(self, tag_name: str, names: list[str]) -> dict[str, str]:
        """Map the model's own `names` to labels of a control tag.

        A label lists its names in the attribute `predicted_values="car, truck"`. A label without
        it, or whose list has no name that the model knows, stands for the name that equals its own,
        regardless of case. Names without a label are left out.
        """
        lower = {name.lower() for name in names}
        label_map: dict[str, str] = {}
        for label, tag in (self.label_interface.get_control(tag_name).labels_attrs or {}).items():
            said = [value.strip() for value in tag.attr.get("predicted_values", "").split(",")]
            known = [value for value in said if value in names]
            for value in set(said) - set(known) - {""}:
                logger.warning("label %r: the model does not predict %r", label, value)
            if not known and label in names:
                known = [label]
            elif not known and label.lower() in lower:
                known = [label.lower()]
            label_map.update(dict.fromkeys(known, label))
        return label_map


def read_version(version: str | None) -> Any:
    """Return a kept version: a `semver.Version` if it can be read as one, else as it is; None for none."""
    if not version:
        return None
    from semver import Version

    try:
        return Version.parse(version)
    except ValueError:
        return version


def _bumped(version: str) -> str:
    if full := re.search(r"(\d+)\.(\d+)\.\d+(?:[-+][0-9A-Za-z.+-]*)?$", version):
        return f"{version[: full.start()]}{full[1]}.{int(full[2]) + 1}.0"
    if last := re.search(r"\d+(?=\D*$)", version):
        return f"{version[: last.start()]}{int(last[0]) + 1}{version[last.end() :]}"
    return f"{version}-1"


def get_all_classes_inherited_LabelStudioMLBase(script_file: str) -> list[str]:
    """Import a script and return the names of the model classes in it, sorted.

    Classes that it imports count too, and subclasses of another class named LabelStudioMLBase.
    Exceptions of the import pass.
    """
    import importlib
    import inspect
    import sys
    from pathlib import Path

    from label_studio_ml._inspect import submodules

    path = Path(script_file).resolve()
    sys.path.append(str(path.parent))
    submodules.import_used(path)
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


if not _native.is_hosted():
    # A worker does it itself, before it runs the script.
    importers.prepare()
