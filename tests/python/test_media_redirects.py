"""User and password that stand in an address are shown to its origin, and to nobody that it redirects to."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hosting import ROOT
from media_hosts import LEGACY, Handler, Host, LabelStudio, personal, redirect
from requests.auth import HTTPBasicAuth

from label_studio_ml._media import download
from label_studio_ml._media.label_studio_address import Connection, Server, connected
from label_studio_ml.exceptions import MediaError
from label_studio_ml.model import get_local_path

TLS = ROOT / "tests" / "fixtures" / "tls"
#: `name:word`, `other:secret`
BASIC, OTHER_BASIC = "Basic bmFtZTp3b3Jk", "Basic b3RoZXI6c2VjcmV0"


def with_password(url: str, who: str = "name:word") -> str:
    return url.replace("://", f"://{who}@")


def fetched(url: str) -> bytes:
    return Path(get_local_path(url)).read_bytes()


@pytest.fixture
def elsewhere(storage: Host) -> Iterator[Host]:
    """Another service of the same machine: a host of its own, since it has another port."""
    host = Host()
    host.files["/x"] = b"elsewhere"
    yield host
    host.stop()


def shown(host: Host) -> list[str | None]:
    """Return what a host was shown, request by request."""
    return [header for _, header in host.asked]


def test_a_password_stays_with_the_origin_of_its_address(storage: Host, elsewhere: Host) -> None:
    storage.files["/a"] = redirect("/b")
    storage.files["/b"] = redirect(f"{elsewhere.url}/x")
    assert fetched(f"{with_password(storage.url)}/a") == b"elsewhere"
    assert shown(storage) == [BASIC, BASIC], "its own redirect keeps it"
    assert shown(elsewhere) == [None], "another port is another service"


def test_a_password_that_was_put_away_does_not_come_back(storage: Host, elsewhere: Host) -> None:
    storage.files["/a"] = redirect(f"{elsewhere.url}/back")
    elsewhere.files["/back"] = redirect(f"{storage.url}/b")
    storage.files["/b"] = b"here again"
    assert fetched(f"{with_password(storage.url)}/a") == b"here again"
    assert shown(storage) == [BASIC, None], "somebody else chose what is asked now"


def test_the_address_of_a_redirect_may_bring_its_own_password(
    storage: Host, elsewhere: Host
) -> None:
    storage.files["/a"] = redirect(f"{with_password(elsewhere.url, 'other:secret')}/x")
    assert fetched(f"{with_password(storage.url)}/a") == b"elsewhere"
    assert (shown(storage), shown(elsewhere)) == ([BASIC], [OTHER_BASIC])


def test_the_password_of_a_step_stays_with_its_step(storage: Host, elsewhere: Host) -> None:
    storage.files["/a"] = redirect(f"{with_password(elsewhere.url, 'other:secret')}/1")
    elsewhere.files["/1"] = redirect("/2")
    elsewhere.files["/2"] = redirect(f"{storage.url}/b")
    storage.files["/b"] = b"here again"
    assert fetched(f"{with_password(storage.url)}/a") == b"here again"
    assert shown(elsewhere) == [OTHER_BASIC, OTHER_BASIC]
    assert shown(storage) == [BASIC, None]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_personal_token_is_not_sent_where_the_trade_of_it_redirects(
    storage: Host, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    studio, other = LabelStudio(), LabelStudio()
    token = personal()
    other.refresh.add(token)

    def moved(handler: Handler, path: str, body: dict[str, str]) -> None:
        handler.say(status, Location=f"{other.url}{path}")

    monkeypatch.setattr(studio, "trade", moved)
    try:
        with (
            connected(Connection(studio.url, token)),
            pytest.raises(MediaError, match=f"answered {status} to the personal access token"),
        ):
            get_local_path("/data/upload/1/a")
        assert other.asked == []
        assert {*studio.paths()} == {"/api/token/refresh/"}
    finally:
        studio.stop()
        other.stop()


def test_another_name_of_a_host_is_another_host(
    storage: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABEL_STUDIO_ML_ALLOW_HOSTS", "127.0.0.1,localhost")
    storage.files["/a"] = redirect(f"http://localhost:{storage.port}/b")
    storage.files["/b"] = b"there"
    assert fetched(f"{with_password(storage.url)}/a") == b"there"
    assert shown(storage) == [BASIC, None]


def test_a_password_for_http_is_not_shown_over_tls_and_the_other_way_round(
    storage: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    secure = Host()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "localhost.pem")
    secure._server.socket = context.wrap_socket(secure._server.socket, server_side=True)
    monkeypatch.setenv("LABEL_STUDIO_ML_ALLOW_HOSTS", "127.0.0.1,localhost")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(TLS / "authority.pem"))
    plain_url = f"http://localhost:{storage.port}"
    secure_url = f"https://localhost:{secure.port}"
    try:
        storage.files |= {"/a": redirect(f"{secure_url}/x"), "/y": b"plain"}
        secure.files |= {"/x": b"secure", "/b": redirect(f"{plain_url}/y")}
        assert fetched(f"{with_password(plain_url)}/a") == b"secure"
        assert fetched(f"{with_password(secure_url)}/b") == b"plain"
        assert shown(storage) == [BASIC, None]
        assert shown(secure) == [None, BASIC]
    finally:
        secure.stop()


SERVER = Server("http://studio/base", "LABEL_STUDIO_URL", ())
FILE = "http://studio/base/data/upload/1/a"
PASSWORD, TOKEN, NOTHING = HTTPBasicAuth("a", "b"), download._Auth("Token t"), download._Auth(None)


@pytest.mark.parametrize(
    ("auth", "at", "to", "kept"),
    [
        (PASSWORD, "http://h/a", "http://h/b", True),
        (PASSWORD, "http://h/a", "http://h:80/b", True),
        (PASSWORD, "http://h/a", "http://H./b", True),
        (PASSWORD, "https://h:443/a", "https://h/b", True),
        (PASSWORD, "http://h/a", "https://h/b", False),
        (PASSWORD, "https://h/a", "http://h/b", False),
        (PASSWORD, "http://h:443/a", "https://h/b", False),
        (PASSWORD, "http://h/a", "http://h:8080/b", False),
        (PASSWORD, "http://h/a", "http://sub.h/b", False),
        (PASSWORD, "http://sub.h/a", "http://h/b", False),
        (PASSWORD, "http://h/a", "http://h@evil/b", False),
        (TOKEN, FILE, "http://studio/base/data/upload/1/b", True),
        (TOKEN, FILE, "http://studio/storage-data/x", True),
        (TOKEN, FILE, "http://studio/base/api/users", False),
        (TOKEN, FILE, "https://studio/base/data/upload/1/b", False),
        (TOKEN, FILE, "http://studio:8080/base/data/upload/1/b", False),
        (TOKEN, FILE, "http://studio.evil/base/data/upload/1/b", False),
        (NOTHING, FILE, "http://studio/base/api/users", True),
    ],
)
def test_what_a_redirect_keeps(auth: Any, at: str, to: str, kept: bool) -> None:
    assert download._keeps(auth, at, to, SERVER) is kept
    if auth is PASSWORD:
        assert download._keeps(auth, at, to, None) is kept


def test_the_header_of_a_token_stays_with_label_studio(
    label_studio: LabelStudio, storage: Host
) -> None:
    """Whatever kind of token it is, and at whatever step the way leads elsewhere."""
    token = personal()
    label_studio.refresh.add(token)
    storage.files["/x"] = b"elsewhere"
    for name, to in {"a": "b", "b": "c", "c": f"{storage.url}/x"}.items():
        label_studio.files[f"/data/upload/1/{name}"] = redirect(to)
    for secret in (LEGACY, token):
        label_studio.asked.clear()
        with connected(Connection(label_studio.url, secret)):
            path = Path(get_local_path("/data/upload/1/a"))
        assert path.read_bytes() == b"elsewhere"
        path.unlink()
        files = [header for path, header in label_studio.asked if path.startswith("/data/")]
        assert len(files) == 3
        assert len({*files}) == 1 and files[0]
    assert shown(storage) == [None, None]


def test_an_address_of_label_studio_elsewhere_in_a_task_gets_no_token(
    label_studio: LabelStudio, storage: Host
) -> None:
    """Nor does the same path at another host, which a task may name."""
    storage.files["/data/upload/1/a"] = b"theirs"
    with connected(Connection(label_studio.url, LEGACY)):
        assert fetched(f"{storage.url}/data/upload/1/a") == b"theirs"
    assert shown(storage) == [None]
    assert label_studio.asked == []


def test_no_cookie_is_kept_between_the_steps_of_a_way(storage: Host, elsewhere: Host) -> None:
    def with_cookie(handler: Handler) -> None:
        handler.say(303, Location="/b", Set_Cookie="session=s3cr3t; Path=/; Domain=127.0.0.1")

    storage.files["/a"] = with_cookie
    storage.files["/b"] = redirect(f"{elsewhere.url}/x")
    assert fetched(f"{storage.url}/a") == b"elsewhere"
    for headers in (*storage.headers, *elsewhere.headers):
        assert "Cookie" not in headers


def test_exactly_ten_redirects_are_followed(storage: Host) -> None:
    for number in range(11):
        storage.files[f"/{number}"] = redirect(f"/{number + 1}")
    storage.files["/11"] = b"there"
    with pytest.raises(MediaError, match="redirects more than 10 times"):
        get_local_path(f"{storage.url}/0")
    assert storage.paths()[-1] == "/10"
    assert fetched(f"{storage.url}/1") == b"there"


@pytest.mark.usefixtures("media_environment")
def test_a_proxy_of_the_environment_is_not_shown_the_password_of_another_site(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    proxy = Host()
    proxy.prefix = "http:"
    proxy.files = {
        "//files.invalid/a": redirect("http://other.invalid/b"),
        "//other.invalid/b": b"behind",
    }
    monkeypatch.delenv("NO_PROXY")
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    try:
        assert fetched("http://name:word@files.invalid/a") == b"behind"
        assert shown(proxy) == [BASIC, None]
    finally:
        proxy.stop()
