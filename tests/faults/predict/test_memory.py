"""Models without memory."""

from __future__ import annotations

from backend import Backend

#: What the process has now and a little more, as a container would give it.
LIMIT = (
    "now = int(open('/proc/self/statm').read().split()[0]) * 4096\n"
    "resource.setrlimit(resource.RLIMIT_AS, (now + (64 << 20), resource.RLIM_INFINITY))\n"
)


def test_a_model_that_gets_no_memory_costs_one_answer(changed: Backend) -> None:
    worker = changed.worker()
    answer = changed.do(LIMIT + "held = bytearray(1 << 30)")
    assert answer.status_code == 500, answer.text
    assert answer.json()["detail"].startswith("MemoryError")
    changed.check_answer()
    assert changed.worker() == worker


def test_a_model_that_takes_all_memory_bit_by_bit_costs_one_answer(changed: Backend) -> None:
    answer = changed.do(LIMIT + "held = []\nwhile True: held.append(' ' * 100_000)")
    assert answer.status_code in (500, 502), answer.text
    changed.check_answer()


def test_a_result_for_which_there_is_no_memory_costs_one_answer(changed: Backend) -> None:
    """It is the writing of the answer that finds none: in Rust, which aborts."""
    answer = changed.do(LIMIT + "results = [{'text': ['x' * (1 << 20)] * 200}]")
    assert answer.status_code in (500, 502), answer.text
    changed.check_answer()


def test_a_request_for_which_there_is_no_memory_costs_one_answer(changed: Backend) -> None:
    assert changed.do(LIMIT).status_code == 200
    answer = changed.server.predict([{"data": {"text": "x" * (100 << 20)}}])
    assert answer.status_code in (500, 502), answer.text
    changed.check_answer()


def test_threads_for_which_there_is_no_memory_cost_one_answer(changed: Backend) -> None:
    # `Thread.start` of CPython waits until the thread says that it runs, which it never does if it gets no
    # memory for that.
    code = "import _thread\nfor _ in range(1000): _thread.start_new_thread(time.sleep, (1,))"
    answer = changed.do(LIMIT + code)
    assert answer.status_code in (500, 502), answer.text
    changed.check_answer()


def test_children_for_which_there_is_no_memory_cost_one_answer(changed: Backend) -> None:
    code = (
        "now = int(open('/proc/self/statm').read().split()[0]) * 4096\n"
        "resource.setrlimit(resource.RLIMIT_AS, (now, resource.RLIM_INFINITY))\n"
        "subprocess.run(['true'], preexec_fn=lambda: None)"
    )
    assert changed.do(code).status_code in (200, 500, 502)
    changed.check_answer()


def test_a_large_body_is_there_once(changed: Backend) -> None:
    """Beside the objects that the model gets, and however many processes look at it."""
    held = "\n".join(
        [
            "def held(pid):",
            "    for line in open(f'/proc/{pid}/smaps_rollup'):",
            "        if line.startswith('Pss:'): return int(line.split()[1])",
            "results = [right('fine')] * len(tasks)",
            "results[0]['result'][0]['meta'] = {'kib': held('self') + held(os.getppid())}",
        ]
    )

    def kib(size: int) -> int:
        tasks = [{"data": {"text": "fine", "do": held}}, {"data": {"text": "x" * size}}]
        answer = changed.server.predict(tasks)
        assert answer.status_code == 200, answer.text
        told: int = answer.json()["results"][0]["result"][0]["meta"]["kib"]
        return told

    size, before = 100 << 20, kib(1)
    beyond = (kib(size) - before) * 1024 - size
    assert size * 0.9 < beyond < size * 1.2, beyond / size
