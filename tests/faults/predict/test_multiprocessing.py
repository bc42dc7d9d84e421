"""A model that uses multiprocessing, with every start method."""

from __future__ import annotations

import pytest
from backend import Backend
from footprint import processes_with
from hosting import wait_for

WAYS = ["fork", "spawn", "forkserver"]

POOL = """
context = multiprocessing.get_context({way!r})
with context.Pool(2) as pool:
    assert pool.map(abs, range(-20, 0)) == list(range(20, 0, -1))
"""

#: As DataLoader of torch: worker processes, each with a queue of its own, and one for results.
LOADER = """
import operator
context = multiprocessing.get_context({way!r})
results = context.SimpleQueue()
workers = []
for n in range(2):
    process = context.Process(target=results.put, args=((n, n * n),), daemon=True)
    process.start()
    workers.append(process)
got = sorted(results.get() for _ in workers)
for process in workers:
    process.join(10)
    assert process.exitcode == 0, process.exitcode
results.close()
assert got == [(0, 0), (1, 1)], got
del results
"""

EXECUTOR = """
from concurrent.futures import ProcessPoolExecutor
with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context({way!r})) as pool:
    assert list(pool.map(abs, [-1, -2, -3])) == [1, 2, 3]
"""

MANAGER = """
context = multiprocessing.get_context({way!r})
with context.Manager() as manager:
    shared = manager.dict()
    shared['a'] = 1
    assert dict(shared) == {{'a': 1}}
"""

SHARED_MEMORY = """
from multiprocessing import shared_memory
block = shared_memory.SharedMemory(create=True, size=1 << 20)
block.buf[:5] = b'hello'
block.close(); block.unlink()
"""


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "code", [POOL, LOADER, EXECUTOR, MANAGER], ids=["pool", "loader", "executor", "manager"]
)
def test_multiprocessing_works_in_predict(changed: Backend, code: str, way: str) -> None:
    worker = changed.worker()
    answer = changed.do(code.format(way=way))
    assert answer.status_code == 200, f"{answer.text}\n{changed.server.log()}"
    changed.check_answer()
    assert changed.worker() == worker


@pytest.mark.parametrize("way", WAYS)
def test_multiprocessing_works_in_fit(changed: Backend, way: str) -> None:
    job = changed.ended(changed.train(POOL.format(way=way)), 60)
    assert job["job_status"] == "finished", job
    changed.version = job["model_version"]


def test_shared_memory_works_in_predict(changed: Backend) -> None:
    answer = changed.do(SHARED_MEMORY)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("way", WAYS)
def test_a_pool_ends_with_its_dead_worker(backend: Backend, way: str) -> None:
    code = f"pool = multiprocessing.get_context({way!r}).Pool(2)\npool.map(abs, [1])\nos._exit(3)"
    assert backend.do(code).status_code == 502
    backend.check_answer()


def test_shared_memory_and_semaphores_go_with_a_dead_worker(backend: Backend) -> None:
    """They would take memory away for ever."""
    code = (
        "from multiprocessing import shared_memory\n"
        "block = shared_memory.SharedMemory(create=True, size=8 << 20)\n"
        "lock = multiprocessing.Lock()\n"
        "os._exit(3)"
    )
    assert backend.do(code).status_code == 502


def test_a_killed_child_of_a_pool_costs_one_answer(backend: Backend) -> None:
    code = (
        "from concurrent.futures import ProcessPoolExecutor\n"
        "with ProcessPoolExecutor(1) as pool: pool.submit(os.abort).result()"
    )
    answer = backend.do(code)
    assert answer.status_code == 500
    assert answer.json()["detail"].startswith("BrokenProcessPool: ")


def test_a_forked_child_that_comes_back_from_predict_answers_nobody(changed: Backend) -> None:
    """It has a copy of everything, the thread that answers included."""
    worker = changed.worker()
    marked = changed.mark_bytes()
    before = processes_with(marked)
    for child in ("raise ValueError", "results = []", "sys.exit(3)"):
        answer = changed.do(f"if not os.fork(): {child}")
        assert answer.status_code == 200, answer.text
    changed.check_answer()
    assert changed.worker() == worker
    wait_for(lambda: processes_with(marked) == before, "the children have ended")


def test_a_forked_child_that_comes_back_from_fit_ends_no_job(changed: Backend) -> None:
    job = changed.ended(changed.train("if not os.fork(): raise ValueError"))
    assert job["job_status"] == "finished", job
    changed.version = job["model_version"]
