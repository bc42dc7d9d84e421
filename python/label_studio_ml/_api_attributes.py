"""Attributes of the base class that differ between API v1 and API v2.

API v2 derives them; in API v1 they are ordinary names, which a user's class may use for anything.
In both, a value that is assigned to an instance counts.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar

from label_studio_ml._media import label_studio_address

logger = logging.getLogger("label_studio_ml")


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


class OfSetup:
    """An attribute that API v1 assigns, from the /setup of which API v2 knows it; "" without one."""

    def __init__(self, field: str) -> None:
        self._field = field

    def __get__(self, instance: Any, owner: type | None = None) -> str:
        if instance is None:
            return ""
        known = instance._label_studio_of_setup or label_studio_address.current()
        return str(getattr(known, self._field))


class DefaultEvent(str):
    """A webhook action that a class did not name itself, but took from the base class.

    It stays one when it is copied into another tuple, list or set, whatever becomes of the rest.
    """

    __slots__ = ()


class DefaultEventOfV1(DefaultEvent):
    """A default that only API v1 has."""

    __slots__ = ()


class TrainEvents:
    """The webhook actions that train a class unless it names its own.

    The body of a class may name `LabelStudioMLBase.TRAIN_EVENTS` before anything can tell for which
    API the class is written. What it finds there are the defaults that either original had; what a
    class makes of them means the defaults of its own API, see `train_events`.
    """

    V2 = ("ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATION_DELETED", "START_TRAINING")
    #: The bulk forms that Label Studio sends, beside the action for one annotation. Models of API v2
    #: read one annotation from the payload, which bulk events lack.
    BULK: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "ANNOTATION_CREATED": "ANNOTATIONS_CREATED",
            "ANNOTATION_DELETED": "ANNOTATIONS_DELETED",
        }
    )
    #: In 2022 Label Studio sent it for its button, which is START_TRAINING now.
    BUTTON = "PROJECT_UPDATED"

    #: Those of both versions of the API.
    EITHER = (*map(DefaultEvent, V2), DefaultEventOfV1(BUTTON))

    def __get__(self, instance: Any, owner: type) -> tuple[str, ...]:
        # A class without a `fit` of its own may be the base of others, of any API.
        if instance is None and owner.fit is self._untrained:  # type: ignore[attr-defined]
            return self.EITHER
        return of_api(self.EITHER, owner._ml_api_version())  # type: ignore[attr-defined]

    def __set_name__(self, owner: type, name: str) -> None:
        self._untrained = owner.fit  # type: ignore[attr-defined]


def of_api(events: Iterable[str], api_version: int) -> tuple[str, ...]:
    """Return the actions in `events`, with the defaults among them as a version of the API has them.

    API v2 leaves out a default that only API v1 has; in API v1 a default brings its bulk form.
    """
    found: dict[str, None] = {}
    for event in events:
        is_foreign = api_version != 1 and isinstance(event, DefaultEventOfV1)
        if is_foreign or not isinstance(event, str):
            continue
        # Plain text: the members of an enumeration print otherwise.
        found[str.__str__(event)] = None
        if api_version == 1 and isinstance(event, DefaultEvent) and event in TrainEvents.BULK:
            found[TrainEvents.BULK[event]] = None
    return tuple(found)


def train_events(model: Any) -> tuple[str, ...]:
    """Return the actions that train a model, given an instance or a class.

    An attribute that is computed for an instance is computed for one that was not initialised. Raises
    TypeError if it is not a collection.
    """
    cls: Any = model if isinstance(model, type) else type(model)
    events = model.TRAIN_EVENTS
    if isinstance(events, property | cached_property):
        try:
            events = cls.__new__(cls).TRAIN_EVENTS
        except Exception as error:
            logger.warning(
                "%s.TRAIN_EVENTS needs an instance (%s: %s); the defaults are used",
                cls.__name__,
                type(error).__name__,
                error,
            )
            events = TrainEvents.EITHER
    # A text is one action: the original asks whether the action is in it.
    events = (events,) if isinstance(events, str) else () if events is None else events
    if not isinstance(events, Iterable):
        raise TypeError(f"{cls.__name__}.TRAIN_EVENTS must be names of actions, not {events!r}")
    return of_api(events, cls._ml_api_version())
