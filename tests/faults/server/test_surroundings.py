"""Disks that are full or read-only, and clocks that jump."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from backend import Backend
from hosting import wait_for
from small_disk import SmallDisk

MakeBackend = Callable[..., Backend]


def test_a_full_model_folder_holds_up_no_prediction(
    small_disk: SmallDisk, make_backend: MakeBackend
) -> None:
    small_disk.models.mkdir()
    backend = make_backend(model_dir=small_disk.models)
    backend.start("--train-linger", "0")
    backend.settle()
    small_disk.fill()
    assert backend.server.setup().status_code == 200
    assert backend.server.setup("9.1").status_code == 200
    assert backend.do("os._exit(3)").status_code == 502
    backend.keeps_its_promises()
    answer = backend.server.train()
    assert answer.status_code == 507, answer.text
    small_disk.free()
    assert backend.server.train().status_code == 201, "room again, and it is taken"
    backend.version = backend.server.wait_trained()
    backend.keeps_its_promises()
    backend.end()


@pytest.mark.parametrize("trouble", ["full", "read-only"])
def test_a_folder_for_temporary_files_that_cannot_be_written_holds_up_no_prediction(
    small_disk: SmallDisk, make_backend: MakeBackend, trouble: str
) -> None:
    backend = make_backend(env={"TMPDIR": str(small_disk.folder)})
    if trouble == "full":
        small_disk.fill()
    else:
        small_disk.read_only(True)
    backend.start("--train-linger", "0")
    backend.settle()
    assert backend.do("os._exit(3)").status_code == 502
    backend.keeps_its_promises()
    assert backend.server.train().status_code == 201
    backend.version = backend.server.wait_trained()
    backend.check_answer()
    backend.end()
    if trouble == "read-only":
        small_disk.read_only(False)


def test_a_server_starts_on_a_read_only_model_folder_and_predicts(
    small_disk: SmallDisk, make_backend: MakeBackend
) -> None:
    small_disk.models.mkdir()
    small_disk.read_only(True)
    backend = make_backend(model_dir=small_disk.models)
    try:
        backend.start("--lock-wait", "1")
        backend.check_answer()
        assert backend.server.train().status_code == 503
        backend.end()
    finally:
        backend.stop()
        small_disk.read_only(False)


#: Adds the number of seconds in a file to what clocks of the day tell; other clocks go on.
JUMP = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static long jump(void) {
    const char *path = getenv("FAULTS_JUMP");
    FILE *file = path ? fopen(path, "r") : NULL;
    long seconds = 0;
    if (file) {
        if (fscanf(file, "%ld", &seconds) != 1) seconds = 0;
        fclose(file);
    }
    return seconds;
}

int clock_gettime(clockid_t id, struct timespec *out) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int done = real(id, out);
    if (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE) out->tv_sec += jump();
    return done;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone) {
    struct timespec now;
    (void)zone;
    int done = clock_gettime(CLOCK_REALTIME, &now);
    out->tv_sec = now.tv_sec;
    out->tv_usec = now.tv_nsec / 1000;
    return done;
}

time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}
"""


@pytest.fixture
def clock(tmp_path: Path, make_backend: MakeBackend) -> tuple[Backend, Path]:
    """A server whose clock of the day jumps by as many seconds as a file says."""
    compiler = shutil.which("cc")
    if not compiler:
        pytest.skip("there is no C compiler to make a clock that jumps")
    source, library, jump = (tmp_path / name for name in ("jump.c", "jump.so", "jump"))
    source.write_text(JUMP)
    jump.write_text("0")
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True, timeout=60
    )
    backend = make_backend(env={"LD_PRELOAD": str(library), "FAULTS_JUMP": str(jump)})
    backend.start("--train-linger", "0")
    backend.settle()
    return backend, jump


YEAR = 366 * 24 * 3600


@pytest.mark.parametrize("seconds", [YEAR, -YEAR, 3600, -3600], ids=lambda n: f"{n}s")
def test_a_clock_that_jumps_changes_nothing(clock: tuple[Backend, Path], seconds: int) -> None:
    backend, jump = clock
    seen = backend.root / "seen"
    backend.do(f"open({str(seen)!r}, 'w').write(str(time.time()))")
    before = float(seen.read_text())
    first = backend.server.train().json()["job"]
    assert backend.ended(first)["job_status"] == "finished"
    jump.write_text(str(seconds))
    backend.do(f"open({str(seen)!r}, 'w').write(str(time.time()))")
    assert abs(float(seen.read_text()) - before - seconds) < 1000, "the clock has jumped"
    backend.version = first
    backend.keeps_its_promises()
    assert backend.do("os._exit(3)").status_code == 502
    backend.check_answer()
    second = backend.server.train().json()["job"]
    assert backend.ended(second)["job_status"] == "finished"
    wait_for(
        lambda: newest(backend) == second, "the newer version is served, whatever the clock says"
    )
    backend.version = second
    backend.keeps_its_promises()
    backend.end()
    backend.start("--train-linger", "0")
    assert newest(backend) == second, "also after a restart"
    backend.end()


def newest(backend: Backend) -> str:
    version: str = backend.server.setup().json()["model_version"]
    return version


def test_a_clock_that_jumps_while_predict_runs_breaks_nothing_off(
    clock: tuple[Backend, Path],
) -> None:
    backend, jump = clock
    code = f"open({str(jump)!r}, 'w').write('{YEAR}'); time.sleep(0.5)"
    assert backend.do(code).status_code == 200
    backend.keeps_its_promises()
    backend.end()
