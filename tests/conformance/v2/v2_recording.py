"""The recorded answers of upstream d02cedf, and how ours are made comparable with them.

No registry has the upstream of API v2, so it was recorded once, with the model in `v2_probe.py`. The
recording has status, media type and body; of a traceback only that there was one.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
FIXTURE = ROOT / "tests" / "fixtures" / "v2_recorded_master.json"

#: Steps for a server with other options than the default.
OTHERWISE = ("auth ", "env auth ", "debug ")

#: Content types of requests whose recording names them.
CONTENT_TYPES = {"predict no json ctype": "text/plain", "predict no ctype": None}


@dataclass(frozen=True)
class Answer:
    """What came back; status None: nothing did."""

    status: int | None
    media_type: str
    body: Any


@dataclass(frozen=True)
class Step:
    """One request, and what upstream answered."""

    name: str
    method: str
    path: str
    body: bytes | None
    content_type: str | None
    answer: Answer


def load() -> list[Step]:
    """Every step that is a request to the server as it is by default."""
    steps = []
    for entry in json.loads(FIXTURE.read_text(encoding="utf-8")):
        name = entry["step"]
        if "request" not in entry or name.startswith(OTHERWISE):
            continue
        method, path, body = entry["request"][:3]
        raw = None if body is None else body.encode() if isinstance(body, str) else dumps(body)
        content_type = CONTENT_TYPES.get(name, "application/json") if raw is not None else None
        media_type = (entry.get("headers") or {}).get("Content-Type", "")
        answer = comparable(entry["status"], media_type, entry["body"])
        steps.append(Step(name, method, path, raw, content_type, answer))
    return steps


def dumps(body: Any) -> bytes:
    return json.dumps(body).encode()


def comparable(status: int | None, media_type: str, text: str) -> Answer:
    """An answer without what differs from run to run."""
    if status is None:
        return Answer(None, "", None)
    media_type = media_type.split(";")[0]
    body: Any = text
    if media_type == "application/json" and text:
        body = json.loads(whole(text, status))
        result = body.get("result") if isinstance(body, dict) else None
        if isinstance(result, dict):
            if result.pop("request_id", None):
                result.pop("task", None)
            if "traceback" in result:
                result["traceback"] = "<traceback>"
        if isinstance(body, dict) and isinstance(body.get("detail"), str):
            # Only the started server has codes; its test looks for them.
            body.pop("error_code", None)
            # The address of pydantic's documentation contains its version.
            body["detail"] = re.sub(r"pydantic\.dev/[0-9.]+/", "pydantic.dev/", body["detail"])
    return Answer(status, media_type, body)


def whole(text: str, status: int) -> str:
    """The body of an error whose long traceback was cut off in the recording."""
    begun, found, traceback = text.partition('"traceback":"')
    if found and not traceback.rstrip().endswith("}"):
        return f'{begun}{found}"}},"status":{status}}}'
    return text
