"""The checker itself: it must detect every kind of broken promise."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from host import Host


def change(host: Host, statement: str, job: str) -> None:
    with contextlib.closing(sqlite3.connect(host.database, isolation_level=None)) as database:
        assert database.execute(statement, [job]).rowcount == 1


def result_of(host: Host, job: str) -> Path:
    return next(path for _, version, path in host.ledger.results() if version == job)


def lose_the_job(host: Host, job: str) -> None:
    change(host, "DELETE FROM jobs WHERE id = ?", job)


def publish_again(host: Host, job: str) -> None:
    path = result_of(host, job)
    path.write_text(path.read_text())


def publish_what_failed(host: Host, job: str) -> None:
    change(
        host,
        "UPDATE jobs SET state = 'failed', error = 'x', version = NULL WHERE id = ?",
        job,
    )


def lose_the_version(host: Host, job: str) -> None:
    host.ledger._seen.clear()
    shutil.rmtree(result_of(host, job).parent)


def fail_without_a_reason(host: Host, job: str) -> None:
    lose_the_version(host, job)
    change(host, "UPDATE jobs SET state = 'failed', version = NULL WHERE id = ?", job)


def train_on_other_data(host: Host, job: str) -> None:
    host.ledger._seen.clear()
    path = result_of(host, job)
    result = json.loads(path.read_text())
    result["train_output"]["token"] = "token-0"
    path.write_text(json.dumps(result))


def tear_it(host: Host, job: str) -> None:
    (result_of(host, job).parent / "weights").write_text("")


def run_it_again(host: Host, job: str) -> None:
    with host.ledger.runs_file.open("a") as runs:
        runs.write(json.dumps({**host.ledger.runs_of(job)[0], "run": "later"}) + "\n")


def make_what_nobody_asked_for(host: Host, job: str) -> None:
    host.ledger.asked.clear()


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lose_the_job, "accepted and lost"),
        (publish_again, "published twice"),
        (publish_what_failed, "a version of a job that did not finish"),
        (lose_the_version, "finished, but there is no version"),
        (fail_without_a_reason, "without a reason"),
        (train_on_other_data, "trained on token-0"),
        (tear_it, "published before it was whole"),
        (run_it_again, "published, and trained again"),
        (make_what_nobody_asked_for, "nobody asked for these"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_broken_promise_is_seen(
    host: Host, break_it: Callable[[Host, str], None], said: str
) -> None:
    host.start()
    _, job = (str(host.ledger.train(host.server)) for _ in range(2))
    host.check()
    host.kill()
    break_it(host, job)
    host.start()
    with pytest.raises(AssertionError, match=said):
        host.check()


def test_a_process_that_was_left_behind_is_seen(host: Host) -> None:
    host.start()
    name, _, value = host.mark.partition("=")
    with subprocess.Popen(["sleep", "600"], env={name: value}) as left:
        try:
            assert host.strangers() == [left.pid]
        finally:
            left.kill()
    assert not host.strangers()


def test_something_left_in_the_staging_folder_is_seen(host: Host) -> None:
    host.start()
    host.ended(host.ledger.train(host.server))
    (host.models / ".label-studio-ml" / "staging" / "half").touch()
    with pytest.raises(AssertionError, match="staging"):
        host.check()
