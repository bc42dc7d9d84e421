"""The layout of MODEL_DIR as the package reads and writes it, at its edges."""

from __future__ import annotations

import array
import dataclasses
import fcntl
import json
import math
import os
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hosting import environment

from label_studio_ml import _native
from label_studio_ml._v1.jobs import project_key, train_output

CREATED = "2026-11-23T10:49:25Z"  # 1795430965
LARGEST = 2**63 - 2
RESULT, EVENT, TASKS = "job_result.json", "event.json", "train_data.json"


def put(where: Path, result: Any = None, event: Any = None, **files: str) -> Path:
    """Make the folder of a job: with a result, with the event it began with, with other files."""
    where.mkdir(parents=True, exist_ok=True)
    if result is not None:
        (where / RESULT).write_text(result if isinstance(result, str) else json.dumps(result))
    if event is not None:
        (where / EVENT).write_text(event if isinstance(event, str) else json.dumps(event))
    for name, text in files.items():
        (where / name.replace("_", ".")).write_text(text)
    return where


def versions(*args: Any, **kwargs: Any) -> list[int]:
    return [number for number, _ in _native.list_versions(*args, **kwargs)]


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
    assert project_key({"project": project}) == key


def test_an_event_without_a_project() -> None:
    assert project_key({}) == project_key([]) == project_key(None) == ""


def test_a_project_names_a_folder(tmp_path: Path) -> None:
    def name(project: str) -> str:
        _, job = _native.claim_job(tmp_path, project)
        assert job.parent.parent == tmp_path
        return job.parent.name

    assert name("2.1795430965") == "2.1795430965"
    assert name("a_b-C.9") == "a_b-C.9"
    assert (name("."), name(".."), name(".a.b")) == ("%2E", "%2E.", "%2Ea.b")
    assert name("a/b c%ä") == "a%2Fb%20c%25%C3%A4"
    assert _native.claim_job(tmp_path, "")[1].parent == tmp_path
    assert name("x" * 200) == "x" * 200
    assert name("x" * 197 + "/") == "x" * 197 + "%2F"
    for long in ("x" * 201, "x" * 198 + "/"):
        for use in (_native.claim_job, _native.next_job, _native.list_versions):
            with pytest.raises(
                ValueError, match=f"a project key of {len(long)} characters is too long"
            ):
                use(tmp_path, long)


def test_the_next_job_follows_the_clock_and_every_job_that_is_there(tmp_path: Path) -> None:
    now = int(time.time())
    assert now <= _native.next_job(tmp_path, "5") <= now + 60
    later = now + 10_000
    put(tmp_path / "5" / str(later))  # nobody's: it holds nothing
    put(tmp_path / "6" / str(later), {})
    put(tmp_path / "5" / "³")
    assert _native.next_job(tmp_path, "5") < later
    put(tmp_path / "5" / str(later), event={})
    assert _native.next_job(tmp_path, "5") == later + 1
    put(tmp_path / str(later + 5))
    (tmp_path / str(later + 5) / TASKS).write_text("[]")
    assert _native.next_job(tmp_path, "5") == later + 6, (
        "jobs of the original lie beside the projects"
    )
    put(tmp_path / "5" / str(LARGEST + 1), {})
    assert _native.next_job(tmp_path, "5") == later + 6, "what cannot be a job is none"
    put(tmp_path / "5" / str(LARGEST), {})
    assert _native.next_job(tmp_path, "5") == LARGEST + 1


def test_a_job_has_a_folder_that_nobody_else_made(tmp_path: Path) -> None:
    first, job = _native.claim_job(tmp_path, "5")
    assert job == tmp_path / "5" / str(first)
    assert job.is_dir()
    put(tmp_path / "5" / str(first + 1))
    following = _native.claim_job(tmp_path, "5")[0]
    assert following >= first + 2, "a folder is taken although nothing is in it"
    shared, job = _native.claim_job(tmp_path, "5", shared=True)
    assert job == tmp_path / str(shared)
    (tmp_path / "6").write_text("")
    with pytest.raises(OSError, match="6"):
        _native.claim_job(tmp_path, "6")


def test_processes_that_begin_jobs_at_once_take_different_folders(tmp_path: Path) -> None:
    source = (
        "import sys; from label_studio_ml._native import claim_job\n"
        "for _ in range(50): print(claim_job(sys.argv[1], '5')[0])"
    )
    command = [sys.executable, "-c", source, str(tmp_path)]
    processes = [
        subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE) for _ in range(4)
    ]
    said = [process.communicate(timeout=60)[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0] * 4
    assert len({number for numbers in said for number in numbers}) == 200


def test_versions_are_finished_jobs_that_are_not_refused(tmp_path: Path) -> None:
    own = tmp_path / "5.17"
    for number in (3, 20, 100):
        put(own / str(number), {"a": number})
    put(own / "200", event={})
    put(own / "300", {}, refused_txt="half a version")
    put(own / "name", {})
    put(own / "-4", {})
    found = _native.list_versions(tmp_path, "5.17")
    assert found == [(number, own / str(number)) for number in (100, 20, 3)]
    assert _native.list_versions(tmp_path, "5.18") == []


def test_jobs_of_the_original_belong_to_the_project_of_their_event(tmp_path: Path) -> None:
    put(tmp_path / "11", {"bare": 1}, of_project(5))
    put(tmp_path / "12", {"bare": 1}, of_project(55))
    put(tmp_path / "13", {"bare": 1}, {"event": "START_TRAINING"})
    put(tmp_path / "14", {"bare": 1}, of_project(True))
    put(tmp_path / "15", {"train_output": {}, "workdir": "w", "version": "15"}, {"event": "X"})
    put(tmp_path / "16", {"bare": 1})
    put(tmp_path / "17", "{", "{")
    put(tmp_path / "18", {"workdir": "w"}, {"event": "X"})
    assert versions(tmp_path, "5.17") == [18, 17, 14, 13, 11]
    assert versions(tmp_path, "55") == [18, 17, 14, 13, 12]
    assert versions(tmp_path, "") == [18, 17, 16, 15, 14, 13, 12, 11]
    put(tmp_path / "5.17" / "11", {"own": 1}, of_project(5))
    found = dict(_native.list_versions(tmp_path, "5.17"))
    assert found[11] == tmp_path / "5.17" / "11", "its own goes first"


def test_going_back_counts_until_something_newer_comes(tmp_path: Path) -> None:
    own = tmp_path / "5"
    for number in (1, 2, 3):
        put(own / str(number), {})
    assert versions(tmp_path, "5", as_served=True) == [3, 2, 1]
    choice = tmp_path / ".label-studio-ml" / "active" / "5.json"
    choice.parent.mkdir(parents=True)
    choice.write_text(json.dumps({"version": 2, "instead_of": 3}))
    assert versions(tmp_path, "5", as_served=True) == [2, 1]
    assert versions(tmp_path, "5") == [3, 2, 1]
    put(own / "4", {})
    assert versions(tmp_path, "5", as_served=True) == [4, 3, 2, 1]
    for odd in ("{", "[]", '{"version": 2}', '{"version": "2", "instead_of": 9}', "7"):
        choice.write_text(odd)
        assert versions(tmp_path, "5", as_served=True) == [4, 3, 2, 1], odd
    put(tmp_path / "8", {}, {})
    choice.with_name("%.json").write_text(json.dumps({"version": 7, "instead_of": 8}))
    put(tmp_path / "7", {}, {})
    assert versions(tmp_path, "", as_served=True) == [7], "no project has a choice of its own"


def test_a_folder_that_a_server_owns_is_not_trained_in(tmp_path: Path) -> None:
    with _native.WithoutServer(tmp_path):
        pass  # there never was one
    lock = put(tmp_path / ".label-studio-ml") / "lock"
    lock.write_text("4711\n")
    with (
        lock.open() as server,
        _native.WithoutServer(tmp_path),
        _native.WithoutServer(tmp_path),
        pytest.raises(BlockingIOError),
    ):
        # Several processes may train at the same time, and no server begins meanwhile.
        fcntl.flock(server, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with lock.open() as server:
        fcntl.flock(server, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with (
            pytest.raises(RuntimeError, match=r"a server \(pid 4711\) trains in this model folder"),
            _native.WithoutServer(tmp_path),
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
        ({1: {"a": math.inf}}, {"1": {"a": None}}),
        (Path("/models/a"), "/models/a"),
        (Scores(3, {"a": math.nan}), {"right": 3, "by_label": {"a": None}}),
        (Dumped(), {"at": "/x", "of": [1, 2]}),
        (np.float32(0.5), 0.5),
        (np.float64("nan"), None),
        (np.int64(7), 7),
        (np.array([[1.0, math.nan]]), [[1.0, None]]),
        ({np.int64(3): np.bool_(True)}, {"3": True}),
        (array.array("d", [0.5]), [0.5]),
        ({"b": 1, "a": 2}, {"b": 1, "a": 2}),
    ],
)
def test_what_a_model_made_becomes_plain(value: Any, plain: Any) -> None:
    made = json.loads(_native.result_json(value))
    assert made == plain
    if isinstance(plain, float | bool):
        assert type(made) is type(plain)
    if isinstance(plain, dict):
        assert [*made] == [*plain], "labels stay in their order"


@pytest.mark.parametrize("value", [{1, 2}, b"bytes", object(), [object()], {"a": 1j}])
def test_what_is_no_json_is_refused_by_its_type(value: Any) -> None:
    with pytest.raises(TypeError, match="is not JSON serializable"):
        _native.result_json(value)


def test_a_result_is_bare_or_wrapped() -> None:
    wrapped = {"train_output": {"a": 1}, "workdir": "w", "version": "1"}
    assert train_output(wrapped) == {"a": 1}
    assert train_output({**wrapped, "train_output": None}) is None
    for name in ("workdir", "version"):
        bare = {**wrapped, name: None}
        assert train_output(bare) == bare
    # What is not an object makes the server serve the version before.
    with pytest.raises(ValueError, match="must hold a JSON object, not list"):
        train_output([1])


def test_what_is_published_is_whole_and_leaves_nothing_beside(tmp_path: Path) -> None:
    job = put(tmp_path / "5" / "1", event={})
    (job / "deep").mkdir()
    (job / "deep" / "weights").write_text("w")
    (job / "gone").symlink_to("nowhere")
    for result in ('{"a": null}', '{"a": 1}'):
        _native.publish_result(job, result, RESULT)
        assert (job / RESULT).read_text() == result
    assert {path.name for path in job.iterdir()} == {"deep", "gone", EVENT, RESULT}
    assert (job / RESULT).stat().st_mode & 0o777 == 0o644
    with pytest.raises(FileNotFoundError, match="none"):
        _native.publish_result(tmp_path / "none", "{}", RESULT)


def test_a_text_that_is_no_utf_8_is_written_all_the_same(tmp_path: Path) -> None:
    _native.write_tasks(tmp_path, [{"text": "a\ud800"}, {"ä": np.float32(0.5)}])
    tasks = json.loads((tmp_path / TASKS).read_text())
    assert tasks == [{"text": "a\ud800"}, {"ä": 0.5}]
    assert json.loads((tmp_path / "train_data_info.json").read_text()) == {"count": 2}
    assert "ä" in (tmp_path / TASKS).read_text()


def test_the_times_of_a_job_are_those_of_its_files(tmp_path: Path) -> None:
    job = put(tmp_path / "1")
    assert _native.job_times(job) == (None, None)
    put(job, {})
    (job / TASKS).write_text("[]")
    os.utime(job / TASKS, (100, 100))
    os.utime(job / RESULT, (200, 200))
    began, ended = _native.job_times(job)
    assert began is not None and ended is not None
    assert (began.timestamp(), ended.timestamp()) == (100, 200)
    assert ended.tzinfo == timezone.utc
    (job / EVENT).write_text("{}")
    os.utime(job / EVENT, (50, 50))
    assert _native.job_times(job)[0] == datetime.fromtimestamp(50, timezone.utc)


def test_a_version_that_is_refused_is_none(tmp_path: Path) -> None:
    for number in (1, 2):
        put(tmp_path / "5" / str(number), {})
    _native.refuse_version(tmp_path, "5", 2, "KeyError: 'x'")
    assert versions(tmp_path, "5") == [1]
    assert (tmp_path / "5" / "2" / "refused.txt").read_text() == "KeyError: 'x'"
