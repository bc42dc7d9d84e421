"""The class that the in-process mode serves: how it is set up from `init_app`, and its instances."""

import inspect
import logging
import os
import sys
from collections.abc import Mapping
from typing import Any

from label_studio_ml import _construction, _native, api, model
from label_studio_ml._api_attributes import train_events as own_train_events
from label_studio_ml._inspect import model_folder
from label_studio_ml._inspect.script import V1_ARGUMENTS, accepted_names, named_kwargs
from label_studio_ml._media import label_studio_address
from label_studio_ml.cache import BaseCache, SqliteCache

logger = logging.getLogger("label_studio_ml")

#: Arguments of `init_app` for the instances of a class of API v2.
init_kwargs: dict[str, Any] = {}

#: Classes whose verdict was told.
_told: set[type] = set()

#: The file that defines the class, if it is known.
_script: str | None = None

#: The folder, class and file for which this process has last claimed what is in the folder.
_claimed: tuple[str, str, str | None] | None = None

#: Folders that this process has claimed for a class: what is in them is what it made itself.
_ours: set[str] = set()


def set_up(
    model_class: type, api_version: int, given: Mapping[str, Any], defining: str | None
) -> None:
    """Take the arguments of `init_app` besides class and password, and the file that defines the class."""
    global init_kwargs, _script
    _script = defining
    said, unsaid = given.get("model_dir"), model_folder.unsaid(api_version)
    folder = unsaid
    if api_version == 1:
        # The option --model-dir of a `_wsgi.py` comes as an argument, so that counts more than the
        # environment here.
        if said and not model_folder.is_settled():
            folder = model_folder.usable(said, unsaid)
        if model_folder.is_chosen() and folder != unsaid:
            logger.warning(
                "init_app names the model_dir %r, which is used here; `label-studio-ml start` would use "
                "MODEL_DIR, %r",
                folder,
                unsaid,
            )
        init_kwargs = {}
        api._manager.initialize(model_class, **{**given, "model_dir": folder})
        if not model_folder.is_chosen():
            model_folder.use_default(folder)
        return
    own = {name: given[name] for name in given if name not in V1_ARGUMENTS}
    init_kwargs = named_kwargs(model_class, own)
    # Without MODEL_DIR models read and write in the working folder, also if that changes.
    if not model_folder.is_chosen() and (said or "MODEL_DIR" in os.environ):
        folder = model_folder.usable(said, unsaid) if said else unsaid
        model_folder.use_default(folder)
        if type(model.CACHE) is SqliteCache:
            model.CACHE.use_folder(folder)
    _warn_of_unused(model_class, given, own, folder)


def tell_verdict(model_class: type, api_version: int, reason: str) -> None:
    """Log for which API a class is written, why, and how to overrule that; once for a class.

    WSGI servers leave logging as it is, in which nobody would see it: then it goes to stderr.
    """
    if model_class in _told:
        return
    _told.add(model_class)
    text = _native.api_verdict(model_class.__name__, api_version, reason)
    if logger.hasHandlers():
        logger.info("%s", text)
    else:
        print(text, file=sys.stderr, flush=True)


def _warn_of_unused(
    model_class: type, given: Mapping[str, Any], own: Mapping[str, Any], folder: str
) -> None:
    """Log, in one line, what becomes of arguments that a class of API v2 does not take."""
    name = model_class.__name__
    said = []
    if older := [argument for argument in given if argument in V1_ARGUMENTS]:
        said.append(f"{', '.join(older)}: for API v1, and {name} is of API v2")
        if given.get("model_dir"):
            said.append(f"MODEL_DIR is {folder!r}")
        if any(argument.startswith("redis_") for argument in older):
            said.append("no Redis queue is used")
    if unknown := [argument for argument in own if argument not in init_kwargs]:
        said.append(f"{', '.join(unknown)}: not a parameter of {name}, so ignored")
    if said:
        logger.warning("init_app got %s", "; ".join(said))


def new_instance(project_id: str, label_config: Any) -> Any:
    """Return a new instance of a class of API v2, given what its constructor takes of the arguments."""
    model_class: Any = api.MODEL_CLASS
    given = {"project_id": project_id, "label_config": label_config}
    try:
        names = accepted_names(model_class)
        own = named_kwargs(model_class, init_kwargs)
    except (TypeError, ValueError):
        # Not every callable tells its parameters.
        names, own = None, init_kwargs
    taken = {name: given[name] for name in given if names is None or name in names}
    known = label_studio_address.of_project(project_id)
    origin = _construction.Origin(model_class, project_id, label_config)
    return _construction.made(lambda: model_class(**{**taken, **own}), origin, known)


def train_events() -> tuple[str, ...]:
    """Return the webhook actions that train a class of API v2: its own, or those of the app."""
    own = inspect.getattr_static(api.MODEL_CLASS, "TRAIN_EVENTS", None)
    if own is None or own is model.LabelStudioMLBase.__dict__["TRAIN_EVENTS"]:
        return tuple(api.TRAIN_EVENTS)
    return own_train_events(api.MODEL_CLASS)


def claim_models() -> None:
    """Claim what is in MODEL_DIR for the class. Raises RuntimeError if it belongs to another model."""
    global _claimed
    folder = _folder()
    if folder is None:
        return
    name = api.MODEL_CLASS.__name__
    if _claimed == (folder, name, _script):
        return
    said = os.environ.get("LABEL_STUDIO_ML_TAKE_OVER", "").lower()
    takes_over = said not in ("", "0", "n", "no", "f", "false", "off")
    _native.claim_models(folder, name, _script, takes_over or folder in _ours)
    _claimed = (folder, name, _script)
    _ours.add(folder)


def warn_of_unserved() -> None:
    """Log where else the class has learned something, in a program that was told its project."""
    folder, project = _folder(), model_folder.project()
    if folder is not None and project is not None:
        name = api.MODEL_CLASS.__name__
        for sentence in _native.unserved_models(folder, project, name, _script):
            logger.warning("%s", sentence)


def _folder() -> str | None:
    """Return MODEL_DIR of the class that is served, if it is kept in files."""
    if not isinstance(api.MODEL_CLASS, type) or not isinstance(model.CACHE, BaseCache):
        # A test has put something in the place of them.
        return None
    if api.MODEL_CLASS._ml_api_version() == 1:
        return api._manager.model_dir
    return os.path.abspath(model.CACHE.path)  # noqa: PTH100
