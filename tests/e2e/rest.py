"""The part of Label Studio's REST API that concerns ML backends, and its tokens.

Every call states the status that it expects, so that a test reads as the steps of a user.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from typing import Any

import requests
from requests.auth import AuthBase

CONNECTED = "CO"
DISCONNECTED = "DI"
ERROR = "ER"
TRAINING = "TR"


class ApiError(RuntimeError):
    """Label Studio answered with a status that was not expected."""

    def __init__(self, call: str, answer: requests.Response) -> None:
        super().__init__(f"{call}: {answer.status_code} {answer.text[:1000]}")
        self.status = answer.status_code
        self.text = answer.text


class LegacyToken(AuthBase):
    """The token of a user, which does not expire."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Token {self._token}"
        return request


class PersonalToken(AuthBase):
    """A personal access token: it is traded for one that lasts five minutes."""

    _RENEW_AFTER = 120.0

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._token = token
        self._access = ""
        self._since = float("-inf")

    @staticmethod
    def make(url: str, email: str, password: str) -> str:
        """Log in by the form and make a token, as one does on the account page."""
        with requests.Session() as session:
            session.trust_env = False
            login = f"{url}/user/login/"
            form = session.get(login, timeout=60).text
            hidden = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form)
            assert hidden, "the login form has no CSRF token"
            fields = {"email": email, "password": password, "csrfmiddlewaretoken": hidden[1]}
            answer = session.post(login, fields, headers={"Referer": login}, timeout=60)
            assert "sessionid" in session.cookies, f"not logged in: {answer.status_code}"
            headers = {"X-CSRFToken": session.cookies["csrftoken"], "Referer": url}
            answer = session.post(f"{url}/api/token/", headers=headers, timeout=60)
            if answer.status_code != 201:
                raise ApiError("POST /api/token/", answer)
            return str(answer.json()["token"])

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if time.monotonic() - self._since > self._RENEW_AFTER:
            url, body = f"{self._url}/api/token/refresh/", {"refresh": self._token}
            answer = requests.post(url, json=body, timeout=60)
            if answer.status_code != 200:
                raise ApiError("POST /api/token/refresh/", answer)
            self._access, self._since = answer.json()["access"], time.monotonic()
        request.headers["Authorization"] = f"Bearer {self._access}"
        return request


class Api:
    """Label Studio's REST interface."""

    def __init__(self, url: str, token: AuthBase, timeout: float = 300.0) -> None:
        self.url = url
        self._timeout = timeout
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.auth = token

    def __enter__(self) -> Api:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

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
            raise ApiError(f"{method} {path}", answer)
        return answer.json() if answer.content else None

    def version(self) -> str:
        """The release that is running."""
        return str(self.request("GET", "/api/version")["release"])

    def allow_legacy_tokens(self, allowed: bool) -> None:
        """Whether legacy tokens are accepted; they are not where nobody said so."""
        settings = {"api_tokens_enabled": True, "legacy_api_tokens_enabled": allowed}
        self.request("POST", "/api/jwt/settings", expect=(200, 201), json=settings)

    # ---------------------------------------------------------------- projects and tasks

    def create_project(self, title: str, label_config: str, **fields: Any) -> int:
        """A new project; its id."""
        body = {"title": title[:50], "label_config": label_config, **fields}
        return int(self.request("POST", "/api/projects/", expect=(201,), json=body)["id"])

    def change_project(self, project: int, **fields: Any) -> None:
        self.request("PATCH", f"/api/projects/{project}/", json=fields)

    def delete_project(self, project: int) -> None:
        self.request("DELETE", f"/api/projects/{project}/", expect=(204,))

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

    def open_task(self, task: int) -> dict[str, Any]:
        """What the data manager asks for when a task is clicked; `predictions` is in it."""
        opened: dict[str, Any] = self.request("GET", f"/api/tasks/{task}/")
        return opened

    def next_task(self, project: int) -> dict[str, Any]:
        """What Label All Tasks asks for; `predictions` is in it."""
        path, params = "/api/dm/actions/", {"id": "next_task", "project": project}
        task: dict[str, Any] = self.request("POST", path, params=params, json={})
        return task

    def load_tab(self, project: int) -> dict[str, Any]:
        """A page of the data manager's table."""
        page: dict[str, Any] = self.request("GET", "/api/tasks/", params={"project": project})
        return page

    # ---------------------------------------------------------------- ML backends

    def connect_backend(self, project: int, url: str, title: str, **fields: Any) -> dict[str, Any]:
        """Add an ML backend to a project: Label Studio checks /health and /setup itself."""
        body = {"project": project, "url": url, "title": title, **fields}
        backend: dict[str, Any] = self.request("POST", "/api/ml/", expect=(201,), json=body)
        return backend

    def backend(self, backend: int) -> dict[str, Any]:
        """The row of an ML backend after a refresh (each look asks /health and /setup)."""
        row: dict[str, Any] = self.request("GET", f"/api/ml/{backend}")
        return row

    def backends(self, project: int) -> list[dict[str, Any]]:
        """The rows of a project, which the settings page shows."""
        rows: list[dict[str, Any]] = self.request("GET", "/api/ml/", params={"project": project})
        return rows

    def change_backend(self, backend: int, **fields: Any) -> dict[str, Any]:
        row: dict[str, Any] = self.request("PATCH", f"/api/ml/{backend}", json=fields)
        return row

    def delete_backend(self, backend: int) -> None:
        self.request("DELETE", f"/api/ml/{backend}", expect=(204,))

    def start_training(self, backend: int) -> None:
        """The button: the answer is 200 whatever the backend says."""
        self.request("POST", f"/api/ml/{backend}/train", json={})

    def test_prediction(self, backend: int) -> dict[str, Any]:
        """Send Test Request: what was sent to the backend, and its `response`."""
        path = f"/api/ml/{backend}/predict/test"
        answer: dict[str, Any] = self.request("POST", path, params={"random": "true"})
        return answer

    def versions(self, backend: int) -> dict[str, Any]:
        answer: dict[str, Any] = self.request("GET", f"/api/ml/{backend}/versions")
        return answer

    def interactive(self, backend: int, task: int, context: object) -> dict[str, Any]:
        """What the editor sends for a smart tool: `data` or `errors`."""
        path, body = f"/api/ml/{backend}/interactive-annotating", {"task": task, "context": context}
        answer: dict[str, Any] = self.request("POST", path, json=body)
        return answer

    def webhooks(self, project: int) -> list[dict[str, Any]]:
        """The webhook rows of a project."""
        rows = self.request("GET", "/api/webhooks/", params={"project": project})
        return [row for row in rows if row["project"] == project]

    def change_webhook(self, webhook: dict[str, Any], **fields: Any) -> None:
        # Without `url` and `send_for_all_actions` the check of the actions fails.
        kept = {key: webhook[key] for key in ("url", "send_for_all_actions", "send_payload")}
        self.request("PATCH", f"/api/webhooks/{webhook['id']}/", json={**kept, **fields})

    # ---------------------------------------------------------------- predictions, annotations

    def act(self, project: int, action: str) -> dict[str, Any]:
        """An action of the data manager on all tasks."""
        answer: dict[str, Any] = self.request(
            "POST",
            "/api/dm/actions/",
            params={"id": action, "project": project},
            json={"selectedItems": {"all": True, "excluded": []}},
        )
        return answer

    def retrieve_predictions(self, project: int) -> int:
        """Retrieve Predictions; the number of tasks, also where nothing was stored."""
        return int(self.act(project, "retrieve_tasks_predictions")["processed_items"])

    def predictions(self, project: int) -> list[dict[str, Any]]:
        """All stored predictions of a project, oldest first."""
        rows = self.request("GET", "/api/predictions/", params={"project": project})
        return sorted(rows, key=lambda row: int(row["id"]))

    def annotate(self, task: int, **annotation: Any) -> int:
        """Submit (or, with `was_cancelled`, skip) a task; the id of the annotation."""
        path = f"/api/tasks/{task}/annotations/"
        return int(self.request("POST", path, expect=(201,), json=annotation)["id"])

    def change_annotation(self, annotation: int, **fields: Any) -> None:
        self.request("PATCH", f"/api/annotations/{annotation}/", json=fields)

    def delete_annotation(self, annotation: int) -> None:
        self.request("DELETE", f"/api/annotations/{annotation}/", expect=(204,))
