"""Every intended difference from the recorded answers of API v2, and the row that says so to users.

The first cells of rows in docs/compatibility.md name the reasons.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from v2_recording import Answer

#: Sections of the page whose every row has a difference here.
STARTED_SECTION = "API v2: the started server"
IN_PROCESS_SECTION = "API v2: in-process"


@dataclass(frozen=True)
class Difference:
    """What our answer is instead, and the row that says so."""

    status: int
    body: Callable[[Any], bool]
    row: str

    def mismatch(self, ours: Answer) -> str:
        if ours.status != self.status:
            return f"status {ours.status}, expected {self.status}: {ours.body!r:.300}"
        return "" if self.body(ours.body) else f"body {ours.body!r:.500}"


Table = dict[str, Difference]


def detail(*words: str, traceback: bool | None = None) -> Callable[[Any], bool]:
    """A JSON error whose detail has all of these words."""

    def check(body: Any) -> bool:
        return (
            isinstance(body, dict)
            and {"detail", "status", "request", "result"} == body.keys()
            and all(word in body["detail"] for word in words)
            and traceback in (None, "traceback" in body["result"])
        )

    return check


def first(**members: Any) -> Callable[[Any], bool]:
    """Predictions of which the first one has these members."""

    def check(body: Any) -> bool:
        one = body["results"][0]
        return all(one.get(name) == value for name, value in members.items())

    return check


def has(**members: Any) -> Callable[[Any], bool]:
    return lambda body: all(body.get(name) == value for name, value in members.items())


def region(**more: Any) -> Callable[[Any], bool]:
    return lambda body: all(
        body["results"][0]["result"][0].get(name) == value for name, value in more.items()
    )


MORE_TYPES = "NumPy numbers and arrays, versions, enums, paths and the like in a result"
PLACE = "`set`, `bytes` and the like in a result of API v2"
MIXED = "keys of different types in a result"
BUMP = "`bump_model_version`"
NULL_PARAMS = "`params: null`"
XML = "the wording of an error about a labelling config"
EXTRA = "`extra_params` that is not text"
IN_JSON = "an error that the original answers in HTML"


def _both() -> Table:
    """What differs in both modes: it comes from the base class, or from how results are written."""
    return {
        "predict:mr_np32_inner": Difference(200, region(score=0.25), MORE_TYPES),
        "predict:mr_npint_inner": Difference(200, region(start=3), MORE_TYPES),
        "predict:list_np32": Difference(200, first(score=0.25), MORE_TYPES),
        "predict:list_nparray": Difference(200, first(a=[0.0, 0.0]), MORE_TYPES),
        "predict:mr_mv_semver": Difference(200, first(model_version="0.0.1"), MORE_TYPES),
        "predict:list_bytes": Difference(500, detail("TypeError: results[0].b: "), PLACE),
        "predict:list_set": Difference(500, detail("TypeError: results[0].s: "), PLACE),
        "predict:list_mixkeys": Difference(200, first(**{"b": 1, "1": 2}), MIXED),
        "predict:bump": Difference(200, first(v="0.1.0", now="0.1.0"), BUMP),
        "predict params null": Difference(200, first(ctx={}, kw={}), NULL_PARAMS),
        "setup extra dict": Difference(200, has(model_version="0.0.1"), EXTRA),
    }


IN_PROCESS: Table = _both() | {
    "predict label_config bad": Difference(500, detail("before it is complete, line 1"), XML),
    "setup bad schema": Difference(500, detail("before it is complete, line 1"), XML),
    "webhook unser": Difference(
        201,
        lambda body: "result.a: Object of type object" in body["error"],
        PLACE,
    ),
    **dict.fromkeys(
        ("GET /is_training", "POST /train", "POST /versions"),
        Difference(404, detail("is of API v2", traceback=False), IN_JSON),
    ),
    **dict.fromkeys(
        ("GET /nope", "GET /health/"), Difference(404, detail("no such path: /"), IN_JSON)
    ),
    **dict.fromkeys(
        ("GET /predict", "GET /predict?x=1", "POST /health"),
        Difference(405, detail(" is not allowed for /"), IN_JSON),
    ),
    "webhook bad json": Difference(400, detail("decode JSON", traceback=False), IN_JSON),
    "webhook raise": Difference(500, detail("ValueError: fit boom", traceback=True), IN_JSON),
    "webhook no action": Difference(500, detail("KeyError: 'action'", traceback=True), IN_JSON),
    "webhook no project": Difference(500, detail("KeyError: 'project'", traceback=True), IN_JSON),
}

HEALTH = "/health and /"
MORE_ROUTES = "/is_training, /versions, /jobs, /train"
ERRORS = "400, 404, 405 of a path or method"
BAD_INPUT = "a body that is not JSON, not an object, or of another content type"
PROJECT = "`project` absent, null or an object"
EMPTY_CONFIG = "`label_config` empty"
CONFIG_STATUS = "a labelling config that is not XML"
LEAVES = "the model calls `sys.exit`"
ADDRESS = "`flask.request.remote_addr`"
TRAINS = "/webhook that trains, in API v2"
FIT_FAILS = "`fit` fails"
IGNORED = "/webhook with another action"

_JOB = lambda body: {"job", "job_id", "status", "job_status"} <= body.keys()  # noqa: E731
_DONE = Difference(201, lambda body: _JOB(body) and body["job_status"] == "finished", TRAINS)
_FAILED = Difference(
    201,
    lambda body: (
        _JOB(body) and body["job_status"] == "failed" and body["error"] and body["traceback"]
    ),
    FIT_FAILS,
)
_IGNORED = Difference(200, has(status="ignored"), IGNORED)
_NOT_FOUND = Difference(404, detail("no such path", traceback=False), ERRORS)
_NOT_ALLOWED = Difference(405, detail("is not allowed for", traceback=False), ERRORS)
_HEALTH = Difference(
    200, lambda body: {"model_class", "status", "workers", "jobs"} <= body.keys(), HEALTH
)

STARTED: Table = _both() | {
    "GET /": _HEALTH,
    "GET /health": _HEALTH,
    "GET /is_training": Difference(200, has(is_training=False), MORE_ROUTES),
    "POST /train": Difference(422, detail("`annotations` is missing"), MORE_ROUTES),
    "POST /versions": Difference(400, detail("No project provided"), MORE_ROUTES),
    "GET /predict": _NOT_ALLOWED,
    "GET /predict?x=1": _NOT_ALLOWED,
    "POST /health": _NOT_ALLOWED,
    "OPTIONS /predict": Difference(200, lambda body: body == "", ERRORS),
    "GET /nope": _NOT_FOUND,
    "GET /health/": _NOT_FOUND,
    "predict:raise_sysexit": Difference(500, detail("SystemExit: 3"), LEAVES),
    "predict:flask_request": Difference(
        200, first(path="/predict", ctx=True, hdr="yes", remote=None), ADDRESS
    ),
    "predict project null": Difference(200, first(pid=""), PROJECT),
    "predict +json": Difference(200, first(pid=""), PROJECT),
    "predict project dict": Difference(422, detail("`project` must be"), PROJECT),
    "setup no project": Difference(200, has(model_version="0.0.1"), PROJECT),
    "predict label_config empty": Difference(200, first(pid="1"), EMPTY_CONFIG),
    "setup empty schema": Difference(422, detail("Document is empty"), CONFIG_STATUS),
    "predict label_config bad": Difference(422, detail("line 1, column 6"), CONFIG_STATUS),
    "setup bad schema": Difference(422, detail("line 1, column 6"), CONFIG_STATUS),
    "predict no json ctype": Difference(415, detail("application/json"), BAD_INPUT),
    "predict no ctype": Difference(415, detail("application/json"), BAD_INPUT),
    "predict bad json": Difference(400, detail("not valid JSON"), BAD_INPUT),
    "predict empty": Difference(400, detail("not valid JSON"), BAD_INPUT),
    "predict null": Difference(422, detail("must be a JSON object"), BAD_INPUT),
    "predict utf8 bom": Difference(400, detail("not valid JSON"), BAD_INPUT),
    "webhook bad json": Difference(400, detail("not valid JSON"), BAD_INPUT),
    "webhook no action": Difference(422, detail("`action` is missing"), BAD_INPUT),
    "webhook none": _DONE,
    "webhook dict": _DONE,
    "webhook unser": _DONE,
    "webhook keys": _DONE,
    "webhook set": _DONE,
    "webhook action ANNOTATION_DELETED": _DONE,
    "webhook action START_TRAINING": _DONE,
    "webhook no project": _DONE,
    "webhook raise": _FAILED,
    "webhook assert": _FAILED,
    "webhook index": _FAILED,
    "webhook fnf": _FAILED,
    "webhook action ANNOTATIONS_DELETED": _IGNORED,
    "webhook action PROJECT_UPDATED": _IGNORED,
    "webhook action TASKS_CREATED": _IGNORED,
    "webhook action ": _IGNORED,
}

#: Rows of the sections that other tests show: cell -> file and test.
ELSEWHERE = {
    "a class with an attribute or a property `model_version` of its own": "tests/python/test_own_version.py::test_setup_and_predictions_name_it",
    "`model_version` in the answer of /predict": "tests/python/test_serving_v2.py::test_what_predict_may_return",
    "an instance of the model": "tests/python/test_serving_v2.py::test_an_instance_is_used_again_by_the_thread_that_made_it",
    "files that `fit` overwrites": "tests/python/test_going_back.py::"
    "test_twenty_times_back_and_forth_with_files_and_keys",
    "version after a training that leaves its name": "tests/python/test_versions_v2.py::test_a_training_changes_model_and_version_in_every_worker_at_once",
    "`self.get` in several processes": "tests/python/test_keys.py::test_a_value_is_seen_by_every_worker_at_once",
    "a training that changed no file below MODEL_DIR and no key, and returned nothing": "tests/python/test_api_verdict.py::test_a_training_that_changed_nothing_names_the_model_folder",
    "names that only API v1 has, in API v2": "tests/python/test_api_verdict.py::test_every_instance_has_the_names_of_both_apis",
    "a constructor without `label_config`": "tests/python/test_api_verdict.py::test_a_constructor_older_than_the_labelling_config_gets_it",
    "`model_version` set by a `fit` that fails": "tests/python/test_versions_v2.py::test_a_fit_that_fails_leaves_the_version",
    "`None` in the list of results of API v2": "tests/python/test_predictions.py::test_none_for_a_task_in_api_v2",
    "NaN and infinities in a result of API v2": "tests/python/test_in_process.py::test_what_models_return_becomes_json",
    "a labelling config with a document type in API v2": "tests/python/test_in_process.py::test_a_document_type_is_an_error_of_parse_config",
    "wrong credentials": "tests/python/test_in_process.py::test_credentials_are_asked_for_everywhere",
    "a user without a password in `init_app`, or a password without a user": "tests/python/test_in_process_passwords.py::test_half_of_them_is_an_error_and_opens_nothing",
    "`ML_SERVER_BASIC_AUTH_USER`, `ML_SERVER_BASIC_AUTH_PASS` under a WSGI server": "tests/python/test_in_process_passwords.py::test_they_come_from_arguments_or_the_environment",
    "`model_dir`, `redis_…` and arguments of the class in `init_app`, in API v2": "tests/python/test_in_process_arguments.py::test_a_class_of_api_v2_takes_the_arguments_of_api_v1",
    "a constructor with other parameters, or in another order": "tests/python/test_in_process_arguments.py::test_instances_get_only_what_their_constructor_takes",
    "an answer with predictions that Label Studio would not show": "tests/python/test_task_names.py::test_a_server_of_the_user_names_the_task",
    "`GET /diagnostics`": "tests/python/test_task_names.py::test_a_server_of_the_user_names_the_task",
    "`self.parsed_label_config` of API v2 without a labelling config": "tests/python/test_without_config.py::test_the_config_that_is_missing_is_asked_for",
    "`TRAIN_EVENTS` of a class of API v2": "tests/python/test_in_process_errors.py::test_a_class_decides_which_actions_train",
}


def versioned(body: Any, version: Any) -> Any:
    """Upstream's answer to /predict as the started server sends it: with versions."""
    body = copy.deepcopy(body)

    def fill(item: Any) -> Any:
        if isinstance(item, list):
            return [fill(part) for part in item]
        if isinstance(item, dict) and item.get("model_version") is None:
            item["model_version"] = version
        return item

    if isinstance(body["results"], list):
        body["results"] = fill(body["results"])
    return {**body, "model_version": version}
