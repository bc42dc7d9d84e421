"""Hand-made HTTP: requests that no library would send, and answers byte by byte."""

from __future__ import annotations

import json
import re
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from hosting import CHOICES, PROJECT, Server

#: Long enough that a server that answers at all has answered.
PATIENCE = 60.0


@dataclass(frozen=True)
class Answer:
    """What came back; status 0 if the connection was closed without a word."""

    status: int
    reason: str
    head: str
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


SILENCE = Answer(0, "", "", b"")


@contextmanager
def connection(server: Server, receive_buffer: int | None = None) -> Iterator[socket.socket]:
    """Open a connection, and close it."""
    with socket.socket() as opened:
        if receive_buffer:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        opened.settimeout(PATIENCE)
        opened.connect(("127.0.0.1", server.port))
        yield opened


def predict_body(text: str = "fine", **data: Any) -> bytes:
    """Return the body of a request for a prediction."""
    body = {
        "tasks": [{"data": {"text": text, **data}}],
        "project": PROJECT,
        "label_config": CHOICES,
        "params": {},
    }
    return json.dumps(body).encode()


def head(
    length: int | str | None,
    *more: str,
    line: str = "POST /predict HTTP/1.1",
    content_type: str = "application/json",
) -> bytes:
    """Return the head of a request, with `more` header lines."""
    lines = [line, "Host: 127.0.0.1"]
    if content_type:
        lines.append(f"Content-Type: {content_type}")
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return "\r\n".join([*lines, *more, "", ""]).encode("latin-1")


def request(body: bytes | None = None, *more: str, **options: Any) -> bytes:
    """Return a whole request."""
    body = predict_body() if body is None else body
    return head(len(body), *more, **options) + body


def read_answer(opened: socket.socket) -> Answer:
    """Read one answer and nothing beyond it; silence if the server hangs up without one."""
    received = b""
    while not received.endswith(b"\r\n\r\n"):
        try:
            ahead = opened.recv(65536, socket.MSG_PEEK)
        except ConnectionResetError:
            ahead = b""
        if not ahead:
            assert not received, f"the answer breaks off: {received!r}"
            return SILENCE
        end = (received + ahead).find(b"\r\n\r\n")
        received += opened.recv(len(ahead) if end < 0 else end + 4 - len(received))
    text = received.decode("utf-8", "replace")
    first = text.split("\r\n", 1)[0]
    _, status, reason = (first + "  ").split(" ", 2)
    found = re.search(r"(?im)^content-length: *(\d+)", text)
    body, length = bytearray(), int(found[1]) if found else 0
    while len(body) < length:
        piece = opened.recv(min(1 << 20, length - len(body)))
        assert piece, f"{len(body)} of {length} bytes of the answer came"
        body += piece
    return Answer(int(status), reason.strip(), text, bytes(body))


def exchange(server: Server, sent: bytes) -> Answer:
    """Send bytes on a connection of their own; return what is answered."""
    with connection(server) as opened:
        send_all(opened, sent)
        return read_answer(opened)


def send_all(opened: socket.socket, sent: bytes) -> None:
    """Send as much as the server takes: one that has refused a request need not read its rest."""
    try:
        opened.sendall(sent)
    except (BrokenPipeError, ConnectionResetError):
        return


def reset(opened: socket.socket) -> None:
    """Close a connection without farewell: the other side sees a reset."""
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    opened.close()


def is_closed(opened: socket.socket, seconds: float = PATIENCE) -> bool:
    """Tell whether the server hangs up within this time; whatever it still says is read."""
    opened.settimeout(seconds)
    try:
        while opened.recv(65536):
            pass
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    return True
