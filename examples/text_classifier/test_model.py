"""The files that training leaves behind."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from model import COLLECTED, TextClassifier, load, replace_file
from store import AnnotationStore

CONFIG = Path(__file__).with_name("label_config.xml").read_text()


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.pkl"
    replace_file(str(path), b"old")

    def no_space(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("os.fsync", no_space)
    with pytest.raises(OSError, match="No space"):
        replace_file(str(path), b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_read_again_only_when_it_was_replaced(tmp_path: Path) -> None:
    path = str(tmp_path / "model.pkl")
    assert load(path) is None
    replace_file(path, pickle.dumps({"version": "1"}))
    first = load(path)
    assert load(path) is first
    replace_file(path, pickle.dumps({"version": "2"}))
    assert load(path) == {"version": "2"}


def test_a_project_cannot_leave_the_model_directory(tmp_path: Path) -> None:
    model = TextClassifier(project_id="../../etc/x", label_config=CONFIG)
    model.fit("START_TRAINING", {})
    assert [path.name for path in tmp_path.rglob("*.db")] == ["annotations-..%2F..%2Fetc%2Fx.db"]
    assert [path.name for path in tmp_path.iterdir()] == [".annotations"]


def test_it_needs_no_config_to_be_constructed() -> None:
    TextClassifier()


def test_deletions_sent_in_bulk(tmp_path: Path) -> None:
    model = TextClassifier(project_id="bulk", label_config=CONFIG)
    store = AnnotationStore(model._file("annotations-{}.db", COLLECTED))
    for number in "123":
        store.put(number, "text", "Roads", "2025-02-03")
    assert "ANNOTATIONS_DELETED" in model.TRAIN_EVENTS
    model.fit("ANNOTATIONS_DELETED", {"annotations": [{"id": 1}, {"id": 3}]})
    assert [example[0] for example in store.examples()] == ["2"]


def test_an_edit_during_the_training_counts_for_the_next(tmp_path: Path) -> None:
    store = AnnotationStore(str(tmp_path / "a.db"))
    store.put("1", "text", "Roads", "2025-02-03")
    examples = store.examples()
    store.put("1", "text", "Parks", "2025-02-04")
    store.mark_used(examples)
    assert store.unused() == 1
    store.mark_used(store.examples())
    assert store.unused() == 0
