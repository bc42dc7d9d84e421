"""`scripts/test`: which stages it runs, in which order, which at the same time, and what it reports."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from schedule import Result, Schedule, table
from stages import Stage, StageError, read_all, with_needs

ROOT = Path(__file__).resolve().parents[2]

MakeStage = Callable[..., Stage]


@pytest.fixture
def make(tmp_path: Path) -> MakeStage:
    """Make a stage from a line of shell; each writes down when it begins and ends."""

    def made(name: str, lane: str, line: str = "sleep 0.3", **more: object) -> Stage:
        path = tmp_path / f"{name}.sh"
        note = f'echo "$(date +%s%N) {{}} {name}" >> {tmp_path}/notes'
        path.write_text(
            f"#!/bin/sh\n{note.format('begin')}\n{line}\nstatus=$?\n"
            f"{note.format('end')}\nexit $status\n"
        )
        path.chmod(0o755)
        return Stage(path, name, lane, **more)  # type: ignore[arg-type]

    return made


def run(tmp_path: Path, *stages: Stage) -> tuple[dict[str, Result], list[str], list[str]]:
    """Run stages; return what came of them, what began and ended in order, and what was told."""
    told: list[str] = []
    results = Schedule(stages, tmp_path, told.append).run(pause=0.01)
    notes = (tmp_path / "notes").read_text().splitlines()
    events = [note.split(" ", 1)[1] for note in sorted(notes)]
    return {result.name: result for result in results}, events, told


def test_the_stages_of_this_project_can_be_read_and_say_what_they_do() -> None:
    stages = read_all(ROOT / "scripts" / "stages")
    assert {"rust", "clippy", "python", "faults", "e2e", "macos", "fuzz"} <= stages.keys()
    for stage in stages.values():
        assert os.access(stage.path, os.X_OK), stage.path
        assert stage.summary.endswith("."), stage.path


def test_a_stage_brings_what_it_needs_and_that_comes_before(make: MakeStage) -> None:
    stages = {
        stage.name: stage
        for stage in [
            make("faults", "tests", after=("wheel",)),
            make("wheel", "compile", after=("tools",)),
            make("tools", "light"),
            make("rust", "compile"),
        ]
    }
    assert list(with_needs(stages, ["faults"])) == ["tools", "wheel", "faults"]


@pytest.mark.parametrize(
    ("head", "complaint"),
    [
        ("#: lane compile", "no line says"),
        ("# Tests.\n#: lane nowhere", "lane 'nowhere' is not one of"),
        ("# Tests.\n#: lane compile\n#: befor wheel", "unknown settings: befor"),
        ("# Tests.\n#: lane compile\n#: after a", "there is no stage a"),
        ("# Tests.\n#: lane compile\n#: after wrong", "wait for each other: wrong → wrong"),
    ],
)
def test_a_head_that_is_wrong_is_told(tmp_path: Path, head: str, complaint: str) -> None:
    (tmp_path / "wrong.sh").write_text(f"#!/bin/sh\n{head}\n")
    with pytest.raises(StageError, match=complaint):
        read_all(tmp_path)


def test_stages_of_different_lanes_run_at_the_same_time_and_those_of_one_do_not(
    make: MakeStage, tmp_path: Path
) -> None:
    _, events, _ = run(
        tmp_path,
        make("clippy", "compile", "sleep 1"),
        make("rust", "compile"),
        make("faults", "tests", "sleep 1"),
    )
    assert set(events[:2]) == {"begin clippy", "begin faults"}
    assert events.index("end clippy") < events.index("begin rust")


def test_what_is_alone_waits_for_all_others_and_nothing_runs_beside_it(
    make: MakeStage, tmp_path: Path
) -> None:
    _, events, _ = run(
        tmp_path,
        make("bench", "alone"),
        make("soak", "alone"),
        make("rust", "compile", "sleep 0.5"),
        make("late", "tests", after=("rust",)),
    )
    assert events[:4] == ["begin rust", "end rust", "begin late", "end late"]
    assert events[4:] == ["begin bench", "end bench", "begin soak", "end soak"]


def test_what_others_wait_for_comes_first(make: MakeStage, tmp_path: Path) -> None:
    _, events, _ = run(
        tmp_path,
        make("clippy", "compile", minutes=20),
        make("wheel", "compile"),
        make("failpoints", "compile", first=True),
        make("python", "tests", after=("wheel",)),
        make("faults", "tests", after=("failpoints",)),
    )
    begun = [event for event in events if event.split()[1] in ("clippy", "wheel", "failpoints")]
    assert begun[0:5:2] == ["begin failpoints", "begin wheel", "begin clippy"]


def test_a_lane_is_kept_for_what_others_wait_for(make: MakeStage, tmp_path: Path) -> None:
    _, events, _ = run(
        tmp_path,
        make("fuzz", "compile", minutes=20),
        make("tools", "light"),
        make("wheel", "compile", after=("tools",)),
        make("python", "tests", after=("wheel",)),
    )
    begun = [event for event in events if event.startswith("begin")]
    assert begun[:2] == ["begin tools", "begin wheel"]


def test_a_failure_shows_its_log_and_skips_only_what_needs_it(
    make: MakeStage, tmp_path: Path
) -> None:
    results, events, told = run(
        tmp_path,
        make("wheel", "compile", "echo what went wrong; false"),
        make("python", "tests", after=("wheel",)),
        make("clippy", "compile"),
    )
    assert {name: result.state for name, result in results.items()} == {
        "wheel": "failed",
        "python": "skipped",
        "clippy": "passed",
    }
    assert "wheel | what went wrong" in told
    assert "begin python" not in events


def test_a_stage_that_cannot_run_here_says_why_and_is_no_failure(
    make: MakeStage, tmp_path: Path
) -> None:
    results, _, _ = run(
        tmp_path,
        make("fuzz", "compile", "echo there is no compiler; (exit 77)"),
        make("after", "tests", after=("fuzz",)),
    )
    assert (results["fuzz"].state, results["fuzz"].reason) == ("left out", "there is no compiler")
    assert results["after"].state == "left out"


def test_a_stage_that_takes_too_long_is_ended_with_all_that_it_started(
    make: MakeStage, tmp_path: Path
) -> None:
    began = time.monotonic()
    results, _, _ = run(
        tmp_path,
        make("hangs", "tests", f"sleep 600 & echo $! > {tmp_path}/child; wait", minutes=0.01),
    )
    assert results["hangs"].state == "failed"
    assert "longer than 0.01 minutes" in results["hangs"].reason
    assert time.monotonic() - began < 60
    child = int((tmp_path / "child").read_text())
    stat = Path(f"/proc/{child}/stat")
    assert not stat.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] == "Z"


def test_processor_time_of_children_counts(make: MakeStage, tmp_path: Path) -> None:
    code = "import time\nwhile time.process_time() < 0.3: pass"
    results, _, _ = run(tmp_path, make("busy", "compile", f"{sys.executable} -c '{code}'"))
    assert results["busy"].cpu >= 0.3
    assert results["busy"].wall >= 0.3


def test_the_table_has_a_line_for_each_stage() -> None:
    lines = table([Result("rust", "passed", 0, 65.9, 120), Result("wheel", "failed", reason="why")])
    assert lines[1].split() == ["rust", "passed", "1:05", "2:00"]
    assert lines[2].split() == ["wheel", "failed", "0:00", "0:00", "why"]


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--list"], 0, "only if named"),
        (["nothing"], 2, "there is no stage nothing, only: "),
        (["--quick", "rust"], 2, "exclude each other"),
    ],
)
def test_the_command_line(arguments: list[str], status: int, said: str) -> None:
    done = subprocess.run(
        [ROOT / "scripts" / "test", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == status, done.stderr
    assert said in done.stdout + done.stderr
