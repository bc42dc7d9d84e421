"""The server is killed between any two steps of a training, and the next server continues."""

from __future__ import annotations

import pytest
from backend import answer
from host import EarlyServer, Host
from ledger import key

#: In the order in which a job passes them.
KILL_POINTS = [
    "job-queued",
    "job-claimed",
    "job-fitted",
    "job-publishing",
    "publish-synced",
    "write-staged",
    "write-renamed",
    "publish-renamed",
    "job-switched",
    "job-settled",
]
#: After these the version is in place.
PUBLISHED = KILL_POINTS[KILL_POINTS.index("write-renamed") :]

KINDS = pytest.mark.parametrize("kind", ["train", "event"])
POINTS = pytest.mark.parametrize("point", KILL_POINTS)


def check_everything_finished(host: Host) -> None:
    """All that was ever asked for became a version, and training goes on."""
    host.check()
    jobs = answer(host.server, "/jobs")["jobs"]
    assert {job["job_status"] for job in jobs} == {"finished"}, jobs
    assert host.ended(host.ledger.train(host.server))["job_status"] == "finished"
    host.check()


@POINTS
@KINDS
def test_a_job_is_done_although_the_server_is_killed(host: Host, point: str, kind: str) -> None:
    server = host.start(failpoints=f"{point}=return")
    job = host.ledger.ask(kind, server)
    # A job may be claimed, and the server killed, before the answer is sent.
    assert (job is None) == (point == "job-queued") or point == "job-claimed"
    host.died()
    host.ledger.look()
    host.start()
    assert host.server.predict().status_code == 200
    check_everything_finished(host)
    runs = len({run["run"] for run in host.ledger.runs() if run["token"] == "token-1"})
    again = point in ("job-fitted", "job-publishing", "publish-synced", "write-staged")
    assert runs == (2 if again else 1), "what is published is not trained again"


@POINTS
@KINDS
def test_jobs_behind_it_are_done_too(host: Host, point: str, kind: str) -> None:
    times = 3 if point == "job-queued" else 1
    server = host.start(failpoints=f"{point}={times}*off->return")
    host.hold.touch()
    blocker = host.ledger.train(server, hold=host.hold)
    host.wait_for_fit(blocker)
    host.ledger.ask(kind, server)
    host.ledger.ask(kind, server, key(3))
    last = host.ledger.ask(kind, server, key(4))
    assert (last is None) == (point == "job-queued")
    host.hold.unlink()
    host.died()
    host.ledger.look()
    host.start()
    assert host.server.predict().status_code == 200
    check_everything_finished(host)
    assert len(host.ledger.runs_of(str(blocker))) == (2 if point == "job-queued" else 1)


@POINTS
def test_a_new_version_is_served_or_the_one_before(host: Host, point: str) -> None:
    server = host.start(failpoints=f"{point}=1*off->return")
    first = host.ledger.train(server)
    assert host.ended(first)["model_version"] == first
    second = host.ledger.train(server)
    host.died()
    host.start()
    served = host.server.predict().json()
    if point in PUBLISHED:
        assert served["model_version"] == second
    elif second is not None:
        # The job is running again at this moment.
        assert served["model_version"] in (first, second)
    assert served["results"][0]["trained"]["job"] == served["model_version"]
    check_everything_finished(host)


@POINTS
def test_a_merged_event_is_trained_with_the_newest_payload(host: Host, point: str) -> None:
    times = 3 if point == "job-queued" else 1
    server = host.start(failpoints=f"{point}={times}*off->return")
    host.hold.touch()
    host.wait_for_fit(host.ledger.event(server, hold=host.hold))
    waiting = host.ledger.event(server)
    assert host.ledger.event(server) == waiting
    merged = host.ledger.event(server)
    assert merged == (None if point == "job-queued" else waiting)
    host.hold.unlink()
    host.died()
    host.start()
    check_everything_finished(host)


@pytest.mark.parametrize("point", KILL_POINTS[1:])
def test_killed_there_again_and_again_it_still_ends(host: Host, point: str) -> None:
    host.start(failpoints=f"{point}=return")
    job = host.ledger.train(host.server)
    host.died()
    deaths = 1
    while point not in PUBLISHED and deaths < 5:
        # The next server resumes the job by itself, and is killed by it.
        host.start(kind=EarlyServer, failpoints=f"{point}=return")
        host.died()
        deaths += 1
    host.start()
    assert host.ended(job)["attempts"] == 1, "a killed server is not the job's fault"
    check_everything_finished(host)
