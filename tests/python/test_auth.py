"""Access to the started server: the password, the webhook token, and the routes that are open to all."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from hosting import CHOICES, ECHO, Server, make_project, run, wait_for

Serve = Callable[..., Server]
GIVEN = ("jürgen", "a:secret wörd")


def test_every_route_asks_for_the_password(tmp_path: Path) -> None:
    server = Server(make_project(tmp_path, ECHO), "--log-level", "DEBUG", auth=GIVEN)
    try:
        assert server.setup().status_code == 200
        assert server.first()["score"] == 0.5
        for path in (
            "/",
            "/health",
            "/setup",
            "/predict",
            "/jobs",
            "/metrics",
            "/nope",
            "//health",
        ):
            for wrong in (None, ("jürgen".encode(), b"wrong"), ("x", "a:secret wörd".encode())):
                answer = requests.get(server.url + path, auth=wrong, timeout=60)
                assert answer.status_code == 401, path
                assert answer.headers["WWW-Authenticate"] == 'Basic realm="Login required"'
                assert answer.json()["detail"] == "Unauthorized"
        bearer = {"Authorization": "Bearer a:secret"}
        assert requests.get(server.url, headers=bearer, timeout=60).status_code == 401
        refused = requests.post(f"{server.url}/predict", json={"tasks": []}, timeout=60)
        assert refused.status_code == 401
        assert requests.options(f"{server.url}/predict", timeout=60).status_code == 401
        counted = 'label_studio_ml_requests_total{route="/predict",status="401"}'
        assert counted in server.get("/metrics").text
        assert "secret" not in server.log()
    finally:
        assert server.stop() == 0


@pytest.mark.parametrize("prefix", ["", "ML_SERVER_"])
def test_the_environment_says_it_too(prefix: str, tmp_path: Path) -> None:
    names = {f"{prefix}BASIC_AUTH_USER": "u", f"{prefix}BASIC_AUTH_PASS": "p"}
    project = make_project(tmp_path, ECHO)

    class AsUser(Server):
        def _is_ready(self) -> bool:
            self.session.auth = ("u", "p")
            return super()._is_ready()

    server = AsUser(project, env=names)
    assert requests.get(f"{server.url}/health", timeout=60).status_code == 401
    assert server.stop() == 0


def test_half_of_it_is_a_mistake(tmp_path: Path) -> None:
    done = run("start", make_project(tmp_path, ECHO), "--basic-auth-user", "u")
    assert done.returncode == 2
    assert "needs both a user and a password" in done.stderr


TOKEN = "0123456789_abcdef-XYZ"
EVENT = {"action": "NOBODY_LEARNS_FROM_THIS"}


def test_only_the_two_probes_are_open(tmp_path: Path) -> None:
    server = Server(make_project(tmp_path, ECHO), auth=GIVEN)
    try:
        for path in ("/livez", "/readyz"):
            answer = requests.get(server.url + path, timeout=60)
            assert (answer.status_code, answer.json()) == (200, {"status": "UP"})
        os.kill(server.workers()[0], signal.SIGKILL)

        def down() -> list[requests.Response]:
            answer = requests.get(f"{server.url}/readyz", timeout=60)
            return [answer] if answer.status_code == 503 else []

        [answer] = wait_for(down, "the server is not ready")
        assert answer.json() == {"status": "DOWN", "error_code": "not_ready"}, (
            "strangers are told no reason"
        )
        assert answer.headers["Retry-After"]
        assert requests.get(f"{server.url}/livez", timeout=60).status_code == 200
        wait_for(lambda: server.get("/readyz").status_code == 200, "it is ready again")
    finally:
        assert server.stop() == 0


def test_those_who_may_know_are_told_why_nobody_predicts(tmp_path: Path) -> None:
    broken = make_project(tmp_path, ECHO)
    server = Server(broken)
    try:
        (broken / "model.py").write_text("raise RuntimeError('no weights')\n")
        os.kill(server.workers()[0], signal.SIGKILL)

        def told() -> bool:
            answer = server.get("/readyz")
            return answer.status_code == 503 and "no weights" in str(answer.json()["problems"])

        wait_for(told, "the reason is told")
        assert "no worker is ready" in server.get("/readyz").json()["problems"]
        assert requests.get(f"{server.url}/livez", timeout=60).status_code == 200
    finally:
        server.stop()


def test_the_token_stands_for_the_password_at_the_webhook(tmp_path: Path) -> None:
    project = make_project(tmp_path, ECHO)
    server = Server(project, "--webhook-token", TOKEN, "--log-level", "DEBUG", auth=GIVEN)
    try:
        under = f"{server.url}/{TOKEN}"
        assert f"http://localhost:{server.port}/{TOKEN} (" in server.log()
        started = server.log().count(TOKEN)
        post = requests.post
        for url in (f"{under}/webhook", f"{under}//webhook", f"{server.url}//{TOKEN}/webhook"):
            assert post(url, json=EVENT, timeout=60).status_code == 200, url
        for path in ("/health", "/", "", "/jobs", "/webhook/x", "/predict"):
            assert requests.get(under + path, timeout=60).status_code == 401, path
        assert post(f"{server.url}/webhook", json=EVENT, timeout=60).status_code == 401
        wrong = TOKEN[:-1] + "z"
        assert post(f"{server.url}/{wrong}/webhook", json=EVENT, timeout=60).status_code == 401
        # With the password everything is there, under both addresses.
        for path in ("", "/", "/health", "/metrics", "/livez"):
            assert server.get(f"/{TOKEN}{path}").status_code == 200, path
        assert server.get("/health").status_code == 200
        assert server.post("/webhook", EVENT).status_code == 200
        for path in (f"/{wrong}/health", f"/x/{TOKEN}", f"/{TOKEN}/{TOKEN}", f"/health/{TOKEN}"):
            answer = server.get(path, params={"a": TOKEN})
            assert answer.status_code == 404, path
            assert TOKEN not in answer.text + answer.reason, path
        assert 'route="/webhook"' in server.get("/metrics").text
        assert TOKEN not in server.get("/metrics").text
        assert server.log().count(TOKEN) == started, "it is told once, to be pasted"
        assert wrong not in server.log()
    finally:
        assert server.stop() == 0


def test_the_model_does_not_see_the_token(tmp_path: Path) -> None:
    source = """
        import os
        from flask import request
        from label_studio_ml.model import LabelStudioMLBase
        from label_studio_ml.response import ModelResponse

        class Seeing(LabelStudioMLBase):
            def predict(self, tasks, context=None, **kwargs):
                seen = [request.path, request.full_path, dict(request.headers)]
                return [{"result": [], "seen": str([seen, dict(os.environ)])}]
    """
    names = {
        "LABEL_STUDIO_ML_WEBHOOK_TOKEN": TOKEN,
        "BASIC_AUTH_USER": "u",
        "BASIC_AUTH_PASS": "pa55word",
    }

    class AsUser(Server):
        def _is_ready(self) -> bool:
            self.session.auth = ("u", "pa55word")
            return super()._is_ready()

    server = AsUser(make_project(tmp_path, source), env=names)
    try:
        body = {"tasks": [{"id": 1, "data": {"text": "fine"}}], "label_config": CHOICES}
        answer = server.post(f"/{TOKEN}/predict", body)
        assert answer.status_code == 200, answer.text
        seen = answer.json()["results"][0]["seen"]
        assert "'/predict'" in seen
        assert TOKEN not in seen
        assert "pa55word" not in seen
    finally:
        assert server.stop() == 0


def test_a_token_without_a_password_guards_the_webhook_alone(serve: Serve) -> None:
    server = serve(ECHO, "--webhook-token", TOKEN)
    assert server.get("/health").status_code == 200
    assert server.get(f"/{TOKEN}/health").status_code == 200
    assert server.post(f"/{TOKEN}/webhook", EVENT).status_code == 200
    refused = server.post("/webhook", EVENT)
    assert refused.status_code == 401
    assert "webhook token" in refused.json()["detail"]


@pytest.mark.parametrize("bad", ["short", "0123456789/abcdef", "0123456789 abcdef", "é" * 20])
def test_a_bad_token_is_refused_and_not_repeated(tmp_path: Path, bad: str) -> None:
    done = run("start", make_project(tmp_path, ECHO), "--webhook-token", bad)
    assert done.returncode == 2
    assert "the webhook token must be 16 to 128 characters" in done.stderr
    assert bad not in done.stderr + done.stdout


def test_a_server_that_is_open_to_all_says_so(serve: Serve, tmp_path: Path) -> None:
    warning = "no password is set: anyone who can reach port"
    assert warning not in serve(ECHO).log(), "nobody but this machine reaches it"
    project = make_project(tmp_path / "second", ECHO)

    class Everywhere(Server):
        def start(self) -> None:
            self._command[self._command.index("127.0.0.1")] = "0.0.0.0"
            super().start()

    for auth in (None, GIVEN):
        server = Everywhere(project, auth=auth)
        assert server.stop() == 0
        assert (warning in server.log()) == (auth is None)
