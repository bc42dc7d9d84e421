"""Where `self.get` and `self.set` of models keep their values.

A cache maps `(project id, key)` to a string. `SqliteCache` keeps it in `MODEL_DIR/cache.db`, in the
form that the original uses, so that going back to that loses nothing. Inside a worker of a server
the server alone writes that file, and `HostedCache` asks it.
"""

import os
import weakref
from abc import ABC, abstractmethod
from threading import Lock
from typing import Any

from label_studio_ml import _native

_TABLE = """
    CREATE TABLE IF NOT EXISTS cache (
        project_id TEXT NOT NULL,
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (project_id, key)
    )
"""

#: Seconds that another process which writes may hold us up.
_PATIENCE = 10.0


class BaseCache(ABC):
    """A cache at a path. Reading what is not there gives None."""

    def __init__(self, path: str) -> None:
        self.path = path

    @abstractmethod
    def __getitem__(self, project_id_key: tuple[Any, Any]) -> str | None:
        """Return the value of `(project id, key)`, or None."""

    @abstractmethod
    def __setitem__(self, project_id_key: tuple[Any, Any], value: str) -> None:
        """Keep a value. Raises ValueError for one that is no string."""

    @abstractmethod
    def __contains__(self, project_id_key: tuple[Any, Any]) -> bool:
        """Tell whether there is a value."""

    @abstractmethod
    def __delitem__(self, project_id_key: tuple[Any, Any]) -> None:
        """Forget a value, if there is one."""


class SqliteCache(BaseCache):
    """Keeps values in a SQLite file, which several processes may use at once.

    Every read asks the file, so all processes agree. It is opened when it is first used: a server
    that forks its workers afterwards must not share a connection with them.
    """

    def __init__(self, path: str, db_name: str = "cache.db") -> None:
        super().__init__(path)
        self.db_name = os.path.join(path, db_name)  # noqa: PTH118 - callers read a string
        self.lock = Lock()
        self._connection: Any = None
        self._pid = 0
        self._inherited: list[Any] = []
        cache = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _renew_lock(cache))

    def __getitem__(self, project_id_key: tuple[Any, Any]) -> str | None:
        row = self._run("SELECT value FROM cache WHERE project_id = ? AND key = ?", *project_id_key)
        return None if row is None else str(row[0])

    def __setitem__(self, project_id_key: tuple[Any, Any], value: str) -> None:
        require_text(value)
        self._run(
            "REPLACE INTO cache (project_id, key, value) VALUES (?, ?, ?)", *project_id_key, value
        )

    def __contains__(self, project_id_key: tuple[Any, Any]) -> bool:
        found = self._run("SELECT 1 FROM cache WHERE project_id = ? AND key = ?", *project_id_key)
        return found is not None

    def __delitem__(self, project_id_key: tuple[Any, Any]) -> None:
        self._run("DELETE FROM cache WHERE project_id = ? AND key = ?", *project_id_key)

    def _run(self, statement: str, *values: Any) -> Any:
        with self.lock:
            return self._open().execute(statement, values).fetchone()

    def _open(self) -> Any:
        import sqlite3

        if self._pid == os.getpid():
            return self._connection
        if self._connection is not None:
            # The parent's: closing it here could take away what the parent still needs.
            self._inherited.append(self._connection)
        os.makedirs(self.path, exist_ok=True)  # noqa: PTH103 - the path is a string
        connection = sqlite3.connect(
            self.db_name, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
        )
        connection.execute(_TABLE)
        self._connection, self._pid = connection, os.getpid()
        return connection


def _renew_lock(cache: "weakref.ref[SqliteCache]") -> None:
    """In a forked child: the thread that held the lock, if one did, is not there."""
    forked = cache()
    if forked is not None:
        forked.lock = Lock()


class HostedCache(BaseCache):
    """Asks the server of this worker process; where that keeps nothing for it, the file."""

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
        # MODEL_DIR may have been settled after this module was imported.
        path = os.environ.get("MODEL_DIR") or self.path
        if self._file is None or self._file.path != path:
            self._file = SqliteCache(path)
        return self._file


def require_text(value: Any) -> None:
    if not isinstance(value, str):
        raise ValueError("Value must be a string")


def create_cache(cache_type: str, path: str, **kwargs: Any) -> BaseCache:
    """Return a cache of a type; `sqlite` is the only one. Raises ValueError for another."""
    if cache_type != "sqlite":
        raise ValueError(f"unsupported cache type {cache_type!r}: `sqlite` is the only one")
    return SqliteCache(path, **kwargs)


def default_cache() -> BaseCache:
    """Return the cache of this process, as CACHE_TYPE and MODEL_DIR say."""
    path = os.environ.get("MODEL_DIR", ".")
    cache = create_cache(os.environ.get("CACHE_TYPE", "sqlite"), path)
    return HostedCache(path) if _native.is_hosted() else cache
