"""Every intended difference between upstream 1.0.9 and our server, with its reason.

A step of a scenario that is not in this table must be answered alike by both.  A step that is in
it must be answered by each as the row says, and not alike, so a row that has become untrue fails
too.

One difference is everywhere and has no rows: each prediction whose `model_version` is absent or
null gets that of the answer (`with_versions`), so that Label Studio files it under the version that made it, even
when a new one is published between its /setup and its /predict.

What is never compared, because it differs between any two runs or is free by design: the value
of a version (upstream names an untrained model by the clock in one mode and INITIAL in the other,
ours is INITIAL until trained, then digits) and whether it is a number or a string; job ids;
`request_id` in an error; all but the last line of a traceback; the order of keys and the white
space of JSON.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from backends import ID, NO_ANSWER, VERSION, Answer
from scenarios import (
    CONFIG,
    NOBODY,
    OTHER_CONFIG,
    OTHER_EVENTS,
    PREDICT,
    ROUTES,
    SETUP,
    TRAIN,
    TRAINING_EVENTS,
)

Pattern = Any
"""A plain value stands for itself, a function for what it accepts."""
Change = Callable[[Any], Any]
"""Makes our body out of upstream's, which it leaves as it is."""


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


@dataclass(frozen=True)
class Difference:
    """One row of the table."""

    upstream: Expect
    ours: Expect | Change
    """A change: all but what it changes is as in upstream's answer."""
    reason: str
    allow: tuple[str, ...] | None = None
    """Our Allow header, if it is another one."""


# Patterns.


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


def with_config(config: str, **members: Pattern) -> Callable[[Any], bool]:
    """Predictions of the echo model that follow this labelling config, and show at least this."""
    return has(
        results=each(
            has(
                result=_REGIONS[config],
                echo=has(label_config=config, parsed_label_config=_PARSED[config], **members),
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


# What an answer as a whole may be.


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


HOST, TOKEN = SETUP["hostname"], SETUP["access_token"]
ACCEPTED = Expect(201, {"job_id": ID})
TRAINED = Expect(201, {})
QUEUED = Expect(201, {"job": ID, "job_id": ID, "status": "queued"})
IGNORED = exactly(status="ignored", detail=saying("does not train"))


# Changes.


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


def echo_changed(change: Change) -> Change:
    """Change what the echo model says in each prediction."""

    def changed(body: Any) -> Any:
        results = [{**item, "echo": change(item["echo"])} for item in body["results"]]
        return {**body, "results": results}

    return changed


def echo_with(**members: Any) -> Change:
    """The echo model says this instead."""
    return echo_changed(lambda echo: {**echo, **members})


def output_with(**members: Any) -> Change:
    """The result of a webhook's fit: without `job_id`, and with these members instead."""

    def changed(echo: Any) -> Any:
        output = {key: value for key, value in echo["train_output"].items() if key != "job_id"}
        return {**echo, "train_output": {**output, **members}}

    return echo_changed(changed)


def without_nan(value: Any) -> Any:
    """Null in the place of each number that is none of JSON's."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_nan(item) for item in value]
    if value == "<nan>" or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value


# Reasons.

BAD_INPUT = "a request that is wrong is told so; 500 is kept for failures of the server's side"
MISTYPED = "a field of the wrong type is refused and named, whether or not it happens to be unused"
UNKNOWN = "an unknown project without permission to load it is the client's mistake"
STRICT_JSON = "the body is no JSON by RFC 8259; Label Studio sends none of this"
NO_NAN = "NaN and infinities are no JSON: what does not parse strictly is of no use to a client"
PLACE = "the error names the place in the result"
JSON_ERRORS = "errors have the same JSON form on every path"
CREDENTIALS = "host name and token of the newest /setup reach every instance of the project"
CONFIGS = "an edited labelling config takes effect without a restart"
NEWEST_SETUP = (
    "without a config in the request that of the newest /setup counts, not the last fit's"
)
LEAVING = "a model that leaves is an error like any other: its request is answered"
DEFAULT_PROJECT = "requests that name no project share one default project"
NUMBERS = "a project may be a number"
NULL_PARAMS = "null says that there are no params, as it does for /predict"
ASYNC = "training runs in its own process, so that nobody waits for it and no predict is slowed"
AS_RETURNED = "`train_output` is exactly what fit returned"
GOES_ON = "fit starts from the version before, whether /train or a webhook asked for it"
EVERY_EVENT = "bulk and button events of today's Label Studio train as well"
NO_EVENT = "an event that trains nobody makes no job, and the answer says so"
MORE = "both names of the id: Label Studio reads `job`, the original's clients `job_id`"
OWN_MODELS = "a project is served by what was trained for it, never by another project's model"
NO_DATE = "an event without `created_at` names no key: before any /setup it trains the bare id"
SWITCH = "`v2` is the switch between the two designs of 1.0.9; ours serves both at once"
BOTH_DESIGNS = "ours serves both designs of 1.0.9 at once: no request depends on the switch"
VERSIONS_GET = "today's Label Studio asks with GET"
PROMETHEUS = "metrics in the text form of Prometheus"

DIFFERENCES: dict[tuple[str, str], Difference] = {}
"""(scenario, step) -> how the answers differ."""


def differ(
    scenario: str,
    step: str,
    upstream: Expect,
    ours: Expect,
    reason: str,
    allow: tuple[str, ...] | None = None,
) -> None:
    """Add a row with what each answers."""
    _add(scenario, step, Difference(upstream, ours, reason, allow))


def change(scenario: str, step: str, upstream: Pattern, ours: Change, reason: str) -> None:
    """Add a row with what our answer does not have in common with upstream's."""
    _add(scenario, step, Difference(ok(upstream), ours, reason))


def _add(scenario: str, step: str, row: Difference) -> None:
    assert (scenario, step) not in DIFFERENCES, (scenario, step)
    DIFFERENCES[scenario, step] = row


def versions(scenario: str, count: int, step: str = "versions") -> None:
    """Add a row for the list of versions."""
    listed = [VERSION] * count
    old = {"model_dir": "<model_dir>", "v2": "", "versions": listed}
    new = {"model_dir": "<model_dir>", "versions": listed}
    differ(scenario, step, ok(old), ok(new), SWITCH)


# Health, methods, paths.
_HEALTH = exactly(
    model_class="EchoModel",
    model_dir="<model_dir>",
    status="UP",
    workers=exactly(ready=1, total=1, restarts=number),
    jobs=0,
)
_OLD_HEALTH = {"model_dir": "<model_dir>", "status": "UP", "v2": ""}
for _step in ("root", "health", "health with a query"):
    differ("service", _step, ok(_OLD_HEALTH), ok(_HEALTH), SWITCH)
_METRICS = ok(saying("# TYPE ", "label_studio_ml_"))
differ("service", "metrics", ok({}), _METRICS, PROMETHEUS)
for _step, _path in (
    ("unknown path", "/nothing"),
    ("unknown path, POST", "/nothing"),
    ("trailing slash", "/health/"),
    ("favicon", "/favicon.ico"),
):
    differ("service", _step, html(404), refused(404, f"no such path: {_path}"), JSON_ERRORS)
_GET_TOO = ("GET", "HEAD", "OPTIONS", "POST")
for _path, _method in ROUTES.items():
    for _wrong in ("POST" if _method == "GET" else "GET", "DELETE"):
        if f"{_wrong} {_path}" != "GET /versions":
            differ(
                "service",
                f"{_wrong} {_path}",
                html(405),
                refused(405, f"{_wrong} is not allowed for {_path}"),
                JSON_ERRORS,
                allow=_GET_TOO if _path == "/versions" else None,
            )
_LIST = ok(exactly(model_dir="<model_dir>", versions=lambda value: isinstance(value, list)))
differ("service", "GET /versions", html(405), _LIST, VERSIONS_GET, allow=())
differ("service", "HEAD /versions", Expect(405, ""), ok(""), VERSIONS_GET, allow=())
differ("service", "OPTIONS /versions", ok(""), ok(""), VERSIONS_GET, allow=_GET_TOO)

# What the instance knows.
_NOBODY = {"hostname": "", "access_token": ""}
_HOST = {"hostname": HOST, "access_token": TOKEN}
versions("before setup", 0)
change(
    "before setup",
    "instance after setup",
    echoing(calls=4, **_NOBODY),
    echo_with(calls=1, **_HOST),
    CREDENTIALS,
)
for _step, _calls in (("instance, force_reload", 1), ("instance, force_reload false", 2)):
    _unset = echoing(calls=_calls, **_NOBODY)
    change("after setup", _step, _unset, echo_with(**_HOST), CREDENTIALS)
versions("after setup", 0)
change(
    "token change",
    "instance after it",
    echoing(calls=2, **_HOST),
    echo_with(calls=1, hostname="http://other", access_token="b-token"),
    CREDENTIALS,
)
for _step in ("predict with another config", "predict after it"):
    differ(
        "config change",
        _step,
        ok(with_config(CONFIG)),
        ok(predicted(OTHER_CONFIG, {})),
        CONFIGS,
    )

# What the model does.
differ(
    "unknown project",
    "try_fetch false",
    failed("FileNotFoundError: No model loaded."),
    refused(404, "no model is loaded for project", "`try_fetch` is false"),
    UNKNOWN,
)
_NAN = has(results=each(has(score="<nan>")))
change("results", "score_nan", _NAN, without_nan, NO_NAN)
_INFINITE = has(results=each(has(score=-math.inf)))
change("results", "score_infinite", _INFINITE, without_nan, NO_NAN)
for _kind, _member in (("set", "labels"), ("bytes", "raw")):
    _odd = f"Object of type {_kind} is not JSON serializable"
    differ(
        "results",
        _kind,
        failed(f"TypeError: {_odd}"),
        refused(500, f"TypeError: results[0].{_member}: {_odd}"),
        PLACE,
    )
differ("leaving", "exit", Expect(NO_ANSWER, None), failed("SystemExit: 3"), LEAVING)

# Training.
for _scenario, _step in (
    ("training", "train"),
    ("training", "train again"),
    ("training", "another config"),
    ("train first", "train"),
    ("failed training", "train"),
    ("fit returns None", "train"),
    ("fit returns a list", "train"),
):
    differ(_scenario, _step, TRAINED, QUEUED, ASYNC)
_FIT_RAISES = failed("ValueError: the training was told to fail")
differ("failed training", "fit raises", _FIT_RAISES, QUEUED, ASYNC)
differ("failed training", "fit raises again", _FIT_RAISES, QUEUED, ASYNC)
_NO_JSON = failed("TypeError: Object of type set is not JSON serializable")
differ("failed training", "fit returns a set", _NO_JSON, QUEUED, ASYNC)
differ(
    "training",
    "no annotations",
    Expect(400, "No annotations found."),
    refused(400, "No annotations found."),
    JSON_ERRORS,
)
change("training", "instance", echoing(**_NOBODY), echo_with(**_HOST), CREDENTIALS)
# Upstream's fit ran in the instance that was alive, with the config before.
for _step, _reason in (("no label_config after it", NEWEST_SETUP), ("trained once more", CONFIGS)):
    differ(
        "training",
        _step,
        ok(with_config(OTHER_CONFIG, train_output=learned(CONFIG, before=["fine", "poor"]))),
        ok(predicted(CONFIG, learned(OTHER_CONFIG, before=["fine", "poor"]))),
        _reason,
    )
versions("training", 1)
versions("training", 2, "two versions")
versions("failed training", 1)
versions("fit returns None", 1)
versions("fit returns a list", 1)

# Bad input.
for _path in ("/setup", "/predict", "/train", "/versions", "/webhook"):
    _scenario = f"bad input {_path}"
    _old_error = html(500) if _path == "/webhook" else failed()
    for _step in ("broken JSON", "no JSON", "invalid UTF-8", "trailing garbage"):
        _old = html(400) if _path == "/webhook" else failed()
        differ(_scenario, _step, _old, refused(400, "the body is no valid JSON"), BAD_INPUT)
    for _step, _given in (
        ("empty body", ""),
        ("a form", "application/x-www-form-urlencoded"),
        ("plain text", "text/plain"),
        ("no content type", ""),
    ):
        _media_type = refused(415, f'must be application/json, not "{_given}"')
        differ(_scenario, _step, _old_error, _media_type, BAD_INPUT)
    for _step in ("a list", "null", "a string", "a number"):
        _object = refused(422, "the body must be a JSON object")
        differ(_scenario, _step, _old_error, _object, BAD_INPUT)
for _step, _field in {
    "setup, project a list": "project",
    "setup, schema a number": "schema",
    "predict {}": "tasks",
    "predict, no tasks": "tasks",
    "predict, tasks null": "tasks",
    "predict, tasks a string": "tasks",
    "predict, tasks an object": "tasks",
    "predict, params a string": "params",
    "predict, params a list": "params",
    "train, no annotations": "annotations",
    "train, annotations null": "annotations",
}.items():
    differ("missing fields", _step, failed(), refused(422, f"`{_field}` "), BAD_INPUT)
differ("missing fields", "webhook {}", html(500), refused(422, "`action` is missing"), BAD_INPUT)
differ(
    "missing fields",
    "setup, broken schema",
    failed("LabelStudioXMLSyntaxErrorSentryIgnored: "),
    failed("not well-formed", "LabelStudioXMLSyntaxErrorSentryIgnored: ", status=422),
    BAD_INPUT,
)
_UNTRAINED = with_config(CONFIG, train_output={}, kwargs={})
_OBJECT = refused(422, "`params` must be an object")
differ("missing fields", "predict, params an empty list", ok(_UNTRAINED), _OBJECT, MISTYPED)
differ(
    "missing fields",
    "predict, force_reload a number",
    ok(with_config(CONFIG)),
    refused(422, "`force_reload` must be true or false"),
    MISTYPED,
)
differ(
    "missing fields",
    "setup, hostname a number",
    ok({"model_version": VERSION}),
    refused(422, "`hostname` must be a string"),
    MISTYPED,
)
_SET_UP = ok({"model_version": VERSION})
differ("missing fields", "setup, project a number", failed("TypeError: "), _SET_UP, NUMBERS)
differ(
    "missing fields",
    "predict, project a number",
    failed("TypeError: "),
    ok(predicted(CONFIG, {})),
    NUMBERS,
)
differ("missing fields", "train, params null", failed("TypeError: "), QUEUED, NULL_PARAMS)

# No project.
_NO_STRING = failed("TypeError: can only concatenate str")
for _step in ("setup {}", "setup", "setup, project null"):
    differ("no project", _step, _NO_STRING, _SET_UP, DEFAULT_PROJECT)
for _step, _output in (
    ("predict", {}),
    ("predict, project null", {}),
    ("trained", learned(CONFIG, before=["fine", "poor"])),
):
    _served = ok(predicted(CONFIG, _output))
    differ("no project", _step, _NO_STRING, _served, DEFAULT_PROJECT)
for _step in ("train", "train, project null"):
    differ("no project", _step, _NO_STRING, QUEUED, DEFAULT_PROJECT)
for _step in ("versions", "versions, project null"):
    _said = "No project provided"
    differ("no project", _step, Expect(400, _said), refused(400, _said), JSON_ERRORS)

# JSON that Python reads although it is none.
for _step in ("NaN", "Infinity", "byte order mark"):
    _no_json = refused(400, "the body is no valid JSON")
    differ("lenient JSON", _step, ok(with_config(CONFIG)), _no_json, STRICT_JSON)
_HUGE = has(results=each(has(echo=has(data=exactly(text=math.inf)))))
change("lenient JSON", "number out of range", _HUGE, without_nan, NO_NAN)

# Events.
_FIRST, _SECOND = "ANNOTATION_CREATED", "ANNOTATION_UPDATED"
_OLD_OUTPUT = {"job_id": ID, "before": None, **_NOBODY}


def fitted(scenario: str, action: str, reason: str, **ours: Any) -> None:
    """Add a row for the predict at the end, with what fit got and left behind."""
    old = with_config(CONFIG, train_output=has(event=action, **_OLD_OUTPUT))
    change(scenario, "predict", old, output_with(**ours), reason)


for _action in TRAINING_EVENTS:
    differ(f"event {_action}", _action, ACCEPTED, QUEUED, MORE)
    fitted(f"event {_action}", _action, f"{AS_RETURNED}; {CREDENTIALS}", **_HOST)
for _action, _payload in OTHER_EVENTS.items():
    if _action in ("START_TRAINING", "ANNOTATIONS_CREATED", "ANNOTATIONS_DELETED"):
        differ(f"event {_action}", _action, ACCEPTED, QUEUED, MORE)
        _output = exactly(
            event=_action,
            data=sorted([*_payload, "project"]),
            project=number,
            tasks=0,
            given=["data", "event", "job_id"],
            job=ID,
            workdir=True,
            before=None,
            config=CONFIG,
            **_HOST,
        )
        differ(
            f"event {_action}",
            "predict",
            ok(with_config(CONFIG, train_output={})),
            ok(predicted(CONFIG, _output)),
            EVERY_EVENT,
        )
    else:
        differ(f"event {_action}", _action, ACCEPTED, ok(IGNORED), NO_EVENT)
for _scenario in (
    "event, skipped task",
    "event, no created_at",
    "event, fit raises after a good one",
    "event, fit returns None after a good one",
    "event, fit returns a list after a good one",
):
    differ(_scenario, _FIRST, ACCEPTED, QUEUED, MORE)
    fitted(_scenario, _FIRST, f"{AS_RETURNED}; {CREDENTIALS}", **_HOST)
    if _scenario.endswith("a good one"):
        differ(_scenario, _SECOND, ACCEPTED, QUEUED, MORE)
differ("event, fit raises", _FIRST, ACCEPTED, QUEUED, MORE)
differ("event after event", _FIRST, ACCEPTED, QUEUED, MORE)
differ("event after event", _SECOND, ACCEPTED, QUEUED, MORE)
fitted("event after event", _SECOND, f"{AS_RETURNED}; {GOES_ON}", before=_FIRST, **_HOST)
differ("event first", _FIRST, ACCEPTED, QUEUED, MORE)
fitted("event first", _FIRST, AS_RETURNED)
for _scenario, _reason in (
    ("event first, no created_at", NO_DATE),
    ("event of another project", OWN_MODELS),
):
    differ(_scenario, _FIRST, ACCEPTED, QUEUED, MORE)
    change(
        _scenario,
        "predict",
        with_config(CONFIG, train_output=has(event=_FIRST, **_OLD_OUTPUT)),
        echo_with(train_output={}),
        _reason,
    )

# The second design of upstream.
differ("events design", "health", ok({**_OLD_HEALTH, "v2": "1"}), ok(_HEALTH), SWITCH)
differ(
    "events design",
    "is_training before setup",
    failed("AttributeError: "),
    ok({"is_training": False}),
    BOTH_DESIGNS,
)
differ(
    "events design",
    "predict before setup",
    failed("ValueError: Model is not loaded", "run setup() before using predict()"),
    ok(predicted(CONFIG, {})),
    BOTH_DESIGNS,
)
differ("events design", "train", TRAINED, QUEUED, ASYNC)
differ(
    "events design",
    "predict after it",
    ok(with_config(CONFIG, train_output={})),
    ok(predicted(CONFIG, learned(CONFIG, before=None))),
    BOTH_DESIGNS,
)
for _step, _count in (("versions", 0), ("versions after it", 1)):
    differ(
        "events design",
        _step,
        ok({"model_dir": "<model_dir>", "v2": "1", "versions": []}),
        ok({"model_dir": "<model_dir>", "versions": [VERSION] * _count}),
        SWITCH if not _count else BOTH_DESIGNS,
    )
