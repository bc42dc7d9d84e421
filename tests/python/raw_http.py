"""HTTP as bytes over a socket, for requests that an ordinary client does not send."""

from __future__ import annotations

import json
import socket
import time
from dataclasses import dataclass
from typing import Any


@dataclass
class Answer:
    status: int
    reason: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Wire:
    """A connection to a server at a port of this machine."""

    def __init__(self, port: int, timeout: float = 90.0) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self._rest = b""

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, *parts: bytes | str) -> None:
        for part in parts:
            self.socket.sendall(part.encode() if isinstance(part, str) else part)

    def _read(self) -> bytes:
        return self.socket.recv(1 << 16)

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._rest:
            more = self._read()
            assert more, f"the server closed after {self._rest!r}"
            self._rest += more
        found, self._rest = self._rest.split(mark, 1)
        return found

    def head(self) -> Answer:
        """Return the next status line and headers, without the body."""
        status_line, *lines = self._until(b"\r\n\r\n").decode().split("\r\n")
        version, status, reason = status_line.split(" ", 2)
        assert version in ("HTTP/1.0", "HTTP/1.1"), status_line
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        return Answer(int(status), reason, headers, b"")

    def answer(self, of_head: bool = False) -> Answer:
        """Return the next answer, which has a length."""
        answer = self.head()
        length = 0 if of_head else int(answer.headers["content-length"])
        while len(self._rest) < length:
            more = self._read()
            assert more, "the server closed within the body"
            self._rest += more
        answer.body, self._rest = self._rest[:length], self._rest[length:]
        return answer

    def closed(self) -> float:
        """Return after how many seconds the server closes the connection without another answer."""
        began = time.monotonic()
        try:
            more = self._rest or self._read()
        except ConnectionResetError:
            more = b""
        assert not more, more
        return time.monotonic() - began

    def ask(self, *parts: bytes | str, of_head: bool = False) -> Answer:
        self.send(*parts)
        return self.answer(of_head)


def ask(port: int, *parts: bytes | str, of_head: bool = False) -> Answer:
    """Return the answer to these bytes on a new connection."""
    with Wire(port) as wire:
        return wire.ask(*parts, of_head=of_head)


def post(path: str, body: bytes | str, *headers: str) -> bytes:
    """Return the bytes of a request with a JSON body."""
    body = body.encode() if isinstance(body, str) else body
    lines = [f"POST {path} HTTP/1.1", "Host: h", "Content-Type: application/json", *headers]
    if not any(header.lower().startswith("transfer-encoding") for header in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body
