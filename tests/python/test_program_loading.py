"""What `_program.load` makes of a file: its options, its app, and what it serves with."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from label_studio_ml._program import commands

MODEL = """
from label_studio_ml.model import LabelStudioMLBase

class Model(LabelStudioMLBase): ...
"""
IMPORTS = "import os, sys\nfrom label_studio_ml.api import init_app\nfrom model import Model\n"
#: Loads a file in a process of its own, and tells what became of it.
LOADING = """
import json, os, socket, socketserver, sys
from label_studio_ml import _program
from label_studio_ml._program.recorder import RecordedApp

before = socketserver.BaseServer.serve_forever, socket.socket.bind, sys.meta_path[:], sys.stderr
sys.path.insert(0, os.path.dirname(sys.argv[1]))
loaded = _program.load(sys.argv[1], sys.argv[2:])
after = socketserver.BaseServer.serve_forever, socket.socket.bind, sys.meta_path, sys.stderr
assert before == after
served = loaded.served
told = {
    "served": "plain" if isinstance(served, RecordedApp) else getattr(served, "NAME", str(served)),
    "kwargs": loaded.kwargs,
    "auth": loaded.basic_auth,
    "argv": sys.argv[1:],
    "flask": "flask" in sys.modules,
    "calls": len(loaded.calls),
    "name": loaded.module.__name__,
}
print("told", json.dumps(told))
"""


def load(folder: Path, wsgi: str, *arguments: str) -> dict[str, Any]:
    (folder / "model.py").write_text(MODEL)
    file = folder / "_wsgi.py"
    file.write_text(IMPORTS + textwrap.dedent(wsgi))
    command = [sys.executable, "-c", LOADING, str(file), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    told: dict[str, Any] = json.loads(done.stdout.rpartition("told ")[2])
    return told


READS_OPTIONS = """
import argparse

def options():
    parser = argparse.ArgumentParser()
    parser.add_argument("--weights", default="none")
    parser.add_argument("--basic-auth-user")
    parser.add_argument("--basic-auth-pass")
    parser.add_argument("-p", "--port", type=int)
    return parser.parse_args()
"""


@pytest.mark.parametrize(
    ("arguments", "ran"),
    [
        ((), 0),
        # The server follows these itself.
        (("-p", "9091", "--host", "::1"), 0),
        (("-p9091", "-d", "--log=DEBUG", "--with", "a=b", "c=-1"), 0),
        (("--weights", "best.pt"), 1),
        (("--weights=best.pt", "-p", "9091"), 1),
        (("-w", "best.pt"), 1),
        (("best.pt",), 1),
    ],
)
def test_a_file_that_calls_init_app_is_run_only_for_options_of_its_own(
    arguments: tuple[str, ...], ran: int, tmp_path: Path
) -> None:
    wsgi = """
        app = init_app(Model)
        if __name__ == "__main__":
            app = init_app(Model, ran=sys.argv[1:])
    """
    told = load(tmp_path, wsgi, *arguments)
    assert told["calls"] == 1 + ran
    assert told["argv"] == list(arguments)


def test_the_main_part_is_run_for_options_that_it_may_read(tmp_path: Path) -> None:
    wsgi = (
        READS_OPTIONS
        + """
if __name__ == "__main__":
    args = options()
    app = init_app(Model, args.basic_auth_user, args.basic_auth_pass, weights=args.weights)
    app.run(port=args.port)
else:
    app = init_app(Model, weights="of the import")
"""
    )
    told = load(tmp_path, wsgi)
    assert (told["kwargs"], told["auth"], told["calls"]) == ({"weights": "of the import"}, None, 1)
    given = ["--weights", "best.pt", "-p", "1", "--basic-auth-user", "somebody"]
    told = load(tmp_path, wsgi, *given, "--basic-auth-pass", "secret")
    assert (told["kwargs"], told["auth"]) == ({"weights": "best.pt"}, ["somebody", "secret"])
    assert told["argv"] == given
    # As argparse lets people write it.
    told = load(tmp_path, wsgi, "--basic-auth-p=secret", *given)
    assert (told["auth"], told["argv"]) == (["somebody", "secret"], given)


def test_options_are_there_during_the_import(tmp_path: Path) -> None:
    wsgi = READS_OPTIONS + "app = init_app(Model, weights=options().weights)\n"
    assert load(tmp_path, wsgi, "--weights", "best.pt")["kwargs"] == {"weights": "best.pt"}


#: Files, and the app that each of them serves.
APPS = {
    "what init_app returned": ("app = init_app(Model)", "plain"),
    "under another name": ("application = server = init_app(Model)", "plain"),
    "one around it": ("app = Around(init_app(Model))", "around"),
    "the name of WSGI": ("app = init_app(Model)\napplication = Around(app)", "around"),
    "the one that is run": (
        "app = Around(None, 'other')\nrun_simple('', 1, Around(init_app(Model)))",
        "around",
    ),
    "the one of the main part": (
        "if __name__ == '__main__':\n    app = Around(init_app(Model))\n    run_simple('', 1, app)",
        "around",
    ),
    "that of a factory": ("def create_app():\n    return Around(init_app(Model))", "around"),
    "no app": ("init_app(Model)\napp = 'text'\napplication = os", "plain"),
    "a function that takes nothing": ("init_app(Model)\ndef app(): ...", "plain"),
    "a command line": (
        "import typer\ninit_app(Model)\napp = typer.Typer()\n@app.command()\ndef main(): ...",
        "plain",
    ),
}
AROUND = """
def run_simple(host, port, application):
    from werkzeug import serving
    serving.run_simple(host, port, application)

class Around:
    def __init__(self, app, name="around"):
        self.app, self.NAME = app, name
    def __call__(self, environ, start_response):
        return self.app(environ, start_response)
"""


@pytest.mark.parametrize("kind", APPS)
def test_which_app_the_file_serves(kind: str, tmp_path: Path) -> None:
    wsgi, expected = APPS[kind]
    told = load(tmp_path, AROUND + wsgi)
    assert told["served"] == expected
    # A file that does not name it does not wait for its import.
    assert not told["flask"]


#: Packages that serve: the module, what stands in it, and the lines of a program that uses it.
SERVERS = {
    "waitress": ("waitress", "def serve(app, **k): bound()", "waitress.serve(app, port=1)"),
    "bjoern": ("bjoern", "def run(wsgi_app, host, port): bound()", "bjoern.run(app, '', 1)"),
    "gevent": (
        "gevent.pywsgi",
        """
        class Base:
            def serve_forever(self): bound()
            def start(self): bound()
        class WSGIServer(Base):
            def __init__(self, listener, application): self.application = application
        """,
        "gevent.pywsgi.WSGIServer(('', 1), app).serve_forever()",
    ),
    "eventlet": (
        "eventlet.wsgi",
        "def server(sock, site): bound()",
        "eventlet.wsgi.server(0, app)",
    ),
    "cheroot": (
        "cheroot.server",
        """
        class HTTPServer:
            def __init__(self, app): self.wsgi_app = app
            def safe_start(self): bound()
        """,
        "cheroot.server.HTTPServer(app).safe_start()",
    ),
    "paste": ("paste.httpserver", "def serve(application): bound()", "paste.httpserver.serve(app)"),
    "uvicorn, as WSGI": (
        "uvicorn.main",
        "def run(app, **k): bound()",
        "uvicorn.main.run('_wsgi:app', interface='wsgi')",
    ),
    "meinheld": (
        "meinheld.server",
        "def listen(address): bound()\ndef run(app): bound()",
        "meinheld.server.listen(('', 1))\nmeinheld.server.run(app)",
    ),
    "flask-ngrok": (
        "flask_ngrok",
        "def run_with_ngrok(app): bound()",
        "flask_ngrok.run_with_ngrok(app)\napp.run()",
    ),
    "a command": (
        "model",
        "",
        "import subprocess\nsubprocess.run([sys.executable, '-m', 'gunicorn', '-b', ':0', '_wsgi:app'])",
    ),
    "the shell": ("model", "", "os.system('cd / && exec gunicorn -b 127.0.0.1:0 _wsgi:app')"),
    "another process": ("model", "", "os.execvp('gunicorn', ['gunicorn', '_wsgi:app'])"),
    "ours": ("model", "", "from label_studio_ml.server import main\nmain(['start', '.'])"),
}


@pytest.mark.parametrize("package", SERVERS)
@pytest.mark.parametrize("where", ["top level", "main part"])
def test_servers_are_stopped(package: str, where: str, tmp_path: Path) -> None:
    module, source, lines = SERVERS[package]
    path = tmp_path.joinpath(*module.split(".")).with_suffix(".py")
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "def bound():\n    raise AssertionError('it serves')\n" + textwrap.dedent(source)
    path.write_text(text if source else MODEL)
    app = f"import {module}\nclass App:\n    NAME = 'own'\n    def __call__(self, environ, start): ...\n"
    wsgi = AROUND + app
    lines = "app = Around(init_app(Model))\n" + lines + "\nraise AssertionError('it goes on')"
    if package == "flask-ngrok":
        lines = lines.replace("Around(init_app(Model))", "init_app(Model)")
    if where == "main part":
        lines = 'if __name__ == "__main__":\n' + textwrap.indent(lines, "    ")
    told = load(tmp_path, wsgi + lines)
    assert told["served"] == ("plain" if package == "flask-ngrok" else "around")


def test_a_server_in_a_thread_is_stopped_if_it_serves_our_app(tmp_path: Path) -> None:
    wsgi = """
    import socket, threading, urllib.request
    from wsgiref.simple_server import make_server

    def other(environ, start_response):
        start_response("204 No Content", [])
        return []

    metrics = make_server("127.0.0.1", 0, other)
    threading.Thread(target=metrics.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{metrics.server_port}/"
    assert urllib.request.urlopen(address, timeout=30).status == 204

    app = init_app(Model)
    def gate(environ, start_response):
        return app(environ, start_response)
    gate.NAME = "gate"
    ours = make_server("127.0.0.1", 0, gate)
    thread = threading.Thread(target=ours.serve_forever)
    thread.start()
    thread.join(30)
    assert not thread.is_alive() and ours.socket.fileno() == -1
    assert urllib.request.urlopen(address, timeout=30).status == 204
    metrics.shutdown()
    """
    assert load(tmp_path, wsgi)["served"] == "gate"


def test_the_main_part_is_every_branch_that_the_import_did_not_run(tmp_path: Path) -> None:
    """What runs only as a program runs, and nothing twice."""
    wsgi = """
    seen = []
    if __name__ != "__main__":
        seen.append("imported")
    else:
        seen.append("as a program")
    if __name__ == "__main__" and not seen:
        seen.append("never")
    elif len(seen) < 9:
        seen.append("both")
    else:
        seen.append("never")
    __name__ == "__main__" and seen.append("and")
    seen.append("if else") if __name__ == "__main__" else None
    match __name__:
        case "__main__":
            seen.append("match")
    with open(os.devnull):
        if os.devnull:
            if __name__ in ("uwsgi", "__main__"):
                seen.append("inner")
    try:
        if __name__.startswith("__"):
            raise KeyError
    except KeyError:
        seen.append("caught")
        init_app(Model, seen=seen, name=__name__)
    """
    told = load(tmp_path, wsgi)
    expected = ["imported", "both", "as a program", "and", "if else", "match", "inner", "caught"]
    assert told["kwargs"] == {"seen": expected, "name": "_wsgi"}


def test_commands_that_serve_are_known_from_others() -> None:
    python = sys.executable
    for command in (
        ["gunicorn", "_wsgi:app"],
        ["/opt/venv/bin/gunicorn", "--preload", "_wsgi:app"],
        [python, "-m", "waitress", "_wsgi:app"],
        ["python3.12", "-u", "-m", "flask", "--app", "_wsgi", "run"],
        "cd /app && PORT=9090 exec uvicorn _wsgi:app",
        "label-studio-ml start .",
    ):
        assert commands.serves(command), command
    for command in (
        ["echo", "gunicorn"],
        ["flask", "db", "upgrade"],
        [python, "-m", "pip", "install", "gunicorn"],
        [python, "train.py"],
        "label-studio-ml init x",
        "echo 'unclosed",
        [],
        None,
    ):
        assert not commands.serves(command), command


def test_a_child_that_the_file_forks_ends(tmp_path: Path) -> None:
    wsgi = """
    app = init_app(Model)
    if os.fork() == 0:
        app.run()
    _, status = os.wait()
    init_app(Model, status=status)
    """
    assert load(tmp_path, wsgi)["kwargs"] == {"status": 0}
