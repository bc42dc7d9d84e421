"""The Flask app of the in-process mode: routes, authentication, and the JSON of answers."""

import base64
import binascii
import hmac
import json
import logging
from typing import Any

from flask import Flask, Response, abort, request
from flask.json.provider import DefaultJSONProvider

from label_studio_ml import _native, api

logger = logging.getLogger("label_studio_ml.api")

#: Routes that only models of API v1 have.
_V1_ONLY = {"/train", "/is_training"}


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
    app = Flask("label_studio_ml.api")
    app.json = JSON(app)
    get, post = ["GET"], ["POST"]
    app.add_url_rule("/predict", "_predict", api._predict, methods=post)
    app.add_url_rule("/setup", "_setup", api._setup, methods=post)
    app.add_url_rule("/train", "_train", api._views().train, methods=post)
    app.add_url_rule("/webhook", "webhook", api.webhook, methods=post)
    app.add_url_rule("/is_training", "_is_training", api._views().is_training, methods=get)
    app.add_url_rule("/health", "health", api.health, methods=get)
    app.add_url_rule("/", "health", api.health, methods=get)
    app.add_url_rule("/metrics", "metrics", api.metrics, methods=get)
    if not _native.is_hosted():
        # In a worker the server does both.
        app.before_request(check_auth)
        app.before_request(_check_api_version)
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
    given = _credentials(request.headers.get("Authorization", ""))
    wanted = ":".join(api.BASIC_AUTH).encode()
    if given is not None and hmac.compare_digest(given, wanted):
        return None
    return Response("Unauthorized", 401, {"WWW-Authenticate": 'Basic realm="Login required"'})


def _credentials(header: str) -> bytes | None:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None


def _check_api_version() -> None:
    if request.path in _V1_ONLY and api.MODEL_CLASS._ml_api_version() != 1:
        abort(404)


def _not_found(error: Exception) -> tuple[str, int]:
    logger.warning("%s", error)
    return str(error), 404


def _failed(error: Exception) -> tuple[str, int]:
    logger.error("%s", error, exc_info=True)
    return str(error), 500
