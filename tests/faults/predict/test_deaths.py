"""A model that ends its process fails the requests that it was answering, and no others."""

from __future__ import annotations

import pytest
from backend import Backend

#: A signal to the process may be taken by any of its threads, so this one waits for it.
DEATHS = {
    "os._exit": ("os._exit(3)", "exited with status 3"),
    "os._exit with success": ("os._exit(0)", "exited with status 0"),
    "os.abort": ("os.abort()", "was killed by signal 6 (SIGABRT)"),
    "a segfault": ("ctypes.string_at(0)", "was killed by signal 11 (SIGSEGV)"),
    "SIGKILL": ("os.kill(os.getpid(), signal.SIGKILL)", "was killed by signal 9 (SIGKILL"),
    "SIGTERM": (
        "os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)",
        "was killed by signal 15 (SIGTERM)",
    ),
    "SIGHUP": ("os.kill(os.getpid(), signal.SIGHUP); time.sleep(60)", "was killed by signal 1"),
    "SIGALRM": ("signal.alarm(1); time.sleep(60)", "was killed by signal 14"),
    "SIGBUS": (
        "os.kill(os.getpid(), signal.SIGBUS); time.sleep(60)",
        "was killed by signal 7 (SIGBUS)",
    ),
    "SIGFPE": (
        "os.kill(os.getpid(), signal.SIGFPE); time.sleep(60)",
        "was killed by signal 8 (SIGFPE)",
    ),
    "SIGKILL to its group": ("os.killpg(0, signal.SIGKILL)", "was killed by signal 9"),
    "a stack overflow in C": (
        # Overflows the stack of the process, since the check that would raise is off.
        "sys.setrecursionlimit(10**9)\n"
        "class Odd:\n    def __repr__(self): return repr(self)\n"
        "threading.stack_size(256 << 10)\n"
        "def f():\n"
        "    item = []\n"
        "    for _ in range(10**6): item = [item]\n"
        "    ctypes.string_at(0)\n"
        "t = threading.Thread(target=f); t.start(); t.join()",
        "was killed by signal 11 (SIGSEGV)",
    ),
    "exec of another program": ("os.execv('/bin/true', ['true'])", "exited with status 0"),
    "a fatal error of the interpreter": (
        "ctypes.pythonapi.Py_FatalError(b'no way on')",
        "was killed by signal 6 (SIGABRT)",
    ),
}


@pytest.mark.parametrize("what", DEATHS)
def test_a_death_costs_one_answer_and_the_next_is_right(backend: Backend, what: str) -> None:
    code, reason = DEATHS[what]
    worker, restarts = backend.worker(), backend.restarts()
    answer = backend.do(code)
    assert answer.status_code == 502, answer.text
    detail = answer.json()["detail"]
    assert detail.startswith(f"worker 1 (pid {worker}) {reason}"), detail
    backend.check_answer()
    assert backend.worker() != worker
    assert backend.restarts() == restarts + 1


@pytest.mark.parametrize("number", ["SIGINT", "SIGPIPE", "SIGCHLD", "SIGWINCH", "SIGURG"])
def test_a_signal_that_the_interpreter_ignores_costs_nothing(backend: Backend, number: str) -> None:
    worker = backend.worker()
    answer = backend.do(f"os.kill(os.getpid(), signal.{number})")
    assert answer.status_code == 200, answer.text
    backend.check_answer()
    assert backend.worker() == worker


def test_a_segfault_leaves_the_lines_that_led_there_in_the_log(backend: Backend) -> None:
    assert backend.do("ctypes.string_at(0)").status_code == 502
    log = backend.server.log()
    assert "Fatal Python error: Segmentation fault" in log
    assert "in predict" in log
