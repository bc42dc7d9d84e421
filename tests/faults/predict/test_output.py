"""Any output of a model goes to the log, however much it is, and delays no request."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from backend import Backend
from footprint import status_field
from hosting import wait_for

PRINTED = {
    "invalid UTF-8 on stdout": r"os.write(1, b'caf\xe9 \xff\xfe\n')",
    "invalid UTF-8 on stderr": r"os.write(2, b'caf\xe9 \xff\xfe\n')",
    "a lone surrogate": r"print('\ud800')",
    "control characters": r"print('\x1b[2J\x1b]0;title\x07\0\x08\r\r')",
    "no line at all": "os.write(1, b'no end')",
    "bytes of a record": r"os.write(1, b'\x1e2.17\x1fERROR\x1f\x1e\x1e\x1f\x1f\n')",
    "a line of 100 MiB": "for _ in range(100): os.write(1, b'x' * (1 << 20))",
    "a line of 100 MiB from print": "print('x' * (100 << 20))",
    "carriage returns": r"for n in range(10_000): sys.stderr.write(f'\r{n}%')",
    "an object that cannot be printed": (
        "class Odd:\n"
        "    def __str__(self): raise ValueError\n"
        "try: print(Odd())\n"
        "except ValueError: pass"
    ),
    "logging of what cannot be formatted": "logging.error('%d', 'no number')",
    "a warning": "warnings.warn('odd')",
    "a child": "subprocess.run(['sh', '-c', 'echo out; echo err >&2'], check=True)",
    "many threads": (
        "def say():\n"
        "    for n in range(500): print('line', n, flush=True)\n"
        "threads = [threading.Thread(target=say) for _ in range(16)]\n"
        "[t.start() for t in threads]; [t.join() for t in threads]"
    ),
}


@pytest.mark.parametrize("what", PRINTED)
def test_whatever_is_printed_the_answer_is_right(backend: Backend, what: str) -> None:
    worker = backend.worker()
    answer = backend.do(PRINTED[what])
    assert answer.status_code == 200, answer.text
    assert backend.do("print('the last line')").ok
    wait_for(lambda: "the last line" in backend.server.log(), "later lines are logged", 60)
    assert backend.worker() == worker


def test_ten_thousand_lines_a_second_hold_up_no_answer(backend: Backend) -> None:
    stop = backend.temporary / "stop"
    code = f"while not os.path.exists({str(stop)!r}):\n    print('epoch', 'x' * 200)\n"
    size = backend.server.log_file.stat().st_size
    resident = status_field(backend.server.process.pid, "VmRSS")
    began = time.monotonic()
    with ThreadPoolExecutor(1) as threads:
        printing = threads.submit(backend.do, code)
        answered = 0
        while time.monotonic() < began + 3 or answered <= 5:
            assert not printing.done()
            backend.check_answer()
            answered += 1
        stop.touch()
        assert printing.result().ok
    stop.unlink()
    wait_for(lambda: "lines of output left out" in backend.server.log(), "it says so")
    assert backend.server.log_file.stat().st_size - size < 50 << 20, "the log is not flooded"
    assert status_field(backend.server.process.pid, "VmRSS") < resident + (30 << 10)
