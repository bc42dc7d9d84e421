"""Every error has a code that clients can branch on, and docs/errors.md says what each one means."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from error_page import STATUSES, read_error
from hosting import CHOICES, PROJECT, ROOT, Server, make_project, wait_for
from raw_http import Answer, Wire, ask, post

DESCRIPTION = json.loads((Path(__file__).parent / "openapi.json").read_text())
ROUTES = [(path, method) for path, item in DESCRIPTION["paths"].items() for method in item]
JSON_ROUTES = ["/setup", "/predict", "/train", "/webhook", "/job_status", "/versions"]
OPEN = ("/livez", "/readyz")

#: A model that fails as the first task says.
MOODY = """
    import os
    import time
    from label_studio_ml.exceptions import AnswerException
    from label_studio_ml.model import LabelStudioMLBase

    class Moody(LabelStudioMLBase):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            config = self.label_config or ""
            if "POISON" in config:
                os._exit(3)
            if "REFUSED" in config or (self.train_output or {}).get("do") == "unloadable":
                raise ValueError("refused")
            self.first = list(self.parsed_label_config)[0]

        def predict(self, tasks, **kwargs):
            do = tasks[0]["data"].get("do") if tasks else None
            if do == "raise":
                raise KeyError("sentiment")
            if do == "answer":
                raise AnswerException(418, "short and stout")
            if do == "set":
                return [{"result": [{"value": {1, 2}}]}]
            if do == "hidden":
                return [{"result": [{"from_name": "nothing", "to_name": "text", "type": "choices"}]}]
            if do == "die":
                os._exit(3)
            if do == "sleep":
                time.sleep(60)
            return [{"result": []} for _ in tasks]

        def fit(self, tasks, workdir=None, **kwargs):
            return {"do": list(tasks)[0]["data"].get("do")}
"""
V2 = """
    from label_studio_ml.model import LabelStudioMLBase

    class ModelV2(LabelStudioMLBase):
        def predict(self, tasks, context=None, **kwargs):
            return [{"result": []} for _ in tasks]

        def fit(self, event, data, **kwargs):
            import os, time
            while data.get("hold") and os.path.exists(data["hold"]):
                time.sleep(0.01)
            return data.get("learned")
"""
TOKEN = "0123456789abcdef"


class Stage:
    """Servers, each started when a test first needs it, and clients that wait for them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.servers: dict[tuple[str, ...], Server] = {}
        self.clients = ThreadPoolExecutor(8)

    def server(self, *arguments: str, source: str = MOODY, **options: Any) -> Server:
        """Return the server of the model with these arguments."""
        key = (source, *arguments, *map(str, options.values()))
        if key not in self.servers:
            project = make_project(self.root / str(len(self.servers)), source)
            self.servers[key] = Server(project, *arguments, **options)
        return self.servers[key]

    def plain(self) -> Server:
        return self.server("--strict", "--predict-hard-timeout", "2")

    def limited(self, **limits: str) -> Server:
        """Return the server of the model with these options."""
        named = ((f"--{name.replace('_', '-')}", limit) for name, limit in limits.items())
        return self.server(*(part for both in named for part in both))

    def hold(self, server: Server, project: str) -> Future[requests.Response]:
        """Have a client wait for a prediction of a minute."""
        body = {**PREDICT, "tasks": [{"data": {"do": "sleep"}}], "project": project}
        return self.clients.submit(requests.post, server.url + "/predict", json=body, timeout=120)

    def stop(self) -> None:
        for server in self.servers.values():
            server.stop(signal.SIGKILL)
        self.clients.shutdown()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = Stage(tmp_path_factory.mktemp("errors"))
    yield stage
    stage.stop()


PREDICT = {"tasks": [{"data": {}}], "project": PROJECT, "label_config": CHOICES}
Case = Callable[[Stage], requests.Response | Answer]


def do(what: str) -> Case:
    return lambda stage: stage.plain().predict([{"data": {"do": what}}])


def posting(path: str, body: Any, source: str = MOODY) -> Case:
    def send(stage: Stage) -> requests.Response:
        server = stage.plain() if source == MOODY else stage.server(source=source)
        if isinstance(body, str):
            headers = {"Content-Type": "application/json"}
            return requests.post(server.url + path, data=body, headers=headers, timeout=60)
        return server.post(path, body)

    return send


def raw(*parts: str | bytes, **limits: str) -> Case:
    """Send bytes and wait for the answer."""

    def send(stage: Stage) -> Answer:
        server = stage.limited(**limits) if limits else stage.plain()
        return ask(server.port, *parts)

    return send


def waiting(server: Server, number: int) -> None:
    """Wait until so many predictions wait, and one runs."""

    def told() -> bool:
        text = server.get("/metrics").text
        running = "label_studio_ml_predictions_running 1\n" in text
        return running and f"label_studio_ml_predictions_waiting {number}\n" in text

    wait_for(told, f"one prediction runs, and {number} wait")


def until(status: int, ask_again: Callable[[], requests.Response]) -> requests.Response:
    """Return the first answer that has the status."""
    answers: list[requests.Response] = []

    def has_status() -> bool:
        answers.append(ask_again())
        return answers[-1].status_code == status

    wait_for(has_status, f"an answer has the status {status}")
    return answers[-1]


def queue_full(stage: Stage) -> requests.Response:
    server = stage.limited(threads="1", max_queue="2", max_queue_per_project="1")
    for number in range(3):
        stage.hold(server, f"{number}.1")
        waiting(server, number)
    return server.predict(project="9.1")


def project_queue_full(stage: Stage) -> requests.Response:
    server = stage.limited(threads="1", max_queue_per_project="1")
    for number in range(2):
        stage.hold(server, "1.1")
        waiting(server, number)
    return server.predict(project="1.1")


def queue_timeout(stage: Stage) -> requests.Response:
    server = stage.limited(threads="1", queue_timeout="0.5")
    stage.hold(server, "1.1")
    waiting(server, 0)
    return server.predict()


def too_many_connections(stage: Stage) -> Answer:
    server = stage.limited(max_connections="1")
    with Wire(server.port) as first, Wire(server.port) as second:
        body = {**PREDICT, "tasks": [{"data": {"do": "sleep"}}]}
        first.send(post("/predict", json.dumps(body)))
        return second.answer()


def no_room_for_body(stage: Stage) -> requests.Response:
    server = stage.limited(max_body="1", max_bodies="1")
    body = {**PREDICT, "project": "x" * 900_000}

    with Wire(server.port) as wire:
        wire.send(post("/predict", json.dumps(body))[:-1])
        return until(503, lambda: server.post("/train", body))


def train(server: Server, what: str) -> str:
    """Train to the end; return the job."""
    tasks = [{"data": {"do": what}}]
    body = {"annotations": tasks, "project": PROJECT, "label_config": CHOICES}
    answer = server.post("/train", body, headers={"Prefer": "wait=100"})
    job: str = answer.json()["job"]
    return job


def version_not_loadable(stage: Stage) -> requests.Response:
    server = stage.plain()
    # A model is loaded, so the version is tried.
    assert server.predict().status_code == 200
    job = train(server, "unloadable")
    return server.post(f"/versions/{job}/activate", {"project": PROJECT})


def v2_event(**more: Any) -> dict[str, Any]:
    created = "2026-11-23T10:49:25Z"
    project = {"id": 2, "created_at": created, "label_config": CHOICES}
    return {"action": "ANNOTATION_CREATED", "project": project, **more}


def no_earlier_version(stage: Stage) -> requests.Response:
    server = stage.server(source=V2)
    # It returns where it keeps what it learned, so the server has nothing of it.
    names = [
        server.post("/webhook", v2_event(learned=path), headers={"Prefer": "wait=100"}).json()
        for path in ("a", "b")
    ]
    name = names[0]["model_version"]
    return server.post(f"/versions/{name}/activate", {"project": PROJECT})


def training_runs(stage: Stage) -> requests.Response:
    server = stage.server(source=V2)
    no_earlier_version(stage)
    hold = stage.root / "hold"
    hold.touch()
    job = server.post("/webhook", v2_event(hold=str(hold))).json()["job"]
    started = lambda: server.get(f"/jobs/{job}").json()["job_status"] == "started"  # noqa: E731
    wait_for(started, "it trains")
    name = server.get("/versions").json()["versions"][0]
    try:
        return until(409, lambda: server.post(f"/versions/{name}/activate", {"project": PROJECT}))
    finally:
        hold.unlink()


def job_not_cancellable(stage: Stage) -> requests.Response:
    server = stage.plain()
    return server.post(f"/jobs/{train(server, 'nothing')}/cancel")


def model_folder_in_use(stage: Stage) -> requests.Response:
    second = Server(stage.plain().project)
    try:
        return second.train()
    finally:
        second.stop()


def model_crash_looping(stage: Stage) -> requests.Response:
    config = CHOICES.replace("Positive", "POISON")
    return until(500, lambda: stage.plain().predict(project="6.6", config=config))


def broken(stage: Stage) -> Server:
    """Return a server whose script cannot be imported any more."""
    server = stage.limited(threads="3")
    (server.project / "model.py").write_text("import no_such_package")
    server.predict([{"data": {"do": "die"}}])
    wait_for(lambda: "no_such_package" in server.get("/health").text, "it is imported in vain")
    return server


def server_stopping(stage: Stage) -> requests.Response:
    server = stage.limited(drain_timeout="0.5")
    held = stage.hold(server, "1.1")
    waiting(server, 0)
    server.process.terminate()
    return held.result()


def predict_with(**fields: Any) -> Case:
    return posting("/predict", {**PREDICT, **fields})


GET = "GET /health HTTP/1.1\r\nHost: h\r\n"
CASES: dict[str, Case] = {
    "invalid_http": raw("nonsense\r\n\r\n"),
    "tls_not_supported": raw(bytes.fromhex("16030100c8010000c40303") + bytes(194)),
    "http_version_not_supported": raw("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "ambiguous_request": raw(f"{GET}Host: other\r\n\r\n"),
    "target_too_long": raw(f"GET /{'x' * 65_600} HTTP/1.1\r\n\r\n", max_header_size="256"),
    "headers_too_large": raw(f"{GET}A: {'x' * 70_000}\r\n\r\n"),
    "header_timeout": raw("GET /health HT", header_timeout="0.5"),
    "too_many_connections": too_many_connections,
    "unauthorized": lambda stage: requests.get(
        stage.server(auth=("user", "pass")).url + "/health", timeout=60
    ),
    "webhook_token_required": lambda stage: stage.server("--webhook-token", TOKEN).post(
        "/webhook", {"action": "START_TRAINING"}
    ),
    "unknown_path": lambda stage: stage.plain().get("/nope"),
    "method_not_allowed": lambda stage: stage.plain().get("/predict"),
    "unsupported_media_type": lambda stage: requests.post(
        stage.plain().url + "/predict",
        data="{}",
        headers={"Content-Type": "text/plain"},
        timeout=60,
    ),
    "body_too_large": lambda stage: stage.limited(max_body="1").post(
        "/predict", {**PREDICT, "project": "x" * (1 << 20)}
    ),
    "no_room_for_body": no_room_for_body,
    "body_timeout": raw(post("/predict", "{}")[:-1], body_timeout="0.5"),
    "body_unreadable": raw(post("/predict", b"zz\r\n", "Transfer-Encoding: chunked")),
    "invalid_json": posting("/predict", "{"),
    "not_an_object": posting("/predict", "[]"),
    "missing_field": posting("/predict", {}),
    "invalid_field": predict_with(params=[]),
    "project_key_too_long": predict_with(project="x" * 400),
    "missing_label_config": posting("/predict", {"tasks": [], "project": "7.7"}),
    "invalid_label_config": predict_with(project="8.8", label_config="<View><Text"),
    "no_annotations": posting("/train", {"annotations": []}),
    "no_project": posting("/versions", {}),
    "model_not_ready": lambda stage: broken(stage).predict(),
    "queue_full": queue_full,
    "project_queue_full": project_queue_full,
    "queue_timeout": queue_timeout,
    "predict_timeout": do("sleep"),
    "server_stopping": server_stopping,
    "model_not_loaded": predict_with(project="9.9", try_fetch=False),
    "model_not_constructed": predict_with(label_config=CHOICES.replace("Positive", "REFUSED")),
    "model_raised": do("raise"),
    "model_answered": do("answer"),
    "invalid_result": do("set"),
    "invalid_predictions": do("hidden"),
    "worker_died": do("die"),
    "model_crash_looping": model_crash_looping,
    "train_not_supported": posting("/train", {"annotations": [{}]}, V2),
    "unknown_job": lambda stage: stage.plain().get("/jobs/1"),
    "job_not_cancellable": job_not_cancellable,
    "model_folder_in_use": model_folder_in_use,
    "unknown_version": posting("/versions/1/activate", {"project": PROJECT}),
    "version_not_loadable": version_not_loadable,
    "no_earlier_version": no_earlier_version,
    "training_runs": training_runs,
}
#: Errors that a test can hardly cause from outside; the file makes them and looks at their codes.
ELSEWHERE = {
    "job_gone": "src/http/error/mapping.rs",
    "training_unavailable": "src/http/error/mapping.rs",
    "storage_full": "src/http/error/mapping.rs",
    "storage_read_only": "src/http/error/mapping.rs",
    "storage_failed": "src/http/error/mapping.rs",
    "predict_cancelled": "src/http/error/mapping.rs",
    "model_unloaded": "src/http/error/mapping.rs",
    "worker_channel_failed": "src/http/error/mapping.rs",
    "app_failed": "src/http/error/mapping.rs",
    "app_timeout": "src/http/error/mapping.rs",
    "internal_error": "src/http/error/mapping.rs",
}
#: /readyz answers in a form of its own.
OWN_FORM = {"not_ready"}


def test_every_code_of_the_page_is_shown_to_occur() -> None:
    assert STATUSES.keys() == {*CASES, *ELSEWHERE, *OWN_FORM}


@pytest.mark.parametrize("code", CASES)
def test_an_error_has_its_code(code: str, stage: Stage) -> None:
    answer = CASES[code](stage)
    status = answer.status if isinstance(answer, Answer) else answer.status_code
    content = answer.body if isinstance(answer, Answer) else answer.content
    assert read_error(status, content)["error_code"] == code, content


def test_a_probe_that_fails_has_a_code_too(stage: Stage) -> None:
    answer = broken(stage).get("/readyz")
    body = answer.json()
    assert body.pop("problems"), "they are for everybody where there is no password"
    assert body == {"status": "DOWN", "error_code": "not_ready"}
    assert str(answer.status_code) == STATUSES["not_ready"]


@pytest.mark.parametrize("code", ELSEWHERE)
def test_what_is_shown_elsewhere_is_there(code: str) -> None:
    variant = "".join(word.capitalize() for word in code.split("_"))
    _, tests = (ROOT / ELSEWHERE[code]).read_text().split("#[cfg(test)]")
    assert f"ErrorCode::{variant}" in tests


@pytest.mark.parametrize(("path", "method"), ROUTES)
def test_every_route_refuses_by_code(path: str, method: str, stage: Stage) -> None:
    def refused(code: str, method: str = method, server: Server | None = None, **more: Any) -> None:
        url = (server or stage.plain()).url + path.replace("{", "").replace("}", "")
        answer = requests.request(method, url, timeout=60, **more)
        assert read_error(answer.status_code, answer.content)["error_code"] == code

    refused("method_not_allowed", method="PATCH")
    if path not in OPEN:
        refused("unauthorized", server=stage.server(auth=("user", "pass")))
    if method == "post" and path in JSON_ROUTES:
        in_json = {"Content-Type": "application/json"}
        refused("unsupported_media_type", data="{}", headers={"Content-Type": "text/plain"})
        refused("invalid_json", data="{", headers=in_json)
        refused("not_an_object", data="[]", headers=in_json)
        limited = stage.limited(max_body="1")
        refused("body_too_large", server=limited, data=bytes(2 << 20), headers=in_json)


@pytest.mark.parametrize(
    ("authorization", "why"),
    [(None, "it brought no user and password"), ("Basic eDp5", "its user or password is wrong")],
)
def test_the_log_says_more_than_the_client_learns(
    authorization: str | None, why: str, stage: Stage
) -> None:
    server = stage.server(auth=("user", "pass"))
    headers = {"Authorization": authorization} if authorization else {}
    answer = requests.get(server.url + "/jobs", headers=headers, timeout=60)
    assert answer.json()["detail"] == "Unauthorized"
    server.wait_logged(f"GET /jobs → 401 Unauthorized ({why})")
