"""Calls `fit` with what its parameters take of what the API passes.

The two APIs pass different things in a different order, and models name them freely. So each thing goes
first to the parameter that bears its name, then to the place where the API passes it. The name of an
event never stands where a model expects tasks, nor tasks where it expects the event.
"""

import inspect
from collections.abc import Callable, Mapping
from inspect import BoundArguments, Parameter, Signature
from typing import Any

#: What models call the things that a call passes.
_WORDS = {
    "event": ("event", "action", "event_name", "event_type", "webhook_event"),
    "data": ("data", "payload", "body", "event_data", "webhook_data"),
    "tasks": ("tasks", "completions", "annotations", "items", "data_iter"),
    "workdir": ("workdir",),
    "job_id": ("job_id",),
}
#: Models may call tasks data, and the payload annotations, as long as nothing else is meant.
_ALIKE = ({"data", "tasks"},)
_BY_PLACE = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


def on_event(fit: Callable[..., Any], event: str, data: Any) -> Any:
    """Call `fit` of API v2, which is `fit(event, data, **kwargs)`, on an event of Label Studio.

    Raises TypeError if it takes neither the event nor its data.
    """
    return _Call(fit, {"event": event, "data": data}, {}).made_for_event()


def on_event_with(fit: Callable[..., Any], event: str, data: Any, more: Mapping[str, Any]) -> Any:
    """Call `fit` of API v2 on an event with further keyword arguments, as `process_event` does."""
    given = {"event": event, "data": data, **more}
    return _Call(fit, {}, given).made_for_event()


def on_event_of_v1(fit: Callable[..., Any], event: str, data: Any, more: Mapping[str, Any]) -> Any:
    """Call `fit` of API v1, which is `fit(tasks, workdir=None, **kwargs)`, on an event without tasks."""
    given = {"event": event, "data": data, **more}
    return _Call(fit, {"tasks": ()}, given).made_for_event()


def on_tasks(fit: Callable[..., Any], tasks: Any, workdir: Any, params: Mapping[str, Any]) -> Any:
    """Call `fit` of API v1 on annotated tasks, with the `params` of a request to /train.

    Raises TypeError if it takes no tasks, or not one of the `params`.
    """
    call = _Call(fit, {"tasks": tasks, "workdir": workdir}, dict(params))
    if call.signature is not None and (unknown := set(params) - call.delivered):
        shown = ", ".join(sorted(map(str, unknown)))
        raise TypeError(f"{call.shown} does not take these params of the request: {shown}")
    return call.made_for_tasks()


class _Call:
    """A call of `fit`: what the API passes by place and by name, and which parameter gets it."""

    def __init__(
        self, fit: Callable[..., Any], by_place: Mapping[str, Any], by_name: Mapping[str, Any]
    ) -> None:
        self._fit = fit
        self._by_place, self._by_name = by_place, by_name
        self._values = {**by_name, **by_place}
        self.delivered: set[str] = set()
        self._arguments: dict[str, Any] = {}
        self.signature = _signature(fit)
        if self.signature is not None:
            self._bind(list(self.signature.parameters.values()))

    @property
    def shown(self) -> str:
        return f"fit{self.signature}"

    def made_for_event(self) -> Any:
        """Make the call. Raises TypeError if neither the event nor its data reach `fit`."""
        if self.signature is not None and not self.delivered & {"event", "data"}:
            raise TypeError(
                f"{self.shown} takes neither an event nor its data, so a webhook cannot train it; "
                "give it the parameters `event` and `data`, or **kwargs"
            )
        return self._made()

    def made_for_tasks(self) -> Any:
        """Make the call. Raises TypeError if the tasks do not reach `fit`."""
        if self.signature is not None and "tasks" not in self.delivered:
            raise TypeError(f"{self.shown} takes no tasks, so /train cannot train it")
        return self._made()

    def _made(self) -> Any:
        if self.signature is None:
            # A builtin does not tell its parameters.
            return self._fit(*self._by_place.values(), **self._by_name)
        bound = BoundArguments(self.signature, self._arguments)
        if any(one.kind is Parameter.POSITIONAL_ONLY for one in self.signature.parameters.values()):
            # What stands in front of another one by place alone cannot be left out.
            bound.apply_defaults()
        return self._fit(*bound.args, **bound.kwargs)

    def _bind(self, parameters: list[Parameter]) -> None:
        named = [one for one in parameters if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]
        any_name = next((one.name for one in parameters if one.kind is one.VAR_KEYWORD), None)
        any_place = next((one.name for one in parameters if one.kind is one.VAR_POSITIONAL), None)
        for parameter in named:
            self._give(parameter, parameter.name)
        for place, parameter in enumerate(named):
            # A parameter that may be left out can mean something else where `**kwargs` takes the rest.
            if any_name is None or parameter.default is parameter.empty or place == 0:
                self._give(parameter, _meaning(parameter.name))
        placed = [one for one in named if one.kind in _BY_PLACE]
        for parameter, role in zip(placed, self._by_place, strict=False):
            if self._may_mean(parameter, role):
                self._give(parameter, role)
        for parameter in placed:
            if parameter.default is parameter.empty and not _meaning(parameter.name):
                rest = (one for one in ("event", "data") if self._is_left(one))
                self._give(parameter, next(rest, ""))
        for parameter in placed:
            if parameter.default is parameter.empty and _meaning(parameter.name) == "tasks":
                # An event of API v2 comes without tasks.
                self._arguments.setdefault(parameter.name, ())
        self._give_rest(placed, any_place, any_name)

    def _give_rest(
        self, placed: list[Parameter], any_place: str | None, any_name: str | None
    ) -> None:
        is_filled = all(parameter.name in self._arguments for parameter in placed)
        if any_place is not None and is_filled:
            rest = [role for role in self._by_place if self._is_left(role)]
            self._arguments[any_place] = tuple(self._values[role] for role in rest)
            self.delivered.update(rest)
        if any_name is not None:
            # An event has no tasks to tell of.
            nothing = {"tasks"} if self._values.get("tasks") == () else set()
            rest = [role for role in self._values if self._is_left(role) and role not in nothing]
            self._arguments[any_name] = {role: self._values[role] for role in rest}
            self.delivered.update(rest)

    def _may_mean(self, parameter: Parameter, role: str) -> bool:
        """Tell whether a parameter, by its name, can stand for what is passed at its place."""
        meaning = _meaning(parameter.name)
        if meaning in ("", role):
            return True
        return meaning not in self._values and {meaning, role} in _ALIKE

    def _is_left(self, role: str) -> bool:
        return role in self._values and role not in self.delivered

    def _give(self, parameter: Parameter, role: str) -> None:
        if parameter.name not in self._arguments and self._is_left(role):
            self._arguments[parameter.name] = self._values[role]
            self.delivered.add(role)


def _meaning(name: str) -> str:
    return next((role for role, words in _WORDS.items() if name in words), "")


def _signature(fit: Callable[..., Any]) -> Signature | None:
    try:
        return inspect.signature(fit)
    except (TypeError, ValueError):
        return None
