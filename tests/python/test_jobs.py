"""Training jobs over HTTP: status, log, progress, cancelling, waiting, going back to an older version."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from typing import Any

from hosting import CHOICES, ECHO, PROJECT, Server, is_running, wait_for

Serve = Callable[..., Server]

#: A model whose `fit` does what the `params` of /train say.
OBEDIENT = """
    import os, sys, time
    import label_studio_ml
    from label_studio_ml.model import LabelStudioMLBase

    class Obedient(LabelStudioMLBase):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            assert not self.train_output.get("unloadable"), "this one cannot be loaded"

        def predict(self, tasks, **kwargs):
            return [{"result": [], "trained": self.train_output} for _ in tasks]

        def fit(self, tasks, workdir=None, do="", **kwargs):
            print("fit begins", do)
            if do == "raise":
                raise ValueError("no such label")
            if do == "die":
                os._exit(3)
            if do == "die once" and not os.path.exists(os.environ["MODEL_DIR"] + "/died"):
                open(os.environ["MODEL_DIR"] + "/died", "w").close()
                os._exit(3)
            if do == "sleep":
                try:
                    print("asleep")
                    time.sleep(600)
                finally:
                    print("woken")
            if do == "stubborn":
                while True:
                    try:
                        print("stubborn")
                        time.sleep(600)
                    except KeyboardInterrupt:
                        print("no")
            if do == "report":
                label_studio_ml.progress(0.25, "epoch 1", loss=0.5)
                while not os.path.exists(os.environ["MODEL_DIR"] + "/go"):
                    time.sleep(0.01)
                label_studio_ml.progress(2, "epoch 2", loss=0.25)
            return {"do": do, "pid": os.getpid(), "unloadable": do == "unloadable"}
"""


def train(server: Server, do: str, **headers: str) -> dict[str, Any]:
    body = {
        "annotations": [{"id": 1}],
        "project": PROJECT,
        "label_config": CHOICES,
        "params": {"do": do},
    }
    answer = server.post("/train", body, headers=headers)
    assert answer.status_code == 201, answer.text
    accepted: dict[str, Any] = answer.json()
    return accepted


def job(server: Server, number: str) -> dict[str, Any]:
    answer = server.get(f"/jobs/{number}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def log_of(server: Server, number: str) -> str:
    text: str = server.get(f"/jobs/{number}/log").text
    return text


def ended(server: Server, number: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        now = job(server, number)
        return now if now["ended_at"] else None

    found: dict[str, Any] = wait_for(look, f"job {number} ends")
    return found


def test_a_client_may_wait_for_the_end(serve: Serve) -> None:
    server = serve(OBEDIENT)
    server.setup()
    accepted = server.post(
        "/train",
        {"annotations": [{}], "project": PROJECT, "params": {"do": "x"}},
        headers={"Prefer": "respond-async, wait=100"},
    )
    assert accepted.headers["Preference-Applied"] == "wait=100"
    body = accepted.json()
    assert accepted.status_code == 201
    assert body["status"] == body["job_status"] == "finished"
    assert body["job"] == body["job_id"] == body["model_version"]
    assert server.predict().json()["model_version"] == body["job"]
    failed = train(server, "raise", Prefer="wait=100")
    assert (failed["status"], failed["error"]) == ("failed", "ValueError: no such label")
    assert failed["traceback"].endswith("ValueError: no such label")
    assert "in fit" in failed["traceback"]
    slow = train(server, "sleep", Prefer="wait=1")
    assert slow["status"] == "started"
    assert slow["ended_at"] is None


def test_the_status_has_what_clients_of_the_original_read(serve: Serve) -> None:
    server = serve(OBEDIENT)
    done = train(server, "x", Prefer="wait=100")["job"]
    for given in (done, int(done)):
        status = server.post("/job_status", {"job": given}).json()
        assert set(status) == {
            "job_status",
            "error",
            "created_at",
            "enqueued_at",
            "started_at",
            "ended_at",
            "result",
        }
        assert status["job_status"] == "finished"
        assert status["result"]["train_output"]["do"] == "x"
        assert status["result"]["job_id"] == done
    times = [status[name] for name in ("created_at", "enqueued_at", "started_at", "ended_at")]
    assert times == sorted(times)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", times[0])
    failed = train(server, "raise", Prefer="wait=100")["job"]
    status = server.post("/job_status", {"job": failed}).json()
    assert status["job_status"] == "failed"
    assert "ValueError: no such label" in status["error"]
    assert status["result"] is None


def test_what_is_no_job_is_said(serve: Serve) -> None:
    server = serve(ECHO)
    assert server.get("/jobs").json() == {"jobs": []}
    for path in ("/jobs/1", "/jobs/x", "/jobs/1/log", "/jobs/-1"):
        assert server.get(path).status_code == 404, path
    assert server.post("/jobs/1/cancel").status_code == 404
    assert server.post("/job_status", {"job": "1"}).status_code == 404
    for bad in ({}, {"job": None}, {"job": []}):
        answer = server.post("/job_status", bad)
        assert answer.status_code == 422
        assert "`job`" in answer.json()["detail"]
    assert server.get("/jobs?limit=0").status_code == 422


def test_jobs_are_listed_newest_first(serve: Serve) -> None:
    server = serve(OBEDIENT)
    first = train(server, "a", Prefer="wait=100")["job"]
    second = train(server, "raise", Prefer="wait=100")["job"]
    listed = server.get("/jobs", params={"project": PROJECT}).json()["jobs"]
    assert [(one["job"], one["job_status"]) for one in listed] == [
        (second, "failed"),
        (first, "finished"),
    ]
    assert server.get("/jobs?project=other").json() == {"jobs": []}
    assert len(server.get("/jobs?limit=1").json()["jobs"]) == 1


def test_the_log_of_a_job_is_kept(serve: Serve) -> None:
    server = serve(OBEDIENT)
    number = train(server, "raise", Prefer="wait=100")["job"]
    log = server.get(f"/jobs/{number}/log")
    assert log.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert "fit begins raise\n" in log.text
    server.stop()
    again = serve(server.project)
    assert again.get(f"/jobs/{number}/log").text == log.text
    assert job(again, number)["error"] == "ValueError: no such label"


def test_progress_is_seen_while_training_runs(serve: Serve) -> None:
    server = serve(OBEDIENT)
    number = train(server, "report")["job"]
    seen = wait_for(lambda: job(server, number)["progress"], "progress is reported")
    assert seen == {"fraction": 0.25, "message": "epoch 1", "metrics": {"loss": 0.5}}
    assert server.get(f"/jobs/{number}/log").text == "fit begins report\n"
    wait_for(
        lambda: "training project 2: 25 %, epoch 1, loss 0.5000" in server.log(), "it is logged"
    )
    (server.models / "go").touch()
    assert ended(server, number)["progress"]["fraction"] == 1


def test_bars_of_tqdm_are_recognised(serve: Serve) -> None:
    source = """
        import os, subprocess, sys, time
        from tqdm import tqdm
        from label_studio_ml.model import LabelStudioMLBase
        BAR = (
            "import time; from tqdm import tqdm\\n"
            "for _ in tqdm(range(8), desc='in a child', mininterval=0): time.sleep(0.3)"
        )
        def wait_seen(number):
            end = time.monotonic() + 60
            while not os.path.exists(os.environ["MODEL_DIR"] + f"/seen {number}"):
                assert time.monotonic() < end
                time.sleep(0.01)
        class Bars(LabelStudioMLBase):
            def predict(self, tasks, **kwargs):
                return []
            def fit(self, tasks, workdir=None, **kwargs):
                for number in tqdm(range(4), desc="epochs", mininterval=0):
                    if number == 2:
                        wait_seen(2)
                    # Of steps in quick succession not all are reported.
                    time.sleep(0.5)
                wait_seen(4)
                subprocess.run([sys.executable, "-c", BAR], check=True)
                return {}
    """
    server = serve(source)
    number = train(server, "")["job"]
    seen: set[str] = set()

    def all_seen() -> bool:
        now = job(server, number)
        if now["progress"]:
            seen.add(message := now["progress"]["message"])
            for done in (2, 4):
                if message == f"epochs: {done} of 4 steps":
                    (server.models / f"seen {done}").touch()
        return bool(now["ended_at"])

    wait_for(all_seen, "training ends")
    assert {"epochs: 2 of 4 steps", "epochs: 4 of 4 steps"} <= seen
    assert len([text for text in seen if text.startswith("in a child: ")]) >= 3
    log = server.get(f"/jobs/{number}/log").text
    assert "epochs: 100%" in log
    assert "epochs:  25%" not in log


def test_progress_outside_of_fit_does_nothing(serve: Serve) -> None:
    source = ECHO.replace(
        "            return [\n",
        "            import label_studio_ml\n"
        "            label_studio_ml.progress(0.5, 'predicting')\n"
        "            return [\n",
    )
    server = serve(source)
    assert server.predict().status_code == 200
    assert "predicting" not in server.log()


def test_a_waiting_job_is_cancelled(serve: Serve) -> None:
    server = serve(OBEDIENT)
    running = train(server, "sleep")["job"]
    waiting = train(server, "x")["job"]
    cancelled = server.post(f"/jobs/{waiting}/cancel")
    assert cancelled.status_code == 200
    assert cancelled.json()["job_status"] == "cancelled"
    assert server.post(f"/jobs/{waiting}/cancel").status_code == 409
    assert job(server, running)["job_status"] == "started"


def test_a_running_job_is_interrupted(serve: Serve) -> None:
    server = serve(OBEDIENT)
    took = []
    for _ in range(3):
        number = train(server, "sleep")["job"]
        wait_for(lambda number=number: "asleep\n" in log_of(server, number), "fit runs")
        began = time.monotonic()
        assert server.post(f"/jobs/{number}/cancel").status_code == 200
        assert ended(server, number)["job_status"] == "cancelled"
        took.append(time.monotonic() - began)
        assert "woken\n" in log_of(server, number)
    # It ends by itself long before its deadline; other programs may delay some, but not all.
    assert min(took) < 5
    after = train(server, "x", Prefer="wait=100")
    assert after["status"] == "finished"


def test_a_stubborn_job_is_killed(serve: Serve) -> None:
    server = serve(OBEDIENT)
    number = train(server, "stubborn")["job"]
    # An interrupt would end it before that.
    wait_for(lambda: "stubborn\nstubborn\n" in log_of(server, number), "fit is where it bears it")
    pids = server.workers()
    assert server.post(f"/jobs/{number}/cancel").status_code == 200
    assert ended(server, number)["job_status"] == "cancelled"
    assert "no\n" in log_of(server, number)
    wait_for(lambda: sum(is_running(pid) for pid in pids) == 1, "its worker is gone")
    assert server.predict().json()["model_version"] == "INITIAL"


def test_a_dead_worker_is_tried_again_once(serve: Serve) -> None:
    server = serve(OBEDIENT)
    again = train(server, "die once", Prefer="wait=100")
    assert (again["status"], again["attempts"], again["error"]) == ("finished", 2, None)
    lost = train(server, "die", Prefer="wait=100")
    assert (lost["status"], lost["attempts"]) == ("failed", 2)
    assert lost["error"] == "the training worker exited with status 3"
    assert server.predict().json()["model_version"] == again["job"]


def test_jobs_in_a_row_share_a_worker(serve: Serve) -> None:
    server = serve(OBEDIENT)
    pids = set()
    for _ in range(3):
        version = train(server, "x", Prefer="wait=100")["job"]
        pids.add(server.first()["trained"]["pid"])
    assert len(pids) == 1
    train(server, "raise", Prefer="wait=100")
    train(server, "x", Prefer="wait=100")
    pids.add(server.first()["trained"]["pid"])
    assert len(pids) == 2, "after an error a new one is used"
    assert version


def test_going_back_to_a_version(serve: Serve) -> None:
    server = serve(OBEDIENT)
    server.setup()
    first, second = (train(server, do, Prefer="wait=100")["job"] for do in "ab")
    back = server.post(f"/versions/{first}/activate", {"project": PROJECT})
    assert (back.status_code, back.json()) == (200, {"project": PROJECT, "model_version": first})
    assert server.first()["trained"]["do"] == "a"
    assert server.setup().json() == {"model_version": first}
    server.stop()
    again = serve(server.project)
    assert again.setup().json() == {"model_version": first}, "also after a restart"
    assert again.post(f"/versions/{second}/activate").status_code == 200, "without a body"
    assert again.first()["trained"]["do"] == "b"
    third = train(again, "c", Prefer="wait=100")["job"]
    assert again.setup().json() == {"model_version": third}
    assert again.get("/versions").json()["versions"] == [third, second, first]


def test_going_back_to_what_cannot_be_served(serve: Serve) -> None:
    server = serve(OBEDIENT)
    # The model is loaded now, so every version will be loaded too.
    assert server.predict().status_code == 200
    good = train(server, "a", Prefer="wait=100")["job"]
    bad = train(server, "unloadable", Prefer="wait=100")
    assert bad["status"] == "finished"
    assert "cannot be loaded, so the version before is served: AssertionError" in bad["error"]
    refused = server.post(f"/versions/{bad['job']}/activate", {"project": PROJECT})
    assert refused.status_code == 409
    assert "this one cannot be loaded" in refused.json()["detail"]
    for path in ("/versions/1/activate", "/versions/x/activate"):
        assert server.post(path, {"project": PROJECT}).status_code == 404
        assert server.post(path).status_code == 404
    assert server.first()["trained"]["do"] == "a"
    assert server.setup().json() == {"model_version": good}


def test_old_versions_are_removed(serve: Serve) -> None:
    server = serve(OBEDIENT, "--keep-versions", "2")
    server.setup()
    versions = [train(server, "x", Prefer="wait=100")["job"] for _ in range(4)]
    kept = server.get("/versions").json()["versions"]
    assert kept == versions[:1:-1]
    folders = sorted(path.name for path in (server.models / PROJECT).iterdir())
    assert folders == versions[2:]
    assert job(server, versions[0])["job_status"] == "finished"


def test_a_second_server_waits_for_the_folder(serve: Serve) -> None:
    first = serve(OBEDIENT)
    first.setup()
    version = train(first, "a", Prefer="wait=100")["job"]
    second = serve(first.project, "--lock-wait", "600")
    assert second.setup().json() == {"model_version": version}
    assert second.predict().status_code == 200
    problem = wait_for(lambda: second.get("/health").json().get("problems"), "it is said")
    assert problem == ["another server owns the model folder: no training here"]
    refused: list[int] = []
    thread = threading.Thread(
        target=lambda: refused.append(second.train().status_code), daemon=True
    )
    thread.start()
    newer = train(first, "b", Prefer="wait=100")["job"]
    thread.join(100)
    assert refused == [503]
    first.stop()
    wait_for(lambda: "problems" not in second.get("/health").json(), "it takes over")
    assert second.setup().json() == {"model_version": newer}, "what the first one published"
    assert train(second, "c", Prefer="wait=100")["status"] == "finished"


def test_a_second_server_gives_up(serve: Serve) -> None:
    first = serve(ECHO)
    second = serve(first.project, "--lock-wait", "1")
    assert second.process.wait(90) == 2
    assert re.search(
        r"another server \(pid \d+\) did not let go of this model folder", second.log()
    )
    assert str(first.process.pid) in second.log()
    assert first.predict().status_code == 200


def test_every_event_is_trained_on_where_that_is_asked(serve: Serve) -> None:
    server = serve(ECHO, "--training-queue", "all")
    server.setup()

    def event(number: int) -> dict[str, Any]:
        project = {"id": 2, "created_at": "2026-11-23T10:49:25Z", "label_config": CHOICES}
        return {"action": "ANNOTATION_CREATED", "number": number, "project": project}

    answers = [server.post("/webhook", event(number)).json() for number in (0, 1, 2, 1)]
    assert [answer["status"] for answer in answers] == ["queued", "queued", "queued", "merged"]
    assert answers[3]["job"] == answers[1]["job"]
    server.wait_trained(answers[0].get("project", f"2.{1795430965}"))
    jobs = server.get("/jobs").json()["jobs"]
    assert [one["job_status"] for one in jobs] == ["finished"] * 3


def test_a_version_that_never_was_loaded_is_rejected_at_its_first_load(serve: Serve) -> None:
    server = serve(OBEDIENT)
    good = train(server, "a", Prefer="wait=100")["job"]
    bad = train(server, "unloadable", Prefer="wait=100")["job"]
    # The project had no model in use, so nothing was loaded.
    assert server.predict().json()["model_version"] == good
    (problem,) = server.get("/health").json()["problems"]
    assert f"version {bad} cannot be loaded: AssertionError: this one cannot be loaded" in problem
    server.stop()
    again = serve(server.project)
    assert again.setup().json() == {"model_version": good}


def test_a_version_that_was_loaded_once_is_not_rejected(serve: Serve) -> None:
    source = OBEDIENT.replace(
        'assert not self.train_output.get("unloadable"), "this one cannot be loaded"',
        'assert not os.path.exists(os.environ["MODEL_DIR"] + "/down"), "the network is down"',
    )
    server = serve(source)
    server.setup()
    version = train(server, "a", Prefer="wait=100")["job"]
    assert server.predict().json()["model_version"] == version
    server.stop()
    (server.models / "down").touch()
    again = serve(server.project)
    assert again.predict().status_code == 500
    (again.models / "down").unlink()
    assert again.predict().json()["model_version"] == version


def test_an_event_whose_training_failed_may_be_sent_again(serve: Serve) -> None:
    source = ECHO.replace(
        "            tasks = list(tasks)\n",
        """
            import os, pathlib
            tried = pathlib.Path(os.environ["MODEL_DIR"], "tried")
            if not tried.exists():
                tried.touch()
                raise ValueError("not yet")
            tasks = list(tasks)
""",
    )
    server = serve(source, "--training-queue", "all")
    project = {"id": 2, "created_at": "2026-11-23T10:49:25Z", "label_config": CHOICES}
    event = {"action": "START_TRAINING", "project": project}

    def send() -> dict[str, Any]:
        answer: dict[str, Any] = server.post(
            "/webhook", event, headers={"Prefer": "wait=100"}
        ).json()
        return answer

    first, second, third = send(), send(), send()
    assert [one["status"] for one in (first, second, third)] == ["failed", "finished", "finished"]
    assert first["job"] != second["job"]
    assert third["job"] == second["job"], "an identical event that was trained on is not again"
