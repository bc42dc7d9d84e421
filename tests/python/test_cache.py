"""`label_studio_ml.cache` without a server: the original's file, shared by processes."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hosting import environment

from label_studio_ml.cache import SqliteCache, create_cache


def test_values_lie_in_the_form_of_the_original(tmp_path: Path) -> None:
    cache = create_cache("sqlite", str(tmp_path / "made"))
    assert isinstance(cache, SqliteCache)
    assert not (tmp_path / "made").exists(), "nothing is opened before it is used"
    cache["7", "model_version"] = "0.0.1"
    with sqlite3.connect(cache.db_name) as connection:
        rows = connection.execute("SELECT project_id, key, value FROM cache").fetchall()
        columns = connection.execute("PRAGMA table_info(cache)").fetchall()
    connection.close()
    assert rows == [("7", "model_version", "0.0.1")]
    assert [(name, kind, must, key) for _, name, kind, must, _, key in columns] == [
        ("project_id", "TEXT", 1, 1),
        ("key", "TEXT", 1, 2),
        ("value", "TEXT", 1, 0),
    ]


def test_a_mapping_of_project_and_key(tmp_path: Path) -> None:
    cache = SqliteCache(str(tmp_path))
    assert cache["7", "a"] is None
    assert ("7", "a") not in cache
    cache["7", "a"] = "b"
    assert ("7", "a") in cache
    del cache["7", "a"], cache["7", "a"]
    assert cache["7", "a"] is None
    with pytest.raises(ValueError, match="Value must be a string"):
        cache["7", "a"] = 5  # type: ignore[assignment]
    with pytest.raises(ValueError, match="sqlite"):
        create_cache("redis", str(tmp_path))


def test_another_process_sees_a_change_at_once(tmp_path: Path) -> None:
    cache = SqliteCache(str(tmp_path))
    cache["7", "a"] = "old"
    assert cache["7", "a"] == "old"
    source = (
        "import sys; from label_studio_ml.cache import SqliteCache\n"
        "SqliteCache(sys.argv[1])['7', 'a'] = 'new'"
    )
    command = [sys.executable, "-c", source, str(tmp_path)]
    subprocess.run(command, env=environment(), check=True, timeout=60)
    assert cache["7", "a"] == "new"


def test_threads_and_a_forked_child_write_at_once(tmp_path: Path) -> None:
    cache = SqliteCache(str(tmp_path))
    cache["7", "begun"] = "yes"

    def write(who: str) -> None:
        for number in range(50):
            cache[who, str(number)] = "x"

    child = os.fork()
    if child == 0:
        try:
            write("child")
        finally:
            os._exit(0 if cache["child", "49"] == "x" else 1)
    threads = [threading.Thread(target=write, args=(f"thread {n}",)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert os.waitpid(child, 0)[1] == 0
    for who in ("child", "thread 0", "thread 1", "thread 2"):
        assert all(cache[who, str(number)] == "x" for number in range(50))
