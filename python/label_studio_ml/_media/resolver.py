"""From what a task names to a file of this machine."""

import base64
import mimetypes
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple
from urllib.parse import unquote, unquote_to_bytes

from label_studio_ml._media import cache, routes
from label_studio_ml._media.connection import VARIABLES, Server, is_address, server
from label_studio_ml._media.routes import Data, LocalFile, Route, Served, Stored, Upload, Web, shown
from label_studio_ml.exceptions import MediaError

if TYPE_CHECKING:
    from label_studio_ml._media.download import Failure

_ROOT_VARIABLES = tuple(
    f"{prefix}LOCAL_FILES_DOCUMENT_ROOT" for prefix in ("LABEL_STUDIO_", "HEARTEX_", "")
)


def get_local_path(
    url: str,
    cache_dir: str | None = None,
    project_dir: str | None = None,
    hostname: str | None = None,
    image_dir: str | None = None,
    access_token: str | None = None,
    download_resources: bool = True,
    task_id: int | str | None = None,
) -> str:
    """Return the path of a local copy of `url`: a file, an upload, a local file, a URI of a cloud
    storage (with the `task_id` of the task that names it), an address, a `data:` URL.

    The parameters are those of label-studio-sdk and label-studio-tools. Copies are kept in
    `cache_dir`; uploads are looked for in `image_dir`, else in `project_dir/upload`, else in the
    folder of a Label Studio of this machine. `hostname` and `access_token` go before the environment
    (LABEL_STUDIO_URL, LABEL_STUDIO_API_KEY), and that before what /setup brought. With
    `download_resources=False` the path is returned at which a copy would be kept.

    Raises MediaError, a FileNotFoundError, which says what was tried and what to set.
    """
    url = os.fspath(url)
    # What looks like a path of Label Studio may be one of this machine.
    if not url.startswith("data:") and _is_file(url):
        return url
    try:
        label_studio = server(hostname, access_token)
    except ValueError as error:
        raise _error(url, f"{error}") from None
    route = routes.route_of(url, label_studio.addresses if label_studio else ())
    if route is None:
        raise _error(url, "it is no file of this machine, no path of Label Studio and no address")
    folder = Path(cache_dir) if cache_dir else cache.default_folder()
    kept = folder if cache_dir and download_resources else None
    looked = "it is no file of this machine" if isinstance(route, Served) else ""
    if isinstance(route, Upload):
        images = _upload_folder(project_dir, image_dir)
        if found := _upload(route, images):
            return str(_copied(found, kept))
        looked = f"it is not in {images}" if image_dir or project_dir else ""
    elif isinstance(route, LocalFile) and (root := _root()):
        if found := _local_file(url, route, root):
            return str(_cached(found, kept))
        looked = f"it is not in {root[1]} ({root[0]})"
    wanted = _Wanted(url, route, label_studio, task_id, looked)
    return _copy_of(wanted, folder, download_resources)


def _is_file(path: str | Path) -> bool:
    # Unlike Path.is_file it takes any text, and what may not be looked at for no file.
    return os.path.isfile(path)  # noqa: PTH113


class _Wanted(NamedTuple):
    """A file that is not on this machine, and where it was looked for there."""

    url: str
    route: Route
    server: Server | None
    task_id: int | str | None
    looked: str

    def message(self, *clauses: str) -> str:
        return _message(self.url, (self.looked, *map(self._short, clauses)))

    def _short(self, clause: str) -> str:
        """Leave out a path that stands in front of the message; Label Studio shows 120 letters."""
        if self.server is None or isinstance(self.route, Web):
            return clause
        path = self.url.partition("?")[0].removeprefix(self.server.address)
        return clause.replace(f"{self.server.address}{path} ", f"{self.server.address} ")


def _error(url: str, *clauses: str) -> MediaError:
    return MediaError(_message(url, clauses))


def _message(url: str, clauses: Iterable[str]) -> str:
    return f"cannot fetch {shown(url)}: {'; '.join(dict.fromkeys(filter(None, clauses)))}"


def _copied(found: Path, kept: Path | None) -> Path:
    """Copy an upload into a folder under its own name; models find it there, as by the original."""
    if kept:
        kept.mkdir(parents=True, exist_ok=True)
        shutil.copy(found, kept)
    return found


def _cached(found: Path, kept: Path | None) -> Path:
    if kept is None:
        return found
    path = cache.path_of(kept, f"{found}", found.name)
    cache.keep_copy(path, found)
    return path


def _upload_folder(project_dir: str | None, image_dir: str | None) -> Path:
    if image_dir is not None:
        return Path(image_dir)
    if project_dir:
        return Path(project_dir) / "upload"
    if base := os.environ.get("LABEL_STUDIO_BASE_DATA_DIR"):
        return Path(base) / "media" / "upload"
    if sys.platform == "darwin":
        data = Path("~/Library/Application Support").expanduser()
    else:
        data = Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser()
    return data / "label-studio" / "media" / "upload"


def _upload(route: Upload, folder: Path) -> Path | None:
    *_, project, name = ("", *route.path.split("/"))
    if not project.isdecimal():
        return None
    for each in dict.fromkeys((name, unquote(name))):
        if "/" not in each and _is_file(path := folder / project / each):
            return path
    return None


def _root() -> tuple[str, Path] | None:
    """Return the variable that names the root for local files, and the root."""
    for name in _ROOT_VARIABLES:
        if text := os.environ.get(name):
            root = Path(os.path.realpath(text))
            # Below "/" every file would count as one that Label Studio serves.
            return None if root == Path(root.anchor) else (name, root)
    return None


def _local_file(url: str, route: LocalFile, named: tuple[str, Path]) -> Path | None:
    """Return a file below the root for local files; None if there is no such file."""
    variable, root = named
    if "\0" in route.path:
        return None
    path = Path(os.path.realpath(root / routes.inside(route.path)))
    if not path.is_relative_to(root):
        raise _error(url, f"it leads out of the folder of {variable}")
    return path if _is_file(path) else None


def _copy_of(wanted: _Wanted, folder: Path, download: bool) -> str:
    route, known = wanted.route, wanted.server
    remotes: tuple[str, ...] = ()
    if isinstance(route, Data):
        path = cache.path_of(folder, route.url, f"data{_extension(route)}")
    elif isinstance(route, Web):
        path = cache.path_of(folder, route.url, routes.name_of(route))
        remotes = (route.url,)
    else:
        if known is None:
            raise MediaError(wanted.message("no Label Studio is known", _no_address()))
        path = cache.path_of(folder, f"{known.address} {_key(route)}", routes.name_of(route))
        remotes = tuple(
            known.address + each.replace("#", "%23") for each in _remotes(wanted, route)
        )

    def write(file: BinaryIO) -> None:
        if isinstance(route, Data):
            _decode(wanted.url, route, file)
        else:
            _fetch(wanted, remotes, file)

    if download:
        try:
            cache.keep(path, write, known)
        except MediaError:
            raise
        except OSError as error:
            clause = f"no copy can be kept in {path.parent} ({error.strerror or error})"
            advice = "set XDG_CACHE_HOME to a folder that can be written"
            raise MediaError(wanted.message(clause, advice)) from None
    return str(path)


def _no_address() -> str:
    unusable = [name for name in VARIABLES[:3] if os.environ.get(name)]
    unusable = [name for name in unusable if not is_address(os.environ[name])]
    if unusable:
        return f"{unusable[0]} must begin with http:// or https://"
    return "set LABEL_STUDIO_URL to its address"


def _key(route: Upload | LocalFile | Stored | Served) -> str:
    """Return what stays the same where the address of a file changes."""
    if isinstance(route, Upload):
        return f"upload {unquote(route.path)}"
    if isinstance(route, LocalFile):
        return f"local file {routes.inside(route.path)}"
    return f"stored {route.uri}" if isinstance(route, Stored) else f"served {route.remote}"


def _remotes(wanted: _Wanted, route: Upload | LocalFile | Stored | Served) -> tuple[str, ...]:
    if isinstance(route, Upload):
        return route.remote
    if isinstance(route, LocalFile | Served) or route.remote:
        return (route.remote,)
    if wanted.task_id is None:
        clause = "Label Studio hands out files of cloud storages by task"
        advice = "call get_local_path(url, task_id=task['id'])"
        raise MediaError(wanted.message(clause, advice))
    return (routes.presign(wanted.task_id, route.uri),)


def _fetch(wanted: _Wanted, remotes: tuple[str, ...], file: BinaryIO) -> None:
    from label_studio_ml._media.download import Failure, fetch

    failures: list[Failure] = []
    for remote in remotes:
        try:
            return fetch(remote, wanted.server, file)
        except Failure as failure:
            failures.append(failure)
            # Only an answer that says nothing of tokens and connection leaves hope for the next.
            if failure.status in (0, 401):
                break
            file.seek(0)
            file.truncate()
    advice = next((failure.advice for failure in failures if failure.advice), "")
    advice = advice or _advice(wanted.route, failures[0])
    message = wanted.message(*(failure.clause for failure in failures), advice)
    raise failures[0].raised(message) from None


def _advice(route: Route, failure: "Failure") -> str:
    if not failure.status or isinstance(route, Web):
        return ""
    if isinstance(route, LocalFile):
        return (
            "its folder must be a local storage of the project and Label Studio run with "
            "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true; or set LOCAL_FILES_DOCUMENT_ROOT here, "
            "if the files are on this machine"
        )
    if isinstance(route, Stored):
        return (
            "the project needs a source storage for it, and the token's user must see the project"
        )
    return "the file must be there and the token's user see its project; is LABEL_STUDIO_URL right?"


def _extension(route: Data) -> str:
    media_type = route.url[len("data:") : route.url.index(",")].split(";")[0].strip().lower()
    return mimetypes.guess_extension(media_type or "text/plain") or ""


def _decode(url: str, route: Data, file: BinaryIO) -> None:
    head, _, body = route.url.partition(",")
    content = unquote_to_bytes(body)
    if head.lower().rstrip().endswith(";base64"):
        compact = b"".join(content.split())
        try:
            # Padding is often left out.
            content = base64.b64decode(compact + b"=" * (-len(compact) % 4), validate=True)
        except ValueError:
            raise _error(url, "it is no Base64") from None
    try:
        most = cache.max_bytes()
    except ValueError as error:
        raise _error(url, f"{error}") from None
    if len(content) > most:
        raise _error(url, "it is too large", f"set {cache.MAX_VARIABLE} to more MiB")
    file.write(content)
