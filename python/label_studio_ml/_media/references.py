"""Parses what a value of a task's data refers to.

Label Studio refers to the same file in several ways: with and without its own address, with and
without the path below which it is served. All of them become the same reference.
"""

import base64
import posixpath
import re
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import parse_qs, quote, unquote, urlsplit

from label_studio_ml._media.label_studio_address import origin

#: Paths below which Label Studio serves files.
_SERVED = ("/data/", "/tasks/", "/projects/", "/storage-data/")
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+._-]*://\S|(s3|gs|azure-blob):\S")
_DATA = re.compile(r"data:[^,;]*(;[^,]*)?,", re.IGNORECASE)
_OF_STORAGE = re.compile(r"/(tasks|projects)/\d+/(presign|resolve)/?$")
_UPLOAD = "/data/upload/"
#: Paths at which Label Studio serves files and nothing else.
_FILES = re.compile(r"/(data|storage-data)/.*|/(tasks|projects)/\d+/(presign|resolve)/?", re.DOTALL)
#: Parameters of a query that tell which file is meant; others may be signatures.
_TELLING = {"d", "fileuri", "filepath"}


class Data(NamedTuple):
    """A `data:` URL, which is the file itself."""

    url: str


class Web(NamedTuple):
    """An address that is not Label Studio's."""

    url: str


class Upload(NamedTuple):
    """A file that was uploaded into Label Studio: `project/name`, percent-encoded as it was found."""

    path: str

    @property
    def remote(self) -> tuple[str, ...]:
        """Paths at which Label Studio may serve it: from its disk, or from the storage of uploads."""
        stored = quote(f"upload/{unquote(self.path)}")
        return f"{_UPLOAD}{self.path}", f"/storage-data/uploaded/?filepath={stored}"


class LocalFile(NamedTuple):
    """A file below the root for local files, with its path relative to the root."""

    path: str
    remote: str


class Stored(NamedTuple):
    """A file in a cloud storage: its URI, and the path of Label Studio that leads to it, if known."""

    uri: str
    remote: str = ""


class Served(NamedTuple):
    """Another path of Label Studio, with its query."""

    remote: str


class Here(NamedTuple):
    """A `file:` address."""

    url: str


Reference = Data | Web | Upload | LocalFile | Stored | Served | Here


def reference_of(value: str, addresses: Iterable[str]) -> Reference | None:
    """Return what a value names, None for nothing that could be fetched.

    `addresses` are those of Label Studio.
    """
    if _DATA.match(value):
        return Data(value)
    if value.lower().startswith(("http://", "https://")):
        return _of_address(value, addresses)
    if value.lower().startswith("file:/"):
        return Here(value)
    if _SCHEME.match(value):
        return Stored(value)
    if value.startswith(("upload/", "data/upload/", "storage-data/")):
        value = f"/{value}"
    if not value.startswith("/"):
        return None
    for address in addresses:
        value = _below(value, urlsplit(address).path) or value
    return _of_path(value)


def _of_address(value: str, addresses: Iterable[str]) -> Reference | None:
    try:
        parts, found = urlsplit(value), origin(value)
    except ValueError:
        return None
    if not parts.hostname:
        return None
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    for address in addresses:
        if origin(address) != found:
            continue
        inside = _below(target, urlsplit(address).path)
        if inside is None and target.startswith(_SERVED):
            inside = target
        if inside is not None:
            return _of_path(inside)
    return Web(value)


def _below(target: str, base: str) -> str | None:
    """Return a path relative to the base of Label Studio; None if it is not below the base."""
    base = base.rstrip("/")
    return target[len(base) :] if target.startswith(f"{base}/") else None


def _of_path(target: str) -> Reference:
    if target.startswith("/upload/"):
        target = f"/data{target}"
    path, _, query = target.partition("?")
    asked = parse_qs(query, keep_blank_values=True)
    if path.startswith(_UPLOAD) and "d" not in asked:
        return Upload(path.removeprefix(_UPLOAD))
    if path.startswith("/data/") and "d" in asked:
        return LocalFile(asked["d"][-1], target)
    if _OF_STORAGE.search(path) and "fileuri" in asked:
        return Stored(_uri(asked["fileuri"][-1]), target)
    stored = asked.get("filepath", [""])[-1]
    if path.startswith("/storage-data/uploaded") and stored.startswith("upload/"):
        return Upload(quote(stored.removeprefix("upload/")))
    return Served(target)


def gives_files(url: str, address: str) -> bool:
    """Tell whether the Label Studio at `address` serves files at an address.

    A token is sent to no other addresses: a task must not be able to read from the API.
    """
    if origin(url) != origin(address):
        return False
    path = urlsplit(url).path
    below = _below(path, urlsplit(address).path) or path
    if not (_FILES.fullmatch(below) or _FILES.fullmatch(path)):
        return False
    # A proxy may decode it once more or less; it must not lead elsewhere then.
    for _ in range(5):
        path, before = unquote(path).replace("\\", "/"), path
        if path == before:
            break
    return path == before and ".." not in path.split("/")


def may_be_here(reference: Reference | None) -> bool:
    """Tell whether a value most probably names a file of this machine, and not one that Label Studio has."""
    if isinstance(reference, Served):
        return not reference.remote.startswith(_SERVED)
    return reference is None or isinstance(reference, Here | LocalFile)


def presign(task_id: int | str, uri: str) -> str:
    """Return the path at which Label Studio serves a file of a cloud storage for a task."""
    encoded = base64.urlsafe_b64encode(uri.encode()).decode()
    return f"/tasks/{quote(str(task_id), safe='')}/presign/?fileuri={quote(encoded)}"


def _uri(encoded: str) -> str:
    try:
        return base64.b64decode(encoded, altchars=b"-_", validate=True).decode()
    except ValueError:
        return unquote(encoded)


def name_of(reference: Reference) -> str:
    """Return a path whose last part is the file's own name."""
    if isinstance(reference, Stored):
        return urlsplit(reference.uri).path or reference.uri
    if isinstance(reference, Upload | LocalFile):
        return reference.path
    if isinstance(reference, Data):
        return ""
    parts = urlsplit(reference.url if isinstance(reference, Web | Here) else reference.remote)
    return parts.path


def inside(relative: str) -> str:
    """Return a path below the root for local files as Label Studio reads it: never absolute."""
    return posixpath.normpath(relative).lstrip("/")


def shown(value: str) -> str:
    """Return a value for messages: without signatures, passwords and contents."""
    if _DATA.match(value):
        return value[: value.index(",") + 1][:80] + "…"
    scheme, colon, rest = value.partition("://")
    if colon and not any(letter.isspace() for letter in scheme):
        kept = re.split(r"[?#]", rest, maxsplit=1)[0]
        host, slash, path = kept.partition("/")
        host = host.rpartition("@")[2]
        value = f"{scheme}://{host}{slash}{path}{'' if kept == rest else '?…'}"
        # The text in the place of a port may be a password with an unusual character.
        if not re.fullmatch(r"[^:]*(:\d*)?|\[.*\](:\d*)?", host):
            value = f"{scheme}://…"
    elif value.startswith("/") or not re.search(r"\s", value):
        head, mark, query = value.partition("?")
        if not parse_qs(query, keep_blank_values=True).keys() <= _TELLING:
            value = f"{head}{mark}…"
    return value if len(value) <= 300 else f"{value[:300]}…"
