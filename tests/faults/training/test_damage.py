"""Files that were damaged while no server ran, and folders that other programs made."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from host import EarlyServer, Host
from hosting import PROJECT, wait_for

MakeHost = Callable[..., Host]


def test_a_damaged_job_store_is_set_aside(host: Host) -> None:
    host.start()
    good = host.ledger.train(host.server)
    host.ended(good)
    host.kill()
    host.database.write_bytes(b"\xff" * host.database.stat().st_size)
    # Otherwise SQLite would restore everything from the log.
    Path(f"{host.database}-wal").unlink()
    server = host.start()
    assert server.setup().json() == {"model_version": good}
    wait_for(lambda: "it is set aside and begun anew" in server.log(), "it is said")
    assert (host.database.parent / "state.db.damaged").exists()
    assert host.ended(host.ledger.train(server))["job_status"] == "finished"
    assert server.get(f"/jobs/{good}").status_code == 404


def test_a_truncated_log_of_the_job_store_loses_no_version(host: Host) -> None:
    host.start()
    good = host.ledger.train(host.server)
    host.ended(good)
    host.kill()
    log = Path(f"{host.database}-wal")
    log.write_bytes(log.read_bytes()[: log.stat().st_size // 2])
    server = host.start()
    assert server.setup().json() == {"model_version": good}
    newer = host.ended(host.ledger.train(server))
    assert newer["job_status"] == "finished"
    assert int(newer["job"]) > int(str(good))


@pytest.mark.parametrize("content", [b"", b'{"status": "ok", "train_out', b"\xff\xfe"])
def test_of_a_damaged_version_the_one_before_is_served(host: Host, content: bytes) -> None:
    host.start()
    good, bad = (host.ledger.train(host.server) for _ in range(2))
    host.ended(bad)
    host.kill()
    (host.models / PROJECT / str(bad) / "job_result.json").write_bytes(content)
    host.ledger.damaged.add(str(bad))
    host.start()
    assert host.server.setup().json() == {"model_version": good}
    assert host.server.predict().json()["model_version"] == good
    host.server.wait_logged("this version cannot be read")
    assert host.ended(host.ledger.train(host.server))["job_status"] == "finished"


def test_two_servers_at_the_same_instant_are_one_trainer(host: Host) -> None:
    threads = [
        threading.Thread(target=lambda: host.start("--lock-wait", "600", kind=EarlyServer))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    def owner() -> int | None:
        problems = [server.get("/health").json().get("problems") for server in host.servers]
        owners = [number for number, problem in enumerate(problems) if not problem]
        ready = [server.get("/health").json()["workers"]["ready"] for server in host.servers]
        return owners[0] if len(owners) == 1 and all(ready) else None

    wait_for(lambda: owner() is not None, "one of them owns the folder")
    first = owner()
    assert first is not None
    second = host.servers[1 - first]
    host.hold.touch()
    job = host.ledger.train(host.servers[first], hold=host.hold)
    waiting = host.ledger.event(host.servers[first])
    host.wait_for_fit(job)
    assert second.predict().status_code == 200
    assert second.get("/jobs").status_code == 503
    host.kill(host.servers[first])
    host.servers.append(second)
    host.hold.unlink()
    wait_for(lambda: second.get("/jobs").status_code == 200, "the other takes over", 10)
    assert host.ended(waiting)["job_status"] == "finished"
    host.check()


def test_a_folder_of_the_original_goes_on(host: Host) -> None:
    def version(folder: Path, number: int, result: object, event: object = None) -> None:
        place = folder / str(number)
        place.mkdir(parents=True)
        (place / "job_result.json").write_text(json.dumps(result))
        if event:
            (place / "event.json").write_text(json.dumps(event))

    wrapped = {
        "status": "ok",
        "train_output": {"old": "by /train"},
        "project": PROJECT,
        "workdir": str(host.models / PROJECT / "1650000000"),
        "version": "1650000000",
        "job_id": None,
        "time": 0.5,
    }
    version(host.models / PROJECT, 1650000000, wrapped)
    about = {"event": "ANNOTATION_CREATED", "job_id": "1650000100", "data": {"project": {"id": 2}}}
    version(host.models, 1650000100, {"old": "by a webhook"}, about)
    server = host.start()
    assert server.setup().json() == {"model_version": "1650000100"}
    assert server.first()["trained"] == {"old": "by a webhook"}
    back = server.post("/versions/1650000000/activate", {"project": PROJECT})
    assert back.status_code == 200
    assert server.first()["trained"] == {"old": "by /train"}
    newer = host.ended(host.ledger.train(server))
    assert newer["job_status"] == "finished"
    listed = server.get("/versions", params={"project": PROJECT}).json()["versions"]
    assert listed == [newer["job"], "1650000100", "1650000000"]
