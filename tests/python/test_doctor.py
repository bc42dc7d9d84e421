"""`label-studio-ml doctor`: what is wrong is said with its remedy, and --fix corrects webhooks.

The servers are real ones of ours; a fake Label Studio gives the answers that a real one gives rarely
(`tests/e2e/test_doctor.py` asks a real one).
"""

from __future__ import annotations

import base64
import json
import re
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from fake_studio import KEY, PROJECT, FakeStudio, Recorder, webhook
from hosting import ECHO, ROOT, Server, free_port, make_project, run, wait_for

Serve = Callable[..., Server]
TLS = ROOT / "tests" / "fixtures" / "tls"
USER, PASSWORD = "jürgen", "a:secret wörd"
GIVEN = ("--basic-auth-user", USER, "--basic-auth-pass", PASSWORD)
BASIC = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


class Told:
    """What `doctor --json` said."""

    def __init__(self, *arguments: str | Path, cwd: Path | None = None, **env: str) -> None:
        done = run("doctor", *arguments, "--json", cwd=cwd, **env)
        self.returncode = done.returncode
        self.output = done.stdout + done.stderr
        self.document: dict[str, Any] = json.loads(done.stdout)
        self.checks: list[dict[str, str]] = [
            check for group in self.document["groups"] for check in group["checks"]
        ]

    def texts(self, level: str) -> list[str]:
        return [check["text"] for check in self.checks if check["level"] == level]

    def one(self, level: str, part: str) -> dict[str, str]:
        """Return the one check of this level whose text contains `part`."""
        found = [c for c in self.checks if c["level"] == level and part in c["text"]]
        assert len(found) == 1, f"{part!r} as {level}: {json.dumps(self.document, indent=1)}"
        return found[0]


class Locked(Server):
    """A server with a password."""

    def _is_ready(self) -> bool:
        self.session.auth = (USER.encode(), PASSWORD.encode())
        return super()._is_ready()


@pytest.fixture
def studio() -> Iterator[FakeStudio]:
    with FakeStudio() as fake:
        yield fake


def in_studio(studio: FakeStudio, port: int, *more: str) -> Told:
    """Ask about the project of a Label Studio, without a project folder."""
    given = ("--label-studio-url", studio.url, "--api-key", KEY, "--project", str(PROJECT))
    with tempfile.TemporaryDirectory() as empty:
        return Told("--port", str(port), *given, *more, cwd=Path(empty))


# ---- this machine ---------------------------------------------------------------------------


def test_it_works_without_any_project(tmp_path: Path) -> None:
    done = run("doctor", "--port", str(free_port()), cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith("Installation\n  ok       label-studio-ml ")
    assert "  warning  no server is running: nothing listens on port" in done.stdout
    assert "→ start it with `label-studio-ml start NAME`" in done.stdout
    assert re.search(r"No problems, \d warnings?\.\n$", done.stdout)


def test_a_named_project_must_be_one(tmp_path: Path) -> None:
    done = run("doctor", "nowhere", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (2, "error: there is no folder nowhere\n")


def test_a_server_that_works_has_no_problems(echo: Server) -> None:
    told = Told(echo.project, "-p", str(echo.port))
    assert told.returncode == 0
    assert told.document["status"] in ("ok", "warning")
    told.one("ok", "serves Echo; 1 of 1 workers ready")
    told.one("ok", "the script loads: Echo (API v1)")
    told.one("ok", f"MODEL_DIR is {echo.models}, and is writable")
    told.one("ok", f"http://localhost:{echo.port} for a Label Studio")
    # It was started for loopback alone.
    assert "--host 0.0.0.0" in told.one("warning", "only this machine can reach the server")["text"]


def test_another_server_on_the_model_folder_is_told(echo: Server) -> None:
    told = Told(echo.project, "-p", str(free_port()))
    told.one("warning", f"another server (pid {echo.process.pid}) uses MODEL_DIR {echo.project}")


def test_packages_that_lack_are_named(tmp_path: Path) -> None:
    project = make_project(tmp_path, ECHO)
    (project / "requirements.txt").write_text(
        "# a comment\n"
        "requests\n"
        "requests>=999  # too old\n"
        "no-such-package[extra]==1.0 ; python_version >= '3.0'\n"
        "not-for-this-one ; python_version < '3.0'\n"
        "-r more.txt\n"
        "--index-url https://example.com/simple\n"
    )
    (project / "more.txt").write_text("another.missing-package\n-r requirements.txt\n")
    told = Told(project, "-p", str(free_port()))
    assert told.returncode == 1
    missing = told.one("problem", "the package no-such-package is not installed")
    assert f"-m pip install -r {project / 'requirements.txt'}" in missing["advice"]
    told.one("problem", "the package another.missing-package is not installed")
    told.one("problem", "requires requests>=999")
    assert len(told.texts("problem")) == 3


def test_a_script_that_does_not_load_is_told_with_its_place(tmp_path: Path) -> None:
    project = make_project(tmp_path, ECHO)
    (project / "model.py").write_text("x = 1\nimport no_such_module\n")
    told = Told(project, "-p", str(free_port()))
    assert told.returncode == 1
    text = told.one("problem", "the script does not load")["text"]
    assert 'Package "no_such_module" is missing.' in text
    assert 'model.py", line 2' in text
    assert "\n" not in text


def test_a_model_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    project = make_project(tmp_path, ECHO)
    # Not even root writes there.
    told = Told(project, "--model-dir", "/proc/sys", "-p", str(free_port()))
    assert told.returncode == 1
    told.one("problem", "MODEL_DIR /proc/sys is not writable")


def test_another_program_at_the_port_is_told(studio: FakeStudio, tmp_path: Path) -> None:
    port = studio.url.rsplit(":", 1)[1]
    told = Told("-p", port, cwd=tmp_path)
    assert told.returncode == 1
    told.one("problem", f"port {port} is taken by another program")


def test_a_server_that_never_answers_is_given_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = str(silent.getsockname()[1])
        told = Told(
            *("-p", port, "--label-studio-url", f"127.0.0.1:{port}", "--api-key", "k"),
            cwd=tmp_path,
        )
    told.one("problem", "does not answer /health: no answer in time")
    told.one("problem", f"http://127.0.0.1:{port} did not answer in time")


def test_a_server_with_a_password_wants_the_right_one(tmp_path: Path) -> None:
    server = Locked(make_project(tmp_path, ECHO), *GIVEN)
    empty = tmp_path / "empty"
    empty.mkdir()
    try:
        port = str(server.port)
        told = Told("-p", port, cwd=empty)
        assert "--basic-auth-user" in told.one("problem", "asks for a password")["advice"]
        told = Told("-p", port, "--basic-auth-user", "x", "--basic-auth-pass", "y", cwd=empty)
        told.one("problem", "does not accept this user and password")
        told = Told("-p", port, *GIVEN, cwd=empty)
        told.one("ok", "serves Echo")
        assert PASSWORD not in told.output
    finally:
        server.stop()


def test_mistakes_in_predictions_are_told(serve: Serve) -> None:
    server = serve(
        """
        from label_studio_ml.model import LabelStudioMLBase

        class Wrong(LabelStudioMLBase):
            def predict(self, tasks, **kwargs):
                value = {"choices": ["Neutral"]}
                region = {"from_name": "sentiment", "to_name": "text", "type": "choices"}
                return [{"result": [{**region, "value": value}]} for task in tasks]

            def fit(self, tasks, workdir=None, **kwargs):
                return {}
        """
    )
    assert server.predict().ok
    told = Told(server.project, "-p", str(server.port))
    assert told.returncode == 1
    mistake = told.one("problem", "1 answer for project 2.1795430965: ")
    assert "Neutral" in mistake["text"]
    assert "validate" in mistake["advice"]


FAILING = """
    from label_studio_ml.model import LabelStudioMLBase

    class Failing(LabelStudioMLBase):
        LABEL_STUDIO_ML_API = {api}

        def predict(self, tasks, **kwargs):
            if tasks[0]["data"]["text"] == "bad":
                raise KeyError("no such word")
            return [{"result": []} for _ in tasks]

        def fit(self, *args, **kwargs):
            order = list(args[0])[0]["order"] if {api} == 1 else args[1]["order"]
            if order == "fail":
                raise ValueError("too few annotations")
            return {"order": order}
"""


def train(server: Server, order: str, api: int) -> str:
    """Train, and return the number of the job."""
    headers = {"Prefer": "wait=100"}
    if api == 1:
        body = {"annotations": [{"order": order}], "project": "2.1", "label_config": "<View/>"}
        answer = server.post("/train", body, headers=headers)
    else:
        event = {"action": "ANNOTATION_CREATED", "project": {"id": 2}, "order": order}
        answer = server.post("/webhook", event, headers=headers)
    return str(answer.json()["job_id"])


@pytest.mark.parametrize("api", [1, 2])
def test_the_last_failures_are_problems_until_something_succeeds(serve: Serve, api: int) -> None:
    server = serve(FAILING.replace("{api}", str(api)))
    assert server.predict().ok
    bad = [{"id": 41, "data": {"text": "bad"}}, {"id": 42, "data": {"text": "fine"}}]
    assert not server.predict(bad).ok
    job = train(server, "fail", api)
    answer = server.get("/diagnostics").json()
    [failed] = answer["failed_predictions"]
    assert (failed["project"], failed["tasks"], failed["task_count"]) == (
        "2.1795430965",
        [41, 42],
        2,
    )
    assert "no such word" in failed["error"]
    [trained] = answer["failed_jobs"]
    assert trained["job"] == job and "too few annotations" in trained["error"]
    told = Told(server.project, "-p", str(server.port))
    assert told.returncode == 1
    prediction = told.one("problem", "the last prediction for project 2.1795430965 failed at ")
    assert "2 tasks (41, 42): " in prediction["text"] and "no such word" in prediction["text"]
    training = told.one("problem", "the last training of project ")
    assert f"(job {job}): " in training["text"] and "too few annotations" in training["text"]
    assert f"label-studio-ml jobs {job}" in training["advice"]
    assert "No problem" not in run("doctor", server.project, "-p", str(server.port)).stdout
    # Of another project nothing is made good.
    assert server.predict(project="9.9").ok
    told = Told(server.project, "-p", str(server.port))
    told.one("problem", "the last prediction for project 2.1795430965")
    assert server.predict().ok
    train(server, "learn", api)
    told = Told(server.project, "-p", str(server.port))
    assert not [text for text in told.texts("problem") if "failed at" in text], told.output
    told.one("ok", "a prediction for 2 tasks (41, 42) of project 2.1795430965 failed at ")
    told.one("ok", f"training job {job} of project ")


def test_probes_leave_no_warnings_and_hide_none(serve: Serve, studio: FakeStudio) -> None:
    token = "f00d" * 8
    server = serve(ECHO, "--webhook-token", token, auth=(USER, PASSWORD))
    studio.connect(f"http://127.0.0.1:{server.port}/{token}", basic_auth_user=USER)
    studio.connect(f"http://localhost:{server.port}", basic_auth_user=USER)
    studio.webhooks[0]["headers"] = {"Authorization": BASIC}
    studio.webhooks[1]["headers"] = {"Authorization": "Basic eDp5"}
    in_studio(studio, server.port, *GIVEN, "--webhook-token", token)
    assert "WARN" not in server.log(), server.log()
    # Those who do not know the password cannot keep their attempts out of the log.
    in_studio(studio, server.port, "--basic-auth-user", USER, "--basic-auth-pass", "no")
    server.wait_logged("its user or password is wrong")
    anybody = requests.Session()
    probe = "x-label-studio-ml-probe"
    for number, given in enumerate(("ask", "0" * 32, "")):
        for auth in (None, ("x", "y")):
            before = server.log().count("→ 401")
            answer = anybody.get(f"{server.url}/jobs", headers={probe: given}, auth=auth, timeout=9)
            assert answer.status_code == 401 and probe not in answer.headers, number
            wait_for(lambda before=before: server.log().count("→ 401") > before, "it is logged")
    given_back = server.get("/health", headers={probe: "ask"}).headers[probe]
    assert len(given_back) == 32
    assert probe not in server.get("/health").headers


def test_a_ticket_of_a_server_without_a_password_hides_one_probe(
    serve: Serve, studio: FakeStudio
) -> None:
    server = serve(ECHO, "--webhook-token", "f00d" * 8)
    studio.connect(f"http://127.0.0.1:{server.port}")
    in_studio(studio, server.port)
    assert "WARN" not in server.log().replace("no password is set", ""), server.log()
    probe = "x-label-studio-ml-probe"
    ticket = server.get("/health", headers={probe: "ask"}).headers[probe]
    guess = "beef" * 8
    assert server.post(f"/{guess}/webhook", {}, headers={probe: ticket}).status_code == 404
    server.wait_logged("POST /…/webhook → 404")


def test_start_names_the_addresses_and_the_next_steps(echo: Server) -> None:
    log = wait_for(lambda: "does not work?" in echo.log() and echo.log(), "the log says it")
    assert f"listening on http://127.0.0.1:{echo.port}" in log
    assert f"Settings → Model → Connect model: http://localhost:{echo.port} (" in log
    assert f"label-studio-ml doctor {echo.project} --port {echo.port}" in log


# ---- the way to Label Studio ----------------------------------------------------------------


def test_a_label_studio_that_is_not_there_is_told(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    told = Told("-p", str(free_port()), "--label-studio-url", url, "--api-key", "k", cwd=tmp_path)
    assert told.returncode == 1
    told.one("problem", f"nothing listens at {url}: start Label Studio, or set LABEL_STUDIO_URL")


def test_the_environment_names_label_studio(studio: FakeStudio, tmp_path: Path) -> None:
    env = {"LABEL_STUDIO_URL": studio.url, "LABEL_STUDIO_API_KEY": KEY}
    told = Told("-p", str(free_port()), cwd=tmp_path, **env)
    told.one(
        "ok", f"Label Studio 1.23.2 answers at {studio.url}, and accepts the legacy token of me@"
    )
    told.one("warning", "no project was checked")
    help_text = run("doctor", "--help", **env).stdout
    assert KEY not in told.output + help_text


def test_a_project_needs_an_address_and_a_key(tmp_path: Path) -> None:
    done = run("doctor", "--project", "1", cwd=tmp_path, LABEL_STUDIO_API_KEY="")
    assert done.returncode == 2
    assert "--project needs --label-studio-url and --api-key" in done.stderr


@pytest.mark.parametrize(
    ("path", "answer", "sentence"),
    [
        ("/api/version", (200, b"<html>"), "answers, but is not Label Studio"),
        (
            "/api/current-user/whoami",
            (401, {"detail": "legacy token authentication has been disabled"}),
            "legacy tokens are switched off in Label Studio: use a personal access token",
        ),
        (
            "/api/current-user/whoami",
            (401, {"detail": "Invalid token."}),
            "does not accept this API key",
        ),
        (f"/api/projects/{PROJECT}", (404, b"<html>"), f"there is no project {PROJECT} in"),
        (f"/api/projects/{PROJECT}", (403, {"detail": "no"}), "forbids this to the owner"),
        ("/api/ml", (500, b"oh"), "answered 500 Internal Server Error to GET /api/ml/: oh"),
    ],
)
def test_refusals_are_told(
    studio: FakeStudio, path: str, answer: tuple[int, Any], sentence: str
) -> None:
    studio.answers[f"GET {path}"] = answer
    told = in_studio(studio, free_port())
    assert told.returncode == 1
    told.one("problem", sentence)
    assert KEY not in told.output


def test_tls_is_checked_against_the_authority_that_is_named(tmp_path: Path) -> None:
    with FakeStudio(TLS / "localhost.pem") as studio:
        given = ("--label-studio-url", studio.url, "--api-key", KEY, "-p", str(free_port()))
        told = Told(*given, cwd=tmp_path)
        told.one("problem", f"the certificate of {studio.url} is not trusted")
        for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
            told = Told(*given, cwd=tmp_path, **{name: str(TLS / "authority.pem")})
            told.one("ok", "accepts the legacy token of me@example.com")
        done = run("doctor", *given, cwd=tmp_path, SSL_CERT_FILE="/no/such.pem")
        assert done.returncode == 2
        assert done.stderr.startswith("error: /no/such.pem: no certificates could be read")


# ---- the way back ---------------------------------------------------------------------------


def test_a_project_without_a_backend_is_told_what_to_paste(
    echo: Server, studio: FakeStudio
) -> None:
    told = in_studio(studio, echo.port)
    advice = told.one("problem", "no ML backend is connected")["advice"]
    assert f"http://localhost:{echo.port}" in advice


def test_what_label_studio_complains_of_is_explained(echo: Server, studio: FakeStudio) -> None:
    row = studio.connect(f"http://127.0.0.1:{echo.port}", state="DI")
    complaint = (
        "HTTPConnectionPool(host='127.0.0.1', port=1): Max retries exceeded with url: /versions (Caused "
        'by NewConnectionError("<x>: Failed to establish a new connection: [Errno 111] Connection refused"))'
    )
    studio.answers[f"GET /api/ml/{row['id']}/versions"] = (500, {"error": complaint})
    told = in_studio(studio, echo.port)
    found = told.one("problem", "which is this server: [Errno 111] Connection refused")
    # We reach it and Label Studio does not: it is in a container.
    assert "means the container itself" in found["advice"]


def test_other_backends_of_the_project_are_told(echo: Server, studio: FakeStudio) -> None:
    studio.connect(f"http://127.0.0.1:{free_port()}")
    told = in_studio(studio, echo.port)
    told.one("problem", f"none of them is the server at port {echo.port}")
    studio.connect(echo.url)
    told = in_studio(studio, echo.port)
    assert "only from the first" in told.one("warning", "2 ML backends")["advice"]
    assert not [text for text in told.texts("problem") if "none of them" in text]


def test_a_webhook_that_works_is_left_alone(echo: Server, studio: FakeStudio) -> None:
    studio.connect(echo.url)
    told = in_studio(studio, echo.port, "--fix")
    assert told.returncode == 0, told.output
    told.one("ok", f"the webhook {echo.url}/webhook reports annotations")
    assert studio.changes() == []


def test_faults_of_a_webhook_are_told_and_fixed(echo: Server, studio: FakeStudio) -> None:
    studio.connect(echo.url)
    address = f"{echo.url}/webhook"
    faults = {
        "is switched off": {"is_active": False},
        "sends no payload": {"send_payload": False},
        "does not send ANNOTATION_UPDATED": {
            "send_for_all_actions": False,
            "actions": ["ANNOTATION_CREATED", "TASKS_CREATED"],
        },
    }
    for fault, fields in faults.items():
        studio.webhooks[:] = [webhook(5, address, **fields)]
        told = in_studio(studio, echo.port)
        assert told.returncode == 1
        assert "--fix" in told.one("problem", fault)["advice"]
        assert studio.changes() == []
        told = in_studio(studio, echo.port, "--fix")
        assert told.returncode == 0, told.output
        told.one("ok", "fixed (before: the webhook")
        [(line, body)] = studio.changes()
        assert line == "PATCH /api/webhooks/5/"
        if "actions" in fields:
            wanted = {"ANNOTATION_CREATED", "ANNOTATION_UPDATED", "TASKS_CREATED"}
            assert set(body.pop("actions")) == wanted
            assert body == {"send_for_all_actions": False}
        else:
            assert body == dict.fromkeys(fields, True)
        studio.requests.clear()


def test_a_missing_webhook_is_made(echo: Server, studio: FakeStudio) -> None:
    studio.connect(echo.url + "/")
    studio.webhooks.clear()
    told = in_studio(studio, echo.port)
    told.one("problem", f"no webhook points to {echo.url}/webhook")
    in_studio(studio, echo.port, "--fix").one("ok", "fixed (before: no webhook points to")
    [(line, body)] = studio.changes()
    assert line == "POST /api/webhooks/"
    assert (body["project"], body["url"]) == (PROJECT, f"{echo.url}/webhook")
    assert body["send_payload"] and body["send_for_all_actions"] and body["is_active"]


def test_a_change_that_label_studio_refuses_is_told(echo: Server, studio: FakeStudio) -> None:
    studio.connect(echo.url)
    studio.webhooks.clear()
    refusal = {"detail": "URL resolves to a reserved network address"}
    studio.answers["POST /api/webhooks"] = (403, refusal)
    told = in_studio(studio, echo.port, "--fix")
    assert told.returncode == 1
    refused = told.one("problem", "fixing it failed")["text"]
    assert "reserved network address" in refused
    assert "SSRF_PROTECTION_ENABLED=false" in refused


def test_a_webhook_without_the_password_is_fixed(tmp_path: Path, studio: FakeStudio) -> None:
    server = Locked(make_project(tmp_path, ECHO), *GIVEN)
    try:
        studio.connect(server.url, auth_method="BASIC_AUTH", basic_auth_user=USER)
        studio.webhooks[0]["headers"] = {"X-Mine": "kept"}
        told = in_studio(studio, server.port, "--fix")
        advice = told.one("problem", "sends no password to a server that requires one")["advice"]
        assert "--basic-auth-user and --basic-auth-pass" in advice
        assert studio.changes() == []

        told = in_studio(studio, server.port, "--fix", *GIVEN)
        told.one("ok", "fixed (before: the webhook")
        assert PASSWORD not in told.output and BASIC not in told.output
        [(_, body)] = studio.changes()
        assert body == {"headers": {"X-Mine": "kept", "Authorization": BASIC}}

        for brought, fault in ((BASIC, False), ("Basic d3Jvbmc6d3Jvbmc=", True)):
            studio.webhooks[0]["headers"] = {"authorization": brought}
            told = in_studio(studio, server.port, *GIVEN)
            refused = [text for text in told.texts("problem") if "refuses" in text]
            assert bool(refused) == fault
    finally:
        server.stop()


def test_an_address_with_the_webhook_token_needs_no_password(
    tmp_path: Path, studio: FakeStudio
) -> None:
    token = "0123456789abcdef"
    server = Locked(make_project(tmp_path, ECHO), *GIVEN, "--webhook-token", token)
    try:
        address = f"{server.url}/{token}"
        studio.connect(address, auth_method="BASIC_AUTH", basic_auth_user=USER)
        studio.webhooks[:] = [webhook(5, f"{address}/webhook")]
        told = in_studio(studio, server.port, "--fix", *GIVEN, "--webhook-token", token)
        told.one("ok", f"the webhook {address}/webhook reports annotations")
        told.one("ok", f"http://localhost:{server.port}/{token} for a Label Studio")
        assert studio.changes() == []
    finally:
        server.stop()


def test_an_address_without_the_webhook_token_is_told(serve: Serve, studio: FakeStudio) -> None:
    server = serve(ECHO, "--webhook-token", "0123456789abcdef")
    studio.connect(server.url)
    studio.webhooks[:] = [webhook(5, f"{server.url}/webhook")]
    told = in_studio(studio, server.port, "--fix")
    advice = told.one("problem", "lacks its webhook token")["advice"]
    assert "label-studio-ml start" in advice
    assert studio.changes() == []


def test_our_password_goes_to_no_other_server(
    echo: Server, tmp_path: Path, studio: FakeStudio
) -> None:
    other = Locked(make_project(tmp_path, ECHO), *GIVEN)
    try:
        studio.connect(other.url, auth_method="BASIC_AUTH", basic_auth_user="somebody else")
        with Recorder() as recorder:
            studio.connect(recorder.url)
            told = in_studio(studio, echo.port, "--fix", *GIVEN)
        told.one("problem", "sends no password")
        assert studio.changes() == []
        assert set(recorder.authorizations) == {None}
    finally:
        other.stop()


def test_an_address_that_label_studio_refuses_is_told(echo: Server, studio: FakeStudio) -> None:
    studio.connect(f"http://localhost:{echo.port}")
    block = "URL resolves to a reserved network address (block: 127.0.0.0/8)"
    studio.answers["POST /api/webhooks"] = (403, {"detail": block})
    for more in ((), ("--fix",)):
        told = in_studio(studio, echo.port, *more)
        assert told.returncode == 1
        problem = told.one("problem", f"no event will come to http://localhost:{echo.port}/webhook")
        assert block in problem["text"] and "SSRF_PROTECTION_ENABLED=false" in problem["text"]
        assert not [text for text in told.texts("ok") if "reports annotations" in text]
    assert studio.changes() == []
    # A user who may not change webhooks cannot be told.
    studio.answers["POST /api/webhooks"] = (403, {"detail": "not yours"})
    in_studio(studio, echo.port).one("ok", "reports annotations")


def test_webhooks_of_deleted_backends_are_told(echo: Server, studio: FakeStudio) -> None:
    studio.connect(echo.url)
    dead = f"http://127.0.0.1:{free_port()}/webhook"
    studio.webhooks += [
        webhook(11, f"http://localhost:{echo.port}/webhook"),
        webhook(12, dead),
        webhook(13, f"{dead}/", is_active=False),
        webhook(14, "http://127.0.0.1:1/elsewhere"),
    ]
    told = in_studio(studio, echo.port)
    assert (
        "each may train twice"
        in told.one("warning", f"http://localhost:{echo.port}/webhook b")["text"]
    )
    assert "nothing answers there" in told.one("warning", f"{dead} belongs to no")["text"]
    assert len([text for text in told.texts("warning") if "belongs to no" in text]) == 2


def test_a_class_without_fit_needs_no_webhook(serve: Serve, studio: FakeStudio) -> None:
    server = serve(
        """
        from label_studio_ml.model import LabelStudioMLBase

        class Fixed(LabelStudioMLBase):
            def predict(self, tasks, **kwargs):
                return [{"result": []} for task in tasks]
        """
    )
    studio.connect(server.url)
    studio.webhooks.clear()
    given = ("--label-studio-url", studio.url, "--api-key", KEY, "--project", str(PROJECT))
    told = Told(server.project, "-p", str(server.port), *given)
    assert told.returncode == 0, told.output
    told.one("ok", "does not learn, and needs no webhook")


# ---- files ----------------------------------------------------------------------------------


def test_files_of_the_first_task_are_tried(echo: Server, studio: FakeStudio) -> None:
    studio.connect(echo.url)
    image = "s3://bucket/a.png"
    encoded = base64.urlsafe_b64encode(image.encode()).decode()
    studio.data = {
        "image": image,
        "more": [{"local": "/data/local-files/?d=a.png"}, {"upload": "/data/upload/7/gone.png"}],
        "web": f"http://127.0.0.1:{free_port()}/x.png",
        "text": "http://example.com is only named here",
    }
    studio.answers["GET /tasks/3/resolve"] = (200, b"\x89PNG")
    studio.answers["GET /data/local-files"] = (403, b"")
    studio.answers["GET /data/upload/7/gone.png"] = (404, b"")
    told = in_studio(studio, echo.port)
    told.one("ok", f"{image} can be fetched")
    assert (f"GET /tasks/3/resolve/?fileuri={encoded}", None) in studio.requests
    local = told.one("problem", "/data/local-files/?d=a.png is answered with 403")
    assert "LOCAL_FILES_SERVING_ENABLED" in local["advice"]
    assert "import it again" in told.one("problem", "gone.png is answered with 404")["advice"]
    told.one("problem", "/x.png cannot be fetched: nothing listens there")
    assert len(told.texts("problem")) == 3


def test_the_key_goes_to_label_studio_alone(echo: Server, studio: FakeStudio) -> None:
    studio.connect(echo.url)
    with Recorder() as recorder:
        studio.data = {"file": f"{recorder.url}/a.txt"}
        in_studio(studio, echo.port).one("ok", "/a.txt can be fetched")
    assert recorder.authorizations == [None]
