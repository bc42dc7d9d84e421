"""Models of API v2 whose workers end, or start slowly, while a new version is rolled out."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hosting import wait_for
from test_v2 import COUNTER, MakeHost, served, train

#: Before it serves what it has learned, a worker does what files beside it say.
TROUBLED = COUNTER.replace(
    'LEARNED = FILE.read_text() if FILE.exists() else "nothing"',
    """LEARNED = FILE.read_text() if FILE.exists() else "nothing"
    DEATHS = FILE.with_name("deaths")
    if FILE.exists() and DEATHS.exists():
        left = int(DEATHS.read_text())
        if left:
            DEATHS.write_text(str(left - 1))
            os.kill(os.getpid(), 9)
""",
)

#: Reads what it learned when it first predicts; what has learned is imported when a file is gone.
LATE = """
    import os, pathlib, time
    from label_studio_ml.model import LabelStudioMLBase

    FILE = pathlib.Path(os.environ.get("MODEL_DIR", "."), "learned.txt")
    while FILE.exists() and FILE.with_name("hold").exists():
        time.sleep(0.01)
    LEARNED = None

    class Late(LabelStudioMLBase):
        def predict(self, tasks, context=None, **kwargs):
            global LEARNED
            if LEARNED is None:
                LEARNED = FILE.read_text() if FILE.exists() else "nothing"
            return [{"result": [], "learned": LEARNED} for _ in tasks]

        def fit(self, event, data, **kwargs):
            FILE.write_text(data["token"])
"""


@pytest.mark.parametrize("rollout", ["start-first", "stop-first"])
def test_a_new_worker_that_is_killed_is_started_again(make_host: MakeHost, rollout: str) -> None:
    host = make_host(TROUBLED)
    server = host.start("--workers", "1", "--rollout", rollout)
    assert served(server) == ("nothing", "0.0.1")
    (host.models / "deaths").write_text("2")
    job = train(server, "one")
    record = host.ended(job)
    assert (record["job_status"], record["error"]) == ("finished", None)
    assert served(server) == ("one", "0.0.1+1")


@pytest.mark.parametrize("rollout", ["start-first", "stop-first"])
def test_new_workers_that_always_die_leave_the_version(make_host: MakeHost, rollout: str) -> None:
    host = make_host(TROUBLED)
    server = host.start("--workers", "1", "--rollout", rollout)
    assert served(server) == ("nothing", "0.0.1")
    (host.models / "deaths").write_text("3")
    record = host.ended(train(server, "one"))
    assert record["model_version"] is None
    assert "was killed by signal 9" in record["error"]
    assert served(server)[1] == "0.0.1"
    assert server.get("/health").json()["problems"]
    host.ended(train(server, "two"))
    assert served(server)[0] == "two"


def test_a_worker_that_reads_late_does_not_serve_the_next_version_early(
    make_host: MakeHost,
) -> None:
    host = make_host(LATE)
    server = host.start("--workers", "1")
    before = server.setup().json()["model_version"]
    (host.models / "hold").touch()
    job = train(server, "one")
    # The worker, the training worker, and the next worker, which starts slowly.
    wait_for(lambda: len(server.workers()) == 3, "the version is rolled out")
    assert (host.models / "learned.txt").exists()
    assert server.setup().json()["model_version"] == before
    with ThreadPoolExecutor(1) as clients:
        asked = clients.submit(server.first)
        (host.models / "hold").unlink()
        said = asked.result()
    assert (said["learned"], said["model_version"]) == ("one", "0.0.1+1")
    host.ended(job)


def test_who_waits_is_told_when_no_worker_can_come(make_host: MakeHost, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    trouble = f"""if os.path.exists({str(broken)!r}):
        time.sleep(1)
        raise RuntimeError("no weights")

    class Counter"""
    host = make_host(COUNTER.replace("class Counter", trouble))
    server = host.start("--workers", "1")
    served(server)
    broken.touch()
    (pid,) = server.workers()
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not server.get("/health").json()["workers"]["ready"], "its death is noted")
    answer = server.predict([{}])
    assert answer.status_code == 503, answer.text
    assert "no weights" in answer.text
    assert answer.elapsed.total_seconds() < 60
    broken.unlink()
    wait_for(lambda: server.predict([{}]).status_code == 200, "it serves again")
