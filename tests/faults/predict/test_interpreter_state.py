"""A model may change the state of its process: no other answer and nothing in the server changes."""

from __future__ import annotations

import pytest
from backend import Backend

CHANGES = {
    "another folder": "os.chdir('/')",
    "a folder that is gone": "d = tempfile.mkdtemp(); os.chdir(d); os.rmdir(d)",
    "umask": "os.umask(0o777)",
    "sys.stdout replaced": "import io; sys.stdout = sys.stderr = io.StringIO()",
    "sys.stdout is None": "sys.stdout = sys.stderr = None",
    "sys.stdout that raises": (
        "class Odd:\n"
        "    def write(self, text): raise ValueError(text)\n"
        "    flush = write\n"
        "sys.stdout = sys.stderr = Odd()"
    ),
    "logging configured anew": (
        "logging.basicConfig(force=True, level=0, filename=os.devnull); logging.disable(100)"
    ),
    "a log handler that raises": (
        "class Odd(logging.Handler):\n"
        "    def emit(self, record): raise ValueError(record)\n"
        "logging.getLogger().handlers[:] = [Odd()]"
    ),
    "logging taken apart": "logging.getLogger = logging.warning = None; del logging.Logger.handle",
    "the garbage collector off": "gc.disable(); gc.freeze()",
    "garbage collection at every step": "gc.set_threshold(1)",
    "a garbage collector's callback that raises": "gc.callbacks.append(lambda *_: 1 / 0)",
    "a small recursion limit": "sys.setrecursionlimit(60)",
    "a huge recursion limit": "sys.setrecursionlimit(10**9)",
    "warnings as errors": "warnings.simplefilter('error')",
    "faulthandler off": "faulthandler.disable()",
    "faulthandler anew": "faulthandler.enable(); faulthandler.dump_traceback_later(1, exit=False)",
    "threading.excepthook that raises": (
        "def odd(args): raise ValueError(args)\n"
        "threading.excepthook = odd\n"
        "t = threading.Thread(target=lambda: 1 / 0); t.start(); t.join()"
    ),
    "sys.excepthook that raises": "sys.excepthook = lambda *_: 1 / 0",
    "sys.unraisablehook that raises": (
        "sys.unraisablehook = lambda *_: 1 / 0\n"
        "class Odd:\n    def __del__(self): raise ValueError\n"
        "Odd()"
    ),
    "a trace function": "sys.settrace(lambda *_: None); threading.settrace(lambda *_: None)",
    "a trace function that raises": (
        "def odd(frame, event, arg): raise ValueError(event)\nthreading.settrace(odd)"
    ),
    "a profile function that raises": "threading.setprofile(lambda *_: 1 / 0)",
    "an audit hook": "sys.addaudithook(lambda *_: None)",
    "the environment emptied": "os.environ.clear()",
    "the environment in C": "ctypes.CDLL(None).clearenv()",
    "sys.path emptied": "sys.path.clear()",
    "sys.modules emptied": (
        "[sys.modules.pop(name) for name in list(sys.modules) if name.startswith(('json', 'log'))]"
    ),
    "json replaced": "json.dumps = json.loads = None; sys.modules['json'] = None",
    "builtins replaced": "import builtins; builtins.open = None; builtins.print = None",
    "another locale": "import locale; locale.setlocale(locale.LC_ALL, 'C')",
    "another time zone": "os.environ['TZ'] = 'Asia/Kolkata'; time.tzset()",
    "time.time replaced": "time.time = lambda: float('nan')",
    "a frozen random": "import random; random.seed(0)",
    "the switch interval": "sys.setswitchinterval(100)",
    "a time-out for all sockets": "socket.setdefaulttimeout(0.000001)",
    "niceness": "os.nice(19)",
    "a limit on file sizes": "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))",
    "the start method of multiprocessing": "multiprocessing.set_start_method('spawn', force=True)",
    "its own process name": "ctypes.CDLL(None).prctl(15, b'other', 0, 0, 0)",
    "the signal of its parent's death": "ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)",
    "the floating point mode": "ctypes.CDLL('libm.so.6').fesetround(0x800)",
    "an instance without attributes": "self.__dict__.clear()",
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_in_the_worker_changes_no_answer(changed: Backend, what: str) -> None:
    worker = changed.worker()
    answer = changed.do(CHANGES[what])
    assert answer.status_code == 200, answer.text
    for _ in range(3):
        changed.check_answer()
    changed.check_answer("good" * 400_000)
    assert changed.do("raise ValueError('told')").json()["detail"] == "ValueError: told"
    assert changed.worker() == worker


@pytest.mark.parametrize("mode", ["0x400", "0x800", "0xc00"], ids=["down", "up", "to zero"])
def test_numbers_are_written_right_in_every_rounding_mode(changed: Backend, mode: str) -> None:
    numbers = [0.09, 0.1, 1 / 3, 5e-324, 2.5e-8, 1.7976931348623157e308, 123456789.12345679]
    exact = ", ".join(f"float.fromhex({number.hex()!r})" for number in numbers)
    code = (
        f"ctypes.CDLL('libm.so.6').fesetround({mode})\n"
        f"results = [right('fine')]\n"
        f"results[0]['result'][0]['meta'] = {{'numbers': [{exact}]}}"
    )
    answer = changed.do(code).json()
    assert answer["results"][0]["result"][0]["meta"]["numbers"] == numbers


SIGNALS = ["SIGTERM", "SIGINT", "SIGHUP", "SIGCHLD", "SIGPIPE", "SIGSEGV", "SIGUSR1"]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_that_the_model_ignores_or_catches_holds_up_no_end(
    changed: Backend, number: str
) -> None:
    for handler in ("1", "ctypes.cast(ctypes.CDLL(None).pause, ctypes.c_void_p)"):
        code = f"ctypes.CDLL(None).signal(int(signal.{number}), {handler})"
        assert changed.do(f"ctypes.CDLL(None).signal.restype = ctypes.c_void_p\n{code}").ok
        changed.check_answer()
    changed.end()


def test_a_handler_in_python_is_refused_as_on_any_thread_but_the_main_one(
    changed: Backend,
) -> None:
    answer = changed.do("signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    assert answer.status_code == 500
    assert "signal only works in main thread" in answer.json()["detail"]


EXITS = {
    "raises": "atexit.register(lambda: 1 / 0)",
    "exits": "atexit.register(lambda: os._exit(7))",
    "kills": "atexit.register(lambda: os.kill(os.getpid(), signal.SIGKILL))",
    "hangs": "atexit.register(lambda: time.sleep(600))",
    "starts threads": "atexit.register(lambda: threading.Thread(target=time.sleep, args=[600]).start())",
}


@pytest.mark.parametrize("what", EXITS)
def test_an_exit_handler_that_goes_wrong_holds_up_no_end(changed: Backend, what: str) -> None:
    assert changed.do(EXITS[what]).status_code == 200
    changed.check_answer()
    changed.end()
