"""Basic authentication of the started server: every route, and no word of the password in the log."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from hosting import ECHO, Server, make_project, run

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
                answer = requests.get(server.url + path, auth=wrong, timeout=10)
                assert answer.status_code == 401, path
                assert answer.headers["WWW-Authenticate"] == 'Basic realm="Login required"'
                assert answer.json()["detail"] == "Unauthorized"
        bearer = {"Authorization": "Bearer a:secret"}
        assert requests.get(server.url, headers=bearer, timeout=10).status_code == 401
        refused = requests.post(f"{server.url}/predict", json={"tasks": []}, timeout=10)
        assert refused.status_code == 401
        assert requests.options(f"{server.url}/predict", timeout=10).status_code == 401
        counted = 'label_studio_ml_requests_total{route="/predict",status="401"}'
        assert counted in server.get("/metrics").text
        assert "secret" not in server.log()
    finally:
        assert server.stop() == 0


@pytest.mark.parametrize("prefix", ["", "ML_SERVER_"])
def test_the_environment_says_it_too(serve: Serve, prefix: str, tmp_path: Path) -> None:
    names = {f"{prefix}BASIC_AUTH_USER": "u", f"{prefix}BASIC_AUTH_PASS": "p"}
    project = make_project(tmp_path, ECHO)

    class AsUser(Server):
        def _is_ready(self) -> bool:
            self.session.auth = ("u", "p")
            return super()._is_ready()

    server = AsUser(project, env=names)
    assert requests.get(f"{server.url}/health", timeout=10).status_code == 401
    assert server.stop() == 0


def test_half_of_it_is_a_mistake(tmp_path: Path) -> None:
    done = run("start", make_project(tmp_path, ECHO), "--basic-auth-user", "u")
    assert done.returncode == 2
    assert "needs both a user and a password" in done.stderr
