"""Ends a file where it would begin to serve, and notes which app it would serve.

While a `ServerStop` is open, the functions of `servers` are replaced: at once in modules that are there,
and in others when the file imports them.
"""

import contextlib
import functools
import importlib.abc
import importlib.machinery
import os
import sys
import threading
from collections.abc import Callable, Sequence
from types import ModuleType, TracebackType
from typing import Any, NoReturn

from label_studio_ml._program import ports
from label_studio_ml._program.apps import leads_to
from label_studio_ml._program.servers import CALLS, Effect, ServingCall

# gevent replaces it by one that tells the greenlet.
_thread_id = threading.get_ident


class ServerStarts(SystemExit):
    """Ends the import."""


class ServerStop:
    """Stops servers of a file while it is open.

    On the main thread every server is stopped. On another thread, and in a child process, a server may be
    one that the file needs beside ours, of metrics or of images: it is stopped only if its app leads to
    one of `returned()`, what `init_app` returned.
    """

    def __init__(self, returned: Callable[[], list[Any]]) -> None:
        #: The app that the file served.
        self.served: Any = None
        #: Whether the file served anything.
        self.reached = False
        self._returned = returned
        self._main = _thread_id()
        self._process = os.getpid()
        self._open = False
        self._threads_before: set[threading.Thread] = set()
        self._threads_left: set[int | None] = set()
        self._undo = contextlib.ExitStack()
        self._finder = _Finder(self._replace_in)

    def __enter__(self) -> "ServerStop":
        self._open = True
        self._threads_before = set(threading.enumerate())
        sys.meta_path.insert(0, self._finder)
        for name in CALLS.keys() & sys.modules.keys():
            self._replace_in(sys.modules[name])
        self._undo.enter_context(ports.shared_with_server())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._open = False
        self._threads_left = {thread.ident for thread in self.threads() if thread.is_alive()}
        if self._finder in sys.meta_path:
            sys.meta_path.remove(self._finder)
        # A thread of the file may be about to serve.
        if not self._threads_left:
            self._undo.close()

    def threads(self) -> set[threading.Thread]:
        """Return the threads that were started since."""
        return set(threading.enumerate()) - self._threads_before

    def run(self, app: Any) -> NoReturn:
        """End the calling thread, which serves `app`."""
        self._note(app)
        # `threading` lets a thread end without a word only if the class is this very one.
        is_main = threading.current_thread() is threading.main_thread()
        raise ServerStarts if is_main else SystemExit

    def _note(self, app: Any) -> None:
        self.reached = True
        if app is not None:
            self.served = app

    def _is_stopped(self, app: Any) -> bool:
        if _thread_id() == self._main and os.getpid() == self._process:
            return self._open
        is_of_file = self._open or _thread_id() in self._threads_left
        return is_of_file and leads_to(app, self._returned())

    def _replace_in(self, module: ModuleType) -> None:
        for call in CALLS[module.__name__]:
            owner: Any = module
            *path, name = call.name.split(".")
            for part in path:
                owner = getattr(owner, part, None)
            original = getattr(owner, name, None)
            if original is None:
                continue
            if name in vars(owner):
                self._undo.callback(setattr, owner, name, vars(owner)[name])
            else:
                self._undo.callback(delattr, owner, name)
            setattr(owner, name, self._replacement(call, original))

    def _replacement(self, call: ServingCall, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def replacement(*args: Any, **kwargs: Any) -> Any:
            if call.effect is Effect.LISTEN:
                return (
                    ports.listen(original, args, kwargs)
                    if self._open
                    else original(*args, **kwargs)
                )
            try:
                if not call.serves(args, kwargs):
                    return original(*args, **kwargs)
                app = call.app(args, kwargs)
            except Exception:
                # What the file then serves is found by its name.
                app = None
            if not self._is_stopped(app):
                return original(*args, **kwargs)
            if call.effect is Effect.NOTE:
                if app is not None:
                    self._note(app)
                return None
            if call.close is not None:
                with contextlib.suppress(Exception):
                    getattr(args[0], call.close)()
            self.run(app)

        return replacement


class _Finder(importlib.abc.MetaPathFinder):
    """Tells when a module of `CALLS` has been imported."""

    def __init__(self, imported: Callable[[ModuleType], None]) -> None:
        self._imported = imported

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in CALLS:
            return None
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            if finder is self or find is None:
                continue
            spec: importlib.machinery.ModuleSpec | None = find(fullname, path, target)
            if spec is not None:
                if spec.loader is not None and hasattr(spec.loader, "exec_module"):
                    spec.loader = _Loader(spec.loader, self._imported)
                return spec
        return None


class _Loader(importlib.abc.Loader):
    """Loads a module with its own loader, which the module names afterwards."""

    def __init__(self, own: Any, imported: Callable[[ModuleType], None]) -> None:
        self._own = own
        self._imported = imported

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._own.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._own
        if module.__spec__ is not None:
            module.__spec__.loader = self._own
        self._own.exec_module(module)
        self._imported(module)
