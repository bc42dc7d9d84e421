"""Any exception of `predict` fails its own request only."""

from __future__ import annotations

import pytest
from backend import Backend

#: What is raised, and how the answer begins.
RAISED = {
    "an ordinary exception": ("raise ValueError('no such label')", "ValueError: no such label"),
    "BaseException": ("raise BaseException('odd')", "BaseException: odd"),
    "KeyboardInterrupt": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "GeneratorExit": ("raise GeneratorExit", "GeneratorExit"),
    "StopIteration": ("raise StopIteration('end')", "StopIteration: end"),
    "SystemExit 0": ("raise SystemExit(0)", "SystemExit: 0"),
    "sys.exit": ("sys.exit(3)", "SystemExit: 3"),
    "CancelledError": ("raise asyncio.CancelledError", "CancelledError"),
    "MemoryError": ("raise MemoryError('no room')", "MemoryError: no room"),
    "a broken pipe": ("raise BrokenPipeError(32, 'pipe')", "BrokenPipeError: [Errno 32] pipe"),
    "what cannot be pickled": (
        "class Odd(Exception): pass\nraise Odd(lambda: 1, threading.Lock())",
        "Odd: (<function <lambda>",
    ),
    "what has no message": (
        "class Odd(Exception):\n    def __str__(self): raise ValueError\nraise Odd()",
        "Odd: (its message could not be made)",
    ),
    "a message that exits": (
        "class Odd(Exception):\n    def __str__(self): sys.exit(3)\nraise Odd()",
        "Odd: (its message could not be made)",
    ),
    "a message that is no text": (
        "class Odd(Exception):\n    def __str__(self): return 7\nraise Odd()",
        "Odd: (its message could not be made)",
    ),
    "what has no repr": (
        "class Odd(Exception):\n    def __repr__(self): raise ValueError\nraise Odd('said')",
        "Odd: said",
    ),
    "a lone surrogate": ("raise ValueError('half \\ud800')", "ValueError: half "),
    "a header": (
        "raise ValueError('a\\r\\nSet-Cookie: b=c\\r\\n\\r\\nHTTP/1.1 200 OK')",
        "ValueError: a\r\nSet-Cookie: b=c",
    ),
    "NUL": ("raise ValueError('a\\0b')", "ValueError: a\0b"),
    "causes in a ring": (
        "a, b = ValueError('a'), ValueError('b')\na.__cause__, b.__cause__ = b, a\nraise a",
        "ValueError: a",
    ),
    "a thousand causes": (
        "error = None\n"
        "for n in range(1000):\n"
        "    new = ValueError(str(n)); new.__cause__ = error; error = new\n"
        "raise error",
        "ValueError: 999",
    ),
    "ten megabytes": ("raise ValueError('z' * (10 << 20))", "ValueError: zzz"),
    "an error of the system": ("open('/no/such/weights')", "FileNotFoundError: [Errno 2]"),
    "no attribute": ("self.no_such_thing", "AttributeError: "),
    "an import that fails": ("import no_such_package", "ModuleNotFoundError: No module named"),
    "a syntax error": ("compile('def', 'weights.py', 'exec')", "SyntaxError: "),
    "infinite recursion": (
        "def deeper(): return deeper()\ndeeper()",
        "RecursionError: maximum recursion depth exceeded",
    ),
    "recursion in C": (
        "item = []\nfor _ in range(200_000): item = [item]\njson.dumps(item)",
        "RecursionError: ",
    ),
    "recursion of a repr": (
        "class Odd:\n    def __repr__(self): return repr(self)\nrepr(Odd())",
        "RecursionError: ",
    ),
    "a source too deep to compile": ("eval('(' * 5000 + ')' * 5000)", ""),
}


@pytest.mark.parametrize("what", RAISED)
def test_what_predict_raises_costs_one_answer_and_no_worker(backend: Backend, what: str) -> None:
    code, begins = RAISED[what]
    worker, restarts = backend.worker(), backend.restarts()
    answer = backend.do(code)
    assert answer.status_code == 500
    assert answer.json()["detail"].startswith(begins), answer.text
    assert len(answer.content) < 1 << 20
    assert "Set-Cookie" not in answer.headers
    assert (backend.worker(), backend.restarts()) == (worker, restarts)


def test_an_exception_with_a_hostile_class_is_still_told(backend: Backend) -> None:
    worker = backend.worker()
    answer = backend.do(
        "class Meta(type):\n"
        "    def __repr__(cls): raise ValueError\n"
        "    def __str__(cls): raise ValueError\n"
        "class Odd(Exception, metaclass=Meta):\n"
        "    def __getattribute__(self, name): raise ValueError(name)\n"
        "raise Odd('said')"
    )
    assert answer.status_code == 500
    assert "Odd" in answer.json()["detail"]
    assert backend.worker() == worker


def test_an_exception_that_hangs_while_it_is_told_holds_one_thread_only(changed: Backend) -> None:
    """Its `__del__` waits; the answer does not wait for that."""
    answer = changed.do(
        "class Odd(Exception):\n    def __del__(self): time.sleep(3)\nraise Odd('said')"
    )
    assert answer.status_code == 500
    assert answer.json()["detail"] == "Odd: said"
