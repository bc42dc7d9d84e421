"""Finds the file of this machine for what a task names."""

import base64
import mimetypes
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple
from urllib.parse import unquote, unquote_to_bytes

from label_studio_ml._media import cache, cache_eviction, files, limits, references
from label_studio_ml._media.label_studio_address import VARIABLES, Server, is_address, server
from label_studio_ml._media.references import (
    Data,
    Here,
    LocalFile,
    Reference,
    Served,
    Stored,
    Upload,
    Web,
    shown,
)
from label_studio_ml.exceptions import MediaError

if TYPE_CHECKING:
    from label_studio_ml._media.failures import Failure


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

    The author of a task's data chooses `url`: a file of this machine must lie below the root for
    local files (LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT), or be a copy or an upload.

    The parameters are those of label-studio-sdk and label-studio-tools. Copies are kept in
    `cache_dir`; uploads are looked for in `image_dir`, else in `project_dir/upload`, else in the
    folder of a Label Studio on this machine. `hostname` and `access_token` take precedence over the
    environment (LABEL_STUDIO_URL, LABEL_STUDIO_API_KEY), and that over /setup. With
    `download_resources=False` the path at which a copy would be kept is returned.

    Raises MediaError, a FileNotFoundError, which tells what was tried and what to set.
    """
    url = os.fspath(url)
    folder = Path(cache_dir) if cache_dir else cache_eviction.default_folder()
    images = _upload_folder(project_dir, image_dir)
    local = files.root()
    roots = [local.folder] if local and local.folder else []
    # A path that could be one of Label Studio may be one of this machine.
    is_path = "://" not in url and not url.startswith("data:")
    if is_path and (found := files.found(url, [*roots, folder, images])):
        return _named(url, found)
    try:
        label_studio = server(hostname, access_token)
    except ValueError as error:
        raise _error(url, f"{error}") from None
    reference = references.reference_of(url, label_studio.addresses if label_studio else ())
    if reference is None:
        why = "it is not a path of Label Studio and not an address"
        raise _error(url, files.nothing_here(), why, files.remedy() if _is_pathlike(url) else "")
    if isinstance(reference, Here):
        named = files.of_uri(reference.url)
        if named and (found := files.found(named, roots)):
            return str(found)
        raise _error(url, files.nothing_here(), files.remedy())
    kept = folder if cache_dir and download_resources else None
    looked = files.nothing_here() if isinstance(reference, Served | LocalFile) else ""
    if isinstance(reference, Upload):
        if found := _upload(reference, images):
            return str(_copied(found, images, kept))
        looked = f"it is not in {images}" if image_dir or project_dir else ""
    elif isinstance(reference, LocalFile) and local and local.folder:
        if found := _local_file(url, reference, local.folder, local.variable):
            return str(_cached(found, local.folder, kept))
        looked = f"it is not in {local.folder} ({local.variable})"
    wanted = _Wanted(url, reference, label_studio, task_id, looked)
    return _copy_of(wanted, reference, folder, download_resources)


def _is_pathlike(text: str) -> bool:
    """Tell whether a text may be meant as a path of this machine: `C:\\a.png`, `pics/a.png`, `a.png`."""
    return bool(re.search(r"[/\\]\S|^\S+\.\w{1,5}$", text))


def _named(url: str, found: Path) -> str:
    """Return a path as it was written; if links lead elsewhere, their end, since links may change."""
    cache_eviction.use(found)
    return url if os.path.abspath(url) == str(found) else str(found)  # noqa: PTH100


class _Wanted(NamedTuple):
    """A file that is not on this machine, and where on this machine it was looked for."""

    url: str
    reference: Reference
    server: Server | None
    task_id: int | str | None
    looked: str

    def message(self, *clauses: str) -> str:
        """Return what was tried, and last what most probably helps."""
        last = files.remedy() if references.may_be_here(self.reference) else ""
        return _message(self.url, (self.looked, *map(self._short, clauses), last))

    def _short(self, clause: str) -> str:
        """Leave out a path that the message begins with; Label Studio shows 120 characters."""
        if self.server is None or isinstance(self.reference, Web):
            return clause
        path = self.url.partition("?")[0].removeprefix(self.server.address)
        return clause.replace(f"{self.server.address}{path} ", f"{self.server.address} ")


def _error(url: str, *clauses: str) -> MediaError:
    return MediaError(_message(url, clauses))


def _message(url: str, clauses: Iterable[str]) -> str:
    return f"cannot fetch {shown(url)}: {'; '.join(dict.fromkeys(filter(None, clauses)))}"


def _opener(found: Path, below: Path) -> Callable[[], BinaryIO]:
    return lambda: files.opened(found, files.real(below) or below)


def _copied(found: Path, below: Path, kept: Path | None) -> Path:
    """Copy an upload into a folder under its own name, where models of the original look for it."""
    if kept:
        kept.mkdir(parents=True, exist_ok=True)
        with _opener(found, below)() as source, (kept / found.name).open("wb") as copy:
            shutil.copyfileobj(source, copy)
    return found


def _cached(found: Path, below: Path, kept: Path | None) -> Path:
    if kept is None:
        return found
    path = cache.path_of(kept, f"{found}", found.name)
    cache.keep_copy(path, _opener(found, below))
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


def _upload(reference: Upload, folder: Path) -> Path | None:
    *_, project, name = ("", *reference.path.split("/"))
    if not project.isdecimal():
        return None
    for each in dict.fromkeys((name, unquote(name))):
        if "/" not in each and (found := files.found(folder / project / each, [folder])):
            return found
    return None


def _local_file(url: str, reference: LocalFile, root: Path, variable: str) -> Path | None:
    """Return a file below the root for local files; None if there is no such file."""
    end = files.real(root / references.inside(reference.path))
    if end is None:
        return None
    if not end.is_relative_to(root):
        raise _error(url, f"it leads out of the folder of {variable}")
    return files.found(end, [root])


def _copy_of(
    wanted: _Wanted,
    reference: Data | Web | Upload | LocalFile | Stored | Served,
    folder: Path,
    download: bool,
) -> str:
    known = wanted.server
    remotes: tuple[str, ...] = ()
    if isinstance(reference, Data):
        path = cache.path_of(folder, reference.url, f"data{_extension(reference)}")
    elif isinstance(reference, Web):
        path = cache.path_of(folder, reference.url, references.name_of(reference))
        remotes = (reference.url,)
    else:
        if known is None:
            raise MediaError(wanted.message(*_no_address(reference)))
        path = cache.path_of(
            folder, f"{known.address} {_key(reference)}", references.name_of(reference)
        )
        remotes = tuple(
            known.address + each.replace("#", "%23") for each in _remotes(wanted, reference)
        )

    def write(file: BinaryIO) -> None:
        if isinstance(reference, Data):
            _decode(wanted.url, reference, file)
        else:
            _fetch(wanted, remotes, file)

    if download:
        try:
            limits.cache_bytes()
            cache.keep(path, write, known)
        except MediaError:
            raise
        except ValueError as error:
            raise MediaError(wanted.message(f"{error}")) from None
        except OSError as error:
            clause = f"no copy can be kept in {path.parent} ({error.strerror or error})"
            advice = "set XDG_CACHE_HOME to a folder that can be written"
            raise MediaError(wanted.message(clause, advice)) from None
    return str(path)


def _no_address(reference: Reference) -> tuple[str, ...]:
    """Return that no Label Studio is known, and what to set if it has the file."""
    unknown = "no Label Studio is known"
    unusable = [name for name in VARIABLES[:3] if os.environ.get(name)]
    unusable = [name for name in unusable if not is_address(os.environ[name])]
    if unusable:
        return unknown, f"{unusable[0]} must begin with http:// or https://"
    if references.may_be_here(reference):
        return (f"{unknown} (LABEL_STUDIO_URL is not set)",)
    has_token = bool(os.environ.get("LABEL_STUDIO_API_KEY"))
    token = (
        ""
        if has_token
        else ", and LABEL_STUDIO_API_KEY to a token of a user who can see the project"
    )
    return unknown, f"set LABEL_STUDIO_URL to its address{token}"


def _key(reference: Upload | LocalFile | Stored | Served) -> str:
    """Return a key of a file that stays the same when its address changes."""
    if isinstance(reference, Upload):
        return f"upload {unquote(reference.path)}"
    if isinstance(reference, LocalFile):
        return f"local file {references.inside(reference.path)}"
    return (
        f"stored {reference.uri}" if isinstance(reference, Stored) else f"served {reference.remote}"
    )


def _remotes(wanted: _Wanted, reference: Upload | LocalFile | Stored | Served) -> tuple[str, ...]:
    if isinstance(reference, Upload):
        return reference.remote
    if isinstance(reference, LocalFile | Served) or reference.remote:
        return (reference.remote,)
    if wanted.task_id is None:
        clause = "Label Studio hands out files of cloud storages by task"
        advice = "call get_local_path(url, task_id=task['id'])"
        raise MediaError(wanted.message(clause, advice))
    return (references.presign(wanted.task_id, reference.uri),)


def _fetch(wanted: _Wanted, remotes: tuple[str, ...], file: BinaryIO) -> None:
    from label_studio_ml._media.download import fetch
    from label_studio_ml._media.failures import Failure

    failures: list[Failure] = []
    for remote in remotes:
        try:
            return fetch(remote, wanted.server, file)
        except Failure as failure:
            failures.append(failure)
            # After a refused token or a broken connection the next address would fail too.
            if failure.status in (0, 401):
                break
            file.seek(0)
            file.truncate()
    advice = next((failure.advice for failure in failures if failure.advice), "")
    advice = advice or _advice(wanted.reference, failures[0])
    message = wanted.message(*(failure.clause for failure in failures), advice)
    raise failures[0].raised(message) from None


def _advice(reference: Reference, failure: "Failure") -> str:
    if not failure.status or isinstance(reference, Web):
        return ""
    if isinstance(reference, Served) and not reference.remote.startswith("/data/"):
        return ""
    if isinstance(reference, LocalFile):
        return (
            "its folder must be a local storage of the project and Label Studio run with "
            "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true"
        )
    if isinstance(reference, Stored):
        return (
            "the project needs a source storage for it, and the token's user must see the project"
        )
    return "the file must be there and the token's user see its project; is LABEL_STUDIO_URL right?"


def _extension(reference: Data) -> str:
    media_type = (
        reference.url[len("data:") : reference.url.index(",")].split(";")[0].strip().lower()
    )
    return mimetypes.guess_extension(media_type or "text/plain") or ""


def _decode(url: str, reference: Data, file: BinaryIO) -> None:
    head, _, body = reference.url.partition(",")
    content = unquote_to_bytes(body)
    if head.lower().rstrip().endswith(";base64"):
        compact = b"".join(content.split())
        try:
            # Padding is often left out.
            content = base64.b64decode(compact + b"=" * (-len(compact) % 4), validate=True)
        except ValueError:
            raise _error(url, "it is not Base64") from None
    try:
        most = limits.max_bytes()
    except ValueError as error:
        raise _error(url, f"{error}") from None
    if len(content) > most:
        raise _error(url, "it is too large", f"set {limits.MAX_VARIABLE} to more MiB")
    file.write(content)
