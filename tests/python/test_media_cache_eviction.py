"""The folder of copies keeps within its limit, and never loses a copy that somebody uses."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hosting import Server, wait_for
from media_hosts import LEGACY, LabelStudio
from models_v2 import event
from test_cache import in_a_child

from label_studio_ml._media import cache, cache_eviction, limits
from label_studio_ml.model import get_local_path

KIB = 1 << 10


@pytest.fixture(autouse=True)
def folder(media_environment: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of copies; it may hold 1 MiB."""
    monkeypatch.setenv(limits.CACHE_VARIABLE, "1")
    media_environment.mkdir(parents=True)
    return media_environment


def put(folder: Path, number: int, size: int = 256 * KIB, age: float = 0) -> Path:
    path = cache.path_of(folder, f"{number}", "a.png")
    cache.keep(path, lambda file: file.write(bytes(size)) and None)
    if age:
        used = time.time() - age
        os.utime(path, (used, used))
    return path


def test_what_was_used_longest_ago_goes_first(folder: Path) -> None:
    paths = [put(folder, number, age=9000 - number) for number in range(4)]
    paths += [put(folder, 4)]
    assert [path.exists() for path in paths] == [False, False, True, True, True]
    # Asking for a copy is using it.
    assert cache_eviction.use(paths[2])
    paths += [put(folder, number) for number in (5, 6)]
    assert [path.exists() for path in paths] == [False, False, True, False, True, True, True]


def test_what_was_just_used_stays_although_there_is_no_room(folder: Path) -> None:
    paths = [put(folder, number) for number in range(8)]
    assert all(path.exists() for path in paths)
    for path in paths:
        os.utime(path, (0, 0))
    paths += [put(folder, 8)]
    assert sum(path.exists() for path in paths) == 3
    assert paths[-1].exists()


def occupied(folder: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in folder.glob("*__*"))


def test_a_folder_of_exactly_the_limit_loses_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(limits.CACHE_VARIABLE, "0")
    paths = [put(folder, number, age=9000 - number) for number in range(10)]
    full = occupied(folder)
    cache_eviction._make_room(folder, full)
    assert all(path.exists() for path in paths)
    # A byte beyond it, and a tenth of the room is made.
    cache_eviction._make_room(folder, full - 1)
    assert [path.exists() for path in paths] == [False, False] + [True] * 8
    assert 0.8 * full == pytest.approx(occupied(folder))


def test_room_is_made_again_after_a_fiftieth_of_the_limit(folder: Path) -> None:
    """Looking at every copy for each new one would take longer and longer."""
    looked: list[float] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache_eviction, "_make_room", lambda _, limit: looked.append(limit))
        patch.setattr(cache_eviction, "_added", {})
        cache_eviction.added(folder / "a", 1)
        assert len(looked) == 1, "at first nobody knows what lies there"
        for _ in range(3):
            cache_eviction.added(folder / "a", 5 * KIB)
        assert len(looked) == 1
        cache_eviction.added(folder / "a", 6 * KIB)
        assert len(looked) == 2
        cache_eviction.added(folder / "a", 21 * KIB)
        assert looked == [1 << 20] * 3
        cache_eviction.added(folder.parent / "a", 1 << 30)
        assert len(looked) == 3, "a folder that somebody chose is his"


def test_a_copy_stays_for_an_hour_after_its_last_use(folder: Path) -> None:
    ages = [cache_eviction.IN_USE + 60, cache_eviction.IN_USE - 60]
    for number, age in enumerate(ages):
        put(folder, number, 700 * KIB, age=age)
    put(folder, 2)
    assert [cache.path_of(folder, f"{number}", "a.png").exists() for number in range(3)] == [
        False,
        True,
        True,
    ]
    assert cache_eviction.IN_USE == 3600


def test_no_limit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(limits.CACHE_VARIABLE, "0")
    assert all(put(folder, number, age=9000).exists() for number in range(8))


def test_only_our_own_copies_are_removed(folder: Path, tmp_path: Path) -> None:
    others = [folder / "1a2b3c4d__of the original.png", folder / "notes.txt"]
    for other in others:
        other.write_bytes(bytes(512 * KIB))
        os.utime(other, (0, 0))
    (folder / ("0" * 16 + "__folder")).mkdir()
    secret = tmp_path / "linked"
    secret.write_text("mine")
    link = folder / ("1" * 16 + "__link")
    link.symlink_to(secret)
    chosen = [put(tmp_path / "chosen", number, age=9000) for number in range(8)]
    put(folder, 1, age=9000)
    for number in range(2, 9):
        put(folder, number)
    assert all(path.exists() for path in (*others, *chosen, secret, link))


def test_what_a_training_uses_stays_until_it_ends(folder: Path) -> None:
    gone = put(folder, 0, age=9000)
    training = cache_eviction.Training()
    kept = put(folder, 1)
    os.utime(kept, (0, 0))
    for number in range(2, 6):
        put(folder, number)
    assert kept.exists()
    assert not gone.exists()
    training.end()
    training.end()
    os.utime(kept, (0, 0))
    put(folder, 6)
    assert not kept.exists()
    assert not [*folder.glob(".label-studio-ml.held*")]


def test_a_training_that_was_killed_holds_nothing(folder: Path) -> None:
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from label_studio_ml._media import cache_eviction\n"
        "cache_eviction.Training()\n"
        "cache_eviction.use(Path(sys.argv[1]))\n"
        "print('held', flush=True)\n"
        "time.sleep(100)\n"
    )
    kept = put(folder, 0)
    command = [sys.executable, "-c", code, str(kept)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        os.utime(kept, (0, 0))
        for number in range(1, 6):
            put(folder, number)
        assert kept.exists()
    finally:
        process.kill()
        process.communicate(timeout=30)
    for number in range(6, 10):
        put(folder, number)
    assert not kept.exists()
    assert not [*folder.glob(".label-studio-ml.held*")]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_waits_for_no_lock_and_holds_nothing(folder: Path) -> None:
    training = cache_eviction.Training()
    try:
        put(folder, 0)
        (held,) = folder.glob(".label-studio-ml.held*")
        before = held.read_bytes()
        with cache_eviction._state:
            assert (
                in_a_child(lambda: put(folder, 1).exists() and not cache_eviction._trainings) == 0
            )
        assert held.read_bytes() == before
    finally:
        training.end()


WORK = """
import random, sys
from pathlib import Path
from label_studio_ml._media import cache, cache_eviction
folder, seed = Path(sys.argv[1]), sys.argv[2]
chance = random.Random(seed)
sys.stdin.readline()
found = 0
for turn in range(150):
    path = cache.path_of(folder, f"{chance.randrange(60)}", "a.png")
    there = path.exists()
    cache.keep(path, lambda file: file.write(bytes(100 << 10)) and None)
    # What was handed out is there, whatever other processes remove meanwhile.
    assert len(path.read_bytes()) == 100 << 10
    found += there
print(found)
"""


def test_processes_that_make_room_at_once(folder: Path) -> None:
    for number in range(60):
        path = cache.path_of(folder, f"{number}", "a.png")
        path.write_bytes(bytes(100 * KIB))
        os.utime(path, (number + 1, number + 1))
    started = [
        subprocess.Popen(
            [sys.executable, "-c", WORK, str(folder), f"{seed}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in range(6)
    ]
    said = [process.communicate("\n", timeout=100)[0] for process in started]
    assert [process.returncode for process in started] == [0] * 6, said
    assert not [*folder.glob("*.part")]


def waits_for_a_lock(pid: int) -> bool:
    """Tell whether a process is kept by a lock of another one."""
    waiting = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    return any(words[1] == "->" and f"{pid}" in words for words in waiting)


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="the system does not tell who waits")
def test_a_folder_that_another_process_works_on_is_waited_for(folder: Path) -> None:
    path = put(folder, 1)
    held = os.open(folder / ".label-studio-ml.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(held, fcntl.LOCK_EX)
    code = (
        "import sys; from pathlib import Path; from label_studio_ml._media import cache_eviction\n"
        "print('begins', flush=True); print(cache_eviction.use(Path(sys.argv[1])))"
    )
    command = [sys.executable, "-c", code, str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "begins\n"
    wait_for(lambda: waits_for_a_lock(process.pid) or process.poll() is not None, "it waits")
    path.unlink()
    os.close(held)
    # It does not hand out what was removed meanwhile.
    assert process.communicate(timeout=30)[0] == "False\n"


def test_a_copy_in_a_folder_that_cannot_be_written(
    label_studio: LabelStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABEL_STUDIO_URL", label_studio.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", LEGACY)
    label_studio.files["/data/upload/1/a"] = b"file"
    path = get_local_path("/data/upload/1/a")

    def no(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "utime", no)
    assert get_local_path("/data/upload/1/a") == path


MODEL = """
    import os
    from pathlib import Path
    from label_studio_ml.model import LabelStudioMLBase

    class Reader(LabelStudioMLBase):
        def predict(self, tasks, context=None, **kwargs):
            return [{{"result": [self.get_local_path(task["data"]["text"])]}} for task in tasks]

        def fit(self, event, data, **kwargs):
            first = self.get_local_path("/data/upload/1/first")
            os.utime(first, (0, 0))
            for number in range(4):
                self.get_local_path(f"/data/upload/1/{{number}}")
            print("the first is there:", os.path.exists(first))
"""


def test_a_training_that_is_served(
    label_studio: LabelStudio, serve: Callable[..., Server], folder: Path, tmp_path: Path
) -> None:
    for name in ("first", "0", "1", "2", "3", "last"):
        label_studio.files[f"/data/upload/1/{name}"] = bytes(400 * KIB)
    env = {"XDG_CACHE_HOME": str(tmp_path / "cache"), limits.CACHE_VARIABLE: "1"}
    server = serve(MODEL.replace("{{", "{").replace("}}", "}"), env=env)
    server.setup(hostname=label_studio.url, access_token=LEGACY)
    server.post("/webhook", event(), headers={"Prefer": "wait=100"})
    wait_for(lambda: "the first is there: True" in server.log(), "fit had its file")
    for path in folder.glob("*__[0-3]"):
        os.utime(path, (1, 1))
    tasks = [{"id": 1, "data": {"text": "/data/upload/1/last"}}]
    (last,) = server.first(tasks=tasks)["result"]
    assert Path(last).exists()
    assert not [*folder.glob("*__first")]
