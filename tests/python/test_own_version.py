"""Models of API v2 whose class says its version itself, by an attribute or a property."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest
from hosting import CHOICES, Server, environment, make_project, wait_for

#: When the project of the other tests was made.
CREATED = "2026-11-23T10:49:25Z"

MODEL = """
    from pathlib import Path

    from label_studio_ml.model import LabelStudioMLBase
    from label_studio_ml.response import ModelResponse

    FILE = Path(__file__).parent / "number.txt"

    class Model(LabelStudioMLBase):
        LABEL_STUDIO_ML_API = 2

        {members}

        def predict(self, tasks, context=None, **kwargs):
            if context:
                return ModelResponse(predictions=[{{"result": []}} for _ in tasks])
            return [{{"result": [], "model_version": str(self.model_version)}} for _ in tasks]

        def fit(self, event, data, **kwargs):
            {fit}
"""
PROPERTY = """
@property
def model_version(self):
    {body}
"""
#: What says the version, and which one is served.
SAID = {
    "a property": (PROPERTY.format(body="return 'mine-3'"), "mine-3"),
    "a number": (PROPERTY.format(body="return 3"), "3"),
    "an attribute of the class": ("model_version = 'mine-3'", "mine-3"),
    "an attribute that setup assigns": (
        "def setup(self):\n    self.model_version = 'mine-3'",
        "mine-3",
    ),
    "an attribute that the constructor assigns": (
        "def __init__(self, **kwargs):\n    super().__init__(**kwargs)\n    self.model_version = 'mine-3'",
        "mine-3",
    ),
    "a property that says nothing": (PROPERTY.format(body="return None"), "0.0.1"),
    "a property that cannot say it yet": (PROPERTY.format(body="return self.missing"), "0.0.1"),
    "a copy of the kept name": (
        "def setup(self):\n    self.model_version = self.get('model_version')",
        "0.0.1",
    ),
}


def source(members: str, fit: str = "pass") -> str:
    indented = dedent(members).strip().replace("\n", "\n        ")
    return MODEL.format(members=indented, fit=fit)


def served(server: Server) -> list[str]:
    """Return the version in /setup and in all places of two predictions."""
    setup = server.setup().json()["model_version"]
    one, two = server.predict().json(), server.predict(context={"result": []}).json()
    versions = [answer["results"][0]["model_version"] for answer in (one, two)]
    return [setup, one["model_version"], *versions]


@pytest.mark.parametrize("said", [name for name in SAID if not name.startswith("a property that")])
def test_setup_and_predictions_name_it(tmp_path: Path, said: str) -> None:
    members, version = SAID[said]
    server = Server(make_project(tmp_path, source(members)))
    try:
        assert served(server) == [version] * 4
    finally:
        server.stop()


# What the constructor assigns last is seen by a started server only.
@pytest.mark.parametrize("said", [name for name in SAID if "constructor" not in name])
def test_setup_and_predictions_name_it_in_process(tmp_path: Path, said: str) -> None:
    members, version = SAID[said]
    (tmp_path / "model.py").write_text(dedent(source(members)))
    code = (
        "import json\n"
        "from label_studio_ml.api import init_app\n"
        "from model import Model\n"
        "client = init_app(model_class=Model).test_client()\n"
        f"body = {{'project': '7.1', 'schema': {CHOICES!r}, 'label_config': {CHOICES!r},"
        " 'tasks': [{}], 'params': {'context': {'result': []}}}\n"
        "answers = [client.post(path, json=body).json for path in ('/setup', '/predict')]\n"
        "print(json.dumps([answers[0]['model_version'], answers[1]['results'][0]['model_version']]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**environment(), "MODEL_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    if said == "a property that cannot say it yet":
        # As in the original, which asks for it here.
        assert "KeyError" in done.stderr
        return
    assert done.returncode == 0, done.stderr
    setup, prediction = json.loads(done.stdout)
    assert setup == version
    assert prediction == (None if said == "a property that says nothing" else version)


@pytest.mark.parametrize(
    ("members", "fit", "before", "after"),
    [
        # The class goes on saying the same: Label Studio must see that something was trained.
        (SAID["a property"][0], "FILE.write_text('1')", "mine-3", "mine-3+1"),
        (
            PROPERTY.format(body="return 'n' + (FILE.read_text() if FILE.exists() else '0')"),
            "FILE.write_text('1')",
            "n0",
            "n1",
        ),
        # What `fit` names counts, however old the copy is that the instance has.
        (SAID["a copy of the kept name"][0], "self.set('model_version', 'fitted')", "0.0.1", "fitted"),
    ],
)  # fmt: skip
def test_a_training_renames_it(
    tmp_path: Path, members: str, fit: str, before: str, after: str
) -> None:
    server = Server(make_project(tmp_path, source(members, fit)))
    try:
        assert served(server) == [before] * 4
        project = {"id": 2, "created_at": CREATED, "label_config": CHOICES}
        answer = server.post("/webhook", {"action": "START_TRAINING", "project": project})
        job = answer.json()["job"]
        wait_for(
            lambda: server.get(f"/jobs/{job}").json()["job_status"] == "finished", "it is trained"
        )
        assert served(server) == [after] * 4
    finally:
        server.stop()


def test_a_version_made_from_the_kept_one_does_not_grow(tmp_path: Path) -> None:
    members = PROPERTY.format(body="return 'x-' + str(self.get('model_version'))")
    server = Server(make_project(tmp_path, source(members)))
    try:
        for _ in range(3):
            assert server.setup(force_reload=True).json() == {"model_version": "0.0.1"}
    finally:
        server.stop()
