"""What the rules take for a date, an amount of money and an e-mail address, and what not."""

from __future__ import annotations

import time

import pytest
from rules import find


def found(text: str, label: str) -> list[str]:
    return [text[start:end] for start, end, _ in find(text, [label])]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2025-07-31T10:00", []),
        ("until 2025-07-31.", ["2025-07-31"]),
        ("15/04/2025 and 1.2.25", ["15/04/2025", "1.2.25"]),
        ("mixed 15/04.2025", []),
        ("on March 3, 2025, or 3rd March", ["March 3, 2025", "3rd March"]),
        ("12 Sept. 2024", ["12 Sept. 2024"]),
        ("12 Marching bands, 5 Maybes", []),
        ("version 1.2.3456789", []),
    ],
)
def test_dates(text: str, expected: list[str]) -> None:
    assert found(text, "Date") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$1,500.50, please", ["$1,500.50"]),
        ("EUR 30 or 25 pounds", ["EUR 30", "25 pounds"]),
        ("€ 2.4 million now", ["€ 2.4 million"]),
        ("40,000 euros", ["40,000 euros"]),
        ("12 m from the wall, 30 poundsworth", []),
    ],
)
def test_money(text: str, expected: list[str]) -> None:
    assert found(text, "PRICE") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<ada.b+x@mail.example.org>.", ["ada.b+x@mail.example.org"]),
        ("jörg@müller.example", ["jörg@müller.example"]),
        ("ada@localhost, @ada, ada@", []),
    ],
)
def test_email(text: str, expected: list[str]) -> None:
    assert found(text, "e-mail address") == expected


@pytest.mark.parametrize("label", ["Date", "Money", "E-mail"])
@pytest.mark.parametrize("text", ["a." * 20_000, "1," * 20_000, "a@" + "b." * 20_000])
def test_long_lines_do_not_take_long(text: str, label: str) -> None:
    start = time.monotonic()
    found(text, label)
    assert time.monotonic() - start < 5
