"""Draws a chart for each scenario."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from hosts import OURS
from matplotlib import pyplot
from report import Summary, number
from scenarios import SCENARIOS


def draw(folder: Path, summary: Summary) -> None:
    for scenario, labels in summary.items():
        about = SCENARIOS[scenario]
        shown = {label: figures[about.chart] for label, figures in labels.items()}
        names, values = list(reversed(shown)), list(reversed(shown.values()))
        colours = ["#2a7f62" if name.startswith(OURS) else "#9aa5b1" for name in names]
        figure, axes = pyplot.subplots(figsize=(7, 0.8 + 0.35 * len(names)))
        bars = axes.barh(names, values, color=colours)
        axes.bar_label(bars, [number(value) for value in values], padding=3, fontsize=8)
        axes.set_title(about.title, fontsize=10, loc="left")
        better = "more" if about.chart in about.more_is_better else "less"
        axes.set_xlabel(f"{about.chart} ({better} is better)", fontsize=8)
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(x=0.12)
        figure.tight_layout()
        figure.savefig(folder / f"{scenario}.png", dpi=110)
        pyplot.close(figure)
