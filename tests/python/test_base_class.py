"""What the base class of API v2 offers a model: labelling config, labels, model version, stored values."""

from __future__ import annotations

import itertools
import logging
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from hosting import CHOICES

import label_studio_ml.model
from label_studio_ml.cache import SqliteCache
from label_studio_ml.model import LabelStudioMLBase
from label_studio_ml.utils import InMemoryLRUDictCache, get_image_local_path, is_valid_url

_projects = map(str, itertools.count(1))

OTHER = CHOICES.replace("Positive", "Great").replace("sentiment", "mood")


@pytest.fixture(autouse=True)
def kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SqliteCache:
    """What models keep, in a folder of this test."""
    cache = SqliteCache(str(tmp_path / "models"))
    monkeypatch.setattr(label_studio_ml.model, "CACHE", cache)
    return cache


class Model(LabelStudioMLBase):
    def predict(self, tasks: Any, context: Any = None, **kwargs: Any) -> Any:
        return []


def new(label_config: str | None = CHOICES, **kwargs: Any) -> Model:
    return Model(project_id=next(_projects), label_config=label_config, **kwargs)


def labels(**predicted: str | None) -> str:
    """A labelling config with these labels, each with its `predicted_values` unless that is None."""
    inside = "".join(
        f'<Label value="{name}"/>'
        if values is None
        else f'<Label value="{name}" predicted_values="{values}"/>'
        for name, values in predicted.items()
    )
    return (
        '<View><Image name="image" value="$image"/>'
        f'<RectangleLabels name="box" toName="image">{inside}</RectangleLabels></View>'
    )


@pytest.mark.parametrize(
    ("said", "names", "mapped"),
    [
        (
            {"Vehicle": "car, truck"},
            ["car", "truck", "dog"],
            {"car": "Vehicle", "truck": "Vehicle"},
        ),
        ({"Vehicle": " car ,truck,"}, ["car", "truck"], {"car": "Vehicle", "truck": "Vehicle"}),
        ({"car": None}, ["car", "dog"], {"car": "car"}),
        ({"Car": None}, ["car", "dog"], {"car": "Car"}),
        ({"Car": ""}, ["car"], {"car": "Car"}),
        ({"Car": None}, ["Car", "car"], {"Car": "Car"}),
        ({"Car": "truck"}, ["car", "truck"], {"truck": "Car"}),
        ({"car": "truck"}, ["car", "truck"], {"truck": "car"}),
        ({"Car": "unknown"}, ["car"], {"car": "Car"}),
        ({"Bike": None}, ["car"], {}),
        ({"Bike": "unknown"}, ["car"], {}),
        ({"A": "car", "B": "dog"}, ["car", "dog"], {"car": "A", "dog": "B"}),
        ({"A": "car", "B": "car"}, ["car"], {"car": "B"}),
        ({"A": "Car"}, ["car"], {}),
        ({"A": "car"}, [], {}),
    ],
)
def test_labels_are_found_for_what_a_model_predicts(
    said: dict[str, str | None], names: list[str], mapped: dict[str, str]
) -> None:
    assert new(labels(**said)).build_label_map("box", names) == mapped


def test_a_value_that_the_model_does_not_predict_is_named_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "label_studio_ml.model")
    model = new(labels(Vehicle="car, unknown,", Animal=None))
    assert model.build_label_map("box", ["car"]) == {"car": "Vehicle"}
    assert [record.getMessage() for record in caplog.records] == [
        "label 'Vehicle': the model does not predict 'unknown'"
    ]


def test_a_control_tag_without_labels_maps_nothing() -> None:
    config = '<View><Text name="t" value="$t"/><TextArea name="a" toName="t"/></View>'
    assert new(config).build_label_map("a", ["car"]) == {}
    model = new()
    model.label_interface = MagicMock()
    model.label_interface.get_control.return_value.labels_attrs = None
    assert model.build_label_map("a", ["car"]) == {}
    with pytest.raises(Exception, match="nothing"):
        new(config).build_label_map("nothing", ["car"])


def test_another_labelling_config_takes_the_place_of_the_first_everywhere() -> None:
    model = new()
    before = model.label_interface
    assert model.get_first_tag_occurence("Choices", "Text")[0] == "sentiment"
    model.use_label_config(OTHER)
    assert model.label_interface is not before
    assert model.get_first_tag_occurence("Choices", "Text")[0] == "mood"
    assert model.label_config == OTHER
    assert [*model.parsed_label_config] == ["mood"]
    again = Model(project_id=model.project_id)
    assert (again.label_config, [*again.parsed_label_config]) == (OTHER, ["mood"])
    model.use_label_config(CHOICES)
    assert model.label_interface.get_control("sentiment").labels == ["Positive", "Negative"]
    assert [*Model(project_id=model.project_id).parsed_label_config] == ["sentiment"]


def test_a_labelling_config_that_is_refused_changes_nothing() -> None:
    model = new()
    for wrong in ("<View", "", "  "):
        with pytest.raises(Exception, match=r".") as caught:
            model.use_label_config(wrong)
        assert type(caught.value).__name__ == "LabelStudioXMLSyntaxErrorSentryIgnored"
        assert model.label_config == CHOICES
        assert Model(project_id=model.project_id).label_config == CHOICES


def test_the_config_of_an_instance_goes_before_that_of_the_project() -> None:
    one = new()
    Model(project_id=one.project_id, label_config=OTHER)
    assert (one.label_config, [*one.parsed_label_config]) == (CHOICES, ["sentiment"])
    assert one.get_first_tag_occurence("Choices", "Text")[0] == "sentiment"
    without = Model(project_id=one.project_id)
    assert (without.label_config, [*without.parsed_label_config]) == (OTHER, ["mood"])
    with pytest.raises(AttributeError, match="got no labelling config"):
        without.label_interface  # noqa: B018


def test_a_config_is_written_when_it_is_another_one(kept: SqliteCache) -> None:
    """Every instance brings one; a value that is set wakes who waits for it."""
    model = new()
    kept[model.project_id, "parsed_label_config"] = "seen"
    model.use_label_config(CHOICES)
    Model(project_id=model.project_id, label_config=CHOICES)
    assert model.get("parsed_label_config") == "seen"
    model.use_label_config(OTHER)
    assert model.get("parsed_label_config") != "seen"


def test_a_version_is_named_once() -> None:
    class Named(Model):
        INITIAL_MODEL_VERSION = "7.0.0"

    first = Named(project_id=next(_projects))
    assert first.get("model_version") == "7.0.0"
    first.set("model_version", "8.0.0")
    assert Named(project_id=first.project_id).get("model_version") == "8.0.0"
    first.set("model_version", "")
    assert first.model_version is None
    assert str(first.bump_model_version()) == "7.1.0"


def test_has_tells_of_this_project_and_key_alone() -> None:
    one, other = new(), new()
    one.set("prompt", "")
    assert one.has("prompt")
    assert not one.has("Prompt")
    assert not other.has("prompt")


def test_arguments_of_a_manager_are_attributes_and_others_are_refused() -> None:
    model = Model(project_id="5", train_output={"a": 1}, hostname="h", access_token=None)
    assert (model.train_output, model.hostname, model.access_token) == ({"a": 1}, "h", "")
    assert not hasattr(Model(project_id="5"), "train_output")
    with pytest.raises(TypeError, match="Model got unexpected arguments: other"):
        Model(project_id="5", train_output={}, other=1)


def test_what_is_assigned_can_be_taken_away_again() -> None:
    model = new()
    model.extra_params = {"mine": 1}
    assert model.extra_params == {"mine": 1}
    del model.extra_params
    assert model.extra_params == {}
    with pytest.raises(AttributeError):
        del model.extra_params


def test_only_train_events_reach_fit() -> None:
    class Learner(Model):
        def fit(self, event: str, data: Any, **kwargs: Any) -> Any:
            return event, data, kwargs

    class Choosy(Learner):
        TRAIN_EVENTS = ("TASKS_CREATED",)

    for event in ("ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATION_DELETED"):
        said = Learner().process_event(event, {"a": 1}, "7", {"workdir": "w"})
        assert said == (event, {"a": 1}, {"job_id": "7", "workdir": "w"})
        assert Choosy().process_event(event, {}, "7", {}) is None
    # Bulk events hold no annotation that such a model could read.
    for event in ("ANNOTATIONS_CREATED", "ANNOTATIONS_DELETED", "PROJECT_UPDATED"):
        assert Learner().process_event(event, {}, "7", {}) is None
    assert Choosy().process_event("TASKS_CREATED", {}, "7", {})[0] == "TASKS_CREATED"


def test_the_value_used_longest_ago_makes_room() -> None:
    cache = InMemoryLRUDictCache(2)
    cache.put("a", 1)
    cache.put("b", 2)
    assert cache.get("a") == 1  # which counts as using it
    cache.put("c", 3)
    assert ("a" in cache, "b" in cache, "c" in cache) == (True, False, True)
    cache.put("a", 4)
    assert len(cache.cache) == 2
    cache.put("d", 5)
    assert (cache.get("a"), "c" in cache) == (4, False)
    small = InMemoryLRUDictCache()
    small.put("a", 1)
    small.put("b", 2)
    assert ("a" in small, small.get("b")) == (False, 2)


def test_an_address_has_a_scheme_and_a_host() -> None:
    assert is_valid_url("http://h/x")
    for text in ("http:", "//h/x", "h/x", "http://", "http://[::1", ""):
        assert not is_valid_url(text), text


def test_images_are_asked_for_at_the_first_address_that_is_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[Any, ...]] = []
    names = "url", "cache_dir", "project_dir", "hostname", "image_dir", "access_token", "task_id"
    monkeypatch.setattr(
        label_studio_ml.model,
        "get_local_path",
        lambda **given: asked.append(tuple(map(given.pop, names))) or str(given),
    )
    for name in ("LABEL_STUDIO_HOSTNAME", "HEARTEX_HOSTNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOSTNAME", "0123456789ab")
    get_image_local_path("/data/x.png")
    monkeypatch.setenv("HEARTEX_HOSTNAME", "http://second")
    get_image_local_path("/data/x.png", "cache", "project", "images")
    monkeypatch.setenv("LABEL_STUDIO_HOSTNAME", "http://first")
    assert get_image_local_path("/data/x.png") == "{}"
    more = {"label_studio_host": "http://mine", "label_studio_access_token": "t", "task_id": 7}
    get_image_local_path("/data/x.png", **more)
    assert asked == [
        ("/data/x.png", None, None, None, None, None, None),
        ("/data/x.png", "cache", "project", "http://second", "images", None, None),
        ("/data/x.png", None, None, "http://first", None, None, None),
        ("/data/x.png", None, None, "http://mine", None, "t", 7),
    ]


@pytest.mark.parametrize("module", ["model", "utils"])
def test_tests_of_models_may_replace_what_fetches_images(
    module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"label_studio_ml.{module}.get_local_path", lambda **given: given["url"])
    assert get_image_local_path("/data/x.png") == "/data/x.png"
    monkeypatch.undo()
    with pytest.raises(FileNotFoundError):
        get_image_local_path("/data/x.png")
