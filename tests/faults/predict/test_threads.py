"""Threads, event loops and locks of a model."""

from __future__ import annotations

import pytest
from backend import Backend

THREADS = {
    "never ends": "threading.Thread(target=time.sleep, args=[600]).start()",
    "never ends, as a daemon": "threading.Thread(target=time.sleep, args=[600], daemon=True).start()",
    "raises": "t = threading.Thread(target=lambda: 1 / 0); t.start(); t.join()",
    "exits": "t = threading.Thread(target=sys.exit); t.start(); t.join()",
    "spins": "threading.Thread(target=lambda: exec('while True: pass'), daemon=True).start()",
    "is one of five hundred": (
        "ts = [threading.Thread(target=time.sleep, args=[0.5]) for _ in range(500)]\n"
        "[t.start() for t in ts]; [t.join() for t in ts]"
    ),
    "is of C": ("import _thread\n_thread.start_new_thread(time.sleep, (600,))"),
    "is of a pool": (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "self.pool = ThreadPoolExecutor(4)\n"
        "[self.pool.submit(time.sleep, 600) for _ in range(8)]"
    ),
}


@pytest.mark.parametrize("what", THREADS)
def test_a_thread_of_the_model_holds_up_no_answer_and_no_end(changed: Backend, what: str) -> None:
    """Whatever the thread does."""
    worker = changed.worker()
    assert changed.do(THREADS[what]).status_code == 200
    for _ in range(3):
        changed.check_answer()
    assert changed.worker() == worker


LOOPS = {
    "asyncio.run": "asyncio.run(asyncio.sleep(0.01, 'x'))",
    "a task that is left behind": (
        "async def f(): asyncio.create_task(asyncio.sleep(600))\nasyncio.run(f())"
    ),
    "a loop that is left open": (
        "loop = asyncio.new_event_loop(); asyncio.set_event_loop(loop)\n"
        "loop.run_until_complete(asyncio.sleep(0))"
    ),
    "a loop in a thread of its own": (
        "self.loop = asyncio.new_event_loop()\n"
        "threading.Thread(target=self.loop.run_forever, daemon=True).start()\n"
        "future = asyncio.run_coroutine_threadsafe(asyncio.sleep(0.01, 'x'), self.loop)\n"
        "assert future.result(10) == 'x'"
    ),
    "subprocesses of asyncio": (
        "async def f():\n"
        "    p = await asyncio.create_subprocess_exec('echo', 'x', stdout=-1)\n"
        "    assert await p.communicate() == (b'x\\n', None)\n"
        "asyncio.run(f())"
    ),
    "streams of asyncio": (
        "async def f():\n"
        "    s = await asyncio.start_server(lambda r, w: w.close(), '127.0.0.1', 0)\n"
        "    r, w = await asyncio.open_connection(*s.sockets[0].getsockname())\n"
        "    assert await r.read() == b''\n"
        "    w.close(); s.close()\n"
        "asyncio.run(f())"
    ),
}


@pytest.mark.parametrize("what", LOOPS)
def test_an_event_loop_works_in_predict(changed: Backend, what: str) -> None:
    for _ in range(2):
        answer = changed.do(LOOPS[what])
        assert answer.status_code == 200, answer.text
    changed.check_answer()


def test_a_loop_inside_a_loop_fails_as_in_python_and_costs_one_answer(backend: Backend) -> None:
    code = (
        "async def f():\n"
        "    c = asyncio.sleep(0)\n"
        "    try: asyncio.run(c)\n"
        "    finally: c.close()\n"
        "asyncio.run(f())"
    )
    for _ in range(2):
        answer = backend.do(code)
        assert answer.status_code == 500
        assert "cannot be called from a running event loop" in answer.json()["detail"]


def test_a_coroutine_instead_of_results_is_said(backend: Backend) -> None:
    answer = backend.do("async def f(): return []\nresults = f(); results.close()")
    assert answer.status_code == 500
    assert "coroutine" in answer.json()["detail"]
