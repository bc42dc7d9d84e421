"""Interactive labelling: mark a word once, and all its other occurrences are suggested.

It works with a labelling config that has a Labels control on a Text object. Label Studio sends
the region that the user has just drawn as the context of the request; this backend answers with
a region of the same label for every other place where the text occurs.
"""

from __future__ import annotations

import re
import uuid
from typing import Any

from label_studio_ml.model import LabelStudioMLBase


class SubstringMatcher(LabelStudioMLBase):
    """Finds the text of the user's region in the rest of the task, whatever its case."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def predict(self, tasks: list[dict[str, Any]], **kwargs: Any) -> list[dict[str, Any]]:
        """Return one prediction per task: {"result": [regions], "score": their mean score}.

        kwargs["context"] is {"result": [regions drawn by the user]} in an interactive request. In
        any other request it is missing or None, and the results are empty: without a region there
        is nothing to look for.
        """
        # "or {}", because Label Studio does send "context": null.
        drawn = (kwargs.get("context") or {}).get("result") or []
        return [self._suggest(task, drawn) for task in tasks]

    def _suggest(self, task: dict[str, Any], drawn: list[dict[str, Any]]) -> dict[str, Any]:
        # Characters that have a region already: the user's own, later our suggestions too.
        taken = [(r["value"]["start"], r["value"]["end"]) for r in drawn if is_text_region(r)]
        regions: list[dict[str, Any]] = []
        for region in filter(is_text_region, drawn):
            text = self._text(task, region)
            value = region["value"]
            needle = value.get("text") or text[value["start"] : value["end"]]
            if not needle.strip():  # blanks occur everywhere, nobody wants them all
                continue
            # re.escape: the region may well read "C++" or "(beta)".
            for match in re.finditer(re.escape(needle), text, re.IGNORECASE):
                start, end = match.span()
                if any(start < taken_end and taken_start < end for taken_start, taken_end in taken):
                    continue
                taken.append((start, end))
                regions.append(make_region(region, start, end, match.group(), needle))
        score = sum(region["score"] for region in regions) / len(regions) if regions else 0.0
        return {"result": regions, "score": score}

    def _text(self, task: dict[str, Any], region: dict[str, Any]) -> str:
        """Return the task's text that the region is in, "" if the config does not know it."""
        control = self.parsed_label_config.get(region.get("from_name"), {})
        pairs = zip(control.get("to_name", []), control.get("inputs", []), strict=False)
        for to_name, obj in pairs:
            if to_name == region.get("to_name") and obj["type"] == "Text":
                # The value of the object tag is the key of the text in the task's data.
                return str((task.get("data") or {}).get(obj.get("value")) or "")
        return ""


def is_text_region(region: dict[str, Any]) -> bool:
    """Tell whether a region is a span of characters (a choice or a rating, say, is none)."""
    value = region.get("value") or {}
    return isinstance(value.get("start"), int) and isinstance(value.get("end"), int)


def make_region(
    drawn: dict[str, Any], start: int, end: int, text: str, needle: str
) -> dict[str, Any]:
    """Return a region like the drawn one, for the characters from start up to (not with) end."""
    kind = drawn["type"]  # "labels", which is the key of the labels in the value as well
    same_case = sum(a == b for a, b in zip(text, needle, strict=False))
    return {
        "id": uuid.uuid4().hex[:10],
        "from_name": drawn["from_name"],
        "to_name": drawn["to_name"],
        "type": kind,
        "value": {
            "start": start,
            "end": end,
            "text": text,
            kind: list(drawn["value"].get(kind) or []),
        },
        # 1.0 for an exact copy, less for every letter in the other case
        "score": same_case / len(text),
    }
