"""Names with several addresses, addresses that hide another one, and connections to what is left."""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from media_hosts import LEGACY, Host, personal
from test_media_host_policy import ALLOW, HERE, METADATA, judged, refusal

from label_studio_ml._media import transport
from label_studio_ml._media.host_policy import Denied, Gate
from label_studio_ml._media.label_studio_address import Connection, Server, connected
from label_studio_ml.model import get_local_path

pytestmark = pytest.mark.usefixtures("media_environment")

Names = dict[str, list[list[str]]]
PUBLIC, PRIVATE = "93.184.215.14", "10.1.2.3"
#: What must not be asked: this machine and metadata, in each form that leads there.
LOOPBACK, LINK_LOCAL = "127.0.0.1", "169.254.169.254"


def hidden(address: str) -> dict[str, str]:
    """Return the forms of IPv6 that lead to an address of IPv4."""
    number = int(ipaddress.IPv4Address(address))

    def of(bits: int) -> str:
        return str(ipaddress.IPv6Address(bits))

    return {
        "mapped": of(0xFFFF << 32 | number),
        "compatible": of(number),
        "6to4": of(0x2002 << 112 | number << 80),
        "6to4 of a host behind": of(0x2002 << 112 | number << 80 | 0x1234 << 64 | 5),
        "Teredo": of(0x2001 << 112 | 0x41D0_0001 << 64 | number ^ 0xFFFF_FFFF),
        "Teredo of any port": of(0x2001 << 112 | 0x8000_63BF << 32 | number ^ 0xFFFF_FFFF),
        "NAT64": of(0x0064_FF9B << 96 | number),
    }


@pytest.mark.parametrize("form", hidden(LOOPBACK))
def test_an_address_of_this_machine_in_another_form(form: str) -> None:
    assert HERE in judged(hidden(LOOPBACK)[form])
    assert HERE in judged(hidden("127.8.8.8")[form], "*")


@pytest.mark.parametrize("form", hidden(LINK_LOCAL))
@pytest.mark.parametrize("address", [LINK_LOCAL, "100.100.100.200", "168.63.129.16", "192.0.0.192"])
def test_metadata_in_another_form(form: str, address: str) -> None:
    for allow in (None, "*", "::/0", "0.0.0.0/0", "2000::/3"):
        assert METADATA in judged(hidden(address)[form], allow), allow


@pytest.mark.parametrize("form", hidden(PUBLIC))
def test_an_address_elsewhere_may_have_any_form(form: str) -> None:
    for address in (PUBLIC, PRIVATE):
        assert judged(hidden(address)[form]) == ""


@pytest.mark.parametrize(
    ("address", "said"),
    [
        *(("127.255.255.255", HERE), ("126.255.255.255", ""), ("128.0.0.0", "")),
        *(("0.255.255.255", HERE), ("1.0.0.0", ""), ("::2", HERE)),  # 0.0.0.2
        *(("169.254.0.0", METADATA), ("169.254.255.255", METADATA)),
        *(("169.253.255.255", ""), ("169.255.0.0", "")),
        *(("fe80::", METADATA), ("febf:ffff::1", METADATA), ("fe7f::1", ""), ("fec0::1", "")),
        *(("fd00:ec2:ffff::1", METADATA), ("fd00:ec3::1", ""), ("fd00:ec1::1", "")),
        *(("fd20:ce::253", ""), ("fd20:ce::255", "")),
        *(("100.100.100.199", ""), ("100.100.100.201", "")),
        *(("168.63.129.15", ""), ("168.63.129.17", ""), ("192.0.0.191", ""), ("192.0.0.193", "")),
    ],
)
def test_the_edges_of_what_is_not_asked(address: str, said: str) -> None:
    assert (said in judged(address)) if said else (judged(address) == "")


@pytest.mark.parametrize(
    "name", ["metadata", "METADATA.Google.Internal.", "metadata.goog", "instance-data"]
)
def test_names_of_metadata_are_not_asked_whatever_their_address(names: Names, name: str) -> None:
    names[name] = [[PUBLIC]]
    for allow in (None, "*", name):
        assert METADATA in judged(name, allow), allow


GOOD_AND_BAD = [
    ([PUBLIC, LOOPBACK], [PUBLIC]),
    ([LOOPBACK, PUBLIC], [PUBLIC]),
    ([LINK_LOCAL, PUBLIC, PRIVATE], [PUBLIC, PRIVATE]),
    ([PUBLIC, hidden(LOOPBACK)["mapped"], PRIVATE], [PUBLIC, PRIVATE]),
    ([hidden(LINK_LOCAL)["Teredo"], PUBLIC], [PUBLIC]),
    ([PUBLIC, hidden(LINK_LOCAL)["NAT64"]], [PUBLIC]),
    ([PUBLIC, PUBLIC], [PUBLIC]),
]


@pytest.mark.parametrize(("found", "left"), GOOD_AND_BAD)
def test_of_several_addresses_the_good_ones_are_left_in_their_order(
    names: Names, monkeypatch: pytest.MonkeyPatch, found: list[str], left: list[str]
) -> None:
    monkeypatch.delenv(ALLOW, raising=False)
    names["several.test"] = [found]
    assert Gate(None).addresses("http", "several.test", 80) == left


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([LOOPBACK, LINK_LOCAL], HERE),
        ([LINK_LOCAL, LOOPBACK], METADATA),
        ([hidden(LOOPBACK)["6to4"], hidden(LOOPBACK)["Teredo"]], HERE),
    ],
)
def test_without_a_good_address_the_first_one_tells_why(
    names: Names, found: list[str], said: str
) -> None:
    names["several.test"] = [found]
    assert said in judged("several.test")


def test_a_list_of_networks_judges_each_address(
    names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ALLOW, "10.1.0.0/16,files.test:8080")
    names["several.test"] = [[PUBLIC, PRIVATE]]
    assert Gate(None).addresses("http", "several.test", 80) == [PRIVATE]
    names["files.test"] = [[PUBLIC, LINK_LOCAL]]
    assert Gate(None).addresses("http", "files.test", 8080) == [PUBLIC]
    with pytest.raises(Denied, match="not one of the hosts"):
        Gate(None).addresses("http", "files.test", 80)


def test_a_port_of_the_list_is_one_that_exists() -> None:
    for port in ("1", "65535"):
        assert judged("127.0.0.1", f"127.0.0.1:{port}").endswith("where Label Studio is not")
    for port in ("65536", "99999", "-1", "٣"):
        with pytest.raises(ValueError, match="which is not a name"):
            judged("127.0.0.1", f"127.0.0.1:{port}")


def test_who_named_an_address_first_counts() -> None:
    """/setup may name the Label Studio that the environment names too, and takes nothing away."""
    address = f"http://{LINK_LOCAL}"
    both = Server(address, "LABEL_STUDIO_URL", (), ((address, "/setup"),))
    assert judged(LINK_LOCAL, None, both) == ""
    assert METADATA in judged(LINK_LOCAL, None, Server(address, "/setup", ()))
    assert HERE in judged("127.0.0.1", None, Server("http://127.0.0.1:81", "/setup", ()))
    assert HERE in judged("127.0.0.1", None, Server("https://127.0.0.1:80", "/setup", ()))


@pytest.fixture
def inner(storage: Host) -> Iterator[socket.socket]:
    """What listens at another address of this machine, at the same port."""
    with socket.create_server(("127.0.0.2", storage.port)) as listening:
        listening.setblocking(False)
        yield listening


@pytest.mark.parametrize("found", [["127.0.0.2", "127.0.0.1"], ["127.0.0.1", "127.0.0.2"]])
def test_a_forbidden_address_of_a_good_name_is_not_connected_to(
    storage: Host, inner: socket.socket, names: Names, monkeypatch: Any, found: list[str]
) -> None:
    monkeypatch.setenv(ALLOW, "127.0.0.1")
    names["both.test"] = [found]
    storage.files["/a"] = b"harmless"
    path = get_local_path(f"http://both.test:{storage.port}/a")
    assert Path(path).read_bytes() == b"harmless"
    with pytest.raises(BlockingIOError):
        inner.accept()


def test_an_address_that_does_not_answer_is_passed(
    storage: Host, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ALLOW, "127.0.0.0/8")
    names["both.test"] = [["127.0.0.3", "127.0.0.1"]]
    storage.files["/a"] = b"harmless"
    get_local_path(f"http://both.test:{storage.port}/a")
    names["none.test"] = [["127.0.0.3", "127.0.0.4"]]
    said = refusal(f"http://none.test:{storage.port}/a")
    assert f"http://none.test:{storage.port} cannot be reached (Connection refused)" in said


def test_a_name_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "http://nobody.invalid cannot be reached" in refusal("http://nobody.invalid/a")
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [])
    assert "http://nobody.invalid cannot be reached" in refusal("http://nobody.invalid/a")


def test_an_address_that_says_nothing_to_a_connection(
    storage: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> socket.socket:
        raise TimeoutError("timed out")

    monkeypatch.setattr(transport, "create_connection", never)
    with pytest.raises(requests.Timeout, match="did not answer in time"):
        get_local_path(f"{storage.url}/a")


def test_no_address_is_tried_when_the_time_is_over(
    names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[object] = []

    def late(address: object, *_: object, **__: object) -> socket.socket:
        tried.append(address)
        transport.current().deadline._end = time.monotonic() - 1
        raise OSError("refused")

    monkeypatch.setattr(transport, "create_connection", late)
    monkeypatch.setenv(ALLOW, "127.0.0.0/8")
    names["many.test"] = [["127.0.0.1", "127.0.0.2", "127.0.0.3"]]
    assert "takes more than 300 s" in refusal("http://many.test/a")
    assert tried == [("127.0.0.1", 80)]


def test_what_is_connected_after_the_end_is_cut_off_at_once() -> None:
    deadline = transport.Deadline(600.0)
    for _ in range(2):
        one, other = socket.socketpair()
        with one, other:
            other.settimeout(60)
            deadline.watch(one)
            deadline._cut()
            assert other.recv(1) == b"", "the other side sees the end"
    one, other = socket.socketpair()
    with one, other:
        other.settimeout(60)
        deadline.watch(one)
        assert other.recv(1) == b""
    deadline.close()


def test_without_a_limit_nothing_is_cut_off() -> None:
    one, other = socket.socketpair()
    with one, other:
        endless = transport.Deadline(float("inf"))
        endless.watch(one)
        assert not endless.over
        endless.close()
        one.sendall(b"x")
        assert other.recv(1) == b"x"


@pytest.fixture
def proxy(media_environment: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """A proxy that the environment names, which gives out whatever it is asked for."""
    host = Host("http:")
    monkeypatch.delenv("NO_PROXY")
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{host.port}")
    yield host
    host.stop()


@pytest.mark.parametrize("bad", [LOOPBACK, LINK_LOCAL, *hidden(LOOPBACK).values()])
def test_a_proxy_is_not_asked_for_a_name_of_which_one_address_is_forbidden(
    proxy: Host, names: Names, bad: str
) -> None:
    """It looks the name up by itself, and may take any of them."""
    for number, found in enumerate(([PUBLIC, bad], [bad, PUBLIC], [PUBLIC, bad, PRIVATE])):
        names[f"name{number}.test"] = [found]
        said = refusal(f"http://name{number}.test/a")
        assert (METADATA if bad == LINK_LOCAL else HERE) in said
    assert proxy.asked == []
    names["good.test"] = [[PUBLIC, PRIVATE]]
    proxy.files["//good.test/a"] = b"good"
    assert Path(get_local_path("http://good.test/a")).read_bytes() == b"good"


def test_a_proxy_is_asked_only_for_ports_of_the_list(
    proxy: Host, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ALLOW, "good.test:8080")
    names["good.test"] = [[PUBLIC]]
    proxy.files["//good.test:8080/a"] = b"good"
    assert Path(get_local_path("http://good.test:8080/a")).read_bytes() == b"good"
    for address in ("http://good.test/a", "http://good.test:8081/a", "http://unknown.invalid/a"):
        assert "not one of the hosts" in refusal(address)
    assert proxy.paths() == ["http://good.test:8080/a"]


def test_a_personal_token_is_not_traded_at_metadata_by_way_of_a_proxy(proxy: Host) -> None:
    """Whoever sends /setup chooses the address at which the token is shown."""
    for address in (f"http://{LINK_LOCAL}", "http://metadata.google.internal"):
        for token in (personal(), LEGACY):
            with connected(Connection(address, token)):
                assert METADATA in refusal("/data/upload/1/a")
    assert proxy.asked == []
