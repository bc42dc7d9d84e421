"""Every intended difference between the recording of upstream 75fafe0 and our server.

Our server runs our own examples, so a few differences come from these and not from the server.
"""

from __future__ import annotations

from typing import Any

from backends import ID, VERSION, Answer
from comparison import Change, Difference, Table
from differences import DETAILS, IGNORED, METRICS, QUEUED, health_of
from patterns import Expect, exactly, failed, has, ok, refused, saying
from reasons import (
    ASYNC,
    BAD_INPUT,
    BOTH_DESIGNS,
    BROKEN_SWITCH,
    CHECK,
    DEFAULT_PROJECT,
    EVERY_TASK,
    FOLDER,
    FORGIVING,
    JOB_FILES,
    JSON_ERRORS,
    MORE,
    NAMED_MISTAKE,
    NO_EVENT,
    NO_PROJECT_OBJECT,
    NO_V2_YET,
    NO_VERSIONS_YET,
    PROMETHEUS,
    UNKNOWN,
    Reason,
)
from recorded import Run, load

RECORDED_DIFFERENCES: Table = {}
"""(run, step) -> how the answers differ."""

_RUNS = {run.name: run for run in load()}
_SPANS = ("SubstringMatcher", "SubstringMatcher+V2")
_REPEATERS = ("MyModel", "MyModel+V2")


def _answer(run: Run, step: str) -> Answer | None:
    return next((known.answer for known in run.steps if known.name == step), None)


def _everywhere(step: str, ours: Expect | Change, reason: Reason, *names: str) -> None:
    """Add a row for each run (or these) in which the answer to a step was kept.

    Upstream's side is what was recorded: it cannot become another one.
    """
    for name in names or _RUNS:
        recorded = _answer(_RUNS[name], step)
        if recorded is not None:
            key = (name, step)
            assert key not in RECORDED_DIFFERENCES, key
            upstream = Expect(recorded.status, lambda body: True)
            RECORDED_DIFFERENCES[key] = Difference(upstream, ours, reason)


def _only(step: str, name: str, ours: Expect | Change, reason: Reason) -> None:
    _everywhere(step, ours, reason, name)


# What `init` and `start` do.
for _run in _RUNS.values():
    _listed = [".dockerignore", ".gitignore", "Dockerfile", "README.md", "_wsgi.py"]
    _listed += ["docker-compose.yml", "models", "requirements.txt", "requirements-test.txt"]
    _listed += ["test_backend.py", _run.script.name]
    _beside = _run.script.parent
    for _name in ("label_config.xml", "tasks.json", "annotations.json"):
        _listed += [_name] if (_beside / _name).exists() else []
    _listed += ["ABOUT.md"] if (_beside / "README.md").exists() else []
    _only("init", _run.name, Expect(0, {"files": sorted(_listed)}), FOLDER)
_everywhere("start-failed", Expect(0, {"log": ""}), CHECK)

# Health and the like.
for _step in ("health", "root"):
    for _run in _RUNS.values():
        _class = "Repeater" if _run.name in _REPEATERS else _run.name.partition("+")[0]
        _only(_step, _run.name, ok(health_of(_class)), NO_V2_YET)
_everywhere("metrics", METRICS, PROMETHEUS)
_everywhere(
    "versions",
    ok(
        exactly(
            model_dir="<model_dir>",
            versions=lambda found: set(found) <= {VERSION},
            details=DETAILS,
        )
    ),
    NO_VERSIONS_YET,
)

# Training.
_NO_FIT = exactly(status="ignored", detail=saying("has no fit method"))
_IDLE = {"is_training": False, "backend": "none", "model_version": VERSION}
_LEARNERS = tuple(name for name in _RUNS if name not in _SPANS)
_EVENT = "webhook ANNOTATION_CREATED"
_everywhere("train", QUEUED, ASYNC, *_LEARNERS)
_only("train", "SubstringMatcher", Expect(201, _NO_FIT), NO_EVENT)
_only("train", "SubstringMatcher+V2", Expect(201, _NO_FIT), BROKEN_SWITCH & NO_EVENT)
_everywhere(
    "is_training after",
    ok(_IDLE),
    BROKEN_SWITCH,
    *(name for name in _RUNS if name.endswith("+V2")),
)
_everywhere(_EVENT, QUEUED, MORE, *_LEARNERS)
_everywhere(_EVENT, ok(_NO_FIT), NO_EVENT, *_SPANS)
_everywhere("webhook unknown event", ok(IGNORED), NO_EVENT, *_LEARNERS)
_everywhere("webhook unknown event", ok(_NO_FIT), NO_EVENT, *_SPANS)


def _answers(*predictions: dict[str, Any]) -> Expect:
    versioned = [{**prediction, "model_version": VERSION} for prediction in predictions]
    return ok({"model_version": VERSION, "results": versioned})


def _choice(label: str) -> dict[str, Any]:
    value = {"choices": [label]}
    region = {"from_name": "sentiment", "to_name": "text", "type": "choices", "value": value}
    return {"result": [region], "score": "<score>"}


_POSITIVE = _choice("Positive")
_NOTHING: dict[str, Any] = {"result": [], "score": 0.0}
_only("predict before setup", "MyModel+V2", _answers(), BOTH_DESIGNS)
_only("predict after webhook", "MyModel", _answers(_POSITIVE, _POSITIVE), BOTH_DESIGNS)

# The interactive example answers for the first task alone.
for _step in ("predict before setup", "predict", "predict after train", "predict after webhook"):
    for _name in _SPANS:
        _switched = _step == "predict before setup" and _name.endswith("+V2")
        _why = BOTH_DESIGNS & EVERY_TASK if _switched else EVERY_TASK
        _only(_step, _name, _answers(_NOTHING, _NOTHING), _why)


def _filed(files: dict[str, Any]) -> dict[str, Any]:
    """The files of jobs as ours lay: by project, and only of jobs that train."""
    found: dict[str, Any] = {}
    for name, content in files.items():
        folder, _, file = name.rpartition("/")
        if folder.startswith("@project/"):
            found[name] = {**content, "job_id": ID} if file == "job_result.json" else content
        elif f"{folder}/job_result.json" in files:
            found[f"@project/{name}"] = _WRAPPED if file == "job_result.json" else content
    return found


_WRAPPED = {
    "status": "ok",
    "train_output": "<train_output>",
    "project": "@project",
    "workdir": "<workdir>",
    "version": ID,
    "job_id": ID,
    "time": "<seconds>",
}
_everywhere("model_dir", _filed, JOB_FILES, *_LEARNERS)
_everywhere("model_dir", Expect(0, {}), NO_EVENT, *_SPANS)

# Wrong requests.
_NO_JSON = refused(400, "the body is not valid JSON")
_NO_OBJECT = refused(422, "the body must be a JSON object")
_NO_TYPE = refused(415, 'must be application/json, not ""')
_everywhere("E predict no json", _NO_JSON, BAD_INPUT)
_everywhere("E webhook not json", _NO_JSON, BAD_INPUT)
_everywhere("E predict empty body", _NO_TYPE, BAD_INPUT)
_everywhere("E predict json list", _NO_OBJECT, BAD_INPUT)
_everywhere(
    "E predict query args",
    Expect(422, has(detail=saying("JSON object"), request={"a": "1", "b": "2"}, result={})),
    BAD_INPUT,
)
_everywhere("E predict no project", _answers(_POSITIVE), DEFAULT_PROJECT, "SimpleTextClassifier")
_everywhere("E is_training no project", ok(_IDLE), DEFAULT_PROJECT, "SimpleTextClassifier")
_everywhere("E is_training no project", ok(_IDLE), BROKEN_SWITCH, "SimpleTextClassifier+V2")
_everywhere(
    "E predict no try_fetch unknown project",
    refused(404, 'no model is loaded for project "zz"', "`try_fetch` is false"),
    UNKNOWN,
)
_everywhere("E predict tasks missing", refused(422, "`tasks` is missing"), BAD_INPUT)
_everywhere("E train no annotations key", refused(422, "`annotations` is missing"), BAD_INPUT)
_everywhere("E train empty", refused(400, "No annotations found."), JSON_ERRORS)
_everywhere("E train project dict", refused(422, "`project` must be a string"), NO_PROJECT_OBJECT)
_everywhere("E train bad label", QUEUED, ASYNC)
_everywhere(
    "E setup bad xml",
    failed("the labelling config cannot be read: ", status=422),
    BAD_INPUT,
)
_everywhere("E 404", refused(404, "no such path: /nope"), JSON_ERRORS)
_everywhere("E 405", refused(405, "GET is not allowed for /predict"), JSON_ERRORS)
_everywhere("E 405 post health", refused(405, "POST is not allowed for /health"), JSON_ERRORS)

# What the examples make of odd requests.
_everywhere("E predict bad task", _answers(_POSITIVE), FORGIVING)
_everywhere("E predict tasks empty", _answers(), FORGIVING)
_everywhere("E setup empty schema", ok({"model_version": VERSION}), FORGIVING)
_everywhere("E setup wrong schema", failed("ValueError: ", "<Choices>"), NAMED_MISTAKE)
