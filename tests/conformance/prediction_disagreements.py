"""Where the check of predictions and label-studio-sdk 2.1.2 judge a region differently, and whom we follow.

The package validates predictions when they are imported.  What a model returns is not validated by it:
Label Studio stores that as it is, and its editor shows it or not, so the check follows the editor.  Each
row has a region that shows the difference, and says how a generated one is recognised.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from generated_regions import RIGHT, Region

#: A cause of ours and its path in the region.
Found = tuple[str, str]


@dataclass(frozen=True)
class Verdicts:
    """What both say of a region; nothing if it is right."""

    region: Region
    ours: tuple[Found, ...]
    theirs: tuple[str, ...]

    @property
    def value(self) -> dict[str, Any]:
        value = self.region.get("value")
        return value if isinstance(value, dict) else {}

    def at(self, path: str) -> Any:
        """The value at a path in the region; None if there is none."""
        found: Any = self.region
        for step in re.findall(r"[^.\[\]]+", path):
            try:
                found = found[int(step)] if isinstance(found, list) else found[step]
            except (KeyError, IndexError, TypeError, ValueError):
                return None
        return found

    def says(self, text: str) -> bool:
        return any(text in error for error in self.theirs)

    @property
    def by_value(self) -> bool:
        """The package refuses the value, and says nothing else."""
        return bool(self.theirs) and all(
            "Invalid" in error or "Error validating" in error for error in self.theirs
        )


@dataclass(frozen=True)
class Disagreement:
    """One kind of difference: what of a region, what Label Studio does, and a region that shows it."""

    what: str
    why: str
    example: Region
    is_told: bool
    """We tell it and the package accepts it; otherwise the other way round."""
    recognises: Callable[[Verdicts], bool]


def _right(from_name: str, kind: str | None = None) -> Region:
    return next(
        region
        for region in RIGHT
        if region["from_name"] == from_name and (kind is None or region["type"] == kind)
    )


def _with(region: Region, value: dict[str, Any] | None = None, **members: Any) -> Region:
    changed = {**region, **members}
    return changed if value is None else {**changed, "value": {**region["value"], **value}}


def _without(region: Region, *keys: str) -> Region:
    value = {key: member for key, member in region["value"].items() if key not in keys}
    return {**region, "value": value}


def _told(cause: str, *paths: str) -> Callable[[Verdicts], bool]:
    """All that we tell has this cause; `paths` are patterns of where."""

    def recognises(verdicts: Verdicts) -> bool:
        return any(
            found == cause and (not paths or any(re.fullmatch(path, at) for path in paths))
            for found, at in verdicts.ours
        )

    return recognises


def _told_of(kinds: type | tuple[type, ...], *paths: str) -> Callable[[Verdicts], bool]:
    """A value of these types has the wrong type for us."""

    def recognises(verdicts: Verdicts) -> bool:
        return any(
            cause == "wrong-value"
            and isinstance(verdicts.at(path), kinds)
            and any(re.fullmatch(pattern, path) for pattern in paths)
            for cause, path in verdicts.ours
        )

    return recognises


_LABEL_KEYS = re.compile(r"(\w*labels|choices)")


def _labels(value: dict[str, Any]) -> Iterable[Any]:
    for key, found in value.items():
        if _LABEL_KEYS.fullmatch(key) and isinstance(found, list):
            yield from found


def _numbers(value: Any) -> Iterable[float]:
    if isinstance(value, dict):
        for key, member in value.items():
            if key not in ("rle", "rotation"):
                yield from _numbers(member)
    elif isinstance(value, list):
        for item in value:
            yield from _numbers(item)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield value


_SHAPE = (
    r"value\.(sequence\[\d+\]\.)?(x|y|width|height|radiusX|radiusY|points.*|vertices.*|sequence.*)"
)
_VIDEO = ("videorectangle", "videovector", "videovectorlabels", "videolabels")

DISAGREEMENTS = (
    # What we tell and the package accepts.
    Disagreement(
        "a `type` in upper case",
        "the editor knows types in lower case only, and fails on another",
        _with(_right("choices"), type="CHOICES"),
        True,
        _told("unknown-type", "type"),
    ),
    Disagreement(
        "a shape wholly outside of the image, or in pixels",
        "the package knows no lower bound, and none for vectors and documents",
        _with(_right("rectangle"), {"x": -30}),
        True,
        _told("out-of-range", _SHAPE),
    ),
    Disagreement(
        "a span that ends before it begins, or begins before 0",
        "the editor highlights nothing",
        _with(_right("textlabels"), {"start": 9, "end": 4}),
        True,
        lambda verdicts: (
            _told("empty-span")(verdicts) or _told("out-of-range", r"value\.(start|end)")(verdicts)
        ),
    ),
    Disagreement(
        "a span beyond its text, or with another `text`",
        "the package does not see the task; the editor highlights other words",
        _with(_right("textlabels"), {"end": 99}),
        True,
        lambda verdicts: _told("beyond-text")(verdicts) or _told("other-text")(verdicts),
    ),
    Disagreement(
        "an `item_index` that the task does not have",
        "the package does not look at it; the editor shows the region on no item, or fails",
        _with(_right("peritem"), item_index=7),
        True,
        lambda verdicts: (
            _told("item-index")(verdicts) or _told("wrong-value", "item_index")(verdicts)
        ),
    ),
    Disagreement(
        "a mask without `original_width` or `original_height`",
        "the package validates the value only; its own converter fails without them",
        {key: member for key, member in _right("brush").items() if key != "original_width"},
        True,
        _told("image-size"),
    ),
    Disagreement(
        "a `format` of a mask other than `rle`",
        "the package takes any text; the bytes are decoded as `rle` whatever it says",
        _with(_right("brush"), {"format": "coco"}),
        True,
        _told("wrong-value", r"value\.format"),
    ),
    Disagreement(
        "a number beyond `min` or `max` of its tag",
        "the package does not compare; the editor does not let a person submit it",
        _with(_right("number"), {"number": 60}),
        True,
        _told("out-of-range", r"value\.number"),
    ),
    Disagreement(
        "a date that is not one",
        "the package takes any text; the editor shows no date",
        _with(_right("datetime"), {"datetime": "tomorrow"}),
        True,
        _told("wrong-value", r"value\.datetime"),
    ),
    Disagreement(
        "ends of a span in another form than the object tag writes",
        "the package takes numbers and texts for every tag; the editor takes paths for markup, numbers of"
        " paragraphs as texts, whole characters, and seconds",
        _with(_right("paragraphlabels"), {"start": 0}),
        True,
        lambda verdicts: any(
            cause in ("wrong-value", "missing-key")
            and re.fullmatch(r"value\.(start|end)(Offset)?", path)
            for cause, path in verdicts.ours
        ),
    ),
    Disagreement(
        "a side of a pair other than `left` and `right`",
        "the package takes any text, the editor fails on it",
        _with(_right("pairwise"), {"selected": "none"}),
        True,
        _told("wrong-value", r"value\.selected"),
    ),
    Disagreement(
        "an empty list of points or frames",
        "the editor draws nothing",
        _with(_right("polygon"), {"points": []}),
        True,
        _told_of(list, r"value\.(points|vertices|sequence.*)"),
    ),
    Disagreement(
        "a keypoint without `width`",
        "the editor takes it for a keypoint only with it",
        _without(_right("keypoint"), "width"),
        True,
        lambda verdicts: (
            _told("missing-key", r"value\.width")(verdicts)
            or _told("wrong-value", r"value\.width")(verdicts)
        ),
    ),
    Disagreement(
        "a range of frames with a fraction",
        "the editor fails on it",
        _with(_right("timelinelabels"), {"ranges": [{"start": 1, "end": 2.5}]}),
        True,
        _told("wrong-value", r"value\.ranges.*"),
    ),
    Disagreement(
        "a member of the value that the package does not know, in a wrong type",
        "the editor reads `text`, `channel`, `rotation` and the like of every value, and fails on another type",
        _with(_right("audiolabels"), {"channel": "left"}),
        True,
        _told("wrong-value", r"value\.(text|channel|rotation|closed|instant)"),
    ),
    Disagreement(
        "a label that the `Labels` tag beside a `VideoRectangle` or `VideoVector` does not have",
        "the package does not know that the two belong together",
        _with(_right("videorectangle"), {"labels": ["Bird"]}),
        True,
        _told("unknown-label", r"value\.labels.*"),
    ),
    Disagreement(
        "`labels` of a track that are null",
        "the package writes that itself for a track without labels; the editor fails on it",
        _with(_right("videorectangle"), {"labels": None}),
        True,
        lambda verdicts: (
            _told("wrong-value", r"value\.labels")(verdicts) and verdicts.at("value.labels") is None
        ),
    ),
    Disagreement(
        'a number or a flag as a text or a boolean, `"12"`',
        "the package converts it, the editor does not",
        _with(_right("rectangle"), {"x": "12"}),
        True,
        _told_of((str, bool, int, float), r"value\..*"),
    ),
    # What the package refuses and the editor shows.
    Disagreement(
        "the value of a label that has an alias",
        "the package knows the alias only, the editor both",
        _with(_right("choices"), {"choices": ["Dog"]}),
        False,
        lambda verdicts: verdicts.by_value and "Dog" in list(_labels(verdicts.value)),
    ),
    Disagreement(
        "tags within a Repeater",
        "the package does not know that `box_0` is `box_{{i}}`",
        _right("box_0"),
        False,
        lambda verdicts: verdicts.says("'from_name' 'box_"),
    ),
    Disagreement(
        "the labels of a shape whose own region is not beside it",
        "the package wants both in one prediction; the editor draws the shape from either",
        _right("imagelabels", "labels"),
        False,
        lambda verdicts: (
            verdicts.by_value
            and verdicts.region["from_name"] == "imagelabels"
            and verdicts.region["type"] == "labels"
        ),
    ),
    Disagreement(
        "a path of nested choices",
        "the package fails on it, the editor shows it",
        _with(_right("choices"), {"choices": [["Cat"]]}),
        False,
        lambda verdicts: (
            verdicts.by_value and any(isinstance(label, list) for label in _labels(verdicts.value))
        ),
    ),
    Disagreement(
        "a shape that sticks out of the image",
        "the package wants every number up to 100; the editor draws it up to the edge",
        _with(_right("rectangle"), {"width": 101}),
        False,
        lambda verdicts: verdicts.by_value and any(n > 50 for n in _numbers(verdicts.value)),
    ),
    Disagreement(
        "`to_name` of a Pairwise or a Ranker that is the tag itself",
        "the package writes that itself and refuses it; the editor takes both",
        _with(_right("pairwise"), to_name="pairwise"),
        False,
        lambda verdicts: (
            verdicts.says("'to_name' 'pairwise'") or verdicts.says("'to_name' 'ranker'")
        ),
    ),
    Disagreement(
        "the type of the plain shape, or of the shape with labels for a mask",
        "the package wants the name of the tag; the editor draws both",
        _with(_right("rectanglelabels"), type="rectangle"),
        False,
        lambda verdicts: verdicts.says("does not match expected type"),
    ),
    Disagreement(
        "a ranking as a list, or with ids that are not texts",
        "the package wants a dict of lists of texts; the editor looks items up by any key",
        _with(_right("ranker"), {"ranker": ["a", "b"]}),
        False,
        lambda verdicts: verdicts.by_value and verdicts.region["from_name"] == "ranker",
    ),
    Disagreement(
        "a rotation of more than one turn",
        "the package wants at most 360; the editor turns it as it is",
        _with(_right("rectangle"), {"rotation": 370}),
        False,
        lambda verdicts: verdicts.by_value and (verdicts.value.get("rotation") or 0) > 360,
    ),
    Disagreement(
        "a rating with a fraction",
        "the package wants a whole number, the editor any",
        _with(_right("rating"), {"rating": 2.5}),
        False,
        lambda verdicts: verdicts.by_value and isinstance(verdicts.value.get("rating"), float),
    ),
    Disagreement(
        "a text of a TextArea that is not in a list",
        "the editor takes both",
        _with(_right("textarea"), {"text": "hello"}),
        False,
        lambda verdicts: verdicts.by_value and isinstance(verdicts.value.get("text"), str),
    ),
    Disagreement(
        "a span of a time series without `instant`",
        "for the editor it is false then",
        _without(_right("timeserieslabels"), "instant"),
        False,
        lambda verdicts: (
            verdicts.by_value
            and verdicts.region["from_name"] == "timeserieslabels"
            and "instant" not in verdicts.value
        ),
    ),
    Disagreement(
        "the labels of a VideoVectorLabels under its own name",
        "the package wants `labels`; the editor writes `videovectorlabels`",
        _with(_without(_right("videovectorlabels"), "labels"), {"videovectorlabels": ["Cat"]}),
        False,
        lambda verdicts: (
            verdicts.by_value
            and verdicts.region["from_name"] == "videovectorlabels"
            and "labels" not in verdicts.value
        ),
    ),
    Disagreement(
        "a track without `framesCount`, `duration` or `time`, or with other types of them",
        "the editor reads none of them: it asks the video",
        _without(_right("videorectangle"), "framesCount"),
        False,
        lambda verdicts: verdicts.by_value and verdicts.region["from_name"] in _VIDEO,
    ),
    Disagreement(
        "ids and curves of the points of a vector in other types",
        "the editor keeps whatever points have besides `x` and `y`",
        _with(_right("vector"), {"vertices": [{"x": 1, "y": 2, "id": 7}]}),
        False,
        lambda verdicts: verdicts.by_value and "vertices" in verdicts.value,
    ),
    Disagreement(
        "a shape merged with a Labels tag, and an empty list of labels",
        "the editor draws it without a label",
        _with(_right("imagelabels", "rectanglelabels"), {"rectanglelabels": []}),
        False,
        lambda verdicts: (
            verdicts.by_value
            and verdicts.region["from_name"] in ("imagelabels", "videolabels")
            and verdicts.value.get(verdicts.region["type"], verdicts.value.get("labels")) == []
        ),
    ),
)
