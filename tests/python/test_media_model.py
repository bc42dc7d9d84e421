"""What models call: `self.get_local_path`, `self.preload_task_data`, with what /setup brought."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock, mock_open, patch

import pytest
from hosting import CHOICES, PROJECT, Server, wait_for
from media_hosts import LEGACY, LabelStudio, jwt, personal
from models_v2 import event

import label_studio_ml.model
from label_studio_ml._media.label_studio_address import Connection, made
from label_studio_ml.api import init_app
from label_studio_ml.exceptions import MediaError
from label_studio_ml.model import LabelStudioMLBase

UPLOAD = "/data/upload/1/8a3f-note.txt"
Serve = Callable[..., Server]


class ModelV1(LabelStudioMLBase):
    def predict(self, tasks: Any, **kwargs: Any) -> Any:
        return [{"text": Path(self.get_local_path(UPLOAD)).read_text()} for _ in tasks]

    def fit(self, tasks: Any, workdir: Any = None, **kwargs: Any) -> Any:
        return {}


class ModelV2(LabelStudioMLBase):
    at_setup = ""

    def setup(self) -> None:
        if self.project_id == "2":
            self.at_setup = Path(self.get_local_path(UPLOAD)).read_text()

    def predict(self, tasks: Any, context: Any = None, **kwargs: Any) -> Any:
        return [
            {"result": [self.at_setup, self.preload_task_data(task, task["data"])]}
            for task in tasks
        ]

    def fit(self, event: str, data: Any, **kwargs: Any) -> Any:
        return {"text": Path(self.get_local_path(UPLOAD)).read_text()}


def test_api_v1_uses_what_setup_brought(label_studio: LabelStudio) -> None:
    label_studio.files[UPLOAD] = b"note"
    model = ModelV1(hostname=label_studio.url, access_token=LEGACY)
    assert model.predict([{}]) == [{"text": "note"}]
    assert label_studio.asked == [(UPLOAD, f"Token {LEGACY}")]


def test_api_v1_that_keeps_it_elsewhere(label_studio: LabelStudio) -> None:
    label_studio.files[UPLOAD] = b"note"
    model = made(ModelV1, Connection(label_studio.url, LEGACY))
    assert model.predict([{}]) == [{"text": "note"}]


def test_api_v1_below_the_project_folder(label_studio: LabelStudio, tmp_path: Path) -> None:
    path = tmp_path / "upload" / "1" / "8a3f-note.txt"
    path.parent.mkdir(parents=True)
    path.write_text("local")
    model = ModelV1(hostname=label_studio.url, access_token=LEGACY)
    assert model.get_local_path(UPLOAD, str(tmp_path)) == str(path)
    assert model.get_local_path(UPLOAD, project_dir=str(tmp_path)) == str(path)


def test_api_v1_reaches_storages(label_studio: LabelStudio) -> None:
    label_studio.files["/tasks/7/presign/?fileuri=czM6Ly9iL2s%3D"] = b"stored"
    model = ModelV1(hostname=label_studio.url, access_token=LEGACY)
    assert Path(model.get_local_path("s3://b/k", task_id=7)).read_bytes() == b"stored"


def test_the_environment_goes_before_setup(
    label_studio: LabelStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    label_studio.files[UPLOAD] = b"note"
    monkeypatch.setenv("LABEL_STUDIO_URL", label_studio.url)
    model = ModelV1(hostname="http://localhost:1", access_token=LEGACY)
    assert model.predict([{}]) == [{"text": "note"}]


def test_arguments_go_before_both(
    label_studio: LabelStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABEL_STUDIO_URL", "http://localhost:1")
    label_studio.files[UPLOAD] = b"note"
    for model in (ModelV1(), ModelV2()):
        path = model.get_local_path(UPLOAD, ls_host=label_studio.url, ls_access_token=LEGACY)
        assert Path(path).read_text() == "note"
        Path(path).unlink()
        path = model.get_local_path(UPLOAD, hostname=label_studio.url, access_token=LEGACY)
        Path(path).unlink()


@pytest.mark.usefixtures("media_environment")
def test_the_functions_that_tests_of_models_replace(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def replaced(url: str, *args: Any, **kwargs: Any) -> str:
        asked.append((url, args, kwargs))
        return "/local"

    monkeypatch.setattr(label_studio_ml.model, "get_local_path", replaced)
    model = ModelV1(hostname="http://ls", access_token="t")
    assert model.get_local_path("u", "/projects") == "/local"
    given = {"project_dir": "/projects", "hostname": "http://ls", "access_token": "t"}
    assert asked.pop() == ("u", (), given)
    v2 = ModelV2()
    assert v2.get_local_path("u", task_id=7) == "/local"
    given = {"project_dir": None, "hostname": None, "access_token": None, "task_id": 7}
    assert asked.pop() == ("u", (), given)
    with patch.object(LabelStudioMLBase, "get_label_studio_access_token", return_value="own"):
        v2.get_local_path("u")
    assert asked.pop()[2]["access_token"] == "own"
    client = MagicMock()
    client._client_wrapper._tokens_client.api_key = "of the client"
    with patch.object(ModelV2, "_get_label_studio_client", return_value=client):
        v2.get_local_path("u")
        assert v2.get_label_studio_access_token() == "of the client"
    assert asked.pop()[2]["access_token"] == "of the client"
    v2._label_studio_client = client
    v2.get_local_path("u")
    assert asked.pop()[2]["access_token"] == "of the client"


@pytest.mark.usefixtures("media_environment")
def test_the_client_is_made_for_the_address_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    addresses = []
    monkeypatch.setattr(
        label_studio_ml.model,
        "LabelStudio",
        lambda base_url: addresses.append(base_url),
        raising=False,
    )
    ModelV2()._get_label_studio_client()
    monkeypatch.setenv("LABEL_STUDIO_HOST", "http://ls:8080/base/")
    ModelV2()._get_label_studio_client()
    assert addresses == [None, "http://ls:8080/base"]


def test_data_of_a_task_is_read(
    label_studio: LabelStudio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    label_studio.files[UPLOAD] = b"note"
    label_studio.files["/tasks/7/presign/?fileuri=czM6Ly9iL2s%3D"] = b"stored"
    monkeypatch.setenv("LABEL_STUDIO_URL", label_studio.url)
    token = personal()
    label_studio.refresh.add(token)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", token)
    monkeypatch.setenv("LOCAL_FILES_DOCUMENT_ROOT", str(tmp_path / "mine"))
    path = tmp_path / "mine" / "mine.txt"
    path.parent.mkdir()
    path.write_text("mine")
    data = {"a": UPLOAD, "b": ["s3://b/k", "plain text"], "c": {"d": str(path), "e": 5}, "f": None}
    model = ModelV2()
    read = model.preload_task_data({"id": 7}, data)
    assert read == {
        "a": "note",
        "b": ["stored", "plain text"],
        "c": {"d": "mine", "e": 5},
        "f": None,
    }
    assert model.preload_task_data({"id": 7}, "data:text/plain,some%20text") == "some text"
    found = model.preload_task_data({"id": 7}, UPLOAD, read_file=False)
    assert Path(found).read_text() == "note"
    with patch.object(builtins, "open", mock_open(read_data="patched")) as opened:
        assert model.preload_task_data({"id": 7}, UPLOAD) == "patched"
    opened.assert_called_once_with(found, "r")
    with pytest.raises(MediaError, match=r"cannot fetch gs://b/k: .* task_id="):
        model.preload_task_data({}, "gs://b/k")


def test_api_v2_in_process(label_studio: LabelStudio) -> None:
    label_studio.files[UPLOAD] = b"note"
    app = init_app(ModelV2)
    body = {
        "project": PROJECT,
        "schema": CHOICES,
        "hostname": label_studio.url,
        "access_token": LEGACY,
    }
    tasks = [{"id": 1, "data": {"text": UPLOAD}}]
    with app.test_client() as client:
        assert client.post("/setup", json=body).status_code == 200
        answer = client.post("/predict", json={"tasks": tasks, **body, "label_config": CHOICES})
        assert answer.json["results"][0]["result"] == ["note", {"text": "note"}]
        Path(label_studio_ml.model.get_local_path(UPLOAD, hostname=label_studio.url)).unlink()
        answer = client.post("/webhook", json=event())
    assert answer.json == {"result": {"text": "note"}, "status": "ok"}
    assert {header for _, header in label_studio.asked} == {f"Token {LEGACY}"}


SERVED = """
    from pathlib import Path
    from label_studio_ml.model import LabelStudioMLBase

    class Reader(LabelStudioMLBase):
        def setup(self):
            self.at_setup = Path(self.get_local_path("{upload}")).read_text()

        def predict(self, tasks, context=None, **kwargs):
            texts = [self.preload_task_data(task, task["data"]["text"]) for task in tasks]
            return [{{"result": [self.at_setup, text]}} for text in texts]

        def fit(self, event, data, **kwargs):
            self.set("learned", Path(self.get_local_path("{upload}2")).read_text())
            print("fit read", self.get("learned"))
"""


def test_api_v2_served(label_studio: LabelStudio, serve: Serve, tmp_path: Path) -> None:
    label_studio.files |= {UPLOAD: b"note", f"{UPLOAD}2": b"other note"}
    env = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    # However long the load takes, its failure is what /setup answers.
    server = serve(SERVED.format(upload=UPLOAD), "--setup-timeout", "30", env=env)
    answer = server.setup(hostname=label_studio.url, access_token="refused")
    assert answer.status_code == 500
    assert f"{label_studio.url} answered 401 to the legacy token of /setup" in answer.text
    assert server.setup(hostname=label_studio.url, access_token=LEGACY).status_code == 200
    tasks = [{"id": 1, "data": {"text": f"{UPLOAD}2"}}]
    assert server.first(tasks=tasks)["result"] == ["note", "other note"]
    server.post("/webhook", event(), headers={"Prefer": "wait=100"})
    wait_for(lambda: "fit read other note" in server.log(), "fit read the file")
    assert LEGACY not in server.log()
    assert "refused" not in server.log().replace("connection refused", "")


def test_api_v1_served(label_studio: LabelStudio, serve: Serve, tmp_path: Path) -> None:
    label_studio.files[UPLOAD] = b"note"
    access = jwt(token_type="access")
    label_studio.access.add(access)
    source = """
        from label_studio_ml.model import LabelStudioMLBase

        class Reader(LabelStudioMLBase):
            def __init__(self, **kwargs):
                super().__init__(label_config=kwargs["label_config"])

            def predict(self, tasks, **kwargs):
                with open(self.get_local_path(tasks[0]["data"]["text"])) as file:
                    return [{"result": [file.read()]}]

            def fit(self, tasks, workdir=None, **kwargs):
                return {}
    """
    server = serve(source, env={"XDG_CACHE_HOME": str(tmp_path / "cache")})
    server.setup(hostname=label_studio.url, access_token=access)
    tasks = [{"id": 1, "data": {"text": UPLOAD}}]
    assert server.first(tasks=tasks)["result"] == ["note"]
    assert label_studio.asked == [(UPLOAD, f"Bearer {access}")]
