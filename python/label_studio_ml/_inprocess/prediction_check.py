"""The check of predictions in this process, with what the server tells of it: a warning for each mistake,
a header that counts, and `GET /diagnostics`.
"""

import json
import logging
from collections.abc import Mapping
from datetime import datetime, timezone
from threading import Lock
from typing import Any

from label_studio_ml import _native, api
from label_studio_ml._inspect.script import uses_context

logger = logging.getLogger("label_studio_ml")

#: The header that counts the places at which Label Studio would drop or hide something.
HEADER = "X-Prediction-Warnings"
#: Maximum number of different mistakes that are kept, as in the server.
_MAX_MISTAKES = 1000

#: By project, cause and subject: what `GET /diagnostics` lists.
_mistakes: dict[tuple[str, str, str], dict[str, Any]] = {}
_answers = {"checked": 0, "with_findings": 0}
_lock = Lock()


def check(response: Any, request: Any, label_config: Any, version: Any) -> Any:
    """Return a response to /predict, with the header if Label Studio would not show all of it.

    `label_config` is the one that the model was given, `version` what /setup tells; None where it is not
    known.
    """
    data = request.json
    tasks = data.get("tasks")
    about = (
        len(tasks) if isinstance(tasks, list) else 0,
        None if version is None else str(version),
        (data.get("params") or {}).get("context") is not None,
        uses_context(api.MODEL_CLASS),
    )
    found: dict[str, Any] = json.loads(
        _native.check_predictions(
            response.get_data(),
            request.get_data(),
            label_config if isinstance(label_config, str) else None,
            about,
        )
    )
    project = data.get("project")
    _note("" if project is None else str(project), found)
    if found["total"]:
        response.headers[HEADER] = str(found["total"])
    return response


def _note(project: str, found: Mapping[str, Any]) -> None:
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    with _lock:
        _answers["checked"] += 1
        _answers["with_findings"] += bool(found["total"])
        for finding in found["findings"]:
            key = (project, finding["cause"], finding.pop("subject"))
            is_note = finding.pop("is_note")
            if known := _mistakes.get(key):
                known |= {**finding, "answers": known["answers"] + 1, "last_seen": now}
            elif len(_mistakes) < _MAX_MISTAKES:
                logger.log(logging.INFO if is_note else logging.WARNING, "%s", finding["message"])
                times = {"answers": 1, "first_seen": now, "last_seen": now}
                _mistakes[key] = {"project": project, **finding, **times}


def diagnostics() -> dict[str, Any]:
    """Return what `GET /diagnostics` answers, in the form of the server."""
    with _lock:
        return {"answers": {**_answers}, "mistakes": [*_mistakes.values()], "strict": False}
