"""A running ML backend, the requests the tests send to it, and its answers made comparable.

An answer is reduced to status, media type and body.  What may differ between any two runs
(versions, job ids, folders, the frames of a traceback) is replaced by a placeholder, so that two
servers can be compared with `==`.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import requests
from services import Service

NO_ANSWER = 0
"""The status of an answer that never came: the connection was closed."""

VERSION = "<version>"
ID = "<id>"

_CREATED = 1700000000
CREATED_AT = "2023-11-14T22:13:20.123456Z"
"""When every project was made: the key of project 7 is `7.1700000000`."""


@dataclass(frozen=True)
class Request:
    """One HTTP request.

    `@project` stands for the key of the project that a scenario uses and `@id` for its id (as a
    number); `@other` for the key of a second project.
    """

    method: str
    path: str
    json: object = None
    raw: bytes | None = None
    content_type: str | None = "application/json"

    def bound_to(self, project_id: int) -> Request:
        """The same request with the placeholders filled in."""
        key, other = f"{project_id}.{_CREATED}", f"{project_id}0.{_CREATED}"

        def fill(value: Any) -> Any:
            if value == "@id":
                return project_id
            if isinstance(value, str):
                return value.replace("@project", key).replace("@other", other)
            if isinstance(value, list):
                return [fill(item) for item in value]
            if isinstance(value, dict):
                return {name: fill(item) for name, item in value.items()}
            return value

        raw = self.raw.replace(b"@project", key.encode()) if self.raw is not None else None
        return replace(self, path=fill(self.path), json=fill(self.json), raw=raw)


@dataclass(frozen=True)
class Answer:
    """What came back, with the volatile parts replaced."""

    status: int
    body: Any = None
    media_type: str = ""
    allow: tuple[str, ...] = ()

    versions: tuple[str, ...] = field(default=(), compare=False, repr=False)
    """The version strings as they came."""
    job: str = field(default="", compare=False, repr=False)
    """The job id as it came."""


class Settle(Protocol):
    """Waits until what a training event started is over."""

    def __call__(self, backend: Backend, answer: Answer, result: bool) -> None:
        """`result`: whether upstream's training leaves one."""


@dataclass
class Backend:
    """A server under test."""

    name: str
    service: Service
    model_dir: Path
    settle: Settle

    def send(self, request: Request) -> Answer:
        """Send a request and reduce its answer."""
        body = request.raw
        if body is None and request.method in ("POST", "PUT", "DELETE"):
            body = json.dumps(request.json).encode() if request.json is not None else b""
        headers = {"Content-Type": request.content_type} if body and request.content_type else {}
        with requests.Session() as session:
            session.trust_env = False
            try:
                answer = session.request(
                    request.method,
                    self.service.url + request.path,
                    data=body,
                    headers=headers,
                    timeout=60,
                    allow_redirects=False,
                )
            except requests.ConnectionError:
                return Answer(NO_ANSWER)
        return self._reduce(answer)

    def _reduce(self, answer: requests.Response) -> Answer:
        media_type = answer.headers.get("Content-Type", "").split(";")[0].strip()
        allow = sorted(part.strip() for part in answer.headers.get("Allow", "").split(","))
        body: Any = answer.text
        versions: tuple[str, ...] = ()
        job = ""
        if media_type == "application/json" and answer.content:
            body = answer.json()
            if isinstance(body, dict):
                versions = _versions_in(body)
                job = str(body.get("job_id") or body.get("job") or "")
            body = self.comparable(body)
        return Answer(
            status=answer.status_code,
            body=body,
            media_type=media_type if answer.content else "",
            allow=tuple(part for part in allow if part),
            versions=versions,
            job=job,
        )

    def comparable(self, body: Any) -> Any:
        """The body with placeholders for what differs between any two runs."""
        if isinstance(body, dict) and isinstance(body.get("results"), list):
            version = body.get("model_version")
            body = {**body, "results": [_checked_version(i, version) for i in body["results"]]}
        return self._replace(body)

    def _replace(self, value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {
                name: self._replace(item, name)
                for name, item in value.items()
                if name != "request_id"
            }
        if isinstance(value, list):
            return [self._replace(item, key) for item in value]
        if key in ("model_version", "versions") and _is_version(value):
            return VERSION
        if key in ("job", "job_id") and isinstance(value, (str, int)) and str(value):
            return ID
        if key == "model_dir" and isinstance(value, str):
            return "<model_dir>" if Path(value).resolve() == self.model_dir.resolve() else value
        if key == "traceback" and isinstance(value, str):
            return "<traceback> " + value.strip().rsplit("\n", 1)[-1]
        if isinstance(value, float) and math.isnan(value):
            return "<nan>"
        return value


def _is_version(value: object) -> bool:
    return value == "INITIAL" or str(value).isdigit()


def _versions_in(body: dict[str, Any]) -> tuple[str, ...]:
    found = body.get("versions")
    if isinstance(found, list):
        return tuple(str(item) for item in found)
    return (str(body["model_version"]),) if "model_version" in body else ()


def _checked_version(item: Any, version: object) -> Any:
    """A prediction; a `model_version` that looks like the answer's own but is not it shows."""
    if isinstance(item, list):
        return [_checked_version(part, version) for part in item]
    if isinstance(item, dict) and "model_version" in item:
        given = item["model_version"]
        if given != version and _is_version(given):
            return {**item, "model_version": f"{given!r}, where the answer says {version!r}"}
    return item


def settled_at_once(backend: Backend, answer: Answer, result: bool) -> None:
    """For a server that trains before it answers."""


def settled_by_file(backend: Backend, answer: Answer, result: bool) -> None:
    """For upstream's child processes: they end by writing a file, or without a word."""
    if not result:
        time.sleep(0.5)
    elif answer.job:
        file = backend.model_dir / answer.job / "job_result.json"
        _wait(lambda: file.exists() and file.stat().st_size > 0, f"{file} was not written")


def settled_by_health(backend: Backend, answer: Answer, result: bool) -> None:
    """For a server whose /health counts its workers, and the jobs that wait or run."""

    def over() -> bool:
        health = backend.send(Request("GET", "/health")).body
        workers = health["workers"]
        return bool(health["jobs"] == 0 and workers["ready"] == workers["total"])

    _wait(over, f"{backend.name} does not settle after job {answer.job!r}")


def _wait(over: Callable[[], bool], otherwise: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not over():
        if time.monotonic() > deadline:
            raise TimeoutError(otherwise)
        time.sleep(0.05)
