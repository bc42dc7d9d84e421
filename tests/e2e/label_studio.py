"""A real Label Studio for tests: installed from the index, headless, on loopback, with SQLite.

`LabelStudio` is the process. Requests to it are in `rest.py`.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from types import TracebackType

from rest import Api, LegacyToken, PersonalToken

sys.path.append(str(Path(__file__).resolve().parent.parent / "conformance"))
from services import Service, ServiceError, cache_dir, ensure_venv, free_port

__all__ = ["OLDER_VERSION", "VERSION", "LabelStudio", "ServiceError", "User", "python_for_older"]

VERSION = "1.23.2"
#: The release of February 2022. It is yanked, but pip installs a yanked version that is pinned.
OLDER_VERSION = "1.4.1"

_OLDER_PYTHONS = ("3.8", "3.9")
_START_TIMEOUT = 240.0  # seconds


@dataclass(frozen=True)
class User:
    """The one user that Label Studio makes at its first start."""

    email: str
    password: str
    token: str

    @classmethod
    def any(cls) -> User:
        return cls("e2e@example.com", secrets.token_hex(12), secrets.token_hex(20))


@cache
def python_for_older() -> str | None:
    """An interpreter that can run OLDER_VERSION: from the PATH, or one of pyenv's."""
    for version in _OLDER_PYTHONS:
        of_pyenv = (Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python")
        for candidate in (f"python{version}", *map(str, sorted(of_pyenv))):
            if shutil.which(candidate) and _can_make_venv(candidate):
                return candidate
    return None


def _can_make_venv(python: str) -> bool:
    # The command on the PATH may be a shim for a version that is not selected.
    command = [python, "-c", "import ensurepip, sqlite3, venv"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _fast_folder() -> str | None:
    """Memory for the database, where there is enough: each of its commits waits for the disk."""
    folder = Path("/dev/shm")
    if os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > 2**29:
        return str(folder)
    return None


class LabelStudio:
    """The server process, with a data folder that goes when it stops.

    The first start of a release spends half a minute on the tables of an empty database. That
    database is kept beside the environment; each start begins with a copy of it and its user.
    """

    def __init__(
        self,
        version: str = VERSION,
        *,
        venv: Path | None = None,
        port: int | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._version = version
        self._venv = venv or cache_dir() / f"label-studio-{version}"
        self._template = self._venv / "empty-database"
        self._port = port or free_port()
        self._env = dict(env or {})
        self._data = tempfile.TemporaryDirectory(
            prefix="label-studio-data-", dir=_fast_folder(), ignore_cleanup_errors=True
        )
        self._service: Service | None = None
        self._personal_token: str | None = None
        self.url = f"http://127.0.0.1:{self._port}"
        self.user = User.any()

    @property
    def _is_older(self) -> bool:
        return self._version == OLDER_VERSION

    def install(self) -> None:
        """Make the environment and an empty database, unless they are there already."""
        python = python_for_older() if self._is_older else sys.executable
        if python is None:
            raise ServiceError(f"Label Studio {self._version} needs Python 3.8 or 3.9")
        ensure_venv(self._venv, f"label-studio-{self._version}", python)
        if not self._template.exists():
            self._run()
            self._keep_template()
            self._stop()
            self._database().unlink()

    def start(self) -> None:
        """Start and wait until it answers."""
        user = json.loads((self._template / "user.json").read_text(encoding="utf-8"))
        self.user = User(**user)
        shutil.copyfile(self._template / "label_studio.sqlite3", self._database())
        self._run()

    def restart(self, **env: str) -> None:
        """Stop, and start with other variables; its data stays."""
        self._stop()
        self._env.update(env)
        self._run()

    def _run(self) -> None:
        command = [
            *(str(self._venv.resolve() / "bin" / "label-studio"), "start", "--no-browser"),
            *("--internal-host", "127.0.0.1", "--port", str(self._port)),
            *("--data-dir", self._data.name),
            *("--username", self.user.email, "--password", self.user.password),
            *("--user-token", self.user.token),
        ]
        if not self._is_older:
            command.append("--enable-legacy-api-token")
        self._service = Service(
            command,
            port=self._port,
            log=Path(self._data.name) / "console.log",
            ready_path="/api/version",
            ready_timeout=_START_TIMEOUT,
            cwd=Path(self._data.name),
            env=self._environment(),
        )
        self._service.start()

    def _environment(self) -> dict[str, str]:
        return {
            "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
            # Both are needed for a backend on loopback: without the second the backend is
            # accepted and then its webhook is refused.
            "ML_BLOCK_LOCAL_IP": "false",
            "SSRF_PROTECTION_ENABLED": "false",
            "COLLECT_ANALYTICS": "false",
            "LATEST_VERSION_CHECK": "false",
            "SENTRY_DSN": "",
            "FRONTEND_SENTRY_DSN": "",
            "LABEL_STUDIO_HOST": self.url,
            # Otherwise its log takes half of its time.
            "LOG_LEVEL": "WARNING",
            **self._env,
        }

    def _database(self) -> Path:
        return Path(self._data.name) / "label_studio.sqlite3"

    def _keep_template(self) -> None:
        """Keep the database as it is now; in one step, so that nobody ever finds half of it."""
        with tempfile.TemporaryDirectory(dir=self._venv, ignore_cleanup_errors=True) as folder:
            draft = Path(folder) / "template"
            draft.mkdir()
            with (
                closing(sqlite3.connect(self._database())) as database,
                closing(sqlite3.connect(draft / "label_studio.sqlite3")) as copy,
            ):
                database.backup(copy)
            (draft / "user.json").write_text(json.dumps(asdict(self.user)), encoding="utf-8")
            if not self._template.exists():
                draft.replace(self._template)

    def api(self, kind: str = "legacy") -> Api:
        """A client with a token of one kind: `legacy` or `personal`."""
        if kind == "legacy":
            return Api(self.url, LegacyToken(self.user.token))
        return Api(self.url, PersonalToken(self.url, self.token(kind)))

    def token(self, kind: str) -> str:
        """What a user would copy from the account page; a personal one is made once."""
        if kind == "legacy":
            return self.user.token
        if self._personal_token is None:
            self._personal_token = PersonalToken.make(self.url, self.user.email, self.user.password)
        return self._personal_token

    def log_tail(self) -> str:
        """The end of what Label Studio printed."""
        return self._service.log_tail() if self._service else ""

    def _stop(self) -> None:
        if self._service is not None:
            self._service.stop()

    def stop(self) -> None:
        """Stop the process and remove its data."""
        self._stop()
        self._data.cleanup()

    def __enter__(self) -> LabelStudio:
        self.install()
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


if __name__ == "__main__":
    # Installs it, so that tests need not wait for that.
    _studio = LabelStudio()
    try:
        _studio.install()
    finally:
        _studio.stop()
