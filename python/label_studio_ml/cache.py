"""Where `self.get` and `self.set` of models keep their values.

A cache maps `(project id, key)` to a string. `SqliteCache` keeps it in `MODEL_DIR/cache.db`, in the
format of the original, so that going back to the original loses nothing. Inside a worker process
only the server writes that file, and `HostedCache` asks the server.
"""

import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from label_studio_ml import _native
from label_studio_ml._original import names as _names

if not TYPE_CHECKING:
    __getattr__ = _names.getter(__name__)


class BaseCache(ABC):
    """A cache at a path. Reading a key that is not there returns None."""

    def __init__(self, path: str) -> None:
        self.path = path

    @abstractmethod
    def __getitem__(self, project_id_key: tuple[Any, Any]) -> str | None:
        """Return the value of `(project id, key)`, or None."""

    @abstractmethod
    def __setitem__(self, project_id_key: tuple[Any, Any], value: str) -> None:
        """Keep a value. Raises ValueError if it is not a string."""

    @abstractmethod
    def __contains__(self, project_id_key: tuple[Any, Any]) -> bool:
        """Tell whether there is a value."""

    @abstractmethod
    def __delitem__(self, project_id_key: tuple[Any, Any]) -> None:
        """Forget a value, if there is one."""


class SqliteCache(BaseCache):
    """Keeps values in a SQLite file, which several processes may use at once.

    Every read asks the file, so all processes agree. It is opened when it is first used, and closed
    before the process forks: parent and child each open it again.
    """

    def __init__(self, path: str, db_name: str = "cache.db") -> None:
        super().__init__(path)
        self.db_name = os.path.join(path, db_name)  # noqa: PTH118 - callers read a string
        self._file = _native.KeyFile(self.db_name)

    def use_folder(self, path: str) -> None:
        """Keep values in another folder from now on."""
        self.path = path
        self.db_name = os.path.join(path, Path(self.db_name).name)  # noqa: PTH118
        self._file = _native.KeyFile(self.db_name)

    def __getitem__(self, project_id_key: tuple[Any, Any]) -> str | None:
        return self._file.get(*map(str, project_id_key))

    def __setitem__(self, project_id_key: tuple[Any, Any], value: str) -> None:
        require_text(value)
        project, key = map(str, project_id_key)
        self._file.set(project, key, value)

    def __contains__(self, project_id_key: tuple[Any, Any]) -> bool:
        return self[project_id_key] is not None

    def __delitem__(self, project_id_key: tuple[Any, Any]) -> None:
        self._file.delete(*map(str, project_id_key))


class HostedCache(BaseCache):
    """Asks the server of this worker process; if the server keeps no values for it, uses the file."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._file: SqliteCache | None = None

    def __getitem__(self, project_id_key: tuple[Any, Any]) -> str | None:
        kept, value = self._ask("get", project_id_key)
        return value if kept else self._own()[project_id_key]

    def __setitem__(self, project_id_key: tuple[Any, Any], value: str) -> None:
        require_text(value)
        if not self._ask("set", project_id_key, value)[0]:
            self._own()[project_id_key] = value

    def __contains__(self, project_id_key: tuple[Any, Any]) -> bool:
        kept, value = self._ask("has", project_id_key)
        return value is not None if kept else project_id_key in self._own()

    def __delitem__(self, project_id_key: tuple[Any, Any]) -> None:
        if not self._ask("delete", project_id_key)[0]:
            del self._own()[project_id_key]

    def _ask(
        self, what: str, project_id_key: tuple[Any, Any], value: str | None = None
    ) -> tuple[bool, str | None]:
        project_id, key = project_id_key
        return _native.ask_key(what, str(project_id), str(key), value)

    def _own(self) -> SqliteCache:
        # MODEL_DIR may have been set after this module was imported.
        path = os.environ.get("MODEL_DIR") or self.path
        if self._file is None or self._file.path != path:
            self._file = SqliteCache(path)
        return self._file


def require_text(value: Any) -> None:
    if not isinstance(value, str):
        raise ValueError("Value must be a string")


def create_cache(cache_type: str, path: str, **kwargs: Any) -> BaseCache:
    """Return a cache of a type; `sqlite` is the only one, ValueError for any other."""
    if cache_type != "sqlite":
        raise ValueError(f"unsupported cache type {cache_type!r}: `sqlite` is the only one")
    return SqliteCache(path, **kwargs)


def default_cache() -> BaseCache:
    """Return the cache of this process, as CACHE_TYPE and MODEL_DIR say."""
    path = os.environ.get("MODEL_DIR", ".")
    cache = create_cache(os.environ.get("CACHE_TYPE", "sqlite"), path)
    return HostedCache(path) if _native.is_hosted() else cache
