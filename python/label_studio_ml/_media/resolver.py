"""From what a task names to a file of this machine."""

import base64
import mimetypes
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
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
    if not url.startswith("data:") and os.path.isfile(url):  # noqa: PTH113 - takes any text
        return url
    try:
        label_studio = server(hostname, access_token)
    except ValueError as error:
        raise MediaError(f"cannot fetch {shown(url)}: {error}") from None
    route = routes.route_of(url, label_studio.addresses if label_studio else ())
    if route is None:
        raise MediaError(
            f"cannot fetch {shown(url)}: it is no file of this machine, no path of Label Studio and "
            "no address"
        )
    folder = Path(cache_dir) if cache_dir else cache.default_folder()
    kept = folder if cache_dir and download_resources else None
    found = _on_this_machine(url, route, kept, project_dir, image_dir)
    if found is not None:
        return str(found)
    return _copy_of(url, route, label_studio, folder, download_resources, task_id)


def _on_this_machine(
    url: str, route: Route, kept: Path | None, project_dir: str | None, image_dir: str | None
) -> Path | None:
    if isinstance(route, Upload):
        found = _upload(route, _upload_folder(project_dir, image_dir))
        if found and kept:
            kept.mkdir(parents=True, exist_ok=True)
            shutil.copy(found, kept)
        return found
    if isinstance(route, LocalFile):
        found = _local_file(url, route)
        if found and kept:
            path = cache.path_of(kept, f"{found}", found.name)
            cache.keep_copy(path, found)
            return path
        return found
    return None


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
        if "/" not in each and "\0" not in each and (path := folder / project / each).is_file():
            return path
    return None


def _local_file(url: str, route: LocalFile) -> Path | None:
    """Return a file below the root for local files; None if there is no root, or no such file."""
    found = next(
        ((name, os.environ[name]) for name in _ROOT_VARIABLES if os.environ.get(name)), None
    )
    if found is None:
        return None
    variable, text = found
    root = Path(text).resolve()
    # Below "/" every file would count as one that Label Studio serves.
    if root == Path(root.anchor) or "\0" in route.path:
        return None
    path = (root / routes.inside(route.path)).resolve()
    if not path.is_relative_to(root):
        raise MediaError(f"cannot fetch {shown(url)}: it leads out of the folder of {variable}")
    return path if path.is_file() else None


def _copy_of(
    url: str,
    route: Route,
    label_studio: Server | None,
    folder: Path,
    download: bool,
    task_id: int | str | None,
) -> str:
    if isinstance(route, Data):
        path = cache.path_of(folder, route.url, f"data{_extension(route)}")
        return _kept(url, path, lambda file: _decode(url, route, file), download, None)
    if isinstance(route, Web):
        path = cache.path_of(folder, route.url, routes.name_of(route))
        remotes: tuple[str, ...] = (route.url,)
    else:
        if label_studio is None:
            raise MediaError(
                f"cannot fetch {shown(url)}: no Label Studio is known; {_no_address()}"
            )
        path = cache.path_of(folder, f"{label_studio.address} {_key(route)}", routes.name_of(route))
        remotes = tuple(_absolute(label_studio, each) for each in _remotes(url, route, task_id))

    def write(file: BinaryIO) -> None:
        _fetch(url, route, remotes, label_studio, file)

    return _kept(url, path, write, download, label_studio)


def _kept(
    url: str, path: Path, write: Callable[[BinaryIO], None], download: bool, who: Server | None
) -> str:
    if download:
        try:
            cache.keep(path, write, who)
        except MediaError:
            raise
        except OSError as error:
            raise MediaError(
                f"cannot fetch {shown(url)}: no copy can be kept in {path.parent} "
                f"({error.strerror or error}); set XDG_CACHE_HOME to a folder that can be written"
            ) from None
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


def _remotes(
    url: str, route: Upload | LocalFile | Stored | Served, task_id: int | str | None
) -> tuple[str, ...]:
    if isinstance(route, Upload):
        return route.remote
    if isinstance(route, LocalFile | Served) or route.remote:
        return (route.remote,)
    if task_id is None:
        raise MediaError(
            f"cannot fetch {shown(url)}: Label Studio hands out files of cloud storages by task; call "
            "get_local_path(url, task_id=task['id'])"
        )
    return (routes.presign(task_id, route.uri),)


def _absolute(label_studio: Server, remote: str) -> str:
    return label_studio.address + remote.replace("#", "%23")


def _fetch(
    url: str,
    route: Route,
    remotes: tuple[str, ...],
    label_studio: Server | None,
    file: BinaryIO,
) -> None:
    from label_studio_ml._media.download import Failure, fetch

    failures: list[Failure] = []
    for remote in remotes:
        try:
            return fetch(remote, label_studio, file)
        except Failure as failure:
            failures.append(failure)
            # Only an answer that says nothing of tokens and connection leaves hope for the next.
            if failure.status in (0, 401):
                break
            file.seek(0)
            file.truncate()
    first = failures[0]
    clauses = "; ".join(dict.fromkeys(failure.clause for failure in failures))
    advice = next((failure.advice for failure in failures if failure.advice), _advice(route, first))
    raise first.raised(f"cannot fetch {shown(url)}: {clauses}{advice and f'; {advice}'}") from None


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
            raise MediaError(f"cannot read {shown(url)}: it is no Base64") from None
    try:
        most = cache.max_bytes()
    except ValueError as error:
        raise MediaError(f"cannot read {shown(url)}: {error}") from None
    if len(content) > most:
        variable = cache.MAX_VARIABLE
        raise MediaError(f"cannot read {shown(url)}: it is too large; set {variable} to more MiB")
    file.write(content)
