"""`label-studio-ml doctor` asks a real Label Studio about a real server.

Only a real one shows the wording of its complaints, that events arrive after a webhook was repaired,
and how it serves files.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from connected import choice
from hosting import CHOICES, CONSOLE_SCRIPT, Server, environment, make_project, wait_for
from label_studio import LabelStudio
from rest import Api

USER, PASSWORD = "ls", "a:secret wörd"
GIVEN = ("--basic-auth-user", USER, "--basic-auth-pass", PASSWORD)

MODEL = """
    from label_studio_ml.model import LabelStudioMLBase
    from label_studio_ml.response import ModelResponse

    class Counter(LabelStudioMLBase):
        def predict(self, tasks, context=None, **kwargs):
            return ModelResponse(predictions=[{"result": [], "score": 0.5} for _ in tasks])

        def fit(self, event, data, **kwargs):
            self.set("model_version", f"with annotation {data['annotation']['id']}")
"""


@pytest.fixture
def project(api: Api) -> int:
    number = api.create_project("doctor", CHOICES)
    api.import_tasks(number, [{"data": {"text": "fine"}}])
    return number


@contextmanager
def serving(folder: Path, auth: tuple[str, str] | None = None) -> Iterator[Server]:
    server = Server(make_project(folder, MODEL), auth=auth)
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path) as running:
        yield running


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path, (USER, PASSWORD)) as running:
        yield running


class Told:
    """What `doctor` says about a project of Label Studio."""

    def __init__(self, url: str, key: str, project: int, port: int, *more: str) -> None:
        command = [str(CONSOLE_SCRIPT), "doctor", "--json", "--port", str(port)]
        command += ["--label-studio-url", url, "--api-key", key, "--project", str(project)]
        done = subprocess.run(
            [*command, *more],
            cwd="/tmp",
            env=environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.stdout, done.stderr
        self.returncode = done.returncode
        self.output = done.stdout + done.stderr
        groups = json.loads(done.stdout)["groups"]
        self.checks: list[dict[str, str]] = [c for group in groups for c in group["checks"]]

    def one(self, level: str, part: str) -> dict[str, str]:
        """Return the one check of this level whose text contains `part`."""
        found = [c for c in self.checks if c["level"] == level and part in c["text"]]
        assert len(found) == 1, f"{part!r} as {level}: {self.output}"
        return found[0]


Ask = Callable[..., Told]


@pytest.fixture
def ask(studio: LabelStudio) -> Ask:
    """Run `doctor` about a project of Label Studio and a port."""

    def told(project: int, port: int, *more: str, key: str | None = None) -> Told:
        return Told(studio.url, key or studio.token("legacy"), project, port, *more)

    return told


def events_reach(api: Api, project: int, server: Server) -> bool:
    """Annotate a new task; tell whether that became a training job of the server."""
    before = len(server.get("/jobs").json()["jobs"])
    [task] = api.import_tasks(project, [{"data": {"text": "well"}}])
    api.annotate(task, result=choice("Positive"))
    # Label Studio sends the event before it answers.
    return len(server.get("/jobs").json()["jobs"]) > before


def test_a_backend_that_works_has_no_problems(
    api: Api, ask: Ask, project: int, server: Server
) -> None:
    api.connect_backend(project, server.url, "counter")
    told = ask(project, server.port)
    assert told.returncode == 0, told.output
    told.one("ok", "accepts the legacy token of ")
    told.one("ok", f'Label Studio reaches "counter" at {server.url}, which is this server: model')
    told.one("ok", f"the webhook {server.url}/webhook reports annotations")
    assert events_reach(api, project, server)


def test_a_fixed_webhook_lets_a_server_with_a_password_train(
    api: Api, ask: Ask, project: int, locked: Server
) -> None:
    api.connect_backend(
        project,
        locked.url,
        "counter",
        auth_method="BASIC_AUTH",
        basic_auth_user=USER,
        basic_auth_pass=PASSWORD,
    )
    told = ask(project, locked.port, *GIVEN)
    assert told.returncode == 1
    told.one("problem", "sends no password to a server that requires one")
    assert not events_reach(api, project, locked)

    told = ask(project, locked.port, *GIVEN, "--fix")
    assert told.returncode == 0, told.output
    told.one("ok", "fixed (before: the webhook")
    assert PASSWORD not in told.output
    assert events_reach(api, project, locked)

    def ended() -> Any:
        job = locked.get("/jobs").json()["jobs"][0]
        return job["job_status"] in ("finished", "failed") and job

    job = wait_for(ended, "the event trains the model")
    assert (job["event"], job["job_status"]) == ("ANNOTATION_CREATED", "finished"), job
    told = ask(project, locked.port, *GIVEN, "--fix")
    told.one("ok", "reports annotations")


def test_a_deleted_webhook_is_made_again(api: Api, ask: Ask, project: int, server: Server) -> None:
    api.connect_backend(project, server.url, "counter")
    [row] = api.request("GET", "/api/webhooks/", params={"project": project})
    api.request("DELETE", f"/api/webhooks/{row['id']}/", expect=(204,))
    assert not events_reach(api, project, server)
    ask(project, server.port).one("problem", "no webhook points to")
    ask(project, server.port, "--fix").one("ok", "fixed (before: no webhook points to")
    assert events_reach(api, project, server)


def test_the_webhook_of_a_deleted_backend_is_told(
    api: Api, ask: Ask, project: int, server: Server
) -> None:
    first = api.connect_backend(project, server.url, "counter")
    other = server.url.replace("127.0.0.1", "localhost")
    api.connect_backend(project, other, "counter")
    api.request("DELETE", f"/api/ml/{first['id']}", expect=(204,))
    told = ask(project, server.port)
    stray = told.one(
        "warning", f"the webhook {server.url}/webhook belongs to no connected ML backend"
    )
    assert "each may train twice" in stray["text"]


def test_a_server_that_is_gone_is_told_in_label_studios_words(
    api: Api, ask: Ask, project: int, tmp_path: Path
) -> None:
    with serving(tmp_path) as server:
        api.connect_backend(project, server.url, "counter")
    told = ask(project, server.port)
    assert told.returncode == 1
    gone = told.one("problem", f'does not reach "counter" at {server.url}: [Errno 111]')
    assert "start the server there" in gone["advice"]


def test_a_changed_password_is_told(api: Api, ask: Ask, project: int, locked: Server) -> None:
    fields = {"auth_method": "BASIC_AUTH", "basic_auth_user": USER, "basic_auth_pass": PASSWORD}
    api.connect_backend(project, locked.url, "counter", **fields)
    locked.stop()
    port = str(locked.port)
    changed = ("--basic-auth-user", USER, "--basic-auth-pass", "another")
    process = subprocess.Popen(
        [str(CONSOLE_SCRIPT), "start", str(locked.project), "-p", port, *changed],
        # The model keeps its files in the working folder.
        cwd=locked.project.parent,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:

        def answers() -> bool:
            try:
                return requests.get(locked.url, timeout=5).status_code == 401
            except requests.ConnectionError:
                return False

        wait_for(answers, "the server answers again")
        told = ask(project, locked.port, *changed)
        wrong = told.one("problem", 'does not reach "counter"')
        assert wrong["text"].endswith("401 Unauthorized")
        assert "Basic Auth" in wrong["advice"]
    finally:
        process.terminate()
        process.wait(30)


def test_a_personal_token_is_traded(
    studio: LabelStudio, api: Api, ask: Ask, project: int, server: Server
) -> None:
    api.connect_backend(project, server.url, "counter")
    personal = studio.token("personal")
    told = ask(project, server.port, key=personal)
    assert told.returncode == 0, told.output
    told.one("ok", "accepts the personal access token of ")
    access = api.request("POST", "/api/token/refresh", json={"refresh": personal})["access"]
    ask(project, server.port, key=access).one("ok", "accepts the access token of ")
    assert personal not in told.output

    settings = {"api_tokens_enabled": True, "legacy_api_tokens_enabled": False}
    api.request("POST", "/api/jwt/settings", expect=(200, 201), json=settings)
    try:
        told = ask(project, server.port, key=personal)
        advice = told.one("warning", "legacy tokens are disabled")["advice"]
        assert "LABEL_STUDIO_API_KEY" in advice
        told = ask(project, server.port)
        told.one(
            "problem", "legacy tokens are switched off in Label Studio: use a personal access token"
        )
    finally:
        bearer = {"Authorization": f"Bearer {access}"}
        settings["legacy_api_tokens_enabled"] = True
        url = f"{studio.url}/api/jwt/settings"
        requests.post(url, json=settings, headers=bearer, timeout=30).raise_for_status()


def test_a_project_of_nobody_is_told(ask: Ask, server: Server) -> None:
    told = ask(999_999, server.port)
    assert told.returncode == 1
    told.one("problem", "there is no project 999999 in the organisation of the API key")
    told = ask(1, server.port, key="b" * 40)
    told.one("problem", "Label Studio does not accept this API key")


@pytest.mark.slow
def test_a_webhook_that_label_studio_refuses_for_its_address_is_told(server: Server) -> None:
    with LabelStudio() as studio:
        api, token = studio.api(), studio.token("legacy")
        number = api.create_project("refused", CHOICES)
        api.import_tasks(number, [{"data": {"text": "fine"}}])
        api.connect_backend(number, server.url, "counter")
        told = Told(studio.url, token, number, server.port)
        told.one("ok", f"the webhook {server.url}/webhook reports annotations")
        assert events_reach(api, number, server)
        studio.restart(SSRF_PROTECTION_ENABLED="true")
        told = Told(studio.url, token, number, server.port)
        assert told.returncode == 1
        told.one("ok", f'Label Studio reaches "counter" at {server.url}')
        refused = told.one("problem", f"no event will come to {server.url}/webhook")["text"]
        assert "reserved network address (block: 127.0.0.0/8)" in refused
        assert not events_reach(api, number, server), "it is so"
        assert len(api.webhooks(number)) == 1, "nothing was made"


def test_files_are_fetched_as_models_fetch_them(
    studio: LabelStudio, api: Api, ask: Ask, server: Server
) -> None:
    project = api.create_project("files", '<View><Image name="i" value="$image"/></View>')
    api.connect_backend(project, server.url, "counter")
    upload = requests.post(
        f"{studio.url}/api/projects/{project}/import",
        files={"file": ("picture.png", b"\x89PNG not much of a picture", "image/png")},
        headers={"Authorization": f"Token {studio.token('legacy')}"},
        timeout=60,
    )
    assert upload.status_code == 201, upload.text
    told = ask(project, server.port)
    uploaded = told.one("ok", "picture.png can be fetched")["text"].split()[0]
    assert uploaded.startswith(f"/data/upload/{project}/")

    data: dict[str, Any] = {
        "image": "s3://no-such-bucket/a.png",
        "local": "/data/local-files/?d=a.png",
        "gone": uploaded.replace("picture", "gone"),
    }
    other = api.create_project("more files", CHOICES)
    api.import_tasks(other, [{"data": {"text": "fine", **data}}])
    told = ask(other, server.port)
    assert "Cloud Storage" in told.one("problem", "s3://no-such-bucket/a.png is")["advice"]
    assert "LOCAL_FILES_SERVING_ENABLED" in told.one("problem", "/local-files/")["advice"]
    assert "import it again" in told.one("problem", "gone.png is answered with")["advice"]
