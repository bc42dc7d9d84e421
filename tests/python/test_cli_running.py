"""Commands that ask a running server: versions, activate, jobs and cancel."""

from __future__ import annotations

import json
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from fake_studio import Recorder
from hosting import PROJECT, ROOT, Server, free_port, make_project, run, wait_for

Serve = Callable[..., Server]
TLS = ROOT / "tests" / "fixtures" / "tls"

#: Learns, prints, fails or takes its time, as the annotations say.
OBEDIENT = """
    import time
    from label_studio_ml import progress
    from label_studio_ml.model import LabelStudioMLBase

    class Obedient(LabelStudioMLBase):
        LABEL_STUDIO_ML_API = {api}

        def predict(self, tasks, **kwargs):
            return [{"result": []} for _ in tasks]

        def fit(self, *args, **kwargs):
            if {api} == 1:
                order = list(args[0])[0]["order"]
            else:
                order = args[1]["order"]
                self.set("learned", str(time.time()))
            print("the order is", order, flush=True)
            if order == "fail":
                raise KeyError("weights")
            if order == "slow":
                for step in range(600):
                    progress(step / 600, "still learning")
                    print("step", step, flush=True)
                    time.sleep(0.1)
            return {"order": order}
"""


def source(api: int) -> str:
    return OBEDIENT.replace("{api}", str(api))


def train(server: Server, order: str, api: int, project: str = PROJECT, wait: int = 100) -> str:
    """Train, and return the number of the job."""
    headers = {"Prefer": f"wait={wait}"} if wait else {}
    config = "<View/>"
    if api == 1:
        body = {"annotations": [{"order": order}], "project": project, "label_config": config}
        answer = server.post("/train", body, headers=headers)
    else:
        about = {"id": int(project.split(".")[0]), "label_config": config}
        event = {"action": "ANNOTATION_CREATED", "project": about, "order": order}
        answer = server.post("/webhook", event, headers=headers)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["job_id"])


@pytest.fixture(scope="module", params=[1, 2])
def trained(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, int, list[str]]]:
    """A server with two versions and a failed job; its API, and its jobs in order."""
    api = request.param
    project = make_project(tmp_path_factory.mktemp("running"), source(api))
    server = Server(project)
    server.setup()
    jobs = [train(server, order, api) for order in ("one", "two", "fail")]
    yield server, api, jobs
    assert server.stop() == 0


def test_versions_are_listed(trained: tuple[Server, int, list[str]]) -> None:
    server, api, _ = trained
    names = server.get("/versions").json()["versions"]
    # Before its first training a model of API v2 has a version that one can go back to.
    assert len(names) == (2 if api == 1 else 3)
    done = run("versions", "-p", str(server.port))
    assert done.returncode == 0, done.stderr
    heading, *lines = done.stdout.splitlines()
    column = heading.index("VERSION")
    rows = [line[column:].split() for line in lines if line.strip()]
    assert [row[0] for row in rows if row[0] in names] == names, done.stdout
    whole = run("versions", "-p", str(server.port), "--json")
    assert json.loads(whole.stdout)["versions"] == names


def test_a_version_is_activated_by_its_name(trained: tuple[Server, int, list[str]]) -> None:
    server, _, _ = trained
    newest, older, *_ = server.get("/versions").json()["versions"]
    port = ("-p", str(server.port))
    for version in (older, newest):
        done = run("activate", version, *port)
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"Version {version} of project {PROJECT} is served now.\n"
        assert server.setup().json() == {"model_version": version}
    asked = run("activate", older, *port, "--project", PROJECT, "--json")
    assert json.loads(asked.stdout) == {"project": PROJECT, "model_version": older}


def test_an_unknown_version_names_those_that_are(trained: tuple[Server, int, list[str]]) -> None:
    server, _, _ = trained
    done = run("activate", "no such/version?", "-p", str(server.port))
    assert done.returncode == 1
    names = server.get("/versions").json()["versions"]
    sentence = f'there is no version "no such/version?"; there are {", ".join(names)}'
    assert done.stderr == f"error: {sentence}\n"


def test_several_projects_with_a_version_are_named(serve: Serve) -> None:
    server = serve(source(1))
    others = ["1.1795430965", "3.1795430966"]
    ids = []
    for project in others:
        server.setup(project=project)
        ids.append(train(server, "one", 1, project))
    # Folders of one number in two projects, as two servers on one clock make them.
    assert server.stop() == 0
    folder = server.models / others[1] / ids[1]
    folder.rename(folder.parent / ids[0])
    server.start()
    for project in others:
        server.setup(project=project)
    done = run("activate", ids[0], "-p", str(server.port))
    assert done.returncode == 1
    assert "several projects have" in done.stderr and "project" in done.stderr
    chosen = run("activate", ids[0], "-p", str(server.port), "--project", others[1])
    assert chosen.returncode == 0, chosen.stderr


def test_jobs_are_listed_and_shown(trained: tuple[Server, int, list[str]]) -> None:
    server, _, jobs = trained
    port = ("-p", str(server.port))
    done = run("jobs", *port)
    assert done.returncode == 0, done.stderr
    heading, *lines = done.stdout.splitlines()
    assert heading.split()[:3] == ["JOB", "STATUS", "PROJECT"]
    rows = [line.split() for line in lines if not line.startswith("      ")]
    assert [row[0] for row in rows] == jobs[::-1], "newest first"
    assert [row[1] for row in rows] == ["failed", "finished", "finished"]
    assert "KeyError" in lines[1]
    assert len({line.index("finished") for line in lines if "finished" in line}) == 1, "aligned"
    assert run("jobs", *port, "--limit", "1").stdout.count("\n") == 3
    assert len(json.loads(run("jobs", *port, "--json").stdout)["jobs"]) == 3
    shown = run("jobs", jobs[2], *port)
    assert shown.returncode == 0, shown.stderr
    assert re.search(r"^Status +failed$", shown.stdout, re.M), shown.stdout
    assert "Traceback" in shown.stdout and f"jobs log {jobs[2]}" in shown.stdout
    assert json.loads(run("jobs", jobs[2], *port, "--json").stdout)["job"] == jobs[2]
    log = run("jobs", "log", jobs[1], *port)
    assert log.stdout == "the order is two\n", log.stderr
    followed = run("jobs", "log", jobs[1], "--follow", *port)
    assert followed.stdout == log.stdout
    for command in (("jobs", "17"), ("jobs", "log", "17"), ("cancel", "17")):
        done = run(*command, *port)
        assert (done.returncode, done.stderr) == (1, "error: there is no job 17\n"), command
    finished = run("cancel", jobs[0], *port)
    assert finished.returncode == 1
    assert "cannot be cancelled any more" in finished.stderr


@pytest.mark.parametrize("api", [1, 2])
def test_a_running_job_is_followed_and_cancelled(serve: Serve, api: int) -> None:
    server = serve(source(api))
    server.setup()
    port = ("-p", str(server.port))
    job = train(server, "slow", api, wait=0)
    wait_for(lambda: "step 3" in run("jobs", "log", job, *port).stdout, "it prints")
    followed: list[Any] = []
    follower = threading.Thread(
        target=lambda: followed.append(run("jobs", "log", job, "-f", *port)), daemon=True
    )
    follower.start()
    assert "still learning" in run("jobs", *port).stdout
    time.sleep(2)
    done = run("cancel", job, *port)
    assert (done.returncode, done.stdout) == (0, f"Job {job} is cancelled.\n"), done.stderr
    follower.join(60)
    steps = [int(step) for step in re.findall(r"step (\d+)", followed[0].stdout)]
    assert followed[0].returncode == 0 and len(steps) > 5
    assert steps == list(range(len(steps))), "each line once"


def test_the_server_of_a_project_is_found_by_its_models(serve: Serve, tmp_path: Path) -> None:
    server = serve(source(1))
    server.setup()
    job = train(server, "one", 1)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for command in (("versions", server.project), ("jobs", job, server.project)):
        done = run(*command, cwd=elsewhere)
        assert done.returncode == 0 and job in done.stdout, done.stderr
    assert job in run("versions", cwd=server.project).stdout
    version = run("activate", job, server.project, cwd=elsewhere)
    assert version.returncode == 0, version.stderr
    assert run("jobs", "nowhere", cwd=elsewhere).returncode == 2
    other = run("versions", "-p", free_port(), server.project, cwd=elsewhere)
    assert other.returncode == 2, "the port that is given counts"


def test_a_password_is_asked_for(serve: Serve, tmp_path: Path) -> None:
    server = serve(source(1), auth=("user", "pass"))
    port = ("-p", str(server.port))
    done = run("versions", *port, cwd=tmp_path)
    assert done.returncode == 2 and "requires a password" in done.stderr
    assert "--basic-auth-user" in done.stderr
    wrong = run("jobs", *port, "--basic-auth-user", "user", "--basic-auth-pass", "no")
    assert wrong.returncode == 2 and "does not accept this user and password" in wrong.stderr
    given = run("jobs", *port, BASIC_AUTH_USER="user", BASIC_AUTH_PASS="pass")
    assert (given.returncode, given.stdout) == (0, "No training jobs yet.\n")
    none = run("versions", *port, "--basic-auth-user", "user", "--basic-auth-pass", "pass")
    assert none.stdout.startswith("No trained versions yet in ")


def original(body: bytes) -> type[BaseHTTPRequestHandler]:
    """A server of the original, as far as these commands see it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, content = (200, body) if self.path == "/health" else (404, b"<html/>")
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    return Handler


@pytest.mark.parametrize(
    "command", [("versions",), ("activate", "1"), ("jobs",), ("jobs", "log", "1"), ("cancel", "1")]
)
def test_what_is_there_instead_of_the_server_is_told(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    port = free_port()
    done = run(*command, "-p", port, cwd=tmp_path)
    assert done.returncode == 2
    assert f"no server answers at http://127.0.0.1:{port}: nothing listens there" in done.stderr
    assert "label-studio-ml start NAME" in done.stderr and "--port" in done.stderr
    with Recorder() as stranger:
        done = run(*command, "--url", stranger.url, cwd=tmp_path)
    assert done.returncode == 2 and "another program answers" in done.stderr
    http = ThreadingHTTPServer(("127.0.0.1", 0), original(b'{"status": "UP", "model_class": "M"}'))
    threading.Thread(target=http.serve_forever, args=(0.05,), daemon=True).start()
    done = run(*command, "-p", http.server_address[1], cwd=tmp_path)
    http.shutdown()
    http.server_close()
    assert done.returncode == 2
    assert "was not started with `label-studio-ml start`" in done.stderr


def test_a_server_behind_tls_and_below_a_path(serve: Serve, tmp_path: Path) -> None:
    server = serve(source(1))
    job = train(server, "one", 1)
    server.setup()
    behind = server.session

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.removeprefix("/ml/base")
            answer = behind.get(server.url + path, timeout=60)
            status = answer.status_code if path != self.path else 404
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "localhost.pem")
    http.socket = context.wrap_socket(http.socket, server_side=True)
    threading.Thread(target=http.serve_forever, args=(0.05,), daemon=True).start()
    port = http.server_address[1]
    trust = {"SSL_CERT_FILE": str(TLS / "authority.pem")}
    done = run("versions", "--url", f"https://localhost:{port}/ml/base/", cwd=tmp_path, **trust)
    assert done.returncode == 0 and job in done.stdout, done.stderr
    untrusted = run("versions", "--url", f"https://localhost:{port}/ml/base", cwd=tmp_path)
    assert untrusted.returncode == 2 and "certificate is not trusted" in untrusted.stderr
    plain = run("versions", "--url", f"https://localhost:{server.port}", cwd=tmp_path)
    assert plain.returncode == 2 and "does not speak TLS" in plain.stderr
    assert run("versions", "-p", port, cwd=tmp_path).returncode == 2
    http.shutdown()
    http.server_close()


def test_words_that_mean_nothing_are_told(tmp_path: Path) -> None:
    for command, part in (
        (("cancel", "x"), "a job is a number"),
        (("jobs", "log"), "say which job"),
        (("jobs", "--follow"), "--follow is for the output of a job"),
        (("versions", "--url", "ftp://h"), "is not an address"),
    ):
        done = run(*command, cwd=tmp_path)
        assert done.returncode == 2 and part in done.stderr, done.stderr
