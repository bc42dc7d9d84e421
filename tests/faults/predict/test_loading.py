"""Scripts and constructors that fail, and the memory and files that they leave."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from backend import Backend
from hosting import CHOICES, wait_for

MakeBackend = Callable[..., Backend]

OTHER = CHOICES.replace("Positive", "Other")

#: What the constructor does, the status of the answer, and text of it.
MADE = {
    "raises": ("raise ValueError('no weights')", 500, "ValueError: no weights"),
    "raises BaseException": ("raise BaseException('odd')", 500, "BaseException: odd"),
    "exits": ("sys.exit(3)", 500, "SystemExit: 3"),
    "has no memory": ("raise MemoryError", 500, "MemoryError"),
    "recurses": ("def deeper(): return deeper()\ndeeper()", 500, "RecursionError"),
    "ends its process": ("os._exit(3)", 502, "exited with status 3"),
    "crashes": ("ctypes.string_at(0)", 502, "was killed by signal 11"),
    "aborts": ("os.abort()", 502, "was killed by signal 6"),
    "is killed": ("os.kill(os.getpid(), signal.SIGKILL); time.sleep(60)", 502, "signal 9"),
}


@pytest.mark.parametrize("what", MADE)
def test_a_constructor_that_fails_costs_its_own_project(
    make_backend: MakeBackend, what: str
) -> None:
    """Another project goes on, and this one too, once the reason is gone."""
    code, status, told = MADE[what]
    backend = make_backend()
    making = backend.root / "made.py"
    backend.start(DOER_MADE=str(making))
    backend.settle()
    making.write_text(f"if 'Other' in self.label_config:\n  exec({code!r})")
    answer = backend.server.predict([{"data": {"text": "x"}}], project="7.1", config=OTHER)
    assert answer.status_code == status, answer.text
    assert told in answer.json()["detail"]
    wait_for(backend.is_ready, "a worker is ready")
    backend.check_answer()
    making.unlink()
    body = {"tasks": [{"data": {"text": "x"}}], "project": "7.1", "label_config": OTHER}
    # A model that ended its worker again and again is not loaded again automatically.
    answer = backend.server.post("/predict", {**body, "force_reload": status == 502})
    assert answer.status_code == 200, answer.text
    backend.keeps_its_promises()
    backend.end()


def test_a_constructor_that_hangs_holds_up_its_own_project(make_backend: MakeBackend) -> None:
    backend = make_backend()
    making = backend.root / "made.py"
    backend.start("--setup-timeout", "0.5", DOER_MADE=str(making))
    backend.settle()
    making.write_text("if 'Other' in self.label_config: time.sleep(600)")
    began = time.monotonic()
    assert backend.server.setup("7.1", config=OTHER).status_code == 200
    assert time.monotonic() - began < 10
    for _ in range(3):
        backend.check_answer()
    backend.end()


def test_a_finalizer_that_raises_or_hangs_holds_up_no_answer(changed: Backend) -> None:
    for odd in ("raise ValueError", "sys.exit(3)", "time.sleep(1)"):
        code = f"class Odd:\n    def __del__(self): {odd}\nOdd(); results = [right('x')]"
        assert changed.do(code).status_code == 200
    changed.check_answer()


READ = {
    "prints 10 MB": "print('x' * (10 << 20))",
    "prints 10,000 lines": "for n in range(10_000): print('line', n)",
    "starts a thread": "threading.Thread(target=time.sleep, args=[600], daemon=True).start()",
    "starts a thread that must end": "threading.Thread(target=time.sleep, args=[600]).start()",
    "starts a process": "subprocess.Popen(['sleep', '600'])",
    "starts a daemon": "subprocess.Popen(['sleep', '600'], start_new_session=True)",
    "forks": "if not os.fork(): time.sleep(600)",
    "closes its streams": "os.close(0); os.close(1); os.close(2)",
    "sets handlers": (
        "[signal.signal(n, signal.SIG_IGN) for n in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]"
    ),
    "sets an alarm that it handles": "signal.signal(signal.SIGALRM, lambda *_: 0); signal.alarm(1)",
    "sets an alarm for ever": (
        "signal.signal(signal.SIGALRM, lambda *_: 0)\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)"
    ),
    "turns the collector off": "gc.disable()",
    "changes folder": "os.chdir('/')",
    "runs an event loop": "asyncio.run(asyncio.sleep(0.01))",
    "sets an event loop": "asyncio.set_event_loop(asyncio.new_event_loop())",
    "uses a pool": "with multiprocessing.get_context('fork').Pool(2) as p: p.map(abs, [1])",
    "registers a hanging exit": "atexit.register(time.sleep, 600)",
    "clears the environment": "os.environ.clear()",
    "reads its input": "assert sys.stdin.read() == ''",
}


@pytest.mark.parametrize("what", READ)
def test_a_script_may_do_this_when_it_is_imported(make_backend: MakeBackend, what: str) -> None:
    backend = make_backend()
    reading = backend.root / "read.py"
    reading.write_text(READ[what])
    backend.start(DOER_READ=str(reading))
    for _ in range(3):
        backend.check_answer()
    assert backend.restarts() == 0
    backend.end()


BROKEN = {
    "a syntax error": ("def", "SyntaxError"),
    "an import that fails": ("import no_such_package", 'Package "no_such_package" is missing'),
    "an exception": ("1 / 0", "ZeroDivisionError"),
    "sys.exit": ("import sys; sys.exit(3)", "exit status 3"),
    "a crash": ("import ctypes; ctypes.string_at(0)", "signal 11"),
    "no class": ("x = 1", "model.py"),
    "a NUL": ("\0", ""),
    "invalid UTF-8": ("# coding: utf-8\nx = '\udcff'", ""),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_script_that_breaks_while_the_server_runs_is_named_until_it_is_mended(
    make_backend: MakeBackend, what: str
) -> None:
    source, told = BROKEN[what]
    backend = make_backend()
    backend.start()
    backend.settle()
    script = backend.project / "model.py"
    good = script.read_bytes()
    script.write_bytes(source.encode("utf-8", "surrogateescape"))
    assert backend.do("os._exit(3)").status_code == 502

    def problems() -> str:
        health = backend.server.get("/health")
        assert health.status_code == 200, "the server itself is well"
        return " ".join(health.json().get("problems", []))

    wait_for(lambda: problems() and told in problems(), "/health names it")
    assert backend.server.get("/readyz").status_code == 503
    answer = backend.server.predict()
    assert answer.status_code == 503
    assert told in answer.json()["detail"]
    script.write_bytes(good)
    wait_for(backend.is_ready, "it serves again", 60)
    assert backend.server.get("/readyz").status_code == 200
    assert not problems()
    backend.keeps_its_promises()
    backend.end()
