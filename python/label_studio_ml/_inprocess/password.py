"""User and password of the in-process mode: where they come from, and whether a request brings them."""

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Sequence
from typing import Any


def find(user: Any, password: Any) -> tuple[str, str] | None:
    """Return user and password, each given or else from the environment; None if there is neither.

    Raises ValueError for one without the other, and for what is not text.
    """
    found = _one("basic_auth_user", "USER", user), _one("basic_auth_pass", "PASS", password)
    if all(found):
        return found
    if not any(found):
        return None
    missing, name = ("password", "PASS") if found[0] else ("user", "USER")
    raise ValueError(
        f"init_app: basic authentication needs both a user and a password, and there is no {missing}: "
        f"pass basic_auth_{name.lower()}, or set BASIC_AUTH_{name}"
    )


def _one(argument: str, name: str, given: Any) -> str:
    if given is not None and not isinstance(given, str):
        raise ValueError(f"init_app: {argument} must be text, not {type(given).__name__}")
    return (
        given
        or os.environ.get(f"BASIC_AUTH_{name}")
        or os.environ.get(f"ML_SERVER_BASIC_AUTH_{name}")
        or ""
    )


def is_in(header: str, credentials: Sequence[str]) -> bool:
    """Tell whether an `Authorization` header brings the credentials, in UTF-8 or Latin-1.

    Label Studio sends Latin-1 where that has all letters. The time that this takes does not depend on
    how much is right.
    """
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return False
    try:
        given = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return False
    text = ":".join(credentials)
    # Bytes of the environment that are not UTF-8 stay as they are.
    expected = [text.encode("utf-8", "surrogateescape")]
    try:
        expected.append(text.encode("latin-1"))
    except UnicodeEncodeError:
        expected *= 2
    right = [hmac.compare_digest(_digest(given), _digest(one)) for one in expected]
    return given != b"" and any(right)


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()
