"""Compares two answers to the same request with a table of expected differences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from backends import Answer
from patterns import Expect
from reasons import Reason

Change = Callable[[Any], Any]
"""Makes our body out of upstream's, which it leaves as it is."""


@dataclass(frozen=True)
class Difference:
    """One row of the table."""

    upstream: Expect
    ours: Expect | Change
    """A change: all but what it changes is as in upstream's answer."""
    reason: Reason
    allow: tuple[str, ...] | None = None
    """Our Allow header, if it is another one."""


Table = dict[tuple[str, str], Difference]
"""(scenario, step) -> how the answers differ."""


def first_difference(left: object, right: object, where: str = "body") -> str:
    """Where two JSON values differ first; empty if they do not."""
    if isinstance(left, dict) and isinstance(right, dict):
        for key in sorted(left.keys() | right.keys(), key=str):
            if key not in left or key not in right:
                side = "ours" if key in right else "upstream"
                return f"{where}.{key} only in {side}"
            found = first_difference(left[key], right[key], f"{where}.{key}")
            if found:
                return found
        return ""
    if isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for index, (one, other) in enumerate(zip(left, right, strict=True)):
            found = first_difference(one, other, f"{where}[{index}]")
            if found:
                return found
        return ""
    if type(left) is type(right) and left == right:
        return ""
    return f"{where}: upstream {left!r:.200}, ours {right!r:.200}"


def compare(row: Difference | None, upstream: Answer, ours: Answer) -> str:
    """What is wrong with our answer to a step; empty if nothing is."""
    allow = row.allow if row is not None and row.allow is not None else upstream.allow
    if ours.allow != allow:
        return f"Allow: upstream {upstream.allow}, ours {ours.allow}"
    if unversioned := first_difference(with_versions(ours.body), ours.body):
        return f"a prediction without a version: {unversioned}"
    if ours.status >= 400 and ours.body and not ours.code:
        return "an error without a code"
    if row is None:
        return alike(upstream, ours, with_versions(upstream.body))
    if not alike(upstream, ours, with_versions(upstream.body)) and upstream.allow == ours.allow:
        return "the answers are alike, the row has become untrue"
    if isinstance(row.ours, Expect):
        return row.ours.mismatch(ours)
    return alike(upstream, ours, with_versions(row.ours(upstream.body)))


def alike(upstream: Answer, ours: Answer, body: object) -> str:
    """How our answer differs from upstream's, of which this is the body expected of ours."""
    if upstream.status != ours.status:
        return f"status: upstream {upstream.status}, ours {ours.status} with {ours.body!r:.300}"
    if upstream.media_type != ours.media_type:
        return f"media type: upstream {upstream.media_type!r}, ours {ours.media_type!r}"
    return first_difference(body, ours.body)


def with_versions(body: Any) -> Any:
    """The body with a version in each prediction that has none, or null."""

    def fill(item: Any) -> Any:
        if isinstance(item, list):
            return [fill(part) for part in item]
        if isinstance(item, dict):
            own = item.get("model_version")
            return {**item, "model_version": body.get("model_version") if own is None else own}
        return item

    if isinstance(body, dict) and isinstance(body.get("results"), list):
        return {**body, "results": fill(body["results"])}
    return body
