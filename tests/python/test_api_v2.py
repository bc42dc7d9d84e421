"""API v2 in the calling process, without a server."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock, patch

import pytest
from hosting import CHOICES, environment
from label_studio_sdk.label_interface import LabelInterface
from label_studio_sdk.label_interface.objects import PredictionValue
from pydantic import BaseModel, ConfigDict, ValidationError
from semver import Version

import label_studio_ml.model
from label_studio_ml._v2 import predictions
from label_studio_ml.cache import SqliteCache
from label_studio_ml.model import LabelStudioMLBase, predict_fn, update_fn
from label_studio_ml.response import ModelResponse, SingleTaskPredictions
from label_studio_ml.utils import (
    InMemoryLRUDictCache,
    compare_nested_structures,
    get_first_tag_keys,
    is_preload_needed,
    match_labels,
)

_projects = map(str, itertools.count(1000))


class Model(LabelStudioMLBase):
    def predict(self, tasks: Any, context: Any = None, **kwargs: Any) -> Any:
        return ModelResponse(predictions=[])


def new(label_config: str | None = CHOICES, **kwargs: Any) -> Model:
    return Model(project_id=next(_projects), label_config=label_config, **kwargs)


def test_a_bare_model_works(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(label_studio_ml.model, "CACHE", SqliteCache(str(tmp_path)))
    model = Model()
    assert model.project_id == ""
    assert model.get("model_version") == "0.0.1"
    assert model.label_config is None
    with pytest.raises(AttributeError, match="got no labelling config"):
        model.label_interface  # noqa: B018
    with pytest.raises(TypeError):
        model.parsed_label_config  # noqa: B018


def test_keys_are_texts_of_a_project() -> None:
    one, other = new(), new()
    assert one.get("prompt") is None
    assert not one.has("prompt")
    one.set("prompt", "é")
    assert (one.get("prompt"), other.get("prompt")) == ("é", None)
    assert Model(project_id=one.project_id).get("prompt") == "é"
    with pytest.raises(ValueError, match="Value must be a string"):
        one.set("prompt", 5)  # type: ignore[arg-type]


def test_the_labelling_config_as_text_dict_and_object() -> None:
    model = new()
    assert model.label_config == CHOICES
    parsed = model.parsed_label_config
    assert parsed["sentiment"]["labels"] == ["Positive", "Negative"]
    assert parsed["sentiment"]["inputs"][0] == {
        "type": "Text",
        "valueType": None,
        "value": "text",
    }
    assert model.parsed_label_config is not parsed
    assert isinstance(model.label_interface, LabelInterface)
    assert model.label_interface is model.label_interface
    assert model.get_first_tag_occurence("Choices", "Text") == ("sentiment", "text", "text")
    with pytest.raises(ValueError, match="No control tag of type Labels"):
        model.get_first_tag_occurence("Labels", "Text")
    again = Model(project_id=model.project_id)
    assert (again.label_config, again.parsed_label_config) == (CHOICES, parsed)


@pytest.mark.parametrize("config", ["", "<View", "<View></Vi>"])
def test_a_config_that_is_no_xml_is_refused_at_once(config: str) -> None:
    with pytest.raises(Exception, match=r".") as caught:
        new(config)
    assert type(caught.value).__name__ == "LabelStudioXMLSyntaxErrorSentryIgnored"


@pytest.mark.parametrize(
    ("version", "bumped"),
    [
        (None, "0.1.0"),
        ("1.2.3", "1.3.0"),
        ("1.2.3-rc.1+build", "1.3.0"),
        ("MyModel-v0.0.9", "MyModel-v0.1.0"),
        ("run 7 of May", "run 8 of May"),
        ("mine", "mine-1"),
    ],
)
def test_bumping_raises_the_version(version: str | None, bumped: str) -> None:
    model = new()
    if version:
        model.set("model_version", version)
    assert str(model.bump_model_version()) == bumped
    assert model.get("model_version") == bumped


def test_the_version_is_a_semver_version_if_it_reads_as_one() -> None:
    model = new()
    assert model.model_version == Version(0, 0, 1)
    model.set("model_version", "mine")
    assert model.model_version == "mine"


def test_extra_params_are_what_was_typed() -> None:
    model = new()
    assert model.extra_params == {}
    model.set_extra_params('{"n": 2}')
    assert model.extra_params == {"n": 2}


def test_what_tests_of_models_replace() -> None:
    model = new(None)
    model.label_interface = MagicMock()
    model.label_interface.get_first_tag_occurence.return_value = ("a", "b", "c")
    assert model.get_first_tag_occurence("X", "Y") == ("a", "b", "c")
    with patch.object(Model, "get", return_value="patched"):
        assert model.get("anything") == "patched"
    with patch("label_studio_ml.model.LabelInterface", return_value="mine"):
        assert new().label_interface == "mine"
    assert "__init__" not in vars(Model.__new__(Model))


def test_a_response_keeps_its_predictions() -> None:
    own, plain = PredictionValue(result=[{}], model_version="own"), PredictionValue(result=[{}])
    response = ModelResponse(predictions=[own, [plain]], model_versions="ignored")  # type: ignore[call-arg]
    assert not response.has_model_version()
    response.set_version("7")
    assert response.has_model_version()
    assert (own.model_version, plain.model_version) == ("own", "7")


class PlainResponse(BaseModel):
    """What `ModelResponse` is, left to pydantic alone."""

    model_config = ConfigDict(protected_namespaces=())

    model_version: str | None = None
    predictions: list[SingleTaskPredictions]


def _region() -> Any:
    return LabelInterface(CHOICES).get_control("sentiment").label("Positive")


_CHOSEN = {"from_name": "sentiment", "value": {"choices": ["Positive"]}, "score": 1}


@pytest.mark.parametrize(
    "predictions",
    [
        [],
        None,
        "text",
        ({"result": [_CHOSEN]},),
        [{"result": [_CHOSEN], "score": 0.5}, {"result": [], "model_version": "1"}],
        [{"result": [_CHOSEN], "score": "0.5", "unknown": [1], "model_version": 7}],
        [{"result": [_CHOSEN]}, [{"result": [_CHOSEN]}, {"result": []}]],
        [PredictionValue(result=[_CHOSEN], score=1), {"result": [_CHOSEN]}],
        [{"result": [_region(), _CHOSEN]}],
        [{"result": [{**_CHOSEN, "from_tag": _region().from_tag, "to_tag": _region().to_tag}]}],
        [{"result": None}],
        [{"result": [_CHOSEN], "score": None}],
        [{"result": [{1: 2}]}],
        [{"result": [_CHOSEN, "text"]}],
        [{"result": [_CHOSEN], "score": "much"}],
        [{"score": 0.5}],
        [{}],
        [None],
        [_CHOSEN],
    ],
)
def test_a_response_is_what_pydantic_makes_of_it(predictions: Any) -> None:
    def outcome(kind: type[BaseModel]) -> Any:
        try:
            made = kind(predictions=predictions)
        except ValidationError as error:
            return str(error).replace(kind.__name__, "")
        items: Any = made.predictions  # type: ignore[attr-defined]
        flat = [one for item in items for one in (item if isinstance(item, list) else [item])]
        regions = [one.result and [type(region) for region in one.result] for one in flat]
        copies = [
            one.result is not other.get("result")
            for one, other in zip(flat, predictions, strict=False)
            if isinstance(other, dict)
        ]
        fields = [one.model_fields_set for one in flat]
        return items, [type(one) for one in flat], regions, copies, fields

    assert outcome(ModelResponse) == outcome(PlainResponse)


@pytest.mark.filterwarnings("ignore:The `dict` method")  # of the SDK
def test_a_response_goes_to_the_server_as_pydantic_writes_it() -> None:
    response = ModelResponse(
        predictions=[
            {"result": [_CHOSEN], "score": 0.5},
            [{"result": [_region(), _CHOSEN]}, {"result": [_CHOSEN], "model_version": "own"}],
            {"result": []},
        ]
    )
    written = response.model_dump()["predictions"]
    for prediction in (written[0], written[1][0], written[2]):
        assert prediction.pop("model_version") is None
    assert predictions.of(response) == written
    response.set_version("all")
    assert predictions.of(response) == response.model_dump()["predictions"]
    assert predictions.of(response, lambda: None) == response.model_dump()["predictions"]


def test_predictions_may_lie_in_a_dict() -> None:
    assert predictions.of({"predictions": [1], "more": 2}) == [1]
    assert predictions.of({"more": 2}) == {"more": 2}
    assert predictions.of(None) == []
    assert predictions.of([None]) == [None]


def test_registered_functions_are_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_studio_ml.model, "_predict_fn", None)
    monkeypatch.setattr(label_studio_ml.model, "_update_fn", None)

    @predict_fn
    def predict(tasks: Any, context: Any, helper: Any, **kwargs: Any) -> Any:
        return [tasks, context, helper.project_id, kwargs]

    @update_fn
    def update(event: str, data: Any, helper: Any, **kwargs: Any) -> Any:
        return [event, data, helper.project_id, kwargs]

    model = LabelStudioMLBase(project_id="5")
    assert model.predict([1], context={"a": 1}, b=2) == [[1], {"a": 1}, "5", {"b": 2}]
    assert model.fit("START_TRAINING", {"c": 3}, d=4) == ["START_TRAINING", {"c": 3}, "5", {"d": 4}]
    assert model.process_event("TASKS_CREATED", {}, "1", {}) is None
    assert model.process_event("START_TRAINING", {}, "1", {})[3] == {"job_id": "1"}


def test_helpers_of_api_v2() -> None:
    parsed = new().parsed_label_config
    assert get_first_tag_keys(parsed, "Choices", "Text")[0] == "sentiment"
    assert get_first_tag_keys(parsed, "Labels", "Text") == (None, None)
    assert match_labels("spord\npolitic", ["sports", "politics"]) == ["sports", "politics"]
    cache = InMemoryLRUDictCache(2)
    for key in "aba":
        cache.put(key, key.upper())
    cache.put("c", "C")
    assert ("a" in cache, "b" in cache, cache.get("b")) == (True, False, None)
    for url in (
        *("s3://b/k", "/data/local-files/?d=x", "upload/1.jpg", "https://h/x", __file__),
        *("/ls/data/upload/1/a.png", "/ls/data/local-files/?d=a b", "data:text/plain,x"),
        *("/tasks/1/resolve/?fileuri=x", "/storage-data/uploaded/?filepath=upload/1/a"),
    ):
        assert is_preload_needed(url), url
    for text in ("a sentence, with words", "uploads are welcome", "s3: the new season", "data: x"):
        assert not is_preload_needed(text), text
    compare_nested_structures({"a": [1.0, "b"]}, {"a": [1.00001, "b"]})
    with pytest.raises(AssertionError, match=r"\.a\[0\]"):
        compare_nested_structures({"a": [1.0]}, {"a": [1.1]})


def test_a_class_of_api_v1_may_use_all_names_of_api_v2() -> None:
    class Older(LabelStudioMLBase):
        setup = "not callable"
        get = has = set = None  # type: ignore[assignment]

        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.model_version = "mine"
            self.extra_params = [1]
            self.label_interface = "my own"
            self.parsed_label_config = {"mine": {}}

        def predict(self, tasks: Any, **kwargs: Any) -> Any:
            return []

        def fit(self, tasks: Any, workdir: Any = None, **kwargs: Any) -> Any:
            return {}

    older = Older(label_config=CHOICES, train_output={"a": 1}, hostname="h")
    assert (older.model_version, older.extra_params) == ("mine", [1])
    assert (older.label_interface, older.parsed_label_config) == ("my own", {"mine": {}})
    assert (older.train_output, older.hostname) == ({"a": 1}, "h")
    del older.model_version
    assert not hasattr(older, "model_version")


def test_a_class_of_api_v2_may_assign_train_output() -> None:
    class Newer(Model):
        def setup(self) -> None:
            self.train_output = {"mine": 1}

    assert Newer(label_config=CHOICES).train_output == {"mine": 1}


def python(source: str, **env: str) -> str:
    """What a new interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", source],
        env={**environment(), **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_heavy_packages_are_imported_when_they_are_used(tmp_path: Path) -> None:
    source = f"""
import sys
from label_studio_ml.model import LabelStudioMLBase
import label_studio_ml.api
class Model(LabelStudioMLBase):
    def predict(self, tasks, context=None): return []
model = Model(project_id="1", label_config={CHOICES!r})
model.set("a", "b"), model.predict([]), model.parsed_label_config
heavy = {{"flask", "label_studio_sdk", "pydantic", "numpy", "PIL", "requests", "semver", "lxml"}}
print(sorted(heavy & set(sys.modules)))
"""
    assert python(source, MODEL_DIR=str(tmp_path)).strip() == "[]"
