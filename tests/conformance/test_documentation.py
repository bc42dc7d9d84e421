"""docs/compatibility.md tells users the same differences as the tables of the tests.

A row of the page stands for each reason of a difference, and each row about HTTP has a difference
that occurs, or a test of its own.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from differences import DIFFERENCES
from differences_older import OLDER_DIFFERENCES
from differences_recorded import RECORDED_DIFFERENCES
from reasons import ELSEWHERE

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "compatibility.md"

CHECKED = (
    "Predictions and versions",
    "Training",
    "Requests and errors",
    "Older releases",
    "Examples",
)
"""The sections whose every row is tested here.  Of the others some rows are."""


def documented() -> dict[str, list[str]]:
    """The first cells of the rows of the page, by section."""
    sections: dict[str, list[str]] = {}
    cells: list[str] = []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            cells = sections.setdefault(line.removeprefix("## "), [])
        elif line.startswith("| ") and not line.startswith("| |"):
            cells.append(line.removeprefix("| ").partition(" | ")[0])
    return sections


ROWS = documented()
NAMED = {
    cell
    for table in (DIFFERENCES, OLDER_DIFFERENCES, RECORDED_DIFFERENCES)
    for row in table.values()
    for cell in row.reason.documented
}


def test_the_page_has_the_sections() -> None:
    assert not set(CHECKED) - ROWS.keys()


def test_every_reason_is_documented() -> None:
    assert not NAMED - {cell for cells in ROWS.values() for cell in cells}


@pytest.mark.parametrize("section", CHECKED)
def test_every_row_has_a_difference_or_a_test(section: str) -> None:
    rows = ROWS[section]
    assert len(rows) == len(set(rows)), "a row stands there twice"
    assert not set(rows) - NAMED - ELSEWHERE.keys()


@pytest.mark.parametrize("cell", ELSEWHERE)
def test_what_is_tested_elsewhere_is_there(cell: str) -> None:
    assert cell in {cell for cells in ROWS.values() for cell in cells}
    file, _, test = ELSEWHERE[cell].partition("::")
    assert f"def {test}(" in (ROOT / file).read_text(encoding="utf-8")
