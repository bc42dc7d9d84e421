"""The codes of docs/errors.md, and the form that every error has."""

from __future__ import annotations

import json
import re
from typing import Any

from hosting import ROOT

#: The status of each code, as the page says it.
STATUSES: dict[str, str] = dict(
    re.findall(r"^\| `(\w+)` \| ([\d–]+) \|", (ROOT / "docs" / "errors.md").read_text(), re.M)
)


def read_error(status: int, content: bytes | str) -> dict[str, Any]:
    """Return the body of an answer, which must be an error of the page."""
    body: dict[str, Any] = json.loads(content)
    assert list(body) == ["detail", "error_code", "request", "result", "status"], body
    assert body["status"] == status
    assert body["detail"]
    lowest, _, highest = STATUSES[body["error_code"]].partition("–")
    assert int(lowest) <= status <= int(highest or lowest), body
    return body
