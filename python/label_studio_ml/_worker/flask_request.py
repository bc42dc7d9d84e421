"""A request context of Flask around user code, for models that look at `flask.request`."""

import io
from typing import Any


def enter(target: str, headers: str, body: bytes) -> Any:
    """Push the context of `POST target` and return it; its `pop()` ends it.

    `headers` has one line `name: value` each. `current_app` is the app of `label_studio_ml.api`. The
    client's address is not known.
    """
    from label_studio_ml import api

    path, _, query = target.partition("?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "9090",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_TYPE": "application/json",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for line in headers.splitlines():
        name, _, value = line.partition(": ")
        key = name.upper().replace("-", "_")
        environ[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value
    environ.pop("HTTP_CONTENT_LENGTH", None)
    environ["CONTENT_LENGTH"] = str(len(body))
    environ["wsgi.input"] = io.BytesIO(body)
    context = api._server.request_context(environ)
    context.push()
    return context
