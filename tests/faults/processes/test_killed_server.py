"""A server that is killed with kill -9: its workers end too, and the next start works."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from backend import Backend
from hosting import wait_for

MakeBackend = Callable[..., Backend]

RUNNING = {
    "idle": "",
    "while predict runs": "time.sleep(600)",
    "while predict spins": "while True: pass",
    "while predict keeps the interpreter": "ctypes.PyDLL(None).pause()",
    "while a child of predict runs": "subprocess.run(['sleep', '600'])",
    "while a daemon of predict runs": (
        "subprocess.Popen(['sleep', '600'], start_new_session=True); time.sleep(600)"
    ),
    "while predict ignores all signals": (
        "[ctypes.CDLL(None).signal(n, ctypes.c_void_p(1)) for n in range(1, 32)]\ntime.sleep(600)"
    ),
    "while a pool of predict runs": "multiprocessing.Pool(2).map(time.sleep, [600, 600])",
}


@contextmanager
def asked(backend: Backend, code: str) -> Iterator[None]:
    """Start a prediction that is never answered."""
    begun = backend.temporary / "begun"

    def ask() -> None:
        with suppress(OSError):
            backend.do(f"open({str(begun)!r}, 'w').close()\n{code}")

    thread = threading.Thread(target=ask)
    if code:
        thread.start()
        wait_for(begun.exists, "predict runs")
        begun.unlink()
    yield
    if code:
        thread.join(30)


@pytest.mark.parametrize("what", RUNNING)
def test_a_killed_server_leaves_no_process_and_the_next_is_right(
    make_backend: MakeBackend, what: str
) -> None:
    backend = make_backend()
    backend.start()
    backend.settle()
    with asked(backend, RUNNING[what]):
        backend.kill()
        backend.check_processes()
    backend.start()
    backend.settle()
    backend.keeps_its_promises()
    backend.end()


def test_a_server_killed_while_fit_runs_trains_after_the_next_start(
    make_backend: MakeBackend,
) -> None:
    backend = make_backend()
    backend.start()
    backend.settle()
    begun = backend.root / "begun"
    code = f"open({str(begun)!r}, 'a').write('x')\nif os.path.getsize({str(begun)!r}) == 1: time.sleep(600)"
    job = backend.train(code)
    wait_for(begun.exists, "fit runs")
    backend.kill()
    backend.check_processes()
    backend.start("--train-linger", "0")
    done = backend.ended(job)
    assert (done["job_status"], begun.read_text()) == ("finished", "xx")
    backend.version = done["model_version"]
    backend.settle()
    backend.keeps_its_promises()
    backend.end()


def test_a_server_killed_before_it_listens_leaves_no_process(make_backend: MakeBackend) -> None:
    backend = make_backend()
    reading = backend.root / "read.py"
    begun = backend.root / "begun"
    reading.write_text(f"open({str(begun)!r}, 'w').close(); time.sleep(600)")
    thread = threading.Thread(target=lambda: start_quietly(backend, str(reading)))
    thread.start()
    wait_for(begun.exists, "the worker imports")
    (server,) = [pid for pid in backend.strangers() if "start" in command(pid)]
    os.kill(server, signal.SIGKILL)
    thread.join(60)
    backend.check_processes()


def start_quietly(backend: Backend, reading: str) -> None:
    with suppress(AssertionError):
        backend.start(DOER_READ=reading)


def command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode().replace("\0", " ")


def test_kills_in_a_row_leave_nothing(make_backend: MakeBackend) -> None:
    backend = make_backend()
    for _ in range(5):
        backend.start()
        backend.check_answer()
        backend.kill()
    backend.check_processes()
    backend.start()
    backend.settle()
    backend.keeps_its_promises()
    backend.end()
