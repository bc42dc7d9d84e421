"""A wrong guess of the API costs a model nothing: names, arguments of `fit`, the labelling config.

The same in a started server and in process.
"""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from hosting import CHOICES, PROJECT, Server, environment, free_port, make_project, wait_for
from models_v2 import event

from label_studio_ml.model import LabelStudioMLBase

Serve = Callable[..., Server]

#: Uses names of API v2 without looking like a model of API v2 in its signatures.
KEEPER = """
    from label_studio_ml.model import LabelStudioMLBase

    class Keeper(LabelStudioMLBase):
        {stated}
        def __init__(self, {parameters}):
            super().__init__({passed})

        def predict(self, tasks, **kwargs):
            self.set("seen", (self.get("seen") or "") + "x")
            return [{{
                "result": [],
                "project_id": self.project_id,
                "seen": self.get("seen"),
                "has": [self.has("seen"), self.has("other")],
                "version": str(self.model_version),
                "extra": self.extra_params,
                "control": self.label_interface.get_control("sentiment").name,
                "first": self.get_first_tag_occurence("Choices", "Text"),
                "config": self.label_config,
                "parsed": list(self.parsed_label_config),
                "output": self.train_output,
                "reach": [self.hostname, self.access_token],
                "found": [hasattr(self, n) for n in ("project_id", "model_version", "train_output", "no")],
            }}]
"""


def keeper(stated: str = "", parameters: str = "**kwargs", passed: str = "**kwargs") -> str:
    return KEEPER.format(stated=stated, parameters=parameters, passed=passed)


def names(said: dict[str, Any]) -> dict[str, Any]:
    """What does not depend on the API."""
    return {key: said[key] for key in ("project_id", "has", "extra", "control", "first", "parsed")}


NAMES = {
    "project_id": "2",
    "has": [True, False],
    "extra": {},
    "control": "sentiment",
    "first": ["sentiment", "text", "text"],
    "parsed": ["sentiment"],
}


@pytest.mark.parametrize(
    ("stated", "parameters", "passed"),
    [
        ("", "**kwargs", "**kwargs"),
        ("", "*args, **kwargs", "*args, **kwargs"),
        ("LABEL_STUDIO_ML_API = 1", "**kwargs", "**kwargs"),
        ("LABEL_STUDIO_ML_API = 1", "label_config=None", "label_config"),
        ("LABEL_STUDIO_ML_API = 1", "train_output=None", ""),
        ("LABEL_STUDIO_ML_API = 2", "project_id=None", "project_id"),
        ("LABEL_STUDIO_ML_API = 2", "project_id=None, **kwargs", "project_id"),
    ],
)
def test_every_instance_has_the_names_of_both_apis(
    serve: Serve, stated: str, parameters: str, passed: str
) -> None:
    server = serve(keeper(stated, parameters, passed))
    reach = {"hostname": "http://studio.test", "access_token": "secret"}
    assert server.setup(**reach).status_code == 200
    said = server.first()
    assert names(said) == NAMES
    assert (said["config"], said["seen"], said["output"]) == (CHOICES, "x", {})
    assert said["reach"] == [*reach.values()]
    assert server.first()["seen"] == "xx"
    is_v1 = "= 1" in stated
    assert said["version"] == ("INITIAL" if is_v1 else "0.0.1")
    # A class that is written for both asks which one it runs under.
    assert said["found"] == ([False, False, True, False] if is_v1 else [True, True, False, False])


def test_the_names_are_there_in_process(tmp_path: Path) -> None:
    source = """
        import json, logging
        from label_studio_ml import api
        from {module} import Keeper
        client = api.init_app(Keeper).test_client()
        def ask(path, **body):
            answer = client.post(path, json={{"project": "2.1795430965", **body}})
            assert answer.status_code in (200, 201), answer.json
            return answer.json
        ask("/setup", schema={config!r}, hostname="http://studio.test", access_token="secret")
        said = ask("/predict", tasks=[{{"id": 1, "data": {{}}}}], label_config={config!r})
        print(json.dumps(said["results"][0]))
    """
    for number, stated in enumerate(("", "LABEL_STUDIO_ML_API = 1", "LABEL_STUDIO_ML_API = 2")):
        module = f"keeper{number}"
        (tmp_path / f"{module}.py").write_text(textwrap.dedent(keeper(stated)))
        (tmp_path / str(number)).mkdir()
        env = {"MODEL_DIR": str(tmp_path / str(number)), "PYTHONPATH": str(tmp_path)}
        said = json.loads(python(source.format(module=module, config=CHOICES), **env))
        assert names(said) == NAMES, stated
        assert said["reach"] == ["http://studio.test", "secret"], stated
        assert said["version"] == ("INITIAL" if "= 1" in stated else "0.0.1")


def python(source: str, **env: str) -> str:
    """Return what a new interpreter prints."""
    command = [sys.executable, "-c", textwrap.dedent(source)]
    every = {**environment(), **env}
    done = subprocess.run(
        command, env=every, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_model_of_api_v1_keeps_its_own_names(serve: Serve) -> None:
    """The server calls none of them, and a later base class has names too."""
    server = serve("""
        from label_studio_ml.model import LabelStudioMLBase

        class Own(LabelStudioMLBase):
            LABEL_STUDIO_ML_API = 1
            model_version = "mine"
            called = []

            def __init__(self, **kwargs):
                super().__init__(**kwargs)
                self.project_id = "my own"
                self.extra_params = [1]

            def setup(self, *args): self.called.append("setup")
            def get(self, *args): self.called.append("get")
            def set(self, *args): self.called.append("set")
            def has(self, *args): self.called.append("has")
            def use_label_config(self, *args): self.called.append("use_label_config")

            def predict(self, tasks, **kwargs):
                own = [self.model_version, self.project_id, self.extra_params]
                self.label_interface, self.train_output
                return [{"result": [], "own": own, "called": self.called}]

            def fit(self, tasks, workdir=None, **kwargs):
                return {"called": self.called, "event": kwargs.get("event")}
    """)
    server.setup(extra_params={"n": 1})
    said = server.first()
    assert (said["own"], said["called"]) == (["mine", "my own", [1]], [])
    server.post("/webhook", event())
    assert server.wait_trained().isdigit()
    assert server.first()["called"] == []


def test_an_error_of_a_getter_stays_the_error() -> None:
    class Broken(LabelStudioMLBase):
        @property
        def label_of(self) -> Any:
            return self.missing

        def predict(self, tasks: Any, **kwargs: Any) -> Any:
            return []

    with pytest.raises(AttributeError, match="'missing'"):
        Broken().label_of  # noqa: B018 - its getter is what is tested


#: Parameters of `fit`, and what it gets of an event.
SHAPES = {
    "self, event, data, **kwargs": "event, data",
    "self, event, payload": "event, payload",
    "self, event": "event, None",
    "self, action, data": "action, data",
    "self, action, payload=None, **kwargs": "action, payload or kwargs['data']",
    "self, data, event": "event, data",
    "self, **kwargs": "kwargs['event'], kwargs['data']",
    "self, *, event, data": "event, data",
    "self, event, data, /": "event, data",
    "self, event, **kwargs": "event, kwargs['data']",
    "self, event=None, data=None, workdir=None": "event, data",
    "self, annotations=None, workdir=None, event=None, data=None, **kw": "event, data",
    "self, tasks=(), workdir=None, *, event=None, data=None": "event, data",
    "self, *args, event=None, data=None, **kwargs": "event or args[0], data or args[1]",
    "self, *args, **kwargs": "kwargs.get('event') or args[0], kwargs.get('data') or args[1]",
}


def learner(parameters: str, told: str, stated: int | None = None) -> type[LabelStudioMLBase]:
    source = f"""
        class Learner(LabelStudioMLBase):
            {f"LABEL_STUDIO_ML_API = {stated}" if stated else ""}
            def predict(self, tasks, **kwargs):
                return []
            def fit({parameters}):
                return {{"told": [{told}]}}
    """
    found: dict[str, Any] = {"LabelStudioMLBase": LabelStudioMLBase}
    exec(textwrap.dedent(source), found)
    made: type[LabelStudioMLBase] = found["Learner"]
    return made


@pytest.mark.parametrize("stated", [None, 1, 2])
@pytest.mark.parametrize("parameters", SHAPES)
def test_fit_is_told_the_event_whatever_its_parameters_are(
    parameters: str, stated: int | None
) -> None:
    payload = {"project": {"id": 2}}
    model = learner(parameters, SHAPES[parameters], stated)()
    told = model.process_event("ANNOTATION_CREATED", payload, "7", {"workdir": "w"})["told"]
    expected = ["ANNOTATION_CREATED", None if SHAPES[parameters].endswith("None") else payload]
    assert told == expected


@pytest.mark.parametrize("parameters", ["self", "self, tasks, workdir=None"])
def test_a_fit_that_cannot_be_told_the_event_fails(parameters: str) -> None:
    model = learner(parameters, "1", stated=1)()
    with pytest.raises(TypeError, match="neither an event nor its data"):
        model.process_event("ANNOTATION_CREATED", {}, "7", {"workdir": "w"})


@pytest.mark.parametrize(
    "parameters",
    ["self, event, payload", "self, event", "self, action, data", "self, **kwargs"],
)
def test_a_started_server_tells_fit_the_event(serve: Serve, parameters: str) -> None:
    server = serve(f"""
        from label_studio_ml.model import LabelStudioMLBase

        class Learner(LabelStudioMLBase):
            def __init__(self, **kwargs):
                super().__init__(**kwargs)
            def predict(self, tasks, **kwargs):
                return [{{"result": [], "told": self.get("told")}}]
            def fit({parameters}):
                self.set("told", repr([{SHAPES[parameters].split(",")[0]}]))
    """)
    server.post("/webhook", event())
    wait_for(lambda: server.first()["told"], "the event is told")
    assert server.first()["told"] == "['ANNOTATION_CREATED']"


def test_tasks_come_as_fit_of_api_v1_takes_them(serve: Serve) -> None:
    """Without a parameter for the folder, which the original passes in any case."""
    server = serve("""
        from label_studio_ml.model import LabelStudioMLBase

        class Learner(LabelStudioMLBase):
            def predict(self, tasks, **kwargs):
                return [{"result": [], **self.train_output}]
            def fit(self, annotations, epochs=1):
                return {"seen": len(list(annotations)), "epochs": epochs}
    """)
    server.train(3, params={"epochs": 5})
    server.wait_trained()
    said = server.first()
    assert (said["seen"], said["epochs"]) == (3, 5)
    refused = server.post(
        "/train", {"annotations": [{}], "project": PROJECT, "params": {"batch": 1}}
    )
    job = refused.json()["job"]
    ended = wait_for(lambda: ended_job(server, job), "the job ends")
    assert "fit(annotations, epochs=1) does not take these params" in ended["error"]


def ended_job(server: Server, job: str) -> dict[str, Any] | None:
    found: dict[str, Any] = server.get(f"/jobs/{job}").json()
    return found if found["ended_at"] else None


def told(stated: str, other: int) -> str:
    return f"{stated}; LABEL_STUDIO_ML_API = {other} on the class overrules that"


PLAIN = """
    from label_studio_ml.model import LabelStudioMLBase

    class Plain(LabelStudioMLBase):
        def predict(self, tasks, **kwargs):
            return [{"result": []} for _ in tasks]
        def fit(self, tasks, workdir=None, **kwargs):
            return {}
"""
VERDICT = told("Plain is written for API v1: fit(tasks, workdir, ...)", 2)


@pytest.mark.parametrize(
    "command",
    [
        ("_wsgi.py", "--port", "{port}"),
        ("original.py",),
        ("-m", "gunicorn", "--bind", "127.0.0.1:{port}", "original:app"),
        ("-m", "gunicorn", "--bind", "127.0.0.1:{port}", "_wsgi:app"),
    ],
)
def test_every_way_to_serve_says_for_which_api_and_why(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    project = make_project(tmp_path, PLAIN)
    port = str(free_port())
    (project / "original.py").write_text(
        "from label_studio_ml.api import init_app\n"
        "from model import Plain\n"
        "app = init_app(Plain)\n"
        "app = init_app(Plain)\n"
        f"if __name__ == '__main__':\n    app.run(port={port})\n"
    )
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *(part.replace("{port}", port) for part in command)],
            cwd=project,
            env={**environment(), "MODEL_DIR": str(tmp_path)},
            stdout=output,
            stderr=output,
        )
    try:
        wait_for(lambda: VERDICT in log.read_text(), log.read_text() or "the verdict is logged")
        wait_for(lambda: answers(port), "it serves")
    finally:
        process.terminate()
        process.wait(60)
    assert log.read_text().count("is written for API v1") == 1


def answers(port: str) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/health", timeout=30).ok
    except requests.ConnectionError:
        return False


def test_what_init_wrote_for_an_earlier_class_is_not_evidence(tmp_path: Path, serve: Serve) -> None:
    project = make_project(tmp_path, PLAIN)
    (project / "model.py").write_text(
        "from label_studio_ml.model import LabelStudioMLBase\n"
        "class Plain(LabelStudioMLBase):\n"
        "    def predict(self, tasks, **kwargs):\n        return []\n"
    )
    assert "model_dir" in (project / "_wsgi.py").read_text()
    (project / "requirements.txt").write_text(
        "# label-studio-ml is installed already: label-studio-ml==1.0.9\n"
    )
    server = serve(project)
    server.wait_logged(told("Plain is written for API v2: nothing in it points to API v1", 1))
    server.stop()
    (project / "requirements.txt").write_text("label-studio-ml==1.0.9\n")
    server = serve(project)
    server.wait_logged("its project requires label-studio-ml==1.0.9 (requirements.txt)")


@pytest.mark.parametrize(
    "constructor",
    [
        "super().__init__(project_id=project_id)",
        "super().__init__(project_id)",
        "self.project_id = project_id",
    ],
)
def test_a_constructor_older_than_the_labelling_config_gets_it(
    serve: Serve, constructor: str
) -> None:
    server = serve(f"""
        from label_studio_ml.model import LabelStudioMLBase

        class Older(LabelStudioMLBase):
            def __init__(self, project_id=None):
                {constructor}
            def predict(self, tasks, context=None, **kwargs):
                return [{{"result": [], "first": self.get_first_tag_occurence("Choices", "Text"),
                         "config": self.label_config, "parsed": list(self.parsed_label_config)}}]
            def fit(self, event, data, **kwargs):
                self.set("first", self.get_first_tag_occurence("Choices", "Text")[0])
    """)
    assert server.setup().status_code == 200
    said = server.first()
    assert (said["first"], said["config"], said["parsed"]) == (
        NAMES["first"],
        CHOICES,
        NAMES["parsed"],
    )
    job = server.post("/webhook", event()).json()["job"]
    assert wait_for(lambda: ended_job(server, job), "the job ends")["error"] is None


RETURNS = """
    from label_studio_ml.model import LabelStudioMLBase

    class Returns(LabelStudioMLBase):
        def predict(self, tasks, **kwargs):
            return [{"result": []} for _ in tasks]
        def fit(self, tasks, workdir=None, **kwargs):
            return kwargs["data"]["returned"]
"""


def test_a_training_without_a_version_says_why(serve: Serve, tmp_path: Path) -> None:
    server = serve(RETURNS)
    for returned, shown in ((None, "None"), ([1], "a list"), ("a", "a str"), (1.5, "a number")):
        job = server.post("/webhook", event(returned=returned)).json()["job"]
        ended = wait_for(lambda job=job: ended_job(server, job), "the job ends")
        assert ended["job_status"] == "finished"
        assert ended["error"].startswith(f"fit returned {shown}, not a dict"), ended["error"]
    server.wait_logged("the training made no new version: fit returned None, not a dict")
    job = server.post("/webhook", event(returned={"a": 1})).json()["job"]
    ended = wait_for(lambda: ended_job(server, job), "the job ends")
    assert (ended["error"], ended["model_version"]) == (None, job)


def test_a_training_that_changed_nothing_names_the_model_folder(serve: Serve) -> None:
    server = serve("""
        from label_studio_ml.model import LabelStudioMLBase

        class Idle(LabelStudioMLBase):
            def predict(self, tasks, context=None, **kwargs):
                return [{"result": []} for _ in tasks]
            def fit(self, event, data, **kwargs):
                return data.get("returned")
    """)
    # The first instance of a project keeps its version and labelling config.
    server.setup()
    job = server.post("/webhook", event()).json()["job"]
    error = wait_for(lambda: ended_job(server, job), "the job ends")["error"]
    folder = server.get("/health").json()["model_dir"]
    assert error.startswith("fit made nothing new")
    assert f"MODEL_DIR, {folder}," in error
    assert "return something" in error
    job = server.post("/webhook", event(returned="/elsewhere/model.bin")).json()["job"]
    ended = wait_for(lambda: ended_job(server, job), "the job ends")
    assert (ended["error"], bool(ended["model_version"])) == (None, True)


def test_an_event_without_a_payload_gets_a_hint(serve: Serve) -> None:
    server = serve(RETURNS)
    answer = server.post("/webhook", {"action": "ANNOTATION_CREATED"})
    assert answer.status_code == 201
    assert 'switch on "Send payload"' in answer.json()["detail"]
    server.wait_logged("ANNOTATION_CREATED names no project")
    assert "detail" not in server.post("/webhook", event(returned={})).json()


def test_a_cancelled_prediction_says_why(serve: Serve) -> None:
    server = serve(
        """
        import time
        from label_studio_ml.model import LabelStudioMLBase

        class Slow(LabelStudioMLBase):
            def predict(self, tasks, **kwargs):
                end = time.monotonic() + 60
                while time.monotonic() < end:
                    time.sleep(0.01)
        """,
        *("--predict-timeout", "1", "--threads", "1"),
    )
    body = {"tasks": [{"id": 1, "data": {}}], "project": PROJECT, "label_config": CHOICES}
    began = time.monotonic()
    for _ in range(2):
        with pytest.raises(requests.Timeout):
            server.post("/predict", body, timeout=0.5)
    server.wait_logged(
        "a prediction is cancelled after", "its client hung up", "--predict-timeout (1s)"
    )
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("content", ["[]", "null", "7", '"text"', "true", "{"])
def test_a_result_that_is_not_an_object_is_passed_over(
    serve: Serve, tmp_path: Path, content: str
) -> None:
    project = make_project(
        tmp_path, RETURNS.replace('{"result": []}', '{"result": [], **self.train_output}')
    )
    folder = tmp_path / "models" / PROJECT
    for version, text in (("5", '{"a": 1}'), ("6", content)):
        (folder / version).mkdir(parents=True)
        whole = f'{{"train_output": {text}, "workdir": "w", "version": "5"}}'
        (folder / version / "job_result.json").write_text(whole if version == "5" else text)
        (folder / version / "train_data.json").write_text("[]")
    server = serve(project, "--model-dir", str(tmp_path / "models"))
    assert server.setup().json()["model_version"] == "5"
    assert server.first()["a"] == 1


def test_without_a_server_an_older_result_is_used_too(tmp_path: Path) -> None:
    from label_studio_ml.managers import LabelStudioMLManager

    class Plain(LabelStudioMLBase):
        def predict(self, tasks: Any, **kwargs: Any) -> Any:
            return [self.train_output, self.project_id, str(self.model_version)]

    for version, text in (("5", '{"a": 1}'), ("6", "[]")):
        folder = tmp_path / PROJECT / version
        folder.mkdir(parents=True)
        (folder / "job_result.json").write_text(text)
    LabelStudioMLManager.initialize(Plain, tmp_path)
    said, made = LabelStudioMLManager.predict([{}], PROJECT, CHOICES)
    assert (said, made.model_version) == ([{"a": 1}, "2", "5"], "5")
