"""The Flask app of the in-process mode: routes, authentication, and the JSON of answers."""

import json
import logging
from typing import Any

from flask import Flask, Response, request
from flask.json.provider import DefaultJSONProvider
from werkzeug.exceptions import HTTPException, InternalServerError, MethodNotAllowed, NotFound
from werkzeug.routing import Map

from label_studio_ml import _native, _traceback, api
from label_studio_ml._inprocess import password, served
from label_studio_ml.exceptions import answer

logger = logging.getLogger("label_studio_ml.api")

#: Routes that only models of API v1 have, with their endpoints.
_V1_ONLY = {"/train": "_train", "/is_training": "_is_training", "/versions": "get_version"}
#: A route of ours that a program of the original may have added for itself.
_DIAGNOSTICS = "/diagnostics"
#: Endpoints that use the model and its folder.
_MODEL = {"_predict", "_setup", "_train", "webhook"}
#: Endpoints of this app, also of a request that found no route; others are the user's.
_OURS = {*_MODEL, "_is_training", "get_version", "diagnostics", "health", "metrics", "static", None}


class App(Flask):
    """A Flask app whose own errors have a body in JSON, and whose routes depend on the model."""

    def preprocess_request(self, *args: Any) -> Any:
        """Choose the route anew for a model that has fewer; then call the hooks."""
        if not _native.is_hosted() and request.path in (*_V1_ONLY, _DIAGNOSTICS):
            _leave_to_user(self)
        return super().preprocess_request(*args)

    def make_response(self, rv: Any) -> Any:
        """Return the response; for an error that no handler of the user turned into one, in JSON."""
        response = super().make_response(rv)
        is_plain_error = isinstance(rv, HTTPException) and rv.response is None
        if is_plain_error and response.status_code >= 400 and request.endpoint in _OURS:
            detail, result = _described(rv)
            response.data = answer(response.status_code, detail, result).data
            response.content_type = "application/json"
        return response


def _leave_to_user(app: Flask) -> None:
    """Give a route that a model of API v2 does not have to the user's own rule, or to none; and /diagnostics
    to the user's own rule, if there is one.

    Hooks see the rule that is chosen here, so that a gate of a blueprint stands in front of its routes.
    """
    left = {"diagnostics"} if request.path == _DIAGNOSTICS else {*_V1_ONLY.values()}
    is_ours = request.url_rule is None or request.endpoint in left
    is_for_all = request.path == _DIAGNOSTICS
    if not is_ours or (not is_for_all and api.MODEL_CLASS._ml_api_version() == 1):
        return
    rules = [rule for rule in app.url_map.iter_rules() if rule.endpoint not in left]
    routes = Map([rule.empty() for rule in rules], converters=app.url_map.converters)
    chosen = request.url_rule, request.view_args, request.routing_exception
    request.routing_exception = request.url_rule = request.view_args = None
    try:
        rule, values = routes.bind_to_environ(request.environ).match(return_rule=True)
        request.url_rule, request.view_args = rule, dict(values)
    except NotFound:
        if is_for_all:
            request.url_rule, request.view_args, request.routing_exception = chosen
            return
        name = api.MODEL_CLASS.__name__
        detail = f"{request.path} is for models of API v1, and {name} is of API v2"
        request.routing_exception = NotFound(detail)
    except HTTPException as error:
        request.routing_exception = error


def _described(error: HTTPException) -> tuple[str, dict[str, str]]:
    """Return what an error says, and the traceback of an exception of the model."""
    raised = error.original_exception if isinstance(error, InternalServerError) else None
    if raised is not None:
        text = _traceback.text(raised)
        return f"{type(raised).__name__}: {raised}", {"traceback": text}
    if isinstance(error, MethodNotAllowed):
        return f"{request.method} is not allowed for {request.path}", {}
    if type(error) is NotFound and error.description == NotFound.description:
        return f"no such path: {request.path}", {}
    if isinstance(error.__cause__, HTTPException):
        # It says where the JSON of a body is wrong.
        error = error.__cause__
    return error.description or error.name, {}


class JSON(DefaultJSONProvider):
    """Writes what the original writes, and also what models return: NumPy numbers and such."""

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        text = _native.to_json(obj)
        if "indent" not in kwargs:
            return text
        # Flask sets it in debug mode, for people to read.
        return json.dumps(json.loads(text), indent=kwargs["indent"], sort_keys=self.sort_keys)


def make() -> Flask:
    """Return a new app."""
    app = App("label_studio_ml.api")
    app.json = JSON(app)
    get, post = ["GET"], ["POST"]
    app.add_url_rule("/predict", "_predict", api._predict, methods=post)
    app.add_url_rule("/setup", "_setup", api._setup, methods=post)
    app.add_url_rule("/train", "_train", api._train, methods=post)
    app.add_url_rule("/webhook", "webhook", api.webhook, methods=post)
    app.add_url_rule("/is_training", "_is_training", api._is_training, methods=get)
    app.add_url_rule("/health", "health", api.health, methods=get)
    app.add_url_rule("/", "health", api.health, methods=get)
    app.add_url_rule("/metrics", "metrics", api.metrics, methods=get)
    if not _native.is_hosted():
        # In a worker the server does all of it.
        app.add_url_rule("/versions", "get_version", api.get_version, methods=get + post)
        app.add_url_rule(_DIAGNOSTICS, "diagnostics", api.diagnostics, methods=get)
        # The password before all else, also where there is no route.
        app.before_request(check_auth)
        app.before_request(_claim_models)
    app.register_error_handler(FileNotFoundError, _not_found)
    app.register_error_handler(AssertionError, _failed)
    app.register_error_handler(IndexError, _failed)
    if _native.is_hosted():
        from label_studio_ml._worker import user_app

        user_app.note_made(app)
    return app


def check_auth() -> Response | None:
    """Refuse a request without the user and password that `init_app` was given."""
    if api.BASIC_AUTH is None:
        return None
    if password.is_in(request.headers.get("Authorization", ""), api.BASIC_AUTH):
        return None
    return Response("Unauthorized", 401, {"WWW-Authenticate": 'Basic realm="Login required"'})


def _claim_models() -> tuple[str, int] | None:
    if request.endpoint in (*_MODEL, "get_version"):
        try:
            served.claim_models()
        except RuntimeError as error:
            logger.error("%s", error)
            return str(error), 503
    return None


def _not_found(error: Exception) -> tuple[str, int]:
    logger.warning("%s", error)
    return str(error), 404


def _failed(error: Exception) -> tuple[str, int]:
    logger.error("%s", error, exc_info=True)
    return str(error), 500
