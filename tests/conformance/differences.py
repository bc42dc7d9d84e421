"""Every intended difference between upstream 1.0.9 and our server, with its reason.

A step of a scenario that is not in this table must be answered alike by both.  A step that is in
it must be answered by each as the row says, so a row that has become untrue fails too.

What is never compared, because it differs between any two runs or is free by design: the value
of a version (upstream names an untrained model by the clock in one mode and INITIAL in the other,
ours is INITIAL until trained, then digits) and whether it is a number or a string; job ids; a
prediction's own `model_version` where it repeats the answer's; `request_id` in an error; all but
the last line of a traceback; the order of keys and the white space of JSON.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from backends import NO_ANSWER, Answer
from scenarios import CONFIG, OTHER_CONFIG, OTHER_EVENTS, ROUTES, SETUP, TRAINING_EVENTS

Pattern = Any
"""A plain value stands for itself, a function for what it accepts."""


@dataclass(frozen=True)
class Expect:
    """The statuses and the body that an answer may have."""

    statuses: tuple[int, ...]
    body: Pattern

    def mismatch(self, answer: Answer) -> str:
        """What is wrong with the answer; empty if nothing is."""
        if answer.status not in self.statuses:
            return f"status {answer.status}, expected {self.statuses}"
        return "" if accepts(self.body, answer.body) else f"body {answer.body!r:.600}"


@dataclass(frozen=True)
class Difference:
    """One row of the table."""

    upstream: Expect
    ours: Expect
    reason: str
    same_allow: bool = True
    """Whether the Allow header is still the same."""


def accepts(pattern: Pattern, value: Any) -> bool:
    """Whether a value is what the pattern describes."""
    return bool(pattern(value)) if callable(pattern) else bool(pattern == value)


def anything(_value: Any) -> bool:
    """Any body."""
    return True


def text(value: Any) -> bool:
    """A text that is not empty."""
    return isinstance(value, str) and bool(value)


def has(**members: Pattern) -> Callable[[Any], bool]:
    """An object with at least these members."""
    return lambda value: (
        isinstance(value, dict)
        and all(key in value and accepts(pattern, value[key]) for key, pattern in members.items())
    )


def each(pattern: Pattern) -> Callable[[Any], bool]:
    """A list, not empty, of nothing else."""
    return lambda value: (
        isinstance(value, list) and bool(value) and all(accepts(pattern, i) for i in value)
    )


def echoing(**members: Pattern) -> Callable[[Any], bool]:
    """Predictions of the echo model that show at least this."""
    return has(results=each(has(echo=has(**members))))


def ok(body: Pattern) -> Expect:
    """A 200."""
    return Expect((200,), body)


def html(status: int) -> Expect:
    """A page, of werkzeug's or of Flask's making."""
    return Expect((status,), lambda body: isinstance(body, str) and "<" in body)


def error(*statuses: int) -> Expect:
    """An error in the JSON form that both servers use."""
    return Expect(statuses, has(detail=text, status=lambda value: value in statuses))


HOST, TOKEN = SETUP["hostname"], SETUP["access_token"]
UPSTREAM_ERROR = error(500)
ACCEPTED = Expect((201,), {"job_id": "<id>"})
TRAINED = Expect((201,), {})
QUEUED = Expect((201,), has(job="<id>"))

BAD_INPUT = "a request that is wrong is told so; 500 is kept for failures of the server's side"
JSON_ERRORS = "errors have the same JSON form on every path"
CREDENTIALS = "host name and token of the newest /setup reach every instance of the project"
CONFIGS = "an edited labelling config takes effect without a restart"
ASYNC = "training runs in its own process, so that nobody waits for it and no predict is slowed"
EVERY_EVENT = "bulk and button events of today's Label Studio train as well"
NO_EVENT = "an event that trains nobody makes no job"
SWITCH = "`v2` is the switch between the two designs of 1.0.9; ours serves both at once"
VERSIONS_GET = "today's Label Studio asks with GET"

DIFFERENCES: dict[tuple[str, str], Difference] = {}
"""(scenario, step) -> how the answers differ."""


def differ(
    scenario: str, step: str, upstream: Expect, ours: Expect, reason: str, **options: bool
) -> None:
    """Add a row."""
    key = (scenario, step)
    assert key not in DIFFERENCES, key
    DIFFERENCES[key] = Difference(upstream, ours, reason, **options)


def versions(scenario: str, count: int, step: str = "versions") -> None:
    """Add a row for the list of versions."""
    listed = ["<version>"] * count
    old = {"model_dir": "<model_dir>", "v2": "", "versions": listed}
    differ(scenario, step, ok(old), ok(has(model_dir="<model_dir>", versions=listed)), SWITCH)


# Health, methods, paths.
_OLD_HEALTH = ok({"model_dir": "<model_dir>", "status": "UP", "v2": ""})
for _step in ("root", "health", "health with a query"):
    differ("service", _step, _OLD_HEALTH, ok(has(model_dir="<model_dir>", status="UP")), SWITCH)
differ("service", "metrics", ok({}), ok(text), "metrics in the text form of Prometheus")
for _step in ("unknown path", "unknown path, POST", "trailing slash", "favicon"):
    differ("service", _step, html(404), error(404), JSON_ERRORS)
for _path, _method in ROUTES.items():
    for _wrong in ("POST" if _method == "GET" else "GET", "DELETE"):
        if f"{_wrong} {_path}" != "GET /versions":
            differ(
                "service",
                f"{_wrong} {_path}",
                html(405),
                error(405),
                JSON_ERRORS,
                same_allow=_path != "/versions",
            )
_LIST = ok(has(versions=lambda value: isinstance(value, list)))
differ("service", "GET /versions", html(405), _LIST, VERSIONS_GET, same_allow=False)
differ("service", "HEAD /versions", Expect((405,), ""), ok(""), VERSIONS_GET, same_allow=False)
differ("service", "OPTIONS /versions", ok(""), ok(""), VERSIONS_GET, same_allow=False)

# What the instance knows.
versions("before setup", 0)
differ(
    "before setup",
    "instance after setup",
    ok(echoing(calls=4, hostname="", access_token="")),
    ok(echoing(calls=1, hostname=HOST, access_token=TOKEN)),
    CREDENTIALS,
)
for _step, _calls in (("instance, force_reload", 1), ("instance, force_reload false", 2)):
    differ(
        "after setup",
        _step,
        ok(echoing(calls=_calls, hostname="", access_token="")),
        ok(echoing(calls=_calls, hostname=HOST, access_token=TOKEN)),
        CREDENTIALS,
    )
versions("after setup", 0)
differ(
    "token change",
    "instance after it",
    ok(echoing(calls=2, hostname=HOST, access_token=TOKEN)),
    ok(echoing(calls=1, hostname="http://other", access_token="b-token")),
    CREDENTIALS,
)
for _step in ("predict with another config", "predict after it"):
    differ(
        "config change",
        _step,
        ok(echoing(label_config=CONFIG)),
        ok(echoing(label_config=OTHER_CONFIG)),
        CONFIGS,
    )
differ(
    "leaving",
    "exit",
    Expect((NO_ANSWER,), None),
    error(500),
    "a model that leaves is an error like any other: its request is answered",
)

# Training.
for _scenario, _step in (
    ("training", "train"),
    ("training", "train again"),
    ("training", "another config"),
    ("train first", "train"),
    ("failed training", "train"),
    ("empty training", "train"),
):
    differ(_scenario, _step, TRAINED, QUEUED, ASYNC)
for _step in ("fit raises", "fit raises again", "fit returns a set"):
    differ("failed training", _step, UPSTREAM_ERROR, QUEUED, ASYNC)
differ(
    "training",
    "instance",
    ok(echoing(hostname="", access_token="")),
    ok(echoing(hostname=HOST, access_token=TOKEN)),
    CREDENTIALS,
)
versions("training", 1)
versions("training", 2, "two versions")
versions("failed training", 1)
versions("empty training", 1)

# Bad input.
for _path in ("/setup", "/predict", "/train", "/versions", "/webhook"):
    _upstream = html(500) if _path == "/webhook" else UPSTREAM_ERROR
    for _step in ("broken JSON", "no JSON", "invalid UTF-8", "trailing garbage"):
        _old = html(400) if _path == "/webhook" else UPSTREAM_ERROR
        differ(f"bad input {_path}", _step, _old, error(400), BAD_INPUT)
    differ(f"bad input {_path}", "empty body", _upstream, error(400, 415), BAD_INPUT)
    for _step in ("a form", "plain text", "no content type"):
        differ(f"bad input {_path}", _step, _upstream, error(415), BAD_INPUT)
    for _step in ("a list", "null", "a string", "a number"):
        differ(f"bad input {_path}", _step, _upstream, error(400, 422), BAD_INPUT)
for _step in (
    "setup {}",
    "setup, no project",
    "setup, project null",
    "predict {}",
    "predict, no project",
    "predict, no tasks",
    "predict, tasks null",
    "predict, tasks a string",
    "predict, params a string",
    "predict, params a list",
    "train, no annotations",
    "train, annotations null",
    "train, no project",
):
    differ("missing fields", _step, UPSTREAM_ERROR, error(400, 422), BAD_INPUT)
differ("missing fields", "webhook {}", html(500), error(400, 422), BAD_INPUT)
differ("missing fields", "setup, broken schema", UPSTREAM_ERROR, error(400, 422, 500), BAD_INPUT)
for _step in ("setup, project a number", "predict, project a number"):
    differ(
        "missing fields",
        _step,
        UPSTREAM_ERROR,
        Expect((200, 400, 422), anything),
        "a project may be a number, or the request is wrong; it is no failure of the server",
    )
differ(
    "missing fields",
    "train, params null",
    UPSTREAM_ERROR,
    Expect((201, 400, 422), anything),
    "null says that there are no params, as it does for /predict",
)
differ(
    "missing fields",
    "versions {}",
    Expect((400,), "No project provided"),
    Expect((200, 400), anything),
    VERSIONS_GET,
)

# Events.  The answer to one may say more than the id of its job.
_MORE = "the answer may tell more than the job's id, under further keys"
for _action in TRAINING_EVENTS:
    differ(f"event {_action}", _action, ACCEPTED, Expect((201,), has(job_id="<id>")), _MORE)
_TRAINING_TOO = ("START_TRAINING", "ANNOTATIONS_CREATED", "ANNOTATIONS_DELETED")
for _action in OTHER_EVENTS:
    if _action in _TRAINING_TOO:
        differ(f"event {_action}", _action, ACCEPTED, Expect((201,), has(job_id="<id>")), _MORE)
        differ(
            f"event {_action}",
            "predict",
            ok(echoing(train_output={})),
            ok(echoing(train_output=has(given=["data", "event", "job_id"], workdir=True))),
            EVERY_EVENT,
        )
    else:
        differ(f"event {_action}", _action, ACCEPTED, Expect((200, 201), has()), NO_EVENT)
for _scenario, _step in (
    ("event, fit raises", "ANNOTATION_CREATED"),
    ("event, fit raises after a good one", "ANNOTATION_CREATED"),
    ("event, fit raises after a good one", "ANNOTATION_UPDATED"),
    ("event, fit returns nothing after a good one", "ANNOTATION_CREATED"),
    ("event, fit returns nothing after a good one", "ANNOTATION_UPDATED"),
    ("event, skipped task", "ANNOTATION_CREATED"),
    ("event first", "ANNOTATION_CREATED"),
):
    differ(_scenario, _step, ACCEPTED, Expect((201,), has(job_id="<id>")), _MORE)
