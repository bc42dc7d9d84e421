"""The part of Label Studio's REST API that `doctor` asks, for answers that a real one gives rarely."""

from __future__ import annotations

import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from typing_extensions import Self

KEY = "a-secret-key"
PROJECT = 7


class FakeStudio:
    """A server with one project; `answers` maps a method and path to a status and a body."""

    def __init__(self, certificate: Path | None = None) -> None:
        self.answers: dict[str, tuple[int, Any]] = {}
        self.requests: list[tuple[str, Any]] = []
        self.backends: list[dict[str, Any]] = []
        self.webhooks: list[dict[str, Any]] = []
        self.data: dict[str, Any] = {"text": "fine"}
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        scheme = "http"
        if certificate is not None:
            scheme = "https"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        self.url = f"{scheme}://localhost:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.shutdown()
        self._http.server_close()

    def connect(self, url: str, **fields: Any) -> dict[str, Any]:
        """Add an ML backend as the real one would, with its webhook."""
        number = len(self.backends) + 1
        row = {"id": number, "url": url, "title": f"model {number}", "state": "CO", **fields}
        self.backends.append(row)
        self.webhooks.append(webhook(number, f"{url}/webhook"))
        return row

    def changes(self) -> list[tuple[str, Any]]:
        """The requests that would change something."""
        asked = [seen for seen in self.requests if not seen[0].startswith("GET ")]
        return [seen for seen in asked if not is_impossible(seen[1])]

    def answer(self, method: str, target: str, authorization: str | None) -> tuple[int, Any]:
        path = urlsplit(target).path.rstrip("/")
        if (chosen := self.answers.get(f"{method} {path}")) is not None:
            return chosen
        if path == "/api/version":
            return 200, {"release": "1.23.2"}
        if authorization != f"Token {KEY}":
            return 401, {"detail": "Invalid token."}
        query = parse_qs(urlsplit(target).query)
        known = {
            "/api/current-user/whoami": {"id": 1, "email": "me@example.com"},
            "/api/jwt/settings": {"legacy_api_tokens_enabled": True},
            f"/api/projects/{PROJECT}": {
                "id": PROJECT,
                "title": "A project",
                "label_config": "<View/>",
                "created_at": "2026-11-25T06:40:32.797502Z",
                "task_number": 1,
            },
            "/api/ml": self.backends,
            "/api/webhooks": self.webhooks,
            "/api/tasks": {"total": 1, "tasks": [{"id": 3, "data": self.data}]},
        }
        if method in ("POST", "PATCH") and path.startswith("/api/webhooks"):
            return (201 if method == "POST" else 200), webhook(1, "http://h/webhook")
        asked = query.get("project", [str(PROJECT)])
        if path in known and asked == [str(PROJECT)]:
            return 200, known[path]
        return 404, {"detail": "No Project matches the given query."}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        studio = self

        class Handler(BaseHTTPRequestHandler):
            def handle_any(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                studio.requests.append((f"{self.command} {self.path}", body))
                authorization = self.headers.get("Authorization")
                status, answer = studio.answer(self.command, self.path, authorization)
                if status < 400 and is_impossible(body):
                    # The real one looks at the address first.
                    status, answer = 400, {"detail": "Validation error"}
                content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PATCH = handle_any

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        return Handler


class Recorder(FakeStudio):
    """Any other server, which answers everything and notes the Authorization headers."""

    def __init__(self) -> None:
        super().__init__()
        self.authorizations: list[str | None] = []

    def answer(self, method: str, target: str, authorization: str | None) -> tuple[int, Any]:
        self.authorizations.append(authorization)
        return 200, b"something"


def is_impossible(body: Any) -> bool:
    """Tell whether a webhook cannot be made, since its actions are not a list."""
    return isinstance(body, dict) and not isinstance(body.get("actions", []), list)


def webhook(number: int, url: str, **fields: Any) -> dict[str, Any]:
    """Return a row as Label Studio makes it with an ML backend."""
    row = {
        "id": number,
        "project": PROJECT,
        "url": url,
        "send_payload": True,
        "send_for_all_actions": True,
        "headers": {},
        "is_active": True,
        "actions": [],
    }
    return {**row, **fields}
