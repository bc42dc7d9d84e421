"""Every intended difference between upstream 1.0.4 and our server, with its reason.

It is the table of 1.0.9 without the changes of that release: /versions, `v2` in /health,
PROJECT_UPDATED, and the switch between the two designs, with which /train and /is_training failed.
"""

from __future__ import annotations

from dataclasses import replace

from asking import (
    CONFIG,
)
from comparison import Difference, Table
from differences import (
    DIFFERENCES,
    HEALTH,
    QUEUED,
    trained_by_an_event,
)
from patterns import Expect, failed, html, ok, predicted, with_config
from reasons import (
    BROKEN_SWITCH,
    EVERY_EVENT,
    NO_PROJECT_UPDATED_YET,
    NO_V2_YET,
    NO_VERSIONS_YET,
)
from scenarios import (
    SCENARIOS,
)

OLDER_DIFFERENCES: Table = dict(DIFFERENCES)

# No /versions.
for _scenario in SCENARIOS:
    for _step in _scenario.steps:
        if _step.request.path == "/versions":
            _key = (_scenario.name, _step.name)
            _absent = Expect(404, "") if _step.request.method == "HEAD" else html(404)
            OLDER_DIFFERENCES[_key] = replace(
                DIFFERENCES[_key], upstream=_absent, reason=NO_VERSIONS_YET
            )

# No `v2`.
_OLD_HEALTH = ok({"model_dir": "<model_dir>", "status": "UP"})
for _key in (
    ("service", "root"),
    ("service", "health"),
    ("service", "health with a query"),
    ("events design", "health"),
    ("two slashes", "health"),
):
    OLDER_DIFFERENCES[_key] = Difference(_OLD_HEALTH, ok(HEALTH), NO_V2_YET)

# PROJECT_UPDATED starts no training.
_EVENT = ("event PROJECT_UPDATED", "predict")
OLDER_DIFFERENCES[_EVENT] = Difference(
    ok(with_config(CONFIG, train_output={})),
    ok(predicted(CONFIG, trained_by_an_event("PROJECT_UPDATED", {}))),
    EVERY_EVENT & NO_PROJECT_UPDATED_YET,
)

# The second design: no model before /setup, so nothing is trained; a model after it, which is
# looked up as if it were a table of models.
_NO_TABLE = failed("TypeError: argument of type 'ModelWrapper' is not iterable")
del OLDER_DIFFERENCES["events design", "is_training before setup"]
OLDER_DIFFERENCES["events design", "is_training"] = Difference(
    _NO_TABLE,
    ok({"is_training": False, "backend": "none", "model_version": "<version>"}),
    BROKEN_SWITCH,
)
OLDER_DIFFERENCES["events design", "train"] = Difference(_NO_TABLE, QUEUED, BROKEN_SWITCH)

# /setup does not look at `model_version`.
OLDER_DIFFERENCES["pinned version", "predict with it"] = OLDER_DIFFERENCES[
    "pinned version", "predict with the newest"
]
