"""kill -9 of the server, of the training worker, and of both; and a server that is asked to stop."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from host import Host
from hosting import is_running, wait_for
from learner import acting
from ledger import key

MakeHost = Callable[..., Host]


@pytest.mark.parametrize("kind", ["train", "event"])
def test_a_running_job_survives_the_server(host: Host, kind: str) -> None:
    host.start()
    host.hold.touch()
    job = host.ledger.ask(kind, host.server, hold=host.hold)
    worker = host.wait_for_fit(job)
    host.kill()
    wait_for(lambda: not is_running(worker), "the training worker is gone", 5)
    host.start()
    host.wait_for_fit(job, times=2)
    assert host.job(job)["job_status"] == "started"
    host.hold.unlink()
    done = host.ended(job)
    assert (done["job_status"], done["attempts"]) == ("finished", 1)
    host.check()


def test_waiting_jobs_survive_the_server_in_their_order(host: Host) -> None:
    host.start()
    host.hold.touch()
    host.wait_for_fit(host.ledger.train(host.server, hold=host.hold))
    jobs = [host.ledger.train(host.server) for _ in range(5)]
    other = host.ledger.event(host.server, key(3))
    host.kill()
    host.hold.unlink()
    host.start()
    host.check()
    order = [run["job"] for run in host.ledger.runs()]
    assert [job for job in order if job in jobs] == jobs
    assert other in order
    assert {host.job(job)["job_status"] for job in [*jobs, other]} == {"finished"}


def test_a_server_killed_ten_times_over_one_job_goes_on_with_it(host: Host) -> None:
    host.start()
    host.hold.touch()
    job = host.ledger.train(host.server, hold=host.hold)
    for times in range(1, 11):
        host.wait_for_fit(job, times)
        host.kill()
        host.start()
    host.wait_for_fit(job, times=11)
    host.hold.unlink()
    assert host.ended(job)["job_status"] == "finished"
    host.check()


def test_a_job_that_takes_the_server_down_is_given_up_in_the_end(host: Host) -> None:
    host.start()
    host.hold.touch()
    job = host.ledger.train(host.server, hold=host.hold)
    behind = host.ledger.train(host.server)
    for times in range(1, 12):
        host.wait_for_fit(job, times)
        host.kill()
        host.start()
    lost = host.ended(job)
    assert lost["job_status"] == "failed"
    assert "the server was killed 11 times while this job ran" in lost["error"]
    assert host.ended(behind)["job_status"] == "finished"
    host.check()


@pytest.mark.parametrize("kind", ["train", "event"])
def test_a_killed_training_worker_is_replaced_once(host: Host, kind: str) -> None:
    host.start()
    host.hold.touch()
    job = host.ledger.ask(kind, host.server, hold=host.hold)
    os.kill(host.wait_for_fit(job), signal.SIGKILL)
    host.wait_for_fit(job, times=2)
    assert host.server.predict().status_code == 200
    host.hold.unlink()
    done = host.ended(job)
    assert (done["job_status"], done["attempts"], done["error"]) == ("finished", 2, None)
    host.check()


@pytest.mark.parametrize("kind", ["train", "event"])
def test_a_training_worker_killed_twice_ends_the_job_and_says_so(host: Host, kind: str) -> None:
    host.start()
    host.hold.touch()
    job = host.ledger.ask(kind, host.server, hold=host.hold)
    for times in (1, 2):
        os.kill(host.wait_for_fit(job, times), signal.SIGKILL)
    failed = host.ended(job)
    assert (failed["job_status"], failed["attempts"]) == ("failed", 2)
    assert "killed by signal 9" in failed["error"]
    host.hold.unlink()
    assert host.ended(host.ledger.ask(kind, host.server))["job_status"] == "finished"
    host.check()


def test_deaths_of_the_worker_count_across_servers(host: Host) -> None:
    host.start()
    host.hold.touch()
    job = host.ledger.train(host.server, hold=host.hold)
    os.kill(host.wait_for_fit(job), signal.SIGKILL)
    host.wait_for_fit(job, times=2)
    host.kill()
    host.start()
    os.kill(host.wait_for_fit(job, times=3), signal.SIGKILL)
    assert host.ended(job)["job_status"] == "failed"
    host.check()


def test_a_worker_that_does_not_end_by_itself_is_ended_by_the_next_server(host: Host) -> None:
    host.start()
    host.hold.touch()
    job = host.ledger.train(host.server, hold=host.hold)
    host.wait_for_fit(job)
    host.kill()
    host.hold.unlink()
    # Workers always end, so another process stands in for one that did not.
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as worker:
        fields = Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        with contextlib.closing(sqlite3.connect(host.database, isolation_level=None)) as database:
            name = f"{boot}/{worker.pid}/{fields[19]}"
            database.execute("UPDATE jobs SET worker = ? WHERE state = 'running'", [name])
        host.start()
        assert host.ended(job)["job_status"] == "finished"
        assert worker.wait(0) == -signal.SIGKILL
    host.server.wait_logged("a training worker of the server before still runs and is ended")
    host.check()


def test_children_of_a_model_do_not_outlive_a_killed_server(host: Host) -> None:
    host.start()
    host.hold.touch()
    job = host.ledger.train(host.server, hold=host.hold)
    worker = host.wait_for_fit(job)
    assert os.getpgid(worker) == worker, "it leads a group of its own"
    host.kill()
    host.check_processes()
    host.hold.unlink()
    host.start()
    host.check()


STUBBORN = acting(
    """
while told.get("stubborn"):
    try:
        time.sleep(600)
    except KeyboardInterrupt:
        pathlib.Path(told["stubborn"]).unlink(missing_ok=True)
"""
)


def test_a_job_cancelled_before_the_kill_is_not_begun_again(make_host: MakeHost) -> None:
    host = make_host(STUBBORN)
    host.start()
    host.hold.touch()
    job = host.ledger.train(host.server, stubborn=host.hold)
    host.wait_for_fit(job)

    def cancel() -> None:
        with contextlib.suppress(requests.ConnectionError):
            requests.post(f"{host.server.url}/jobs/{job}/cancel", timeout=30)

    asking = threading.Thread(target=cancel)
    asking.start()
    wait_for(lambda: not host.hold.exists(), "fit hears of it")
    host.kill()
    asking.join()
    host.start()
    assert host.ended(job)["job_status"] == "cancelled"
    assert len(host.ledger.runs_of(str(job))) == 1
    host.check()


def test_a_stop_gives_the_running_job_back(host: Host) -> None:
    host.start()
    host.hold.touch()
    job = host.ledger.train(host.server, hold=host.hold)
    waiting = host.ledger.event(host.server)
    host.wait_for_fit(job)
    assert host.server.stop() == 0
    host.check_processes()
    host.start()
    host.wait_for_fit(job, times=2)
    assert (host.job(job)["job_status"], host.job(job)["attempts"]) == ("started", 1)
    host.hold.unlink()
    assert host.ended(waiting)["job_status"] == "finished"
    assert (host.job(job)["job_status"], host.job(job)["attempts"]) == ("finished", 1)
    host.check()


def test_a_stop_with_time_to_drain_lets_the_job_end(host: Host) -> None:
    host.start("--train-drain-timeout", "30")
    host.hold.touch()
    job = host.ledger.train(host.server, hold=host.hold)
    waiting = host.ledger.train(host.server)
    host.wait_for_fit(job)
    host.server.process.send_signal(signal.SIGTERM)
    wait_for(lambda: "SIGTERM: stopping" in host.server.log(), "the stop begins")
    host.hold.unlink()
    assert host.server.process.wait(30) == 0
    host.server.session.close()
    assert [run["job"] for run in host.ledger.runs()] == [job]
    assert [version for _, version, _ in host.ledger.results()] == [job]
    host.start()
    assert host.ended(waiting)["job_status"] == "finished"
    assert (host.job(job)["job_status"], host.job(job)["model_version"]) == ("finished", job)
    host.check()


def test_a_second_stop_does_not_wait_and_loses_nothing(host: Host) -> None:
    host.start("--train-drain-timeout", "600")
    host.hold.touch()
    job = host.ledger.train(host.server, hold=host.hold)
    host.wait_for_fit(job)
    host.server.process.send_signal(signal.SIGTERM)
    wait_for(lambda: "SIGTERM: stopping" in host.server.log(), "the stop begins")
    assert host.server.stop() == 130
    host.check_processes()
    host.hold.unlink()
    host.start()
    assert host.ended(job)["job_status"] == "finished"
    host.check()
