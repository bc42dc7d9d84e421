"""The in-process mode: a model class as a WSGI app, for gunicorn, uWSGI and people's tests.

`init_app` returns a Flask app whose views call the class in the calling thread, as the original
does: bodies and statuses are the original's, exceptions pass where it lets them pass, and the views
call what tests of models patch. Importing this module and calling `init_app` starts no thread and
opens no file, so a server may fork its workers afterwards. Isolation from the model and the queue
of training jobs come with `label-studio-ml start`, which loads a project's `_wsgi.py` only to find out
what it says (`_program`).

`_server` is that app, one for the process; `_manager` is the `LabelStudioMLManager` that serves
models of API v1. Both are made at their first use.
"""

import logging
import sys
from typing import TYPE_CHECKING, Any

from label_studio_ml import _native
from label_studio_ml._api_attributes import TrainEvents
from label_studio_ml._original import names as _names
from label_studio_ml.model import LabelStudioMLBase

if TYPE_CHECKING:
    from flask import Flask

    from label_studio_ml._original.views import log_request_info as log_request_info
    from label_studio_ml._original.views import log_response_info as log_response_info
    from label_studio_ml._program.recorder import Recorder
    from label_studio_ml.exceptions import exception_handler as exception_handler
    from label_studio_ml.managers import LabelStudioMLManager as LabelStudioMLManager
    from label_studio_ml.response import ModelResponse as ModelResponse

    _manager: LabelStudioMLManager
    _server: Flask

logger = logging.getLogger(__name__)

#: The class that is served.
MODEL_CLASS: type[LabelStudioMLBase] = LabelStudioMLBase

#: User and password that every request must carry, or None.
BASIC_AUTH: tuple[str, str] | None = None

#: Actions on which /webhook calls `fit` of a model of API v2.
TRAIN_EVENTS = TrainEvents.V2

#: Notes what `init_app` is given while a file is loaded, in a worker for good.
_recorder: "Recorder | None" = None


def init_app(
    model_class: type,
    basic_auth_user: str | None = None,
    basic_auth_pass: str | None = None,
    **kwargs: Any,
) -> Any:
    """Return the app, which serves `model_class` from now on.

    `kwargs` are for API v1: `model_dir`, `redis_host`, `redis_port`, `redis_queue`; others are passed
    to the class, in API v2 those that it names. With a class of API v2 `model_dir` is MODEL_DIR unless
    the environment sets it, and a warning tells what else is not used.

    User and password are required with every request from now on; BASIC_AUTH_USER and BASIC_AUTH_PASS,
    or ML_SERVER_BASIC_AUTH_USER and ML_SERVER_BASIC_AUTH_PASS, in the environment stand in for them. A
    later call without them does not open the app: set `BASIC_AUTH` to None for that.

    Raises ValueError if `model_class` is not a model class, and for a user without a password or a
    password without a user.
    """
    global MODEL_CLASS, BASIC_AUTH
    if not (isinstance(model_class, type) and issubclass(model_class, LabelStudioMLBase)):
        raise ValueError(f"{model_class!r} is not a subclass of LabelStudioMLBase")
    if _recorder is not None:
        recorded = _recorder.record(model_class, basic_auth_user, basic_auth_pass, kwargs)
        if recorded is not None:
            MODEL_CLASS = model_class
            return recorded
    from label_studio_ml._inprocess import password, served
    from label_studio_ml._inspect import api_evidence, model_folder, script

    # First of all: if anything else fails, the app is not open.
    BASIC_AUTH = password.find(basic_auth_user, basic_auth_pass) or BASIC_AUTH
    file = sys._getframe(1).f_code.co_filename
    said = api_evidence.given_to_init_app(kwargs, file)
    version, reason = _native.detect_api_version(model_class, said)
    if model_class is not LabelStudioMLBase:
        model_class._known_ml_api = version
        served.tell_verdict(model_class, version, reason)
    defining = script.defining_file(model_class, file)
    model_folder.look_beside([file] if defining is None else [file, defining])
    served.set_up(model_class, version, kwargs, defining)
    MODEL_CLASS = model_class
    return _app()


def health() -> Any:
    """GET / and /health."""
    return _views().health()


def metrics() -> Any:
    """GET /metrics."""
    return _views().metrics()


def diagnostics() -> Any:
    """GET /diagnostics: the mistakes in the predictions of this process."""
    from label_studio_ml._inprocess import views

    return views.diagnostics()


def _predict() -> Any:
    return _views().predict()


def _setup() -> Any:
    return _views().setup()


def webhook() -> Any:
    """POST /webhook."""
    return _views().webhook()


def _views() -> Any:
    """The module with the views: in a worker they ask the server, elsewhere they call the class."""
    if _native.is_hosted():
        from label_studio_ml._worker import views

        return views
    from label_studio_ml._inprocess import views as in_process

    return in_process


def _train() -> Any:
    return _views().train()


def _is_training() -> Any:
    return _views().is_training()


def get_version() -> Any:
    """GET and POST /versions, of API v1."""
    from label_studio_ml._inprocess import views

    return views.versions()


def _app() -> Any:
    from label_studio_ml import api

    return api._server


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name == "_manager" and _native.is_hosted():
            from label_studio_ml._worker.manager import HostedManager

            globals()[name] = hosted = HostedManager()
            return hosted
        if name == "_manager":
            from label_studio_ml.managers import LabelStudioMLManager

            globals()[name] = manager = LabelStudioMLManager()
            return manager
        if name == "_server":
            from label_studio_ml._inprocess import flask_app

            globals()[name] = server = flask_app.make()
            return server
        return _names.getter(__name__)(name)
