"""Decides from which hosts files of tasks may be fetched.

The author of a task's data chooses an address that this machine then asks, from inside its own network.
`Gate` checks the address to which a connection is really made: a name is looked up once, and the
connection goes to the address that was checked.

Without a list of hosts, all are asked except this machine and what only it can reach: link-local
addresses, and those where clouds hand out credentials. Private networks are allowed, since storages
are there.
"""

import ipaddress
import os
import re
import socket
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import NamedTuple

from label_studio_ml._media.label_studio_address import SETUP, Server, origin

VARIABLE = "LABEL_STUDIO_ML_ALLOW_HOSTS"
_NAMED = f"--allow-hosts ({VARIABLE})"

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Origin = tuple[str, str, int | None]

_METADATA = [
    ipaddress.ip_network(network)
    for network in (
        "169.254.0.0/16",  # link-local; nearly every cloud has its metadata there
        "fe80::/10",
        "fd00:ec2::/32",  # AWS
        "fd20:ce::254/128",  # Google
        "100.100.100.200/32",  # Alibaba
        "168.63.129.16/32",  # Azure
        "192.0.0.192/32",  # Oracle
    )
]
_METADATA_NAMES = {"metadata", "metadata.google.internal", "metadata.goog", "instance-data"}
_HERE = [ipaddress.ip_network(network) for network in ("127.0.0.0/8", "0.0.0.0/8", "::/127")]
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_COMPATIBLE = ipaddress.ip_network("::/96")
_NAME = re.compile(r"(\*\.)?[\w-]+(\.[\w-]+)*\.?")


class Denied(Exception):
    """A host may not be asked: why, and what to set."""

    def __init__(self, clause: str, advice: str) -> None:
        super().__init__(clause)
        self.clause, self.advice = clause, advice


class _Place(Enum):
    METADATA = "a link-local address or one of cloud metadata"
    HERE = "an address of this machine"
    ELSEWHERE = "an address elsewhere"


class _Entry(NamedTuple):
    """An entry of the list: a name, `*`, `*.` and a name, or a network."""

    name: str
    network: Network | None
    port: int | None

    def covers(self, place: _Place, host: str, port: int | None, address: Address) -> bool:
        """Tell whether the entry allows to ask a host at an address."""
        if self.port is not None and self.port != port:
            return False
        if self.network is not None:
            inside = any(address_in(each, [self.network]) for each in _plain(address))
            # A large network is not meant to include the metadata.
            return inside and (place is not _Place.METADATA or _within_metadata(self.network))
        if place is _Place.METADATA:
            return False
        if self.name == host:
            return True
        wide = self.name == "*" or (self.name.startswith("*.") and host.endswith(self.name[1:]))
        return wide and place is _Place.ELSEWHERE


def _within_metadata(network: Network) -> bool:
    return any(
        network.version == each.version and network.subnet_of(each)  # type: ignore[arg-type]
        for each in _METADATA
    )


def address_in(address: Address, networks: Iterable[Network]) -> bool:
    """Tell whether an address lies in one of some networks."""
    return any(address.version == each.version and address in each for each in networks)


def _plain(address: Address) -> Iterator[Address]:
    yield address
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        yield address.ipv4_mapped


def _faces(address: Address) -> Iterator[Address]:
    """Yield an address and the IPv4 addresses to which it may lead."""
    yield from _plain(address)
    if isinstance(address, ipaddress.IPv6Address):
        if address.sixtofour:
            yield address.sixtofour
        if address.teredo:
            yield address.teredo[1]
        if address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
            yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)


def _place_of(host: str, address: Address | None) -> _Place:
    if host in _METADATA_NAMES:
        return _Place.METADATA
    faces = [*_faces(address)] if address else []
    if any(address_in(each, _METADATA) for each in faces):
        return _Place.METADATA
    return _Place.HERE if any(address_in(each, _HERE) for each in faces) else _Place.ELSEWHERE


def _entries() -> list[_Entry] | None:
    """Return the list of the environment; None without one. Raises ValueError for a wrong entry."""
    text = os.environ.get(VARIABLE, "")
    parts = [part.strip() for part in text.split(",")]
    return [_entry(part) for part in parts if part] or None


def _entry(text: str) -> _Entry:
    wrong = ValueError(
        f"{_NAMED} has {text!r}, which is not a name, *.name, address or network, with or without :port"
    )
    port: int | None = None
    host, colon, last = text.rpartition(":")
    if colon and ((text.startswith("[") and host.endswith("]")) or ":" not in host):
        if not (last.isascii() and last.isdecimal() and 0 < int(last) < 65536):
            raise wrong
        text, port = host, int(last)
    if text.startswith("[") and text.endswith("]") and ":" in text:
        text = text[1:-1]
    text = text.lower()
    try:
        return _Entry("", ipaddress.ip_network(text, strict=False), port)
    except ValueError:
        pass
    if text != "*" and (not _NAME.fullmatch(text) or text.rpartition(".")[2].isdecimal()):
        raise wrong
    return _Entry(text.rstrip("."), None, port)


def check() -> None:
    """Raise ValueError if the list of the environment cannot be read."""
    _entries()


class Gate:
    """Decides which hosts may be asked for one file."""

    def __init__(self, server: Server | None) -> None:
        self._entries = _entries()
        self._own: dict[Origin, str] = {}
        for address, source in server.sources if server else ():
            self._own.setdefault(origin(address), source)

    def addresses(self, scheme: str, host: str, port: int) -> list[str]:
        """Return the addresses at which a host may be asked.

        Raises Denied, and OSError for an unknown name.
        """
        found = dict.fromkeys(
            str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        )
        refused: Denied | None = None
        allowed = []
        for text in found:
            try:
                self._check(scheme, host, port, ipaddress.ip_address(text))
                allowed.append(text)
            except Denied as denied:
                refused = refused or denied
        if refused and not allowed:
            raise refused
        return allowed

    def ask_proxy(self, scheme: str, host: str, port: int) -> None:
        """Raise Denied for a host that may not be asked through a proxy.

        Of a name that only the proxy can look up, the name alone is checked.
        """
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError:
            self._check(scheme, host, port, None)
            return
        # The proxy may take any of them.
        for entry in found:
            self._check(scheme, host, port, ipaddress.ip_address(str(entry[4][0])))

    def _check(self, scheme: str, host: str, port: int, address: Address | None) -> None:
        name = host.rstrip(".").lower()
        place = _place_of(name, address)
        source = self._own.get((scheme, name, port))
        # A client that can send /setup must not reach metadata by it.
        if source and (source != SETUP or place is not _Place.METADATA):
            return
        nowhere = ipaddress.IPv4Address("192.0.2.1")  # reserved for documentation
        entries = self._entries or [_Entry("*", None, None)]
        if any(entry.covers(place, name, port, address or nowhere) for entry in entries):
            return
        shown = f"[{host}]" if ":" in host else host
        at = f"{scheme}://{shown}:{port}"
        if place is _Place.ELSEWHERE:
            raise Denied(f"{at} is not one of the hosts of {_NAMED}", "add it there")
        where = f"{at} is " if address is None or name == str(address) else f"{at} is {address}, "
        if place is _Place.METADATA:
            raise Denied(f"{where}{place.value}", "no file of a task is fetched from there")
        advice = f"add it to {_NAMED}, if files lie there"
        raise Denied(f"{where}{place.value}, where Label Studio is not", advice)
