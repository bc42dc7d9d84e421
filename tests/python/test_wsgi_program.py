"""A `_wsgi.py` is a program: what it says is honoured, and it never becomes a server of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from hosting import (
    CHOICES,
    CONSOLE_SCRIPT,
    PROJECT,
    Server,
    environment,
    free_port,
    run,
    wait_for,
    write_script,
)

Serve = Callable[..., Server]

#: A model that tells what its module saw when it was imported.
MODEL = """
    import os, sys
    from label_studio_ml.model import LabelStudioMLBase

    class Model(LabelStudioMLBase):
        def __init__(self, weights="none", **kwargs):
            super().__init__(**kwargs)
            self.weights = weights

        def predict(self, tasks, **kwargs):
            return [{"result": [], "weights": self.weights, "trained": self.train_output} for _ in tasks]

        def fit(self, tasks, workdir=None, **kwargs):
            return {"tasks": len(list(tasks))}
"""
IMPORTS = """
import os, sys, threading, time
from label_studio_ml.api import init_app
from model import Model
"""


def project(tmp_path: Path, wsgi: str, imports: str = IMPORTS, model: str = MODEL) -> Path:
    folder = tmp_path / "theirs"
    write_script(folder, model)
    (folder / "_wsgi.py").write_text(imports + textwrap.dedent(wsgi))
    return folder


#: Ways to say at the top level or under the guard which class is served; all but the first were errors,
#: or blocked the worker.
PROGRAMS = {
    "imported": "app = init_app(Model)",
    "guarded": """
        if __name__ == "__main__":
            app = init_app(Model)
            app.run(host="0.0.0.0", port=9090)
        """,
    "main()": """
        def main():
            init_app(Model).run()

        if "__main__" == __name__:
            sys.exit(main())
        """,
    "one of several names": """
        if __name__ in ("__main__", "uwsgi"):
            init_app(Model)
        """,
    "elif": """
        if os.environ.get("NEVER_SET"):
            raise RuntimeError
        elif __name__ == "__main__" and not os.environ.get("NEVER_SET"):
            init_app(Model).run()
        else:
            imported = True
        """,
    "guard in try": """
        try:
            if __name__ == "__main__":
                init_app(Model).run()
        except Exception:
            sys.exit(3)
        """,
    "logging and options of its own": """
        import argparse, logging.config
        if __name__ == "__main__":
            parser = argparse.ArgumentParser()
            parser.add_argument("-p", "--port", type=int, default=9090)
            parser.add_argument("--host", default="0.0.0.0")
            args = parser.parse_args()
            logging.config.dictConfig({"version": 1, "root": {"level": "WARNING"}})
            init_app(Model).run(host=args.host, port=args.port, debug=True)
        """,
    "command line": """
        import click

        @click.command()
        @click.option("--port", default=9090)
        def app(port):
            init_app(Model).run(port=port)

        if __name__ == "__main__":
            app()
        """,
    "factory": """
        def create_app():
            return init_app(Model)
        """,
    "class in sight": "application = 'no app'",
    "another module": "from other import app",
    "served at the top level": """
        app = init_app(Model)
        try:
            app.run(host="0.0.0.0", port=9090)
        except Exception:
            raise RuntimeError("never")
        finally:
            print("the server ended")
        """,
    "served by flask": """
        import flask
        app = init_app(Model)
        assert isinstance(app, flask.Flask)
        app.run(port=9090)
        """,
    "served by werkzeug": """
        from werkzeug.serving import run_simple
        run_simple("0.0.0.0", 9090, init_app(Model))
        """,
    "served by wsgiref, on the port of the server": """
        from wsgiref.simple_server import make_server
        command = open(f"/proc/{os.getppid()}/cmdline").read().split("\\0")
        with make_server("", int(command[command.index("-p") + 1]), init_app(Model)) as httpd:
            httpd.serve_forever()
        """,
    "served in a thread": """
        app = init_app(Model)
        threading.Thread(target=app.run).start()
        """,
    "served in a thread that it watches": """
        app = init_app(Model)
        threading.Thread(target=app.run, daemon=True).start()
        while True:
            time.sleep(1)
        """,
    "served by an unknown server": """
        import asyncio
        init_app(Model)
        async def main():
            server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
            await server.serve_forever()
        asyncio.run(main())
        """,
    "served by gunicorn": """
        from gunicorn.app.base import BaseApplication

        class Standalone(BaseApplication):
            def load_config(self):
                pass
            def load(self):
                return init_app(Model)

        if __name__ == "__main__":
            Standalone().run()
        """,
    "served by a child process": """
        import multiprocessing
        app = init_app(Model)
        process = multiprocessing.get_context("fork").Process(target=app.run)
        process.start()
        process.join()
        """,
    "slow": """
        app = init_app(Model)
        time.sleep(4)
        app.config["AFTER"] = True
        assert __name__ == "_wsgi"
        """,
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_way_to_serve_a_class_is_served(program: str, tmp_path: Path, serve: Serve) -> None:
    folder = project(tmp_path, PROGRAMS[program])
    write_script(folder, IMPORTS + "app = init_app(Model)\n", "other.py")
    server = serve(folder)
    assert server.first()["weights"] == "none"
    assert server.get("/health").json()["model_class"] == "Model"
    assert "Traceback" not in server.log()
    assert server.stop() == 0


def test_the_main_part_is_run_once_and_in_the_imported_module(tmp_path: Path, serve: Serve) -> None:
    """Pickles and child processes find classes that the file defines."""
    wsgi = """
        import multiprocessing, pickle
        from pathlib import Path

        def note(text):
            with open("noted.txt", "a") as file:
                file.write(f"{os.getpid()} {text}\\n")

        class Own(Model):
            def predict(self, tasks, **kwargs):
                with multiprocessing.get_context("spawn").Pool(1) as pool:
                    child = pool.apply(os.getpid)
                return [{"result": [], "pickle": pickle.dumps(Own).hex(), "child": child,
                         "main": sys.modules["__main__"].__spec__.name} for _ in tasks]

        note("imported")
        if __name__ == "__main__":
            note("main part")
            init_app(Own).run()
        """
    folder = project(tmp_path, wsgi)
    server = serve(folder, cwd=tmp_path)
    said = server.first()
    assert b"_wsgi" in bytes.fromhex(said["pickle"])
    assert said["main"] == "label_studio_ml._worker.__main__"
    noted = [line.split(" ", 1) for line in (tmp_path / "noted.txt").read_text().splitlines()]
    by_process: dict[str, list[str]] = {}
    for pid, text in noted:
        by_process.setdefault(pid, []).append(text)
    assert all(texts == ["imported", "main part"] for texts in by_process.values()), by_process
    assert str(said["child"]) not in by_process


def test_trainings_load_the_file_in_the_same_way(tmp_path: Path, serve: Serve) -> None:
    server = serve(project(tmp_path, PROGRAMS["main()"]), cwd=tmp_path)
    server.train(3)
    server.wait_trained()
    assert server.first()["trained"] == {"tasks": 3}


@pytest.mark.parametrize("init", [True, False])
@pytest.mark.parametrize("names", ["relative", "absolute"])
def test_a_file_of_a_package(tmp_path: Path, serve: Serve, init: bool, names: str) -> None:
    """As with `python -m theirs._wsgi`."""
    package = "" if names == "relative" else "theirs"
    imports = IMPORTS.replace("from model", f"from {package}.model")
    folder = project(tmp_path, PROGRAMS["guarded"], imports)
    if init or names == "absolute":
        (folder / "__init__.py").touch()
    assert serve(folder, cwd=tmp_path).first()["weights"] == "none"


def test_what_is_added_to_the_app_that_is_run_is_served(tmp_path: Path, serve: Serve) -> None:
    """Also in the main part, and by an app around ours that only the server is given."""
    wsgi = """
        if __name__ == "__main__":
            from werkzeug.serving import make_server
            app = init_app(Model)

            @app.route("/extra")
            def extra():
                return "extra"

            def marked(environ, start_response):
                def start(status, headers, *more):
                    return start_response(status, [*headers, ("X-Marked", "yes")], *more)
                return app(environ, start)

            make_server("127.0.0.1", 0, marked).serve_forever()
        """
    server = serve(project(tmp_path, wsgi), cwd=tmp_path)
    answer = server.get("/extra")
    assert (answer.text, answer.headers["X-Marked"]) == ("extra", "yes")
    assert server.predict().headers["X-Marked"] == "yes"
    assert server.first()["weights"] == "none"


def test_an_import_that_nothing_ends_is_said(tmp_path: Path) -> None:
    wsgi = """
        app = init_app(Model)
        threading.Thread(target=app.run).start()
        while True:
            try:
                time.sleep(60)
            except BaseException:
                pass
        """

    class Waiting(Server):
        def _is_ready(self) -> bool:
            return "catches every exception" in self.log()

    server = Waiting(project(tmp_path, wsgi), cwd=tmp_path)
    try:
        assert server.get("/health").json()["workers"]["ready"] == 0
    finally:
        server.stop()


def test_side_servers_of_a_file_go_on(tmp_path: Path, serve: Serve) -> None:
    wsgi = """
        import http.server

        class Pages(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(204)
                self.end_headers()

        pages = http.server.HTTPServer(("127.0.0.1", 0), Pages)
        threading.Thread(target=pages.serve_forever, daemon=True).start()
        with open("port.txt", "w") as file:
            file.write(str(pages.server_port))
        app = init_app(Model)
        time.sleep(0.1)
        """
    server = serve(project(tmp_path, wsgi), cwd=tmp_path)
    port = (tmp_path / "port.txt").read_text()
    assert requests.get(f"http://127.0.0.1:{port}/", timeout=30).status_code == 204
    assert server.first()["weights"] == "none"


#: Files that cannot be served, each with what `start` says.
REFUSED = {
    "an error in the main part": (
        """
        if __name__ == "__main__":
            init_app(Model, "user", os.environ["NEVER_SET"])
        """,
        "_wsgi.py: its `if __name__ == \"__main__\":` part raised KeyError: 'NEVER_SET'",
    ),
    "an option that is missing": (
        """
        import argparse
        if __name__ == "__main__":
            parser = argparse.ArgumentParser()
            parser.add_argument("--weights", required=True)
            parser.parse_args()
            init_app(Model)
        """,
        "part ended with exit status 2: _wsgi.py: error: the following arguments are required: --weights",
    ),
    "an end with a message": (
        """
        if __name__ == "__main__":
            sys.exit("no password was given")
        """,
        "part ended with exit status 1: no password was given",
    ),
    "an end without one": ("sys.exit()", "_wsgi.py: it ended with exit status 0"),
    "several classes": ("class Other(Model): ...", "has several model classes: Model, Other"),
    "half a password": (
        "app = init_app(Model, 'user')",
        "_wsgi.py: init_app: basic authentication needs both a user and a password",
    ),
    "the other half": (
        "app = init_app(Model, basic_auth_pass='pass', basic_auth_user='')",
        "_wsgi.py: init_app: basic authentication needs both a user and a password",
    ),
    "no text": (
        "app = init_app(Model, 'user', 1234)",
        "_wsgi.py: init_app: basic_auth_pass must be text, not int",
    ),
    "half a password, and an except": (
        """
        try:
            app = init_app(Model, "user")
        except ValueError:
            app = init_app(Model)
        """,
        "_wsgi.py: init_app: basic authentication needs both a user and a password",
    ),
    "a password that is not reached": (
        """
        def serve():
            init_app(Model, "user", "pass").run()
        """,
        "its call of init_app has a password",
    ),
    "an ASGI app": (
        """
        class Wrapped:
            def __init__(self, app):
                self.app = app
            async def __call__(self, scope, receive, send):
                raise AssertionError
        app = Wrapped(init_app(Model))
        """,
        "is an app of ASGI (_wsgi.Wrapped)",
    ),
}


@pytest.mark.parametrize("program", REFUSED)
def test_what_cannot_be_honoured_is_refused(program: str, tmp_path: Path) -> None:
    wsgi, expected = REFUSED[program]
    folder = project(tmp_path, wsgi)
    done = run("start", folder, "-p", str(free_port()), "--host", "127.0.0.1", cwd=tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    assert expected in done.stdout + done.stderr


#: Ways to give `init_app` a user and a password.
PASSWORDS = {
    "positional": "app = init_app(Model, 'user', 'pä:ss')",
    "keywords": "app = init_app(Model, basic_auth_pass='pä:ss', basic_auth_user='user')",
    "a later call without them": "app = init_app(Model, 'user', 'pä:ss'); app = init_app(Model)",
    "environment of the file": """
        os.environ["BASIC_AUTH_USER"], os.environ["BASIC_AUTH_PASS"] = "user", "pä:ss"
        app = init_app(Model)
        """,
    "other names": """
        os.environ["ML_SERVER_BASIC_AUTH_USER"] = "user"
        os.environ["ML_SERVER_BASIC_AUTH_PASS"] = "pä:ss"
        app = init_app(Model)
        """,
    "main part": """
        if __name__ == "__main__":
            init_app(Model, "user", "pä:ss").run()
        """,
    "factory": """
        def create_app():
            return init_app(Model, "user", "pä:ss")
        """,
}


class Guarded(Server):
    def _is_ready(self) -> bool:
        self.session.auth = (b"user", "pä:ss".encode())
        try:
            return super()._is_ready()
        except requests.JSONDecodeError:
            return False


def test_a_password_holds_until_the_server_ends(tmp_path: Path) -> None:
    folder = project(tmp_path, "app = init_app(Model, 'user', 'pä:ss')")
    server = Guarded(folder, cwd=tmp_path)
    try:
        (folder / "_wsgi.py").write_text(IMPORTS + "app = init_app(Model)\n")
        os.kill(server.workers()[0], signal.SIGKILL)
        body = {"tasks": [], "project": PROJECT}

        def changed() -> bool:
            refused = requests.post(f"{server.url}/predict", json=body, timeout=60)
            assert refused.status_code == 401
            return "the program has no password any more" in server.log()

        wait_for(changed, "the changed program is served")
        assert server.post("/predict", body).status_code == 200
    finally:
        server.stop()


@pytest.mark.parametrize("way", PASSWORDS)
def test_passwords_of_init_app_are_those_of_the_server(way: str, tmp_path: Path) -> None:
    server = Guarded(project(tmp_path, PASSWORDS[way]), cwd=tmp_path)
    try:
        body = {"tasks": [], "project": PROJECT}
        assert server.post("/predict", body).status_code == 200
        for auth in (None, ("user", "pass"), ("user", "")):
            refused = requests.post(f"{server.url}/predict", json=body, auth=auth, timeout=60)
            assert refused.status_code == 401
    finally:
        server.stop()


#: Ways to start the same file; `start` alone replaces its server by our own.
MODES = {
    "start": [str(CONSOLE_SCRIPT), "start", ".", "--host", "127.0.0.1", "-p", "{port}"],
    "debug": [str(CONSOLE_SCRIPT), "start", ".", "--debug", "--host", "127.0.0.1", "-p", "{port}"],
    "python": [sys.executable, "_wsgi.py", "-p", "{port}"],
    "gunicorn": [sys.executable, "-m", "gunicorn", "--bind", "127.0.0.1:{port}", "_wsgi:app"],
}
SERVED_BY_ITSELF = """
    import argparse

    parser = argparse.ArgumentParser()
    parser.add_argument("-p", "--port", type=int, default=9090)
    {app}
    if __name__ == "__main__":
        args = parser.parse_args()
        {run}
    """


#: gunicorn imports the file, so an app of the main part is not there.
PLACES = [
    (mode, where)
    for mode in MODES
    for where in ("top level", "main part", "a wrapped app")
    if (mode, where) != ("gunicorn", "main part")
]


@pytest.mark.parametrize(("mode", "where"), PLACES)
def test_passwords_hold_in_every_mode(mode: str, where: str, tmp_path: Path) -> None:
    app, run = 'app = init_app(Model, "user", "secret")', "app.run('127.0.0.1', args.port)"
    if where == "main part":
        app, run = "", f"{app}; {run}"
    elif where == "a wrapped app":
        run = (
            "from wsgiref.simple_server import make_server; "
            "make_server('127.0.0.1', args.port, lambda *a: app(*a)).serve_forever()"
        )
    folder = project(tmp_path, SERVED_BY_ITSELF.format(app=app, run=run))
    port = str(free_port())
    with (tmp_path / "log.txt").open("w") as log:
        process = subprocess.Popen(
            [word.replace("{port}", port) for word in MODES[mode]],
            cwd=folder,
            env=environment(),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    body = {"tasks": [{"id": 1, "data": {}}], "project": PROJECT, "label_config": CHOICES}
    try:

        def status(auth: tuple[str, str] | None) -> int:
            try:
                return requests.post(
                    f"http://127.0.0.1:{port}/predict", json=body, auth=auth, timeout=60
                ).status_code
            except requests.ConnectionError:
                assert process.poll() is None, (tmp_path / "log.txt").read_text()
                return 0

        wait_for(lambda: status(("user", "secret")) == 200, "it predicts")
        assert status(None) == status(("user", "wrong")) == 401
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


SECRETS = ["BASIC_AUTH_PASS", "ML_SERVER_BASIC_AUTH_PASS", "LABEL_STUDIO_ML_WEBHOOK_TOKEN"]


@pytest.mark.parametrize("source", ["server", "file"])
@pytest.mark.parametrize("name", SECRETS)
def test_secrets_are_there_during_the_import_alone(name: str, source: str, tmp_path: Path) -> None:
    model = f"""
        import os, subprocess
        from label_studio_ml.model import LabelStudioMLBase

        NAME = {name!r}
        if {source == "file"}:
            os.environ[NAME] = "correct-horse-battery"
            os.environ[NAME.replace("PASS", "USER")] = os.environ[NAME] if NAME.endswith("TOKEN") else "user"
        LENGTH = len(os.environ[NAME])

        def seen():
            child = subprocess.run(["env"], capture_output=True, text=True).stdout
            with open("/proc/self/environ") as file:
                told = file.read()
            return {{"import": LENGTH, "now": os.environ.get(NAME),
                    "others": [f"{{NAME}}=" in child, "correct-horse" in child, "correct-horse" in told]}}

        class Model(LabelStudioMLBase):
            def predict(self, tasks, **kwargs):
                return [{{"result": [], "seen": seen(), "trained": self.train_output}} for _ in tasks]

            def fit(self, tasks, workdir=None, **kwargs):
                return {{"seen": seen()}}
    """
    secret = "correct-horse-battery"
    env = {name: secret} if source == "server" else {}
    user = name.replace("PASS", "USER")
    if user != name and source == "server":
        env[user] = "user"
    folder = project(tmp_path, "app = init_app(Model)", model=model)

    class Asked(Server):
        def _is_ready(self) -> bool:
            if user != name:
                self.session.auth = ("user", secret)
            return super()._is_ready()

    server = Asked(folder, cwd=tmp_path, env=env)
    try:
        gone = {"import": len(secret), "now": None, "others": [False, False, False]}
        assert server.first()["seen"] == gone
        server.train()
        server.wait_trained()
        assert server.first()["trained"] == {"seen": gone}
    finally:
        server.stop()


@pytest.mark.parametrize("name", SECRETS)
def test_init_and_validate_import_with_the_secrets(name: str, tmp_path: Path) -> None:
    source = (
        MODEL
        + f"""
    assert os.environ[{name!r}] == "secret"
    """
    )
    script = write_script(tmp_path, source)
    done = run("init", "made", "--script", script, "--root-dir", tmp_path, **{name: "secret"})
    assert done.returncode == 0, done.stdout + done.stderr
    tasks = tmp_path / "tasks.json"
    tasks.write_text('[{"id": 1, "data": {"text": "fine"}}]')
    config = tmp_path / "config.xml"
    config.write_text(CHOICES)
    check = ["validate", tmp_path / "made", "--task", tasks, "--config", config]
    done = run(*check, **{name: "secret"})
    assert "AssertionError" not in done.stdout + done.stderr
    assert "KeyError" in run(*check).stderr
