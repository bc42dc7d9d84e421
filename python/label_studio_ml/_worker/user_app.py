"""The user's WSGI app in a worker: what was added to it, and its answers to requests.

The server passes a request through the app only if something in it asks for that: a route, a hook, an
error handler, a view in place of one of ours, another app around it. So what counts is what is in the app
after the import, compared with the app as it was made.
"""

import io
import re
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from label_studio_ml._worker import views

if TYPE_CHECKING:
    from flask import Flask
    from werkzeug.routing import Rule

#: Routes that the server has and the original has not, as rules of Flask.
SERVER_ROUTES = (
    ("GET", "/livez"),
    ("GET", "/readyz"),
    ("GET", "/jobs"),
    ("GET", "/jobs/<job>"),
    ("GET", "/jobs/<job>/log"),
    ("POST", "/jobs/<job>/cancel"),
    ("POST", "/job_status"),
    ("POST", "/versions/<version>/activate"),
    ("GET", "/versions"),
    ("POST", "/versions"),
    ("GET", "/diagnostics"),
)
#: Maximum length in bytes of an answer of the app; it is sent once it is whole.
MAX_ANSWER = 256 << 20

#: Lists of functions that Flask calls for every request, by attribute of the app.
_HOOKS = {
    "before_request_funcs": "before_request",
    "after_request_funcs": "after_request",
    "teardown_request_funcs": "teardown_request",
    "url_value_preprocessors": "url_value_preprocessor",
}
_SIGNALS = (
    "request_started",
    "request_finished",
    "request_tearing_down",
    "got_request_exception",
    "appcontext_tearing_down",
)
_LIMITS = ("MAX_CONTENT_LENGTH", "MAX_FORM_MEMORY_SIZE", "MAX_FORM_PARTS")

#: The WSGI app that answers requests of the server.
_app: Callable[..., Iterable[bytes]] | None = None

_PLAIN: dict[str, Any] = {
    "SCRIPT_NAME": "",
    "SERVER_NAME": "localhost",
    "SERVER_PORT": "9090",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "wsgi.version": (1, 0),
    "wsgi.url_scheme": "http",
    "wsgi.multithread": True,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
}


class _AsMade:
    """The app as it was made, before user code saw it."""

    def __init__(self, app: "Flask") -> None:
        self.type = type(app)
        self.attributes = set(vars(app))
        #: By identity: rules of the same form are equal.
        self.rules = {id(rule): rule for rule in app.url_map.iter_rules()}
        self.views = dict(app.view_functions)
        self.error_handlers = _error_handlers(app)
        self.hooks = {name: list(getattr(app, name).get(None, ())) for name in _HOOKS}
        self.limits = {name: app.config.get(name) for name in _LIMITS}


_made: _AsMade | None = None


def note_made(app: "Flask") -> None:
    """Remember the app of `label_studio_ml.api` as it was made."""
    global _made
    _made = _AsMade(app)


def describe(served: Any) -> tuple[bool, list[str], bool, str] | None:
    """Return what was added to the app that the program serves, or None if nothing was.

    That is: whether something may see every request; the routes of the server that the app answers
    itself, as `METHOD /path/{name}`; whether `served` is another app than ours; and all in words.
    Requests can be passed to `answer` afterwards.
    """
    from label_studio_ml import api
    from label_studio_ml._program.recorder import RecordedApp

    global _app
    own: Flask | None = api.__dict__.get("_server")
    is_wrapped = served is not None and served is not own and not isinstance(served, RecordedApp)
    if own is None and not is_wrapped and "flask" not in sys.modules:
        return None
    own = api._server
    assert _made is not None, "the app is made by _inprocess.flask_app"
    seen = _what_sees_all(own, _made)
    if is_wrapped:
        seen.insert(0, f"the app {type(served).__name__} around it")
    rules = [rule for rule in own.url_map.iter_rules() if id(rule) not in _made.rules]
    replaced = _replaced_views(own, _made) + _own_rules(rules)
    if not (seen or rules or replaced):
        return None
    words = seen + ([f"{len(rules)} route{'s' if len(rules) > 1 else ''}"] if rules else [])
    words += [f"another view for {route}" for route in replaced]
    if seen:
        _add_server_routes(own, {_shape(route) for route in _own_rules(rules)})
    _app = served if is_wrapped else own
    return bool(seen), replaced, is_wrapped, ", ".join(words)


def _what_sees_all(app: "Flask", made: _AsMade) -> list[str]:
    """Name what may see or change every request."""
    found = []
    for name, hook in _HOOKS.items():
        if list(getattr(app, name).get(None, ())) != made.hooks[name]:
            found.append(hook)
    if getattr(app, "teardown_appcontext_funcs", None):
        found.append("teardown_appcontext")
    if _error_handlers(app) != made.error_handlers:
        found.append("error handlers")
    if type(app) is not made.type:
        found.append(f"the class {type(app).__name__}")
    # `app.wsgi_app = ProxyFix(app.wsgi_app)`, and other methods and classes that were replaced.
    overridden = set(vars(app)) - made.attributes
    found += sorted(name for name in overridden if callable(getattr(made.type, name, None)))
    for name, value in made.limits.items():
        if app.config.get(name) != value:
            found.append(name)
    flask = sys.modules["flask"]
    for name in _SIGNALS:
        if getattr(flask, name).receivers:
            found.append(f"the signal {name}")
    return found


def _error_handlers(app: "Flask") -> list[tuple[Any, Any, Any]]:
    """Return the handlers that hold for all of the app, and not for a blueprint alone."""
    by_code = app.error_handler_spec.get(None, {})
    return [
        (code, exception, handler)
        for code, handlers in by_code.items()
        for exception, handler in handlers.items()
    ]


def _replaced_views(app: "Flask", made: _AsMade) -> list[str]:
    changed = {
        endpoint
        for endpoint, view in made.views.items()
        if app.view_functions.get(endpoint) is not view
    }
    return [
        f"{method} {_template(rule.rule)}"
        for rule in made.rules.values()
        if rule.endpoint in changed
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
    ]


def _own_rules(rules: list["Rule"]) -> list[str]:
    """Return the routes of the server alone for which the app has a rule of the same form.

    Of routes that the original has, its own rule wins, which is the first.
    """
    forms = {(method, _shape(rule.rule)) for rule in rules for method in rule.methods or ()}
    return [
        f"{method} {_template(rule)}"
        for method, rule in SERVER_ROUTES
        if (method, _shape(rule)) in forms
    ]


def _shape(rule: str) -> str:
    """A rule without the names and converters of its variables."""
    return re.sub(r"<[^>]*>|\{[^}]*\}", "<>", rule.split(" ")[-1])


def _template(rule: str) -> str:
    """A rule of Flask as the server writes it."""
    return re.sub(r"<(?:[^>:]*:)?([^>]*)>", r"{\1}", rule)


def _add_server_routes(app: "Flask", taken: set[str]) -> None:
    """Add views for routes that only the server has, so that hooks stand in front of them too."""
    from werkzeug.routing import Rule

    for method, rule in SERVER_ROUTES:
        if f"{method} {_template(rule)}" in taken:
            continue
        endpoint = f"label_studio_ml {method} {rule}"
        # Not by `add_url_rule`: the app may have answered a request during the import.
        app.url_map.add(Rule(rule, endpoint=endpoint, methods=[method]))
        app.view_functions[endpoint] = views.asking(method)


def answer(
    method: str, target: str, headers: str, client: str | None, body: bytes
) -> tuple[int, str | None, list[tuple[str, str]], bytes]:
    """Call the app for a request and return status, reason, headers and body of its answer.

    `headers` has one line `name: value` each. Raises ValueError if the answer is none: no status, or
    more than MAX_ANSWER bytes.
    """
    path, _, query = target.partition("?")
    environ = _PLAIN | {
        "REQUEST_METHOD": method,
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "RAW_URI": target,
        "REQUEST_URI": target,
        "REMOTE_ADDR": client or "",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "CONTENT_LENGTH": str(len(body)),
        "label_studio_ml.body": body,
    }
    for line in headers.splitlines():
        name, _, value = line.partition(": ")
        key = name.upper().replace("-", "_")
        if key == "CONTENT_TYPE":
            environ[key] = value
        elif key not in ("CONTENT_LENGTH", "TRANSFER_ENCODING"):
            key = f"HTTP_{key}"
            environ[key] = f"{environ[key]},{value}" if key in environ else value
    started: list[tuple[str, list[tuple[str, str]]]] = []
    pieces: list[bytes] = []

    def start_response(
        status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], None]:
        started[:] = [(status, headers)]
        return pieces.append

    assert _app is not None, "the app was described"
    result = _app(environ, start_response)
    try:
        length = 0
        for piece in result:
            pieces.append(piece)
            length += len(piece)
            if length > MAX_ANSWER:
                raise ValueError(f"the answer of the app has more than {MAX_ANSWER} bytes")
    finally:
        close = getattr(result, "close", None)
        if close is not None:
            close()
    if not started:
        raise ValueError("the app did not begin its answer")
    status, given = started[0]
    number, _, reason = status.partition(" ")
    return int(number), reason or None, [(str(k), str(v)) for k, v in given], b"".join(pieces)
