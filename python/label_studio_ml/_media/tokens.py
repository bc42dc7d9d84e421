"""Tokens of Label Studio, told apart by what they look like.

A legacy token is sent as it is. A personal access token is a JWT of type `refresh`: Label Studio trades
it at /api/token/refresh/ for an access token that lives for minutes and is sent as Bearer. Any other
JWT is taken for such an access token.
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

#: An access token is traded anew this long before it ends, or a tenth of its life.
_MARGIN = 30.0
#: Seconds that an access token is used which does not say how long it lives.
_UNKNOWN_LIFE = 60.0

#: Posts JSON to an address; returns the status and the JSON of the answer.
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
    """Label Studio does not trade a personal access token; says how it answered."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def _claims(token: str) -> dict[str, Any] | None:
    """Return what a JWT says, unverified; None for what is no JWT."""
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
    """Return for how many seconds an access token is to be used.

    Counted from its own issue, since the clocks of two machines differ.
    """
    claims = _claims(access) or {}
    end, begin = claims.get("exp"), claims.get("iat")
    if not isinstance(end, int | float):
        return _UNKNOWN_LIFE
    life = end - (begin if isinstance(begin, int | float) else time.time())
    return float(life - min(_MARGIN, life / 10))


class _Traded:
    """What one personal access token was traded for."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.access = ""
        self.until = 0.0


_traded: dict[tuple[str, str], _Traded] = {}


def _forget() -> None:
    _traded.clear()


# A child may be forked while another thread holds one of the locks.
os.register_at_fork(after_in_child=_forget)


def authorization(address: str, token: Token, post: Post, refused: str | None = None) -> str:
    """Return the header by which a token is shown to the Label Studio at an address.

    `refused` is a header that Label Studio answered with 401: a personal access token is traded again
    then, unless another thread did so already. Raises Refused if it cannot be traded.
    """
    if token.kind is Kind.LEGACY:
        return f"Token {token.value}"
    if token.kind is Kind.ACCESS:
        return f"Bearer {token.value}"
    traded = _traded.setdefault((address, token.value), _Traded())
    with traded.lock:
        valid = traded.access and time.monotonic() < traded.until
        if not valid or refused == f"Bearer {traded.access}":
            traded.access = _trade(address, token, post)
            traded.until = time.monotonic() + _life(traded.access)
        return f"Bearer {traded.access}"


def _trade(address: str, token: Token, post: Post) -> str:
    status, answer = post(f"{address}/api/token/refresh/", {"refresh": token.value})
    access = answer.get("access") if isinstance(answer, dict) else None
    if status == 200 and isinstance(access, str) and access:
        return access
    said = "without an access token" if status == 200 else f"{status}"
    raise Refused(f"{address}/api/token/refresh/ answered {said} to {token}", status)
