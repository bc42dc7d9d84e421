"""The sequences of requests that are sent to both servers, and what upstream answers to each.

Each scenario uses a project of its own (`@project`, `@id`), so scenarios do not see each other.
The status is that of upstream 1.0.9: it pins that a step tests what its name says, rather than that
both servers refuse it for some other reason.  Where 1.0.4 answers otherwise, the table of its
differences says so.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from asking import (
    ANNOTATION,
    BROKEN_CONFIG,
    CONFIG,
    IS_TRAINING,
    NOBODY,
    OTHER_CONFIG,
    OTHER_EVENTS,
    PREDICT,
    PROJECT,
    ROUTES,
    SETUP,
    TRAIN,
    TRAINING_EVENTS,
    VERSIONS,
    annotated,
    event,
    instance,
    ordered,
    post,
    predict,
    raw,
    setup,
    task,
    train,
    without,
)
from backends import NO_ANSWER, Request
from playing import Scenario, Step


def service() -> Scenario:
    """What does not depend on a project: health, methods, unknown paths."""
    steps = [
        Step("root", Request("GET", "/")),
        Step("health", Request("GET", "/health")),
        Step("health with a query", Request("GET", "/health?x=1")),
        Step("metrics", Request("GET", "/metrics")),
        Step("is_training of nothing", Request("GET", "/is_training")),
        Step("unknown path", Request("GET", "/nothing"), 404),
        Step("unknown path, POST", Request("POST", "/nothing", json={}), 404),
        Step("trailing slash", Request("GET", "/health/"), 404),
        Step("favicon", Request("GET", "/favicon.ico"), 404),
    ]
    for path, method in ROUTES.items():
        steps.append(Step(f"OPTIONS {path}", Request("OPTIONS", path)))
        head = 200 if method == "GET" else 405
        steps.append(Step(f"HEAD {path}", Request("HEAD", path), head))
        other = "POST" if method == "GET" else "GET"
        steps.append(Step(f"{other} {path}", Request(other, path, json=None), 405))
        steps.append(Step(f"DELETE {path}", Request("DELETE", path), 405))
    return Scenario("service", tuple(steps))


def before_setup() -> Scenario:
    """A server that never saw /setup for the project."""
    return Scenario(
        "before setup",
        (
            IS_TRAINING,
            VERSIONS,
            predict(),
            instance("instance"),
            instance("the same instance"),
            Step("is_training of a loaded model", IS_TRAINING.request),
            setup(),
            instance("instance after setup"),
        ),
    )


def after_setup() -> Scenario:
    """The order in which Label Studio asks, then each way to say the same."""
    return Scenario(
        "after setup",
        (
            setup(),
            setup("setup again"),
            predict(),
            instance("instance"),
            setup("setup once more"),
            instance("the same instance"),
            Step("no label_config", Request("POST", "/predict", without(PREDICT, "label_config"))),
            Step("no params", Request("POST", "/predict", without(PREDICT, "params"))),
            predict("params null", params=None),
            predict("params of one's own", params={"threshold": 0.5, "names": ["a", None]}),
            predict("context", params={**NOBODY, "context": {"result": [{"id": "r1"}]}}),
            predict("model_version in the request", model_version="1700000000"),
            predict("no tasks", tasks=[]),
            predict("one task", tasks=[task("one")]),
            predict("a whole task", tasks=[{**task("one"), "meta": {"a": 1}, "inner_id": 7}]),
            predict("known project, try_fetch false", try_fetch=False),
            instance("instance, try_fetch false", try_fetch=False),
            instance("instance, force_reload", force_reload=True),
            instance("instance, force_reload false", force_reload=False),
            setup("setup with force_reload", force_reload=True),
            instance("a new instance after it"),
            VERSIONS,
        ),
    )


def small_setups() -> list[Scenario]:
    """/setup with less in it, and a /predict that shows what the model got."""
    predict_plain = Step("predict", Request("POST", "/predict", without(PREDICT, "label_config")))
    return [
        Scenario(
            f"setup without {key}",
            (Step("setup", Request("POST", "/setup", without(SETUP, key))), predict_plain),
        )
        for key in ("schema", "hostname", "access_token", "extra_params")
    ] + [
        Scenario("setup with an empty schema", (setup(schema=""), predict_plain)),
        Scenario("setup with a null schema", (setup(schema=None), predict_plain)),
        Scenario("setup with extra_params", (setup(extra_params={"a": 1}), predict_plain)),
    ]


def unknown_project() -> Scenario:
    """A project that nobody loaded, and no permission to load it."""
    return Scenario("unknown project", (predict("try_fetch false", 500, try_fetch=False),))


def config_change() -> Scenario:
    """The labelling config is edited while the server runs."""
    return Scenario(
        "config change",
        (
            setup(),
            predict(),
            predict("predict with another config", label_config=OTHER_CONFIG),
            setup("setup with another config", schema=OTHER_CONFIG),
            predict("predict after it", label_config=OTHER_CONFIG),
            predict("force_reload", label_config=OTHER_CONFIG, force_reload=True),
        ),
    )


def token_change() -> Scenario:
    """The host name and the token of a project change while the server runs."""
    return Scenario(
        "token change",
        (
            setup(),
            instance("instance"),
            setup("setup with another token", hostname="http://other", access_token="b-token"),
            instance("instance after it"),
        ),
    )


def results() -> Scenario:
    """Every shape a model may return."""
    shapes = (
        "none empty short long dict tuple text list_per_task empty_list_per_task null_item"
        " no_result result_null result_dict no_score score_null score_text score_nan"
        " score_infinite own_version version_null extra unicode large_int floats int_keys"
        " datetime uuid numpy_float64 dataclass"
    )
    refused = "set bytes numpy_float32 numpy_int numpy_array path"
    steps = [setup(), *(ordered(shape) for shape in shapes.split())]
    steps += [ordered(shape, 500) for shape in refused.split()]
    return Scenario("results", tuple(steps))


def failures() -> Scenario:
    """A model that raises; the next request is answered as if nothing had happened."""
    orders = (
        "raise raise_key raise_odd raise_assertion raise_not_found raise_lines raise_unicode"
        " raise_deep"
    )
    body = {**PREDICT, "tasks": [task("one", do="raise")]}
    return Scenario(
        "failures",
        (
            setup(),
            *(ordered(order, 500) for order in orders.split()),
            ordered("answer", 418),
            ordered("answer_empty", 500),
            Step("query", Request("POST", "/predict?x=1&x=2&y=", json=body), 500),
            predict("predict after failures"),
        ),
    )


def leaving() -> Scenario:
    """A model that calls sys.exit."""
    return Scenario("leaving", (setup(), ordered("exit", NO_ANSWER), predict("predict after it")))


def training() -> Scenario:
    """/train, then what /setup, /predict, /is_training and /versions make of it."""
    return Scenario(
        "training",
        (
            setup(),
            predict("untrained"),
            train("no annotations", 400, annotations=[]),
            train(),
            IS_TRAINING,
            predict("trained"),
            setup("setup of a trained model"),
            predict("trained, after setup"),
            instance("instance"),
            VERSIONS,
            train("train again", params={"batch_size": 8, "labels": ["a"]}),
            predict("trained again"),
            Step("two versions", VERSIONS.request),
            train("another config", label_config=OTHER_CONFIG),
            Step(
                "no label_config after it",
                Request("POST", "/predict", without(PREDICT, "label_config")),
            ),
            predict("trained once more"),
        ),
    )


def train_first() -> Scenario:
    """/train for a project the server never heard of."""
    return Scenario("train first", (train(), predict()))


def failed_training() -> Scenario:
    """A fit that fails changes nothing."""
    failing = [annotated("fine", "Good", do="raise")]
    return Scenario(
        "failed training",
        (
            setup(),
            Step("fit raises", post("/train", TRAIN, annotations=failing), 500, "nothing"),
            IS_TRAINING,
            predict("predict as before"),
            train(),
            predict("trained"),
            Step("fit raises again", post("/train", TRAIN, annotations=failing), 500, "nothing"),
            predict("predict with the last good one"),
            Step(
                "fit returns a set",
                post("/train", TRAIN, annotations=[annotated("fine", "Good", do="set")]),
                500,
                "nothing",
            ),
            predict("predict with the last good one still"),
            VERSIONS,
        ),
    )


def odd_training() -> list[Scenario]:
    """A fit that returns no dict."""

    def scenario(name: str, order: str) -> Scenario:
        trained = train(annotations=[annotated("fine", "Good", do=order)])
        return Scenario(name, (setup(), trained, predict(), VERSIONS))

    return [scenario("fit returns None", "nothing"), scenario("fit returns a list", "list")]


def long_training() -> Scenario:
    """What can be asked while a fit goes on that takes a second."""
    steps = (
        setup(),
        replace(train(annotations=[annotated("fine", "Good", do="slow")]), goes_on=True),
        Step("is_training while it runs", IS_TRAINING.request),
        predict("predict while it runs"),
        replace(predict("predict after it"), awaits=True),
        Step("is_training after it", IS_TRAINING.request),
    )
    return Scenario("long training", steps)


def place_of_training() -> list[Scenario]:
    """Whether the process that predicts is the one that trained."""
    told = {"annotation": {**ANNOTATION, "do": "where"}, "task": task()}
    trained = train(annotations=[annotated("fine", "Good", do="where")])
    return [
        Scenario("place of a training", (setup(), trained, ordered("where"))),
        Scenario(
            "place of an event's training",
            (setup(), event("ANNOTATION_CREATED", told), setup("setup again"), ordered("where")),
            "events",
        ),
    ]


def job_status() -> Scenario:
    """The state of a job, which Label Studio's client can ask for."""
    return Scenario(
        "job status",
        (
            setup(),
            train(),
            Step("a job", Request("POST", "/job_status", json={"job": "@job"}), 404),
            Step("unknown job", Request("POST", "/job_status", json={"job": "1"}), 404),
            Step("no job", Request("POST", "/job_status", json={}), 404),
            Step("GET", Request("GET", "/job_status"), 404),
        ),
    )


def pinned_version() -> Scenario:
    """/setup names the version to serve, as Label Studio did for a while; then it does not."""
    payload = TRAINING_EVENTS["ANNOTATION_CREATED"]
    return Scenario(
        "pinned version",
        (
            setup(),
            event("ANNOTATION_CREATED", payload),
            event("ANNOTATION_UPDATED", payload),
            setup("setup with a version", model_version="@first job"),
            predict("predict with it"),
            setup("setup without"),
            predict("predict with the newest"),
        ),
        "events",
    )


def odd_configs() -> list[Scenario]:
    """Labelling configs that a parser does not take, for a project without an instance."""
    encoded = f'<?xml version="1.0" encoding="utf-8"?>{CONFIG}'
    typed = f"<!DOCTYPE View>{CONFIG}"
    return [
        Scenario("config with a document type", (setup(schema=typed),)),
        Scenario("config with an encoding", (setup(status=500, schema=encoded),)),
        Scenario("train with a broken config", (train(status=500, label_config=BROKEN_CONFIG),)),
    ]


def names_of_params() -> Scenario:
    """`params` with names that the server uses itself."""
    return Scenario(
        "names of params",
        (
            setup(),
            predict("project", 500, params={"project": "x"}),
            predict("try_fetch", 500, params={"try_fetch": False}),
            predict("tasks", 500, params={"tasks": []}),
            predict("self", 500, params={"self": 1}),
            predict("no identifiers", params={"a b": 1, "": 2}),
        ),
    )


def slashes() -> Scenario:
    """What a client sends that puts `/health` after an address that ends in a slash."""
    return Scenario("two slashes", (Step("health", Request("GET", "//health")),))


def new_routes() -> Scenario:
    """What only our server has."""
    return Scenario(
        "new routes",
        (
            setup(),
            train(),
            Step("jobs", Request("GET", "/jobs?project=@project"), 404),
            Step("job", Request("GET", "/jobs/@job"), 404),
            Step("log", Request("GET", "/jobs/@job/log"), 404),
            Step("cancel", Request("POST", "/jobs/1/cancel"), 404),
            Step("activate", Request("POST", "/versions/@job/activate"), 404),
        ),
    )


def bad_input() -> list[Scenario]:
    """Bodies that are no request at all, for every route that reads one."""
    bodies: dict[str, dict[str, Any]] = {
        "/setup": SETUP,
        "/predict": PREDICT,
        "/train": TRAIN,
        "/versions": {"project": "@project"},
        "/webhook": {"action": "ANNOTATION_CREATED", "project": {"id": "@id"}},
    }
    scenarios = []
    for path, body in bodies.items():
        good = json.dumps(body).encode()
        bad = 400 if path == "/webhook" else 500
        steps = [
            raw("broken JSON", path, b'{"project": "@project", ', bad),
            raw("no JSON", path, b"hello", bad),
            raw("invalid UTF-8", path, b'{"project": "\xff"}', bad),
            raw("trailing garbage", path, good + b"]", bad),
            Step("empty body", Request("POST", path), 500),
            raw("a form", path, b"project=1", 500, "application/x-www-form-urlencoded"),
            raw("plain text", path, good, 500, "text/plain"),
            raw("no content type", path, good, 500, ""),
            Step("a list", Request("POST", path, raw=b"[]"), 500),
            Step("null", Request("POST", path, raw=b"null"), 500),
            Step("a string", Request("POST", path, raw=b'"project"'), 500),
            Step("a number", Request("POST", path, raw=b"1"), 500),
        ]
        scenarios.append(Scenario(f"bad input {path}", tuple(steps)))
    return scenarios


def no_project() -> Scenario:
    """Requests that name no project."""
    return Scenario(
        "no project",
        (
            Step("setup {}", Request("POST", "/setup", json={}), 500),
            Step("setup", Request("POST", "/setup", without(SETUP, "project")), 500),
            setup("setup, project null", 500, project=None),
            Step("predict", Request("POST", "/predict", without(PREDICT, "project")), 500),
            predict("predict, project null", 500, project=None),
            train("train, project null", 500, project=None),
            Step(
                "train", Request("POST", "/train", without(TRAIN, "project")), 500, trains="nothing"
            ),
            predict("trained", 500, project=None),
            Step("versions", Request("POST", "/versions", json={}), 400),
            Step("versions, project null", Request("POST", "/versions", {"project": None}), 400),
        ),
    )


def missing_fields() -> Scenario:
    """Objects that lack a field, or have a wrong one."""
    return Scenario(
        "missing fields",
        (
            setup("setup, project a number", 500, project=7),
            setup("setup, project a list", 500, project=["@project"]),
            setup("setup, broken schema", 500, schema=BROKEN_CONFIG),
            setup("setup, schema a number", 500, schema=7),
            setup("setup, hostname a number", hostname=7),
            Step("predict {}", Request("POST", "/predict", json={}), 500),
            predict("predict, project a number", 500, project=7),
            Step("predict, no tasks", Request("POST", "/predict", without(PREDICT, "tasks")), 500),
            predict("predict, tasks null", 500, tasks=None),
            predict("predict, tasks a string", 500, tasks="text"),
            predict("predict, tasks an object", 500, tasks={"id": 1}),
            predict("predict, params a string", 500, params="text"),
            predict("predict, params a list", 500, params=[1]),
            predict("predict, params an empty list", params=[]),
            predict("predict, force_reload a number", force_reload=0),
            Step(
                "train, no annotations",
                Request("POST", "/train", without(TRAIN, "annotations")),
                500,
            ),
            train("train, annotations null", 500, annotations=None),
            train("train, params null", 500, params=None),
            train("train, project an object", project={"id": 1}),
            Step("webhook {}", Request("POST", "/webhook", json={}), 500),
        ),
    )


def lenient_json() -> Scenario:
    """JSON that Python reads although a strict parser need not, and awkward amounts of it."""
    body = json.dumps({**PREDICT, "tasks": [task("@text")]})
    nested = "[" * 200 + "]" * 200

    def variant(name: str, text: str) -> Step:
        return raw(name, "/predict", body.replace('"@text"', text).encode(), 200)

    unicode = json.dumps(
        {**PREDICT, "tasks": [task("nicht möglich: 日本 \U0001f600")]}, ensure_ascii=False
    )
    big = [task("x" * 550, do="brief") for _ in range(5000)]
    return Scenario(
        "lenient JSON",
        (
            setup(),
            variant("NaN", "NaN"),
            variant("Infinity", "-Infinity"),
            variant("number out of range", "1e999"),
            variant("huge integer", "1" + "0" * 40),
            variant("minus zero", "-0.0"),
            variant("lone surrogate", r'"\ud800"'),
            variant("surrogate pair", r'"\ud83d\ude00"'),
            variant("NUL in a string", r'"a\u0000b"'),
            variant("nested lists", nested),
            variant("a key twice", '"first", "text": "second"'),
            raw("project twice", "/predict", b'{"project": "x",' + body.encode()[1:], 200),
            raw("UTF-8", "/predict", unicode.encode(), 200),
            raw("byte order mark", "/predict", b"\xef\xbb\xbf" + body.encode(), 200),
            raw("white space", "/predict", b" \r\n\t" + body.encode() + b"\n\n", 200),
            raw("charset", "/predict", body.encode(), 200, "application/json; charset=utf-8"),
            raw("a JSON dialect", "/predict", body.encode(), 200, "application/vnd.api+json"),
            raw("capitals", "/predict", body.encode(), 200, "Application/JSON"),
            predict("3 MB of tasks", tasks=big),
        ),
    )


def events() -> list[Scenario]:
    """Webhook actions, then /setup and /predict as Label Studio sends them."""
    good = TRAINING_EVENTS["ANNOTATION_CREATED"]
    failing = {"annotation": {**ANNOTATION, "do": "raise"}, "task": task()}
    empty = {"annotation": {**ANNOTATION, "do": "nothing"}, "task": task()}
    listed = {"annotation": {**ANNOTATION, "do": "list"}, "task": task()}
    skipped = {"annotation": {**ANNOTATION, "was_cancelled": True}, "task": task()}
    undated = {**good, "project": without(PROJECT, "created_at")}
    created = event("ANNOTATION_CREATED", good)

    def scenario(name: str, *steps: Step) -> Scenario:
        asked = (setup(), predict("untrained"), *steps, setup("setup again"), predict())
        return Scenario(name, asked, "events")

    return [
        *(scenario(f"event {action}", event(action, p)) for action, p in TRAINING_EVENTS.items()),
        *(
            scenario(f"event {action}", event(action, payload, "nothing"))
            for action, payload in OTHER_EVENTS.items()
        ),
        scenario("event, skipped task", event("ANNOTATION_CREATED", skipped)),
        scenario("event, no created_at", event("ANNOTATION_CREATED", undated)),
        scenario("event, fit raises", event("ANNOTATION_CREATED", failing, "nothing")),
        scenario(
            "event, fit raises after a good one",
            created,
            event("ANNOTATION_UPDATED", failing, "nothing"),
        ),
        scenario(
            "event, fit returns None after a good one",
            created,
            event("ANNOTATION_UPDATED", empty, "nothing"),
        ),
        scenario(
            "event, fit returns a list after a good one",
            created,
            event("ANNOTATION_UPDATED", listed, "nothing"),
        ),
        scenario("event after event", created, event("ANNOTATION_UPDATED", good)),
        Scenario("event first", (created, setup(), predict()), "events"),
        Scenario(
            "event first, no created_at",
            (event("ANNOTATION_CREATED", undated), setup(), predict()),
            "events",
        ),
        Scenario(
            "event of another project",
            (created, setup(project="@other"), predict(project="@other")),
            "events",
        ),
    ]


def events_design() -> Scenario:
    """What upstream makes, with API v2, of the requests of API v1."""
    return Scenario(
        "events design",
        (
            Step("health", Request("GET", "/health")),
            Step("is_training before setup", IS_TRAINING.request, 500),
            predict("predict before setup", 500),
            setup(),
            IS_TRAINING,
            VERSIONS,
            predict(),
            train(),
            setup("setup after it"),
            predict("predict after it"),
            Step("versions after it", VERSIONS.request),
        ),
        "events",
        fresh=True,
    )


SCENARIOS: tuple[Scenario, ...] = (
    service(),
    before_setup(),
    after_setup(),
    *small_setups(),
    unknown_project(),
    config_change(),
    token_change(),
    results(),
    failures(),
    leaving(),
    training(),
    train_first(),
    failed_training(),
    *odd_training(),
    long_training(),
    *place_of_training(),
    job_status(),
    new_routes(),
    names_of_params(),
    pinned_version(),
    *odd_configs(),
    slashes(),
    *bad_input(),
    no_project(),
    missing_fields(),
    lenient_json(),
    *events(),
    events_design(),
)
