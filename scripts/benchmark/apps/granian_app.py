"""Granian, with a hand-written ASGI application: the least code between the server and the function."""

import asyncio
import json
import os

from bench_model import make

NAME = os.environ["BENCH_MODEL"]
#: Models that would block the event loop run on a thread.
BLOCKS = NAME in ("waiting", "computing")
model = make(NAME)
HEADERS = [(b"content-type", b"application/json")]


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    if scope["path"] == "/health":
        answer = b'{"status": "UP"}'
    else:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        tasks = json.loads(body)["tasks"]
        results = await asyncio.to_thread(model.predict, tasks) if BLOCKS else model.predict(tasks)
        answer = json.dumps({"results": results}).encode()
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": answer})
