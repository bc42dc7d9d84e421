"""Functions that the original had beside its models: behaviour that tests/conformance cannot compare."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests
from flask import Flask
from hosting import environment, make_project, wait_for, write_script
from ports import free_port

from label_studio_ml import api, managers, server, utils
from label_studio_ml.cache import BaseCache
from label_studio_ml.model import LabelStudioMLBase
from label_studio_ml.response import ModelResponse

MODEL = """
    from label_studio_ml.model import LabelStudioMLBase

    class Model(LabelStudioMLBase):
        def setup(self):
            pass
"""


class ModelV2(LabelStudioMLBase):
    def setup(self) -> None:
        pass


class Kept(BaseCache):
    def __init__(self) -> None:
        super().__init__("")
        self.values: dict[tuple[Any, Any], str] = {}

    def __getitem__(self, key: tuple[Any, Any]) -> str | None:
        return self.values.get(key)

    def __setitem__(self, key: tuple[Any, Any], value: str) -> None:
        self.values[key] = value

    def __contains__(self, key: tuple[Any, Any]) -> bool:
        return key in self.values

    def __delitem__(self, key: tuple[Any, Any]) -> None:
        del self.values[key]


def test_a_model_keeps_values_in_the_cache_that_it_is_given() -> None:
    cache = Kept()
    model = ModelV2(project_id="7", cache=cache)
    model.set("k", "v")
    assert (model.get("k"), model.has("k"), model.cache) == ("v", True, cache)
    assert cache.values == {("7", "model_version"): "0.0.1", ("7", "k"): "v"}
    assert ModelV2(project_id="7").get("k") is None


def test_a_response_is_written_as_dicts() -> None:
    response = ModelResponse(predictions=[{"result": [], "score": 0.5}], model_version="a")
    assert response.serialize() == {
        "model_version": "a",
        "predictions": [{"model_version": None, "score": 0.5, "result": []}],
    }


def test_a_job_runs_here_if_it_is_not_to_run_in_a_child(tmp_path: Path) -> None:
    class Model(LabelStudioMLBase):
        LABEL_STUDIO_ML_API = 1

        def predict(self, tasks: Any, **kwargs: Any) -> Any:
            return []

        def fit(self, tasks: Any, workdir: Any = None, **kwargs: Any) -> Any:
            return {"process": os.getpid()}

    manager = managers.SimpleJobManager(str(tmp_path), async_job=False)
    assert manager.run_job(Model, ("ANNOTATION_CREATED", {"project": {"id": 2}}, "5")) is None
    assert manager.get_result_from_last_job() == {"process": os.getpid(), "job_id": 5}


def test_the_version_of_the_current_model() -> None:
    class Model(LabelStudioMLBase):
        LABEL_STUDIO_ML_API = 1

        def predict(self, tasks: Any, **kwargs: Any) -> Any:
            return []

    class Manager(managers.LabelStudioMLManager):
        pass

    Manager.initialize(Model)
    assert Manager.get_current_model_version() is None
    Manager.create("1", train_output={}, version="11")
    Manager.create("2", train_output={}, version="22")
    assert Manager.get_current_model_version() == "22"


def test_hooks_that_log_requests(caplog: pytest.LogCaptureFixture) -> None:
    app = Flask("mine")
    app.before_request(api.log_request_info)
    app.after_request(api.log_response_info)
    app.add_url_rule("/x", "x", lambda: "the answer", methods=["POST"])
    with caplog.at_level(logging.DEBUG, logger=api.logger.name):
        headers = {"X-Mine": "1", "Authorization": "Basic c2VjcmV0"}
        answer = app.test_client().post("/x", data="the question", headers=headers)
    assert answer.data == b"the answer"
    assert {record.name for record in caplog.records} == {"label_studio_ml.api"}
    for text in ("the question", "the answer", "X-Mine: 1", "Response status: 200 OK"):
        assert text in caplog.text
    assert "c2VjcmV0" not in caplog.text


def test_handlers_of_errors() -> None:
    error = ValueError("the reason")
    assert api.file_not_found_error_handler(error) == ("the reason", 404)
    assert api.no_such_job_error_handler(error) == ("the reason", 410)
    assert api.assertion_error(error) == api.index_error(error) == ("the reason", 500)
    assert api.safe_str_cmp("ä", "ä") and not api.safe_str_cmp("a", "b")


def test_the_check_of_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    app = Flask("mine")
    app.before_request(api.check_auth)
    app.add_url_rule("/x", "x", lambda: "open")
    monkeypatch.setattr(api, "BASIC_AUTH", ("user", "secret"))
    client = app.test_client()
    assert client.get("/x").status_code == client.get("/x", auth=("user", "no")).status_code == 401
    assert client.get("/x", auth=("user", "secret")).data == b"open"


def test_json_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"1": "ä"}', encoding="utf-8")
    assert utils.json_load(path) == {"1": "ä"}
    assert utils.json_load(path, int_keys=True) == {1: "ä"}


def test_the_size_of_an_image_is_that_of_the_image_that_a_test_puts_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "x.png"
    utils.Image.new("RGB", (3, 2)).save(path)
    assert utils.get_image_size(str(path)) == (3, 2)

    class Fake:
        @staticmethod
        def open(path: str) -> Any:
            return utils.ImageOps.Image.new("RGB", (5, 4))

    monkeypatch.setattr(utils, "Image", Fake)
    assert utils.get_image_size(str(path)) == (5, 4)


# The functions of the command line.


def arguments(monkeypatch: pytest.MonkeyPatch, *line: str) -> tuple[argparse.Namespace, list[str]]:
    monkeypatch.setattr(sys, "argv", ["label-studio-ml", *line])
    parsed: tuple[argparse.Namespace, list[str]] = server.get_args()
    return parsed


def test_arguments_of_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ML_SERVER_BASIC_AUTH_PASS", "secret")
    args, rest = arguments(monkeypatch, "start", "mine", "-p", "9091", "--debug")
    assert (args.command, args.project_name, args.root_dir) == ("start", "mine", ".")
    assert (args.basic_auth_user, args.basic_auth_pass) == (None, "secret")
    assert rest == ["-p", "9091", "--debug"]


@pytest.mark.parametrize("command", [("deploy_gcp",), ("deploy", "gcp")])
def test_arguments_of_deploy(monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]) -> None:
    line = [*command, "mine", "--gcp-project-id", "p", "--label-studio-api-key", "k"]
    args, rest = arguments(monkeypatch, *line, "--from", "m.py")
    assert (args.project_name, args.gcp_project, args.script) == ("mine", "p", "m.py")
    assert args.label_studio_host == "https://app.heartex.com"
    assert (args.gcp_region, args.force, rest) == (None, False, [])
    with pytest.raises(SystemExit):
        arguments(monkeypatch, *line[:-2])


def test_a_project_is_created(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = write_script(tmp_path / "scripts", MODEL)
    line = ["init", "mine", "--root-dir", str(tmp_path), "--script", str(script)]
    args, _ = arguments(monkeypatch, *line)
    server.create_dir(args)
    assert (tmp_path / "mine" / "_wsgi.py").exists()
    with pytest.raises(FileExistsError, match="mine exists"):
        server.create_dir(args)
    args.force = True
    server.create_dir(args)
    args.script = str(tmp_path / "missing.py")
    with pytest.raises(FileNotFoundError, match="missing"):
        server.create_dir(args)
    args.script = f"{script}:NoSuchClass"
    with pytest.raises(RuntimeError, match="init failed with exit status 2"):
        server.create_dir(args)


def test_a_server_is_started(tmp_path: Path) -> None:
    """In a process of its own, which Ctrl-C ends: the function returns then, as the original's did."""
    make_project(tmp_path, MODEL, name="mine")
    port = free_port()
    code = (
        "import argparse, label_studio_ml.server as s\n"
        "args = argparse.Namespace(root_dir='.', project_name='mine', basic_auth_user='u',"
        " basic_auth_pass='secret')\n"
        f"s.start_server(args, ['-p', '{port}', '--host', '127.0.0.1'])\n"
        "print('it returned')\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )

    def status(**auth: Any) -> int:
        with contextlib.suppress(requests.ConnectionError):
            return requests.get(f"http://127.0.0.1:{port}/health", timeout=60, **auth).status_code
        return 0

    wait_for(lambda: status() == 401, "it listens and wants the password")
    assert status(auth=("u", "secret")) == 200
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=120)
    assert out.rstrip().endswith("it returned"), out
    assert process.returncode == 0


def test_a_server_that_cannot_start(tmp_path: Path) -> None:
    args = argparse.Namespace(root_dir=str(tmp_path), project_name="missing")
    with pytest.raises(RuntimeError, match="start failed with exit status 2"):
        server.start_server(args, [])


def gcloud(folder: Path, token: str = "t") -> dict[str, str]:
    """Put a `gcloud` on the path that notes its arguments; return the environment for it."""
    program = folder / "bin" / "gcloud"
    program.parent.mkdir()
    program.write_text(
        f"#!{sys.executable}\n"
        "import json, sys\n"
        f"with open({str(folder / 'calls')!r}, 'a') as calls:\n"
        "    answer = sys.stdin.read() if sys.argv[1] == 'run' else ''\n"
        "    calls.write(json.dumps([*sys.argv[1:], answer]) + '\\n')\n"
        f"print({token!r} if sys.argv[1] == 'auth' else '')\n"
    )
    program.chmod(0o755)
    return {"PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}"}


def deployment(folder: Path, **more: Any) -> argparse.Namespace:
    (folder / "my_model").mkdir()
    given: dict[str, Any] = {
        "root_dir": str(folder),
        "project_name": "my_model",
        "gcp_project": "p; touch here",
        "gcp_region": None,
        "label_studio_host": "http://studio",
        "label_studio_api_key": "key",
    }
    return argparse.Namespace(**{**given, **more})


def test_a_project_is_deployed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in gcloud(tmp_path).items():
        monkeypatch.setenv(name, value)
    server.deploy_to_gcp(deployment(tmp_path))
    calls = [json.loads(line) for line in (tmp_path / "calls").read_text().splitlines()]
    variables = (
        "LABEL_STUDIO_ML_BACKEND_V2=1,LABEL_STUDIO_HOSTNAME=http://studio,LABEL_STUDIO_API_KEY=key"
    )
    deploy = ["run", "deploy", "my-model", "--source", str(tmp_path / "my_model")]
    assert calls == [
        ["auth", "print-identity-token", ""],
        ["config", "set", "project", "p; touch here", ""],
        [*deploy, "--region", "us-central1", "--update-env-vars", variables, "y"],
    ]


def test_what_keeps_a_project_from_being_deployed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in gcloud(tmp_path, token="").items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("GCP_PROJECT", raising=False)
    args = deployment(tmp_path, gcp_project=None)
    with pytest.raises(KeyError, match="GCP_PROJECT"):
        server.deploy_to_gcp(args)
    monkeypatch.setenv("GCP_PROJECT", "p")
    with pytest.raises(PermissionError, match="gcloud auth login"):
        server.deploy_to_gcp(args)


def test_names_of_services() -> None:
    assert not server.special_match("my-model")
    assert server.special_match("My_Model")
