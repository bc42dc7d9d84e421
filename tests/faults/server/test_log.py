"""The server goes on if the log's reader or disk is closed, full or slow."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable

import pytest
from backend import Backend
from hosting import wait_for

MakeBackend = Callable[..., Backend]

NOISE = "for _ in range(2000): print('x' * 200)"


def test_a_log_that_nobody_reads_holds_up_no_answer(make_backend: MakeBackend) -> None:
    """A pipe takes 64 KiB; then a program that writes to it waits."""
    read, write = os.pipe()
    backend = make_backend(spawn={"stdout": write, "stderr": write})
    backend.start()
    os.close(write)
    backend.settle()
    for _ in range(3):
        assert backend.do(NOISE).status_code == 200
        assert backend.do("raise ValueError('z' * 10_000)").status_code == 500
    assert backend.server.get("/nope").status_code == 404
    assert backend.do("os._exit(3)").status_code == 502
    backend.keeps_its_promises()
    backend.end()
    os.close(read)


@pytest.mark.parametrize("which", ["stdout", "stderr"])
def test_a_log_whose_reader_has_gone_holds_up_no_answer(
    make_backend: MakeBackend, which: str
) -> None:
    read, write = os.pipe()
    backend = make_backend(spawn={which: write})
    backend.start()
    os.close(write)
    os.close(read)
    backend.settle()
    assert backend.do(NOISE).status_code == 200
    assert backend.do("os._exit(3)").status_code == 502
    backend.keeps_its_promises()
    backend.end()


def test_a_server_without_standard_streams_serves(make_backend: MakeBackend) -> None:
    """Descriptors 0 to 2 are closed, so that whatever is opened first would get their numbers."""
    backend = make_backend(spawn={"preexec_fn": lambda: os.closerange(0, 3)})
    backend.start()
    backend.settle()
    assert backend.do(NOISE).status_code == 200
    assert backend.do("os._exit(3)").status_code == 502
    backend.keeps_its_promises()
    backend.end()


def test_a_log_on_a_full_disk_holds_up_no_answer(make_backend: MakeBackend) -> None:
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        backend = make_backend(spawn={"stdout": full, "stderr": full})
        backend.start()
    backend.settle()
    assert backend.do(NOISE).status_code == 200
    backend.keeps_its_promises()
    backend.end()


def test_a_log_file_that_is_deleted_holds_up_no_answer(make_backend: MakeBackend) -> None:
    backend = make_backend()
    backend.start()
    backend.settle()
    backend.server.log_file.unlink()
    backend.server.log_file.touch()
    assert backend.do(NOISE).status_code == 200
    backend.keeps_its_promises()
    backend.end()


def test_a_slow_reader_of_the_log_misses_no_error(make_backend: MakeBackend) -> None:
    reader = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert reader.stdin and reader.stdout
    backend = make_backend(spawn={"stdout": reader.stdin, "stderr": reader.stdin})
    backend.start()
    reader.stdin.close()
    assert backend.do("raise ValueError('a rare error')").status_code == 500
    seen = b""

    def is_seen() -> bool:
        nonlocal seen
        assert reader.stdout
        seen += os.read(reader.stdout.fileno(), 1 << 16)
        return b"a rare error" in seen

    wait_for(is_seen, "the error is in the log")
    backend.settle()
    backend.end()
    reader.kill()
    reader.wait()
    reader.stdout.close()
