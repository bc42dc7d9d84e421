"""What `init_app` was given while a file is loaded, and what it returns to the file then."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from label_studio_ml._inprocess.password import find

#: Where `init_app` looks for a user and a password that it was not given.
_VARIABLES = (
    "BASIC_AUTH_USER",
    "BASIC_AUTH_PASS",
    "ML_SERVER_BASIC_AUTH_USER",
    "ML_SERVER_BASIC_AUTH_PASS",
)


@dataclass(frozen=True)
class InitAppCall:
    """One call of `init_app`."""

    model_class: type
    #: All arguments but the class, the user and the password.
    kwargs: dict[str, Any]
    #: User and password that every request must bring.
    basic_auth: tuple[str, str] | None
    #: Why user and password cannot be honoured.
    problem: str | None


class Recorder:
    """Notes the calls of `init_app`.

    `in_process` says that the Flask app itself serves afterwards, so `init_app` returns it.
    """

    def __init__(self, in_process: bool) -> None:
        self.calls: list[InitAppCall] = []
        self._in_process = in_process
        self._before = _environment()

    def record(self, model_class: type, user: Any, password: Any, kwargs: dict[str, Any]) -> Any:
        """Note a call; return what it returns to the file, or None if it goes on in this process."""
        basic_auth, problem = None, None
        # The server knows what its own environment says, and that its options go before it.
        is_said = user not in (None, "") or password not in (None, "")
        if is_said or _environment() != self._before:
            try:
                basic_auth = find(user, password)
            except ValueError as error:
                # The file may catch an exception, and go on without a password.
                problem = str(error)
        self.calls.append(InitAppCall(model_class, kwargs, basic_auth, problem))
        if self._in_process:
            return None
        # A file that does not name flask must not wait for its import.
        return flask_app() if "flask" in sys.modules else RECORDED_APP

    def returned(self) -> list[Any]:
        """Return the apps that `init_app` returned."""
        from label_studio_ml import api

        made = vars(api).get("_server")
        return [RECORDED_APP] if made is None else [RECORDED_APP, made]


def _environment() -> list[str | None]:
    return [os.environ.get(name) for name in _VARIABLES]


def flask_app() -> Any:
    from label_studio_ml import api

    return api._server


class RecordedApp:
    """Stands for the Flask app in a worker that did not import flask.

    Whatever a file does with it, except for serving it, reaches the Flask app, which is made then.
    """

    #: Notes that the file serves the app.
    on_run: Callable[[Any], NoReturn]

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        return flask_app()(environ, start_response)

    def run(self, *_: Any, **__: Any) -> NoReturn:
        """End the thread: in a worker the app is never served."""
        RecordedApp.on_run(self)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """The class of Flask for `isinstance`, in a program that can ask: one that imported flask."""
        return getattr(sys.modules.get("flask"), "Flask", RecordedApp)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(flask_app(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(flask_app(), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(flask_app(), name)


#: What `init_app` returns in a worker without flask: one object, as the Flask app is one.
RECORDED_APP = RecordedApp()
