"""The installed package: what it offers to user code, without a server."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import requires, version
from pathlib import Path

import pytest
from hosting import ROOT, run

import label_studio_ml
import label_studio_ml.model
from label_studio_ml import _native, api
from label_studio_ml.helpers import LabelStudioMLBaseHelper, LabelStudioMLChoices
from label_studio_ml.label_config import parse_config
from label_studio_ml.model import (
    LabelStudioMLBase,
    get_all_classes_inherited_LabelStudioMLBase,
)

CONFIG = '<View><Text name="t" value="$x"/><Choices name="c" toName="t"><Choice value="A"/></Choices></View>'


class ModelV1(LabelStudioMLBase):
    def predict(self, tasks, **kwargs):
        return [self.train_output for _ in tasks]

    def fit(self, tasks, workdir=None, **kwargs):
        return {"n": len(list(tasks)), **kwargs}


class ModelV2(LabelStudioMLBase):
    def setup(self):
        self.ready = True

    def predict(self, tasks, context=None, **kwargs):
        return []


def test_names_and_version() -> None:
    assert label_studio_ml.package_name == "label-studio-ml"
    assert label_studio_ml.__version__ == version("label-studio-ml") == "3.0.0"
    assert (Path(label_studio_ml.__file__).parent / "py.typed").exists()
    assert run("--version").stdout == "label-studio-ml 3.0.0\n"


def test_dependencies_have_lower_bounds_only() -> None:
    """The package must fit into one environment with Label Studio."""
    requirements = requires("label-studio-ml")
    assert requirements, "the package says what it needs"
    for requirement in requirements:
        assert "<" not in requirement and "==" not in requirement, requirement


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = (
        "import sys, label_studio_ml.model, label_studio_ml.server, label_studio_ml.utils\n"
        "import label_studio_ml.api, label_studio_ml.exceptions, label_studio_ml.helpers\n"
        "print([m for m in ('numpy', 'flask', 'requests', 'PIL', 'label_studio_sdk',"
        " 'label_studio_tools', 'redis', 'rq', 'multiprocessing', 'inspect',"
        " 'label_studio_ml.managers') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_extension_is_built_as_it_must_be() -> None:
    """`auto-initialize` breaks imports into static interpreters, `extension-module` breaks tests."""
    lock = subprocess.run(
        ["cargo", "tree", "-e", "features,normal", "-i", "pyo3", "--offline"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert lock.returncode == 0, lock.stderr
    assert "abi3-py310" in lock.stdout
    assert "auto-initialize" not in lock.stdout
    assert 'feature "extension-module"' not in lock.stdout


def test_the_oldest_compiler_that_is_promised_builds_every_dependency() -> None:
    """As far as they say which one they need; our own code is minded by clippy's `incompatible_msrv`."""
    done = subprocess.run(
        ["cargo", "metadata", "--locked", "--format-version=1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    needed = {
        f"{package['name']} {package['version']}": tuple(map(int, oldest.split(".")[:2]))
        for package in json.loads(done.stdout)["packages"]
        if (oldest := package["rust_version"])
    }
    promised = needed.pop("label-studio-ml 3.0.0")
    assert len(needed) > 100
    assert {name: oldest for name, oldest in needed.items() if oldest > promised} == {}


def test_the_names_that_scripts_import_are_there() -> None:
    names: dict[str, object] = {}
    exec("from label_studio_ml.model import *", names)
    from label_studio_ml import managers

    for name in ("LabelStudioMLManager", "ModelWrapper", "JobManager", "SimpleJobManager"):
        assert names[name] is getattr(managers, name) is getattr(label_studio_ml.model, name)
    assert names["RQJobManager"] is managers.RQJobManager
    assert names["parse_config"] is parse_config
    assert names["logger"] is label_studio_ml.model.logger
    assert names["LABEL_STUDIO_ML_BACKEND_V2_DEFAULT"] is False
    assert names["AUTO_UPDATE_DEFAULT"] is True
    assert managers.ModelWrapper("m", "1") == managers.ModelWrapper("m", "1", is_training=False)
    with pytest.raises(AttributeError, match="no_such_name"):
        label_studio_ml.model.no_such_name  # type: ignore[attr-defined]  # noqa: B018


def test_a_model_of_api_v1_by_itself() -> None:
    model = ModelV1(label_config=CONFIG, train_output={"a": 1}, hostname="http://h", extra=1)
    assert list(model.parsed_label_config) == ["c"]
    assert model.predict([{}]) == [{"a": 1}]
    assert (model.hostname, model.access_token) == ("http://h", "")
    event = model.process_event("ANNOTATION_CREATED", {"k": 1}, "7", {"workdir": "w"})
    assert event == {"n": 0, "event": "ANNOTATION_CREATED", "data": {"k": 1}, "job_id": "7"}
    assert model.process_event("TASKS_CREATED", {}, "7", {}) is None
    model.parsed_label_config = {"mine": {}}
    assert ModelV1().parsed_label_config == {}


def test_a_model_of_api_v2_by_itself() -> None:
    model = ModelV2(project_id="2", label_config=CONFIG)
    assert model.ready
    assert model.project_id == "2"
    assert model.parsed_label_config["c"]["inputs"][0]["valueType"] is None
    with pytest.raises(TypeError, match="ModelV2 got unexpected arguments: threshold"):
        ModelV2(project_id="2", threshold=1)


def test_the_base_class_says_what_is_missing() -> None:
    class Empty(LabelStudioMLBase): ...

    # The class says nothing, so it is taken for one of API v2, whose base class does nothing.
    assert Empty().predict([]) is None
    assert Empty().fit("START_TRAINING", {}) is None


def test_a_model_of_api_v1_must_predict() -> None:
    class Unfinished(LabelStudioMLBase):
        def fit(self, tasks, workdir=None, **kwargs):
            return {}

    with pytest.raises(TypeError, match=r"Unfinished cannot be instantiated.* predict"):
        Unfinished(label_config=CONFIG)

    class Finished(Unfinished):
        def predict(self, tasks, **kwargs):
            return []

    assert Finished().predict([]) == []


def detected(body: str, **names: object) -> int:
    namespace: dict[str, object] = {
        "Base": LabelStudioMLBase,
        "Choices": LabelStudioMLChoices,
        **names,
    }
    exec(f"class Model({'Choices' if 'helper' in body else 'Base'}):\n    {body}", namespace)
    model = namespace["Model"]
    assert isinstance(model, type)
    return _native.detect_api_version(model)[0]


@pytest.mark.parametrize(
    ("body", "api"),
    [
        ("LABEL_STUDIO_ML_API = 2\n    def fit(self, tasks, workdir=None): ...", 2),
        ("LABEL_STUDIO_ML_API = 1\n    def fit(self, event, data): ...", 1),
        ("def fit(self, event, data, **kwargs): ...", 2),
        ("def __init__(self, project_id=None, **kwargs): ...", 2),
        ("helper = 1", 1),
        ("def fit(self, completions, **kwargs): ...", 1),
        ("def fit(self, x, workdir=None): ...", 1),
        ("def __init__(self, label_config=None, train_output=None): ...", 1),
        ("def setup(self): ...", 2),
        ("def setup(self): self.x = self.train_output", 1),
        ("def setup(self, something): ...\n    def predict(self, tasks, context=None): ...", 2),
        ("def predict(self, tasks, **kwargs): return self.train_output", 1),
        ("def predict(self, tasks, **kwargs): return self.label_interface", 2),
        ("def predict(self, tasks, **kwargs): return (lambda: self.get_first_tag_occurence)()", 2),
        ("def predict(self, tasks, context=None, **kwargs): ...", 2),
        ("def __init__(self, **kwargs): ...", 1),
        ("def predict(self, tasks, **kwargs): ...", 2),
    ],
)
def test_the_api_is_told_from_the_class(body: str, api: int) -> None:
    assert detected(body) == api


def test_config_errors_are_those_of_the_dialects_package() -> None:
    from label_studio_sdk._extensions.label_studio_tools.core.utils import exceptions as sdk
    from label_studio_tools.core.utils import exceptions as tools

    with pytest.raises(tools.LabelStudioXMLSyntaxErrorSentryIgnored):
        parse_config("<View", "tools")
    with pytest.raises(sdk.LabelStudioXMLSyntaxErrorSentryIgnored):
        parse_config("<View", "sdk")
    with pytest.raises(ValueError, match="encoding"):
        parse_config('<?xml version="1.0" encoding="utf-8"?><View/>')
    with pytest.raises(ValueError, match="tools"):
        parse_config("<View/>", "other")  # type: ignore[arg-type]
    assert parse_config(None) == parse_config("") == {}


def test_classes_of_a_script_are_listed(tmp_path: Path) -> None:
    script = tmp_path / "two_models.py"
    script.write_text(
        "from label_studio_ml.model import LabelStudioMLBase\n"
        "class A(LabelStudioMLBase): ...\nclass B(A): ...\nclass C: ...\n"
        "class D(type('LabelStudioMLBase', (), {})): ...\n"
    )
    before = list(sys.path)
    assert get_all_classes_inherited_LabelStudioMLBase(str(script)) == ["A", "B", "D"]
    assert sys.path == before
    with pytest.raises(ModuleNotFoundError):
        get_all_classes_inherited_LabelStudioMLBase(str(tmp_path / "no_such_script.py"))


def test_the_manager_of_the_api_module() -> None:
    from label_studio_ml.api import _manager
    from label_studio_ml.managers import LabelStudioMLManager

    assert isinstance(_manager, LabelStudioMLManager)
    assert api._manager is _manager
    with pytest.raises(AttributeError, match="no_such_name"):
        api.no_such_name  # type: ignore[attr-defined]  # noqa: B018


def test_a_helper_class_must_be_complete() -> None:
    class Half(LabelStudioMLBaseHelper):
        def prepare_tasks(self, tasks, workdir=None, **kwargs):
            return list(tasks), workdir

        def predict2(self, X, y=None, **kwargs):
            return X, kwargs

    with pytest.raises(TypeError, match="convert_predictions"):
        Half()  # type: ignore[abstract]

    class Whole(Half):
        def convert_predictions(self, predictions, **kwargs):
            return [predictions, kwargs]

        def fit2(self, X, y, **kwargs):
            return {"X": X, "workdir": y, **kwargs}

    assert Whole().predict([1], a=2) == [([1], {"a": 2}), {"a": 2}]
    assert Whole().fit([1], "w", a=2) == {"X": [1], "workdir": "w", "a": 2}
    with pytest.raises(TypeError, match="abstract"):
        LabelStudioMLChoices(label_config=CONFIG)  # type: ignore[abstract]


def test_the_helper_class_for_choices() -> None:
    class Fixed(LabelStudioMLChoices):
        def predict2(self, X, y=None, **kwargs):
            return [["A"] for _ in X], [0.5 for _ in X]

        def fit2(self, X, y, **kwargs):
            return {"seen": len(X)}

    model = Fixed(label_config=CONFIG)
    assert model.predict([{"data": {"x": "text"}}]) == [
        {
            "result": [
                {"from_name": "c", "to_name": "t", "type": "choices", "value": {"choices": ["A"]}}
            ],
            "score": 0.5,
        }
    ]
    annotated = {"data": {"x": "b"}, "completions": [{"result": [{"value": {"choices": ["A"]}}]}]}
    assert model.fit([{"data": {"x": "text"}}]) == {"seen": 1}
    assert model.prepare_tasks([{"data": {"x": "a"}}, annotated]) == (["a", "b"], [None, ["A"]])
    assert (model.from_name, model.to_name, model.value) == ("c", "t", "x")
    with pytest.raises(AssertionError, match="one control tag"):
        Fixed()


def test_an_image_is_measured_as_it_is_shown(tmp_path: Path) -> None:
    from PIL import Image

    from label_studio_ml.utils import get_image_size

    plain, turned = tmp_path / "plain.jpg", tmp_path / "turned.jpg"
    image = Image.new("RGB", (30, 20))
    image.save(plain)
    exif = image.getexif()
    exif[0x0112] = 6  # lies on its side
    image.save(turned, exif=exif)
    assert get_image_size(str(plain)) == (30, 20)
    assert get_image_size(str(turned)) == (20, 30)


def test_keys_of_a_simple_config() -> None:
    from label_studio_ml.utils import get_choice, get_single_tag_keys, is_skipped

    config = parse_config(CONFIG)
    assert get_single_tag_keys(config, "Choices", "Text") == ("c", "t", "x", ["A"])
    with pytest.raises(AssertionError, match="this model expects"):
        get_single_tag_keys(config, "Labels", "Text")
    annotation = {"result": [{"value": {"choices": ["A"]}}], "was_cancelled": False}
    assert get_choice({"annotations": [annotation]}) == "A"
    assert not is_skipped({"annotations": [annotation]})
    assert is_skipped({"annotations": [{"was_cancelled": True}]})
    assert is_skipped({"annotations": [{"skipped": True}]})
    assert not is_skipped({"annotations": [{"skipped": True}] * 2})
