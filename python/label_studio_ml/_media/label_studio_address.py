"""Decides which Label Studio is meant: by an argument, the environment, or /setup.

An address begins with `http://` or `https://`, and has the path below which Label Studio is served.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from label_studio_ml._media.tokens import Token

#: Variables that name Label Studio; the first one that is an address counts. Containers have their id
#: in HOSTNAME.
VARIABLES = ("LABEL_STUDIO_URL", "LABEL_STUDIO_HOST", "LABEL_STUDIO_HOSTNAME", "HOSTNAME")
TOKEN_VARIABLES = ("LABEL_STUDIO_API_KEY", "LABEL_STUDIO_ACCESS_TOKEN")

#: The source of an address or a token that Label Studio itself sent.
SETUP = "/setup"


class Connection(NamedTuple):
    """Address and token of Label Studio from /setup; empty before that."""

    hostname: str = ""
    access_token: str = ""

    def __repr__(self) -> str:
        return f"Connection({self.hostname!r})"


_current: ContextVar[Connection | None] = ContextVar("label_studio_of_setup", default=None)
_of_projects: dict[str, Connection] = {}


def current() -> Connection:
    """Return address and token from /setup for the model that runs in this context."""
    return _current.get() or Connection()


@contextmanager
def connected(connection: Connection) -> Iterator[None]:
    """Make a connection the current one for the block."""
    token = _current.set(connection)
    try:
        yield
    finally:
        _current.reset(token)


def made(make: Callable[[], Any], connection: Connection) -> Any:
    """Return the model that `make` makes, which knows Label Studio's address and token.

    It knows them while its constructor runs, and also later if attributes can be set on it.
    """
    with connected(connection):
        instance = make()
    with suppress(AttributeError):  # a class with slots, or not a model
        instance._label_studio_of_setup = connection
    return instance


def remember(project_id: str, hostname: Any, access_token: Any) -> None:
    """Keep address and token that a /setup brought for a project, in this process."""
    texts = (text if isinstance(text, str) else "" for text in (hostname, access_token))
    _of_projects[project_id] = Connection(*texts)


def of_project(project_id: str) -> Connection:
    """Return address and token of the last /setup for a project that this process received."""
    return _of_projects.get(project_id) or Connection()


class Server(NamedTuple):
    """A Label Studio: its address without a slash at the end, who named it, and tokens for it."""

    address: str
    source: str
    tokens: "tuple[Token, ...]"
    #: Other addresses of the same Label Studio, which the data of tasks may contain, and who named
    #: them.
    aliases: tuple[tuple[str, str], ...] = ()
    #: A variable whose token is not used because only /setup named the address.
    withheld: str = ""

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(address for address, _ in self.sources)

    @property
    def sources(self) -> tuple[tuple[str, str], ...]:
        """All addresses, and who named each."""
        return ((self.address, self.source), *self.aliases)


def is_address(text: str) -> bool:
    """Tell whether a text is an http address."""
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def origin(address: str) -> tuple[str, str, int | None]:
    """Return scheme, host and port. Raises ValueError if the port is not a number."""
    parts = urlsplit(address)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, (parts.hostname or "").rstrip("."), port


def of_environment() -> tuple[str, str] | None:
    """Return the address in the environment and its variable; None without one."""
    for variable in VARIABLES:
        if is_address(value := os.environ.get(variable, "").strip()):
            return _plain(value), variable
    return None


def server(hostname: str | None, access_token: str | None) -> Server | None:
    """Return the Label Studio that is meant; None if nothing names one.

    Arguments take precedence over the environment, and that over /setup. A token of the environment
    is not sent to an address that only /setup named: any client that can send /setup could get it.

    Raises ValueError for an argument that is not an address.
    """
    from label_studio_ml._media.tokens import Token

    known = current()
    # The base class of API v1 passes on what /setup brought as arguments.
    hostname = None if hostname == known.hostname else hostname
    access_token = None if access_token == known.access_token else access_token
    if hostname and not is_address(hostname):
        # It may contain a password.
        shown = hostname.rpartition("@")[2]
        raise ValueError(f"{shown!r} is not an address; it must begin with http:// or https://")
    named = [(_plain(hostname), "the argument hostname")] if hostname else []
    named += [found] if (found := of_environment()) else []
    named += [(_plain(known.hostname), SETUP)] if is_address(known.hostname) else []
    if not named:
        return None
    (address, source), *others = named
    tokens = [Token(access_token, "the argument access_token")] if access_token else []
    own = [Token(value, name) for name in TOKEN_VARIABLES if (value := _text(name))]
    tokens += own if source != SETUP else []
    tokens += [Token(known.access_token, SETUP)] if known.access_token else []
    withheld = own[0].source if own and source == SETUP else ""
    return Server(address, source, _distinct(tokens), tuple(others), withheld)


def _distinct(tokens: "list[Token]") -> "tuple[Token, ...]":
    by_value: dict[str, Token] = {}
    for token in tokens:
        by_value.setdefault(token.value, token)
    return tuple(by_value.values())


def _text(variable: str) -> str:
    return os.environ.get(variable, "").strip()


def _plain(address: str) -> str:
    parts = urlsplit(address.strip())
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"
