"""Somebody's `_wsgi.py` as a program: runs it as far as the place where it would serve.

The server and `start --debug` need what the file says, its class, passwords and app, without the file
becoming a server of its own. See `load`.
"""

import inspect
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from label_studio_ml._inspect.script import model_classes
from label_studio_ml._program import file, guard
from label_studio_ml._program.apps import may_be_wsgi, not_served_because
from label_studio_ml._program.arguments import forget_password, has_own
from label_studio_ml._program.failure import ProgramError
from label_studio_ml._program.recorder import InitAppCall, RecordedApp, Recorder
from label_studio_ml._program.said import StderrCopy
from label_studio_ml._program.stop import ServerStarts, ServerStop
from label_studio_ml._program.watchdog import Watchdog

__all__ = ["InitAppCall", "Loaded", "ProgramError", "RecordedApp", "load"]

#: Functions that make an app, by the convention of Flask.
_FACTORIES = ("create_app", "make_app")
#: Seconds to wait for threads of the file to call `init_app`.
_PATIENCE = 5.0
_GUARD = 'its `if __name__ == "__main__":` part'


@dataclass(frozen=True)
class Loaded:
    """What a file says."""

    module: ModuleType
    #: The calls of `init_app`; the class and arguments of the last one count.
    calls: list[InitAppCall]
    #: The WSGI app of the file; see `load`.
    served: Any

    @property
    def model_class(self) -> type:
        return self.calls[-1].model_class

    @property
    def kwargs(self) -> dict[str, Any]:
        return self.calls[-1].kwargs

    @property
    def basic_auth(self) -> tuple[str, str] | None:
        """User and password. As in the original, a later call without them takes nothing back."""
        return next((call.basic_auth for call in reversed(self.calls) if call.basic_auth), None)


def load(path: str | Path, arguments: list[str], *, in_process: bool = False) -> Loaded:
    """Import a file with the options `arguments`, and run its main part where that is needed.

    The file is imported as `_wsgi`, or by its full name if it imports from its package. What it would
    serve is noted, and ends the import. Its `if __name__ == "__main__":` part is run afterwards, in the
    imported module, if the import called no `init_app`, or if there are options of the file's own, which
    only that part may read. If no `init_app` was called then either, `create_app()` or `make_app()` of the file is
    called, if it has one; else the only model class in sight in the module is used.

    `served` is the app that the file handed to a server; else `app`, else `application` of the module,
    if it is a WSGI app other than the one that `init_app` returned; else what `init_app` returned.

    With `in_process`, `init_app` makes the Flask app of this process serve the class. Otherwise it only
    notes its arguments, from now on and for good. Raises ProgramError, or what the import raises. To be
    called on the main thread, once a process.
    """
    return _Program(Path(path), arguments, in_process).load()


class _Program:
    def __init__(self, path: Path, arguments: list[str], in_process: bool) -> None:
        self._path = path
        self._arguments = arguments
        self._in_process = in_process
        self._recorder = Recorder(in_process)
        self._stop = ServerStop(self._recorder.returned)
        self._watchdog = Watchdog(lambda: bool(self._recorder.calls), lambda: self._stop.reached)
        self._tree = file.parse(path)
        self._returned: Any = None
        #: Whether the file came to the place where it serves.
        self._serves = False

    def load(self) -> Loaded:
        from label_studio_ml import api

        if not self._path.is_file():
            raise ProgramError("missing", f"there is no script {self._path}")
        sys.argv = [str(self._path), *self._arguments]
        RecordedApp.on_run = self._stop.run
        api._recorder = self._recorder
        try:
            module = self._run()
        finally:
            forget_password()
            if self._in_process:
                api._recorder = None
        calls = self._recorder.calls
        for call in calls:
            if call.problem is not None:
                raise ProgramError("raised", f"{self._path}: {call.problem}")
        served = self._served(module)
        reason = not_served_because(served)
        if reason is not None:
            message = (
                f"{self._path}: what it serves {reason}, whose additions `label-studio-ml start` cannot "
                "serve; run it under its own server"
            )
            raise ProgramError("raised", message)
        return Loaded(module, calls, served)

    def _run(self) -> ModuleType:
        calls = self._recorder.calls
        process = os.getpid()
        self._watchdog.start()
        try:
            with StderrCopy() as said, self._stop:
                module, run = file.prepare(self._path, self._tree)
                self._until_it_serves(run, "it", said)
                self._run_main_part(module, said)
                self._await_threads()
                if not calls:
                    self._call_factory(module, said)
                if not calls:
                    self._use_class_in_sight(module)
        finally:
            if os.getpid() != process:
                # A child that the file forked: it must not live on as a copy of this process.
                os._exit(0)
            self._watchdog.stop()
        return module

    def _until_it_serves(self, run: Callable[[], Any], part: str, said: StderrCopy) -> None:
        try:
            self._returned = self._watched(run)
        except ServerStarts:
            self._watchdog.is_armed = False
            self._serves = True
        except SystemExit as end:
            is_failure = bool(end.code) and isinstance(end.code, (int, str))
            if self._stop.reached or (part != "it" and self._recorder.calls and not is_failure):
                # `sys.exit(main())`, or what the file does once its server ends.
                self._serves = self._serves or self._stop.reached
                return
            raise ProgramError("raised", self._ended(part, end, said)) from end
        except Exception as error:
            if part == "it":
                raise
            message = f"{self._path}: {part} raised {type(error).__name__}: {error}"
            raise ProgramError("raised", message) from error

    def _watched(self, run: Callable[[], Any]) -> Any:
        self._watchdog.is_armed = True
        try:
            return run()
        finally:
            self._watchdog.is_armed = False

    def _ended(self, part: str, end: SystemExit, said: StderrCopy) -> str:
        # `sys.exit("text")` is a message; docopt passes its usage so.
        text = end.code.strip().splitlines()[-1:] if isinstance(end.code, str) else []
        why = text[0] if text else said.last_line()
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        return f"{self._path}: {part} ended with exit status {status}" + (f": {why}" if why else "")

    def _run_main_part(self, module: ModuleType, said: StderrCopy) -> None:
        is_needed = not self._recorder.calls or has_own(self._arguments)
        if self._serves or self._tree is None or not is_needed:
            return
        part = guard.program_part(self._tree)
        if part is not None:
            tree = self._tree
            self._until_it_serves(
                lambda: guard.run(part, tree, str(self._path), vars(module)), _GUARD, said
            )

    def _await_threads(self) -> None:
        """Wait for threads that a program would wait for, since one of them may call `init_app`."""
        end = time.monotonic() + _PATIENCE
        while not self._recorder.calls and time.monotonic() < end:
            if not any(thread.is_alive() and not thread.daemon for thread in self._stop.threads()):
                return
            time.sleep(0.02)

    def _call_factory(self, module: ModuleType, said: StderrCopy) -> None:
        for name in _FACTORIES:
            factory = vars(module).get(name)
            if callable(factory) and _takes_nothing(factory) and not self._serves:
                self._until_it_serves(factory, f"its {name}()", said)
                made = self._returned
                if self._stop.served is None and not self._is_plain(made) and may_be_wsgi(made):
                    self._stop.served = made
                return

    def _use_class_in_sight(self, module: ModuleType) -> None:
        from label_studio_ml import api

        if self._tree is not None and guard.calls_with_password(self._tree):
            message = (
                f"{self._path}: its call of init_app has a password, and neither the import nor "
                f"{_GUARD} reaches it; call it there"
            )
            raise ProgramError("raised", message)
        classes = model_classes(module)
        if not classes:
            # `import model` alone; the class is in a module of the project.
            found = [
                one for beside in self._modules_beside(module) for one in model_classes(beside)
            ]
            classes = list({id(kind): (name, kind) for name, kind in found}.values())
        if len(classes) > 1:
            names = ", ".join(name for name, _ in classes)
            message = f"{self._path} does not call init_app, and has several model classes: {names}"
            raise ProgramError(
                "several_classes", message + "; pass one to init_app(model_class=...)"
            )
        if not classes:
            message = f"{self._path} does not call init_app(model_class=...)"
            raise ProgramError("no_class", message)
        api.init_app(classes[0][1])

    def _modules_beside(self, module: ModuleType) -> list[ModuleType]:
        folder = self._path.absolute().parent
        named = [value for value in vars(module).values() if isinstance(value, ModuleType)]
        return [
            one for one in named if folder in Path(getattr(one, "__file__", None) or "/").parents
        ]

    def _served(self, module: ModuleType) -> Any:
        if self._stop.served is not None:
            return self._stop.served
        for name in ("app", "application"):
            app = vars(module).get(name)
            if not self._is_plain(app) and (
                not_served_because(app) is not None or may_be_wsgi(app)
            ):
                return app
        return self._recorder.returned()[-1]

    def _is_plain(self, app: Any) -> bool:
        """Return whether `app` is merely what `init_app` returned."""
        return any(app is one for one in self._recorder.returned())


def _takes_nothing(factory: Any) -> bool:
    try:
        inspect.signature(factory).bind()
    except (TypeError, ValueError):
        return False
    return True
