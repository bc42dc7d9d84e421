"""`TRAIN_EVENTS` made from those of the base class: the defaults in it are those of the class's API."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from hosting import CHOICES, Server, environment, make_project
from models_v2 import event

from label_studio_ml._inspect.script import training_events
from label_studio_ml.model import LabelStudioMLBase

Serve = Callable[..., Server]

OF_V2 = {"ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATION_DELETED", "START_TRAINING"}
OF_V1 = OF_V2 | {"ANNOTATIONS_CREATED", "ANNOTATIONS_DELETED", "PROJECT_UPDATED"}

#: Ways to write the attribute, and what they add to the defaults and take away.
FORMS = {
    "nothing": ("pass", set(), set()),
    "plus": ('TRAIN_EVENTS = Base.TRAIN_EVENTS + ("TASKS_CREATED",)', {"TASKS_CREATED"}, set()),
    "before": ('TRAIN_EVENTS = ("TASKS_CREATED",) + Base.TRAIN_EVENTS', {"TASKS_CREATED"}, set()),
    "unpacked": ('TRAIN_EVENTS = (*Base.TRAIN_EVENTS, "TASKS_CREATED")', {"TASKS_CREATED"}, set()),
    "list": (
        'TRAIN_EVENTS = list(Base.TRAIN_EVENTS) + ["TASKS_CREATED"]',
        {"TASKS_CREATED"},
        set(),
    ),
    "appended": (
        'TRAIN_EVENTS = [*Base.TRAIN_EVENTS]; TRAIN_EVENTS.append("TASKS_CREATED")',
        {"TASKS_CREATED"},
        set(),
    ),
    "set": ('TRAIN_EVENTS = set(Base.TRAIN_EVENTS) | {"TASKS_CREATED"}', {"TASKS_CREATED"}, set()),
    "bulk": (
        'TRAIN_EVENTS = {*Base.TRAIN_EVENTS, "ANNOTATIONS_CREATED"}',
        {"ANNOTATIONS_CREATED"},
        set(),
    ),
    "sorted": ("TRAIN_EVENTS = sorted(Base.TRAIN_EVENTS)", set(), set()),
    "keys": ("TRAIN_EVENTS = dict.fromkeys(Base.TRAIN_EVENTS)", set(), set()),
    "comprehension": (
        'TRAIN_EVENTS = tuple(e for e in Base.TRAIN_EVENTS if e != "ANNOTATION_UPDATED")',
        set(),
        {"ANNOTATION_UPDATED"},
    ),
    "difference": (
        'TRAIN_EVENTS = set(Base.TRAIN_EVENTS) - {"PROJECT_UPDATED", "START_TRAINING"}',
        set(),
        {"PROJECT_UPDATED", "START_TRAINING"},
    ),
    "removed": (
        'TRAIN_EVENTS = list(Base.TRAIN_EVENTS); TRAIN_EVENTS.remove("PROJECT_UPDATED")',
        set(),
        {"PROJECT_UPDATED"},
    ),
    "no deletions": (
        'TRAIN_EVENTS = [e for e in Base.TRAIN_EVENTS if not e.endswith("DELETED")]',
        set(),
        {"ANNOTATION_DELETED", "ANNOTATIONS_DELETED"},
    ),
    "property": (
        "TRAIN_EVENTS = property(lambda self: super(type(self), self).TRAIN_EVENTS + ('TASKS_CREATED',))",
        {"TASKS_CREATED"},
        set(),
    ),
    "computed": (
        "@property\n    def TRAIN_EVENTS(self):\n        return (*super().TRAIN_EVENTS, 'TASKS_CREATED')",
        {"TASKS_CREATED"},
        set(),
    ),
}
FIT = {
    1: "def fit(self, tasks, workdir=None, **kwargs): return {'event': kwargs.get('event')}",
    2: "def fit(self, event, data, **kwargs): return {'event': event}",
}


def model_class(body: str, version: int, base: type[LabelStudioMLBase]) -> type[LabelStudioMLBase]:
    source = f"""
class Model(Base):
    {body}
    def predict(self, tasks, **kwargs): return []
    {FIT[version]}
"""
    names = {"Base": base}
    exec(source, names)
    return names["Model"]


def trains(cls: type[LabelStudioMLBase], version: int, action: str) -> bool:
    """Tell whether `process_event` calls `fit` for an action."""
    model = cls()
    parameters = {"workdir": "w"} if version == 1 else {}
    return model.process_event(action, {}, "7", parameters) is not None


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("form", FORMS)
def test_the_defaults_are_those_of_the_class_api(form: str, version: int) -> None:
    body, added, removed = FORMS[form]
    cls = model_class(body, version, LabelStudioMLBase)
    expected = ((OF_V1 if version == 1 else OF_V2) | added) - removed
    events, wants_all = training_events(cls)
    assert (set(events), wants_all) == (expected, False)
    assert len(events) == len(set(events))
    assert {type(name) for name in events} == {str}
    for action in OF_V1 | {"TASKS_CREATED", "TASKS_DELETED", ""}:
        assert trains(cls, version, action) == (action in expected), action


@pytest.mark.parametrize("version", [1, 2])
def test_a_class_between_passes_them_on(version: int) -> None:
    class Common(LabelStudioMLBase):
        TRAIN_EVENTS = (*LabelStudioMLBase.TRAIN_EVENTS, "TASKS_CREATED")

    class Plain(LabelStudioMLBase):
        pass

    own = OF_V1 if version == 1 else OF_V2
    inherited = model_class("pass", version, Common)
    assert set(training_events(inherited)[0]) == own | {"TASKS_CREATED"}
    extended = model_class('TRAIN_EVENTS = Base.TRAIN_EVENTS + ("MORE",)', version, Common)
    assert set(training_events(extended)[0]) == own | {"TASKS_CREATED", "MORE"}
    of_plain = model_class('TRAIN_EVENTS = Base.TRAIN_EVENTS + ("MORE",)', version, Plain)
    assert set(training_events(of_plain)[0]) == own | {"MORE"}
    # A class that trains shows its own defaults, and what is left out of them stays out.
    parent = model_class("pass", version, LabelStudioMLBase)
    assert set(parent.TRAIN_EVENTS) == own == set(parent().TRAIN_EVENTS)
    body = 'TRAIN_EVENTS = [e for e in Base.TRAIN_EVENTS if e != "ANNOTATIONS_CREATED"]'
    child = model_class(body, version, parent)
    assert set(training_events(child)[0]) == own - {"ANNOTATIONS_CREATED"}


@pytest.mark.parametrize("version", [1, 2])
def test_events_that_a_class_names_itself_bring_no_others(version: int) -> None:
    for events in (
        tuple(OF_V2),
        ("ANNOTATION_CREATED",),
        ["PROJECT_UPDATED"],
        set(OF_V1),
        (),
    ):
        cls = model_class(f"TRAIN_EVENTS = {events!r}", version, LabelStudioMLBase)
        assert set(training_events(cls)[0]) == set(events)
    one = model_class('TRAIN_EVENTS = "ANNOTATION_CREATED"', version, LabelStudioMLBase)
    assert training_events(one)[0] == ["ANNOTATION_CREATED"]
    none = model_class("TRAIN_EVENTS = None", version, LabelStudioMLBase)
    assert training_events(none)[0] == []
    listed = "import enum\n    class Action(str, enum.Enum): DONE = 'DONE'\n    TRAIN_EVENTS = [Action.DONE]"
    assert training_events(model_class(listed, version, LabelStudioMLBase))[0] == ["DONE"]


def test_what_is_not_a_collection_of_actions_is_told() -> None:
    cls = model_class("TRAIN_EVENTS = 7", 2, LabelStudioMLBase)
    with pytest.raises(TypeError, match=r"^Model.TRAIN_EVENTS must be names of actions, not 7$"):
        training_events(cls)


def test_a_property_that_needs_an_instance_means_the_defaults(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cls = model_class("TRAIN_EVENTS = property(lambda self: self.mine)", 1, LabelStudioMLBase)
    assert set(training_events(cls)[0]) == OF_V1
    assert "Model.TRAIN_EVENTS needs an instance (AttributeError: " in caplog.text


SOURCE = """
    from label_studio_ml.model import LabelStudioMLBase as Base

    class Model(Base):
        TRAIN_EVENTS = Base.TRAIN_EVENTS + ("TASKS_CREATED",)

        def predict(self, tasks, **kwargs): return []
        {fit}
"""


@pytest.mark.parametrize("version", [1, 2])
def test_the_server_trains_on_them(serve: Serve, version: int) -> None:
    server = serve(SOURCE.replace("{fit}", FIT[version]))
    expected = (OF_V1 if version == 1 else OF_V2) | {"TASKS_CREATED"}
    assert server.setup().status_code == 200
    for action in sorted(OF_V1 | {"TASKS_CREATED", "TASKS_DELETED"}):
        body = event() | {"action": action}
        answer = requests.post(f"{server.url}/webhook", json=body, timeout=60)
        assert answer.status_code == (201 if action in expected else 200), action


@pytest.mark.parametrize("version", [1, 2])
def test_the_in_process_mode_trains_on_them(tmp_path: Path, version: int) -> None:
    project = make_project(tmp_path, SOURCE.replace("{fit}", FIT[version]))
    program = textwrap.dedent("""
        import json, sys
        from label_studio_ml.api import init_app
        from model import Model

        client = init_app(Model).test_client()
        events = []
        if Model._ml_api_version() == 1:
            from label_studio_ml.managers import SimpleJobManager
            def run_job(self, cls, args):
                model = cls()
                if model.process_event(args[0], args[1], args[2], {}) is not None:
                    events.append(args[0])
            SimpleJobManager.run_job = run_job
        for action in json.loads(sys.argv[1]):
            project = {"id": 2, "label_config": sys.argv[2]}
            answer = client.post("/webhook", json={"action": action, "project": project})
            if Model._ml_api_version() == 2 and answer.status_code == 201:
                events.append(action)
        print(json.dumps(sorted(events)))
    """)
    actions = sorted(OF_V1 | {"TASKS_CREATED", "TASKS_DELETED"})
    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps(actions), CHOICES],
        cwd=project,
        env={**environment(), "MODEL_DIR": str(tmp_path / "models")},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    expected = (OF_V1 if version == 1 else OF_V2) | {"TASKS_CREATED"}
    assert set(json.loads(done.stdout.splitlines()[-1])) == expected
