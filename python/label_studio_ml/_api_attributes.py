"""Attributes of the base class that the two generations of the API understand differently.

Generation 2 derives them; for generation 1 they are ordinary names, which a user's class may use
for whatever it likes. In both, what is assigned to an instance counts.
"""

from collections.abc import Callable
from typing import Any


class Managed:
    """Makes an attribute of a function that derives it for generation 2."""

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
        if type(instance)._api_generation() == 1:
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
    """The webhook actions that train a class which names none itself."""

    #: Label Studio sends the plural forms for bulk changes, START_TRAINING for its button, and
    #: (2022) PROJECT_UPDATED for the same button.
    FIRST = (
        "ANNOTATION_CREATED",
        "ANNOTATION_UPDATED",
        "ANNOTATION_DELETED",
        "ANNOTATIONS_CREATED",
        "ANNOTATIONS_DELETED",
        "START_TRAINING",
        "PROJECT_UPDATED",
    )
    #: Models of generation 2 read one annotation out of the payload, which bulk events lack.
    SECOND = ("ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATION_DELETED", "START_TRAINING")

    def __get__(self, instance: Any, owner: type) -> tuple[str, ...]:
        return self.FIRST if owner._api_generation() == 1 else self.SECOND  # type: ignore[attr-defined]
