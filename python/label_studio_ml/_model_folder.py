"""Trained versions as folders below MODEL_DIR, in the layout that the server reads and writes.

    MODEL_DIR/<project>/<version>/   train_data.json or event.json, job_result.json, files of fit
    MODEL_DIR/<job>/                 a webhook's job of the original: event.json, job_result.json

A folder counts as a version once it holds `job_result.json`, which is renamed into place after
everything else in the folder reached the disk: a kill at any moment leaves the version before.
"""

import dataclasses
import fcntl
import json
import logging
import math
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

RESULT = "job_result.json"
EVENT = "event.json"
TASKS = "train_data.json"
#: What a job starts from: one of these.
INPUTS = (EVENT, TASKS)
#: In the folder of a version that could not be loaded: why. Such a version is not served.
REFUSED = "refused.txt"

#: The server's own folder below MODEL_DIR.
_OWN = ".label-studio-ml"
_LONGEST_NAME = 200
#: Later than this no job can follow.
_LARGEST_ID = 2**63 - 2

logger = logging.getLogger(__name__)


def project_folder(model_dir: Path, project: str) -> Path:
    """Return the folder of a project; MODEL_DIR itself for no project.

    A project key is never a path: bytes other than plain characters of a file name are escaped as
    `%XX`. Raises ValueError for a key that is too long to name a folder.
    """
    plain = b"_-"
    name = "".join(
        chr(byte)
        if chr(byte).isascii()
        and (chr(byte).isalnum() or byte in plain or (byte == ord(".") and position))
        else f"%{byte:02X}"
        for position, byte in enumerate(project.encode("utf-8", "surrogatepass"))
    )
    if len(name) > _LONGEST_NAME:
        raise ValueError(f"a project key of {len(project)} characters is too long for a folder")
    return model_dir / name


def project_key(data: Any) -> str:
    """Return the key `{id}.{time of creation}` of the project that a webhook payload is about.

    It is the bare id if the payload does not tell the time, and "" if it names no project.
    """
    project = data.get("project") if isinstance(data, Mapping) else None
    if not isinstance(project, Mapping):
        return ""
    number = project.get("id")
    if isinstance(number, bool) or not isinstance(number, int | str):
        return ""
    try:
        # Python 3.10 does not know the Z of UTC.
        created = datetime.fromisoformat(str(project.get("created_at")).replace("Z", "+00:00"))
    except ValueError:
        return str(number)
    if created.tzinfo is None:
        return str(number)
    return f"{number}.{math.floor(created.timestamp())}"


def versions(model_dir: Path, project: str) -> dict[int, Path]:
    """Return the versions of a project that can be served, newest first: id → folder."""
    own = project_folder(model_dir, project)
    found = {}
    if own != model_dir:
        shared = _finished(model_dir).items()
        found = {number: folder for number, folder in shared if _belongs_to(folder, project)}
    found.update(_finished(own))
    return {number: found[number] for number in sorted(found, reverse=True)}


def current(model_dir: Path, project: str) -> dict[int, Path]:
    """Return the versions of a project, newest first, from the one on that a server would serve.

    That is the newest one, unless somebody went back to another and no newer one came since.
    """
    found = versions(model_dir, project)
    # No other key gives the name "%".
    name = project_folder(Path(), project).name or "%"
    try:
        choice = read(model_dir / _OWN / "active" / f"{name}.json")
        chosen, instead_of = choice["version"], choice["instead_of"]
        if max(found, default=0) <= instead_of:
            found = {number: folder for number, folder in found.items() if number <= chosen}
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return found


def next_id(model_dir: Path, project: str) -> int:
    """Return the time in seconds, or what follows the newest job if the clock is not past that."""
    jobs = _job_folders(model_dir).keys() | _job_folders(project_folder(model_dir, project)).keys()
    return max(int(time.time()), max(jobs, default=0) + 1)


@contextmanager
def without_a_server(model_dir: Path) -> Iterator[None]:
    """Keep servers from becoming the owner of a model folder for the time of a `with`.

    An owner numbers its jobs by itself, and would clear the folder of a job that it did not make.
    Raises RuntimeError if there is one already.
    """
    try:
        lock = (model_dir / _OWN / "lock").open()
    except FileNotFoundError:
        yield
        return
    with lock:
        try:
            # Shared: several processes may train at the same time, as long as no server does.
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = lock.read().strip()
            raise RuntimeError(
                f"{model_dir}: a server (pid {pid}) trains in this model folder; "
                "send it /train or /webhook, or stop it first"
            ) from None
        except OSError as error:
            logger.warning("%s: this disk knows no locks: %s", model_dir, error)
        yield


def claim(parent: Path, number: int) -> tuple[int, Path]:
    """Make the folder of a new job, named `number` or the next number that nobody else took."""
    parent.mkdir(parents=True, exist_ok=True)
    while True:
        folder = parent / str(number)
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
        else:
            return number, folder


def write_tasks(folder: Path, tasks: Iterable[Any]) -> None:
    """Write what a training starts from, and how much it is."""
    tasks = [as_json(task) for task in tasks]
    write_json(folder / TASKS, tasks, ensure_ascii=False)
    write_json(folder / "train_data_info.json", {"count": len(tasks)})


def write_json(path: Path, value: Any, **options: Any) -> None:
    # A lone surrogate has no UTF-8, and what replaces it is its escape in JSON too.
    with path.open("w", encoding="utf-8", errors="backslashreplace") as file:
        json.dump(value, file, **options)


def publish(folder: Path, result: Any, name: str = RESULT) -> None:
    """Make the folder of a job a version. After this returns, every later start finds it."""
    text = json.dumps(as_json(result))
    for path in folder.rglob("*"):
        if not path.is_symlink() and (path.is_dir() or path.is_file()):
            _sync(path)
    _sync(folder)
    _sync(folder.parent)
    staged = folder / f".{name}.{os.getpid()}"
    try:
        staged.write_text(text, encoding="utf-8")
        _sync(staged)
        staged.replace(folder / name)
    finally:
        staged.unlink(missing_ok=True)
    try:
        _sync(folder)
    except OSError as error:
        # Readers see it, so it counts.
        logger.warning("%s may be lost if the machine stops now: %s", folder / name, error)


def _sync(path: Path) -> None:
    """Bring a file, or the entries of a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read(path: Path) -> Any:
    """Return the content of a JSON file. Raises OSError or ValueError."""
    return json.loads(path.read_bytes())


def is_wrapped(result: Any) -> bool:
    """Tell whether a result holds what fit returned under `train_output`, or is it itself.

    Webhook jobs of the original stored it bare.
    """
    if not isinstance(result, Mapping):
        return False
    return result.get("workdir") is not None and result.get("version") is not None


def train_output(result: Any) -> Any:
    """Return what fit returned, given the content of `job_result.json`."""
    return result.get("train_output") if is_wrapped(result) else result


def _job_folders(folder: Path) -> dict[int, Path]:
    """Return folders of jobs, finished or not.

    A folder whose name is a number may also be a project's, or nobody's: one of a job holds what
    the job started from, or what it made.
    """
    try:
        entries = list(folder.iterdir())
    except OSError:
        return {}
    return {
        int(entry.name): entry
        for entry in entries
        if entry.name.isascii()
        and entry.name.isdigit()
        and int(entry.name) <= _LARGEST_ID
        and any((entry / name).exists() for name in (RESULT, *INPUTS))
    }


def _finished(folder: Path) -> dict[int, Path]:
    return {
        number: job
        for number, job in _job_folders(folder).items()
        if (job / RESULT).is_file() and not (job / REFUSED).exists()
    }


def _belongs_to(folder: Path, project: str) -> bool:
    """Tell whether a folder directly below MODEL_DIR is this project's.

    `event.json` names the project; where it names none, a bare result is everybody's.
    """
    try:
        content = (folder / EVENT).read_bytes()
    except OSError:
        return False
    try:
        number = json.loads(content)["data"]["project"]["id"]
    except (ValueError, KeyError, TypeError):
        number = None
    if isinstance(number, int) and not isinstance(number, bool):
        return project.split(".")[0] == str(number)
    try:
        return not is_wrapped(read(folder / RESULT))
    except ValueError:
        return True
    except OSError:
        return False


def as_json(value: Any) -> Any:
    """Return what a model made as plain values of JSON, as the server would store it.

    NumPy scalars and arrays, paths, dataclasses and pydantic models are taken; NaN and infinities,
    which are no JSON, become None. Raises TypeError for anything else.
    """
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {_key(key): as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return as_json(dataclasses.asdict(value))
    # `tolist` of NumPy also turns a scalar into a plain number.
    for method in ("tolist", "model_dump"):
        if hasattr(value, method):
            return as_json(getattr(value, method)())
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def _key(key: Any) -> Any:
    """Return a key that `json` takes; labels are often counted in NumPy's integers."""
    return key.item() if hasattr(key, "item") else key


def began(folder: Path) -> datetime | None:
    """Return when a job began; None if the folder is none of a job."""
    moments = [_moment(folder / name) for name in INPUTS]
    return next((moment for moment in moments if moment), None)


def ended(folder: Path) -> datetime | None:
    """Return when a job left its result; None if it did not."""
    return _moment(folder / RESULT)


def _moment(path: Path) -> datetime | None:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, timezone.utc)
    except OSError:
        return None
