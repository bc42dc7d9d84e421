"""Our check of predictions beside the validator of label-studio-sdk: 10,000 regions over all control tags.

Every region on which the two differ belongs to a row of `prediction_disagreements`, which says whom we
follow and why; docs/predictions.md tells users the same.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
import requests
from backends import Backend
from generated_regions import CONFIG, DATA, RIGHT, Region, regions
from label_studio_sdk.label_interface import LabelInterface
from label_studio_sdk.label_interface.control_tags import _TAG_TO_CLASS
from playing import StartOurs
from prediction_disagreements import DISAGREEMENTS, Disagreement, Found, Verdicts

COUNT = 10_000
SEED = 20_240_601
PINNED = "2.1.2"
#: Findings of an answer are kept up to a number, so few regions go in one.
AT_ONCE = 16
PAGE = Path(__file__).resolve().parents[2] / "docs" / "predictions.md"
MODEL = Path(__file__).parent / "models" / "given_regions.py"

Judge = Callable[[list[Region]], list[Verdicts]]


@pytest.fixture(scope="module")
def judge(start_ours: StartOurs) -> Iterator[Judge]:
    """Return what both say of regions."""
    ours = start_ours(MODEL, "--strict")
    interface = LabelInterface(CONFIG)
    session = requests.Session()

    def verdicts(asked: list[Region]) -> list[Verdicts]:
        made = []
        for start in range(0, len(asked), AT_ONCE):
            part = asked[start : start + AT_ONCE]
            told = our_findings(ours, session, part)
            made += [
                Verdicts(region, tuple(told[index]), tuple(their_errors(interface, region)))
                for index, region in enumerate(part)
            ]
        return made

    yield verdicts
    session.close()


def our_findings(
    ours: Backend, session: requests.Session, part: list[Region]
) -> dict[int, list[Found]]:
    tasks = [{"id": n, "data": {**DATA, "region": region}} for n, region in enumerate(part)]
    body = {"tasks": tasks, "project": "1.1", "label_config": CONFIG}
    answer = session.post(f"{ours.service.url}/predict", json=body, timeout=60)
    told: dict[int, list[Found]] = defaultdict(list)
    if answer.status_code == 200:
        return told
    result = answer.json()["result"]
    assert result["total"] == len(result["findings"])
    for finding in result["findings"]:
        place = re.fullmatch(r"results\[(\d+)\]\.result\[0\]\.?(.*)", finding["path"])
        assert place, finding
        told[int(place[1])].append((finding["cause"], place[2]))
    return told


def their_errors(interface: LabelInterface, region: Region) -> list[str]:
    try:
        errors: list[str] = interface.validate_region(
            region, return_errors=True, context={"result": [region], "region": region}
        )
    except Exception as error:  # the package itself fails on some regions
        return [f"Error validating: {error!r}"]
    return errors


def row_of(verdicts: Verdicts) -> Disagreement | None:
    return next(
        (
            row
            for row in DISAGREEMENTS
            if row.is_told == bool(verdicts.ours) and row.recognises(verdicts)
        ),
        None,
    )


def test_the_package_is_the_one_that_the_rows_are_about() -> None:
    assert version("label-studio-sdk") == PINNED


def test_every_control_tag_of_the_package_is_generated() -> None:
    generated = {control.tag.lower() for control in LabelInterface(CONFIG).controls}
    assert set(_TAG_TO_CLASS) - generated == {"relations"}, "which has no regions"


def test_right_regions_are_right(judge: Judge) -> None:
    assert [(each.region, each.ours) for each in judge(RIGHT) if each.ours] == []


def test_every_difference_has_a_row(judge: Judge) -> None:
    both = judge(list(regions(COUNT, SEED)))
    assert len(both) == COUNT
    different = [each for each in both if bool(each.ours) != bool(each.theirs)]
    unknown = [each for each in different if row_of(each) is None]
    assert unknown[:5] == []
    # Both judge: neither accepts or refuses nearly all.
    accepted = sum(not each.ours and not each.theirs for each in both)
    refused = sum(bool(each.ours and each.theirs) for each in both)
    assert accepted > COUNT // 5
    assert refused > COUNT // 5
    seen = {id(row_of(each)) for each in different}
    assert [row.what for row in DISAGREEMENTS if id(row) not in seen] == []


@pytest.mark.parametrize("row", DISAGREEMENTS, ids=[row.what for row in DISAGREEMENTS])
def test_the_two_differ_on_the_example_of_a_row(judge: Judge, row: Disagreement) -> None:
    [both] = judge([row.example])
    assert bool(both.ours) == row.is_told, both
    assert bool(both.theirs) != row.is_told, both
    assert row.recognises(both), both


def test_users_read_the_same_rows() -> None:
    told, accepted = "tells it", "accepts it"
    rows = re.findall(
        r"^\| (.+?) \| (tells it|accepts it) \| (.+?) \|$",
        PAGE.read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    expected = [(row.what, told if row.is_told else accepted, row.why) for row in DISAGREEMENTS]
    assert rows == expected
