"""Passwords, tokens and signatures are in no message, no log line and no answer."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from hosting import Server
from media_hosts import Host, LabelStudio, jwt, personal, redirect, status, truncated

from label_studio_ml._media.label_studio_address import Connection, connected
from label_studio_ml._media.references import shown
from label_studio_ml.exceptions import MediaError
from label_studio_ml.model import get_local_path

PASSWORD = "pa55w0rd"
SIGNATURE = "s1gn4tur3"
LEGACY = "1e9acy70ken"
#: A shell of the log's own words stays; these never appear.
SECRETS = (PASSWORD, SIGNATURE, LEGACY, "Authorization", "Basic dXNlc")


def clean(text: str, *more: str) -> str:
    for secret in (*SECRETS, *more):
        assert secret not in text, secret
    return text


def prepare(label_studio: LabelStudio, storage: Host) -> list[str]:
    """Return values that name files which cannot be had, each with a secret in it."""
    signed = f"X-Amz-Signature={SIGNATURE}&X-Amz-Credential={SIGNATURE}"
    label_studio.legacy.add(LEGACY)
    label_studio.files |= {
        "/data/upload/1/gone": status(404),
        "/data/upload/1/forbidden": status(403),
        "/data/upload/1/stored": redirect(f"{storage.url}/refused?{signed}"),
        "/data/upload/1/loop": redirect(f"{storage.url}/loop?{signed}"),
        "/data/upload/1/ftp": redirect(f"ftp://user:{PASSWORD}@host/a?{signed}"),
        "/data/upload/1/inside": redirect(f"http://user:{PASSWORD}@169.254.169.254/a?{signed}"),
        "/data/upload/1/odd": redirect(f"http://user:{PASSWORD}@a\\@b/a?{signed}"),
        f"/data/x?token={SIGNATURE}": status(500),
    }
    storage.files |= {
        f"/refused?{signed}": status(403),
        f"/loop?{signed}": redirect(f"/loop?{signed}"),
        f"/broken?{signed}": truncated(b"half"),
    }
    with_password = storage.url.replace("http://", f"http://user:{PASSWORD}@")
    closed = Host()
    closed.stop()
    return [
        *(f"/data/upload/1/{name}" for name in ("gone", "forbidden", "stored", "loop", "ftp")),
        *(f"/data/upload/1/{name}" for name in ("inside", "odd")),
        f"/data/x?token={SIGNATURE}",
        f"{label_studio.url}/data/x?token={SIGNATURE}",
        f"{with_password}/gone?{signed}",
        f"{with_password}/loop?{signed}",
        f"{storage.url}/broken?{signed}",
        f"{closed.url.replace('http://', f'http://user:{PASSWORD}@')}/a?{signed}",
        f"http://user:{PASSWORD}@169.254.169.254/a?{signed}#{SIGNATURE}",
        f"http://user:{PASSWORD}/x@host.invalid/a?{signed}",
        f"http://user:{PASSWORD}#x@host.invalid/a",
        f"http://user:{PASSWORD}@host.invalid/a#{SIGNATURE}",
        f"https://user:{PASSWORD}@127.0.0.1:{storage.port}/a?{signed}",
        f"s3://key:{PASSWORD}@bucket/a?{signed}",
        f"ftp://user:{PASSWORD}@host/a;{SIGNATURE[:0]}?{signed}",
        f"upload/1/a?sig={SIGNATURE}",
        f"data:text/plain;base64,{SIGNATURE}=?",
    ]


def test_messages_and_logs(
    label_studio: LabelStudio, storage: Host, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    values = prepare(label_studio, storage)
    with connected(Connection(label_studio.url, LEGACY)):
        for value in values:
            with pytest.raises(MediaError) as caught:
                get_local_path(value)
            error = caught.value
            clean(f"{error} {error!r} {vars(error)} {error.args}")
            assert error.__suppress_context__ or error.__context__ is None
    clean("\n".join(logging.Formatter().format(record) for record in caplog.records))
    # The lines that would tell are there.
    assert "/refused?…" in caplog.text
    assert "Starting new HTTP connection" in caplog.text


def test_messages_and_logs_where_personal_tokens_fail(
    label_studio: LabelStudio,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    refused, access = personal("refused"), jwt(token_type="access", jti="other")
    monkeypatch.setenv("LABEL_STUDIO_URL", label_studio.url.replace("//", f"//user:{PASSWORD}@"))
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", refused)
    monkeypatch.setenv("LABEL_STUDIO_ACCESS_TOKEN", access)
    for given in ({}, {"access_token": LEGACY}, {"hostname": f"ftp://user:{PASSWORD}@host"}):
        with pytest.raises(MediaError) as caught:
            get_local_path("/data/upload/1/a", **given)  # type: ignore[arg-type]
        clean(f"{caught.value} {caught.value!r}", refused, access)
    clean(caplog.text, refused, access)


def test_what_is_served(
    label_studio: LabelStudio, storage: Host, serve: Callable[..., Server], tmp_path: Path
) -> None:
    source = """
        from label_studio_ml.model import LabelStudioMLBase

        class Reader(LabelStudioMLBase):
            def predict(self, tasks, context=None, **kwargs):
                return [{"result": [self.get_local_path(task["data"]["x"])]} for task in tasks]
    """
    env = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "LOG_LEVEL": "DEBUG"}
    server = serve(source, "--allow-hosts", "*,127.0.0.1", env=env)
    server.setup(hostname=label_studio.url, access_token=LEGACY)
    for value in prepare(label_studio, storage):
        answer = server.predict([{"id": 1, "data": {"x": value}}])
        assert answer.status_code == 500
        clean(answer.text)
        assert "cannot fetch" in answer.text
    clean(server.log())
    server.wait_logged("cannot fetch")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("https://user:word@host/a.png?b=c", "https://host/a.png?…"),
        ("https://user:wo/rd@host/a.png", "https://…"),
        ("https://user:wo?rd@host/a.png", "https://…"),
        ("https://[::1]:80/a#b", "https://[::1]:80/a?…"),
        ("s3://key:word@bucket/a b.png", "s3://bucket/a b.png"),
        ("/data/local-files/?d=a b/c.png", "/data/local-files/?d=a b/c.png"),
        ("/data/x?d=a&sig=b", "/data/x?…"),
        ("upload/1/a?sig=b", "upload/1/a?…"),
        ("Is it so? a=b", "Is it so? a=b"),
        ("see http://host/a?b=c", "see http://host/a?b=c"),
        ("data:text/plain,secret", "data:text/plain,…"),
    ],
)
def test_what_is_shown_of_a_value(value: str, said: str) -> None:
    assert shown(value) == said
