"""The server or its workers are killed while a version is put back."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
from backend import answer
from host import EarlyServer, Host
from hosting import CHOICES, PROJECT, Server, wait_for
from small_disk import SmallDisk

MakeHost = Callable[..., Host]

#: What it learned is in two files, of which one is in a folder, in a module global, and in a key.
READER = """
    import os, pathlib, time
    from label_studio_ml.model import LabelStudioMLBase

    FOLDER = pathlib.Path(os.environ.get("MODEL_DIR", "."))
    FILES = [FOLDER / "a.txt", FOLDER / "sub" / "b.txt"]

    def read(file):
        return file.read_text() if file.exists() else "nothing"

    IMPORTED = read(FILES[0])

    class Reader(LabelStudioMLBase):
        def predict(self, tasks, context=None, **kwargs):
            first = read(FILES[0])
            time.sleep(0.002)
            known = [first, read(FILES[1]), self.get("learned") or "nothing", IMPORTED]
            return [{"result": [], "score": 0.5, "known": known} for _ in tasks]

        def fit(self, event, data, **kwargs):
            for file in FILES:
                file.parent.mkdir(exist_ok=True)
                file.write_text(data["token"])
            if data["big"]:
                (FOLDER / "big.bin").write_bytes(os.urandom(data["big"]))
            self.set("learned", data["token"])
"""

#: API v1: the same, from what `fit` returned and from the folder of the version.
V1 = """
    import pathlib
    from label_studio_ml.model import LabelStudioMLBase

    class Model(LabelStudioMLBase):
        def predict(self, tasks, **kwargs):
            learned = self.train_output or {"number": 0}
            folder = learned.get("folder")
            read = int(pathlib.Path(folder, "weights").read_text()) if folder else 0
            known = [learned["number"], read]
            return [{"result": [], "score": 0.5, "known": known} for _ in tasks]

        def fit(self, tasks, workdir=None, **kwargs):
            number = len(list(tasks))
            pathlib.Path(workdir, "weights").write_text(str(number))
            return {"number": number, "folder": workdir}
"""

#: In the order in which an activation passes them.
KILL_POINTS = [
    "restore-journaled",
    "restore-cleared",
    "restore-one",
    "restore-files",
    "restore-keys",
    "restore-loaded",
    "restore-chosen",
    "restore-closed",
]
KEEP_POINTS = ["keep-sealed", "keep-taken", "keep-noted"]


@pytest.fixture
def host(make_host: MakeHost) -> Host:
    return make_host(READER)


def train(server: Server, token: str, big: int = 0) -> str:
    created = "2026-11-23T10:49:25Z"
    project = {"id": 2, "created_at": created, "label_config": CHOICES}
    body = {"action": "ANNOTATION_CREATED", "project": project, "token": token, "big": big}
    job = server.post("/webhook", body, headers={"Prefer": "wait=60"}).json()
    assert job["error"] is None, job
    name: str = job["model_version"]
    return name


def activate(server: Server, name: str) -> bool:
    """Go to a version; False if the server died of it."""
    try:
        path = f"/versions/{quote(name, safe='')}/activate"
        answer = server.post(path, {"project": PROJECT})
    except requests.ConnectionError:
        return False
    assert answer.status_code == 200, answer.text
    return True


def served(server: Server) -> tuple[str, Any]:
    """Return the version and what it knows, which must be of one piece."""
    told = server.setup(PROJECT).json()["model_version"]
    said = server.predict().json()
    known = set(said["results"][0]["known"])
    assert len(known) == 1, said
    assert said["model_version"] == told
    (one,) = known
    return told, one


def listed(server: Server) -> list[tuple[str, bool, str | None]]:
    details = answer(server, f"/versions?project={PROJECT}")["details"]
    return [(one["version"], one["is_served"], one["reason"]) for one in details]


def trained(host: Host) -> tuple[str, str]:
    server = host.start()
    server.setup()
    first, second = train(server, "one"), train(server, "two")
    assert server.stop() == 0
    return first, second


@pytest.mark.parametrize("point", KILL_POINTS)
def test_after_a_kill_one_whole_version_is_served(host: Host, point: str) -> None:
    first, second = trained(host)
    server = host.start(failpoints=f"{point}=return")
    assert served(server) == (second, "two")
    assert not activate(server, first)
    host.died()
    server = host.start()
    done = point == "restore-closed"
    assert served(server) == ((first, "one") if done else (second, "two"))
    assert listed(server) == [
        (second, not done, None),
        (first, done, None),
        ("0.0.1", False, None),
    ]
    # And nothing is in the way of the next ones.
    for name, known in ((first, "one"), ("0.0.1", "nothing"), (second, "two")):
        assert activate(server, name)
        assert served(server) == (name, known)
    assert train(server, "three") == "0.0.1+3"
    assert served(server) == ("0.0.1+3", "three")
    host.check_processes()


@pytest.mark.parametrize("undone", ["restore-cleared", "restore-one", "restore-undone"])
def test_a_kill_while_it_is_undone_does_no_harm(host: Host, undone: str) -> None:
    first, second = trained(host)
    server = host.start(failpoints="restore-keys=return")
    served(server)
    assert not activate(server, first)
    host.died()
    for _ in range(2):
        host.start(kind=EarlyServer, failpoints=f"{undone}=return")
        host.died()
        if undone == "restore-one":
            # What is left to be put back becomes less with each try.
            break
    server = host.start()
    assert served(server) == (second, "two")
    assert activate(server, first)
    assert served(server) == (first, "one")


def test_a_choice_of_before_counts_again(host: Host) -> None:
    first, second = trained(host)
    server = host.start()
    assert activate(server, first)
    assert server.stop() == 0
    server = host.start(failpoints="restore-chosen=return")
    assert served(server) == (first, "one")
    assert not activate(server, second)
    host.died()
    server = host.start()
    assert served(server) == (first, "one")


@pytest.mark.parametrize("point", KEEP_POINTS)
def test_a_kill_while_a_version_is_kept_loses_nothing(host: Host, point: str) -> None:
    server = host.start(failpoints=f"{point}=return")
    server.setup()
    with pytest.raises(requests.ConnectionError):
        train(server, "one")
    host.died()
    server = host.start()
    job = answer(server, "/jobs")["jobs"][0]
    assert host.ended(job["job"])["job_status"] == "finished"
    (name, is_served, _), base = listed(server)
    assert is_served
    assert base == ("0.0.1", False, None)
    assert activate(server, "0.0.1")
    assert served(server) == ("0.0.1", "nothing")
    assert activate(server, name)
    assert served(server) == (name, "one")


def test_workers_that_die_meanwhile_mix_nothing(host: Host) -> None:
    trained(host)
    server = host.start("--workers", "2")
    expected = {"0.0.1": "nothing", "0.0.1+1": "one", "0.0.1+2": "two"}
    seen: list[tuple[str, Any]] = []
    failures: dict[int, str] = {}
    ended = threading.Event()

    def ask() -> None:
        body = {"tasks": [{"id": 1}], "project": PROJECT}
        with requests.Session() as session:
            while not ended.is_set():
                said = session.post(f"{server.url}/predict", json=body, timeout=100)
                if said.status_code != 200:
                    failures[said.status_code] = said.text
                else:
                    told = said.json()
                    seen.append((told["model_version"], set(told["results"][0]["known"])))

    def kill() -> None:
        while not ended.wait(1.5):
            for pid in server.workers()[:1]:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue

    threads = [threading.Thread(target=ask) for _ in range(3)]
    killer = threading.Thread(target=kill)
    for thread in threads:
        thread.start()
    try:
        names = list(expected)
        for turn in range(20):
            if turn == 2:
                killer.start()
            path = f"/versions/{quote(names[turn % 3], safe='')}/activate"
            status = server.post(path, {"project": PROJECT}).status_code
            # A worker of the new version may die three times in a row.
            assert status in (200, 409)
    finally:
        ended.set()
        for thread in [*threads, killer]:
            if thread.ident:
                thread.join()
    for name, known in seen:
        assert known == {expected[name]}, (name, known)
    # The prediction that runs when its worker is killed has no answer.
    assert set(failures) <= {502}, failures
    wait_for(lambda: server.get("/health").json()["workers"]["ready"] == 2, "workers are back")
    assert activate(server, "0.0.1+1")
    assert served(server) == ("0.0.1+1", "one")


def test_a_kill_again_and_again_while_versions_change(host: Host) -> None:
    trained(host)
    expected = {"0.0.1": "nothing", "0.0.1+1": "one", "0.0.1+2": "two"}
    for turn in range(6):
        server = host.start()
        name, known = served(server)
        assert expected[name] == known
        other = list(expected)[turn % 3]
        timer = threading.Timer(0.02 + 0.11 * turn, host.kill)
        timer.start()
        activate(server, other)
        timer.join()
        host.died()
    name, known = served(host.start())
    assert expected[name] == known
    left = Path(host.models) / ".label-studio-ml/going-back.json"
    assert not left.exists()


def test_a_disk_that_is_full_costs_the_way_back_and_not_the_training(
    small_disk: SmallDisk, make_host: MakeHost
) -> None:
    host = make_host(READER, model_dir=small_disk.models)
    server = host.start()
    server.setup()
    first = train(server, "one")
    # A second copy finds no room.
    large = train(server, "large", 15 << 20)
    assert served(server) == (large, "large")
    second = train(server, "two", 1)
    reason = "its files could not be kept: the disk was full"
    assert (large, False, reason) in listed(server)
    assert reason in server.log()
    assert activate(server, first)
    assert served(server) == (first, "one")
    assert not (small_disk.models / "big.bin").exists()
    # Where the files of the other version find no room, nothing changes.
    small_disk.fill()
    refused = server.post(f"/versions/{quote(second)}/activate", {"project": PROJECT})
    assert (refused.status_code, refused.json()["error_code"]) == (507, "storage_full")
    assert served(server) == (first, "one")
    small_disk.free()
    assert activate(server, second)
    assert served(server) == (second, "two")
    host.check_processes()


@pytest.mark.parametrize("point", ["write-staged", "write-renamed"])
def test_a_kill_while_a_version_of_api_v1_is_activated(make_host: MakeHost, point: str) -> None:
    host = make_host(V1)
    server = host.start()
    server.setup()
    names = []
    for number in (1, 2):
        body = {
            "annotations": [{"id": task} for task in range(number)],
            "project": PROJECT,
            "label_config": CHOICES,
        }
        job = server.post("/train", body, headers={"Prefer": "wait=60"}).json()
        names.append(job["model_version"])
    assert server.stop() == 0
    server = host.start(failpoints=f"{point}=return")
    assert served(server) == (names[1], 2)
    assert not activate(server, names[0])
    host.died()
    server = host.start()
    assert served(server) == ((names[0], 1) if point == "write-renamed" else (names[1], 2))
    for turn in range(4):
        assert activate(server, names[turn % 2])
        assert served(server) == (names[turn % 2], turn % 2 + 1)
