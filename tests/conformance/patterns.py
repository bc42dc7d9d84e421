"""Patterns for expected answers, and the answers of the echo model.

A plain value matches itself, a function matches what it accepts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from asking import (
    CONFIG,
    NOBODY,
    OTHER_CONFIG,
    PREDICT,
    TRAIN,
)
from backends import VERSION, Answer

Pattern = Any
"""A plain value, or a function that tells whether a value will do."""


def accepts(pattern: Pattern, value: Any) -> bool:
    """Whether a value is what the pattern describes."""
    return bool(pattern(value)) if callable(pattern) else bool(pattern == value)


def number(value: Any) -> bool:
    """An integer."""
    return isinstance(value, int) and not isinstance(value, bool)


def saying(*words: str) -> Callable[[Any], bool]:
    """A text with all of these words."""
    return lambda value: isinstance(value, str) and all(word in value for word in words)


def has(**members: Pattern) -> Callable[[Any], bool]:
    """An object with at least these members."""
    return lambda value: (
        isinstance(value, dict)
        and all(key in value and accepts(pattern, value[key]) for key, pattern in members.items())
    )


def exactly(**members: Pattern) -> Callable[[Any], bool]:
    """An object with these members and no others."""
    some = has(**members)
    return lambda value: some(value) and value.keys() == members.keys()


def each(pattern: Pattern) -> Callable[[Any], bool]:
    """A list, not empty, of nothing else."""
    return lambda value: (
        isinstance(value, list) and bool(value) and all(accepts(pattern, i) for i in value)
    )


def in_order(patterns: Iterable[Pattern]) -> Callable[[Any], bool]:
    """A list of these."""
    items = list(patterns)
    return lambda value: (
        isinstance(value, list)
        and len(value) == len(items)
        and all(accepts(pattern, item) for pattern, item in zip(items, value, strict=True))
    )


def echoing(**members: Pattern) -> Callable[[Any], bool]:
    """Predictions of the echo model that show at least this."""
    return has(results=each(has(echo=has(**members))))


def _control(to_name: str, *labels: str) -> dict[str, Any]:
    return {
        "type": "Choices",
        "to_name": [to_name],
        "inputs": [{"type": "Text", "value": "text"}],
        "labels": [*labels],
        "labels_attrs": {label: {"value": label} for label in labels},
    }


def _region(name: str, control: dict[str, Any]) -> dict[str, Any]:
    value = {"choices": control["labels"][:1]}
    return {"from_name": name, "to_name": control["to_name"][0], "type": "choices", "value": value}


_PARSED = {
    CONFIG: {"mood": _control("text", "Good", "Bad")},
    OTHER_CONFIG: {"topic": _control("review", "Price", "Size")},
}
_REGIONS = {
    config: [_region(name, control) for name, control in parsed.items()]
    for config, parsed in _PARSED.items()
}


def with_config(
    config: str, more: Mapping[str, Pattern] | None = None, **members: Pattern
) -> Callable[[Any], bool]:
    """Predictions of the echo model that follow this labelling config, and show at least this.

    `more` is what stands beside the echo.
    """
    return has(
        results=each(
            has(
                result=_REGIONS[config],
                echo=has(label_config=config, parsed_label_config=_PARSED[config], **members),
                **(more or {}),
            )
        )
    )


def predicted(
    config: str, train_output: Pattern, kwargs: Pattern = NOBODY
) -> Callable[[Any], bool]:
    """All that our server answers to `PREDICT` and the like."""
    return exactly(
        model_version=VERSION,
        results=in_order(
            exactly(
                model_version=VERSION,
                result=_REGIONS[config],
                score=0.5,
                echo=exactly(
                    data=task["data"],
                    task_keys=sorted(task),
                    kwargs=kwargs,
                    label_config=config,
                    parsed_label_config=_PARSED[config],
                    train_output=train_output,
                ),
            )
            for task in PREDICT["tasks"]
        ),
    )


def learned(config: str, before: Pattern) -> Callable[[Any], bool]:
    """What fit returns from `TRAIN` and the like."""
    tasks = TRAIN["annotations"]
    return exactly(
        texts=[task["data"]["text"] for task in tasks],
        labels=[task["annotations"][0]["result"] for task in tasks],
        params=TRAIN["params"],
        workdir=True,
        before=before,
        config=config,
        **{"7": "an integer key"},
    )


# Patterns for a whole answer.


@dataclass(frozen=True)
class Expect:
    """The status and the body that an answer must have."""

    status: int
    body: Pattern

    def mismatch(self, answer: Answer) -> str:
        """What is wrong with the answer; empty if nothing is."""
        if answer.status != self.status:
            return f"status {answer.status}, expected {self.status}; body {answer.body!r:.300}"
        return "" if accepts(self.body, answer.body) else f"body {answer.body!r:.900}"


def ok(body: Pattern) -> Expect:
    """A 200."""
    return Expect(200, body)


def html(status: int) -> Expect:
    """A page, of werkzeug's or of Flask's making."""
    return Expect(status, lambda body: isinstance(body, str) and "<" in body)


def failed(*words: str, status: int = 500) -> Expect:
    """A failure in the JSON form that both servers use, with a traceback."""
    return Expect(
        status,
        exactly(
            detail=saying(*words),
            request=has(),
            result=exactly(traceback=saying("<traceback> ")),
            status=status,
        ),
    )


def refused(status: int, *words: str) -> Expect:
    """A refusal of ours: the same form, no traceback, and a detail that names what is wrong."""
    return Expect(status, exactly(detail=saying(*words), request={}, result={}, status=status))
