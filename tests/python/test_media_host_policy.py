"""Which hosts are asked for files: judged by the address that is really connected to, at every hop."""

from __future__ import annotations

import ipaddress
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hosting import ROOT as REPOSITORY
from hosting import Server as Started
from hosting import make_project, run
from media_hosts import LEGACY, Host, LabelStudio, redirect

from label_studio_ml._media import host_policy
from label_studio_ml._media.host_policy import Denied, Gate
from label_studio_ml._media.label_studio_address import Connection, Server, connected
from label_studio_ml.exceptions import MediaError
from label_studio_ml.model import get_local_path

ALLOW = "LABEL_STUDIO_ML_ALLOW_HOSTS"
HERE = "an address of this machine, where Label Studio is not"
METADATA = "a link-local address or one of cloud metadata"
TLS = REPOSITORY / "tests" / "fixtures" / "tls"


@pytest.fixture
def local(media_environment: Path) -> Iterator[Host]:
    """A host of this machine that is not Label Studio."""
    host = Host()
    host.files["/a"] = b"secret"
    yield host
    host.stop()


def refusal(url: str) -> str:
    with pytest.raises(MediaError) as caught:
        get_local_path(url)
    return str(caught.value)


def judged(host: str, allow: str | None = None, server: Server | None = None) -> str:
    """Return why a host is not asked, nothing if it is; nobody is connected to."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ALLOW, allow or "")
        try:
            assert Gate(server).addresses("http", host, 80)
        except Denied as denied:
            return denied.clause
    return ""


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.8.8.8", "localhost", "LOCALHOST.", "0.0.0.0", "0", "127.1"),
        *("2130706433", "0x7f.1", "0x7f000001", "0177.0.0.1", "017700000001", "%31%32%37.0.0.1"),
        *("[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]"),
        *("[64:ff9b::7f00:1]", "[2002:7f00:1::]", "①②⑦.⓪.⓪.①", "user:word@127.0.0.1"),
    ],
)
def test_this_machine_is_not_asked(local: Host, host: str) -> None:
    message = refusal(f"http://{host}:{local.port}/a")
    assert local.asked == []
    # What some systems take for a name that nobody knows does no harm either.
    assert HERE in message or "cannot be" in message, message
    if host[0].isdecimal() or host.startswith(("[", "localhost")):
        assert HERE in message
        assert f"add it to --allow-hosts ({ALLOW}), if files lie there" in message
    assert "word" not in message


@pytest.mark.parametrize(
    "host",
    [
        *("169.254.169.254", "169.254.170.2", "2852039166", "0xa9fea9fe", "100.100.100.200"),
        *("168.63.129.16", "192.0.0.192", "fe80::1", "fd00:ec2::254", "::ffff:169.254.169.254"),
        *("64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::", "fd20:ce::254", "fe80::1%lo"),
    ],
)
def test_metadata_is_never_asked_by_accident(host: str) -> None:
    lists = [None, "*", "0.0.0.0/0,::/0", "10.0.0.0/8", "example.com"]
    for allow in lists:
        assert judged(host, allow), allow
    assert METADATA in judged(host)
    # An address that stands in the list itself is no accident.
    plain = host if ":" in host else socket.inet_ntoa(socket.inet_aton(host))
    if not plain.startswith(("64:", "2002:", "::ffff")) and "%" not in plain:
        assert judged(host, plain) == ""
        assert judged(host, f"*,{ipaddress.ip_network(plain)}") == ""


def test_private_networks_are_asked() -> None:
    for host in ("10.1.2.3", "192.168.1.5", "172.17.0.1", "100.64.0.1", "fd12::1", "93.184.215.14"):
        assert judged(host) == ""


@pytest.mark.parametrize(
    ("allow", "host", "asked"),
    [
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3", "10.1.2.4", False),
        ("10.1.0.0/16", "10.1.2.4", True),
        ("10.1.2.4/16", "10.1.9.9", True),
        ("10.1.0.0/16", "::ffff:10.1.2.4", True),
        ("fd12::/16", "fd12::7", True),
        ("[fd12::7]", "fd12::7", True),
        ("10.1.2.3:80", "10.1.2.3", True),
        ("10.1.2.3:81", "10.1.2.3", False),
        ("[fd12::7]:81", "fd12::7", False),
        (" localhost , 10.0.0.0/8 ", "localhost", True),
        ("LocalHost.", "localhost", True),
        ("localhost", "127.0.0.1", False),
        ("localhost:81", "localhost", False),
        ("*.localhost", "localhost", False),
        ("*", "localhost", False),
        ("*,localhost", "localhost", True),
        ("*,127.0.0.1", "localhost", True),
        ("*", "10.1.2.3", True),
        ("0.0.0.0/0", "127.0.0.1", True),
    ],
)
def test_a_list_of_hosts(allow: str, host: str, asked: bool) -> None:
    assert (judged(host, allow) == "") is asked
    if not asked and "*" not in allow and not host.startswith(("127", "localhost")):
        assert judged(host, allow).endswith(f"is not one of the hosts of --allow-hosts ({ALLOW})")


def test_names_of_a_list(names: dict[str, list[list[str]]]) -> None:
    for name in (
        "FILES.example.com",
        "files.example.com",
        "a.files.example.com",
        "example.com",
        "badexample.com",
    ):
        names[name] = [["93.184.215.14"]]
    assert judged("files.example.com", "*.example.com") == ""
    assert judged("FILES.example.com", "*.Example.com") == ""
    assert judged("a.files.example.com", "*.example.com") == ""
    assert judged("example.com", "*.example.com")
    assert judged("badexample.com", "*.example.com,example.com")
    assert judged("example.com", "93.184.215.0/24") == ""
    names["inside.example.com"] = [["169.254.169.254"]]
    assert METADATA in judged("inside.example.com", "*.example.com,inside.example.com")
    names["here.example.com"] = [["127.0.0.1"]]
    assert HERE in judged("here.example.com", "*.example.com")
    assert judged("here.example.com", "here.example.com") == ""


@pytest.mark.parametrize(
    "text", ["http://a", "a/b", "10.0.0.0/99", "a b", "a:port", "a:0", "10.1", "*.*", "[::1", "-*"]
)
def test_a_list_that_cannot_be_read(
    text: str, local: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ALLOW, f"localhost,{text}")
    with pytest.raises(ValueError, match="which is not a name"):
        host_policy.check()
    assert f"--allow-hosts ({ALLOW}) has" in refusal(f"{local.url}/a")
    assert local.asked == []


def test_label_studio_may_be_on_this_machine(
    label_studio: LabelStudio, local: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    label_studio.files["/data/upload/1/a"] = label_studio.files["/data/upload/1/b"] = b"file"
    with connected(Connection(label_studio.url, LEGACY)):
        get_local_path("/data/upload/1/a")
        # Its host is not enough: other services have other ports.
        assert HERE in refusal(f"{local.url}/a")
        assert HERE in refusal(f"https://127.0.0.1:{label_studio.port}/data/upload/1/a")
    monkeypatch.setenv(ALLOW, "example.com")
    monkeypatch.setenv("LABEL_STUDIO_URL", label_studio.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", LEGACY)
    get_local_path("/data/upload/1/b")
    assert f"not one of the hosts of --allow-hosts ({ALLOW})" in refusal("http://10.1.2.3/a")


def test_setup_does_not_lead_to_metadata() -> None:
    address = "http://169.254.169.254"
    assert METADATA in judged("169.254.169.254", None, Server(address, "/setup", ()))
    assert judged("169.254.169.254", None, Server(address, "LABEL_STUDIO_URL", ())) == ""
    assert judged("127.0.0.1", None, Server("http://127.0.0.1", "/setup", ())) == ""


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/latest/meta-data/iam/",
        "http://metadata.google.internal/",
        "http://[fd00:ec2::254]/",
        "http://2852039166/",
    ],
)
def test_a_redirect_to_metadata(
    storage: Host,
    media_environment: Path,
    names: dict[str, list[list[str]]],
    target: str,
) -> None:
    names["metadata.google.internal"] = [["93.184.215.14"]]
    storage.files["/a"] = redirect(target)
    assert METADATA in refusal(f"{storage.url}/a")
    assert list(media_environment.iterdir()) == []


def test_a_redirect_of_label_studio_is_judged_too(label_studio: LabelStudio, local: Host) -> None:
    label_studio.files["/data/upload/1/a"] = redirect(f"{local.url}/a")
    label_studio.files["/data/upload/1/b"] = redirect(f"{label_studio.url}/data/upload/1/c")
    label_studio.files["/data/upload/1/c"] = redirect("gopher://127.0.0.1:70/x")
    with connected(Connection(label_studio.url, LEGACY)):
        assert HERE in refusal("/data/upload/1/a")
        assert "which is not an http address" in refusal("/data/upload/1/b")
    assert local.asked == []


def test_a_name_that_changes_its_address(
    storage: Host, names: dict[str, list[list[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first answer is harmless, the next one is not: as an attacker's name server does it."""
    monkeypatch.setenv(ALLOW, "127.0.0.1")
    names["rebind.test"] = [["127.0.0.1"], ["127.0.0.2"]]
    storage.files["/a"] = b"harmless"
    with socket.create_server(("127.0.0.2", storage.port)) as inside:
        inside.setblocking(False)
        path = get_local_path(f"http://rebind.test:{storage.port}/a")
        assert Path(path).read_bytes() == b"harmless"
        assert names["rebind.test"] == [["127.0.0.2"]]  # it was looked up once
        # The same name again, and after a redirect.
        assert "is 127.0.0.2" in refusal(f"http://rebind.test:{storage.port}/b")
        names["rebind.test"] = [["127.0.0.1"], ["127.0.0.2"]]
        storage.files["/c"] = redirect("/d")
        storage.files["/d"] = b"never"
        assert "is 127.0.0.2" in refusal(f"http://rebind.test:{storage.port}/c")
        with pytest.raises(BlockingIOError):
            inside.accept()
    assert storage.paths() == ["/a", "/c"]
    # Of several addresses only those are connected to that may be.
    names["both.test"] = [["127.0.0.2", "127.0.0.1"]]
    storage.files["/e"] = b"harmless"
    get_local_path(f"http://both.test:{storage.port}/e")


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:{0}\\@example.com/a", "http://example.com\\@127.0.0.1:{0}/a"]
)
def test_an_address_that_two_programs_read_differently(
    label_studio: LabelStudio, local: Host, address: str
) -> None:
    refusal(address.format(local.port))
    assert local.asked == []
    label_studio.files["/data/upload/1/a"] = redirect(address.format(label_studio.port))
    with connected(Connection(label_studio.url, LEGACY)):
        assert "is an address that cannot be read" in refusal("/data/upload/1/a")


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/api/users",
            "/data/../api/users",
            "/data/%2e%2e/api/users",
            "/data/%252e%252e/api/users",
        ),
        *("/data/..%2fapi/users", "/data/..%5capi/users", "/tasks/7/presign/../../../api/users"),
        *("/admin/", "//data/upload/1/a", "/user/account"),
    ],
)
def test_the_token_does_not_open_other_paths_of_label_studio(
    label_studio: LabelStudio, path: str
) -> None:
    label_studio.files["/data/upload/1/a"] = redirect(path)
    with connected(Connection(label_studio.url, LEGACY)):
        for value in (path, label_studio.url + path):
            refusal(value)
        assert {header for _, header in label_studio.asked} <= {None}
        label_studio.asked.clear()
        refusal("/data/upload/1/a")
    assert label_studio.asked[0] == ("/data/upload/1/a", f"Token {LEGACY}")
    assert {header for _, header in label_studio.asked[1:-1]} <= {None}


@pytest.fixture
def proxy(media_environment: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """A proxy that the environment names, on this machine, with two sites behind it."""
    host = Host()
    host.prefix = "http:"
    host.files = {"//files.invalid/a": b"behind", "//here.invalid/b": redirect("http://127.1/")}
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{host.port}")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{host.port}")
    yield host
    host.stop()


def test_a_proxy_is_asked_for_allowed_hosts_only(
    proxy: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The proxy itself is the user's choice, and names may be known to it alone.
    assert Path(get_local_path("http://files.invalid/a")).read_bytes() == b"behind"
    assert HERE in refusal("http://here.invalid/b")
    for host in ("127.0.0.1", "localhost", "0x7f.1"):
        assert HERE in refusal(f"http://{host}/a")
    for host in ("169.254.169.254", "metadata.google.internal"):
        assert METADATA in refusal(f"http://{host}/a")
    monkeypatch.setenv(ALLOW, "*.example.com")
    assert "not one of the hosts" in refusal("http://other.invalid/a")
    assert proxy.paths() == ["http://files.invalid/a", "http://here.invalid/b"]


@pytest.mark.usefixtures("media_environment")
def test_a_name_is_verified_by_its_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    import ssl

    host = Host()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "localhost.pem")
    host._server.socket = context.wrap_socket(host._server.socket, server_side=True)
    host.files["/a"] = b"over TLS"
    monkeypatch.setenv(ALLOW, "localhost,127.0.0.1")
    try:
        assert "is not trusted" in refusal(f"https://localhost:{host.port}/a")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(TLS / "authority.pem"))
        path = get_local_path(f"https://localhost:{host.port}/a")
        assert Path(path).read_bytes() == b"over TLS"
    finally:
        host.stop()


MODEL = """
    from label_studio_ml.model import LabelStudioMLBase

    class Reader(LabelStudioMLBase):
        def predict(self, tasks, context=None, **kwargs):
            paths = [self.get_local_path(task["data"]["text"]) for task in tasks]
            return [{"result": [open(path).read()]} for path in paths]
"""


def test_the_option_reaches_workers(
    local: Host, serve: Callable[..., Started], tmp_path: Path
) -> None:
    tasks = [{"id": 1, "data": {"text": f"{local.url}/a"}}]
    project = make_project(tmp_path, MODEL)
    env = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    server = serve(project, env=env)
    server.setup()
    answer = server.predict(tasks)
    assert answer.status_code == 500
    assert HERE in answer.text
    assert local.asked == []
    server = serve(project, "--allow-hosts", "example.com,127.0.0.1", env=env)
    server.setup()
    assert server.first(tasks=tasks)["result"] == ["secret"]


def test_a_mistake_in_the_option_is_told_at_the_start(tmp_path: Path) -> None:
    project = make_project(tmp_path, MODEL)
    done = run(
        "start", project, "--check", "--port", "0", "--allow-hosts", "http://a", cwd=tmp_path
    )
    assert done.returncode != 0
    assert (
        f"--allow-hosts ({ALLOW}) has 'http://a', which is not a name" in done.stdout + done.stderr
    )


def test_threads_and_children_have_the_gate_too(local: Host) -> None:
    said: list[str] = []
    thread = threading.Thread(target=lambda: said.append(refusal(f"{local.url}/a")))
    thread.start()
    thread.join(30)
    assert HERE in said[0]
    code = (
        "import sys; from label_studio_ml.model import get_local_path; get_local_path(sys.argv[1])"
    )
    command = [sys.executable, "-c", code, f"{local.url}/a"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert HERE in done.stderr
    assert local.asked == []
