"""`scripts/test`: chooses stages, runs them, and records how long each took.

Writes logs and times to target/test. The exit status is 1 if a stage failed, 2 for a wrong command line.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path

from schedule import Result, Schedule, minutes, table
from stages import LANES, Stage, StageError, read_all, with_needs

ROOT = Path(__file__).resolve().parents[2]
STAGES = ROOT / "scripts" / "stages"
OUT = ROOT / "target" / "test"
#: Options that stand for several stages.
GROUPS = {
    "--quick": ["clippy", "rust", "lint", "python-debug"],
    "--e2e": ["e2e-all"],
}


def main() -> int:
    """Run the stages that the command line names."""
    options = parse()
    try:
        stages = read_all(STAGES)
        if options.list:
            print("\n".join(listing(stages)))
            return 0
        wanted = options.stages or [name for name, stage in stages.items() if not stage.by_hand]
        if options.group:
            wanted = GROUPS[options.group]
        chosen = with_needs(stages, wanted)
    except StageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return run(list(chosen.values()))


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="scripts/test", description="Runs the tests.")
    parser.add_argument(
        "stages", nargs="*", metavar="STAGE", help="only these stages and those that they need"
    )
    parser.add_argument("--list", action="store_true", help="list the stages")
    for flag, names in GROUPS.items():
        parser.add_argument(
            flag, dest="group", action="store_const", const=flag, help=f"only {', '.join(names)}"
        )
    options = parser.parse_args()
    if options.group and options.stages:
        parser.error(f"{options.group} and names of stages exclude each other")
    return options


def listing(stages: dict[str, Stage]) -> list[str]:
    """Return the lines that `--list` prints."""
    lines = []
    for lane, what in LANES.items():
        lines.append(f"{lane}: {what}")
        for stage in stages.values():
            if stage.lane == lane:
                by_hand = " (only if named)" if stage.by_hand else ""
                lines.append(f"  {stage.name:18} {stage.summary}{by_hand}")
                if stage.after:
                    lines.append(f"  {'':18} after {', '.join(stage.after)}")
    return lines


def run(stages: list[Stage]) -> int:
    """Run stages, print what happens, record the times."""
    logs = OUT / "logs"
    shutil.rmtree(OUT, ignore_errors=True)
    logs.mkdir(parents=True)
    # Ctrl-C must end the processes of a stage, also if this program runs in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began = time.monotonic()

    def tell(text: str) -> None:
        print(f"[{minutes(time.monotonic() - began):>6}] {text}", flush=True)

    print(f"Logs are in {os.path.relpath(logs)}")
    results = Schedule(stages, logs, tell).run()
    wall = time.monotonic() - began
    print("", *table(results), f"{'':20} {'':9} {minutes(wall):>7}", sep="\n")
    write_times(results, wall, began)
    return int(any(result.state in ("failed", "skipped") for result in results))


def write_times(results: list[Result], wall: float, began: float) -> None:
    """Write the times to a file, for comparing runs."""
    stages = [{**asdict(result), "began": max(0, result.began - began)} for result in results]
    text = json.dumps({"wall": wall, "processors": os.cpu_count(), "stages": stages}, indent=1)
    (OUT / "times.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
