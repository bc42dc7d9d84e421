"""A model that closes or exhausts descriptors of its process."""

from __future__ import annotations

import pytest
from backend import Backend


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_closed_standard_stream_costs_at_most_who_prints(changed: Backend, number: int) -> None:
    worker = changed.worker()
    assert changed.do(f"os.close({number})").status_code == 200
    changed.check_answer()
    for stream in (1, 2):
        code = f"print('lost', file={'sys.stdout' if stream == 1 else 'sys.stderr'}, flush=True)"
        answer = changed.do(code)
        if stream == number:
            assert answer.status_code == 500
            assert "Bad file descriptor" in answer.json()["detail"], "as Python says it"
        else:
            assert answer.status_code == 200
    assert changed.do("logging.error('lost'); warnings.warn('lost')").status_code == 200
    changed.check_answer()
    assert changed.worker() == worker


def test_closed_python_streams_cost_no_answer(changed: Backend) -> None:
    worker = changed.worker()
    assert changed.do("sys.stdout.close(); sys.stderr.close(); sys.stdin.close()").ok
    for code in ("print('lost')", "logging.error('lost')", "warnings.warn('lost')"):
        assert changed.do(code).status_code == 200, code
    for stream in ("sys.stdout", "sys.stderr"):
        # The message of Python.
        answer = changed.do(f"print('lost', file={stream}, flush=True)")
        assert answer.status_code == 500
        assert "ValueError: I/O operation on closed file" in answer.json()["detail"]
    changed.check_answer()
    assert changed.worker() == worker


def test_a_new_file_under_the_number_of_a_stream_is_not_written_to(changed: Backend) -> None:
    """After `os.close(1)` the next open file gets the number 1."""
    file = changed.root / "weights"
    code = f"os.close(1); self.file = open({str(file)!r}, 'w'); assert self.file.fileno() == 1"
    assert changed.do(code).status_code == 200
    assert changed.do("self.file.write('weights'); self.file.close()").ok
    assert file.read_text() == "weights"


@pytest.mark.parametrize("first", [0, 3])
def test_closing_all_descriptors_costs_one_worker(backend: Backend, first: int) -> None:
    worker = backend.worker()
    answer = backend.do(f"os.closerange({first}, 1024)")
    assert answer.status_code == 502, answer.text
    assert answer.json()["detail"].startswith(f"worker 1 (pid {worker}) ")
    backend.check_answer()
    assert backend.worker() != worker


def test_garbage_on_the_channel_costs_one_worker(backend: Backend) -> None:
    worker = backend.worker()
    answer = backend.do("os.write(3, b'garbage' * 1000)")
    assert answer.status_code == 502, answer.text
    assert "lost its channel to the server" in answer.json()["detail"]
    backend.check_answer()
    assert backend.worker() != worker


def test_a_frame_of_four_gigabytes_costs_one_worker_and_no_memory(backend: Backend) -> None:
    answer = backend.do(r"os.write(3, b'\xff\xff\xff\xff\0\x02\0\0\0{}')")
    assert answer.status_code == 502, answer.text
    backend.check_answer()


def test_a_model_that_opens_all_descriptors_gets_the_error_and_the_next_is_right(
    changed: Backend,
) -> None:
    code = (
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n"
        "held = []\n"
        "while True: held.append(open('/dev/null'))\n"
    )
    answer = changed.do(code)
    assert answer.status_code == 500, answer.text
    assert "Too many open files" in answer.json()["detail"]
    changed.check_answer()


def test_a_large_request_passes_while_descriptors_are_scarce(changed: Backend) -> None:
    """A body above 1 MiB travels as a descriptor; the worker has none left to take it."""
    code = (
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n"
        "self.held = []\n"
        "try:\n"
        "    while True: self.held.append(open('/dev/null'))\n"
        "except OSError: pass\n"
    )
    assert changed.do(code).status_code == 200
    answer = changed.server.predict([{"data": {"text": "good" * 500_000}}])
    assert answer.status_code in (200, 500, 502), answer.text
    changed.check_answer()
