"""Tokens of Label Studio, distinguished by their format.

A legacy token is sent as it is. A personal access token is a JWT of type `refresh`: Label Studio
exchanges it at /api/token/refresh/ for an access token that is valid for minutes and is sent as Bearer.
Any other JWT counts as such an access token.
"""

import base64
import binascii
import json
import os
import threading
import time
from collections.abc import Callable
from enum import Enum
from typing import Any, NamedTuple

#: An access token is renewed so many seconds before it ends, or a tenth of its life if that is less.
_MARGIN = 30.0
#: Seconds for which an access token without a time of expiry is used.
_UNKNOWN_LIFE = 60.0

#: Posts JSON to an address; returns status and JSON of the answer.
Post = Callable[[str, dict[str, str]], tuple[int, Any]]


class Kind(Enum):
    LEGACY = "legacy token"
    PERSONAL = "personal access token"
    ACCESS = "access token"


class Token(NamedTuple):
    """A token and where it came from."""

    value: str
    source: str

    @property
    def kind(self) -> Kind:
        claims = _claims(self.value)
        if claims is None:
            return Kind.LEGACY
        return Kind.PERSONAL if claims.get("token_type") == "refresh" else Kind.ACCESS

    def __str__(self) -> str:
        return f"the {self.kind.value} of {self.source}"

    def __repr__(self) -> str:
        return f"Token({self.source!r})"


class Refused(Exception):
    """Label Studio refused to exchange a personal access token; has its answer."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def _claims(token: str) -> dict[str, Any] | None:
    """Return the claims of a JWT, unverified; None if the token is not a JWT."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        read = [
            json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
            for part in parts[:2]
        ]
    except (ValueError, binascii.Error):
        return None
    header, claims = read
    return claims if isinstance(header, dict) and isinstance(claims, dict) else None


def _life(access: str) -> float:
    """Return for how many seconds an access token is used.

    Counted from its issue, since the clocks of two machines differ.
    """
    claims = _claims(access) or {}
    end, begin = claims.get("exp"), claims.get("iat")
    if not isinstance(end, int | float):
        return _UNKNOWN_LIFE
    life = end - (begin if isinstance(begin, int | float) else time.time())
    return float(life - min(_MARGIN, life / 10))


class _Exchanged:
    """The access token for one personal access token."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.access = ""
        self.until = 0.0


_exchanged: dict[tuple[str, str], _Exchanged] = {}


def _forget() -> None:
    _exchanged.clear()


# A child may be forked while another thread holds one of the locks.
os.register_at_fork(after_in_child=_forget)


def authorization(address: str, token: Token, post: Post, refused: str | None = None) -> str:
    """Return the header that carries a token to the Label Studio at an address.

    `refused` is a header to which Label Studio answered 401: the personal access token is exchanged
    again, unless another thread already did that. Raises Refused if the exchange fails.
    """
    if token.kind is Kind.LEGACY:
        return f"Token {token.value}"
    if token.kind is Kind.ACCESS:
        return f"Bearer {token.value}"
    exchanged = _exchanged.setdefault((address, token.value), _Exchanged())
    with exchanged.lock:
        valid = exchanged.access and time.monotonic() < exchanged.until
        if not valid or refused == f"Bearer {exchanged.access}":
            exchanged.access = _exchange(address, token, post)
            exchanged.until = time.monotonic() + _life(exchanged.access)
        return f"Bearer {exchanged.access}"


def _exchange(address: str, token: Token, post: Post) -> str:
    status, answer = post(f"{address}/api/token/refresh/", {"refresh": token.value})
    access = answer.get("access") if isinstance(answer, dict) else None
    if status == 200 and isinstance(access, str) and access:
        return access
    said = "without an access token" if status == 200 else f"{status}"
    raise Refused(f"{address}/api/token/refresh/ answered {said} to {token}", status)
