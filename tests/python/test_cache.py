"""`label_studio_ml.cache` without a server: the original's file, shared by processes."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hosting import environment

from label_studio_ml.cache import HostedCache, SqliteCache, create_cache, default_cache


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


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
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


def in_a_child(check: Callable[[], bool]) -> int:
    """Return how a forked child ends: with 0 if the check holds; by an alarm if that hangs."""
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(30)
        try:
            held = check()
        except BaseException:
            held = False
        os._exit(0 if held else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def opened(path: str) -> int:
    """Return how many descriptors of this process lead to a file."""
    found = 0
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found += str(entry.readlink()) == path
        except FileNotFoundError:  # that of the folder itself
            continue
    return found


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_nothing_stays_open_over_a_fork(tmp_path: Path) -> None:
    """SQLite forbids to use, and to close, on one side of a fork what was opened on the other."""
    cache = SqliteCache(str(tmp_path))
    cache["7", "a"] = "of the parent"
    path = os.path.realpath(cache.db_name)
    assert opened(path) == 1

    def check() -> bool:
        inherited = opened(path)
        read = cache["7", "a"] == "of the parent"
        cache["7", "a"] = "of the child"
        return read and (inherited, opened(path)) == (0, 1)

    assert in_a_child(check) == 0
    assert opened(path) == 0, "closed here too, and opened again when it is used"
    assert cache["7", "a"] == "of the child"
    cache["7", "a"] = "again"
    assert opened(path) == 1


def test_a_cache_that_is_gone_leaves_nothing_open(tmp_path: Path) -> None:
    cache = SqliteCache(str(tmp_path))
    cache["7", "a"] = "b"
    path = os.path.realpath(cache.db_name)
    assert opened(path) == 1
    del cache
    assert opened(path) == 0


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_waits_for_threads_that_write(tmp_path: Path) -> None:
    """A child would otherwise have a lock that nobody gives back, and half a write."""
    cache = SqliteCache(str(tmp_path))
    cache["7", "a"] = "c"
    ended = threading.Event()

    def write() -> None:
        while not ended.wait(0.01):
            cache["7", "a"] = "c"

    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for number in range(10):
            key = str(number)

            def check(key: str = key) -> bool:
                cache["child", key] = "x"
                return cache["7", "a"] == "c"

            assert in_a_child(check) == 0
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert all(cache["child", str(number)] == "x" for number in range(10))


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_what_children_write_is_there_when_their_parent_closes(tmp_path: Path, mode: str) -> None:
    """The last connection to close removes the log: it must know of those in other processes."""
    cache = SqliteCache(str(tmp_path))
    cache["7", "begun"] = "yes"
    other = sqlite3.connect(cache.db_name)
    other.execute(f"PRAGMA journal_mode={mode}")
    other.close()
    assert cache["7", "begun"] == "yes"
    ready, go = os.pipe(), os.pipe()

    def check() -> bool:
        cache["child", "a"] = "before"
        os.write(ready[1], b"x")
        os.read(go[0], 1)
        cache["child", "b"] = "after"
        return cache["child", "a"] == "before"

    child = threading.Thread(target=lambda: ended.append(in_a_child(check)))
    ended: list[int] = []
    child.start()
    os.read(ready[0], 1)
    closing = SqliteCache(str(tmp_path))
    assert closing["child", "a"] == "before"
    del closing
    assert opened(os.path.realpath(cache.db_name)) == 0
    os.write(go[1], b"x")
    child.join()
    assert ended == [0]
    for end in (*ready, *go):
        os.close(end)
    with sqlite3.connect(cache.db_name) as connection:
        rows = connection.execute("SELECT key, value FROM cache WHERE project_id = 'child'")
        assert dict(rows.fetchall()) == {"a": "before", "b": "after"}
    connection.close()


def test_a_file_that_cannot_be_opened_raises_what_sqlite_raises(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = SqliteCache(str(tmp_path / "file"))
    with pytest.raises(sqlite3.OperationalError, match=r"file/cache\.db"):
        cache["7", "a"] = "b"
    (tmp_path / "cache.db").write_text("this is no database" * 100)
    with pytest.raises(sqlite3.DatabaseError, match="not a database"):
        SqliteCache(str(tmp_path))["7", "a"]


def test_the_model_folder_may_be_settled_after_the_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = HostedCache(str(tmp_path / "early"))
    for folder in ("late", "later"):
        monkeypatch.setenv("MODEL_DIR", str(tmp_path / folder))
        assert cache["7", "a"] is None
        assert ("7", "a") not in cache
        cache["7", "a"] = folder
        assert SqliteCache(str(tmp_path / folder))["7", "a"] == folder
        assert ("7", "a") in cache
    del cache["7", "a"]
    assert cache["7", "a"] is None
    monkeypatch.setenv("MODEL_DIR", "")
    cache["7", "a"] = "early"
    assert SqliteCache(str(tmp_path / "early"))["7", "a"] == "early"
    assert SqliteCache(str(tmp_path / "late"))["7", "a"] == "late"
    with pytest.raises(ValueError, match="Value must be a string"):
        cache["7", "a"] = 5  # type: ignore[assignment]


def test_the_environment_chooses_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CACHE_TYPE", raising=False)
    monkeypatch.delenv("MODEL_DIR", raising=False)
    assert default_cache().path == "."
    monkeypatch.setenv("MODEL_DIR", str(tmp_path))
    found = default_cache()
    assert isinstance(found, SqliteCache)
    assert found.path == str(tmp_path)
    monkeypatch.setenv("CACHE_TYPE", "redis")
    with pytest.raises(ValueError, match="unsupported cache type 'redis'"):
        default_cache()


def test_who_finds_the_file_locked_waits_for_it(tmp_path: Path) -> None:
    cache = SqliteCache(str(tmp_path))
    cache["7", "a"] = "b"
    other = sqlite3.connect(cache.db_name, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    timer = threading.Timer(0.3, other.execute, ["ROLLBACK"])
    timer.start()
    cache["7", "a"] = "c"
    timer.join()
    other.close()
    assert cache["7", "a"] == "c"
