"""Everything that `fit` may do to its process: training and predictions go on afterwards."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import pytest
from footprint import status_field
from host import Host
from hosting import wait_for
from learner import acting

MakeHost = Callable[..., Host]

WILD = acting(
    """
import ctypes, signal, sys, threading
do = told.get("do")
print("about to", do)
if do == "raise":
    raise ValueError("no such label")
if do == "exit":
    sys.exit(3)
if do == "_exit":
    os._exit(3)
if do == "abort":
    os.abort()
if do == "segfault":
    ctypes.string_at(0)
if do == "hang":
    time.sleep(600)
if do == "spin":
    while True:
        pass
if do == "interrupt itself":
    raise KeyboardInterrupt
if do == "deep":
    def deeper(): return deeper()
    deeper()
if do == "close":
    os.closerange(3, 256)
if do == "shout":
    block = (b"x" * 1023 + b"\\n") * 1024
    for _ in range(2048):
        os.write(1, block)
    print("the last line")
if do == "leave a thread":
    threading.Thread(target=time.sleep, args=(600,), daemon=False).start()
"""
)


@pytest.fixture
def wild(make_host: MakeHost) -> Host:
    """A server with one good version."""
    host = make_host(WILD)
    host.start()
    host.ended(host.ledger.train(host.server))
    return host


def check_it_goes_on(host: Host, good: str) -> None:
    assert host.server.predict().json()["model_version"] == good
    assert host.ended(host.ledger.train(host.server))["job_status"] == "finished"
    host.check()
    host.kill()
    host.start()
    host.check()


@pytest.mark.parametrize(
    ("do", "error", "attempts"),
    [
        ("raise", "ValueError: no such label", 1),
        ("exit", "SystemExit: 3", 1),
        ("interrupt itself", "KeyboardInterrupt", 1),
        ("deep", "RecursionError: maximum recursion depth exceeded", 1),
        ("_exit", "the training worker exited with status 3", 2),
        ("abort", "the training worker was killed by signal 6 (SIGABRT)", 2),
        ("segfault", "the training worker was killed by signal 11 (SIGSEGV)", 2),
        ("close", "the training worker ", 2),
    ],
)
@pytest.mark.parametrize("kind", ["train", "event"])
def test_a_failure_is_told_and_the_old_version_stays(
    wild: Host, kind: str, do: str, error: str, attempts: int
) -> None:
    good = wild.server.predict().json()["model_version"]
    failed = wild.ended(wild.ledger.ask(kind, wild.server, do=do))
    assert (failed["job_status"], failed["attempts"]) == ("failed", attempts)
    assert failed["error"].startswith(error), failed["error"]
    if attempts == 1:
        assert "in act" in failed["traceback"]
    log = wild.server.get(f"/jobs/{failed['job']}/log").text
    assert f"about to {do}" in log
    if do == "segfault":
        assert "Segmentation fault" in log
        assert "in act" in log
    check_it_goes_on(wild, good)


@pytest.mark.parametrize("do", ["hang", "spin"])
def test_a_fit_that_never_ends_is_cancelled(wild: Host, do: str) -> None:
    good = wild.server.predict().json()["model_version"]
    job = wild.ledger.train(wild.server, do=do)
    wild.wait_for_fit(job)
    wild.kill()
    wild.start()
    wild.wait_for_fit(job, times=2)
    cancelled = wild.server.post(f"/jobs/{job}/cancel").json()
    assert cancelled["job_status"] == "cancelled"
    check_it_goes_on(wild, good)


def test_a_thread_that_never_ends_does_not_keep_the_job(wild: Host) -> None:
    done = wild.ended(wild.ledger.train(wild.server, do="leave a thread"))
    assert done["job_status"] == "finished"
    check_it_goes_on(wild, done["job"])


@pytest.mark.parametrize(
    ("returned", "error"),
    [
        ("{'a': {1, 2}}", "TypeError: result.a: set"),
        ("{'a': object()}", "TypeError: result.a: object"),
        ("{'a': b'bytes'}", "TypeError: result.a: bytes"),
    ],
)
def test_a_result_that_is_no_json_fails_the_job(
    make_host: MakeHost, returned: str, error: str
) -> None:
    source = acting("self.returned = " + returned if returned else "").replace(
        '                "filler"', '                **self.returned,\n                "filler"'
    )
    host = make_host(source)
    host.start()
    failed = host.ended(host.ledger.train(host.server))
    assert failed["job_status"] == "failed"
    assert error.rpartition(": ")[2] in failed["error"], failed["error"]
    assert "a" in failed["error"]
    host.check()


def test_nothing_returned_is_no_version_of_an_event(wild: Host) -> None:
    good = wild.server.predict().json()["model_version"]
    done = wild.ended(wild.ledger.event(wild.server, nothing=True))
    assert (done["job_status"], done["model_version"]) == ("finished", None)
    assert wild.server.predict().json()["model_version"] == good
    of_train = wild.ended(wild.ledger.train(wild.server, nothing=True))
    assert of_train["model_version"] == of_train["job"], "as in the original"
    wild.check()


def test_a_result_of_fifty_mebibytes_is_kept(wild: Host) -> None:
    done = wild.ended(wild.ledger.train(wild.server, size=50 << 20), 120)
    assert done["job_status"] == "finished"
    path = wild.models / done["project"] / done["job"] / "job_result.json"
    assert path.stat().st_size > 50 << 20
    assert wild.server.setup().json() == {"model_version": done["job"]}
    assert wild.ended(wild.ledger.train(wild.server))["job_status"] == "finished"


@pytest.mark.timeout(1200)
def test_two_gigabytes_of_output_harm_nobody(wild: Host) -> None:
    server = wild.server
    before = status_field(server.process.pid, "VmRSS")
    good = server.predict().json()["model_version"]
    began = time.monotonic()
    job = wild.ledger.train(server, do="shout")
    wild.wait_for_fit(job)
    answered = 0
    while not wild.job(job)["ended_at"]:
        assert time.monotonic() - began < 1000
        assert server.predict().json()["model_version"] in (good, job)
        answered += 1
    assert answered > 10
    log = server.get(f"/jobs/{job}/log").text
    assert len(log) <= 64 << 10
    assert log.endswith("x\nthe last line\n")
    grown = status_field(server.process.pid, "VmRSS") - before
    assert grown < 64 << 10, f"the server has grown by {grown} KiB"
    server.wait_logged("lines of output left out")
    wild.check()


def test_a_signal_to_the_training_worker_is_a_death_like_others(wild: Host) -> None:
    wild.hold.touch()
    job = wild.ledger.train(wild.server, hold=wild.hold)
    os.kill(wild.wait_for_fit(job), signal.SIGTERM)
    wild.wait_for_fit(job, times=2)
    wild.hold.unlink()
    assert wild.ended(job)["job_status"] == "finished"
    wait_for(lambda: wild.server.predict().status_code == 200, "predictions go on")
    wild.check()
