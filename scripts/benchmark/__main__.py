"""Runs the scenarios in interleaved rounds and writes the results; `scripts/bench` starts it."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import charts
import load
import report
from hosts import HOSTS, OURS, is_installed
from measures import Task
from scenarios import QUICK, SCENARIOS, Scenario


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument(
        "--rounds", type=int, default=3, help="measurements of each server (%(default)s)"
    )
    parser.add_argument(
        "--seconds", type=float, default=5, help="length of a measurement (%(default)s)"
    )
    parser.add_argument("--only", nargs="+", metavar="SCENARIO", help="only these scenarios")
    parser.add_argument("--hosts", nargs="+", metavar="HOST", help="only these servers and ours")
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    parser.add_argument("--venvs", type=Path, required=True, help="folder of the environments")
    parser.add_argument("--quick", action="store_true", help="only check that it works")
    args = parser.parse_args()
    for given, known in [(args.only, SCENARIOS), (args.hosts, HOSTS)]:
        if unknown := [name for name in given or [] if name not in known]:
            parser.error(f"unknown: {', '.join(unknown)}; there are: {', '.join(known)}")
    if args.quick:
        args.rounds = 1
    return args


def chosen(args: argparse.Namespace) -> list[Scenario]:
    names = args.only or (QUICK if args.quick else SCENARIOS)
    return [SCENARIOS[name] for name in names]


def main() -> int:
    args = parse()
    if not load.available():
        print("h2load is needed; on Debian: apt-get install nghttp2-client", file=sys.stderr)
        return 1
    records: list[report.Record] = []
    for scenario in chosen(args):
        taking_part = [
            contender
            for contender in scenario.contenders
            if (not args.hosts or contender.host in [OURS, *args.hosts])
            and is_installed(args.venvs, HOSTS[contender.host])
        ]
        # In turn, so that other load on the machine affects all of them alike.
        for number in range(args.rounds):
            for contender in taking_part:
                with tempfile.TemporaryDirectory(prefix="bench-") as folder:
                    task = Task(scenario, contender, args.seconds, args.venvs, Path(folder) / "b")
                    began = time.monotonic()
                    figures, failed = {}, None
                    try:
                        figures = scenario.measure(task)
                    except (RuntimeError, OSError) as error:
                        failed = str(error)
                    record = report.Record(
                        scenario.name, contender.label, number + 1, figures, failed
                    )
                records.append(record)
                print(report.line(record, time.monotonic() - began), flush=True)
    args.out.mkdir(parents=True, exist_ok=True)
    summary = report.summarise(records)
    report.write(args, records, summary)
    charts.draw(args.out, summary)
    print((args.out / "results.md").read_text())
    broken = [record for record in records if record.failed and record.label.startswith(OURS)]
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
