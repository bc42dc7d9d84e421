"""Copies of files: their names, and that none is ever half there."""

from __future__ import annotations

import ctypes
import os
import threading
import time
from pathlib import Path
from typing import BinaryIO

import pytest

from label_studio_ml._media import cache


def test_names_keep_the_files_own(tmp_path: Path) -> None:
    def name(of: str) -> str:
        return cache.path_of(tmp_path, "key", of).name.partition("__")[2]

    assert name("/some/a%20b%D1%8F.png") == "a bя.png"
    assert name("a/b%2F..%2Fc.png") == "c.png"
    assert name("..") == ".."  # behind a hash it is a name like any other
    assert name("a\0\n.png") == "a__.png"
    assert name("") == ""
    long = name("я" * 300 + ".jpeg")
    assert long.endswith(".jpeg")
    assert len(long.encode()) <= 120
    assert name("x" * 120) == "x" * 120
    assert name("x" * 121) == "x" * 120
    # What is so long is no extension.
    assert name("x" * 130 + "." + "y" * 15) == "x" * 104 + "." + "y" * 15
    assert name("x" * 130 + "." + "y" * 16) == "x" * 120
    one, other = (cache.path_of(tmp_path, key, "a.png") for key in "ab")
    assert one != other
    assert one == cache.path_of(tmp_path, "a", "a.png")


def test_threads_share_the_work(tmp_path: Path) -> None:
    path, calls, begun = tmp_path / "x", [], threading.Event()

    def write(file: BinaryIO) -> None:
        calls.append(1)
        begun.wait(10)
        file.write(b"whole")

    threads = [threading.Thread(target=cache.keep, args=(path, write)) for _ in range(8)]
    for thread in threads:
        thread.start()
    begun.set()
    for thread in threads:
        thread.join(10)
    assert path.read_bytes() == b"whole"
    assert calls == [1]


def test_a_failure_is_shared_and_leaves_nothing(tmp_path: Path) -> None:
    path, raised = tmp_path / "x", []
    waiting = threading.Semaphore(0)

    def write(file: BinaryIO) -> None:
        file.write(b"half")
        waiting.acquire(timeout=10)
        raise ValueError("broken")

    def ask() -> None:
        try:
            cache.keep(path, write)
        except ValueError as error:
            raised.append(str(error))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    waiting.release(4)
    for thread in threads:
        thread.join(10)
    assert raised == ["broken"] * 4
    assert list(tmp_path.iterdir()) == []
    cache.keep(path, lambda file: file.write(b"whole") and None)
    assert path.read_bytes() == b"whole"


def test_who_waited_for_a_cancelled_thread_tries_again(tmp_path: Path) -> None:
    path, begun, go_on = tmp_path / "x", threading.Event(), threading.Event()

    def cancelled(_: BinaryIO) -> None:
        begun.set()
        go_on.wait(10)
        raise KeyboardInterrupt

    def lead() -> None:
        with pytest.raises(KeyboardInterrupt):
            cache.keep(path, cancelled)

    def follow() -> None:
        cache.keep(path, lambda file: file.write(b"whole") and None)

    first = threading.Thread(target=lead)
    first.start()
    assert begun.wait(10)
    second = threading.Thread(target=follow)
    second.start()
    go_on.set()
    first.join(10)
    second.join(10)
    assert path.read_bytes() == b"whole"


def test_a_thread_that_waits_can_be_cancelled(tmp_path: Path) -> None:
    path, begun, go_on, ended = tmp_path / "x", threading.Event(), threading.Event(), []

    def slow(file: BinaryIO) -> None:
        begun.set()
        go_on.wait(30)
        file.write(b"whole")

    def follow() -> None:
        try:
            cache.keep(path, slow)
        except KeyboardInterrupt:
            ended.append("cancelled")

    first = threading.Thread(target=cache.keep, args=(path, slow))
    first.start()
    assert begun.wait(10)
    second = threading.Thread(target=follow)
    second.start()
    thread_id, cancel = ctypes.c_ulong(second.ident or 0), ctypes.py_object(KeyboardInterrupt)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(thread_id, cancel)
    second.join(10)
    assert ended == ["cancelled"]
    go_on.set()
    first.join(10)
    assert path.read_bytes() == b"whole"


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_waits_for_no_thread_that_it_lacks(tmp_path: Path) -> None:
    path, begun, go_on = tmp_path / "x", threading.Event(), threading.Event()

    def write(file: BinaryIO) -> None:
        begun.set()
        go_on.wait(10)
        file.write(b"whole")

    thread = threading.Thread(target=cache.keep, args=(path, write))
    thread.start()
    assert begun.wait(10)
    child = os.fork()
    if child == 0:
        cache.keep(path, lambda file: file.write(b"child") and None)
        os._exit(0 if path.read_bytes() == b"child" else 1)
    _, ended = os.waitpid(child, 0)
    go_on.set()
    thread.join(10)
    assert ended == 0
    assert path.read_bytes() == b"whole"


def test_what_a_killed_process_left_is_removed_after_a_day(tmp_path: Path) -> None:
    old, new = tmp_path / ".a.part", tmp_path / ".b.part"
    for left in (old, new):
        left.write_bytes(b"half")
    day_before = time.time() - 25 * 3600
    os.utime(old, (day_before, day_before))
    cache.keep(tmp_path / "x", lambda file: file.write(b"whole") and None)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".b.part", "x"]


def test_only_what_is_older_than_a_day_is_removed(tmp_path: Path) -> None:
    ages = {
        "day.part": 24 * 3600 + 60,
        ".older.part": 24 * 3600 + 60,
        ".younger.part": 24 * 3600 - 60,
    }
    for name, age in ages.items():
        (tmp_path / name).write_bytes(b"half")
        os.utime(tmp_path / name, (time.time() - age, time.time() - age))
    cache.keep(tmp_path / "x", lambda file: file.write(b"whole") and None)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".younger.part", "day.part", "x"]


def test_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        cache.keep(tmp_path / "x", lambda file: file.write(b"whole") and None)
    finally:
        os.umask(before)
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o640
