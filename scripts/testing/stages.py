"""Reads the stages of the tests from the heads of the files in scripts/stages.

A stage is a program in scripts/stages. The comment at its top says in one line what it does, and after `#:`
how it runs:

    # One line for `scripts/test --list`.
    #: lane compile      stages of one lane run one after the other (see `LANES`)
    #: after wheel       stages that must have succeeded before it
    #: minutes 20        a stage that takes longer is ended and fails
    #: first             comes before other stages of its lane, since many stages wait for it
    #: by hand           runs only if it is named
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

#: The lanes, with the stages that run in each.
LANES = {
    "light": "small stages, and those that wait for the network",
    "compile": "stages that keep the processors busy",
    "tests": "stages that mostly wait for servers that they started",
    "alone": "stages that measure, or fill shared memory or disks: nothing else runs meanwhile",
}


class StageError(Exception):
    """A stage that does not exist, or a head that cannot be read."""


@dataclass(frozen=True)
class Stage:
    """A program in scripts/stages."""

    path: Path
    summary: str
    lane: str
    after: tuple[str, ...] = field(default=())
    minutes: float = 15
    first: bool = False
    by_hand: bool = False

    @property
    def name(self) -> str:
        return self.path.stem


def read(path: Path) -> Stage:
    """Read the head of one stage."""
    comments = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        comments.append(line)
    texts = [line.removeprefix("# ") for line in comments if line.startswith("# ")]
    if not texts:
        raise StageError(f"{path}: no line says what the stage does")
    settings: dict[str, list[str]] = {}
    for line in comments:
        if line.startswith("#: "):
            key, *values = line.removeprefix("#: ").split()
            settings[key] = values
    if unknown := settings.keys() - {"lane", "after", "minutes", "first", "by"}:
        raise StageError(f"{path}: unknown settings: {', '.join(sorted(unknown))}")
    lane = " ".join(settings.get("lane", []))
    if lane not in LANES:
        raise StageError(f"{path}: lane {lane!r} is not one of {', '.join(LANES)}")
    return Stage(
        path=path,
        summary=texts[0],
        lane=lane,
        after=tuple(settings.get("after", [])),
        minutes=float(settings.get("minutes", ["15"])[0]),
        first="first" in settings,
        by_hand="by" in settings,
    )


def read_all(folder: Path) -> dict[str, Stage]:
    """Read all stages, by name; a stage comes after those that it needs."""
    found = {stage.name: stage for stage in map(read, sorted(folder.glob("*.sh")))}
    for stage in found.values():
        if missing := set(stage.after) - found.keys():
            raise StageError(f"{stage.path}: there is no stage {', '.join(sorted(missing))}")
    return with_needs(found, found)


def with_needs(stages: Mapping[str, Stage], wanted: Iterable[str]) -> dict[str, Stage]:
    """Return the stages `wanted` and those that they need, each after those that it needs."""
    chosen: dict[str, Stage] = {}

    def choose(name: str, way: tuple[str, ...]) -> None:
        if name in way:
            raise StageError(f"stages wait for each other: {' → '.join([*way, name])}")
        if name not in stages:
            raise StageError(f"there is no stage {name}, only: {', '.join(sorted(stages))}")
        if name not in chosen:
            for need in stages[name].after:
                choose(need, (*way, name))
            chosen[name] = stages[name]

    for name in wanted:
        choose(name, ())
    return chosen
