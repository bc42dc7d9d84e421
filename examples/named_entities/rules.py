"""Dates, amounts of money and e-mail addresses: what can be found without any annotation."""

from __future__ import annotations

import re
from collections.abc import Iterator

MONTH = (
    r"(?:Jan(?:uary|\.)?|Feb(?:ruary|\.)?|Mar(?:ch|\.)?|Apr(?:il|\.)?|May|June?|July?"
    r"|Aug(?:ust|\.)?|Sept?(?:ember|\.)?|Oct(?:ober|\.)?|Nov(?:ember|\.)?|Dec(?:ember|\.)?)"
)
# Never from the middle of a number, or a long line of digits and commas would take for ever.
AMOUNT = r"(?<!\d)(?<!\d[.,])\d+(?:[.,]\d+)*(?:\s?(?:thousand|million|billion|bn|m|k)\b)?"

# Names that a label may have (compared in lower case, letters only) -> what it stands for.
RULES: list[tuple[set[str], re.Pattern[str]]] = [
    (
        {"date", "dates", "day"},
        re.compile(
            r"\b\d{4}-\d{2}-\d{2}\b"
            r"|\b\d{1,2}([./])\d{1,2}\1(?:\d{4}|\d{2})\b"
            rf"|\b\d{{1,2}}(?:st|nd|rd|th)?\s{MONTH}(?:\s\d{{4}}\b)?(?!\w)"
            rf"|\b{MONTH}\s\d{{1,2}}(?:st|nd|rd|th)?\b(?:,?\s\d{{4}}\b)?"
        ),
    ),
    (
        {"money", "amount", "price", "cost"},
        re.compile(
            rf"(?:[$€£¥]|\b(?:USD|EUR|GBP|CHF|JPY))\s?{AMOUNT}"
            rf"|\b{AMOUNT}\s?(?:[$€£¥]|(?:USD|EUR|GBP|CHF|JPY|dollars?|euros?|pounds?|yen)\b)"
        ),
    ),
    (
        {"email", "mail", "emailaddress"},
        # Bounded for the same reason.
        re.compile(r"\b[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}\b"),
    ),
]


def find(text: str, labels: list[str]) -> Iterator[tuple[int, int, str]]:
    """Yield (start, end, label) for every match of a rule that one of the labels stands for."""
    for names, pattern in RULES:
        label = next((name for name in labels if _plain(name) in names), None)
        if label is not None:
            for match in pattern.finditer(text):
                yield match.start(), match.end(), label


def _plain(label: str) -> str:
    return "".join(filter(str.isalpha, label)).lower()
