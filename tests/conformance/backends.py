"""A running ML backend, the requests the tests send to it, and its answers made comparable.

An answer is reduced to status, media type and body.  What may differ between any two runs
(versions, job ids, folders, the frames of a traceback) is replaced by a placeholder, so that two
servers can be compared with `==`.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
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
    number); `@other` for the key of a second project; `@job` and `@first job` for the job that was
    named last and first.
    """

    method: str
    path: str
    json: object = None
    raw: bytes | None = None
    content_type: str | None = "application/json"

    def bound_to(self, project_id: int, jobs: Sequence[str]) -> Request:
        """The same request with the placeholders filled in."""
        names = {
            "@project": f"{project_id}.{_CREATED}",
            "@other": f"{project_id}0.{_CREATED}",
            "@id": project_id,
            "@job": jobs[-1] if jobs else "",
            "@first job": jobs[0] if jobs else "",
        }
        return self.filled(names)

    def filled(self, names: Mapping[str, Any]) -> Request:
        """The same request with these names replaced."""
        raw = self.raw
        for name, value in names.items():
            if raw is not None and isinstance(value, str):
                raw = raw.replace(name.encode(), value.encode())
        path, body = (fill_placeholders(part, names) for part in (self.path, self.json))
        return replace(self, path=path, json=body, raw=raw)


def fill_placeholders(value: Any, names: Mapping[str, Any]) -> Any:
    """A name that stands alone becomes what it stands for; within a text only a text does."""
    if isinstance(value, str):
        if value in names:
            return names[value]
        for name, text in names.items():
            if isinstance(text, str):
                value = value.replace(name, text)
        return value
    if isinstance(value, list):
        return [fill_placeholders(item, names) for item in value]
    if isinstance(value, dict):
        return {key: fill_placeholders(item, names) for key, item in value.items()}
    return value


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
    code: str = field(default="", compare=False, repr=False)
    """The code of an error, which is no part of `body`: upstream has none."""
    phrase: str = field(default="", compare=False, repr=False)
    """The reason phrase of the status line."""
    sorted_keys: bool = field(default=True, compare=False, repr=False)
    """Whether the keys of each object came sorted."""
    seconds: float = field(default=0.0, compare=False, repr=False)
    """How long it took."""


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
    made: tuple[str, ...] = ()
    """The files of the project folder before the first start."""

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
        job = code = ""
        objects: list[list[str]] = []
        if media_type == "application/json" and answer.content:
            body = json.loads(
                answer.content, object_pairs_hook=lambda pairs: _noted(pairs, objects)
            )
            if isinstance(body, dict):
                versions = _versions_in(body)
                job = str(body.get("job_id") or body.get("job") or "")
                code = body.pop("error_code", "")
            body = reduced(body, self.model_dir)
        return Answer(
            status=answer.status_code,
            body=body,
            media_type=media_type if answer.content else "",
            allow=tuple(part for part in allow if part),
            versions=versions,
            job=job,
            code=code,
            phrase=answer.reason,
            sorted_keys=all(keys == sorted(keys) for keys in objects),
            seconds=answer.elapsed.total_seconds(),
        )


def reduced(body: Any, model_dir: Path | None = None) -> Any:
    """The body with placeholders for what differs between any two runs."""
    if isinstance(body, dict) and isinstance(body.get("results"), list):
        version = body.get("model_version")
        body = {**body, "results": [_checked_version(item, version) for item in body["results"]]}
    return _reduced(body, model_dir)


def _reduced(value: Any, model_dir: Path | None, key: str = "") -> Any:
    if isinstance(value, dict):
        return {
            name: _reduced(item, model_dir, name)
            for name, item in value.items()
            # In an error the task stands beside the request id.
            if name != "request_id" and not (name == "task" and "request_id" in value)
        }
    if isinstance(value, list):
        return [_reduced(item, model_dir, key) for item in value]
    if key in ("model_version", "versions") and _is_version(value):
        return VERSION
    if key in ("job", "job_id") and isinstance(value, (str, int)) and str(value):
        return ID
    if key == "model_dir" and isinstance(value, str) and model_dir is not None:
        return "<model_dir>" if Path(value).resolve() == model_dir.resolve() else value
    if key == "traceback" and isinstance(value, str):
        return "<traceback> " + value.strip().rsplit("\n", 1)[-1]
    if isinstance(value, float) and math.isnan(value):
        return "<nan>"
    return value


def _noted(pairs: list[tuple[str, Any]], objects: list[list[str]]) -> dict[str, Any]:
    objects.append([key for key, _ in pairs])
    return dict(pairs)


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
