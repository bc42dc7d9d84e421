"""Answers and errors in the format that clients of Label Studio ML backends expect."""

import copyreg
import functools
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from label_studio_ml import _traceback
from label_studio_ml._original import names as _names

if not TYPE_CHECKING:
    __getattr__ = _names.getter(__name__)

_F = TypeVar("_F", bound=Callable[..., Any])

logger = logging.getLogger(__name__)


def answer(status: int = 0, msg: str = "", result: Any = None) -> Any:
    """Return a Flask response `{"status", "detail", "request"}`, with `result` unless that is None.

    `request` holds the arguments of the URL, each with its first value. Works inside a request of Flask; RuntimeError
    elsewhere.
    """
    from flask import jsonify, make_response, request

    if status == 0 and not msg and result is None:
        status, msg = -1000, "nothing happened"
    if status == 200 and not msg:
        msg = "ok"
    body = {"status": status, "detail": msg, "request": request.args.to_dict()}
    if result is not None:
        body["result"] = result
    return make_response(jsonify(body), status)


class AnswerException(Exception):
    """Raised by a model to end a request with a status of its own, 400 to 599.

    `msg` becomes the `detail` of the answer, `result` (a dict of plain values) its `result`.
    """

    # Exception keeps the arguments of the outermost constructor, with which subclasses that have
    # other parameters are pickled; calling its __init__ would replace them.
    def __init__(self, status: int, msg: str = "", result: Any = None) -> None:
        self.status = status
        self.msg = msg
        self.result = result

    @property
    def answer(self) -> Any:
        """The Flask response, made on access: see `answer`."""
        return answer(self.status, self.msg, self.result)

    def __str__(self) -> str:
        return str(self.msg)

    def __reduce__(self) -> tuple[Any, ...]:
        # `args` lacks keyword arguments, so the constructor could not be called again.
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


class PredictionCancelled(BaseException):
    """Raised in a `predict` whose answer no client waits for any more.

    The server raises it at the next line of Python that the thread runs: once the client hung up and
    `--predict-timeout` has passed, or when `--predict-hard-timeout` has. It is not an `Exception`,
    so that code which catches those and goes on does not catch it. Clean up with `finally`, and let
    it pass.
    """


def exception_handler(f: _F) -> _F:
    """Wrap a Flask view so that exceptions become answers with a traceback in `result`.

    An `AnswerException` becomes an answer with its own status, any other exception 500 with
    `Class: message`. The traceback is logged; for other exceptions it is also printed. An attribute
    `request_id` of the wrapped view is put into `result` too.
    """

    @functools.wraps(f)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return f(*args, **kwargs)
        except AnswerException as error:
            text = _traceback.text(error)
            logger.error(text)
            result = {} if error.result is None else error.result
            if isinstance(result, dict):
                result = {"traceback": text, **result}
                if hasattr(wrapped, "request_id") and not result.get("request_id"):
                    result["request_id"] = wrapped.request_id
            return answer(error.status, error.msg, result)
        except Exception as error:
            text = _traceback.text(error)
            logger.error(text)
            print(text)
            result = {"traceback": text}
            if hasattr(wrapped, "request_id"):
                result["request_id"] = wrapped.request_id
            return answer(500, f"{type(error).__name__}: {error}", result)

    return cast(_F, wrapped)


class MediaError(FileNotFoundError):
    """A file that a task names cannot be provided; the message tells what was tried and what to set.

    If the reason is an answer over HTTP, or a missing one, it is also the `HTTPError`,
    `ConnectionError` or `Timeout` of requests, which models of the original catch.
    """
