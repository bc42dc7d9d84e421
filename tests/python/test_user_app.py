"""What `_wsgi.py` or the script adds to the app: `start` passes such requests through it."""

from __future__ import annotations

import concurrent.futures
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from hosting import CHOICES, PROJECT, Server, run, wait_for, write_script

MODEL = """
    import importlib
    import os
    import sys
    import time
    from switches import named
    from label_studio_ml.model import LabelStudioMLBase

    class Echo(LabelStudioMLBase):
        def setup(self):
            self.set("model_version", "7")

        def predict(self, tasks, context=None, **kwargs):
            said = tasks[0]["data"]["text"]
            if said == "sleep":
                time.sleep(2)
            if said == "die":
                os._exit(3)
            header = None
            if named:
                module = importlib.import_module("fl" + "ask")
                header = module.request.headers.get("Authorization")
            score = 0.25 if header else 0.5
            return [{"result": [], "score": score, "imported": "fl" + "ask" in sys.modules} for _ in tasks]

        def fit(self, event, data, **kwargs):
            print("learned from", event)
            self.set("learned", event)
"""
HEAD = """
    from label_studio_ml.api import init_app
    from model import Echo
    app = init_app(Echo)
"""
KEY = {"X-Key": "let me in"}
GATE = """
    from flask import abort, request
    @app.before_request
    def gate():
        if request.headers.get("X-Key") != "let me in":
            abort(403)
"""
TASK = {"tasks": [{"id": 1, "data": {"text": "a"}}], "project": PROJECT, "label_config": CHOICES}


class AppServer(Server):
    """A server whose clients bring what the app asks for."""

    headers: dict[str, str] = KEY
    prefix = ""

    def _is_ready(self) -> bool:
        self.session.headers.update(self.headers)
        assert self.process.poll() is None, f"the server ended:\n{self.log()}"
        try:
            return self.session.get(self.url + "/readyz", timeout=60).status_code == 200
        except requests.ConnectionError:
            return False

    def predicted(self, text: str = "a", path: str = "/predict") -> dict[str, Any]:
        body = TASK | {"tasks": [{"id": 1, "data": {"text": text}}]}
        answer = self.post(path, body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["results"][0])


def write_project(root: Path, wsgi: str, model: str = MODEL, named: bool = False) -> Path:
    project = root / "backend"
    write_script(project, model)
    write_script(project, "import flask\nnamed = True" if named else "named = False", "switches.py")
    text = textwrap.dedent(HEAD) + textwrap.dedent(wsgi)
    (project / "_wsgi.py").write_text(text)
    return project


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., AppServer]]:
    servers: list[AppServer] = []

    def start(
        wsgi: str, *arguments: str, model: str = MODEL, named: bool = False, **more: Any
    ) -> AppServer:
        project = write_project(tmp_path, wsgi, model, named)
        servers.append(AppServer(project, *arguments, **more))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def test_a_plain_file_is_served_without_flask(serve: Callable[..., AppServer]) -> None:
    server = serve("")
    assert server.predicted()["imported"] is False
    assert server.get("/nope").json()["error_code"] == "unknown_path"
    assert "pass through" not in server.log()


def test_routes_are_added_and_ours_stay_with_the_server(serve: Callable[..., AppServer]) -> None:
    server = serve(
        """
        from flask import Blueprint, Response, jsonify, make_response, redirect, request

        @app.route("/info/<int:number>")
        def info(number):
            return jsonify(number=number, who=request.remote_addr, q=request.args.get("q"))

        @app.route("/upload", methods=["POST", "PUT"])
        def upload():
            files = {name: len(file.read()) for name, file in request.files.items()}
            return jsonify(files=files, body=len(request.get_data()), form=dict(request.form))

        @app.route("/odd")
        def odd():
            answer = make_response(b"\\x00\\xff", "418 I am a teapot")
            answer.set_cookie("a", "1")
            answer.set_cookie("b", "2")
            answer.headers["X-Name"] = "jürgen"
            answer.headers["X-Got"] = request.headers.get("X-Sent", "")
            return answer

        @app.route("/stream")
        def stream():
            return Response((b"x" * 1000 for _ in range(5000)), mimetype="text/plain")

        @app.route("/away")
        def away():
            return redirect("/info/1")

        @app.route("/raise")
        def fails():
            raise RuntimeError("as it is")

        # The original has this one, and its own rule is the first.
        @app.route("/health")
        def health_of_file():
            return "not this one"

        # Only ours has this one.
        @app.route("/jobs")
        def jobs_of_file():
            return "jobs of the file"

        @app.route("/predict", methods=["GET"])
        def form():
            return "a form"

        other = Blueprint("other", __name__, url_prefix="/other")

        @other.before_request
        def only_there():
            if "X-Key" not in request.headers:
                return "no", 401

        @other.route("/a")
        def a():
            return "other a"

        app.register_blueprint(other)
        """
    )
    info = server.get("/info/3?q=ü%20b")
    assert info.json() == {"number": 3, "who": "127.0.0.1", "q": "ü b"}
    sent = server.session.post(
        server.url + "/upload", files={"f": b"y" * 3_000_000}, data={"n": "1"}
    )
    assert sent.json()["files"] == {"f": 3_000_000} and sent.json()["form"] == {"n": "1"}
    put = server.session.put(server.url + "/upload", data=b"\x00" * 2_000_000)
    assert put.json()["body"] == 2_000_000
    odd = server.get("/odd", headers={"X-Sent": "grün".encode("latin-1")})
    assert (odd.status_code, odd.reason, odd.content) == (418, "I am a teapot", b"\x00\xff")
    assert odd.cookies.get_dict() == {"a": "1", "b": "2"}
    assert odd.headers["X-Name"] == "jürgen" and odd.headers["X-Got"] == "grün"
    assert len(server.get("/stream").content) == 5_000_000
    assert server.session.head(server.url + "/info/3", timeout=60).content == b""
    assert "GET" in server.session.options(server.url + "/info/3", timeout=60).headers["Allow"]
    away = server.get("/away", allow_redirects=False)
    assert (away.status_code, away.headers["Location"]) == (302, "/info/1")
    assert server.get("/raise").status_code == 500
    server.wait_logged("RuntimeError: as it is")
    nope = server.get("/nope")
    assert (nope.status_code, nope.json()["detail"]) == (404, "no such path: /nope")
    assert server.get("/health").json()["model_class"] == "Echo"
    assert server.get("/jobs").text == "jobs of the file"
    assert server.get("/predict").text == "a form"
    assert server.get("/livez").json() == {"status": "UP"}
    assert server.get("/other/a").text == "other a"
    assert requests.get(server.url + "/other/a", timeout=60).status_code == 401
    # Predictions go to the model directly: the hook is that of a blueprint.
    assert requests.post(server.url + "/predict", json=TASK, timeout=60).status_code == 200
    server.wait_logged("pass through the app of _wsgi.py, which adds")


def test_a_script_may_add_to_the_app_of_the_package(serve: Callable[..., AppServer]) -> None:
    model = MODEL + (
        """
    from label_studio_ml.api import _server

    @_server.route("/from-the-script")
    def from_the_script():
        return Echo.__name__
    """
    )
    server = serve("", model=model)
    assert server.get("/from-the-script").text == "Echo"
    assert server.predicted()["score"] == 0.5


def test_a_gate_stands_in_front_of_every_route(serve: Callable[..., AppServer]) -> None:
    server = serve(GATE + '\n    @app.route("/own")\n    def own():\n        return "mine"\n')
    paths = ["/", "/health", "/livez", "/readyz", "/metrics", "/jobs", "/jobs/1", "/versions"]
    paths += ["/diagnostics", "/is_training", "/own", "/nope", "/predict", "/setup"]
    for path in paths:
        assert requests.get(server.url + path, timeout=60).status_code == 403, path
        assert server.get(path).status_code != 403, path
    for path in ("/predict", "/setup", "/webhook", "/train", "/job_status", "/versions"):
        assert requests.post(server.url + path, json=TASK, timeout=60).status_code == 403, path
    assert server.predicted()["model_version"] == "7"
    assert server.get("/health").json()["workers"]["ready"] == 1
    assert server.get("/own").text == "mine"
    event = {"action": "ANNOTATION_CREATED", "project": {"id": 2}, "annotation": {}, "task": {}}
    queued = server.post("/webhook", event)
    assert queued.status_code == 201 and queued.json()["status"] == "queued"
    job = queued.json()["job_id"]
    ended = wait_for(
        lambda: (found := server.get(f"/jobs/{job}").json())["job_status"] == "finished" and found,
        "the job has ended",
    )
    assert ended["job_status"] == "finished"
    wrong = server.post("/predict", {"project": "1"})
    assert wrong.status_code == 422 and wrong.json()["error_code"] == "missing_field"
    # Label Studio shows the reason phrase.
    assert wrong.reason == "`tasks` is missing; it must be a list"
    assert wrong.headers["X-Request-Id"] == wrong.json()["result"]["request_id"]


#: Additions that may see every request, and what shows that they did: in the answer to /predict, or
#: in the log.
SEEN = {
    "after_request": (
        """
        @app.after_request
        def after(response):
            response.headers["X-Seen"] = "yes"
            return response
        """,
        "header",
    ),
    "teardown_request": (
        """
        @app.teardown_request
        def down(error):
            print("it was seen")
        """,
        "log",
    ),
    "teardown_appcontext": (
        """
        @app.teardown_appcontext
        def down(error):
            print("it was seen")
        """,
        "log",
    ),
    "url_value_preprocessor": (
        """
        @app.url_value_preprocessor
        def before(endpoint, values):
            print("it was seen")
        """,
        "log",
    ),
    "signal": (
        """
        from flask import request_started
        def started(sender, **more):
            print("it was seen")
        request_started.connect(started)
        """,
        "log",
    ),
    "middleware in the app": (
        """
        class Around:
            def __init__(self, inner):
                self.inner = inner
            def __call__(self, environ, start_response):
                def start(status, headers, *more):
                    return start_response(status, [*headers, ("X-Seen", "yes")], *more)
                return self.inner(environ, start)
        app.wsgi_app = Around(app.wsgi_app)
        """,
        "header",
    ),
    "middleware around the app": (
        """
        class Around:
            def __init__(self, inner):
                self.inner = inner
            def __call__(self, environ, start_response):
                def start(status, headers, *more):
                    return start_response(status, [*headers, ("X-Seen", "yes")], *more)
                return self.inner(environ, start)
        app = Around(app)
        """,
        "header",
    ),
    "application around the app": (
        """
        def application(environ, start_response):
            def start(status, headers, *more):
                return start_response(status, [*headers, ("X-Seen", "yes")], *more)
            return app(environ, start)
        """,
        "header",
    ),
    "replaced view": (
        """
        from flask import make_response
        inner = app.view_functions["_predict"]
        def predict():
            answer = make_response(inner())
            answer.headers["X-Seen"] = "yes"
            return answer
        app.view_functions["_predict"] = predict
        """,
        "header",
    ),
    "decorated view by name": (
        """
        from label_studio_ml import api
        inner = api._predict
        def predict():
            from flask import make_response
            answer = make_response(inner())
            answer.headers["X-Seen"] = "yes"
            return answer
        api._server.view_functions["_predict"] = predict
        """,
        "header",
    ),
    "process_response": (
        """
        from flask import Flask
        def process(response):
            response.headers["X-Seen"] = "yes"
            return response
        app.process_response = process
        """,
        "header",
    ),
}


@pytest.mark.parametrize("name", list(SEEN))
def test_what_may_see_a_prediction_sees_it(name: str, serve: Callable[..., AppServer]) -> None:
    source, where = SEEN[name]
    server = serve(source)
    answer = server.post("/predict", TASK)
    assert answer.status_code == 200, answer.text
    assert answer.json()["results"][0]["model_version"] == "7"
    if where == "header":
        assert answer.headers["X-Seen"] == "yes"
    else:
        server.wait_logged("it was seen")


def test_an_error_handler_of_the_app_answers(serve: Callable[..., AppServer]) -> None:
    server = serve(
        """
        from flask import jsonify
        @app.errorhandler(404)
        def missing(error):
            return jsonify(mine="not here"), 404
        """
    )
    answer = server.get("/nope")
    assert (answer.status_code, answer.json()) == (404, {"mine": "not here"})


def test_an_app_of_its_own_has_ours_below_a_path(serve: Callable[..., AppServer]) -> None:
    server = serve(
        """
        from flask import Flask
        from werkzeug.middleware.dispatcher import DispatcherMiddleware
        inner = app
        app = Flask("outer")
        app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/ml": inner})
        @app.route("/page")
        def page():
            return "outer page"
        """
    )
    assert server.get("/page").text == "outer page"
    assert server.predicted(path="/ml/predict")["model_version"] == "7"
    assert server.get("/ml/health").json()["model_class"] == "Echo"
    assert server.get("/ml/jobs").json() == {"jobs": []}
    # The outer app has no such route, and a gate may stand in it: nothing is told but that it lives.
    bare = {"status": "UP", "workers": {"ready": 1, "total": 1, "restarts": 0}}
    assert server.get("/health").json() == bare
    assert server.get("/livez").json() == {"status": "UP"}
    for path in ("/predict", "/setup"):
        assert server.post(path, TASK).status_code == 404
    assert server.get("/jobs").status_code == 404


def test_an_extension_finds_the_app_of_flask(serve: Callable[..., AppServer]) -> None:
    server = serve(
        """
        import flask
        assert isinstance(app, flask.Flask) and app.name and callable(app)
        class Extension:
            def __init__(self, app):
                app.extensions["mine"] = self
                app.after_request(self.after)
            def after(self, response):
                response.headers["X-Extension"] = str(flask.current_app.extensions["mine"] is self)
                return response
        Extension(app)
        """
    )
    assert server.post("/predict", TASK).headers["X-Extension"] == "True"


def test_a_password_that_the_server_checked_is_not_shown_to_user_code(
    serve: Callable[..., AppServer],
) -> None:
    server = serve("", named=True, auth=("u", "p"))
    assert server.predicted()["score"] == 0.5
    assert requests.post(server.url + "/predict", json=TASK, timeout=60).status_code == 401
    assert server.get("/readyz").status_code == 200


def test_without_a_password_the_header_passes(serve: Callable[..., AppServer]) -> None:
    server = serve("", named=True)
    server.session.headers["Authorization"] = "Token of somebody else"
    assert server.predicted()["score"] == 0.25


def test_a_gate_of_the_file_sees_the_header_and_both_hold(
    serve: Callable[..., AppServer],
) -> None:
    gate = """
        from flask import abort, request
        @app.before_request
        def gate():
            if request.authorization is None or "X-Key" not in request.headers:
                abort(403)
    """
    server = serve(gate, auth=("u", "p"))
    assert server.predicted()["model_version"] == "7"
    for path in ("/health", "/jobs", "/nope"):
        assert requests.get(server.url + path, headers=KEY, timeout=60).status_code == 401
        assert requests.get(server.url + path, auth=("u", "p"), timeout=60).status_code == 403
        both = requests.get(server.url + path, auth=("u", "p"), headers=KEY, timeout=60)
        assert both.status_code in (200, 404)


def test_batches_and_a_gate_exclude_each_other(tmp_path: Path) -> None:
    replaced = """
        app.view_functions["_predict"] = lambda: "mine"
    """
    for added in (GATE, replaced):
        project = write_project(tmp_path, added)
        done = run("start", project, "-p", "0", "--max-batch-size", "4")
        assert done.returncode == 2
        assert "--max-batch-size cannot be used with this program" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_predictions_through_the_app_take_no_place_of_others(
    workers: str, serve: Callable[..., AppServer]
) -> None:
    """With one thread, a view that predicts waits for that thread, and other views do not."""
    own = """
    from flask import request
    @app.route("/own")
    def own():
        return "mine"
    @app.route("/again", methods=["POST"])
    def again():
        with app.test_client() as client:
            answer = client.post("/predict", data=request.get_data(), headers=dict(request.headers))
        return answer.get_data(), answer.status_code, {"Content-Type": "application/json"}
    """
    server = serve(GATE + own, "--threads", "1", "--workers", workers)
    assert server.predicted(path="/again")["model_version"] == "7"
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        slow = [pool.submit(server.predicted, "sleep") for _ in range(2 * int(workers))]
        fast = [pool.submit(server.predicted) for _ in range(8)]
        time.sleep(0.3)
        began = time.monotonic()
        assert server.get("/own").text == "mine"
        assert server.get("/health").json()["status"] == "UP"
        waited = time.monotonic() - began
        assert not all(future.done() for future in slow), f"the views waited {waited} s"
        for future in slow + fast:
            assert future.result()["model_version"] == "7"


def test_a_model_that_dies_in_a_prediction_through_the_app(
    serve: Callable[..., AppServer],
) -> None:
    server = serve(GATE, "--workers", "2")
    body = TASK | {"tasks": [{"id": 1, "data": {"text": "die"}}]}
    assert server.post("/predict", body).status_code == 502
    answered = wait_for(
        lambda: (answer := server.post("/predict", TASK)).status_code == 200 and answer,
        "it predicts again",
    )
    assert answered.json()["results"][0]["model_version"] == "7"


def test_a_view_that_ends_its_worker(serve: Callable[..., AppServer]) -> None:
    end = '\n    import os\n    @app.route("/end")\n    def end():\n        os._exit(9)\n'
    server = serve(GATE + end)
    answer = server.get("/end")
    assert answer.status_code == 502 and answer.json()["error_code"] == "worker_died"
    wait_for(lambda: server.get("/jobs").status_code == 200, "the app answers again")
    assert server.predicted()["model_version"] == "7"


def test_a_hook_that_hangs_holds_up_nothing_else(serve: Callable[..., AppServer]) -> None:
    hang = """
    import time
    from flask import request
    @app.before_request
    def slow():
        if request.args.get("slow"):
            time.sleep(600)
    """
    server = serve(hang, "--predict-timeout", "1", "--predict-hard-timeout", "4")
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        hanging = [pool.submit(server.get, "/jobs?slow=1") for _ in range(8)]
        hanging += [pool.submit(server.post, "/predict?slow=1", TASK) for _ in range(4)]
        time.sleep(0.5)
        assert server.predicted()["model_version"] == "7"
        for path in ("/health?slow=1", "/livez?slow=1", "/readyz?slow=1", "/?slow=1"):
            answer = server.get(path, timeout=1)
            assert answer.status_code == 200 and "model_class" not in answer.json(), path
            assert answer.json()["status"] == "UP"
        for future in hanging:
            answer = future.result()
            assert answer.status_code == 504 and answer.json()["error_code"] == "app_timeout"
    # Calls that do not end cost the worker its place.
    wait_for(lambda: "another one takes its place" in server.log(), "the worker is replaced")
    assert server.predicted()["model_version"] == "7"


def test_answers_that_are_none(serve: Callable[..., AppServer]) -> None:
    server = serve(
        """
        inner = app
        def app(environ, start_response):
            path = environ["PATH_INFO"]
            if path == "/raise":
                raise LookupError("nowhere")
            if path == "/silent":
                return [b""]
            if path == "/status":
                start_response("99 Odd", [])
                return [b"x"]
            return inner(environ, start_response)
        """
    )
    for path, said in (
        ("/raise", "LookupError: nowhere"),
        ("/silent", "did not begin its answer"),
        ("/status", "the status 99"),
    ):
        answer = server.get(path)
        assert answer.status_code == 500 and answer.json()["error_code"] == "app_failed", path
        assert said in answer.json()["detail"], path
    assert server.predicted()["model_version"] == "7"


def test_the_body_of_a_request_is_bounded_before_the_app_sees_it(
    serve: Callable[..., AppServer],
) -> None:
    server = serve(GATE, "--max-body", "1")
    answer = server.session.post(server.url + "/own", data=b"x" * (2 << 20), timeout=60)
    assert answer.status_code == 413 and answer.json()["error_code"] == "body_too_large"
    body = TASK | {"filler": "x" * 900_000}
    assert server.post("/predict", body).status_code == 200


def test_the_manager_of_a_view_is_that_of_the_server(serve: Callable[..., AppServer]) -> None:
    """API v1: views of people call the manager, whose models are the server's."""
    model = """
    from label_studio_ml.model import LabelStudioMLBase

    class Older(LabelStudioMLBase):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)

        def predict(self, tasks, **kwargs):
            learned = self.train_output.get("tasks", 0)
            return [{"result": [], "score": 0.5, "learned": learned, **kwargs} for _ in tasks]

        def fit(self, tasks, workdir=None, **kwargs):
            return {"tasks": len(list(tasks))}

    Echo = Older
    """
    server = serve(
        """
        from flask import jsonify, request
        from label_studio_ml.api import _manager

        @app.route("/ask", methods=["POST"])
        def ask():
            asked = request.json
            found, model = _manager.predict(asked["tasks"], asked["project"], asked["label_config"],
                                            colour="red")
            return jsonify(found=found, version=model.model_version)

        @app.route("/learn", methods=["POST"])
        def learn():
            asked = request.json
            job = _manager.train(asked["tasks"], asked["project"], asked["label_config"])
            return jsonify(job=job.id, running=_manager.is_training(asked["project"]))

        @app.route("/status/<job>")
        def status(job):
            return jsonify(_manager.job_status(job))
        """,
        model=model,
    )
    asked = server.post("/ask", TASK).json()
    assert asked["found"][0]["learned"] == 0 and asked["found"][0]["colour"] == "red"
    job = server.post("/learn", TASK).json()["job"]
    wait_for(
        lambda: server.get(f"/status/{job}").json()["job_status"] == "finished",
        "the job of the view has ended",
    )
    again = wait_for(
        lambda: (found := server.post("/ask", TASK).json())["found"][0]["learned"] and found,
        "the new version is served",
    )
    assert again["found"][0]["learned"] == 1 and again["version"] != asked["version"]
    assert server.predicted()["learned"] == 1
    assert server.get("/status/12345").status_code == 500
