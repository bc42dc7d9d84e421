"""Fetching a file over HTTP, from Label Studio with its tokens, from elsewhere without.

Redirects are followed by hand: a token is shown to the origin (scheme, host, port) of Label Studio and
to nobody else, so one that leads to a storage does not take it along. This module imports requests.
"""

import http.cookiejar
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO
from urllib.parse import unquote, urljoin, urlsplit

import requests
from requests.auth import HTTPBasicAuth
from urllib3.exceptions import ReadTimeoutError

from label_studio_ml._media.cache import MAX_VARIABLE, max_bytes
from label_studio_ml._media.connection import SETUP, Server, is_address, origin
from label_studio_ml._media.routes import shown
from label_studio_ml._media.tokens import Kind, Refused, Token, authorization
from label_studio_ml.exceptions import MediaError

logger = logging.getLogger("label_studio_ml.model")

#: Seconds to connect, and seconds without a byte.
TIMEOUTS = (10.0, 60.0)
_MOST_REDIRECTS = 10
_CHUNK = 1 << 18
_warned: set[tuple[str, str]] = set()
#: Some hosts of images refuse programs that do not say who they are.
_AGENT = "Mozilla/5.0 (compatible; label-studio-ml)"
_LOGIN = "/user/login"


class HTTPMediaError(MediaError, requests.HTTPError):
    """A host answered with an error; `response` has its status."""


class ConnectionMediaError(MediaError, requests.ConnectionError):
    """A host did not answer, or broke off."""


class TimeoutMediaError(MediaError, requests.Timeout):
    """A host did not answer in time."""


class Failure(Exception):
    """One way to fetch a file failed: how, what may help, and as which exception users see it."""

    def __init__(
        self,
        clause: str,
        advice: str = "",
        kind: type[MediaError] = MediaError,
        status: int = 0,
        refused: bool = False,
    ) -> None:
        super().__init__(clause)
        self.clause, self.advice, self.kind, self.status = clause, advice, kind, status
        #: Another token may do.
        self.refused = refused

    def raised(self, message: str) -> MediaError:
        """Return the exception with a message of several ways."""
        error = self.kind(message)
        if isinstance(error, HTTPMediaError):
            error.response = requests.Response()
            error.response.status_code = self.status
        return error


class _Auth:
    """Sets one header; requests would look into ~/.netrc otherwise."""

    def __init__(self, header: str | None) -> None:
        self.header = header

    def __call__(self, request: Any) -> Any:
        if self.header:
            request.headers["Authorization"] = self.header
        return request


def fetch(url: str, server: Server | None, file: BinaryIO) -> None:
    """Write what is at an address into a file; with the server's tokens if it is the server's.

    Each token is tried until one is not refused. Raises Failure.
    """
    try:
        most = max_bytes()
    except ValueError as error:
        raise Failure(f"{error}") from None
    with _session() as session:
        if server is None or origin(server.address) != origin(url):
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
    """Say once of each token that it is of no use, where another one is."""
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
            f"{server.withheld} is only shown to an address that you name yourself"
        )
    address = "LABEL_STUDIO_URL to its address and " if server.source == SETUP else ""
    user = "of a user who can see the project (Account & Settings)"
    return f"set {address}LABEL_STUDIO_API_KEY to a {kind} {user}"


@contextmanager
def _shown(
    session: requests.Session, url: str, server: Server, token: Token
) -> Iterator[requests.Response]:
    """Open an address of Label Studio with a token; trade a personal one again after a 401."""

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
    with requests.Session() as session:
        session.headers["User-Agent"] = _AGENT
        # A cookie would follow to other ports of the same host.
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
    """Get an address and what it redirects to; `auth` is for the origin of the address only."""
    first, at = origin(url), url
    for _ in range(_MOST_REDIRECTS):
        with _told(at, server):
            response = session.get(
                at,
                auth=auth if origin(at) == first else _userinfo(at),
                stream=True,
                allow_redirects=False,
                timeout=TIMEOUTS,
                verify=_verify(),
            )
        with response:
            if not response.is_redirect or _LOGIN in response.headers["Location"]:
                yield response
                return
            at = urljoin(at, response.headers["Location"])
        if not is_address(at):
            raise Failure(f"{_host(url)} redirects to {shown(at)}, which is no http address")
    raise Failure(f"{_host(url)} redirects more than {_MOST_REDIRECTS} times")


def _post(
    session: requests.Session, address: str, body: dict[str, str], server: Server
) -> tuple[int, Any]:
    with (
        _told(address, server),
        session.post(
            address,
            json=body,
            auth=_Auth(None),
            allow_redirects=False,
            timeout=TIMEOUTS,
            verify=_verify(),
        ) as response,
    ):
        try:
            return response.status_code, response.json()
        except ValueError:
            return response.status_code, None


def _is_refusal(response: requests.Response, server: Server) -> bool:
    """Tell whether Label Studio says that it does not know the token; the login page says so too."""
    refused = response.is_redirect or response.status_code == 401
    return refused and origin(response.url) == origin(server.address)


def _require_ok(
    response: requests.Response, asked: str, token: Token | None, server: Server | None
) -> None:
    if 200 <= response.status_code < 300:
        return
    at, status = _host(response.url), response.status_code
    said = "shows its login page" if response.is_redirect else f"answered {status}"
    if server is None or token is None:
        raise Failure(f"{at} {said}", "", HTTPMediaError, status)
    if origin(response.url) == origin(server.address):
        unknown = _is_refusal(response, server)
        advice = _advice_of_401(response, server) if unknown else ""
        clause = f"{at}{urlsplit(response.url).path} {said} to {token}"
        raise Failure(clause, advice, HTTPMediaError, status, unknown or status == 403)
    # The token was not shown there.
    from_there = _host(server.address)
    moved = status == 401 and urlsplit(response.url).path == urlsplit(asked).path
    advice = "look at the storage in Label Studio's settings of the project"
    if moved:
        advice = f"set LABEL_STUDIO_URL to the address at {at}"
    raise Failure(f"{at}, where {from_there} redirects, {said}", advice, HTTPMediaError, status)


def _advice_of_401(response: requests.Response, server: Server) -> str:
    """Return what to do where Label Studio takes no legacy tokens, which it says in its answer."""
    with _told(response.url):
        said = next(response.iter_content(4096), b"")
    if b"legacy token authentication has been disabled" in said:
        advice = _no_token(server, "personal access token")
        return f"legacy tokens are switched off there: {advice}"
    return _no_token(server)


def _save(response: requests.Response, file: BinaryIO, most: int) -> None:
    """Write the body. Raises Failure if it is too large, or less than was announced."""
    announced = response.headers.get("Content-Length", "")
    # The length of chunks goes before it.
    whole = announced.isdecimal() and "Transfer-Encoding" not in response.headers
    length = int(announced) if whole else None
    too_large = Failure(
        f"{_host(response.url)} sends more than {most / (1 << 20):g} MiB",
        f"set {MAX_VARIABLE} to more MiB",
    )
    if length is not None and length > most:
        raise too_large
    written = 0
    with _told(response.url):
        for chunk in response.iter_content(_CHUNK):
            written += len(chunk)
            if written > most:
                raise too_large
            file.write(chunk)
        if length is not None and (received := response.raw.tell()) != length:
            raise Failure(
                f"{_host(response.url)} broke off after {received} of {length} bytes",
                kind=ConnectionMediaError,
            )


@contextmanager
def _told(url: str, server: Server | None = None) -> Iterator[None]:
    """Turn exceptions of requests into failures. Their own text may hold signatures."""
    at = _host(url)
    try:
        yield
    except requests.exceptions.SSLError:
        clause = f"the certificate of {at} is not trusted"
        advice = "set REQUESTS_CA_BUNDLE to the file of your CA, or VERIFY_SSL=false"
        raise Failure(clause, advice, ConnectionMediaError) from None
    except requests.Timeout:
        raise Failure(f"{at} did not answer in time", "", TimeoutMediaError) from None
    except requests.exceptions.ChunkedEncodingError:
        raise Failure(f"{at} broke off", "", ConnectionMediaError) from None
    except requests.exceptions.ContentDecodingError:
        raise Failure(f"what {at} sent cannot be unpacked", "", ConnectionMediaError) from None
    except requests.ConnectionError as error:
        # What the body needs too long for comes as a ConnectionError.
        if isinstance(error.args[0] if error.args else None, ReadTimeoutError):
            raise Failure(f"{at} did not go on in time", "", TimeoutMediaError) from None
        clause, advice = f"{at} cannot be reached ({_cause(error)})", _unreachable(url, server)
        raise Failure(clause, advice, ConnectionMediaError) from None
    except (requests.RequestException, UnicodeError) as error:
        raise Failure(f"{at} cannot be asked ({type(error).__name__})") from None


def _unreachable(url: str, server: Server | None) -> str:
    if server is None or origin(url) != origin(server.address):
        return ""
    named = f"it is the address of {server.source}"
    return f"{named}; set LABEL_STUDIO_URL to one that can be reached from here"


def _cause(error: BaseException) -> str:
    """Return what the operating system said."""
    seen: set[int] = set()
    pending: list[Any] = [error]
    while pending:
        one = pending.pop()
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, OSError) and one.strerror:
            return one.strerror
        pending += [getattr(one, "reason", None), one.__cause__, one.__context__, *one.args]
    return "connection broken"


def _host(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
