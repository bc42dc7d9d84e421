"""A small endpoint for the tests that speaks the OpenAI chat protocol."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class FakeLLM(ThreadingHTTPServer):
    """Remembers what it was asked; answers what `reply` makes of the text."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.reply: Callable[[str], str | None] = lambda text: "Positive"
        self.status = 200
        self.raw: bytes | None = None  # an answer that no chat endpoint would give
        self.requests: list[dict[str, Any]] = []
        self.headers: list[Any] = []
        self.lock = threading.Lock()
        self.busy = 0
        self.most_busy = 0
        self.url = f"http://127.0.0.1:{self.server_port}/v1"

    @property
    def instruction(self) -> str:
        return self.requests[-1]["messages"][0]["content"]


class Handler(BaseHTTPRequestHandler):
    server: FakeLLM

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.requests.append(body)
            self.server.headers.append(self.headers)
            self.server.busy += 1
            self.server.most_busy = max(self.server.most_busy, self.server.busy)
        content = self.server.reply(body["messages"][-1]["content"])
        with self.server.lock:
            self.server.busy -= 1
        answer = {"choices": [{"message": {"role": "assistant", "content": content}}]}
        payload = self.server.raw or json.dumps(answer).encode()
        self.send_response(self.server.status if self.path == "/v1/chat/completions" else 404)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *args: Any) -> None:
        """Say nothing: the output of the tests is not for this."""
