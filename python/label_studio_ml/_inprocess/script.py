"""Serves the model class of a script that has no `_wsgi.py`, in this process."""

import importlib.util
import sys
from pathlib import Path
from typing import Any


def load(
    path: Path,
    class_name: str | None,
    kwargs: dict[str, Any],
    check: bool = False,
    arguments: list[str] | None = None,
) -> Any:
    """Import a script with the options `arguments` and return the WSGI app that serves its class.

    `kwargs` are passed to a class of API v1, to one of API v2 those that it names, and with `check` to a
    trial instance. Raises ValueError if it is not clear which class is meant.
    """
    from label_studio_ml import _native, api
    from label_studio_ml._inprocess import served
    from label_studio_ml._inspect import model_folder, submodules
    from label_studio_ml._inspect.script import model_classes, named_kwargs

    own = _native.models_of_project(path.parent)
    model_folder.settle(str(path.parent), str(own or Path.cwd()))
    sys.argv = [str(path), *(arguments or [])]
    sys.path.insert(0, str(path.parent))
    submodules.import_used(path)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None, f"{path} cannot be imported"
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    model_class = _choose(path, dict(model_classes(module)), class_name)
    named = named_kwargs(model_class, kwargs)
    version, _ = _native.detect_api_version(model_class, [])
    app = api.init_app(model_class, **(kwargs if version == 1 else {}))
    if version == 2:
        served.init_kwargs = {**served.init_kwargs, **named}
    if check:
        model_class(**named)
    return app


def _choose(path: Path, classes: dict[str, Any], name: str | None) -> Any:
    names = ", ".join(classes)
    if not classes:
        raise ValueError(f"{path} holds no subclass of LabelStudioMLBase")
    if name is not None:
        if name not in classes:
            raise ValueError(f"{path} has no model class {name}; it has {names}")
        return classes[name]
    first, *others = classes
    if others:
        raise ValueError(
            f"{path} holds several model classes: {names}; name one, as in {path}:{first}"
        )
    return classes[first]
