"""A job is cancelled, or the disk fills up, between the end of `fit` and the publication of the version."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from backend import answer
from host import Host
from hosting import PROJECT, wait_for
from learner import acting
from small_disk import SmallDisk
from test_v2 import COUNTER, served, train

MakeHost = Callable[..., Host]

#: What this makes of "half" is refused by the constructor.
HALF = acting(
    """
if told.get("half"):
    pathlib.Path(workdir, "weights").write_text("")
"""
)


class Gate:
    """Holds a server up at a failpoint, the second time that it gets there."""

    def __init__(self, folder: Path, point: str) -> None:
        self._held, self._reached = folder / "held", folder / "held.reached"
        self._held.touch()
        self.failpoints = f"{point}=1*off->1*return({self._held})->off"

    def wait_reached(self) -> None:
        wait_for(self._reached.exists, "the server is where it is to be held up")

    def open(self) -> None:
        self._held.unlink()


def cancel_asked(host: Host, job: str | None) -> bool:
    """Tell whether the server has written down that a job is to be cancelled."""
    with contextlib.closing(sqlite3.connect(host.database)) as database:
        statement = "SELECT cancel_requested FROM jobs WHERE id = ?"
        (asked,) = database.execute(statement, [job]).fetchone()
    return bool(asked)


def cancel_at_the_gate(host: Host, gate: Gate, job: str | None) -> None:
    gate.wait_reached()
    with ThreadPoolExecutor(1) as clients:
        told = clients.submit(host.server.post, f"/jobs/{job}/cancel")
        wait_for(lambda: cancel_asked(host, job), "it is written down")
        gate.open()
        assert told.result().status_code == 200
    assert host.ended(job)["job_status"] == "cancelled"


@pytest.mark.parametrize("kind", ["train", "event"])
def test_a_job_cancelled_between_its_fit_and_its_version_makes_none(host: Host, kind: str) -> None:
    gate = Gate(host.root, "job-fitted")
    server = host.start(failpoints=gate.failpoints)
    good = host.ledger.train(server)
    assert host.ended(good)["model_version"] == good
    assert server.predict().json()["model_version"] == good
    job = host.ledger.ask(kind, server)
    cancel_at_the_gate(host, gate, job)
    assert len(host.ledger.runs_of(str(job))) == 1
    assert not (host.models / PROJECT / str(job) / "job_result.json").exists()
    assert server.predict().json()["model_version"] == good
    host.check()
    host.kill()
    host.start()
    assert host.server.setup().json() == {"model_version": good}, "also after a restart"
    host.check()


def test_a_job_cancelled_before_what_it_learned_is_brought_in_changes_no_version(
    make_host: MakeHost,
) -> None:
    host = make_host(COUNTER)
    gate = Gate(host.root, "job-fitted")
    server = host.start(failpoints=gate.failpoints)
    served(server)
    good = train(server, "one")
    host.ended(good)
    assert served(server) == ("one", "0.0.1+1")
    job = train(server, "two")
    cancel_at_the_gate(host, gate, job)
    assert server.setup().json() == {"model_version": "0.0.1+1"}
    assert host.job(job)["model_version"] is None


def test_a_job_that_is_published_cannot_be_cancelled_any_more(host: Host) -> None:
    gate = Gate(host.root, "job-publishing")
    server = host.start(failpoints=gate.failpoints)
    host.ended(host.ledger.train(server))
    job = host.ledger.train(server)
    gate.wait_reached()
    assert server.post(f"/jobs/{job}/cancel").status_code == 409
    gate.open()
    done = host.ended(job)
    assert (done["job_status"], done["model_version"]) == ("finished", job)
    assert server.predict().json()["model_version"] == job
    host.check()


def test_a_full_disk_takes_nothing_from_a_job_that_succeeded(
    small_disk: SmallDisk, make_host: MakeHost
) -> None:
    host = make_host(model_dir=small_disk.models)
    gate = Gate(host.root, "job-switched")
    server = host.start(failpoints=gate.failpoints)
    host.ended(host.ledger.train(server))
    job = host.ledger.train(server)
    gate.wait_reached()
    folder = host.models / PROJECT / str(job)
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert {"job_result.json", "weights", "train_data.json"} <= whole.keys()
    small_disk.fill()
    gate.open()
    refused = "the end of the job cannot be written down yet"
    wait_for(lambda: server.log().count(refused) >= 2, "the server finds no room, twice")
    assert server.predict().json()["model_version"] == job
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == whole
    assert "what this job wrote was removed" not in server.log()
    small_disk.free()
    done = host.ended(job)
    assert (done["job_status"], done["model_version"]) == ("finished", job)
    host.check()
    host.kill()
    host.start()
    assert host.server.setup().json() == {"model_version": job}
    host.check()


#: Ends the process instead, so that nobody can say that the version is to blame.
DEADLY = HALF.replace(
    "                assert weights",
    "                weights or os._exit(3)\n                assert weights",
)


@pytest.mark.parametrize("keep", [1, 2])
@pytest.mark.parametrize(
    ("source", "told"),
    [(HALF, "half a version"), (DEADLY, "loading it ended the worker")],
    ids=["raises", "ends its process"],
)
def test_a_version_that_cannot_be_loaded_takes_the_place_of_no_good_one(
    make_host: MakeHost, source: str, told: str, keep: int
) -> None:
    host = make_host(source)
    server = host.start("--keep-versions", str(keep))
    # The model is loaded now, so every version will be loaded too.
    assert server.predict().status_code == 200
    good = [host.ended(host.ledger.train(server))["job"] for _ in range(3)]
    kept = good[-keep:]
    assert answer(server, "/versions")["versions"] == kept[::-1]
    for _ in range(2):
        bad = host.ended(host.ledger.train(server, half=True))
        assert told in bad["error"]
        for version in kept:
            assert (host.models / PROJECT / version / "job_result.json").exists()
            assert (host.models / PROJECT / version / "weights").exists()
        assert server.predict().json()["model_version"] == good[-1]
    for version in kept:
        assert server.post(f"/versions/{version}/activate", {"project": PROJECT}).ok
        assert server.predict().json()["results"][0]["trained"]["job"] == version
    host.kill()
    server = host.start("--keep-versions", str(keep))
    assert server.setup().json() == {"model_version": good[-1]}
    trained = server.predict().json()["results"][0]["trained"]
    assert trained["job"] == good[-1]
