"""The layout of MODEL_DIR as the package reads and writes it, at its edges."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import math
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from label_studio_ml import _model_folder as folder

CREATED = "2026-11-23T10:49:25Z"  # 1795430965
LARGEST = 2**63 - 2


def put(where: Path, result: Any = None, event: Any = None, **files: str) -> Path:
    """Make the folder of a job: with a result, with the event it began with, with other files."""
    where.mkdir(parents=True, exist_ok=True)
    if result is not None:
        (where / folder.RESULT).write_text(
            result if isinstance(result, str) else json.dumps(result)
        )
    if event is not None:
        (where / folder.EVENT).write_text(event if isinstance(event, str) else json.dumps(event))
    for name, text in files.items():
        (where / name.replace("_", ".")).write_text(text)
    return where


def of_project(number: Any) -> dict[str, Any]:
    return {"event": "ANNOTATION_CREATED", "data": {"project": {"id": number}}}


@pytest.mark.parametrize(
    ("project", "key"),
    [
        ({"id": 2, "created_at": CREATED}, "2.1795430965"),
        ({"id": "2", "created_at": CREATED}, "2.1795430965"),
        ({"id": 2, "created_at": "2026-11-23T10:49:25.999999Z"}, "2.1795430965"),
        ({"id": 2, "created_at": "2026-11-23T12:49:25+02:00"}, "2.1795430965"),
        ({"id": 2, "created_at": "1969-12-31T23:59:59.500000Z"}, "2.-1"),
        ({"id": 2, "created_at": "2026-11-23T10:49:25"}, "2"),
        ({"id": 2, "created_at": "yesterday"}, "2"),
        ({"id": 2, "created_at": None}, "2"),
        ({"id": 2}, "2"),
        ({"id": 0}, "0"),
        ({"id": True, "created_at": CREATED}, ""),
        ({"id": 2.0}, ""),
        ({"id": None}, ""),
        ({}, ""),
        (2, ""),
        (None, ""),
    ],
)
def test_the_project_of_an_event(project: Any, key: str) -> None:
    assert folder.project_key({"project": project}) == key


def test_an_event_without_a_project() -> None:
    assert folder.project_key({}) == folder.project_key([]) == folder.project_key(None) == ""


def test_a_project_names_a_folder(tmp_path: Path) -> None:
    def name(project: str) -> str:
        found = folder.project_folder(tmp_path, project)
        assert found.parent == tmp_path
        return found.name

    assert name("2.1795430965") == "2.1795430965"
    assert name("a_b-C.9") == "a_b-C.9"
    assert (name("."), name(".."), name(".a.b")) == ("%2E", "%2E.", "%2Ea.b")
    assert name("a/b c%ä") == "a%2Fb%20c%25%C3%A4"
    assert folder.project_folder(tmp_path, "") == tmp_path
    assert name("x" * 200) == "x" * 200
    assert name("x" * 197 + "/") == "x" * 197 + "%2F"
    for long in ("x" * 201, "x" * 198 + "/"):
        with pytest.raises(
            ValueError, match=f"a project key of {len(long)} characters is too long"
        ):
            folder.project_folder(tmp_path, long)


def test_the_next_job_follows_the_clock_and_every_job_that_is_there(tmp_path: Path) -> None:
    now = int(time.time())
    assert now <= folder.next_id(tmp_path, "5") <= now + 60
    later = now + 10_000
    put(tmp_path / "5" / str(later))  # nobody's: it holds nothing
    put(tmp_path / "6" / str(later), {})
    put(tmp_path / "5" / "³")
    assert folder.next_id(tmp_path, "5") < later
    put(tmp_path / "5" / str(later), event={})
    assert folder.next_id(tmp_path, "5") == later + 1
    put(tmp_path / str(later + 5))
    (tmp_path / str(later + 5) / folder.TASKS).write_text("[]")
    assert folder.next_id(tmp_path, "5") == later + 6, (
        "jobs of the original lie beside the projects"
    )
    put(tmp_path / "5" / str(LARGEST + 1), {})
    assert folder.next_id(tmp_path, "5") == later + 6, "what cannot be a job is none"
    put(tmp_path / "5" / str(LARGEST), {})
    assert folder.next_id(tmp_path, "5") == LARGEST + 1


def test_a_job_has_a_folder_that_nobody_else_made(tmp_path: Path) -> None:
    parent = tmp_path / "models" / "5"
    assert folder.claim(parent, 7) == (7, parent / "7")
    assert folder.claim(parent, 7) == (8, parent / "8")
    put(parent / "9")
    assert folder.claim(parent, 7) == (10, parent / "10")


def test_versions_are_finished_jobs_that_are_not_refused(tmp_path: Path) -> None:
    own = tmp_path / "5.17"
    for number in (3, 20, 100):
        put(own / str(number), {"a": number})
    put(own / "200", event={})
    put(own / "300", {}, refused_txt="half a version")
    put(own / "name", {})
    put(own / "-4", {})
    found = folder.versions(tmp_path, "5.17")
    assert [*found.items()] == [(number, own / str(number)) for number in (100, 20, 3)]
    assert folder.versions(tmp_path, "5.18") == {}


def test_jobs_of_the_original_belong_to_the_project_of_their_event(tmp_path: Path) -> None:
    put(tmp_path / "11", {"bare": 1}, of_project(5))
    put(tmp_path / "12", {"bare": 1}, of_project(55))
    put(tmp_path / "13", {"bare": 1}, {"event": "START_TRAINING"})
    put(tmp_path / "14", {"bare": 1}, of_project(True))
    put(tmp_path / "15", {"train_output": {}, "workdir": "w", "version": "15"}, {"event": "X"})
    put(tmp_path / "16", {"bare": 1})
    put(tmp_path / "17", "{", "{")
    put(tmp_path / "18", {"workdir": "w"}, {"event": "X"})
    assert [*folder.versions(tmp_path, "5.17")] == [18, 17, 14, 13, 11]
    assert [*folder.versions(tmp_path, "55")] == [18, 17, 14, 13, 12]
    assert [*folder.versions(tmp_path, "")] == [18, 17, 16, 15, 14, 13, 12, 11]
    put(tmp_path / "5.17" / "11", {"own": 1}, of_project(5))
    assert folder.versions(tmp_path, "5.17")[11] == tmp_path / "5.17" / "11", "its own goes first"


def test_going_back_counts_until_something_newer_comes(tmp_path: Path) -> None:
    own = tmp_path / "5"
    for number in (1, 2, 3):
        put(own / str(number), {})
    assert [*folder.current(tmp_path, "5")] == [3, 2, 1]
    choice = tmp_path / ".label-studio-ml" / "active" / "5.json"
    choice.parent.mkdir(parents=True)
    choice.write_text(json.dumps({"version": 2, "instead_of": 3}))
    assert [*folder.current(tmp_path, "5")] == [2, 1]
    assert [*folder.versions(tmp_path, "5")] == [3, 2, 1]
    put(own / "4", {})
    assert [*folder.current(tmp_path, "5")] == [4, 3, 2, 1]
    for odd in ("{", "[]", '{"version": 2}', '{"version": "2", "instead_of": 9}', "7"):
        choice.write_text(odd)
        assert [*folder.current(tmp_path, "5")] == [4, 3, 2, 1], odd
    put(tmp_path / "8", {}, {})
    choice.with_name("%.json").write_text(json.dumps({"version": 7, "instead_of": 8}))
    put(tmp_path / "7", {}, {})
    assert [*folder.current(tmp_path, "")] == [7], "no project has a choice of its own"


def test_a_folder_that_a_server_owns_is_not_trained_in(tmp_path: Path) -> None:
    with folder.without_a_server(tmp_path):
        pass  # there never was one
    lock = put(tmp_path / ".label-studio-ml") / "lock"
    lock.write_text("4711\n")
    with (
        lock.open() as server,
        folder.without_a_server(tmp_path),
        folder.without_a_server(tmp_path),
        pytest.raises(BlockingIOError),
    ):
        # Several processes may train at the same time, and no server begins meanwhile.
        fcntl.flock(server, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with lock.open() as server:
        fcntl.flock(server, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with (
            pytest.raises(RuntimeError, match=r"a server \(pid 4711\) trains in this model folder"),
            folder.without_a_server(tmp_path),
        ):
            raise AssertionError("never")


@dataclasses.dataclass
class Scores:
    right: int
    by_label: dict[str, float]


class Dumped:
    def model_dump(self) -> dict[str, Any]:
        return {"at": Path("/x"), "of": (1, 2)}


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (None, None),
        (True, True),
        (10**30, 10**30),
        ("text", "text"),
        (0.5, 0.5),
        (math.nan, None),
        (-math.inf, None),
        ((1, [2, (3,)]), [1, [2, [3]]]),
        ({1: {"a": math.inf}}, {1: {"a": None}}),
        (Path("/models/a"), "/models/a"),
        (Scores(3, {"a": math.nan}), {"right": 3, "by_label": {"a": None}}),
        (Dumped(), {"at": "/x", "of": [1, 2]}),
        (np.float32(0.5), 0.5),
        (np.float64("nan"), None),
        (np.int64(7), 7),
        (np.array([[1.0, math.nan]]), [[1.0, None]]),
        ({np.int64(3): np.bool_(True)}, {3: True}),
    ],
)
def test_what_a_model_made_becomes_plain(value: Any, plain: Any) -> None:
    made = folder.as_json(value)
    assert made == plain
    json.dumps(made, allow_nan=False)
    if isinstance(plain, float | bool):
        assert type(made) is type(plain)


@pytest.mark.parametrize("value", [{1, 2}, b"bytes", object(), [object()], {"a": 1j}, Scores])
def test_what_is_no_json_is_refused_by_its_type(value: Any) -> None:
    with pytest.raises(TypeError, match="is not JSON serializable"):
        folder.as_json(value)


def test_a_result_is_bare_or_wrapped() -> None:
    wrapped = {"train_output": {"a": 1}, "workdir": "w", "version": "1"}
    assert folder.train_output(wrapped) == {"a": 1}
    assert folder.train_output({**wrapped, "train_output": None}) is None
    for name in ("workdir", "version"):
        bare = {**wrapped, name: None}
        assert folder.train_output(bare) == bare
    assert folder.train_output([1]) == [1]


def test_what_is_published_is_whole_and_leaves_nothing_beside(tmp_path: Path) -> None:
    job = put(tmp_path / "5" / "1", event={})
    (job / "deep").mkdir()
    (job / "deep" / "weights").write_text("w")
    (job / "gone").symlink_to("nowhere")
    synced: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        real = folder._sync
        patch.setattr(folder, "_sync", lambda path: (synced.append(path.name), real(path)))
        folder.publish(job, {"a": math.nan})
    assert json.loads((job / folder.RESULT).read_text()) == {"a": None}
    assert {path.name for path in job.iterdir()} == {"deep", "gone", folder.EVENT, folder.RESULT}
    staged = next(name for name in synced if name.startswith(f".{folder.RESULT}"))
    # First everything that it stands for, then itself, then that it is there.
    before = synced[: synced.index(staged)]
    assert {"deep", "weights", folder.EVENT, "1", "5"} <= {*before}
    assert synced[-1] == "1"
    with pytest.raises(TypeError):
        folder.publish(job, {"a": object()})
    assert json.loads((job / folder.RESULT).read_text()) == {"a": None}


def test_a_text_that_is_no_utf_8_is_written_all_the_same(tmp_path: Path) -> None:
    folder.write_tasks(tmp_path, iter([{"text": "a\ud800ä"}, {"score": np.float32(0.5)}]))
    assert folder.read(tmp_path / folder.TASKS) == [{"text": "a\ud800ä"}, {"score": 0.5}]
    assert folder.read(tmp_path / "train_data_info.json") == {"count": 2}
    assert "ä" in (tmp_path / folder.TASKS).read_text()


def test_the_times_of_a_job_are_those_of_its_files(tmp_path: Path) -> None:
    job = put(tmp_path / "1")
    assert (folder.began(job), folder.ended(job)) == (None, None)
    put(job, {})
    (job / folder.TASKS).write_text("[]")
    os.utime(job / folder.TASKS, (100, 100))
    os.utime(job / folder.RESULT, (200, 200))
    began, ended = folder.began(job), folder.ended(job)
    assert began is not None and ended is not None
    assert (began.timestamp(), ended.timestamp()) == (100, 200)
    assert ended.tzinfo is not None
