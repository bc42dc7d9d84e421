"""How an answer becomes a choice."""

from __future__ import annotations

import pytest
from model import match

LABELS = ["Positive", "Negative", "Mixed", "positive?", "Très bon"]


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("Positive", "Positive"),
        ("positive?", "positive?"),
        ("NEGATIVE", "Negative"),
        (' "Mixed." ', "Mixed"),
        ("- **Negative**:", "Negative"),
        ("TRÈS BON!", "Très bon"),
        ("Negatve", "Negative"),
        ("Not negative", None),
        ("The answer is Negative", None),
        ("Neutral", None),
        ("", None),
        ("...", None),
    ],
)
def test_match(answer: str, label: str | None) -> None:
    assert match(answer, LABELS)[0] == label


def test_the_score_says_how_alike_they_are() -> None:
    assert match("mixed", LABELS)[1] == 1.0
    assert 0.85 <= match("Negatve", LABELS)[1] < 1.0
    assert match("Neutral", LABELS)[1] == 0.0


def test_no_labels() -> None:
    assert match("Positive", []) == (None, 0.0)
