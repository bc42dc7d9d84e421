"""Hosts on loopback for tests of media: one that behaves like Label Studio, and storages beside it."""

from __future__ import annotations

import base64
import gzip
import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

LEGACY = "0123456789abcdef0123456789abcdef01234567"


def jwt(**claims: Any) -> str:
    """Return a token that reads as a JWT; its signature is none."""

    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(claims)}.c2lnbmF0dXJl"


def personal(name: str = "mine") -> str:
    """Return a personal access token."""
    return jwt(token_type="refresh", exp=int(time.time()) + 10**9, jti=name)


class Host:
    """A server that records what it is asked, and answers what `files` says.

    A file is bytes, or a function that gets the handler and answers by itself.
    """

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix
        self.files: dict[str, bytes | Callable[[Handler], None]] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.headers: list[dict[str, str]] = []
        host = self

        class Bound(Handler):
            pass

        Bound.host = host
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Bound)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}{prefix}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def paths(self) -> list[str]:
        """Paths that were asked for, with their queries, in order."""
        return [path for path, _ in self.asked]

    def answer(self, handler: Handler, target: str) -> None:
        found = self.files.get(target)
        if found is None:
            handler.say(404, b"not here")
        elif isinstance(found, bytes):
            handler.say(200, found)
        else:
            found(handler)


class Handler(BaseHTTPRequestHandler):
    """One request."""

    host: Host

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.host.asked.append((self.path, self.headers.get("Authorization")))
        self.host.headers.append(dict(self.headers))
        if not self.path.startswith(self.host.prefix + "/"):
            self.say(404, b"outside")
            return
        self.host.answer(self, self.path.removeprefix(self.host.prefix))

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        body = json.loads(self.rfile.read(length))
        self.host.asked.append((self.path, self.headers.get("Authorization")))
        assert isinstance(self.host, LabelStudio)
        self.host.trade(self, self.path.removeprefix(self.host.prefix), body)

    def say(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class LabelStudio(Host):
    """Legacy tokens, personal ones that are traded, and files for who has one."""

    def __init__(self, prefix: str = "") -> None:
        super().__init__(prefix)
        #: What is given out without a token.
        self.open: dict[str, bytes] = {}
        self.legacy = {LEGACY}
        self.legacy_enabled = True
        self.refresh: set[str] = set()
        self.access: set[str] = set()
        self.forbidden: set[str] = set()
        self.life = 300
        self.trades = 0
        self.lock = threading.Lock()

    def trade(self, handler: Handler, path: str, body: dict[str, str]) -> None:
        if path != "/api/token/refresh/":
            handler.say(404)
            return
        if body.get("refresh") not in self.refresh:
            handler.say(401, b'{"detail": "Token is invalid or expired"}')
            return
        with self.lock:
            self.trades += 1
            now = int(time.time())
            access = jwt(token_type="access", iat=now, exp=now + self.life, jti=str(self.trades))
            self.access.add(access)
        handler.say(200, json.dumps({"access": access}).encode())

    def answer(self, handler: Handler, target: str) -> None:
        if target in self.open:
            handler.say(200, self.open[target])
            return
        kind, _, token = (handler.headers.get("Authorization") or "").partition(" ")
        if kind == "Token" and token in self.legacy and not self.legacy_enabled:
            detail = "legacy token authentication has been disabled for this organization"
            handler.say(401, json.dumps({"detail": detail}).encode())
        elif not (token in self.legacy if kind == "Token" else token in self.access):
            handler.say(401, b'{"detail": "Invalid token."}')
        elif token in self.forbidden:
            handler.say(403)
        else:
            super().answer(handler, target)


def redirect(to: str, status: int = 303) -> Callable[[Handler], None]:
    return lambda handler: handler.say(status, Location=to)


def truncated(body: bytes) -> Callable[[Handler], None]:
    """Announce more than is sent."""

    def answer(handler: Handler) -> None:
        handler.say(200, body, Content_Length=str(len(body) + 10))
        handler.close_connection = True

    return answer


def zipped(body: bytes) -> Callable[[Handler], None]:
    return lambda handler: handler.say(200, gzip.compress(body), Content_Encoding="gzip")


def slow(body: bytes, pieces: int = 8, pause: float = 0.02) -> Callable[[Handler], None]:
    """Send a body bit by bit, without saying how long it is."""

    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        size = len(body) // pieces + 1
        for begin in range(0, len(body), size):
            handler.wfile.write(body[begin : begin + size])
            time.sleep(pause)

    return answer


def status(code: int) -> Callable[[Handler], None]:
    return lambda handler: handler.say(code)


def uri_of(path: str) -> str:
    """Return the storage URI in a presign path."""
    (encoded,) = parse_qs(urlsplit(path).query)["fileuri"]
    return base64.urlsafe_b64decode(encoded).decode()
