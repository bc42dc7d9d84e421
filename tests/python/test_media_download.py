"""Downloads: whole or not at all, however many ask, and however the other side behaves."""

from __future__ import annotations

import base64
import gzip
import hashlib
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from media_hosts import Handler, Host, redirect, slow, truncated, zipped

from label_studio_ml._media import download
from label_studio_ml.exceptions import MediaError
from label_studio_ml.model import get_local_path

pytestmark = pytest.mark.usefixtures("media_environment")
BODY = bytes(range(256)) * 4096  # 1 MiB


def refusal(url: str) -> str:
    with pytest.raises(MediaError) as caught:
        get_local_path(url)
    return str(caught.value)


def empty(folder: Path) -> bool:
    return not folder.exists() or not list(folder.iterdir())


def test_a_truncated_body_is_no_file(storage: Host, media_environment: Path) -> None:
    storage.files["/a"] = truncated(b"half")
    with pytest.raises(requests.ConnectionError, match="broke off"):
        get_local_path(f"{storage.url}/a")
    assert empty(media_environment)
    storage.files["/a"] = b"whole"
    assert Path(get_local_path(f"{storage.url}/a")).read_bytes() == b"whole"


def test_a_chunked_body_that_breaks_off(storage: Host, media_environment: Path) -> None:
    def answer(handler: Handler) -> None:
        handler.protocol_version = "HTTP/1.1"
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"4\r\nhalf\r\n8\r\nha")
        handler.close_connection = True

    storage.files["/a"] = answer
    assert "broke off" in refusal(f"{storage.url}/a")
    assert empty(media_environment)


def test_a_slow_body(storage: Host) -> None:
    storage.files["/a"] = slow(BODY)
    assert Path(get_local_path(f"{storage.url}/a")).read_bytes() == BODY


def test_a_host_that_says_nothing(storage: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    quiet = threading.Event()

    def answer(handler: Handler) -> None:
        quiet.wait(60)

    def stop_in_the_middle(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100")
        handler.end_headers()
        handler.wfile.write(b"a")
        quiet.wait(60)

    monkeypatch.setattr(download, "TIMEOUTS", (30.0, 1.5))
    storage.files["/a"], storage.files["/b"] = answer, stop_in_the_middle
    with pytest.raises(requests.Timeout, match="did not answer in time"):
        get_local_path(f"{storage.url}/a")
    assert "did not go on in time" in refusal(f"{storage.url}/b")
    quiet.set()


def test_a_packed_body_is_unpacked(storage: Host) -> None:
    storage.files["/a"] = zipped(BODY)
    assert Path(get_local_path(f"{storage.url}/a")).read_bytes() == BODY
    storage.files["/b"] = lambda handler: handler.say(200, b"no gzip", Content_Encoding="gzip")
    assert "cannot be unpacked" in refusal(f"{storage.url}/b")


@pytest.mark.parametrize("kind", ["announced", "unannounced", "packed"])
def test_a_body_may_not_be_too_large(
    storage: Host, media_environment: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    files = {"announced": BODY, "unannounced": slow(BODY, 4, 0), "packed": zipped(BODY)}
    storage.files["/a"] = files[kind]
    monkeypatch.setenv("LABEL_STUDIO_ML_MAX_MEDIA_MIB", "0.5")
    assert refusal(f"{storage.url}/a").endswith(
        "sends more than 0.5 MiB; set LABEL_STUDIO_ML_MAX_MEDIA_MIB to more MiB"
    )
    assert empty(media_environment)
    monkeypatch.setenv("LABEL_STUDIO_ML_MAX_MEDIA_MIB", "1")
    assert Path(get_local_path(f"{storage.url}/a")).read_bytes() == BODY
    monkeypatch.setenv("LABEL_STUDIO_ML_MAX_MEDIA_MIB", "much")
    assert refusal(f"{storage.url}/b").endswith(
        "LABEL_STUDIO_ML_MAX_MEDIA_MIB is 'much', which is not a number of MiB"
    )


def packed_twice(body: bytes) -> Callable[[Handler], None]:
    """Two files of gzip behind each other, which are one body."""
    half = len(body) // 2
    packed = gzip.compress(body[:half]) + gzip.compress(body[half:])
    return lambda handler: handler.say(200, packed, Content_Encoding="gzip")


@pytest.mark.parametrize(
    "sent",
    [lambda body: body, lambda body: slow(body, 4, 0), zipped, packed_twice],
    ids=["announced", "unannounced", "packed", "packed twice"],
)
def test_a_body_of_exactly_the_limit_and_one_of_a_byte_more(
    storage: Host,
    media_environment: Path,
    monkeypatch: pytest.MonkeyPatch,
    sent: Callable[[bytes], bytes | Callable[[Handler], None]],
) -> None:
    monkeypatch.setenv("LABEL_STUDIO_ML_MAX_MEDIA_MIB", "1")
    storage.files["/more"] = sent(BODY + b"x")
    assert "sends more than 1 MiB" in refusal(f"{storage.url}/more")
    assert empty(media_environment)
    storage.files["/a"] = sent(BODY)
    assert Path(get_local_path(f"{storage.url}/a")).read_bytes() == BODY


def test_data_of_exactly_the_limit_and_of_a_byte_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABEL_STUDIO_ML_MAX_MEDIA_MIB", "1")
    for write in (
        lambda body: f"data:;base64,{base64.b64encode(body).decode()}",
        lambda body: f"data:,{body.decode()}",
    ):
        text = b"x" * (1 << 20)
        assert Path(get_local_path(write(text))).read_bytes() == text
        assert "it is too large; set LABEL_STUDIO_ML_MAX_MEDIA_MIB to more MiB" in refusal(
            write(text + b"y")
        )


def test_redirects(storage: Host) -> None:
    storage.files["/a"] = redirect("b", 307)
    storage.files["/b"] = redirect(f"{storage.url}/c?d=e", 301)
    storage.files["/c?d=e"] = b"there"
    assert Path(get_local_path(f"{storage.url}/a")).read_bytes() == b"there"
    storage.files["/loop"] = redirect("/loop")
    assert "redirects more than 10 times" in refusal(f"{storage.url}/loop")
    storage.files["/file"] = redirect("file:///etc/passwd")
    assert "redirects to file:///etc/passwd, which is not an http address" in refusal(
        f"{storage.url}/file"
    )


def test_threads_share_a_download(storage: Host) -> None:
    storage.files["/a"] = slow(BODY)
    got: list[str] = []

    def ask() -> None:
        path = get_local_path(f"{storage.url}/a")
        got.append(hashlib.md5(Path(path).read_bytes()).hexdigest())

    threads = [threading.Thread(target=ask) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert got == [hashlib.md5(BODY).hexdigest()] * 32
    assert storage.paths() == ["/a"]


def test_processes_that_ask_at_once_get_whole_files(storage: Host, media_environment: Path) -> None:
    storage.files["/a"] = slow(BODY, 20)
    code = (
        "import hashlib, sys, threading\n"
        "from pathlib import Path\n"
        "from label_studio_ml.model import get_local_path\n"
        "sums = []\n"
        "def ask():\n"
        "    body = Path(get_local_path(sys.argv[1])).read_bytes()\n"
        "    sums.append(hashlib.md5(body).hexdigest())\n"
        "threads = [threading.Thread(target=ask) for _ in range(4)]\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        "[thread.start() for thread in threads]\n"
        "[thread.join() for thread in threads]\n"
        "print(*sums)\n"
    )
    command = [sys.executable, "-W", "error", "-c", code, f"{storage.url}/a"]
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(8)
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in started:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate(timeout=100)[0].split() for process in started]
    assert said == [[hashlib.md5(BODY).hexdigest()] * 4] * 8
    kept = [path.name for path in media_environment.iterdir() if not path.name.startswith(".")]
    assert [name.partition("__")[2] for name in kept] == ["a"]


def test_nothing_heavy_is_imported(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from label_studio_ml.model import LabelStudioMLBase, get_local_path\n"
        "get_local_path('data:,x', cache_dir=sys.argv[1])\n"
        "print(sorted({'requests', 'flask', 'label_studio_sdk', 'label_studio_tools'} & {*sys.modules}))"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"
