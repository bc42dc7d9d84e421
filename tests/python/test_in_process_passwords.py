"""User and password of the in-process mode: every way to give them, and every route behind them."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from hosting import CONSOLE_SCRIPT, ECHO, environment, make_project, wait_for
from models_v2 import TELLER
from ports import free_port

from label_studio_ml import api
from label_studio_ml.api import init_app
from label_studio_ml.model import LabelStudioMLBase

NAMES = [f"{prefix}BASIC_AUTH_{name}" for prefix in ("", "ML_SERVER_") for name in ("USER", "PASS")]


class Model(LabelStudioMLBase):
    def predict(self, tasks: Any, context: Any = None, **kwargs: Any) -> Any:
        return []


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "BASIC_AUTH", None)
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def basic(text: str | bytes) -> dict[str, str]:
    raw = text if isinstance(text, bytes) else text.encode()
    return {"Authorization": f"Basic {base64.b64encode(raw).decode()}"}


@pytest.mark.parametrize(
    ("arguments", "variables", "expected"),
    [
        (("u", "p"), {}, ("u", "p")),
        ((), {"BASIC_AUTH_USER": "u", "BASIC_AUTH_PASS": "p"}, ("u", "p")),
        ((), {"ML_SERVER_BASIC_AUTH_USER": "u", "ML_SERVER_BASIC_AUTH_PASS": "p"}, ("u", "p")),
        (("u", "p"), {"BASIC_AUTH_USER": "x", "BASIC_AUTH_PASS": "y"}, ("u", "p")),
        (("u",), {"BASIC_AUTH_USER": "x", "BASIC_AUTH_PASS": "p"}, ("u", "p")),
        (
            (),
            {"BASIC_AUTH_USER": "u", "BASIC_AUTH_PASS": "p", "ML_SERVER_BASIC_AUTH_USER": "x"},
            ("u", "p"),
        ),
        ((), {"BASIC_AUTH_USER": "u", "ML_SERVER_BASIC_AUTH_PASS": "p"}, ("u", "p")),
        ((None, None), {}, None),
        (("", ""), {"BASIC_AUTH_USER": "", "BASIC_AUTH_PASS": ""}, None),
    ],
)
def test_they_come_from_arguments_or_the_environment(
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[Any, ...],
    variables: dict[str, str],
    expected: tuple[str, str] | None,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    init_app(Model, *arguments)
    assert expected == api.BASIC_AUTH


@pytest.mark.parametrize("named", [{"basic_auth_user": "u", "basic_auth_pass": "p"}])
def test_they_may_be_named(named: dict[str, str]) -> None:
    init_app(model_class=Model, **named)
    assert api.BASIC_AUTH == ("u", "p")


@pytest.mark.parametrize(
    ("arguments", "variables", "said"),
    [
        (("u",), {}, "no password: pass basic_auth_pass, or set BASIC_AUTH_PASS"),
        (("u", ""), {}, "there is no password"),
        ((None, "p"), {}, "no user: pass basic_auth_user, or set BASIC_AUTH_USER"),
        (("", "p"), {}, "there is no user"),
        ((), {"BASIC_AUTH_USER": "u"}, "there is no password"),
        ((), {"BASIC_AUTH_USER": "u", "BASIC_AUTH_PASS": ""}, "there is no password"),
        ((), {"BASIC_AUTH_PASS": "p"}, "there is no user"),
        ((), {"ML_SERVER_BASIC_AUTH_PASS": "p"}, "there is no user"),
        (("u", 1234), {}, "basic_auth_pass must be text, not int"),
        ((b"u", "p"), {}, "basic_auth_user must be text, not bytes"),
        ((False, "p"), {}, "basic_auth_user must be text, not bool"),
    ],
)
def test_half_of_them_is_an_error_and_opens_nothing(
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[Any, ...],
    variables: dict[str, str],
    said: str,
) -> None:
    app = init_app(Model, "user", "pass")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=said):
        init_app(Model, *arguments)
    assert app.test_client().get("/health").status_code == 401


def test_a_later_call_does_not_open_the_app() -> None:
    app = init_app(Model, "user", "pass")
    assert init_app(Model).test_client().get("/health").status_code == 401
    init_app(Model, "other", "pass")
    client = app.test_client()
    assert client.get("/health", headers=basic("user:pass")).status_code == 401
    assert client.get("/health", headers=basic("other:pass")).status_code == 200
    api.BASIC_AUTH = None
    assert client.get("/health").status_code == 200


def test_letters_may_come_in_utf_8_or_latin_1() -> None:
    client = init_app(Model, "jürgen", "pä:ss").test_client()
    for right in ("jürgen:pä:ss".encode(), "jürgen:pä:ss".encode("latin-1")):
        assert client.get("/", headers=basic(right)).status_code == 200
    assert client.get("/", headers=basic("jürgen:pä:ss".encode("utf-16"))).status_code == 401
    greek = init_app(Model, "α", "β").test_client()
    assert greek.get("/", headers=basic("α:β")).status_code == 200
    assert greek.get("/", headers=basic("?:?")).status_code == 401
    # A variable of the environment that is not UTF-8.
    odd = init_app(Model, "u", os.fsdecode(b"p\xe4ss")).test_client()
    assert odd.get("/", headers=basic(b"u:p\xe4ss")).status_code == 200
    assert odd.get("/", headers=basic("u:päss")).status_code == 401


def test_an_empty_header_is_never_right(monkeypatch: pytest.MonkeyPatch) -> None:
    client = init_app(Model, "u", "p").test_client()
    monkeypatch.setattr(api, "BASIC_AUTH", ())
    for header in ("Basic ", "Basic", "", "Basic ===="):
        assert client.get("/", headers={"Authorization": header}).status_code == 401


#: Routes of the file's own, beside a static file.
MORE = """
import os
from flask import Blueprint

mine = Blueprint("mine", __name__, url_prefix="/blue")
mine.add_url_rule("/print", "print", lambda: "blue")
app.register_blueprint(mine)
app.add_url_rule("/own", "own", lambda: "own")
app.static_folder = os.path.dirname(os.path.abspath(__file__))
"""

#: Each way to say user and password in a `_wsgi.py`, and the environment that it needs.
WAYS = {
    "positional": ('init_app({name}, "user", "geheim")', {}),
    "keyword": ('init_app({name}, basic_auth_user="user", basic_auth_pass="geheim")', {}),
    "read": (
        'init_app({name}, os.environ["BASIC_AUTH_USER"], os.environ["BASIC_AUTH_PASS"])',
        {"BASIC_AUTH_USER": "user", "BASIC_AUTH_PASS": "geheim"},
    ),
    "environment": (
        "init_app({name})",
        {"BASIC_AUTH_USER": "user", "BASIC_AUTH_PASS": "geheim"},
    ),
    "ML_SERVER": (
        "init_app({name})",
        {"ML_SERVER_BASIC_AUTH_USER": "user", "ML_SERVER_BASIC_AUTH_PASS": "geheim"},
    ),
}
PROGRAMS = {
    "python": [sys.executable, "_wsgi.py"],
    "gunicorn": [sys.executable, "-m", "gunicorn", "--bind", "127.0.0.1:{port}", "_wsgi:app"],
    "uwsgi": [
        str(Path(sys.prefix) / "bin" / "pyuwsgi"),
        *("--http-socket", "127.0.0.1:{port}", "--module", "_wsgi:app", "--master"),
        *("--need-app", "--die-on-term"),
    ],
    "debug": [str(CONSOLE_SCRIPT), "start", ".", "--debug", "--host", "127.0.0.1", "-p", "{port}"],
}
RUN = """
if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(os.environ["TRY_PORT"]))
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., tuple[str, Path]]]:
    """Start a program that serves a project; return its address and its log."""
    processes = []

    def run(program: str, project: Path, variables: dict[str, str]) -> tuple[str, Path]:
        port = free_port()
        log = tmp_path / "log"
        command = [part.replace("{port}", str(port)) for part in PROGRAMS[program]]
        given = {"MODEL_DIR": str(tmp_path / "models"), "TRY_PORT": str(port), **variables}
        with log.open("wb") as output:
            processes.append(
                subprocess.Popen(
                    command,
                    cwd=project,
                    env={**environment(), **given},
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
            )
        url = f"http://127.0.0.1:{port}"

        def answers() -> bool:
            assert processes[-1].poll() is None, log.read_text()
            try:
                return requests.get(url, timeout=5).status_code > 0
            except requests.ConnectionError:
                return False

        wait_for(answers, "the program answers")
        return url, log

    yield run
    for process in processes:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.parametrize(("source", "name"), [(TELLER, "Teller"), (ECHO, "Echo")])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_every_route_asks_for_them_under_every_program(
    start: Callable[..., tuple[str, Path]],
    tmp_path: Path,
    program: str,
    way: str,
    source: str,
    name: str,
) -> None:
    call, variables = WAYS[way]
    project = make_project(tmp_path, source)
    head = f"import os\nfrom label_studio_ml.api import init_app\nfrom model import {name}\n"
    (project / "_wsgi.py").write_text(f"{head}app = {call.format(name=name)}\n{MORE}{RUN}")
    url, log = start(program, project, variables)
    right, wrong = ("user", "geheim"), ("user", "wrong")
    mine = ["/own", "/blue/print", "/static/_wsgi.py"]
    for path in (*mine, "/", "/health", "/metrics", "/predict", "/nope", "/versions", "//health"):
        for method in ("GET", "POST", "HEAD", "OPTIONS"):
            for auth in (None, wrong):
                answer = requests.request(method, url + path, auth=auth, timeout=30)
                assert answer.status_code == 401, (method, path)
    for path in (*mine, "/health"):
        assert requests.get(url + path, auth=right, timeout=30).status_code == 200, path
    assert requests.get(f"{url}/nope", auth=right, timeout=30).status_code == 404
    assert requests.get(f"{url}/predict", auth=right, timeout=30).status_code == 405
    assert "geheim" not in log.read_text()
