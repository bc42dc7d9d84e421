"""Judges objects that a file may serve, without calling them."""

import functools
import inspect
import types
from collections.abc import Iterable, Iterator
from typing import Any

#: Maximum number of objects that are followed from an app.
_FOLLOWED = 5000
#: Packages whose objects are callable, and are command lines.
_COMMAND_LINES = {"click", "typer", "fire", "cyclopts", "cleo", "invoke"}
#: Packages whose apps are served by their own protocol.
_OWN_PROTOCOLS = {"aiohttp", "sanic", "tornado", "twisted"}


def leads_to(app: Any, wanted: Iterable[Any]) -> bool:
    """Return whether `app` is one of `wanted`, or holds one of them, however deep."""
    goals = {id(one) for one in wanted}
    seen: set[int] = set()
    waiting = [app]
    while waiting and len(seen) < _FOLLOWED:
        one = waiting.pop(0)
        if id(one) in goals:
            return True
        if id(one) not in seen:
            seen.add(id(one))
            waiting.extend(_held_by(one))
    return False


def _held_by(one: Any) -> Iterator[Any]:
    if one is None or isinstance(one, (str, bytes, int, float, types.ModuleType, type)):
        return
    if isinstance(one, types.FunctionType):
        names = set(one.__code__.co_names)
        yield from (value for name, value in one.__globals__.items() if name in names)
        yield from one.__defaults__ or ()
        for cell in one.__closure__ or ():
            try:
                yield cell.cell_contents
            except ValueError:
                # The variable has no value yet.
                continue
    elif isinstance(one, types.MethodType):
        yield one.__self__
        yield one.__func__
    elif isinstance(one, functools.partial):
        yield from (one.func, *one.args, *one.keywords.values())
    elif isinstance(one, dict):
        yield from list(one.values())
    elif isinstance(one, (list, tuple, set, frozenset)):
        yield from list(one)
    else:
        try:
            yield from list(vars(one).values())
        except TypeError:
            # It has no attributes.
            return
        yield _call_of(one)


def not_served_because(app: Any) -> str | None:
    """Return why no WSGI server could serve `app`, if it is an app of another kind."""
    while isinstance(app, functools.partial):
        app = app.func
    kind = f"{type(app).__module__}.{type(app).__qualname__}"
    if inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(_call_of(app)):
        return f"is an app of ASGI ({kind})"
    if _package(type(app)) in _OWN_PROTOCOLS:
        return f"is not a WSGI app ({kind})"
    return None


def may_be_wsgi(app: Any) -> bool:
    """Return whether `app` can be called as a WSGI app is, and is not something else by its kind."""
    if not callable(app) or isinstance(app, (type, types.ModuleType)):
        return False
    if any(_package(kind) in _COMMAND_LINES for kind in type(app).__mro__):
        return False
    try:
        inspect.signature(app).bind({}, print)
    except TypeError:
        return False
    except ValueError:
        # A callable of C without a signature.
        return True
    return True


def _call_of(one: Any) -> Any:
    """Return the function that runs when `one` is called, if its class has one."""
    return next(
        (vars(kind)["__call__"] for kind in type(one).__mro__ if "__call__" in vars(kind)), None
    )


def _package(kind: type) -> str:
    return kind.__module__.partition(".")[0]
