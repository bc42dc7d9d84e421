"""A project in Label Studio that is connected to one of our servers."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from datetime import datetime
from functools import cached_property
from typing import Any

from hosting import Server, wait_for
from rest import CONNECTED, Api

CHOICES = (
    '<View><Text name="text" value="$text"/><Choices name="sentiment" toName="text">'
    '<Choice value="Positive"/><Choice value="Negative"/></Choices></View>'
)

#: The user and the password of one of our servers.
PLAIN = ("user", "pass/word?")


def header(auth: tuple[str, str]) -> dict[str, str]:
    """The custom header with which a webhook passes."""
    encoded = base64.b64encode(":".join(auth).encode()).decode()
    return {"Authorization": f"Basic {encoded}"}


def texts(*values: str) -> list[dict[str, Any]]:
    """Tasks to import."""
    return [{"data": {"text": value}} for value in values]


def choice(label: str, from_name: str = "sentiment", to_name: str = "text") -> list[dict[str, Any]]:
    """The result of an annotation."""
    region = {"from_name": from_name, "to_name": to_name, "type": "choices"}
    return [{**region, "value": {"choices": [label]}}]


def chosen(prediction: dict[str, Any]) -> list[str]:
    """What a prediction says."""
    return [label for region in prediction["result"] for label in region["value"]["choices"]]


class Connected:
    """The project, its tasks, and the connection."""

    def __init__(
        self,
        api: Api,
        server: Server,
        tasks: Iterable[dict[str, Any]] = (),
        *,
        title: str,
        config: str = CHOICES,
        **fields: Any,
    ) -> None:
        self.api = api
        self.server = server
        self.project = api.create_project(title, config)
        self.tasks = api.import_tasks(self.project, tasks) if tasks else []
        if server.auth:
            basic = dict(zip(("basic_auth_user", "basic_auth_pass"), server.auth, strict=True))
            fields = {"auth_method": "BASIC_AUTH", **basic, **fields}
        row = api.connect_backend(self.project, fields.pop("url", server.url), title, **fields)
        self.backend = int(row["id"])

    @cached_property
    def key(self) -> str:
        """How Label Studio names the project to a backend."""
        created = self.api.request("GET", f"/api/projects/{self.project}/")["created_at"]
        time = datetime.fromisoformat(created.replace("Z", "+00:00"))
        return f"{self.project}.{int(time.timestamp())}"

    def row(self) -> dict[str, Any]:
        """The backend as Label Studio sees it now; it must be connected."""
        row = self.api.backend(self.backend)
        assert row["state"] == CONNECTED, f"{row['readable_state']}: {row['error_message']}"
        assert row["model_version"], "there is no model version"
        return row

    def change(self, **fields: Any) -> dict[str, Any]:
        """Change the backend, with what Label Studio needs to be told again at each change."""
        same = {"url": self.server.url, "project": self.project}
        return self.api.change_backend(self.backend, **{**same, **fields})

    @property
    def version(self) -> str:
        return str(self.row()["model_version"])

    @property
    def webhook(self) -> dict[str, Any]:
        """The one webhook that Label Studio made."""
        (row,) = self.api.webhooks(self.project)
        return row

    def stored(self) -> list[dict[str, Any]]:
        """All predictions, oldest first."""
        # The client of 2022 lists those of every project.
        rows, mine = self.api.predictions(self.project), set(self.tasks)
        return [row for row in rows if row["task"] in mine]

    def newest(self) -> dict[int, dict[str, Any]]:
        """The prediction of each task that was stored last."""
        return {int(row["task"]): row for row in self.stored()}

    def retrieve(self) -> dict[int, dict[str, Any]]:
        """Ask for predictions of all tasks; each must have one of the present version then."""
        processed = self.api.retrieve_predictions(self.project)
        assert processed == len(self.tasks), f"the action went through {processed} tasks"
        newest, version = self.newest(), self.version
        without = set(self.tasks) - set(newest)
        assert not without, f"no prediction for the tasks {without}"
        seen = {row["model_version"] for row in newest.values()}
        assert seen == {version}, f"predictions of {seen}, while {version} is served"
        return newest

    def predicted(self) -> str:
        """The one choice that all tasks get."""
        (label,) = {label for row in self.retrieve().values() for label in chosen(row)}
        return label

    def annotate(self, task: int, label: str, **region: str) -> int:
        return self.api.annotate(task, result=choice(label, **region))

    def start_training(self) -> str:
        """Press the button, and wait for the version that comes of it."""
        before = self.settled()
        self.api.start_training(self.backend)
        return self.trained(before)

    def trained(self, before: str) -> str:
        """Wait until Label Studio sees another version than `before` and nothing trains."""

        def another() -> str | None:
            version = self.version
            return version if version != before else None

        wait_for(another, f"a version other than {before}", 60)
        return self.settled()

    def settled(self) -> str:
        """Wait until nothing trains; the version that Label Studio sees then."""
        self.server.wait_trained(self.key)
        return self.version

    def jobs(self) -> list[dict[str, Any]]:
        """The training jobs of the project, newest first."""
        answer = self.server.get("/jobs", params={"project": self.key})
        assert answer.status_code == 200, answer.text
        jobs: list[dict[str, Any]] = answer.json()["jobs"]
        return jobs
