"""Records what clients were promised, and compares it with what happened.

The promises, after any fault: an accepted job ends, with a reason if it made no version; what is
published was trained on the request that was accepted last for the job, is whole, and is never
published again; nothing is published without a request; the newest good version is served.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from hosting import CHOICES, PROJECT, Server, wait_for

ENDED = {"finished", "failed", "cancelled"}
CREATED = "2026-11-23T10:49:25Z"  # 1795430965, as in PROJECT


def key(number: int) -> str:
    """Return the key of a project."""
    return f"{number}.{PROJECT.partition('.')[2]}"


@dataclass(frozen=True)
class Asked:
    """A request for training."""

    token: str
    project: str
    is_event: bool
    #: The id that was answered; none if no answer came.
    job: str | None


class Ledger:
    """All requests for training that were sent to the servers of one model folder."""

    def __init__(self, models: Path, runs_file: Path) -> None:
        self.models = models
        self.runs_file = runs_file
        self.asked: list[Asked] = []
        #: Versions that a test has damaged on purpose.
        self.damaged: set[str] = set()
        self._seen: dict[Path, tuple[int, str]] = {}
        self._lock = threading.Lock()
        self._tokens = 0

    # Requests

    def train(self, server: Server, project: str = PROJECT, **params: Any) -> str | None:
        """Ask /train; return the job, or none if the server was gone before it answered."""
        token = self._token()
        body = {
            "annotations": [{"id": 1, "token": token}],
            "project": project,
            "label_config": CHOICES,
            "params": {"token": token, **{name: str_of(value) for name, value in params.items()}},
        }
        return self._note(token, project, False, self._send(server, "/train", body))

    def event(self, server: Server, project: str = PROJECT, **more: Any) -> str | None:
        """Send a webhook event; return the job, or none if no answer came."""
        token = self._token()
        return self._note(
            token, project, True, self._send(server, "/webhook", event(project, token, **more))
        )

    def ask(self, kind: str, server: Server, project: str = PROJECT, **more: Any) -> str | None:
        return (self.event if kind == "event" else self.train)(server, project, **more)

    def _token(self) -> str:
        with self._lock:
            self._tokens += 1
            return f"token-{self._tokens}"

    def _send(self, server: Server, path: str, body: Any) -> str | None:
        try:
            answer = server.post(path, body)
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
            return None
        assert answer.status_code == 201, f"{answer.status_code} {answer.text}"
        job: str = answer.json()["job"]
        return job

    def _note(self, token: str, project: str, is_event: bool, job: str | None) -> str | None:
        with self._lock:
            self.asked.append(Asked(token, project, is_event, job))
        return job

    def accepted(self) -> set[str]:
        return {asked.job for asked in self.asked if asked.job is not None}

    def token_of(self, job: str) -> str:
        """Return the token that was accepted last for a job."""
        return [asked.token for asked in self.asked if asked.job == job][-1]

    def _allowed(self, job: str, project: str, is_event: bool) -> set[str]:
        """Return the tokens that a job may be trained on."""
        same = [a for a in self.asked if (a.project, a.is_event) == (project, is_event)]
        answered = [number for number, asked in enumerate(same) if asked.job == job]
        # A later request whose answer was lost may have been accepted.
        later = same[answered[-1] + 1 :] if answered else same
        lost = {asked.token for asked in later if asked.job is None}
        if not answered:
            return lost
        last = same[answered[-1]].token
        return {last, *lost} if is_event else {last}

    # Checks

    def runs(self) -> list[dict[str, Any]]:
        """Return what every run of `fit` wrote down at its beginning."""
        if not self.runs_file.exists():
            return []
        return [json.loads(line) for line in self.runs_file.read_text().splitlines()]

    def runs_of(self, job: str) -> list[dict[str, Any]]:
        return [run for run in self.runs() if run["job"] == job]

    def results(self) -> Iterator[tuple[str, str, Path]]:
        """Return project, version and `job_result.json` of everything that is published."""
        for path in sorted(self.models.glob("*/*/job_result.json")):
            yield path.parent.parent.name, path.parent.name, path

    def look(self) -> None:
        """Note what is published; what was published before must be just the same."""
        found = {path for _, _, path in self.results()}
        lost = set(self._seen) - found
        assert not lost, f"published and gone again: {lost}"
        for path in found:
            now = (path.stat().st_mtime_ns, path.read_text())
            assert self._seen.setdefault(path, now) == now, f"published twice: {path}"

    def settle(self, server: Server, seconds: float = 60) -> None:
        """Wait until no job waits or runs."""

        def is_over() -> bool:
            jobs = server.get("/jobs?limit=1000").json()["jobs"]
            return all(job["job_status"] in ENDED for job in jobs)

        try:
            wait_for(is_over, "all jobs end", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{server.get('/jobs').text}\n{server.log()}") from None

    def check(self, server: Server) -> None:
        """Compare what was promised with what is there, when nothing trains."""
        answer = server.get("/jobs?limit=1000").json()["jobs"]
        jobs = {job["job"]: job for job in answer}
        missing = self.accepted() - set(jobs)
        assert not missing, f"accepted and lost: {missing}"
        self._check_jobs(jobs)
        self.look()
        self._check_results(jobs)
        self._check_runs(jobs)
        for project in {asked.project for asked in self.asked}:
            self.check_served(server, project)
        staging = self.models / ".label-studio-ml" / "staging"
        assert not [*staging.glob("*")], "something is left in the staging folder"
        health = server.get("/health").json()
        assert (health["status"], health["jobs"], health.get("problems")) == ("UP", 0, None)

    def _check_jobs(self, jobs: dict[str, Any]) -> None:
        for number, job in jobs.items():
            assert job["job_status"] in ENDED, job
            assert job["job_status"] == "finished" or job["error"], f"without a reason: {job}"
            assert job["ended_at"], job
            assert job["model_version"] in (None, number), job
        unknown = set(jobs) - self.accepted()
        unanswered = [asked for asked in self.asked if asked.job is None]
        assert len(unknown) <= len(unanswered), f"nobody asked for these: {unknown}"

    def _check_results(self, jobs: dict[str, Any]) -> None:
        made = {number for number, job in jobs.items() if job["model_version"] is not None}
        found: set[str] = set()
        for project, version, path in self.results():
            assert version not in found, f"{version} is published in two places"
            found.add(version)
            if version not in jobs or version in self.damaged:
                continue  # older than the job store
            job, result = jobs[version], json.loads(path.read_text())
            output = result["train_output"]
            assert job["job_status"] == "finished", f"a version of a job that did not finish: {job}"
            assert job["project"] == project, f"published for another project: {job}"
            assert (result["job_id"], result["version"]) == (version, version)
            if output is None:
                continue
            allowed = self._allowed(version, project, job["event"] is not None)
            assert output["token"] in allowed, f"trained on {output['token']}, not on {allowed}"
            assert output["job"] == version
            weights = (path.parent / "weights").read_text()
            assert weights == output["token"] * 1000, "published before it was whole"
        assert made - found == set(), "finished, but there is no version"
        extra = (found & set(jobs)) - made
        assert not extra, f"versions of jobs that did not finish: {extra}"

    def _check_runs(self, jobs: dict[str, Any]) -> None:
        """What was published last ran last: nothing is trained again once it is published."""
        last: dict[str, str] = {}
        for run in self.runs():
            last[run["job"]] = run["run"]
        for _, version, path in self.results():
            if version in jobs and version not in self.damaged:
                output = json.loads(path.read_text())["train_output"]
                again = output is not None and output["run"] != last[version]
                assert not again, f"published, and trained again: {version}"

    def check_served(self, server: Server, project: str) -> None:
        """The newest good version is served, and it is whole."""
        good = [
            (int(version), path)
            for found, version, path in self.results()
            if found == project
            and version not in self.damaged
            and not (path.parent / "refused.txt").exists()
        ]
        newest, path = max(good, default=(None, None))
        expected = "INITIAL" if newest is None else str(newest)
        assert server.setup(project).json() == {"model_version": expected}, project
        answer = server.predict(project=project)
        assert answer.status_code == 200, answer.text
        assert answer.json()["model_version"] == expected
        output = json.loads(path.read_text())["train_output"] if path else {}
        assert answer.json()["results"][0]["trained"] == (output or {})


def str_of(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def event(project: str, token: str, **more: Any) -> dict[str, Any]:
    """Return a webhook event as Label Studio sends it."""
    described = {
        "id": int(project.partition(".")[0]),
        "created_at": CREATED,
        "label_config": CHOICES,
    }
    told = {name: str_of(value) for name, value in more.items()}
    return {"action": "ANNOTATION_CREATED", "project": described, "token": token, **told}
