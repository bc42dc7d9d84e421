"""Limits on connections: each ends the connections that exceed it, with an answer, and no others."""

from __future__ import annotations

import json
import resource
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from hosting import CHOICES, ECHO, Server, make_project, wait_for
from raw_http import Answer, Wire, ask, post

Serve = Callable[..., Server]
GET = "GET /health HTTP/1.1\r\nHost: h\r\n\r\n"
#: A model whose answers are so large that no buffer of the system holds them.
LARGE = """
    from label_studio_ml.model import LabelStudioMLBase

    class Large(LabelStudioMLBase):
        def predict(self, tasks, **kwargs):
            return [{"result": [], "score": 0.5, "filler": "x" * 40_000_000}]
"""
SLOW = """
    import time
    from pathlib import Path
    from label_studio_ml.model import LabelStudioMLBase

    class Slow(LabelStudioMLBase):
        def predict(self, tasks, **kwargs):
            end = time.monotonic() + 100
            while not Path(tasks[0]["data"]["text"]).exists() and time.monotonic() < end:
                time.sleep(0.02)
            return [{"result": [], "score": 0.5}]
"""
PREDICT = json.dumps({"tasks": [{"id": 1, "data": {"text": "fine"}}], "label_config": CHOICES})


def memory(server: Server) -> int:
    """Return how many bytes of memory the server itself uses."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) << 10


def open_sockets(server: Server) -> int:
    names = Path(f"/proc/{server.process.pid}/fd").iterdir()
    count = 0
    for name in names:
        try:
            count += str(name.readlink()).startswith("socket:")
        except FileNotFoundError:
            continue
    return count


def test_a_head_has_its_time(serve: Serve) -> None:
    server = serve(ECHO, "--header-timeout", "1", "--idle-timeout", "100")
    with Wire(server.port) as wire:
        answer = wire.ask("GET /health HT")
        assert (answer.status, "--header-timeout" in answer.reason) == (408, True)
        assert wire.closed() < 60
    with Wire(server.port) as silent:
        assert silent.closed() < 60
    with Wire(server.port) as kept:
        assert kept.ask(GET).status == 200
        time.sleep(1.5)
        assert kept.ask(GET).status == 200, "the time begins with the first byte"
        answer = kept.ask("G")
        assert answer.status == 408


def test_a_kept_connection_has_its_time(serve: Serve) -> None:
    server = serve(ECHO, "--idle-timeout", "1")
    with Wire(server.port) as wire:
        assert wire.ask(GET).status == 200
        assert wire.closed() < 60


def drip(wire: Wire) -> Answer:
    """Send byte after byte, with much less than the time-out between them, until there is an answer."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        wire.send(" ")
        if select.select([wire.socket], [], [], 0.05)[0]:
            return wire.answer()
    raise AssertionError("it may drip for ever")


def test_a_body_has_its_time(serve: Serve) -> None:
    server = serve(ECHO, "--body-timeout", "3")
    head, body = post("/predict", PREDICT)[: -len(PREDICT)], PREDICT
    with Wire(server.port) as halted:
        answer = halted.ask(head, body[:10])
        assert (answer.status, "nothing of the body came for 3 s" in answer.reason) == (408, True)
        assert halted.closed() < 60
    with Wire(server.port) as dribbling:
        dribbling.send(post("/predict", b" " * 100_000)[:-100_000])
        answer = drip(dribbling)
        assert (answer.status, "slower than 1024 bytes" in answer.reason) == (408, True)
    with Wire(server.port) as slow:
        filler = b" " * 2_000
        whole = post("/predict", filler * 20 + body.encode())
        for start in range(0, len(whole), 2_000):
            slow.send(whole[start : start + 2_000])
            time.sleep(0.15)
        assert slow.answer().status == 200, "an honest slow line gets through"


def test_an_announced_body_costs_nothing_until_it_comes(serve: Serve) -> None:
    server = serve(ECHO, "--max-body", "256")
    before = memory(server)
    announced = post("/predict", b"").replace(b"Content-Length: 0", b"Content-Length: 99999999")
    with ExitStack() as stack:
        for _ in range(50):
            stack.enter_context(Wire(server.port)).send(announced, "[")
        assert server.first()["score"] == 0.5
        assert memory(server) - before < 64 << 20


def test_all_bodies_together_have_a_limit(serve: Serve, tmp_path: Path) -> None:
    server = serve(SLOW, "--max-body", "1", "--max-bodies", "1")
    gate = tmp_path / "gate"
    task = {"id": 1, "data": {"text": str(gate), "filler": "x" * 700_000}}
    body = json.dumps({"tasks": [task], "label_config": CHOICES})
    with Wire(server.port, 60) as first:
        first.send(post("/predict", body))
        running = "label_studio_ml_predictions_running 1"
        wait_for(lambda: running in server.get("/metrics").text, "it is being answered")
        probe = post("/predict", " " * 600_000)
        refused = ask(server.port, probe)
        assert refused.status == 503
        assert "--max-bodies" in refused.reason
        assert refused.headers["retry-after"]
        assert ask(server.port, post("/train", "{}")).status == 422, "small ones get through"
        gate.touch()
        assert first.answer().status == 200
    assert wait_for(lambda: ask(server.port, probe).status == 400, "there is room again")


def test_unused_connections_make_room(serve: Serve) -> None:
    server = serve(ECHO, "--max-connections", "4")
    server.session.close()
    with ExitStack() as stack:
        wires = [stack.enter_context(Wire(server.port)) for _ in range(4)]
        for wire in wires:
            assert wire.ask(GET).status == 200
        fifth = stack.enter_context(Wire(server.port))
        assert fifth.ask(GET).status == 200
        assert wires[0].closed() < 60, "the one unused for longest goes"
        assert wires[1].ask(GET).status == 200


def test_one_too_many_is_told_so(serve: Serve, tmp_path: Path) -> None:
    server = serve(SLOW, "--max-connections", "2", "--threads", "4")
    server.session.close()
    gate = tmp_path / "gate"
    task = {"id": 1, "data": {"text": str(gate)}}
    body = json.dumps({"tasks": [task], "label_config": CHOICES})
    with Wire(server.port, 90) as one, Wire(server.port, 90) as other:
        one.send(post("/predict", body))
        other.send(post("/predict", body))
        wait_for(lambda: ask(server.port, GET).status == 503, "both places are taken")
        refused = ask(server.port, GET)
        assert "--max-connections" in refused.reason
        assert refused.headers["retry-after"] == "1"
        assert refused.json()["status"] == 503
        gate.touch()
        assert [one.answer().status, other.answer().status] == [200, 200]
    assert ask(server.port, GET).status == 200


def test_a_client_that_does_not_read_is_given_up(serve: Serve) -> None:
    server = serve(LARGE, "--write-timeout", "1")
    before = open_sockets(server)
    with Wire(server.port) as deaf:
        deaf.send(post("/predict", PREDICT))
        wait_for(lambda: "--write-timeout" in server.log(), "it is given up")
        wait_for(lambda: open_sockets(server) <= before, "nothing is held for it")
    assert server.get("/health").status_code == 200


def test_a_client_that_reads_slowly_gets_its_answer(serve: Serve) -> None:
    server = serve(LARGE, "--write-timeout", "3")
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
        slow.settimeout(90)
        slow.connect(("127.0.0.1", server.port))
        slow.sendall(post("/predict", PREDICT))
        received = 0
        end = time.monotonic() + 10
        while time.monotonic() < end:
            received += len(slow.recv(1 << 14))
            time.sleep(0.3)
        while received < 40_000_000:
            more = slow.recv(1 << 20)
            assert more, f"the server closed after {received} bytes:\n{server.log()}"
            received += len(more)
    assert "--write-timeout" not in server.log()


def test_the_limit_on_open_files_lowers_that_on_connections(tmp_path: Path) -> None:
    project = make_project(tmp_path, ECHO)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (400, before[1]))
    try:
        server = Server(project)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    limits = Path(f"/proc/{server.process.pid}/limits").read_text()
    (line,) = [line for line in limits.splitlines() if line.startswith("Max open files")]
    assert int(line.split()[3]) >= 4096, "the soft limit is raised"
    assert server.stop() == 0

    def lowered() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (400, 400))

    command = [*server._command]
    with server.log_file.open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, preexec_fn=lowered)
    try:
        wait_for(lambda: "no more than 400 files may be open" in server.log(), "it is told")
        wait_for(lambda: ask(server.port, GET).status == 200, "it serves")
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(90) == 0


def test_unused_connections_do_not_hold_up_the_end(serve: Serve) -> None:
    server = serve(ECHO, "--drain-timeout", "100")
    with Wire(server.port) as kept, Wire(server.port) as fresh:
        assert kept.ask(GET).status == 200
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert kept.closed() < 60
        assert fresh.closed() < 60
        assert server.process.wait(90) == 0
        assert time.monotonic() - began < 60
