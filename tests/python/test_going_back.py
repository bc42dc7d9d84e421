"""Going back to a version and forward again, while predictions are asked for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
from hosting import CHOICES, PROJECT, Server, wait_for
from models_v2 import COUNTER, TELLER, event

Serve = Callable[..., Server]

#: Learns a number into a file, into a module global (by the next import), and into a key. It reads the file
#: at every prediction, slowly, and tells all three.
READER = """
    import os, time
    from label_studio_ml.model import LabelStudioMLBase

    def path(name):
        return os.path.join(os.environ.get("MODEL_DIR", "."), name)

    def read(name):
        try:
            return int(open(path(name)).read())
        except FileNotFoundError:
            return 0

    IMPORTED = read("one.txt")

    class Reader(LabelStudioMLBase):
        def setup(self):
            self.made = read("sub/two.txt")

        def predict(self, tasks, context=None, **kwargs):
            one = read("one.txt")
            time.sleep(0.005)
            two, key = read("sub/two.txt"), int(self.get("learned") or 0)
            known = [one, two, key, self.made, IMPORTED]
            return [{"result": [], "score": 0.5, "known": known} for _ in tasks]

        def fit(self, event, data, **kwargs):
            number = data["annotation"]["learned"]
            os.makedirs(path("sub"), exist_ok=True)
            for name in ("one.txt", "sub/two.txt"):
                with open(path(name), "w") as file:
                    file.write(str(number))
            self.set("learned", str(number))
"""

#: API v1: what fit returns and what it writes into its folder.
V1 = """
    import os, time
    from label_studio_ml.model import LabelStudioMLBase

    class Model(LabelStudioMLBase):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.learned = (self.train_output or {}).get("learned", 0)
            self.folder = (self.train_output or {}).get("folder")

        def predict(self, tasks, **kwargs):
            read = int(open(self.folder + "/weights").read()) if self.folder else 0
            time.sleep(0.005)
            return [{"result": [], "score": 0.5, "known": [self.learned, read]} for _ in tasks]

        def fit(self, tasks, workdir=None, **kwargs):
            number = len(list(tasks))
            with open(workdir + "/weights", "w") as file:
                file.write(str(number))
            return {"learned": number, "folder": workdir}
"""


def learn(server: Server, number: int) -> str:
    """Train; return the name of the version."""
    body = event(annotation={"learned": number})
    body["project"]["total_annotations_number"] = 10 + number
    job = server.post("/webhook", body, headers={"Prefer": "wait=60"}).json()
    assert job["error"] is None, job
    name: str = job["model_version"]
    return name


def activate(server: Server, name: str) -> None:
    path = f"/versions/{quote(name, safe='')}/activate"
    answer = server.post(path, {"project": PROJECT}, timeout=100)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"project": PROJECT, "model_version": name}


def details(server: Server) -> list[dict[str, Any]]:
    listed = server.get("/versions", params={"project": PROJECT}).json()
    found: list[dict[str, Any]] = listed["details"]
    return found


@contextmanager
def asking(server: Server, clients: int = 4) -> Iterator[list[tuple[str, tuple[int, ...]]]]:
    """Predict meanwhile; yields the version and what it knows of each answer, as they arrive."""
    seen: list[tuple[str, tuple[int, ...]]] = []
    failures: list[str] = []
    ended = threading.Event()

    def ask() -> None:
        with requests.Session() as session:
            body = {"tasks": [{"id": 1}, {"id": 2}], "project": PROJECT}
            while not ended.is_set():
                answer = session.post(f"{server.url}/predict", json=body, timeout=100)
                if answer.status_code != 200:
                    failures.append(answer.text)
                    return
                told = answer.json()
                first, second = told["results"]
                if first["known"] != second["known"]:
                    failures.append(f"two versions in one answer: {told}")
                seen.append((told["model_version"], tuple(first["known"])))

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert not failures, failures[0]


def more(seen: list[Any], number: int) -> None:
    """Wait for further answers. Those of each client that were under way are among them."""
    start = len(seen)
    wait_for(lambda: len(seen) > start + number, "predictions")


def check(seen: list[tuple[str, tuple[int, ...]]], expected: dict[str, int]) -> None:
    """Each answer carries one version and knows what that one learned."""
    for name, known in seen:
        assert set(known) == {expected[name]}, (name, known)


@pytest.mark.parametrize("threads", [1, 4])
def test_twenty_times_back_and_forth_with_files_and_keys(serve: Serve, threads: int) -> None:
    server = serve(READER, "--workers", "2", "--threads", str(threads))
    server.setup()
    expected = {"0.0.1": 0}
    # While a training writes, a model that reads at each prediction sees half of it, as in the original.
    for number in (1, 2):
        expected[learn(server, number)] = number
    names = list(expected)
    assert names == ["0.0.1", "0.0.1+1", "0.0.1+2"]
    with asking(server) as seen:
        for turn in range(20):
            name = names[turn % 3]
            activate(server, name)
            assert server.setup().json()["model_version"] == name
            more(seen, 8)
            assert seen[-1] == (name, (expected[name],) * 5)
    check(seen, expected)
    assert {name for name, _ in seen} == set(names)


def test_twenty_times_back_and_forth_with_api_v1(serve: Serve) -> None:
    server = serve(V1, "--workers", "2", "--threads", "4")
    server.setup()
    expected = {"INITIAL": 0}
    for number in (1, 2, 3):
        body = {
            "annotations": [{"id": task} for task in range(number)],
            "project": PROJECT,
            "label_config": CHOICES,
        }
        job = server.post("/train", body, headers={"Prefer": "wait=60"}).json()
        expected[job["model_version"]] = number
    names = list(expected)[1:]
    with asking(server) as seen:
        for turn in range(20):
            name = names[turn % 3]
            activate(server, name)
            more(seen, 8)
            assert seen[-1] == (name, (expected[name],) * 2)
    check(seen, expected)
    counts = [detail["annotations"] for detail in details(server)]
    assert counts == [3, 2, 1]
    assert [detail["is_served"] for detail in details(server)].count(True) == 1


def test_globals_that_hold_what_was_read_are_renewed(serve: Serve) -> None:
    server = serve(COUNTER, "--workers", "2", "--rollout", "stop-first")
    server.setup()
    first, second = learn(server, 7), learn(server, 8)
    for name, score in ((first, 7), (second, 8), ("Counter-v1", 0), (second, 8)):
        activate(server, name)
        said = server.first()
        assert (said["model_version"], said["score"]) == (name, score)


def test_what_is_listed_says_what_is_served_and_since_when(serve: Serve, tmp_path: Path) -> None:
    models = str(tmp_path / "models")
    server = serve(READER, "--model-dir", models, env={"MODEL_DIR": models})
    server.setup()
    (untrained,) = details(server)
    assert untrained == {
        "project": PROJECT,
        "version": "0.0.1",
        "is_served": True,
        "served_since": None,
        "trained_at": None,
        "job": None,
        "annotations": None,
        "can_be_activated": True,
        "reason": None,
    }
    assert server.get("/versions").json()["versions"] == []
    before = time.time()
    first, second = learn(server, 1), learn(server, 2)
    jobs = {job["model_version"]: int(job["job"]) for job in server.get("/jobs").json()["jobs"]}
    listed = server.get("/versions").json()
    assert listed["model_dir"] == models
    assert listed["versions"] == [second, first, "0.0.1"]
    newest, oldest, base = listed["details"]
    assert (newest["job"], oldest["job"], base["job"]) == (jobs[second], jobs[first], None)
    assert (newest["annotations"], oldest["annotations"]) == (12, 11)
    assert [detail["is_served"] for detail in listed["details"]] == [True, False, False]
    assert newest["served_since"] == newest["trained_at"]
    assert newest["trained_at"].endswith("Z")
    activate(server, first)
    assert server.stop() == 0
    again = serve(server.project, "--model-dir", models, env={"MODEL_DIR": models})
    listed = again.get("/versions").json()
    assert [detail["is_served"] for detail in listed["details"]] == [False, True, False]
    since = listed["details"][1]["served_since"]
    assert since >= listed["details"][0]["trained_at"]
    assert time.strptime(since, "%Y-%m-%dT%H:%M:%SZ") >= time.gmtime(before - 1)
    assert again.setup().json()["model_version"] == first
    assert again.first()["known"] == [1] * 5
    third = learn(again, 3)
    assert third == "0.0.1+3", "a number is given once"
    assert again.setup().json()["model_version"] == third


def test_names_may_be_anything(serve: Serve) -> None:
    server = serve(TELLER)
    server.setup()
    names = ["1.0 beta", "a/b", "é→ü", "50%", "x+y", "0.0.1+7", "?", "#"]
    for number, name in enumerate(names):
        body = event(set={"model_version": name, "number": str(number)})
        job = server.post("/webhook", body, headers={"Prefer": "wait=60"}).json()
        assert job["model_version"] == name, job
    listed = server.get("/versions").json()["versions"]
    assert listed == [*reversed(names), "0.0.1"]
    for name in listed:
        activate(server, name)
        assert server.setup().json()["model_version"] == name
    # A plus may stand for itself in a path.
    assert server.post("/versions/x+y/activate").json()["model_version"] == "x+y"
    # A name that comes again gets a number.
    body = event(set={"model_version": "1.0 beta"})
    job = server.post("/webhook", body, headers={"Prefer": "wait=60"}).json()
    assert job["model_version"] == "1.0 beta+8"
    assert server.first()["model_version"] == "1.0 beta+8"


def test_errors_say_what_there_is(serve: Serve, tmp_path: Path) -> None:
    models = tmp_path / "models"
    env = {"MODEL_DIR": str(models)}
    server = serve(TELLER, "--model-dir", str(models), "--keep-versions-mib", "1", env=env)
    server.setup()
    body = event(write={"big": "x" * (2 << 20)})
    first = server.post("/webhook", body, headers={"Prefer": "wait=60"}).json()["model_version"]
    body = event(write={"big": "small"})
    second = server.post("/webhook", body, headers={"Prefer": "wait=60"}).json()["model_version"]
    unknown = server.post("/versions/nope/activate", {"project": PROJECT})
    assert unknown.status_code == 404
    assert unknown.json()["detail"] == (
        f'project "{PROJECT}" has no version "nope": it has {second}, {first}, 0.0.1'
    )
    assert server.post("/versions/nope/activate").status_code == 404
    refused = server.post(f"/versions/{first}/activate", {"project": PROJECT})
    reason = "big: its size is beyond what may be kept (--keep-versions-mib)"
    assert (refused.status_code, refused.json()["error_code"]) == (409, "no_earlier_version")
    assert refused.json()["detail"] == f'one cannot go back to version "{first}": {reason}'
    (listed,) = [detail for detail in details(server) if detail["version"] == first]
    assert (listed["can_be_activated"], listed["reason"]) == (False, reason)
    assert server.log().count(reason) == 1
    activate(server, "0.0.1")
    assert not (models / "big").exists()


def test_a_training_that_runs_is_not_disturbed(serve: Serve) -> None:
    server = serve(TELLER)
    server.setup()
    for number in (1, 2):
        server.post("/webhook", event(set={"n": str(number)}), headers={"Prefer": "wait=60"})
    job = server.post("/webhook", event(set={"n": "3"}, until_set=["go on"])).json()["job"]
    read = [{"data": {"get": ["n"]}}]
    wait_for(lambda: server.first(tasks=read)["get"]["n"] == "3", "it runs")
    refused = server.post("/versions/0.0.1+1/activate", {"project": PROJECT})
    assert (refused.status_code, refused.json()["error_code"]) == (409, "training_runs")
    server.first(tasks=[{"data": {"set": {"go on": "yes"}}}])
    ended = lambda: server.get(f"/jobs/{job}").json()["ended_at"]  # noqa: E731
    wait_for(ended, "it ends")
    activate(server, "0.0.1+1")
    assert server.first(tasks=read)["get"]["n"] == "1"


def test_a_version_that_cannot_be_loaded_any_more_changes_nothing(
    serve: Serve, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    env = {"MODEL_DIR": str(models)}
    server = serve(COUNTER, "--model-dir", str(models), "--workers", "2", env=env)
    server.setup()
    first = learn(server, 1)
    second = learn(server, 2)
    # Not written by a training, so no version has it.
    (models / "count.txt.broken").touch()
    refused = server.post(f"/versions/{first}/activate", {"project": PROJECT}, timeout=100)
    assert (refused.status_code, refused.json()["error_code"]) == (409, "version_not_loadable")
    assert "the weights are broken" in refused.json()["detail"]
    assert (models / "count.txt").read_text() == "2"
    assert server.setup().json()["model_version"] == second
    (models / "count.txt.broken").unlink()
    said = server.first()
    assert (said["model_version"], said["score"]) == (second, 2)
    activate(server, first)
    assert server.first()["score"] == 1


def test_a_training_starts_from_what_was_put_back(serve: Serve) -> None:
    source = """
        import os
        from label_studio_ml.model import LabelStudioMLBase

        PATH = os.path.join(os.environ.get("MODEL_DIR", "."), "sum.txt")
        SUM = int(open(PATH).read()) if os.path.exists(PATH) else 0

        class Adder(LabelStudioMLBase):
            def predict(self, tasks, context=None, **kwargs):
                return [{"result": [], "score": SUM} for _ in tasks]

            def fit(self, event, data, **kwargs):
                global SUM
                SUM += data["annotation"]["learned"]
                open(PATH, "w").write(str(SUM))
    """
    server = serve(source)
    server.setup()
    first, _ = learn(server, 1), learn(server, 10)
    assert server.first()["score"] == 11
    activate(server, first)
    assert server.first()["score"] == 1
    learn(server, 100)
    assert server.first()["score"] == 101


def test_a_damaged_list_of_one_version_is_the_reason_of_that_version(
    serve: Serve, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    server = serve(READER, "--model-dir", str(models))
    server.setup()
    first, second, _ = learn(server, 1), learn(server, 2), learn(server, 3)
    by_name = {row["version"]: row for row in details(server)}
    kept = models / ".label-studio-ml" / "kept" / PROJECT / f"{by_name[first]['job']}.json"
    assert kept.is_file()
    kept.write_text("{")
    by_name = {row["version"]: row for row in details(server)}
    assert by_name[first]["can_be_activated"] is False
    assert by_name[first]["reason"]
    assert set(by_name) >= {first, second}
