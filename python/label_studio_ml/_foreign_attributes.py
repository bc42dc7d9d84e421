"""Attributes that only the base class of the other API has, for an instance that asks for one.

The guess of the API for which a class is written may be wrong, and a class may be written for both. So
the base class looks here for a name that the instance and its class do not have. `hasattr` does not find
them: a class that is written for both APIs asks it which one it runs under.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

from label_studio_ml._api_attributes import DerivedInV2
from label_studio_ml._construction import origin_of
from label_studio_ml.label_config import parse_config

_Derive = Callable[[Any], Any]


def find(instance: Any, name: str) -> Any:
    """Return an attribute that normal lookup did not find. Raises AttributeError if there is none."""
    import inspect

    cls = type(instance)
    is_v1 = cls._ml_api_version() == 1
    own = inspect.getattr_static(cls, name, None)
    if own is not None and not (is_v1 and isinstance(own, DerivedInV2)):
        # Its getter raised the AttributeError, which says more than the name.
        return own.__get__(instance, cls)
    derive = (_IN_V1 if is_v1 else _IN_V2).get(name)
    if derive is None or _hasattr_asks():
        raise AttributeError(f"{cls.__name__!r} object has no attribute {name!r}")
    return derive(instance)


def _hasattr_asks() -> bool:
    """Tell whether `hasattr` asks, and not an expression like `self.name`, which cannot go without."""
    import dis

    try:
        # Past this function, `find` and `__getattr__`.
        frame = sys._getframe(3)
    except ValueError:
        return False
    code = frame.f_code
    if "hasattr" not in code.co_names or not 0 <= frame.f_lasti < len(code.co_code):
        return False
    return "CALL" in dis.opname[code.co_code[frame.f_lasti]]


def _kept(instance: Any, key: str) -> Any:
    """Return what is kept for the project; in API v1 a class may have a `get` of its own."""
    from label_studio_ml.model import LabelStudioMLBase

    return LabelStudioMLBase.get(instance, key)


def _model_version(instance: Any) -> Any:
    from label_studio_ml.model import read_version

    return read_version(_kept(instance, "model_version") or origin_of(instance).model_version)


def _extra_params(instance: Any) -> Any:
    return json.loads(_kept(instance, "extra_params") or "{}")


def _label_interface(instance: Any) -> Any:
    from label_studio_ml import model

    config = instance.label_config
    if not config:
        name = type(instance).__name__
        raise AttributeError(
            f"{name!r} object has no 'label_interface': it got no labelling config"
        )
    return _made_once(instance, "label_interface", lambda: model.LabelInterface(config=config))


def _train_output(instance: Any) -> Any:
    # A model may add to it.
    return _made_once(instance, "train_output", lambda: origin_of(instance).train_output or {})


def _made_once(instance: Any, name: str, make: Callable[[], Any]) -> Any:
    """Return what `make` makes, the same each time; not under its name, so `hasattr` does not find it."""
    kept = instance.__dict__.setdefault("_foreign_attributes", {})
    if name not in kept:
        kept[name] = make()
    return kept[name]


#: Attributes that an instance has whose constructor does not call that of the base class.
_IN_BOTH: dict[str, _Derive] = {
    "project_id": lambda instance: origin_of(instance).project_id,
    "train_output": _train_output,
}
_IN_V1: dict[str, _Derive] = {
    **_IN_BOTH,
    "model_version": _model_version,
    "extra_params": _extra_params,
    "label_interface": _label_interface,
    "label_config": lambda instance: origin_of(instance).label_config,
    "parsed_label_config": lambda instance: parse_config(instance.label_config, "tools"),
}
_IN_V2: dict[str, _Derive] = _IN_BOTH
