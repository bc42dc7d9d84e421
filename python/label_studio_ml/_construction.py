"""What the server knows of an instance while it is made, and what stays known of it.

A constructor need not take all of it, nor pass it on to the base class: that finds here what it was not
given. So models whose constructor is older than an argument, or of the other API, lack nothing.
"""

from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, NamedTuple

from label_studio_ml._media import label_studio_address
from label_studio_ml._media.label_studio_address import Connection


class Origin(NamedTuple):
    """For whom and from what an instance is made; None for what is not known."""

    model_class: Any = None
    #: As it comes in a request, `2.1795430965`.
    project: str | None = None
    label_config: str | None = None
    train_output: Any = None
    #: The version that the instance is.
    model_version: str | None = None

    @property
    def project_id(self) -> str:
        return (self.project or "").partition(".")[0]


_NOTHING = Origin()
_current: ContextVar[Origin] = ContextVar("origin_of_instance", default=_NOTHING)


def origin_of(instance: Any) -> Origin:
    """Return what is known of an instance, also of one that is being made."""
    kept = vars(instance).get("_origin")
    if isinstance(kept, Origin):
        return kept
    current = _current.get()
    # A model may make others in its constructor, which are not what was asked for.
    return current if type(instance) is current.model_class else _NOTHING


def made(make: Callable[[], Any], origin: Origin, connection: Connection | None = None) -> Any:
    """Return the model that `make` makes, of which `origin` is known from now on.

    With a `connection` it knows Label Studio's address and token, see `label_studio_address.made`. A
    model of API v2 whose base class got no labelling config uses that of the origin.
    """
    token = _current.set(origin)
    try:
        instance = make() if connection is None else label_studio_address.made(make, connection)
    finally:
        _current.reset(token)
    with suppress(AttributeError):  # a class with slots, or not a model
        instance._origin = origin
    if origin.label_config and _lacks_config(instance):
        # As the original did, whose constructor took no labelling config at first.
        instance.use_label_config(origin.label_config)
    return instance


def _lacks_config(instance: Any) -> bool:
    version = getattr(type(instance), "_ml_api_version", None)
    return version is not None and version() == 2 and "_own_label_config" not in vars(instance)


def construct(
    kwargs: dict[str, Any], connection: tuple[str, str] | None, origin: tuple[Any, ...]
) -> Any:
    """Make an instance for the server: `connection` is address and token, `origin` the known fields."""
    known = Origin(*origin)
    at = None if connection is None else Connection(*connection)
    return made(lambda: known.model_class(**kwargs), known, at)
