"""Attributes of the base class that differ between API v1 and API v2.

API v2 derives them; in API v1 they are ordinary names, which a user's class may use for anything.
In both, a value that is assigned to an instance counts.
"""

from collections.abc import Callable
from typing import Any


class DerivedInV2:
    """Turns a function into an attribute, which API v2 derives by calling it."""

    def __init__(self, derive: Callable[[Any], Any]) -> None:
        self._derive = derive
        self.__doc__ = derive.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        if self._name in instance.__dict__:
            return instance.__dict__[self._name]
        if type(instance)._ml_api_version() == 1:
            raise AttributeError(f"{type(instance).__name__!r} object has no {self._name!r}")
        return self._derive(instance)

    def __set__(self, instance: Any, value: Any) -> None:
        instance.__dict__[self._name] = value

    def __delete__(self, instance: Any) -> None:
        try:
            del instance.__dict__[self._name]
        except KeyError:
            raise AttributeError(self._name) from None


class TrainEvents:
    """The webhook actions that train a class unless it names its own."""

    #: Label Studio sends the plural forms for bulk changes, and START_TRAINING for its button; in
    #: 2022 it sent PROJECT_UPDATED for the button.
    V1 = (
        "ANNOTATION_CREATED",
        "ANNOTATION_UPDATED",
        "ANNOTATION_DELETED",
        "ANNOTATIONS_CREATED",
        "ANNOTATIONS_DELETED",
        "START_TRAINING",
        "PROJECT_UPDATED",
    )
    #: Models of API v2 read one annotation from the payload, which bulk events lack.
    V2 = ("ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATION_DELETED", "START_TRAINING")

    def __get__(self, instance: Any, owner: type) -> tuple[str, ...]:
        return self.V1 if owner._ml_api_version() == 1 else self.V2  # type: ignore[attr-defined]
