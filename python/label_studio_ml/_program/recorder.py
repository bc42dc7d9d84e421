"""What `init_app` was given while a file is loaded, and what it returns to the file then."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

#: Where `init_app` looks for a user and a password that it was not given, the original's names first.
_VARIABLES = (
    ("BASIC_AUTH_USER", "BASIC_AUTH_PASS"),
    ("ML_SERVER_BASIC_AUTH_USER", "ML_SERVER_BASIC_AUTH_PASS"),
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
        basic_auth, problem = credentials(user, password)
        if not (user or password) and _environment() == self._before:
            # The server knows what its own environment says, and that its options go before it.
            basic_auth = None
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
    return [os.environ.get(name) for pair in _VARIABLES for name in pair]


def credentials(user: Any, password: Any) -> tuple[tuple[str, str] | None, str | None]:
    """Return user and password as `init_app` understands them, and why they cannot be honoured.

    Each comes from the environment if the argument is None or empty. A half of a pair that is in the
    environment alone is not said by the file: the server deals with it.
    """
    for name, value in (("basic_auth_user", user), ("basic_auth_pass", password)):
        if value is not None and not isinstance(value, str):
            return None, f"{name} is not text but of the type {type(value).__name__}"
    found_user, found_password = user, password
    for user_variable, password_variable in _VARIABLES:
        found_user = found_user or os.environ.get(user_variable)
        found_password = found_password or os.environ.get(password_variable)
    if found_user and found_password:
        return (found_user, found_password), None
    if not (user or password):
        return None, None
    has, lacks = (
        ("basic_auth_user", "basic_auth_pass") if user else ("basic_auth_pass", "basic_auth_user")
    )
    return None, f"it has {has}, but {lacks} is empty or missing"


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
