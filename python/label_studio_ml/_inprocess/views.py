"""The views of the in-process mode, for API v1 and API v2."""

import json
from typing import Any

from flask import jsonify, request

from label_studio_ml import _fit_call, api
from label_studio_ml._inprocess import prediction_check, served
from label_studio_ml._inspect.failing_task import task_named
from label_studio_ml._media import label_studio_address
from label_studio_ml._v2 import predictions
from label_studio_ml.exceptions import exception_handler


def _is_v1() -> bool:
    return api.MODEL_CLASS._ml_api_version() == 1


@exception_handler
def health() -> Any:
    if _is_v1():
        return jsonify({"status": "UP", "model_dir": api._manager.model_dir})
    return jsonify({"status": "UP", "model_class": api.MODEL_CLASS.__name__})


@exception_handler
def metrics() -> Any:
    return jsonify({})


@exception_handler
def predict() -> Any:
    data: Any = request.json
    params = dict(data.get("params") or {})
    if _is_v1():
        given = (data.get("project"), data.get("label_config"))
        switches = (data.get("force_reload", False), data.get("try_fetch", True))
        with task_named(data.get("tasks")):
            results, wrapper = api._manager.predict(data.get("tasks"), *given, *switches, **params)
        version = wrapper.model_version
        response = jsonify({"results": results, "model_version": version})
        config = data.get("label_config") or getattr(wrapper.model, "label_config", None)
        return prediction_check.check(response, request, config, version)
    project_id = str(data.get("project")).split(".", 1)[0]
    context = params.pop("context", {})
    model = served.new_instance(project_id, data.get("label_config"))
    with task_named(data.get("tasks")):
        response = model.predict(data.get("tasks"), context=context, **params)
    results = predictions.of(response, lambda: model.model_version)
    config = data.get("label_config") or model.label_config
    version = model.get("model_version")
    return prediction_check.check(jsonify({"results": results}), request, config, version)


@exception_handler
def diagnostics() -> Any:
    return jsonify(prediction_check.diagnostics())


@exception_handler
def setup() -> Any:
    data: Any = request.json
    if _is_v1():
        reached = {name: data.get(name, "") for name in ("hostname", "access_token")}
        given = (data.get("project"), data.get("schema"), data.get("force_reload", False))
        wrapper = api._manager.fetch(*given, **reached)
        return jsonify({"model_version": wrapper.model_version})
    project_id = data.get("project").split(".", 1)[0]
    label_studio_address.remember(project_id, data.get("hostname"), data.get("access_token"))
    model = served.new_instance(project_id, data.get("schema"))
    if extra_params := data.get("extra_params"):
        text = extra_params if isinstance(extra_params, str) else json.dumps(extra_params)
        model.set_extra_params(text)
    return jsonify({"model_version": model.get("model_version")})


@exception_handler
def train() -> Any:
    data: Any = request.json
    annotations = data.get("annotations", "No annotations provided")
    project = data.get("project")
    if len(annotations) == 0:
        return jsonify("No annotations found."), 400
    job = api._manager.train(
        annotations,
        "" if isinstance(project, dict) else project,
        data.get("label_config"),
        **(data.get("params") or {}),
    )
    return jsonify({"job": job.id} if job else {}), 201


def webhook() -> Any:
    data: Any = request.json
    event = data.pop("action")
    if _is_v1():
        return jsonify(api._manager.webhook(event, data)), 201
    if event not in served.train_events():
        return jsonify({"status": "Unknown event"}), 200
    project = data["project"]
    model = served.new_instance(str(project["id"]), project["label_config"])
    result = _fit_call.on_event(model.fit, event, data)
    try:
        answer = jsonify({"result": result, "status": "ok"})
    except Exception as error:
        answer = jsonify({"error": str(error), "status": "error"})
    return answer, 201


@exception_handler
def is_training() -> Any:
    return jsonify(api._manager.is_training(request.args.get("project")))


@exception_handler
def versions() -> Any:
    """Answer the versions of a project, newest first; with GET also of all that have an instance."""
    if request.method == "POST":
        project: Any = request.json.get("project")
        if project is None:
            return "No project provided", 400
        found = api._manager._get_models_from_workdir(project)
    else:
        project = request.args.get("project")
        projects = api._manager._projects() if project is None else [project]
        lists = map(api._manager._get_models_from_workdir, projects)
        found = sorted({version for listed in lists for version in listed}, key=int, reverse=True)
    return jsonify({"versions": found, "model_dir": api._manager.model_dir})
