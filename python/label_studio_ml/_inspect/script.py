"""Finds out about a script and its class by looking at them."""

import ast
import contextlib
import dis
import importlib
import inspect
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from label_studio_ml import _native
from label_studio_ml._api_attributes import train_events
from label_studio_ml._inspect.imports import beside_of
from label_studio_ml.model import LabelStudioMLBase

#: What a model asks for its labelling config.
_LABEL_CONFIG = {
    *("label_config", "parsed_label_config", "label_interface", "build_label_map"),
    *("get_first_tag_occurence", "get_first_tag_occurrence"),
    *("get_single_tag_keys", "get_first_tag_keys"),
}
#: Arguments of `init_app` that only a `_wsgi.py` of API v1 passes.
V1_ARGUMENTS = {"model_dir", "redis_queue", "redis_host", "redis_port"}


def default_model_dir(wsgi: str | Path, cwd: str | Path) -> str:
    """Return MODEL_DIR for a project whose user chose none, before its class is imported.

    It is the project's folder for models, if `init` made one. Else a `_wsgi.py` of API v1 passes the folder of models to `init_app`, by default its own folder;
    models of API v2 use the working folder.
    """
    wsgi = Path(wsgi)
    if own := _native.models_of_project(wsgi.parent):
        return str(own)
    try:
        tree = ast.parse(wsgi.read_bytes())
    except (OSError, SyntaxError, ValueError):
        # The import will tell what is wrong.
        return str(cwd)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "init_app":
            names = {keyword.arg for keyword in node.keywords}
            if names & V1_ARGUMENTS:
                return str(wsgi.parent)
    return str(cwd)


def defining_file(cls: type, instead: str | Path | None) -> str | None:
    """Return the absolute path of the file that defines a class, as the maker of what it learns.

    The class of a package is in all projects that use it: then it is `instead`, the file that hands it
    to the server, if that is known.
    """
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    if file is None or {"site-packages", "dist-packages"} & {*Path(file).parts}:
        file = instead
    return None if file is None else os.path.abspath(file)  # noqa: PTH100


def model_classes(module: Any) -> list[tuple[str, type]]:
    """Return the model classes in the namespace of a module, defined or imported, except ours."""
    found: dict[int, tuple[str, type]] = {}
    for name, value in list(vars(module).items()):
        is_model = isinstance(value, type) and issubclass(value, LabelStudioMLBase)
        if is_model and value.__module__.partition(".")[0] != "label_studio_ml":
            found.setdefault(id(value), (name, value))
    return list(found.values())


def accepted_names(cls: type) -> list[str] | None:
    """Return the names of the constructor's parameters, or None if it takes any keyword."""
    parameters = inspect.signature(cls).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    return [parameter.name for parameter in parameters]


def named_kwargs(cls: type, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return those `kwargs` that the constructor of `cls` names."""
    names = set(inspect.signature(cls).parameters)
    return {name: value for name, value in kwargs.items() if name in names}


def training_events(cls: type) -> tuple[list[str], bool]:
    """Return the webhook actions that train `cls`, and whether it wants to see every action.

    No action trains a class without a `fit` of its own. A class that overrides `process_event`
    decides itself. Raises TypeError for TRAIN_EVENTS that hold no actions.
    """
    wants_all = getattr(cls, "process_event", None) is not LabelStudioMLBase.process_event
    has_fit = getattr(cls, "fit", None) is not LabelStudioMLBase.fit
    return (list(train_events(cls)) if has_fit else [], wants_all)


def uses_context(cls: type) -> bool:
    """Return whether `cls.predict` looks at its `context`, wherever that comes from.

    Many models take one because the template does, and few look at it.
    """
    predict = getattr(cls, "predict", None)
    code = getattr(inspect.unwrap(predict), "__code__", None) if callable(predict) else None
    if code is None:
        return False
    return any(
        "context" in (step.argval if isinstance(step.argval, tuple) else (step.argval,))
        for step in dis.get_instructions(code)
        if step.opname.startswith("LOAD_")
    )


def reads_label_config(cls: type) -> bool:
    """Return whether `cls`, or a function beside it in its module, asks for the labelling config."""
    ours = LabelStudioMLBase.__module__.partition(".")[0]
    owners: list[Any] = [one for one in cls.__mro__ if one.__module__.partition(".")[0] != ours]
    owners += [sys.modules.get(one.__module__) for one in [*owners] if one is not object]
    for owner in owners:
        for value in list(vars(owner).values()) if owner is not None else ():
            code = _code_of(value)
            if code is not None and not _LABEL_CONFIG.isdisjoint(_names(code)):
                return True
    return False


def _code_of(value: Any) -> CodeType | None:
    """Return the code of a function, method or property. Asks nothing else: it may be a proxy without an object."""
    kind = type(value)
    if issubclass(kind, staticmethod | classmethod):
        value = value.__func__
    elif issubclass(kind, property):
        value = value.fget
    return getattr(inspect.unwrap(value), "__code__", None) if type(value) is FunctionType else None


def _names(code: CodeType) -> Iterator[str]:
    """Yield the names and texts that a function mentions, with those of the functions in it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, str):
            yield constant
        elif isinstance(constant, CodeType):
            yield from _names(constant)


def import_flask_if_named(folder: str | Path) -> None:
    """Import flask if a module of the project mentions it, perhaps inside a function.

    User code finds a request in `flask.request` only if flask was imported before.
    """
    if "flask" in sys.modules:
        return
    folder = Path(folder)
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if not file or folder not in Path(file).parents:
            continue
        try:
            named = b"flask" in Path(file).read_bytes()
        except OSError:
            continue
        if named:
            with contextlib.suppress(ImportError):
                importlib.import_module("flask")
            return


def siblings(script: str | Path) -> list[str]:
    """Return modules and packages beside `script` that it imports, directly or indirectly.

    Paths are relative to the script's folder: `helpers.py` for a module, `nets` for a package.
    Imports are read, not run, so those inside functions count too.
    """
    script = Path(script)
    folder = script.parent
    found: set[str] = set()
    waiting = [script]
    while waiting:
        for name in _imported_names(waiting.pop()):
            beside = beside_of(folder, name)
            if beside is None:
                continue
            relative, sources = beside
            if sources == [script]:
                continue
            if relative not in found:
                found.add(relative)
                waiting.extend(sources)
    return sorted(found)


def _imported_names(source: Path) -> Iterator[str]:
    """Yield the first component of every name that a file imports."""
    try:
        tree = ast.parse(source.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name.split(".")[0]
        elif isinstance(node, ast.ImportFrom):
            if node.module:
                yield node.module.split(".")[0]
            elif node.level:
                for alias in node.names:
                    yield alias.name
