"""Tokens: which kind is sent in which way, and to whom."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from media_hosts import LEGACY, Handler, Host, LabelStudio, jwt, personal, redirect, status
from test_cache import in_a_child

from label_studio_ml._media import tokens
from label_studio_ml._media.label_studio_address import Connection, connected
from label_studio_ml._media.tokens import Kind, Token, authorization
from label_studio_ml.exceptions import MediaError
from label_studio_ml.model import get_local_path

REFRESH = "/api/token/refresh/"


@pytest.fixture(autouse=True)
def named(label_studio: LabelStudio, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment names Label Studio, which has some files, but no token."""
    monkeypatch.setenv("LABEL_STUDIO_URL", label_studio.url)
    for number in range(20):
        label_studio.files[f"/data/upload/1/{number}"] = b"file"


def fetch(number: int) -> bytes:
    return Path(get_local_path(f"/data/upload/1/{number}")).read_bytes()


def refusal(number: int, *secrets: str) -> str:
    with pytest.raises(MediaError) as caught:
        fetch(number)
    for secret in secrets:
        assert secret not in str(caught.value)
    return str(caught.value)


def test_kinds() -> None:
    assert Token(LEGACY, "x").kind is Kind.LEGACY
    assert Token("a.b.c", "x").kind is Kind.LEGACY
    assert Token("bm8.bm8.bm8", "x").kind is Kind.LEGACY
    assert Token("MQ.MQ.MQ", "x").kind is Kind.LEGACY
    assert Token(personal(), "x").kind is Kind.PERSONAL
    assert Token(jwt(token_type="access"), "x").kind is Kind.ACCESS
    assert Token(jwt(sub="1"), "x").kind is Kind.ACCESS
    assert "s3cr3t" not in repr(Token("s3cr3t", "x")) + str(Token("s3cr3t", "x"))


def test_a_personal_token_is_traded_once(
    label_studio: LabelStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = personal()
    label_studio.refresh.add(token)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", token)
    assert [fetch(number) for number in range(3)] == [b"file"] * 3
    assert label_studio.trades == 1
    shown = {header for _, header in label_studio.asked}
    assert shown == {None, f"Bearer {next(iter(label_studio.access))}"}
    assert label_studio.asked[0] == (REFRESH, None)


def test_a_trade_that_ends_is_made_again(
    label_studio: LabelStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = personal()
    label_studio.refresh.add(token)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", token)
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    label_studio.life = 100
    fetch(0)
    clock[0] += 89  # a tenth of its life is left as a margin
    fetch(1)
    assert label_studio.trades == 1
    clock[0] += 2
    fetch(2)
    assert label_studio.trades == 2


def test_the_clock_of_label_studio_does_not_matter() -> None:
    day_before = int(time.time()) - 24 * 3600
    assert 200 < tokens._life(jwt(iat=day_before, exp=day_before + 300)) < 300
    assert 200 < tokens._life(jwt(exp=int(time.time()) + 300)) <= 270
    assert tokens._life("unreadable") == tokens._life(jwt(iat=5)) == 60
    # A tenth of it is a margin, and at most half a minute.
    lives = [tokens._life(jwt(iat=1000, exp=1000 + life)) for life in (100, 300, 301, 3600)]
    assert lives == [90, 270, 271, 3570]


def test_a_trade_that_is_refused_is_made_again_once(
    label_studio: LabelStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = personal()
    label_studio.refresh.add(token)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", token)
    fetch(0)
    label_studio.access.clear()  # as after a change of its secret key
    assert fetch(1) == b"file"
    assert label_studio.trades == 2
    label_studio.files["/data/upload/1/2"] = status(401)
    assert f"{label_studio.url} answered 401 to the personal access token of" in refusal(2, token)
    assert label_studio.trades == 3


def test_threads_trade_once(label_studio: LabelStudio, monkeypatch: pytest.MonkeyPatch) -> None:
    token = personal()
    label_studio.refresh.add(token)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", token)
    got: list[bytes] = []
    threads = [
        threading.Thread(target=lambda number=number: got.append(fetch(number)))
        for number in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert got == [b"file"] * 16
    assert label_studio.trades == 1


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_waits_for_no_trade_of_its_parent() -> None:
    token = Token(personal("forked"), "x")
    asked = ("http://h", token)
    assert authorization(*asked, lambda *_: (200, {"access": "first"})) == "Bearer first"
    (traded,) = [one for (_, value), one in tokens._exchanged.items() if value == token.value]
    with traded.lock:
        own = in_a_child(
            lambda: authorization(*asked, lambda *_: (200, {"access": "own"})) == "Bearer own"
        )
    assert own == 0
    assert authorization(*asked, lambda *_: (500, None)) == "Bearer first"


def test_a_personal_token_that_ended(
    label_studio: LabelStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = personal()
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", token)
    message = refusal(0, token)
    assert message == (
        f"cannot fetch /data/upload/1/0: {label_studio.url}{REFRESH} answered 401 to the personal "
        "access token of LABEL_STUDIO_API_KEY; set LABEL_STUDIO_API_KEY to a token of a user who can "
        "see the project (Account & Settings)"
    )
    assert label_studio.paths() == [REFRESH]
    monkeypatch.setenv("LABEL_STUDIO_URL", f"{label_studio.url}/elsewhere")
    label_studio.files["/data/upload/1/0"] = b"file"
    assert refusal(0, token).endswith(f"is {label_studio.url}/elsewhere its address?")


def test_an_access_token_is_a_bearer(
    label_studio: LabelStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = jwt(token_type="access", exp=1)
    label_studio.access.add(token)
    monkeypatch.setenv("LABEL_STUDIO_ACCESS_TOKEN", token)
    assert fetch(0) == b"file"
    assert label_studio.asked[0][1] == f"Bearer {token}"


def test_the_next_token_is_tried(
    label_studio: LabelStudio, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "unknown")
    monkeypatch.setenv("LABEL_STUDIO_ACCESS_TOKEN", personal("ended"))
    with connected(Connection("http://localhost:8080", LEGACY)):
        assert fetch(0) == b"file"
    assert {record.getMessage() for record in caplog.records} == {
        f"{label_studio.url}/data/upload/1/0 answered 401 to the legacy token of LABEL_STUDIO_API_KEY; "
        "another token is used",
        f"{label_studio.url}{REFRESH} answered 401 to the personal access token of "
        "LABEL_STUDIO_ACCESS_TOKEN; another token is used",
    }
    assert label_studio.asked == [
        ("/data/upload/1/0", "Token unknown"),
        (REFRESH, None),
        ("/data/upload/1/0", f"Token {LEGACY}"),
    ]
    with connected(Connection("http://localhost:8080", LEGACY)):
        fetch(2)
    assert len(caplog.records) == 2
    label_studio.asked.clear()
    label_studio.forbidden.add(LEGACY)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", LEGACY)
    other = jwt(token_type="access")
    label_studio.access.add(other)
    monkeypatch.setenv("LABEL_STUDIO_ACCESS_TOKEN", other)
    assert fetch(1) == b"file"


def test_all_tokens_are_refused(label_studio: LabelStudio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "unknown")
    with connected(Connection("http://localhost:8080", "old")):
        message = refusal(0, "unknown", "old")
    assert message == (
        f"cannot fetch /data/upload/1/0: {label_studio.url} answered 401 to the legacy token of "
        f"LABEL_STUDIO_API_KEY and {label_studio.url} answered 401 to the legacy token of /setup; set "
        "LABEL_STUDIO_API_KEY to a token of a user who can see the project (Account & Settings)"
    )


def test_legacy_tokens_may_be_switched_off(
    label_studio: LabelStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    label_studio.legacy_enabled = False
    with connected(Connection(label_studio.url, LEGACY)):
        message = refusal(0, LEGACY)
    assert message.endswith(
        "answered 401 to the legacy token of /setup; legacy tokens are switched off there: set "
        "LABEL_STUDIO_API_KEY to a personal access token of a user who can see the project (Account & "
        "Settings)"
    )
    monkeypatch.delenv("LABEL_STUDIO_URL")
    with connected(Connection(label_studio.url, LEGACY)):
        assert "set LABEL_STUDIO_URL to its address and LABEL_STUDIO_API_KEY to a" in refusal(0)
        monkeypatch.setenv("LABEL_STUDIO_API_KEY", personal())
        assert ": set LABEL_STUDIO_URL too: the token of LABEL_STUDIO_API_KEY is" in refusal(0)


def test_no_token_is_known(label_studio: LabelStudio, monkeypatch: pytest.MonkeyPatch) -> None:
    assert f"no token for {label_studio.url} is known; set LABEL_STUDIO_API_KEY" in refusal(0)
    monkeypatch.delenv("LABEL_STUDIO_URL")
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", LEGACY)
    with connected(Connection(label_studio.url, "")):
        message = refusal(0, LEGACY)
    assert message.endswith(
        "set LABEL_STUDIO_URL too: the token of LABEL_STUDIO_API_KEY is only sent to an address that "
        "you set yourself"
    )
    assert label_studio.asked == []


def test_the_login_page_is_no_file(
    label_studio: LabelStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    label_studio.files["/data/upload/1/0"] = redirect("/user/login/?next=/data/upload/1/0", 302)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", LEGACY)
    assert f"{label_studio.url} shows its login page to the legacy token" in refusal(0, LEGACY)


def test_a_token_is_shown_to_its_origin_only(
    label_studio: LabelStudio, storage: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", LEGACY)
    storage.files["/x"] = b"elsewhere"
    assert Path(get_local_path(f"{storage.url}/x")).read_bytes() == b"elsewhere"
    label_studio.files["/data/upload/1/0"] = redirect("/data/upload/1/1")
    label_studio.files["/data/upload/1/1"] = redirect(f"{storage.url}/x")
    assert fetch(0) == b"elsewhere"
    assert [header for _, header in label_studio.asked] == [f"Token {LEGACY}"] * 2
    storage.files["/data/minio"] = status(403)
    label_studio.files["/data/upload/1/4"] = redirect(f"{storage.url}/data/minio")
    assert refusal(4, LEGACY).endswith(
        "look at the storage in Label Studio's settings of the project"
    )
    # Back at Label Studio it stays away: the storage would choose what is read with it.
    storage.files["/back"] = redirect(f"{label_studio.url}/data/upload/1/3")
    label_studio.files["/data/upload/1/2"] = redirect(f"{storage.url}/back")
    assert f"where {label_studio.url} redirects, answered 401" in refusal(2, LEGACY)
    assert label_studio.asked[-1] == ("/data/upload/1/3", None)
    assert [header for _, header in storage.asked] == [None] * 4


def test_an_address_that_moved(
    label_studio: LabelStudio, storage: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", LEGACY)
    storage.files["/data/upload/1/0"] = status(401)
    label_studio.files["/data/upload/1/0"] = redirect(f"{storage.url}/data/upload/1/0", 301)
    message = refusal(0, LEGACY)
    assert f"{storage.url}, where {label_studio.url} redirects, answered 401" in message
    assert message.endswith(f"set LABEL_STUDIO_URL to the address at {storage.url}")


def test_netrc_and_cookies_are_left_out(
    label_studio: LabelStudio, storage: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password s3cr3t\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", LEGACY)

    def with_cookie(handler: Handler) -> None:
        handler.say(303, Location=f"{storage.url}/x", Set_Cookie="sessionid=s3cr3t; Path=/")

    label_studio.files["/data/upload/1/0"] = with_cookie
    storage.files["/x"] = b"elsewhere"
    assert fetch(0) == b"elsewhere"
    assert label_studio.asked[0][1] == f"Token {LEGACY}"
    assert not {"Cookie", "Authorization"} & storage.headers[0].keys()
    name_and_word = storage.url.replace("http://", "http://na%40me:word@")
    get_local_path(f"{name_and_word}/x")
    assert storage.asked[-1][1] == "Basic bmFAbWU6d29yZA=="


def test_a_refresh_that_does_not_answer(storage: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    token = personal()
    storage.stop()
    monkeypatch.setenv("LABEL_STUDIO_URL", storage.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", token)
    message = refusal(0, token)
    assert f"{storage.url} cannot be reached (Connection refused)" in message
    assert (
        "it is the address of LABEL_STUDIO_URL; set LABEL_STUDIO_URL to one that can be" in message
    )
