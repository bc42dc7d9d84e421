"""The views of our routes in a worker's app: each asks the server, which has the queue and the checks."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from label_studio_ml import _native

if TYPE_CHECKING:
    from flask import Response


def asking(method: str, path: str | None = None) -> Callable[..., "Response"]:
    """Return a view that asks the server for `path`, or for the path of the request."""

    def view(**_: Any) -> "Response":
        from flask import request

        return ask(method, quote(request.path) if path is None else path)

    return view


def ask(method: str, path: str) -> "Response":
    """Ask the server for a route, with query, headers and body of the request that is answered."""
    from flask import Response, request

    if query := request.query_string:
        path += "?" + query.decode("latin-1")
    environ = request.environ
    body: bytes | None = request.get_data()
    if body == environ.get("label_studio_ml.body"):
        # The server still has it.
        body = None
    # As they are now: middleware may have changed them.
    lines = "".join(
        [
            f"{name[5:].replace('_', '-')}: {value}\n"
            for name, value in environ.items()
            if name.startswith("HTTP_")
        ]
    )
    if media_type := environ.get("CONTENT_TYPE"):
        lines += f"content-type: {media_type}\n"
    status, reason, headers, answer = _native.ask_route(method, path, lines, body)
    return Response(answer, f"{status} {reason}" if reason else status, headers)


health = asking("GET", "/health")
metrics = asking("GET", "/metrics")
predict = asking("POST", "/predict")
setup = asking("POST", "/setup")
train = asking("POST", "/train")
webhook = asking("POST", "/webhook")
is_training = asking("GET", "/is_training")
