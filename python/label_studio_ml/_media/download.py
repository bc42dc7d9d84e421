"""Fetches a file over HTTP: from Label Studio with a token, from other hosts without.

Redirects are followed here: a token is sent only to the origin (scheme, host, port) of Label Studio,
and no more once a redirect has led away from it. This module imports requests.
"""

import http.cookiejar
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO
from urllib.parse import unquote, urljoin, urlsplit

import requests
import urllib3
from requests.auth import HTTPBasicAuth
from requests.utils import select_proxy

from label_studio_ml._media import body, limits, log_redaction, transport
from label_studio_ml._media.failures import (
    ConnectionMediaError,
    Failure,
    HTTPMediaError,
    TimeoutMediaError,
    host_of,
    translated,
)
from label_studio_ml._media.host_policy import Gate
from label_studio_ml._media.label_studio_address import SETUP, Server, is_address, origin
from label_studio_ml._media.references import gives_files, shown
from label_studio_ml._media.tokens import Kind, Refused, Token, authorization

logger = logging.getLogger("label_studio_ml.model")

#: Maximum seconds to connect, and maximum seconds without a byte.
TIMEOUTS = (10.0, 60.0)
_MOST_REDIRECTS = 10
#: Maximum length of an answer of the API of Label Studio, in bytes.
_LONGEST_ANSWER = 1 << 20
_warned: set[tuple[str, str]] = set()
#: Some hosts of images refuse programs that do not identify themselves.
_AGENT = "Mozilla/5.0 (compatible; label-studio-ml)"
_LOGIN = "/user/login"


class _Auth:
    """Sets one header; without it requests would look into ~/.netrc."""

    def __init__(self, header: str | None) -> None:
        self.header = header

    def __call__(self, request: Any) -> Any:
        if self.header:
            request.headers["Authorization"] = self.header
        return request


def fetch(url: str, server: Server | None, file: BinaryIO) -> None:
    """Write the content of an address into a file; use the server's tokens if the address is its own.

    The tokens are tried in order until one is not refused. Raises Failure.
    """
    try:
        most, seconds, gate = limits.max_bytes(), limits.seconds(), Gate(server)
    except ValueError as error:
        raise Failure(f"{error}") from None
    too_slow = Failure(
        f"{host_of(url)} takes more than {seconds:g} s",
        f"set {limits.TIME_VARIABLE} to more seconds",
        TimeoutMediaError,
    )
    with transport.fetching(gate, seconds) as one, _session() as session:
        try:
            _fetch(session, url, server, file, most)
        except Failure:
            # A connection that the deadline cut off looks like a broken one.
            if one.deadline.over:
                raise too_slow from None
            raise
        # A cut off body of unknown length looks complete.
        if one.deadline.over:
            raise too_slow


def _fetch(
    session: requests.Session, url: str, server: Server | None, file: BinaryIO, most: int
) -> None:
    if server is None or not gives_files(url, server.address):
        with _open(session, url, server, _userinfo(url)) as response:
            _require_ok(response, url, None, None)
            _save(response, file, most)
        return
    refusals: dict[Token, Failure] = {}
    for token in server.tokens:
        try:
            with _shown(session, url, server, token) as response:
                _save(response, file, most)
            _warn(server, refusals)
            return
        except Failure as failure:
            if not failure.refused:
                raise
            refusals[token] = failure
    raise _all_refused(server, [*refusals.values()])


def _warn(server: Server, refusals: dict[Token, Failure]) -> None:
    """Warn once about each token that was refused where another one was accepted."""
    for token, failure in refusals.items():
        if (server.address, token.source) not in _warned:
            _warned.add((server.address, token.source))
            logger.warning("%s; another token is used", failure.clause)


def _all_refused(server: Server, refusals: list[Failure]) -> Failure:
    if not refusals:
        return Failure(f"no token for {server.address} is known", _no_token(server))
    clause = " and ".join(failure.clause for failure in refusals)
    advice = next((failure.advice for failure in refusals if failure.advice), "")
    return Failure(clause, advice, HTTPMediaError, refusals[-1].status)


def _no_token(server: Server, kind: str = "token") -> str:
    if server.withheld:
        return (
            "set LABEL_STUDIO_URL too: the token of "
            f"{server.withheld} is only sent to an address that you set yourself"
        )
    address = "LABEL_STUDIO_URL to its address and " if server.source == SETUP else ""
    user = "of a user who can see the project (Account & Settings)"
    return f"set {address}LABEL_STUDIO_API_KEY to a {kind} {user}"


@contextmanager
def _shown(
    session: requests.Session, url: str, server: Server, token: Token
) -> Iterator[requests.Response]:
    """Open an address of Label Studio with a token; exchange a personal one again after a 401."""

    def post(address: str, body: dict[str, str]) -> tuple[int, Any]:
        return _post(session, address, body, server)

    header: str | None = None
    for last in (False, True):
        try:
            header = authorization(server.address, token, post, refused=header)
        except Refused as refused:
            known = refused.status in (401, 403)
            advice = _no_token(server) if known else f"is {server.address} its address?"
            raise Failure(f"{refused}", advice, HTTPMediaError, refused.status, True) from None
        with _open(session, url, server, _Auth(header)) as response:
            if _is_refusal(response, server) and token.kind is Kind.PERSONAL and not last:
                continue
            _require_ok(response, url, token, server)
            yield response
            return


@contextmanager
def _session() -> Iterator[requests.Session]:
    with log_redaction.without_queries(), requests.Session() as session:
        session.headers.update({"User-Agent": _AGENT, "Accept-Encoding": body.ACCEPTED})
        for scheme in ("http://", "https://"):
            session.mount(scheme, transport.Adapter())
        # A cookie would also be sent to other ports of the same host.
        session.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
        yield session


def _verify() -> bool:
    for prefix in ("LABEL_STUDIO_", "HEARTEX_", ""):
        if (value := os.environ.get(f"{prefix}VERIFY_SSL")) is not None:
            return value.strip().lower() not in ("false", "no", "not", "off", "0")
    return True


def _userinfo(url: str) -> Any:
    parts = urlsplit(url)
    if parts.username is None:
        return _Auth(None)
    return HTTPBasicAuth(unquote(parts.username), unquote(parts.password or ""))


@contextmanager
def _open(
    session: requests.Session, url: str, server: Server | None, auth: Any
) -> Iterator[requests.Response]:
    """Get an address and follow redirects; `auth` is only for the origin of the address."""
    at = url
    for _ in range(_MOST_REDIRECTS + 1):
        _require_plain(at)
        with translated(at, server):
            _ask_proxy(session, at)
            response = session.get(
                at,
                auth=auth,
                stream=True,
                allow_redirects=False,
                timeout=TIMEOUTS,
                verify=_verify(),
            )
        with response:
            if not response.is_redirect or _LOGIN in response.headers["Location"]:
                yield response
                return
            to = _location(at, response.headers["Location"])
        if not _keeps(auth, at, to, server):
            auth = _userinfo(to)
        at = to
    raise Failure(f"{host_of(url)} redirects more than {_MOST_REDIRECTS} times")


def _location(at: str, location: str) -> str:
    try:
        to = urljoin(at, location)
        known = is_address(to)
    except ValueError:
        to, known = location, False
    if not known:
        raise Failure(f"{host_of(at)} redirects to {shown(to)}, which is not an http address")
    return to


def _keeps(auth: Any, at: str, to: str, server: Server | None) -> bool:
    """Tell whether the authentication for an address may be sent where it redirects."""
    if origin(at) != origin(to):
        return False
    is_token = isinstance(auth, _Auth) and auth.header
    return not is_token or server is None or gives_files(to, server.address)


def _require_plain(url: str) -> None:
    """Refuse an address in which two programs would find different hosts."""
    try:
        one, other = urlsplit(url), urllib3.util.parse_url(url)
        hosts = ((one.hostname or ""), (other.host or "").strip("[]").lower())
        # Only one of them encodes names beyond ASCII; those contain no character that ends a host.
        same = hosts[0] == hosts[1] and one.port == other.port
        plain = (same or not one.netloc.isascii()) and not set(one.netloc) & set("\\ ")
    except (ValueError, urllib3.exceptions.HTTPError):
        plain = False
    if not plain:
        raise Failure(f"{shown(url)} is an address that cannot be read")


def _ask_proxy(session: requests.Session, url: str) -> None:
    """Check a host here if a proxy of the environment will connect to it."""
    settings = session.merge_environment_settings(url, {}, None, None, None)
    if select_proxy(url, settings["proxies"]):
        scheme, host, port = origin(url)
        transport.current().gate.ask_proxy(scheme, host, port or 0)


def _post(
    session: requests.Session, address: str, asked: dict[str, str], server: Server
) -> tuple[int, Any]:
    with translated(address, server):
        _ask_proxy(session, address)
        with session.post(
            address,
            json=asked,
            auth=_Auth(None),
            stream=True,
            allow_redirects=False,
            timeout=TIMEOUTS,
            verify=_verify(),
        ) as response:
            try:
                return response.status_code, json.loads(_beginning(response, _LONGEST_ANSWER))
            except ValueError:
                return response.status_code, None


def _beginning(response: requests.Response, most: int) -> bytes:
    said = b""
    for chunk in body.chunks(response):
        said += chunk
        if len(said) >= most:
            break
    return said[:most]


def _is_refusal(response: requests.Response, server: Server) -> bool:
    """Tell whether Label Studio does not know the token; a redirect to the login page means that too."""
    refused = response.is_redirect or response.status_code == 401
    return refused and _saw_token(response, server)


def _saw_token(response: requests.Response, server: Server) -> bool:
    there = origin(response.url) == origin(server.address)
    return there and "Authorization" in response.request.headers


def _require_ok(
    response: requests.Response, asked: str, token: Token | None, server: Server | None
) -> None:
    if 200 <= response.status_code < 300:
        return
    at, status = host_of(response.url), response.status_code
    said = "shows its login page" if response.is_redirect else f"answered {status}"
    if server is None or token is None:
        raise Failure(f"{at} {said}", "", HTTPMediaError, status)
    if _saw_token(response, server):
        unknown = _is_refusal(response, server)
        advice = _advice_of_401(response, server) if unknown else ""
        clause = f"{at}{urlsplit(response.url).path} {said} to {token}"
        raise Failure(clause, advice, HTTPMediaError, status, unknown or status == 403)
    # The token was not sent there.
    from_there = host_of(server.address)
    moved = status == 401 and urlsplit(response.url).path == urlsplit(asked).path
    advice = "look at the storage in Label Studio's settings of the project"
    if moved:
        advice = f"set LABEL_STUDIO_URL to the address at {at}"
    raise Failure(f"{at}, where {from_there} redirects, {said}", advice, HTTPMediaError, status)


def _advice_of_401(response: requests.Response, server: Server) -> str:
    """Return the advice for a 401; the answer tells whether legacy tokens are disabled."""
    with translated(response.url):
        said = _beginning(response, 4096)
    if b"legacy token authentication has been disabled" in said:
        advice = _no_token(server, "personal access token")
        return f"legacy tokens are switched off there: {advice}"
    return _no_token(server)


def _save(response: requests.Response, file: BinaryIO, most: int) -> None:
    """Write the body. Raises Failure if it is too large, or shorter than announced."""
    announced = response.headers.get("Content-Length", "")
    # With chunks the header does not count.
    whole = announced.isdecimal() and "Transfer-Encoding" not in response.headers
    length = int(announced) if whole else None
    too_large = Failure(
        f"{host_of(response.url)} sends more than {most / (1 << 20):g} MiB",
        f"set {limits.MAX_VARIABLE} to more MiB",
    )
    if length is not None and length > most:
        raise too_large
    written = 0
    with translated(response.url):
        for chunk in body.chunks(response):
            written += len(chunk)
            if written > most:
                raise too_large
            file.write(chunk)
        if length is not None and (received := response.raw.tell()) != length:
            raise Failure(
                f"{host_of(response.url)} broke off after {received} of {length} bytes",
                kind=ConnectionMediaError,
            )
