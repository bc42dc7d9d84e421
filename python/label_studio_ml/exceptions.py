"""Answers and errors in the form that clients of Label Studio ML backends know."""

from collections.abc import Callable
from typing import Any, TypeVar

_F = TypeVar("_F", bound=Callable[..., Any])


def answer(status: int = 0, msg: str = "", result: Any = None) -> Any:
    """Return a Flask response `{"status", "detail", "request", "result"}` with that status."""
    from flask import jsonify, make_response, request

    if status == 0 and not msg and result is None:
        status, msg = -1000, "nothing happened"
    if status == 200 and not msg:
        msg = "ok"
    body = {"status": status, "detail": msg, "request": request.args}
    if result is not None:
        body["result"] = result
    return make_response(jsonify(body), status)


class AnswerException(Exception):
    """Raised by a model to end a request with a status of its own, 400 to 599."""

    def __init__(self, status: int, msg: str = "", result: Any = None) -> None:
        super().__init__(msg)
        self.status = status
        self.msg = msg
        self.result = result


def exception_handler(f: _F) -> _F:
    """Wrap a Flask view so that exceptions become answers with a traceback in `result`."""
    import functools
    import traceback

    @functools.wraps(f)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return f(*args, **kwargs)
        except AnswerException as error:
            result = dict(error.result or {})
            result.setdefault("traceback", traceback.format_exc())
            return answer(error.status, error.msg, result)
        except Exception as error:
            result = {"traceback": traceback.format_exc()}
            return answer(500, f"{type(error).__name__}: {error}", result)

    return wrapped  # type: ignore[return-value]
