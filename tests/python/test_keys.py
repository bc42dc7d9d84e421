"""Values that models store with `self.set`: every thread, worker and training worker sees them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hosting import PROJECT, Server, is_running, wait_for
from models_v2 import TELLER, event

Serve = Callable[..., Server]


def tell(server: Server, project: str = PROJECT, **data: Any) -> dict[str, Any]:
    answer = server.predict([{"id": 1, "data": data}], project=project)
    assert answer.status_code == 200, answer.text
    said: dict[str, Any] = answer.json()["results"][0]
    return said


def seen_by_all(server: Server, key: str) -> set[Any]:
    """Return what every worker sees, after a check that there are several."""
    server.wait_all_ready()
    with ThreadPoolExecutor(8) as clients:
        said = list(clients.map(lambda _: tell(server, get=[key], sleep=0.02), range(32)))
    assert len({one["pid"] for one in said}) > 1
    return {one["get"][key] for one in said}


def test_a_value_is_seen_by_every_worker_at_once(serve: Serve) -> None:
    server = serve(TELLER, "--workers", "3")
    for value in ("one", "two", "three"):
        tell(server, set={"key": value})
        assert seen_by_all(server, "key") == {value}
    assert tell(server, project="3.1", get=["key"])["get"]["key"] is None
    assert tell(server, has="key")["has"] is True
    assert tell(server, has="another key")["has"] is False
    assert tell(server, project="3.1", has="key")["has"] is False


FORGETFUL = """
    from label_studio_ml.model import CACHE, LabelStudioMLBase

    class Forgetful(LabelStudioMLBase):
        def setup(self): ...

        def predict(self, tasks, context=None, **kwargs):
            self.set("key", "")
            known = [self.has("key"), self.get("key")]
            del CACHE[self.project_id, "key"]
            return [{"result": [], "known": known, "then": [self.has("key"), self.get("key")]}]
"""


def test_an_empty_value_is_there_until_it_is_deleted(serve: Serve) -> None:
    said = serve(FORGETFUL).first()
    assert (said["known"], said["then"]) == ([True, ""], [False, None])


def test_what_fit_sets_is_seen_while_it_runs_and_the_other_way_round(serve: Serve) -> None:
    server = serve(TELLER, "--workers", "2")
    tell(server)
    server.post("/webhook", event(set={"from fit": "hello"}, until_set=["from predict"]))
    wait_for(lambda: tell(server, has="from fit")["has"], "predict sees what fit set")
    job = server.get("/jobs").json()["jobs"][0]
    assert job["job_status"] == "started"
    tell(server, set={"from predict": "yes"})
    wait_for(
        lambda: server.get("/jobs").json()["jobs"][0]["job_status"] == "finished",
        "fit sees what predict set",
    )
    assert seen_by_all(server, "from fit") == {"hello"}


def test_values_survive_the_death_of_server_and_workers(serve: Serve, tmp_path: Path) -> None:
    models = tmp_path / "models"
    server = serve(TELLER, "--model-dir", str(models))
    tell(server, set={"key": "kept é"})
    workers = server.workers()
    server.process.kill()
    server.process.wait()
    wait_for(lambda: not any(map(is_running, workers)), "the workers end with the server")
    with sqlite3.connect(models / "cache.db") as connection:
        rows = dict(connection.execute("SELECT key, value FROM cache WHERE project_id = '2'"))
    connection.close()
    assert rows["key"] == "kept é"
    assert {"label_config", "parsed_label_config", "model_version"} <= set(rows)
    again = serve(server.project, "--model-dir", str(models))
    assert tell(again, get=["key"])["get"]["key"] == "kept é"


def test_a_file_of_the_original_is_read(serve: Serve, tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    with sqlite3.connect(models / "cache.db") as connection:
        connection.execute(
            "CREATE TABLE cache (project_id TEXT NOT NULL, key TEXT NOT NULL, "
            "value TEXT NOT NULL, PRIMARY KEY (project_id, key))"
        )
        connection.executemany(
            "INSERT INTO cache VALUES (?, ?, ?)",
            [("2", "prompt", "from before"), ("2", "model_version", "9.9.9")],
        )
    connection.close()
    server = serve(TELLER, "--model-dir", str(models))
    assert server.setup().json() == {"model_version": "9.9.9"}
    assert tell(server, get=["prompt"])["get"]["prompt"] == "from before"


def test_large_values_and_strange_keys(serve: Serve) -> None:
    server = serve(TELLER)
    values = {"": "empty key", "a" * 2000: "long", "schlüssel 🔑": "x" * 3_000_000, "nul\0": "\0"}
    tell(server, set=values)
    assert tell(server, get=list(values))["get"] == values


def test_a_file_that_is_no_database_is_no_obstacle(serve: Serve, tmp_path: Path) -> None:
    models = tmp_path / "models"
    (models / "cache.db").mkdir(parents=True)
    server = serve(TELLER, "--model-dir", str(models), "--workers", "2")
    tell(server, set={"key": "in memory"})
    assert seen_by_all(server, "key") == {"in memory"}
    server.wait_logged("last only until the server ends")


FORKER = """
    import multiprocessing, os
    from label_studio_ml.model import LabelStudioMLBase

    def child(project, value):
        Forker(project_id=project).set("from child", value)

    class Forker(LabelStudioMLBase):
        def predict(self, tasks, context=None, **kwargs):
            for method in ("fork", "spawn"):
                process = multiprocessing.get_context(method).Process(
                    target=child, args=(self.project_id, method)
                )
                process.start()
                process.join()
                assert process.exitcode == 0
                assert self.get("from child") == method
            return [{"result": [], "seen": self.get("from child")}]
"""


def test_children_of_the_model_keep_values_too(serve: Serve) -> None:
    server = serve(FORKER)
    assert server.first()["seen"] == "spawn"


def test_after_a_stop_the_file_alone_has_everything(serve: Serve, tmp_path: Path) -> None:
    models = tmp_path / "models"
    server = serve(TELLER, "--model-dir", str(models))
    tell(server, set={"prompt": "kept"})
    assert server.stop() == 0
    copy = tmp_path / "copy.db"
    copy.write_bytes((models / "cache.db").read_bytes())
    with sqlite3.connect(copy) as db:
        assert ("2", "prompt", "kept") in db.execute("SELECT * FROM cache").fetchall()
    db.close()
