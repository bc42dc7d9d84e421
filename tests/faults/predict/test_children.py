"""Processes that a model starts live at most as long as its worker."""

from __future__ import annotations

import pytest
from backend import Backend
from footprint import processes_with
from hosting import wait_for

SLEEP = "subprocess.Popen(['sleep', '600'])"
FORK = "os.fork() or (time.sleep(600), os._exit(0))"
NEW_SESSION = "subprocess.Popen(['sleep', '600'], start_new_session=True)"
DAEMON = """
if not os.fork():
    os.setsid()
    if os.fork(): os._exit(0)
    time.sleep(600)
    os._exit(0)
os.wait()
"""
DEAF = "subprocess.Popen(['sh', '-c', 'trap \"\" TERM INT HUP; sleep 600 & wait'])"
CHILDREN = {
    "a subprocess": SLEEP,
    "a fork": FORK,
    "a subprocess in a session of its own": NEW_SESSION,
    "a daemon, by double fork": DAEMON,
    "one that ignores signals": DEAF,
    "a process group of its own": "subprocess.Popen(['sleep', '600'], preexec_fn=os.setpgrp)",
}


@pytest.mark.parametrize("what", CHILDREN)
def test_a_child_ends_with_its_dead_worker(backend: Backend, what: str) -> None:
    before = set(processes_with(backend.mark_bytes()))
    answer = backend.do(f"{CHILDREN[what]}\nos._exit(3)")
    assert answer.status_code == 502, answer.text
    backend.check_answer()
    now = set(processes_with(backend.mark_bytes()))
    assert len(now - before) <= 1, "the new worker is the only new process"


@pytest.mark.parametrize("what", CHILDREN)
def test_a_child_of_a_living_worker_costs_no_answer_and_ends_with_the_server(
    changed: Backend, what: str
) -> None:
    before = len(processes_with(changed.mark_bytes()))
    assert changed.do(CHILDREN[what]).status_code == 200
    marked = changed.mark_bytes()
    wait_for(lambda: len(processes_with(marked)) > before, "the child runs")
    changed.check_answer()
    changed.end()


@pytest.mark.parametrize("what", CHILDREN)
def test_a_child_ends_with_its_killed_server(changed: Backend, what: str) -> None:
    before = len(processes_with(changed.mark_bytes()))
    assert changed.do(CHILDREN[what]).status_code == 200
    marked = changed.mark_bytes()
    wait_for(lambda: len(processes_with(marked)) > before, "the child runs")
    changed.kill()
    wait_for(lambda: not processes_with(marked), "all processes are gone", 10)
