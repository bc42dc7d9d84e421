"""The in-process mode of API v1 has the routes of 1.0.9, with its methods and bodies."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from services import child_environment
from upstream import upstream_venv

#: The same program for both packages: asks the app of a model for all that stdin names.
PROGRAM = """
import json, sys
from label_studio_ml.api import init_app
from label_studio_ml.model import LabelStudioMLBase

class Model(LabelStudioMLBase):
    def predict(self, tasks, **kwargs):
        if kwargs.get("fail"):
            raise ValueError("predict broke")
        return [{"result": [], "score": 0.5, "learned": self.train_output} for _ in tasks]

    def fit(self, tasks, workdir=None, **kwargs):
        if kwargs.get("fail"):
            raise ValueError("fit broke")
        return {"tasks": len(list(tasks))}

client = init_app(Model, model_dir=sys.argv[1]).test_client()
answers = []
for method, path, body in json.load(sys.stdin):
    answer = client.open(path, method=method, json=body)
    is_json = answer.mimetype == "application/json"
    answers.append([answer.status_code, answer.mimetype, answer.get_json() if is_json else answer.data.decode()])
print(json.dumps(answers))
"""
CONFIG = (
    '<View><Text name="text" value="$text"/><Choices name="c" toName="text"><Choice value="a"/>'
    "</Choices></View>"
)
KEY = "7.1700000000"
PREDICT = {"tasks": [{"data": {}}], "project": KEY, "label_config": CONFIG}
TRAIN = {"annotations": [{"id": 1}, {"id": 2}], "project": KEY, "label_config": CONFIG}

#: Each request with a name, which is also its row below if the answers differ.
REQUESTS: dict[str, tuple[str, str, Any]] = {
    "health": ("GET", "/health", None),
    "root": ("GET", "/", None),
    "metrics": ("GET", "/metrics", None),
    "not loaded": ("GET", f"/is_training?project={KEY}", None),
    "no versions": ("POST", "/versions", {"project": KEY}),
    "setup": ("POST", "/setup", {"project": KEY, "schema": CONFIG}),
    "predict": ("POST", "/predict", PREDICT),
    "train": ("POST", "/train", TRAIN),
    "trained": ("POST", "/predict", PREDICT),
    "is_training": ("GET", f"/is_training?project={KEY}", None),
    "versions": ("POST", "/versions", {"project": KEY}),
    "versions of no project": ("POST", "/versions", {}),
    "versions with GET": ("GET", "/versions", None),
    "no annotations": ("POST", "/train", {**TRAIN, "annotations": []}),
    "predict fails": ("POST", "/predict", {**PREDICT, "params": {"fail": True}}),
    "fit fails": ("POST", "/train", {**TRAIN, "params": {"fail": True}}),
    "webhook": ("POST", "/webhook", {"action": "TASKS_CREATED", "project": {"id": 7}}),
    "webhook without action": ("POST", "/webhook", {}),
    "wrong method": ("GET", "/predict", None),
    "unknown path": ("GET", "/nope", None),
}
#: What is ours instead of the answer of 1.0.9, and the row of docs/compatibility.md that says so.
DIFFERENCES: dict[str, str] = {
    "health": "`v2` in the answers of `/`, `/health` and `/versions`",
    "root": "`v2` in the answers of `/`, `/health` and `/versions`",
    "no versions": "`v2` in the answers of `/`, `/health` and `/versions`",
    "versions": "`v2` in the answers of `/`, `/health` and `/versions`",
    "versions with GET": "GET /versions in-process",
    "webhook without action": "an error that the original answers in HTML, in API v1",
    "wrong method": "an error that the original answers in HTML, in API v1",
    "unknown path": "an error that the original answers in HTML, in API v1",
}


def ask(python: Path | str, folder: Path) -> dict[str, list[Any]]:
    """Return the answers by name, without what differs between two runs of one package."""
    folder.mkdir()
    done = subprocess.run(
        [str(python), "-c", PROGRAM, str(folder)],
        input=json.dumps([*REQUESTS.values()]),
        env=child_environment() | {"LABEL_STUDIO_ML_BACKEND_V2": ""},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout.splitlines()[-1])
    return dict(zip(REQUESTS, map(plain, answers), strict=True))


def plain(answer: list[Any]) -> list[Any]:
    status, media_type, body = answer
    if isinstance(body, dict):
        body = {name: value for name, value in body.items() if name != "model_dir"}
        for name in ("model_version", "job_id"):
            if name in body:
                assert isinstance(body[name], str)
                body[name] = name
        body["versions"] = len(body.get("versions", ()))
        if isinstance(body.get("result"), dict):
            assert body["result"].pop("traceback", "Traceback").startswith("Traceback")
    return [status, media_type, body]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    root = tmp_path_factory.mktemp("in-process")
    return ask(upstream_venv() / "bin" / "python", root / "theirs"), ask(
        sys.executable, root / "ours"
    )


@pytest.mark.parametrize("name", REQUESTS)
def test_answers_are_those_of_the_original(
    both: tuple[dict[str, Any], dict[str, Any]], name: str
) -> None:
    theirs, ours = (answers[name] for answers in both)
    row = DIFFERENCES.get(name)
    if row is None:
        assert ours == theirs
    elif "`v2`" in row:
        theirs[2].pop("v2")
        assert ours == theirs
    elif name == "versions with GET":
        assert (theirs[0], ours) == (405, both[1]["versions"])
    else:
        assert theirs[:2] == [ours[0], "text/html"]
        assert ours[1] == "application/json"
        assert ours[2]["detail"]


def test_every_difference_is_documented() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "compatibility.md"
    rows = {line.removeprefix("| ").partition(" | ")[0] for line in page.read_text().splitlines()}
    assert set(DIFFERENCES.values()) <= rows
