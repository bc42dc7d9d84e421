"""Every intended difference between upstream 1.0.9 and our server, with its reason.

A step of a scenario that is not in this table must be answered alike by both.  A step that is in
it must be answered by each as the row says, and not alike, so a row that has become untrue fails
too.  docs/compatibility.md says the same to users; the reasons name its rows.

Two differences are everywhere and have no rows. Each prediction whose `model_version` is absent or
null gets that of the answer (`comparison.with_versions`), so that Label Studio files it under the version that
made it, even when a new one is published between its /setup and its /predict. And each error of ours has an
`error_code`, for clients to branch on.

What is never compared, because it differs between any two runs or is free by design: the value
of a version (upstream names an untrained model by the clock in one mode and INITIAL in the other,
ours is INITIAL until trained, then digits) and whether it is a number or a string; job ids;
`request_id` and `task` in an error; all but the last line of a traceback; the order of keys and the white
space of JSON.
"""

from __future__ import annotations

import math
from typing import Any

from asking import (
    CONFIG,
    OTHER_CONFIG,
    OTHER_EVENTS,
    ROUTES,
    SETUP,
    TRAINING_EVENTS,
)
from backends import ID, NO_ANSWER, VERSION
from comparison import Change, Difference, Table
from patterns import (
    Expect,
    Pattern,
    each,
    echoing,
    exactly,
    failed,
    has,
    html,
    in_order,
    learned,
    number,
    ok,
    predicted,
    refused,
    saying,
    with_config,
)
from reasons import (
    ANSWER_EXCEPTION,
    AS_RETURNED,
    ASYNC,
    BAD_INPUT,
    BOTH_DESIGNS,
    CONFIGS,
    CREDENTIALS,
    DEFAULT_PROJECT,
    DOCUMENT_TYPE,
    EVERY_EVENT,
    FIT_CONFIG,
    GOES_ON,
    JOB_ID,
    JOB_STATUS,
    JSON_ERRORS,
    LEAVING,
    MISTYPED,
    MORE,
    MORE_TYPES,
    NAMES_OF_PARAMS,
    NEW_ROUTES,
    NEWEST_SETUP,
    NO_DATE,
    NO_EVENT,
    NO_NAN,
    NO_PINNING,
    NO_PROJECT_OBJECT,
    NULL_ITEM,
    NULL_PARAMS,
    NUMBERS,
    OWN_MODELS,
    OWN_PROCESS,
    PLACE,
    PROMETHEUS,
    STRICT_JSON,
    SWITCH,
    UNKNOWN,
    VERSIONS_GET,
    Reason,
)

HOST, TOKEN = SETUP["hostname"], SETUP["access_token"]
ACCEPTED = Expect(201, {"job_id": ID})
TRAINED = Expect(201, {})
QUEUED = Expect(201, {"job": ID, "job_id": ID, "status": "queued"})
IGNORED = exactly(status="ignored", detail=saying("does not train"))


# Changes.


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


DIFFERENCES: Table = {}


def differ(
    scenario: str,
    step: str,
    upstream: Expect,
    ours: Expect,
    reason: Reason,
    allow: tuple[str, ...] | None = None,
) -> None:
    """Add a row with what each answers."""
    _add(scenario, step, Difference(upstream, ours, reason, allow))


def change(scenario: str, step: str, upstream: Pattern, ours: Change, reason: Reason) -> None:
    """Add a row with what our answer does not have in common with upstream's."""
    _add(scenario, step, Difference(ok(upstream), ours, reason))


def _add(scenario: str, step: str, row: Difference) -> None:
    assert (scenario, step) not in DIFFERENCES, (scenario, step)
    DIFFERENCES[scenario, step] = row


#: What is known of each version.
DETAILS = lambda value: isinstance(value, list)  # noqa: E731


def versions(scenario: str, count: int, step: str = "versions") -> None:
    """Add a row for the list of versions."""
    listed = [VERSION] * count
    old = {"model_dir": "<model_dir>", "v2": "", "versions": listed}
    new = exactly(model_dir="<model_dir>", versions=listed, details=DETAILS)
    differ(scenario, step, ok(old), ok(new), SWITCH)


# Health, methods, paths.


def health_of(model_class: str) -> Pattern:
    """What our /health says."""
    return exactly(
        model_class=model_class,
        model_dir="<model_dir>",
        status="UP",
        workers=exactly(ready=1, total=1, restarts=number),
        jobs=0,
    )


HEALTH = health_of("EchoModel")
_OLD_HEALTH = {"model_dir": "<model_dir>", "status": "UP", "v2": ""}
for _step in ("root", "health", "health with a query"):
    differ("service", _step, ok(_OLD_HEALTH), ok(HEALTH), SWITCH)
METRICS = ok(saying("# TYPE ", "label_studio_ml_"))
differ("service", "metrics", ok({}), METRICS, PROMETHEUS)
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
_LIST = ok(exactly(model_dir="<model_dir>", versions=DETAILS, details=DETAILS))
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
change(
    "results",
    "null_item",
    has(results=lambda items: None in items),
    lambda body: {**body, "results": [[] if item is None else item for item in body["results"]]},
    NULL_ITEM,
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
for _kind, _type, _value in (
    ("numpy_float32", "float32", 0.25),
    ("numpy_int", "int64", 3),
    ("numpy_array", "ndarray", [[1, 2], [3, 4]]),
):
    differ(
        "results",
        _kind,
        failed(f"TypeError: Object of type {_type} is not JSON serializable"),
        ok(with_config(CONFIG, more={"value": _value})),
        MORE_TYPES,
    )
differ(
    "results",
    "path",
    failed("TypeError: Object of type PosixPath is not JSON serializable"),
    ok(with_config(CONFIG, more={"file": "weights.bin"})),
    MORE_TYPES,
)
_TEA = {"detail": "there is no tea", "request": {}, "status": 418}
_SAYS = "<traceback> label_studio_ml.exceptions.AnswerException: "
for _step, _old, _result in (
    # The text of the exception is the answer that it made of itself.
    (
        "answer",
        Expect(418, exactly(**_TEA, result=has(pot="short and stout"))),
        {"pot": "short and stout"},
    ),
    ("answer_empty", html(500), {}),
):
    _new = {**_TEA, "result": {**_result, "traceback": f"{_SAYS}there is no tea"}}
    differ("failures", _step, _old, Expect(418, _new), ANSWER_EXCEPTION)
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
    ("long training", "train"),
    ("place of a training", "train"),
    ("job status", "train"),
    ("new routes", "train"),
):
    differ(_scenario, _step, TRAINED, QUEUED, ASYNC)
_RUNS = {"is_training": True, "backend": "none", "model_version": VERSION}
_NAMED = {**_RUNS, "job_id": ID}
differ("long training", "is_training while it runs", ok(_RUNS), ok(_NAMED), JOB_ID)
differ(
    "place of a training",
    "where",
    ok(has(results=each(has(trained_here=True)))),
    ok(has(results=each(has(trained_here=False)))),
    OWN_PROCESS,
)
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
for _step, _reason in (
    ("no label_config after it", NEWEST_SETUP),
    ("trained once more", FIT_CONFIG),
):
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

# The state of a job.
_TRAINED_WITH = learned(CONFIG, before=None)
_FINISHED = exactly(
    job_status="finished",
    error=None,
    created_at=saying("T", "Z"),
    enqueued_at=saying("T", "Z"),
    started_at=saying("T", "Z"),
    ended_at=saying("T", "Z"),
    result=has(status="ok", train_output=_TRAINED_WITH),
)
_NO_ID = refused(422, "`job` is missing")
differ("job status", "a job", html(404), ok(_FINISHED), JOB_STATUS)
differ("job status", "unknown job", html(404), refused(404, "1"), JOB_STATUS)
differ("job status", "no job", html(404), _NO_ID, JOB_STATUS)
_POSTED = refused(405, "GET is not allowed for /job_status")
differ("job status", "GET", html(404), _POSTED, JOB_STATUS, allow=("OPTIONS", "POST"))

# Routes of our own.
_SOME_JOB = has(job=ID, project=saying("."), job_status="finished", event=None)
differ("new routes", "jobs", html(404), ok(exactly(jobs=in_order([_SOME_JOB]))), NEW_ROUTES)
differ("new routes", "job", html(404), ok(_SOME_JOB), NEW_ROUTES)
differ("new routes", "log", html(404), ok(saying()), NEW_ROUTES)
differ("new routes", "cancel", html(404), refused(404, "1"), NEW_ROUTES)
_SERVED = has(project=saying("."), model_version=VERSION)
differ("new routes", "activate", html(404), ok(_SERVED), NEW_ROUTES)

# Names of `params`.
for _step, _value in (("project", "x"), ("try_fetch", False)):
    _twice = failed("TypeError: ", f"got multiple values for argument '{_step}'")
    _passed = ok(predicted(CONFIG, {}, kwargs={_step: _value}))
    differ("names of params", _step, _twice, _passed, NAMES_OF_PARAMS)
_twice = failed("TypeError: ", "predict() got multiple values for argument 'tasks'")
differ("names of params", "tasks", _twice, _twice, NAMES_OF_PARAMS)

# Configs that a parser does not take.
differ(
    "config with a document type",
    "setup",
    ok({"model_version": VERSION}),
    failed("<!DOCTYPE> is not allowed", status=422),
    DOCUMENT_TYPE,
)
differ(
    "config with an encoding",
    "setup",
    failed("ValueError: "),
    failed("encoding", status=422),
    BAD_INPUT,
)
differ(
    "train with a broken config",
    "train",
    failed("LabelStudioXMLSyntaxErrorSentryIgnored: "),
    refused(422, "the labelling config cannot be read: "),
    BAD_INPUT,
)
differ("two slashes", "health", ok(_OLD_HEALTH), ok(HEALTH), SWITCH)

# Bad input.
for _path in ("/setup", "/predict", "/train", "/versions", "/webhook"):
    _scenario = f"bad input {_path}"
    _old_error = html(500) if _path == "/webhook" else failed()
    for _step in ("broken JSON", "no JSON", "invalid UTF-8", "trailing garbage"):
        _old = html(400) if _path == "/webhook" else failed()
        differ(_scenario, _step, _old, refused(400, "the body is not valid JSON"), BAD_INPUT)
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
    failed("the labelling config cannot be read: ", status=422),
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
_NO_KEY = refused(422, "`project` must be a string")
differ("missing fields", "train, project an object", TRAINED, _NO_KEY, NO_PROJECT_OBJECT)

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
    _no_json = refused(400, "the body is not valid JSON")
    differ("lenient JSON", _step, ok(with_config(CONFIG)), _no_json, STRICT_JSON)
_HUGE = has(results=each(has(echo=has(data=exactly(text=math.inf)))))
change("lenient JSON", "number out of range", _HUGE, without_nan, NO_NAN)

# Events.
_FIRST, _SECOND = "ANNOTATION_CREATED", "ANNOTATION_UPDATED"
_OLD_OUTPUT = {"job_id": ID, "before": None, **_NOBODY}


def fitted(scenario: str, action: str, reason: Reason, step: str = "predict", **ours: Any) -> None:
    """Add a row for a predict after an event, with what fit got and left behind."""
    old = with_config(CONFIG, train_output=has(event=action, **_OLD_OUTPUT))
    change(scenario, step, old, output_with(**ours), reason)


def trained_by_an_event(action: str, payload: dict[str, Any]) -> Pattern:
    """What fit leaves behind that was told of an event, for a project that was not trained yet."""
    return exactly(
        event=action,
        data=sorted([*payload, "project"]),
        project=number,
        tasks=0,
        given=["data", "event", "job_id"],
        job=ID,
        workdir=True,
        before=None,
        config=CONFIG,
        **_HOST,
    )


for _action in TRAINING_EVENTS:
    differ(f"event {_action}", _action, ACCEPTED, QUEUED, MORE)
    fitted(f"event {_action}", _action, AS_RETURNED & CREDENTIALS, **_HOST)
for _action, _payload in OTHER_EVENTS.items():
    if _action in ("START_TRAINING", "ANNOTATIONS_CREATED", "ANNOTATIONS_DELETED"):
        differ(f"event {_action}", _action, ACCEPTED, QUEUED, MORE)
        differ(
            f"event {_action}",
            "predict",
            ok(with_config(CONFIG, train_output={})),
            ok(predicted(CONFIG, trained_by_an_event(_action, _payload))),
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
    fitted(_scenario, _FIRST, AS_RETURNED & CREDENTIALS, **_HOST)
    if _scenario.endswith("a good one"):
        differ(_scenario, _SECOND, ACCEPTED, QUEUED, MORE)
differ("event, fit raises", _FIRST, ACCEPTED, QUEUED, MORE)
differ("place of an event's training", _FIRST, ACCEPTED, QUEUED, MORE)
differ("event after event", _FIRST, ACCEPTED, QUEUED, MORE)
differ("event after event", _SECOND, ACCEPTED, QUEUED, MORE)
fitted("event after event", _SECOND, AS_RETURNED & GOES_ON & CREDENTIALS, before=_FIRST, **_HOST)
differ("pinned version", _FIRST, ACCEPTED, QUEUED, MORE)
differ("pinned version", _SECOND, ACCEPTED, QUEUED, MORE)
fitted(
    "pinned version",
    _FIRST,
    AS_RETURNED & CREDENTIALS & GOES_ON & NO_PINNING,
    "predict with it",
    event=_SECOND,
    before=_FIRST,
    **_HOST,
)
fitted(
    "pinned version",
    _SECOND,
    AS_RETURNED & GOES_ON & CREDENTIALS,
    "predict with the newest",
    before=_FIRST,
    **_HOST,
)
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
differ("events design", "health", ok({**_OLD_HEALTH, "v2": "1"}), ok(HEALTH), SWITCH)
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
        ok(exactly(model_dir="<model_dir>", versions=[VERSION] * _count, details=DETAILS)),
        SWITCH if not _count else BOTH_DESIGNS,
    )
