"""Writes results as JSON, and as Markdown tables with ratios."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

from hosts import HOSTS, is_installed, version_of
from scenarios import SCENARIOS


@dataclass
class Record:
    """One measurement of one contender."""

    scenario: str
    label: str
    round: int
    figures: dict[str, float]
    failed: str | None


#: The medians of the figures, by scenario and contender.
Summary = dict[str, dict[str, dict[str, float]]]


def line(record: Record, took: float) -> str:
    if record.failed:
        told = f"failed: {record.failed.strip().splitlines()[0]}"
    else:
        told = ", ".join(f"{name} {number(value)}" for name, value in record.figures.items())
    return f"{record.scenario:12} {record.label:32} {told} ({took:.0f} s)"


def number(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def summarise(records: list[Record]) -> Summary:
    summary: Summary = {}
    for record in records:
        if not record.failed:
            of_scenario = summary.setdefault(record.scenario, {})
            of_scenario.setdefault(record.label, {})
    for scenario, labels in summary.items():
        for label, figures in labels.items():
            mine = [r for r in records if (r.scenario, r.label) == (scenario, label)]
            good = [record.figures for record in mine if not record.failed]
            for name in good[0]:
                figures[name] = statistics.median(found[name] for found in good)
    return summary


def machine() -> dict[str, str]:
    def field(path: str, key: str) -> str:
        for found in Path(path).read_text().splitlines():
            if found.startswith(key):
                return found.partition(":")[2].strip()
        return "?"

    return {
        "processor": field("/proc/cpuinfo", "model name"),
        "cores": str(os.cpu_count()),
        "memory": field("/proc/meminfo", "MemTotal"),
        "system": platform.platform(),
        "Python": platform.python_version(),
    }


def table(scenario: str, labels: dict[str, dict[str, float]]) -> str:
    about = SCENARIOS[scenario]
    names = list(next(iter(labels.values())))
    compared = about.baseline_of(list(labels))
    baseline = labels.get(compared or "", {})
    rows = [
        f"### {about.title}",
        "",
        "| | " + " | ".join(names) + " |",
        "|---|" + "---:|" * len(names),
    ]
    for label, figures in labels.items():
        cells = []
        for name in names:
            value = figures.get(name)
            base = baseline.get(name)
            if value is None:
                cells.append("–")
            elif base and label != compared and base > 0 and value > 0:
                cells.append(f"{number(value)} ({number(value / base)}×)")
            else:
                cells.append(number(value))
        rows.append(f"| {label} | " + " | ".join(cells) + " |")
    rows.append("")
    if compared and len(labels) > 1:
        rows += [f"In brackets: the ratio to {compared}.", ""]
    return "\n".join(rows)


def write(args: argparse.Namespace, records: list[Record], summary: Summary) -> None:
    versions = {
        host.name: version_of(args.venvs, host)
        for host in HOSTS.values()
        if is_installed(args.venvs, host)
    }
    about = {
        "made": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions,
        "rounds": args.rounds,
        "seconds": args.seconds,
    }
    whole = {**about, "medians": summary, "measurements": [asdict(record) for record in records]}
    (args.out / "results.json").write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n")
    lines = [f"Medians of {args.rounds} rounds of {args.seconds:g} s, made {about['made']}."]
    lines += [f"- {name}: {value}" for name, value in machine().items()]
    lines.append("- " + ", ".join(f"{name} {version}" for name, version in versions.items()))
    failures = [r for r in records if r.failed]
    lines += [f"- failed: {line(record, 0)}" for record in failures]
    tables = [table(scenario, labels) for scenario, labels in summary.items()]
    (args.out / "results.md").write_text("\n".join(lines) + "\n\n" + "\n".join(tables))
