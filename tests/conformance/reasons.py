"""Why answers differ, and the rows of docs/compatibility.md that say so to users.

A reason names these rows by their first cell.  `test_documentation.py` holds the two together: a
row that is named must be there, and a row about HTTP must be named by a difference that occurs, or
stand in `ELSEWHERE` with the test that shows it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reason:
    """Why, in a sentence, and where users read of it."""

    text: str
    documented: tuple[str, ...]

    def __and__(self, other: Reason) -> Reason:
        return Reason(f"{self.text}; {other.text}", self.documented + other.documented)


def because(text: str, *documented: str) -> Reason:
    """A reason; `documented` are the first cells of rows."""
    return Reason(text, documented)


# Predictions and versions.
OWN_VERSION = because(
    "a prediction is filed under the version that made it",
    "a prediction whose `model_version` is absent or null",
)
MORE_TYPES = because(
    "what models return is written as what it stands for",
    "NumPy numbers and arrays, pydantic models, paths in a result",
)
NULL_ITEM = because(
    "Label Studio answers 500 to a result that is null",
    "`None` in the list of results",
)
NO_NAN = because(
    "NaN and infinities are no JSON: what does not parse strictly is of no use to a client",
    "NaN and infinities in a result, and in what `fit` returns",
)
PLACE = because(
    "the error names the place in the result", "`set`, `bytes` and the like in a result"
)
LEAVING = because(
    "a model that leaves is an error like any other: its request is answered",
    "the model calls `sys.exit` in predict",
)
CONFIGS = because(
    "an edited labelling config takes effect without a restart",
    "another labelling config in /setup or /predict",
)
NEWEST_SETUP = because(
    "without a config in the request that of the newest /setup counts, not the last fit's",
    "/predict without `label_config` after a /train with another one",
)
CREDENTIALS = because(
    "host name and token of the newest /setup reach every instance of the project",
    "`hostname`, `access_token` changed by /setup; after `force_reload` or /train; in a webhook's fit",
)

# Training.
BOTH_DESIGNS = because(
    "both designs are served at once: no request depends on the switch",
    "two designs in one package, chosen by `LABEL_STUDIO_ML_BACKEND_V2`",
)
ASYNC = because(
    "training runs in its own process, so that nobody waits for it and no predict is slowed",
    "/train",
)
OWN_PROCESS = because("the process ends, and its GPU memory comes back", "where fit runs")
MORE = because(
    "both names of the id: Label Studio reads `job`, the original's clients `job_id`",
    "/webhook that trains",
)
EVERY_EVENT = because(
    "bulk and button events of today's Label Studio train as well",
    "ANNOTATIONS_CREATED, ANNOTATIONS_DELETED, START_TRAINING",
)
NO_EVENT = because(
    "what trains nobody makes no job, and the answer says so",
    "other actions, and models without `fit`",
)
FIT_CONFIG = because(
    "fit sees the config that came with the request that trains", "config that fit sees"
)
AS_RETURNED = because(
    "`train_output` is exactly what fit returned", "`self.train_output` after a webhook's fit"
)
GOES_ON = because(
    "fit starts from the version before, whether /train or a webhook asked for it",
    "`self.train_output` while a webhook's fit runs",
)
OWN_MODELS = because(
    "a project is served by what was trained for it, never by another project's model",
    "a model trained by another project's event",
)
NO_DATE = because(
    "an event without `created_at` names no key: before any /setup it trains the bare id",
    "event without `created_at` before any /setup",
)

# Requests and errors.
_NO_JSON = "body that is not JSON"
_NO_MEDIA_TYPE = "content type other than JSON, or none"
_NO_OBJECT = (
    "JSON that is not an object; a field missing or of the wrong type; a labelling config that is not"
    " well-formed"
)
BAD_INPUT = because(
    "a request that is wrong is told so; 500 is kept for failures of the server's side",
    _NO_JSON,
    _NO_MEDIA_TYPE,
    _NO_OBJECT,
)
DOCUMENT_TYPE = because(
    "Label Studio itself refuses a document type, so no project needs one",
    "a labelling config with a document type (`<!DOCTYPE …>`)",
)
MISTYPED = because(
    "a field of the wrong type is refused and named, whether or not it happens to be unused",
    "a mistyped field that happens to be harmless (`params: []`, `hostname: 7`)",
)
STRICT_JSON = because(
    "the body is no JSON by RFC 8259; Label Studio sends none of this",
    "`NaN`, `Infinity`, a byte order mark in a request",
)
DEFAULT_PROJECT = because(
    "requests that name no project share one default project", "`project` missing or null"
)
NUMBERS = because("a project may be a number", "`project` an integer")
NO_PROJECT_OBJECT = because(
    "an object names no project, and is not silently taken for none",
    "`project` an object in /train",
)
NULL_PARAMS = because(
    "null says that there are no params, as it does for /predict", "`params: null` in /train"
)
UNKNOWN = because(
    "an unknown project without permission to load it is the client's mistake",
    "`try_fetch: false` for a project without a model",
)
JSON_ERRORS = because(
    "errors have the same JSON form on every path",
    "unknown path, wrong method, /train with `[]`, /versions without project",
)
ANSWER_EXCEPTION = because(
    "a model that chooses its status gets it, with or without a result",
    "`AnswerException` without a result",
    "`AnswerException` in a traceback",
)
SWITCH = because(
    "`v2` is the switch between the two designs, and both are served", "`/`, `/health`, `/versions`"
)
VERSIONS_GET = because("today's Label Studio asks with GET", "`/versions`")
JOB_STATUS = because(
    "Label Studio's client has a call for it; the original had the function and no route",
    "`/job_status`",
)
JOB_ID = because(
    "the job that `is_training` is about is named, as the original did where it used Redis",
    "`/is_training` while a job waits or runs",
)
NEW_ROUTES = because(
    "training jobs can be looked at and ended, and a version gone back to",
    "`/jobs…`, `/versions/…/activate`",
)
NAMES_OF_PARAMS = because(
    "`params` are the model's, whatever they are called",
    "`params` named like the server's own arguments (`project`, `try_fetch`)",
)
PROMETHEUS = because("metrics in the text form of Prometheus", "`/metrics`")

# What only 1.0.4 and the recording of 75fafe0 do otherwise.
NO_VERSIONS_YET = because("1.0.9 brought this route", "`/versions` of 1.0.4")
NO_V2_YET = because("/health says more, for today's clients", "`/`, `/health` of 1.0.4")
NO_PROJECT_UPDATED_YET = because("1.0.9 trains on it", "PROJECT_UPDATED of 1.0.4")
NO_PINNING = because(
    "Label Studio names no version in /setup; /versions/{version}/activate goes back to one",
    "`model_version` in /setup",
)
BROKEN_SWITCH = because(
    "with the switch on these routes failed once a model was there; 1.0.9 mended that",
    "/train, /is_training of 1.0.4 with the switch on",
)

# Command line, as far as the recording shows it.
FOLDER = because(
    "the folder is for this server, and runs by itself",
    "`init` copies",
    "`uwsgi.ini`, `supervisord.conf` in the folder",
    "`requirements.txt` where the script has none",
)
CHECK = because("an example's constructor does without a config", "an example without a config")
JOB_FILES = because(
    "projects do not mix, and a version looks alike whatever trained it",
    "folder of a webhook's job",
    "`job_result.json` of a webhook's job; its `job_id`",
)

# The examples, which share no code with those of the original.
FORGIVING = because(
    "the example answers what has no text instead of failing",
    "a task without data; no tasks; no config",
)
EVERY_TASK = because(
    "Label Studio wants one prediction for each task", "interactive request with several tasks"
)
NAMED_MISTAKE = because(
    "the example says what it needs of the config", "a config that the example cannot use"
)

ELSEWHERE: dict[str, str] = {
    # Neither serves a folder that the other has claimed.
    "versions and stored keys that another class or project left in MODEL_DIR": (
        "tests/python/test_maker.py::test_what_one_class_learned_is_not_served_by_another"
    ),
    "MODEL_DIR of a project that `init` made": (
        "tests/python/test_models_folder.py::test_it_is_the_same_from_everywhere"
    ),
    # The original has no port then.
    "`/setup` while the script is imported": (
        "tests/python/test_early_names.py"
        "::test_the_trained_version_is_told_as_long_as_the_program_is_the_same"
    ),
    # An untrained version is replaced before anything is compared.
    "version of an untrained model": (
        "tests/conformance/test_v1_differential.py::test_our_versions_are_initial_then_rising_digits"
    ),
    # Every prediction is compared with the version filled in.
    "a prediction whose `model_version` is absent or null": (
        "tests/conformance/test_differences.py::test_a_prediction_without_a_version_fails"
    ),
    "keys of JSON answers": (
        "tests/conformance/test_v1_differential.py::test_ours_keeps_the_order_of_keys"
    ),
    "reason phrase of an error": (
        "tests/conformance/test_v1_differential.py::test_our_reason_phrase_is_the_detail"
    ),
    # The original answers before such a job ends.
    "`fit` that returns something other than a dict for a webhook": (
        "tests/python/test_api_verdict.py::test_a_training_without_a_version_says_why"
    ),
    "parameters of `fit` that the original's call does not fit: `fit(event)`, `fit(action, data)`,"
    " `fit(**kwargs)`, `fit(tasks)`": (
        "tests/python/test_api_verdict.py::test_a_started_server_tells_fit_the_event"
    ),
    "names that only API v2 has, in API v1": (
        "tests/python/test_api_verdict.py::test_every_instance_has_the_names_of_both_apis"
    ),
    "event without `project`": (
        "tests/python/test_api_verdict.py::test_an_event_without_a_payload_gets_a_hint"
    ),
    # About what lies on the disk.
    "`job_result.json` that holds JSON other than an object": (
        "tests/python/test_api_verdict.py::test_a_result_that_is_not_an_object_is_passed_over"
    ),
    "a project key that is not a file name": (
        "tests/python/test_http.py::test_a_project_key_writes_nothing_outside_the_model_folder"
    ),
    # The original reads any amount.
    "body over 256 MiB (`--max-body`)": (
        "tests/python/test_http.py::test_a_body_over_the_limit_is_refused"
    ),
    # The original has no such limits, routes and checks.
    "a client that sends nothing, sends or reads too slowly; heads over 64 KiB; too many connections": (
        "tests/python/test_network.py::test_a_head_has_its_time"
    ),
    "HTTP/1.1 without Host or with two; both Content-Length and Transfer-Encoding": (
        "tests/python/test_wire.py::test_two_lengths_are_one_too_many"
    ),
    "more predictions than threads": (
        "tests/faults/deadlines/test_queue.py"
        "::test_who_finds_the_line_full_is_told_at_once_and_when_to_come_back"
    ),
    "a client that closes its sending side after the request": (
        "tests/faults/network/test_hang_ups.py::test_a_client_that_closes_its_sending_side_costs_nobody"
    ),
    "a prediction that hangs": (
        "tests/faults/deadlines/test_deadlines.py"
        "::test_a_prediction_whose_client_hung_up_is_broken_off"
    ),
    "`/livez`, `/readyz`": "tests/python/test_auth.py::test_only_the_two_probes_are_open",
    "a password": (
        "tests/python/test_auth.py::test_the_token_stands_for_the_password_at_the_webhook"
    ),
    "header `X-Content-Type-Options: nosniff`": (
        "tests/python/test_wire.py::test_what_is_no_request_is_told_so"
    ),
    "environment of the model": (
        "tests/python/test_auth.py::test_the_model_does_not_see_the_token"
    ),
    "`error_code` in an error": "tests/python/test_http_errors.py::test_an_error_has_its_code",
    "traceback": "tests/python/test_http.py::test_tracebacks_can_be_hidden",
}
"""First cell of a row -> the test that shows it, where no row of the tables does."""
