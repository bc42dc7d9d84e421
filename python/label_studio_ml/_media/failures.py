"""Errors of fetching, in words without secrets. This module imports requests."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from urllib3.exceptions import ReadTimeoutError

from label_studio_ml._media.body import Unreadable
from label_studio_ml._media.host_policy import Denied
from label_studio_ml._media.label_studio_address import Server, origin
from label_studio_ml.exceptions import MediaError


class HTTPMediaError(MediaError, requests.HTTPError):
    """A host answered with an error; `response` has its status."""


class ConnectionMediaError(MediaError, requests.ConnectionError):
    """A host did not answer, or broke off the connection."""


class TimeoutMediaError(MediaError, requests.Timeout):
    """A host did not answer in time."""


class Failure(Exception):
    """One attempt to fetch a file failed: why, what may help, and which exception users see."""

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
        #: Another token may work.
        self.refused = refused

    def raised(self, message: str) -> MediaError:
        """Return the exception, with a message about several attempts."""
        error = self.kind(message)
        if isinstance(error, HTTPMediaError):
            error.response = requests.Response()
            error.response.status_code = self.status
        return error


@contextmanager
def translated(url: str, server: Server | None = None) -> Iterator[None]:
    """Turn exceptions of requests and urllib3 into failures. Their own text may contain signatures."""
    at = host_of(url)
    try:
        yield
    except Denied as denied:
        raise Failure(denied.clause, denied.advice) from None
    except Unreadable as error:
        raise Failure(f"what {at} sent {error}", "", ConnectionMediaError) from None
    except requests.exceptions.SSLError:
        clause = f"the certificate of {at} is not trusted"
        advice = "set REQUESTS_CA_BUNDLE to the file of your CA, or VERIFY_SSL=false"
        raise Failure(clause, advice, ConnectionMediaError) from None
    except requests.Timeout:
        raise Failure(f"{at} did not answer in time", "", TimeoutMediaError) from None
    except requests.ConnectionError as error:
        clause, advice = f"{at} cannot be reached ({_cause(error)})", _unreachable(url, server)
        raise Failure(clause, advice, ConnectionMediaError) from None
    except ReadTimeoutError:
        raise Failure(f"{at} did not go on in time", "", TimeoutMediaError) from None
    except urllib3.exceptions.HTTPError:
        raise Failure(f"{at} broke off", "", ConnectionMediaError) from None
    except (requests.RequestException, UnicodeError) as error:
        raise Failure(f"{at} cannot be asked ({type(error).__name__})") from None


def _unreachable(url: str, server: Server | None) -> str:
    if server is None or origin(url) != origin(server.address):
        return ""
    named = f"it is the address of {server.source}"
    return f"{named}; set LABEL_STUDIO_URL to one that can be reached from here"


def _cause(error: BaseException) -> str:
    """Return the message of the operating system."""
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


def host_of(url: str) -> str:
    """Return scheme, host and port of an address as they are written, without a password."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
