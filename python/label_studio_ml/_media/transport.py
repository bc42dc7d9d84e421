"""The connections on which a file is fetched: only to checked addresses, and only until a deadline.

Every connection is made here, a new one for each redirect. The deadline cuts connections off from
outside, since a host may send single bytes, in headers too, without end. This module imports requests.
"""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, NamedTuple

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError
from urllib3.util.connection import create_connection

from label_studio_ml._media.host_policy import Gate


class Deadline:
    """Cuts connections off once the time is over."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._over = False

    @property
    def over(self) -> bool:
        return self._over or time.monotonic() >= self._end

    def watch(self, connection: socket.socket) -> None:
        """Cut a connection off once the time is over."""
        if self.seconds == float("inf"):
            return
        # TLS takes the socket over; a duplicate still controls the connection.
        twin = connection.dup()
        with self._lock:
            self._sockets.append(twin)
            if self._timer is None:
                self._timer = threading.Timer(max(self._end - time.monotonic(), 0), self._cut)
                self._timer.daemon = True
                self._timer.start()
            if self._over:
                _shut_down(twin)

    def _cut(self) -> None:
        with self._lock:
            self._over = True
            for twin in self._sockets:
                _shut_down(twin)

    def close(self) -> None:
        """Stop watching."""
        with self._lock:
            if self._timer:
                self._timer.cancel()
            for twin in self._sockets:
                twin.close()
            self._sockets.clear()


def _shut_down(connection: socket.socket) -> None:
    with suppress(OSError):  # it is over already
        connection.shutdown(socket.SHUT_RDWR)


class Fetch(NamedTuple):
    """The rules for one file: which hosts may be asked, and for how long."""

    gate: Gate
    deadline: Deadline


_current: ContextVar[Fetch] = ContextVar("label_studio_media_fetch")


def current() -> Fetch:
    """Return the rules for the file that is fetched in this context."""
    return _current.get()


@contextmanager
def fetching(gate: Gate, seconds: float) -> Iterator[Fetch]:
    """Apply rules to the connections of the block."""
    fetch = Fetch(gate, Deadline(seconds))
    token = _current.set(fetch)
    try:
        yield fetch
    finally:
        _current.reset(token)
        fetch.deadline.close()


class _Watched:
    """A connection to a proxy, which its user chose."""

    def _new_conn(self) -> socket.socket:
        made: socket.socket = super()._new_conn()  # type: ignore[misc]
        current().deadline.watch(made)
        return made


class _Checked:
    """A connection to one of the addresses that the gate allows."""

    scheme = "http"

    def _new_conn(self) -> socket.socket:
        connection: Any = self
        fetch = current()
        failure: Exception = OSError("the name has no address")
        try:
            addresses = fetch.gate.addresses(self.scheme, connection._dns_host, connection.port)
        except OSError as error:
            raise NewConnectionError(connection, f"{error}") from error
        for address in addresses:
            if fetch.deadline.over:
                break
            try:
                made = create_connection(
                    (address, connection.port),
                    connection.timeout,
                    source_address=connection.source_address,
                    socket_options=connection.socket_options,
                )
            except OSError as error:
                failure = error
                continue
            fetch.deadline.watch(made)
            return made
        if isinstance(failure, TimeoutError):
            raise ConnectTimeoutError(connection, "timed out") from failure
        raise NewConnectionError(connection, f"{failure}") from failure


class _CheckedHTTP(_Checked, HTTPConnection):
    pass


class _CheckedHTTPS(_Checked, HTTPSConnection):
    scheme = "https"


class _WatchedHTTP(_Watched, HTTPConnection):
    pass


class _WatchedHTTPS(_Watched, HTTPSConnection):
    pass


class _CheckedHTTPPool(HTTPConnectionPool):
    ConnectionCls = _CheckedHTTP


class _CheckedHTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _CheckedHTTPS


class _WatchedHTTPPool(HTTPConnectionPool):
    ConnectionCls = _WatchedHTTP


class _WatchedHTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _WatchedHTTPS


class Adapter(HTTPAdapter):
    """Makes requests over such connections."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        pools = {"http": _CheckedHTTPPool, "https": _CheckedHTTPSPool}
        self.poolmanager.pool_classes_by_scheme = pools

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        # The manager for SOCKS has pools of its own.
        if not proxy.lower().startswith("socks"):
            pools = {"http": _WatchedHTTPPool, "https": _WatchedHTTPSPool}
            manager.pool_classes_by_scheme = pools
        return manager
