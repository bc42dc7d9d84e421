"""Two servers that want the same: one has it, and the other says so."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable

import pytest
from backend import Backend
from hosting import CONSOLE_SCRIPT, Server, environment, wait_for

MakeBackend = Callable[..., Backend]


def test_a_taken_port_is_refused_with_the_one_who_has_it(backend: Backend) -> None:
    port = backend.server.port
    command = [CONSOLE_SCRIPT, "start", backend.project, "-p", str(port), "--host", "127.0.0.1"]
    done = subprocess.run(
        command, env={**environment(), **backend.env}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert (
        f"port {port} is already in use: `label-studio-ml start {backend.project}` in "
        in done.stderr
    )
    assert f"(process {backend.server.process.pid}) listens on 127.0.0.1:{port};" in done.stderr


def test_a_port_of_a_killed_server_is_free_at_once(make_backend: MakeBackend) -> None:
    backend = make_backend()
    server = backend.start()
    with socket.create_connection(("127.0.0.1", server.port)):
        backend.kill()
        server.start()
    backend.check_answer()
    backend.settle()
    backend.keeps_its_promises()
    backend.end()


def test_two_servers_on_one_model_folder_both_predict_and_one_trains(
    make_backend: MakeBackend,
) -> None:
    backend = make_backend()
    first = backend.start("--train-linger", "0")
    second = backend.start("--train-linger", "0", "--lock-wait", "600")
    for server in (first, second):
        assert server.predict([{"data": {"text": "fine"}}]).status_code == 200
    refused = second.train()
    assert refused.status_code == 503
    assert str(first.process.pid) in refused.json()["detail"], "it says who has the folder"
    assert first.train().status_code == 201
    # It takes over once the other one has ended.
    assert first.stop() == 0
    wait_for(lambda: second.train().status_code == 201, "the second one trains")
    second.wait_trained()
    backend.end()


def test_a_server_that_cannot_have_the_model_folder_ends_and_says_who_has_it(
    make_backend: MakeBackend,
) -> None:
    backend = make_backend()
    first = backend.start()
    with pytest.raises(AssertionError, match=rf"pid {first.process.pid}\b"):
        backend.start("--lock-wait", "0.2", kind=Ending)
    backend.check_answer()
    backend.end()


class Ending(Server):
    """A server that is waited for to end."""

    def _is_ready(self) -> bool:
        self.process.wait(30)
        return super()._is_ready()


def test_a_lock_of_a_killed_server_is_no_lock(make_backend: MakeBackend) -> None:
    backend = make_backend()
    backend.start()
    backend.kill()
    backend.start("--lock-wait", "5", "--train-linger", "0")
    assert backend.server.train().status_code == 201
    backend.server.wait_trained()
    backend.end()


def test_a_lock_file_of_another_machine_is_no_lock(make_backend: MakeBackend) -> None:
    """What it says may be anything: that it is held is what counts."""
    backend = make_backend()
    lock = backend.models / ".label-studio-ml" / "lock"
    lock.parent.mkdir(exist_ok=True)
    lock.write_bytes(os.urandom(1000))
    backend.start("--train-linger", "0")
    assert backend.server.train().status_code == 201
    backend.server.wait_trained()
    backend.end()
