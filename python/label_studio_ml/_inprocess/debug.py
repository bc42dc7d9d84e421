"""The program of `label-studio-ml start --debug`: serves a project in this process, for debugging.

Requests run one at a time on the main thread, so that `breakpoint()` has the terminal to itself. When
a file of the project changes, the program restarts, after the request that runs.
"""

import argparse
import json
import logging
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from label_studio_ml import _log_records
from label_studio_ml._inprocess import script
from label_studio_ml._inspect import missing_package

#: Folders of a project that are not part of the program.
_IGNORED_FOLDERS = {"__pycache__", "node_modules", "data", "logs"}
#: Files beside `_wsgi.py` that count; in folders below, where models write what they learn, only
#: Python source does.
_WATCHED = {".py", ".json", ".xml", ".yaml", ".yml", ".toml", ".txt", ".env"}
_PAUSE = 0.3
#: Seconds that a client may take to send its request, while all others wait.
_PATIENCE = 5


def main(argv: list[str]) -> int:
    """Serve a project until interrupted; return the exit status."""
    parser = argparse.ArgumentParser(prog="label_studio_ml._inprocess.debug")
    parser.add_argument("--project", type=Path, required=True)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--kwargs", type=json.loads, default={})
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--arguments", type=json.loads, default=[])
    parser.add_argument("--script", type=Path)
    parser.add_argument("--class", dest="model_class")
    parser.add_argument("--paste", action="append", default=[], help="address for Label Studio")
    options = parser.parse_args(argv)
    level = os.environ.get("LOG_LEVEL") or "DEBUG"
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for handler in logging.root.handlers:
        handler.addFilter(_log_records.LibraryFilter())
    # SystemExit lets user code clean up.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    busy = threading.Lock()
    before = _files(options.project)
    try:
        if options.script:
            app = script.load(
                options.script,
                options.model_class,
                options.kwargs,
                options.check,
                options.arguments,
            )
        else:
            app = load(options.project, options.kwargs, options.check, options.arguments)
    except Exception as error:
        traceback.print_exc()
        program = options.script or options.project / "_wsgi.py"
        if advice := missing_package.advice(error, program, Path.cwd()):
            # No change of a file of the project would end it.
            print(f"error: {advice}", file=sys.stderr, flush=True)
            return 2
        print("the project cannot be served; waiting for a change", file=sys.stderr, flush=True)
        _restart_when_changed(options.project, before, busy)
        return 2
    watch = (options.project, before, busy)
    threading.Thread(target=_restart_when_changed, args=watch, daemon=True).start()
    return _serve(app, options.host, options.port, options.paste, busy)


def load(
    project: Path, kwargs: dict[str, Any], check: bool = False, arguments: list[str] | None = None
) -> Any:
    """Load a project's `_wsgi.py` with the options `arguments` and return its WSGI app.

    `kwargs` are passed to a class of API v1, to one of API v2 those that it names, and with `check` to a
    trial instance.
    """
    from label_studio_ml import _program, api
    from label_studio_ml._inprocess import served
    from label_studio_ml._inspect import model_folder, submodules
    from label_studio_ml._inspect.script import default_model_dir, named_kwargs

    wsgi = project / "_wsgi.py"
    model_folder.settle(str(project), default_model_dir(wsgi, Path.cwd()))
    sys.path.insert(0, str(project))
    submodules.import_used(wsgi)
    loaded = _program.load(wsgi, arguments or [], in_process=True)
    model_class = api.MODEL_CLASS
    if model_class._ml_api_version() == 1:
        manager = type(api._manager)
        manager.init_kwargs = {**manager.init_kwargs, **kwargs}
    else:
        served.init_kwargs = {**served.init_kwargs, **named_kwargs(model_class, kwargs)}
    if check:
        model_class(**named_kwargs(model_class, kwargs))
    return loaded.served


def _serve(app: Any, host: str, port: int, paste: list[str], busy: threading.Lock) -> int:
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Handler(WSGIRequestHandler):
        timeout = _PATIENCE

        def run_wsgi(self) -> None:
            # Until the answer is sent: a restart would cut it off.
            with busy:
                super().run_wsgi()

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            logging.getLogger("label_studio_ml").info("%s %s %s", self.command, self.path, code)

    try:
        server = make_server(host, port, app, threaded=False, request_handler=Handler)
    except (OSError, SystemExit) as error:
        print(f"error: cannot listen on {host}:{port}: {error}", file=sys.stderr)
        return 2
    from label_studio_ml._inprocess import served

    served.warn_of_unserved()
    where = f"http://{host}:{server.server_port}"
    print(f"debugging on {where}: one request at a time; restarts at every change", flush=True)
    if paste:
        print("Paste into Label Studio (Settings → Model → Connect model):")
        print(*(f"    {address}" for address in paste), sep="\n", flush=True)
    try:
        server.serve_forever(poll_interval=0.1)
    except KeyboardInterrupt:
        return 0
    return 0


def _files(project: Path) -> dict[str, tuple[int, int]]:
    """Return time of modification and size of every file that the program may have read."""
    found = {}
    for folder, folders, files in os.walk(project):
        folders[:] = [
            name for name in folders if name not in _IGNORED_FOLDERS and not name.startswith(".")
        ]
        for name in files:
            path = Path(folder) / name
            is_ours = path.suffix in _WATCHED if path.parent == project else path.suffix == ".py"
            if is_ours:
                try:
                    about = path.stat()
                except OSError:
                    continue
                found[str(path)] = (about.st_mtime_ns, about.st_size)
    return found


def _restart_when_changed(
    project: Path, before: dict[str, tuple[int, int]], busy: threading.Lock
) -> None:
    """Replace this process by a new one of the same program once a file has changed."""
    while True:
        time.sleep(_PAUSE)
        now = _files(project)
        changed = sorted(
            path for path in now.keys() | before.keys() if now.get(path) != before.get(path)
        )
        if changed:
            break
    # A person at a breakpoint wants to finish.
    busy.acquire()
    print(f"{Path(changed[0]).name} has changed: restarting", flush=True)
    # The addresses stand in the terminal already.
    arguments = [each for each in _arguments if not each.startswith("--paste=")]
    program = [sys.executable, "-m", "label_studio_ml._inprocess.debug", *arguments]
    os.execve(sys.executable, program, _environment)


#: The arguments of the command line and the environment; user code may change both.
_arguments = sys.argv[1:]
_environment = os.environ.copy()

if __name__ == "__main__":
    sys.exit(main(_arguments))
