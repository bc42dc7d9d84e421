"""What a hostile host can do: send for ever, slowly, or more than was packed. Each ends, and leaves
nothing behind.
"""

from __future__ import annotations

import gzip
import socket
import ssl
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from hosting import ROOT as REPOSITORY
from media_hosts import LEGACY, Handler, Host, LabelStudio, personal, redirect

from label_studio_ml._media import limits
from label_studio_ml._media.label_studio_address import Connection, connected
from label_studio_ml.exceptions import MediaError
from label_studio_ml.model import get_local_path

TLS = REPOSITORY / "tests" / "fixtures" / "tls"
#: Seconds within which what hangs would not have ended.
SOON = 30
PAUSE = 0.05


@pytest.fixture(autouse=True)
def bounds(media_environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(limits.MAX_VARIABLE, "1")


@pytest.fixture
def hurried(bounds: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file may take a second."""
    monkeypatch.setenv(limits.TIME_VARIABLE, "1")


def refusal(url: str, kind: type[Exception] = MediaError) -> str:
    begun = time.monotonic()
    with pytest.raises(kind) as caught:
        get_local_path(url)
    assert time.monotonic() - begun < SOON
    return str(caught.value)


def left(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()] if folder.exists() else []


def endless(head: bytes, piece: bytes, pause: float = 0) -> Callable[[Handler], None]:
    """Send something and then the same piece again and again, until the other side hangs up."""

    def answer(handler: Handler) -> None:
        handler.close_connection = True
        try:
            handler.wfile.write(head)
            while True:
                handler.wfile.write(piece)
                time.sleep(pause)
        except OSError:
            pass

    return answer


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
MUCH = b"x" * (1 << 16)


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (OK + b"\r\n", MUCH),
        (CHUNKED, b"10000\r\n" + MUCH + b"\r\n"),
        (CHUNKED + b"ffffffffffff\r\n", MUCH),
        (OK + b"Content-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n", b"3\r\nabc\r\n" * 9999),
    ],
)
def test_an_endless_body(
    storage: Host,
    media_environment: Path,
    head: bytes,
    piece: bytes,
) -> None:
    storage.files["/a"] = endless(head, piece)
    assert refusal(f"{storage.url}/a").endswith(
        f"sends more than 1 MiB; set {limits.MAX_VARIABLE} to more MiB"
    )
    assert left(media_environment) == []


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize(
    ("head", "piece"),
    [
        pytest.param(OK + b"\r\n", b"x", id="body"),
        pytest.param(OK + b"Content-Length: 9999\r\n\r\n", b"x", id="announced body"),
        pytest.param(CHUNKED, b"1\r\nx\r\n", id="chunks"),
        pytest.param(CHUNKED + b"1\r\nx\r\n0\r\n", b"X-Trailer: x\r\n", id="trailers"),
        pytest.param(CHUNKED, b"0", id="size of a chunk"),
        pytest.param(b"HTTP/1.1 200 ", b"x", id="status line"),
        pytest.param(OK + b"X-Header: ", b"x", id="header"),
        pytest.param(b"", b"HTTP/1.1 100 Continue\r\n\r\n", id="continue"),
        pytest.param(
            OK + b"Content-Encoding: gzip\r\n\r\n", gzip.compress(b""), id="empty members"
        ),
    ],
)
def test_a_body_that_drips(
    storage: Host, media_environment: Path, head: bytes, piece: bytes
) -> None:
    storage.files["/a"] = endless(head, piece, PAUSE)
    assert refusal(f"{storage.url}/a", requests.Timeout).endswith(
        f"{storage.url} takes more than 1 s; set {limits.TIME_VARIABLE} to more seconds"
    )
    assert left(media_environment) == []


@pytest.mark.usefixtures("hurried")
def test_redirects_that_drip(storage: Host) -> None:
    def slowly(to: str) -> Callable[[Handler], None]:
        def answer(handler: Handler) -> None:
            time.sleep(0.4)
            redirect(to)(handler)

        return answer

    for number in range(9):
        storage.files[f"/{number}"] = slowly(f"/{number + 1}")
    storage.files["/9"] = b"there"
    assert "takes more than 1 s" in refusal(f"{storage.url}/0")
    assert "/9" not in storage.paths()


def test_a_redirect_loop(storage: Host, label_studio: LabelStudio) -> None:
    storage.files |= {"/a": redirect("/b"), "/b": redirect("/a")}
    assert "redirects more than 10 times" in refusal(f"{storage.url}/a")
    label_studio.files["/data/upload/1/a"] = redirect(f"{storage.url}/back")
    storage.files["/back"] = redirect(f"{label_studio.url}/data/upload/1/a")
    with connected(Connection(label_studio.url, LEGACY)):
        assert "redirects" in refusal("/data/upload/1/a")


@pytest.fixture
def encrypted() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("shake", [False, True])
def test_tls_that_drips(
    encrypted: socket.socket,
    media_environment: Path,
    monkeypatch: pytest.MonkeyPatch,
    shake: bool,
) -> None:
    port = encrypted.getsockname()[1]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "localhost.pem")

    def serve() -> None:
        connection, _ = encrypted.accept()
        with connection:
            try:
                if shake:
                    connection = context.wrap_socket(connection, server_side=True)
                    connection.sendall(OK + b"\r\n")
                    piece = b"x"
                else:
                    connection.sendall(b"\x16\x03\x03\x40\x00")  # a long record of the handshake
                    piece = b"\x02"
                while True:
                    connection.sendall(piece)
                    time.sleep(PAUSE)
            except OSError:
                connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    monkeypatch.setenv("LABEL_STUDIO_ML_ALLOW_HOSTS", "localhost")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(TLS / "authority.pem"))
    assert "takes more than 1 s" in refusal(f"https://localhost:{port}/a")
    thread.join(SOON)
    assert not thread.is_alive()
    assert left(media_environment) == []


@pytest.mark.usefixtures("hurried")
def test_the_time_can_be_unlimited(storage: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(handler: Handler) -> None:
        time.sleep(1.5)
        handler.say(200, b"late")

    storage.files["/a"] = answer
    refusal(f"{storage.url}/a")
    monkeypatch.setenv(limits.TIME_VARIABLE, "0")
    assert Path(get_local_path(f"{storage.url}/a")).read_bytes() == b"late"
    monkeypatch.setenv(limits.TIME_VARIABLE, "soon")
    assert refusal(f"{storage.url}/b").endswith(
        f"{limits.TIME_VARIABLE} is 'soon', which is not a number of seconds"
    )


def bomb(packing: str) -> bytes:
    """256 MiB of nothing, in 256 KiB."""
    zeros = bytes(1 << 20)
    wbits = {"gzip": 31, "deflate": 15, "raw": -15}[packing]
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    return b"".join(packer.compress(zeros) for _ in range(256)) + packer.flush()


@pytest.mark.parametrize("packing", ["gzip", "deflate", "raw"])
def test_a_bomb(storage: Host, media_environment: Path, packing: str) -> None:
    body, name = bomb(packing), packing.replace("raw", "deflate")
    storage.files["/a"] = lambda handler: handler.say(200, body, Content_Encoding=name)
    tracemalloc.start()
    try:
        assert "sends more than 1 MiB" in refusal(f"{storage.url}/a")
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
    assert left(media_environment) == []


def test_packed_bodies(storage: Host, media_environment: Path) -> None:
    text = b"a text, " * 9999

    def packed(name: str, body: bytes) -> Callable[[Handler], None]:
        return lambda handler: handler.say(200, body, Content_Encoding=name)

    raw = zlib.compressobj(9, zlib.DEFLATED, -15)
    good = {
        "gzip": gzip.compress(text),
        "x-gzip": gzip.compress(text[:100]) + gzip.compress(text[100:]),
        "GZIP ": gzip.compress(text) + bytes(512),
        "deflate": zlib.compress(text),
        "identity, deflate": raw.compress(text) + raw.flush(),
        "identity": text,
    }
    for number, (name, body) in enumerate(good.items()):
        storage.files[f"/{number}"] = packed(name, body)
        assert Path(get_local_path(f"{storage.url}/{number}")).read_bytes() == text, name
    bad = {
        "gzip": (gzip.compress(text)[:-20], "breaks off"),
        "deflate": (b"\x78\x9c" + b"\xff" * 99, "cannot be unpacked"),
        "br": (b"whatever", "is packed as 'br'"),
        "gzip, gzip": (gzip.compress(gzip.compress(text)), "is packed as 'gzip, gzip'"),
    }
    for name, (body, said) in bad.items():
        storage.files["/bad"] = packed(name, body)
        assert f"what {storage.url} sent {said}" in refusal(f"{storage.url}/bad")
    assert storage.headers[0]["Accept-Encoding"] == "gzip, deflate"
    assert len([name for name in left(media_environment) if "__" in name]) == len(good)


def test_an_endless_answer_to_a_token(
    label_studio: LabelStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABEL_STUDIO_URL", label_studio.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", personal())

    def trade(handler: Handler, path: str, body: dict[str, str]) -> None:
        endless(OK + b"\r\n", MUCH)(handler)

    monkeypatch.setattr(label_studio, "trade", trade)
    assert "answered without an access token" in refusal("/data/upload/1/a")


@pytest.mark.parametrize(
    ("variable", "unit", "texts"),
    [
        (limits.MAX_VARIABLE, "MiB", ("many", "0", "-1", "inf", "nan")),
        (limits.CACHE_VARIABLE, "MiB", ("many", "-1", "inf", "nan")),
        (limits.TIME_VARIABLE, "seconds", ("many", "-1", "inf", "nan")),
    ],
)
def test_limits_must_be_numbers(
    storage: Host,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    unit: str,
    texts: tuple[str, ...],
) -> None:
    for text in texts:
        monkeypatch.setenv(variable, text)
        said = f"{variable} is '{text}', which is not a number of {unit}"
        assert refusal(f"{storage.url}/a").endswith(said)
    assert storage.asked == []


def test_what_holds_where_nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("", " "):
        for variable in (limits.MAX_VARIABLE, limits.CACHE_VARIABLE, limits.TIME_VARIABLE):
            monkeypatch.setenv(variable, value)
        assert limits.max_bytes() == 2 << 30
        assert limits.cache_bytes() == 10 << 30
        assert limits.seconds() == 300


def test_limits_are_numbers_of_what_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(limits.MAX_VARIABLE, " 0.5 ")
    assert limits.max_bytes() == 1 << 19
    monkeypatch.setenv(limits.CACHE_VARIABLE, "3")
    assert limits.cache_bytes() == 3 << 20
    monkeypatch.setenv(limits.TIME_VARIABLE, "0.25")
    assert limits.seconds() == 0.25
    # No limit, of what may be without one.
    monkeypatch.setenv(limits.CACHE_VARIABLE, "0")
    monkeypatch.setenv(limits.TIME_VARIABLE, "0.0")
    assert limits.cache_bytes() == limits.seconds() == float("inf")


@pytest.mark.usefixtures("hurried")
def test_who_waits_for_a_download_ends_with_it(storage: Host, media_environment: Path) -> None:
    storage.files["/a"] = endless(OK + b"\r\n", b"x", PAUSE)
    said: list[str] = []
    threads = [
        threading.Thread(target=lambda: said.append(refusal(f"{storage.url}/a"))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON)
    assert len(said) == 8
    assert len(set(said)) == 1
    assert storage.paths() == ["/a"]
    assert left(media_environment) == []
