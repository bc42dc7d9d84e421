"""No secret of the server or of Label Studio is in a log, an answer, or a file that other users may read."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path

import requests
from hosting import CHOICES, PROJECT, Server, is_running, make_project, wait_for
from raw_http import ask, post

USER, PASSWORD = "somebody", "correct-horse-battery"
TOKEN = "staple_0123456789-abcdef"
ACCESS = "access-token-of-a-person"
BASIC = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
SECRETS = [PASSWORD, TOKEN, ACCESS, BASIC]
#: Stands for a secret that a client put into the wrong place.
STRAY = "stray-secret-in-a-body"

MODEL = """
    import os, signal
    from label_studio_ml.model import LabelStudioMLBase

    class Model(LabelStudioMLBase):
        def predict(self, tasks, **kwargs):
            text = tasks[0]["data"]["text"]
            if text == "raise":
                raise ValueError("no such text")
            if text == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            print("predicts", text)
            return [{"result": [], "score": 0.5}]

        def fit(self, tasks, workdir=None, **kwargs):
            print("trains")
            print(sorted(os.environ.values()))
            return {"tasks": len(list(tasks))}
"""


class Guarded(Server):
    def _is_ready(self) -> bool:
        self.session.auth = (USER, PASSWORD)
        return super()._is_ready()


def readable_by_others(folder: Path) -> dict[Path, bytes]:
    """Return the files below a folder that another user could open, with their contents."""
    found = {}
    for root, folders, files in os.walk(folder):
        closed = [name for name in folders if not (Path(root, name).stat().st_mode & stat.S_IXOTH)]
        folders[:] = [name for name in folders if name not in closed]
        for file in (Path(root, name) for name in files):
            if file.stat().st_mode & stat.S_IROTH:
                found[file] = file.read_bytes()
    return found


def test_no_secret_gets_out(tmp_path: Path) -> None:
    names = {
        "BASIC_AUTH_USER": USER,
        "BASIC_AUTH_PASS": PASSWORD,
        "LABEL_STUDIO_ML_WEBHOOK_TOKEN": TOKEN,
        "LOG_LEVEL": "DEBUG",
    }
    project = make_project(tmp_path, MODEL)
    server = Guarded(project, env=names)
    told: list[str] = []
    try:
        # The address is printed a moment after the first worker is ready.
        server.wait_logged(f"/{TOKEN}")
        pasted = server.log().count(TOKEN)
        assert pasted == 1, "it is printed once, to be pasted"
        authorization = f"Authorization: Basic {BASIC}"

        def note(answer: requests.Response) -> requests.Response:
            told.append(f"{answer.reason} {answer.headers} {answer.text}")
            return answer

        assert note(server.setup(access_token=ACCESS)).status_code == 200
        assert note(server.setup(access_token=ACCESS, schema="<broken")).status_code >= 400
        assert note(server.setup(access_token=ACCESS, hostname=7)).status_code == 422
        for body in (f'{{"access_token": "{ACCESS}", "{STRAY}', f'"{STRAY}"', f"[{STRAY}]"):
            raw = ask(server.port, post("/setup", body, authorization))
            assert raw.status in (400, 422)
            told.append(f"{raw.reason} {raw.headers} {raw.body!r}")
        for text, status in (("fine", 200), ("raise", 500), ("die", 502)):
            tasks = [{"id": 1, "data": {"text": text}}]
            assert note(server.predict(tasks)).status_code == status
        wait_for(lambda: server.get("/readyz").status_code == 200, "another worker is ready")
        for wrong in ((USER, PASSWORD + "x"), (PASSWORD, USER)):
            refused = requests.get(f"{server.url}/health", auth=wrong, timeout=60)
            assert note(refused).status_code == 401
        event = {
            "action": "ANNOTATION_CREATED",
            "annotation": {"id": 1, "result": []},
            "task": {"id": 1, "data": {"text": "fine"}},
            "project": {
                "id": int(PROJECT.split(".")[0]),
                "created_at": "2026-11-23T11:09:48.123456Z",
                "label_config": CHOICES,
                "token": ACCESS,
            },
        }
        address = f"{server.url}/{TOKEN}"
        queued = note(requests.post(f"{address}/webhook", json=event, timeout=60))
        assert queued.status_code == 201, queued.text
        note(requests.post(f"{address}/webhook", data="{", timeout=60))
        note(requests.get(f"{address}/nope?token={TOKEN}", timeout=60))
        note(server.get(f"/{TOKEN}/nope", params={"token": TOKEN}))
        told.append(repr(ask(server.port, f"GET /{TOKEN}/x y HTTP/1.1\r\nHost: h\r\n\r\n")))
        job = queued.json()["job"]
        wait_for(
            lambda: server.get(f"/jobs/{job}").json()["job_status"] == "finished", "it trained"
        )
        for path in (
            "/jobs",
            f"/jobs/{job}",
            f"/jobs/{job}/log",
            "/metrics",
            "/health",
            "/versions",
        ):
            note(server.get(path))
        assert "trains" in server.get(f"/jobs/{job}/log").text
        for pid in server.workers():
            if is_running(pid):
                environment = Path(f"/proc/{pid}/environ").read_text()
                assert PASSWORD not in environment
                assert TOKEN not in environment
    finally:
        assert server.stop() == 0
    log = server.log()
    assert "predicts fine" in log and "ValueError" in log
    for secret in SECRETS:
        assert log.count(secret) == (pasted if secret == TOKEN else 0), secret
        assert not [text for text in told if secret in text], secret
    assert STRAY not in log + "".join(told)
    for path, content in readable_by_others(project).items():
        for secret in SECRETS:
            assert secret.encode() not in content, path
    event_files = [path for path in project.rglob("event.json")]
    assert event_files and ACCESS in event_files[0].read_text()
    assert {stat.S_IMODE(path.stat().st_mode) for path in event_files} == {0o600}
