"""A real Label Studio for tests: installed from the index, headless, on loopback, with SQLite.

`LabelStudio` is the process, `Api` the part of its REST interface that an ML backend is about.
Every call states what it expects of the answer, so a test reads as the steps a user would do.
"""

from __future__ import annotations

import secrets
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

import requests

sys.path.append(str(Path(__file__).resolve().parent.parent / "conformance"))
from services import Service, ServiceError, cache_dir, ensure_venv, free_port

__all__ = ["VERSION", "Api", "ApiError", "LabelStudio", "ServiceError"]

VERSION = "1.23.2"
RETRIEVE_PREDICTIONS = "retrieve_tasks_predictions"


class ApiError(RuntimeError):
    """Label Studio answered with a status that was not expected."""


class Api:
    """Label Studio's REST interface, with a legacy token."""

    def __init__(self, url: str, token: str, timeout: float = 180.0) -> None:
        self.url = url
        self._timeout = timeout
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Authorization"] = f"Token {token}"

    def request(
        self,
        method: str,
        path: str,
        *,
        expect: tuple[int, ...] = (200,),
        json: object = None,
        params: dict[str, Any] | None = None,
    ) -> Any:
        """Send one request; return the parsed answer, or None where there is no body."""
        answer = self._session.request(
            method, self.url + path, json=json, params=params, timeout=self._timeout
        )
        if answer.status_code not in expect:
            raise ApiError(f"{method} {path}: {answer.status_code} {answer.text[:1000]}")
        return answer.json() if answer.content else None

    def version(self) -> str:
        """The release that is running."""
        return str(self.request("GET", "/api/version/")["release"])

    def create_project(self, title: str, label_config: str) -> int:
        """A new project; its id."""
        body = {"title": title, "label_config": label_config}
        return int(self.request("POST", "/api/projects", expect=(201,), json=body)["id"])

    def import_tasks(self, project: int, tasks: Iterable[dict[str, Any]]) -> list[int]:
        """Import `data` and `meta` of these tasks; their new ids, in the same order."""
        body = [{key: task[key] for key in ("data", "meta") if key in task} for task in tasks]
        answer = self.request(
            "POST",
            f"/api/projects/{project}/import",
            expect=(201,),
            json=body,
            params={"return_task_ids": "true"},
        )
        return [int(task) for task in answer["task_ids"]]

    def connect_backend(self, project: int, url: str, title: str, **fields: Any) -> dict[str, Any]:
        """Add an ML backend to a project: Label Studio checks /health and /setup itself."""
        body = {"project": project, "url": url, "title": title, **fields}
        backend: dict[str, Any] = self.request("POST", "/api/ml", expect=(201,), json=body)
        return backend

    def backend(self, backend: int) -> dict[str, Any]:
        """The row of an ML backend after a refresh (each look asks /health and /setup)."""
        row: dict[str, Any] = self.request("GET", f"/api/ml/{backend}")
        return row

    def webhook_urls(self, project: int) -> list[str]:
        """Where Label Studio sends the events of a project."""
        rows = self.request("GET", "/api/webhooks/", params={"project": project})
        return [row["url"] for row in rows if row["project"] == project]

    def retrieve_predictions(self, project: int) -> int:
        """The data manager's action on all tasks; how many tasks it says it went through."""
        answer = self.request(
            "POST",
            "/api/dm/actions",
            params={"id": RETRIEVE_PREDICTIONS, "project": project},
            json={"selectedItems": {"all": True, "excluded": []}},
        )
        return int(answer["processed_items"])

    def predictions(self, project: int) -> list[dict[str, Any]]:
        """All stored predictions of a project."""
        rows: list[dict[str, Any]] = self.request(
            "GET", "/api/predictions/", params={"project": project}
        )
        return rows

    def annotate(self, task: int, annotation: dict[str, Any]) -> int:
        """Submit (or, with `was_cancelled`, skip) a task; the id of the annotation."""
        body = {key: annotation[key] for key in ("result", "was_cancelled") if key in annotation}
        path = f"/api/tasks/{task}/annotations/"
        return int(self.request("POST", path, expect=(201,), json=body)["id"])


class LabelStudio:
    """The server process, with a data folder that goes when it stops."""

    def __init__(
        self, venv: Path | None = None, *, port: int | None = None, token: str | None = None
    ) -> None:
        self._venv = venv or cache_dir() / f"label-studio-{VERSION}"
        self._port = port or free_port()
        self._token = token or secrets.token_hex(20)
        self._data = tempfile.TemporaryDirectory(
            prefix="label-studio-data-", ignore_cleanup_errors=True
        )
        self._service: Service | None = None
        self.url = f"http://127.0.0.1:{self._port}"
        self.api = Api(self.url, self._token)

    def install(self) -> None:
        """Make the environment, unless it is there already."""
        ensure_venv(self._venv, [f"label-studio=={VERSION}"])

    def start(self, timeout: float = 240.0) -> None:
        """Start and wait until it answers; the first start makes the database."""
        command = [
            *(str(self._venv.resolve() / "bin" / "label-studio"), "start", "--no-browser"),
            *("--internal-host", "127.0.0.1", "--port", str(self._port)),
            *("--data-dir", self._data.name),
            *("--username", "e2e@example.com", "--password", secrets.token_hex(12)),
            *("--user-token", self._token, "--enable-legacy-api-token"),
        ]
        env = {
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
        }
        self._service = Service(
            command,
            port=self._port,
            log=Path(self._data.name) / "console.log",
            ready_path="/api/version/",
            ready_timeout=timeout,
            cwd=Path(self._data.name),
            env=env,
        )
        self._service.start()

    def log_tail(self) -> str:
        """The end of what Label Studio printed."""
        return self._service.log_tail() if self._service else ""

    def stop(self) -> None:
        """Stop the process and remove its data."""
        if self._service is not None:
            self._service.stop()
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
