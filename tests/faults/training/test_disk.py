"""A full disk and a read-only disk."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from backend import answer
from host import Host
from hosting import CHOICES, PROJECT, Server, wait_for
from learner import acting
from small_disk import SmallDisk

MakeHost = Callable[..., Host]

#: `fit` fills the disk as the test says, once it is told to go on.
FILLER = acting(
    """
if told.get("write"):
    pathlib.Path(workdir, "checkpoint").write_bytes(bytes(told["write"]))
"""
)


@pytest.fixture
def full(small_disk: SmallDisk, make_host: MakeHost) -> Host:
    """A server on a small disk, with one good version."""
    host = make_host(FILLER, model_dir=small_disk.models)
    host.start()
    host.ended(host.ledger.train(host.server))
    return host


def ask_in_vain(server: Server, path: str, status: int) -> str:
    body = {
        "annotations": [{"id": 1}],
        "action": "ANNOTATION_CREATED",
        "params": {"token": "never"},
        "filler": "x" * 200_000,
    }
    refused = server.post(path, body)
    assert refused.status_code == status, refused.text
    detail: str = refused.json()["detail"]
    return detail


def test_nothing_is_accepted_that_does_not_fit(full: Host, small_disk: SmallDisk) -> None:
    small_disk.fill()
    for path in ("/train", "/webhook"):
        assert "full" in ask_in_vain(full.server, path, 507)
    assert full.server.predict().status_code == 200
    small_disk.free()
    assert full.ended(full.ledger.train(full.server))["job_status"] == "finished"
    full.check()


def test_a_fit_that_finds_no_room_fails_and_says_so(full: Host, small_disk: SmallDisk) -> None:
    good = full.server.predict().json()["model_version"]
    failed = full.ended(full.ledger.train(full.server, write=64 << 20))
    assert failed["job_status"] == "failed"
    assert "No space left on device" in failed["error"]
    assert "write_bytes" in failed["traceback"]
    assert full.server.predict().json()["model_version"] == good
    folder = full.models / failed["project"] / failed["job"]
    assert not (folder / "checkpoint").exists(), "it took the room that its end needs"
    assert (folder / "train_data.json").exists()
    assert small_disk.room() > 1 << 20
    assert full.ended(full.ledger.train(full.server))["job_status"] == "finished"
    full.check()


def test_a_job_whose_input_finds_no_room_fails_and_gives_it_back(
    full: Host, small_disk: SmallDisk
) -> None:
    good = full.server.predict().json()["model_version"]
    full.hold.touch()
    blocker = full.ledger.event(full.server, hold=full.hold, nothing=True)
    full.wait_for_fit(blocker)
    body = {
        "annotations": [{"id": 1, "filler": "x" * (4 << 20)}],
        "project": PROJECT,
        "label_config": CHOICES,
        "params": {"token": "never trained"},
    }
    job = answer(full.server, "/train", body)["job"]
    small_disk.fill(leave=2 << 20)
    full.hold.unlink()
    # No space is freed: the space that the job took is enough for its end.
    failed = full.ended(job)
    assert failed["job_status"] == "failed"
    assert "No space left on device" in failed["error"]
    assert not full.ledger.runs_of(job)
    assert full.server.predict().json()["model_version"] == good
    small_disk.free()
    assert full.ended(full.ledger.train(full.server))["job_status"] == "finished"


def test_a_result_that_does_not_fit_is_not_published(full: Host, small_disk: SmallDisk) -> None:
    good = full.server.predict().json()["model_version"]
    full.hold.touch()
    job = full.ledger.train(full.server, hold=full.hold, size=4 << 20)
    full.wait_for_fit(job)
    small_disk.fill(leave=2 << 20)
    full.hold.unlink()
    failed = full.ended(job)
    assert failed["job_status"] == "failed"
    assert "No space left on device" in failed["error"]
    assert full.server.predict().json()["model_version"] == good
    small_disk.free()
    assert full.ended(full.ledger.train(full.server))["job_status"] == "finished"
    full.check()


def test_the_end_of_a_job_is_written_when_there_is_room(full: Host, small_disk: SmallDisk) -> None:
    full.hold.touch()
    job = full.ledger.train(full.server, hold=full.hold)
    behind = full.ledger.event(full.server)
    full.wait_for_fit(job)
    small_disk.fill()
    full.hold.unlink()
    wait_for(
        lambda: "the end of the job cannot be written down yet" in full.server.log(),
        "the server finds no room",
    )
    assert full.server.predict().status_code == 200
    small_disk.free()
    assert full.ended(job)["ended_at"]
    assert full.ended(behind)["job_status"] == "finished"
    full.check()


def test_killed_while_the_end_cannot_be_written_it_is_decided_later(
    full: Host, small_disk: SmallDisk
) -> None:
    full.hold.touch()
    job = full.ledger.train(full.server, hold=full.hold)
    full.wait_for_fit(job)
    small_disk.fill()
    full.hold.unlink()
    wait_for(
        lambda: "the end of the job cannot be written down yet" in full.server.log(),
        "the server finds no room",
    )
    full.kill()
    small_disk.free()
    full.start()
    assert full.ended(job)["job_status"] == "finished"
    full.check()


def test_a_full_disk_at_the_start_only_stops_training(full: Host, small_disk: SmallDisk) -> None:
    waiting = full.ledger.train(full.server, seconds=1)
    full.kill()
    small_disk.fill()
    full.start()
    assert full.server.predict().status_code == 200
    small_disk.free()
    wait_for(lambda: "problems" not in answer(full.server, "/health"), "training goes on", 90)
    assert full.ended(waiting)["ended_at"]
    full.check()


def test_a_folder_that_takes_no_writing_only_stops_training(
    small_disk: SmallDisk, make_host: MakeHost
) -> None:
    host = make_host(model_dir=small_disk.models)
    host.start()
    good = host.ledger.train(host.server)
    host.ended(good)
    host.server.stop()
    small_disk.read_only(True)
    server = host.start()
    assert server.setup().json() == {"model_version": good}
    assert server.predict().status_code == 200
    problem = wait_for(lambda: server.get("/health").json().get("problems"), "it is said")
    assert "no training" in problem[0]
    assert "Read-only file system" in problem[0]
    for path in ("/train", "/webhook"):
        assert "Read-only file system" in ask_in_vain(server, path, 503)
    small_disk.read_only(False)
    wait_for(lambda: "problems" not in answer(server, "/health"), "training goes on", 90)
    assert host.ended(host.ledger.train(server))["job_status"] == "finished"
    host.check()
