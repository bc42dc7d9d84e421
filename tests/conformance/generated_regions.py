"""Regions over all control tags of Label Studio, right ones and ones with mistakes, from a seed.

`CONFIG` has every control tag that label-studio-sdk or Label Studio's editor knows.  `regions` starts
from a region that is right and changes up to two things in it, those that models get wrong: names,
types, keys, labels, numbers.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

Region = dict[str, Any]

_LABELS = '<Label value="Cat"/><Label value="Dog" alias="d"/>'
_ON_IMAGE = ("Rectangle", "Ellipse", "Polygon", "KeyPoint", "Brush", "Bitmask", "Vector")

CONFIG = f"""<View>
<Image name="image" value="$image"/>
{"".join(f'<{tag} name="{tag.lower()}" toName="image"/>' for tag in (*_ON_IMAGE, "MagicWand"))}
{
    "".join(
        f'<{tag}Labels name="{tag.lower()}labels" toName="image">{_LABELS}</{tag}Labels>'
        for tag in (*_ON_IMAGE, "Ocr")
    )
}
<Labels name="imagelabels" toName="image">{_LABELS}</Labels>
<Text name="text" value="$text"/><Labels name="textlabels" toName="text">{_LABELS}</Labels>
<HyperText name="html" value="$html"/><HyperTextLabels name="hypertextlabels" toName="html">{
    _LABELS
}</HyperTextLabels>
<Paragraphs name="talk" value="$talk"/><ParagraphLabels name="paragraphlabels" toName="talk">{
    _LABELS
}</ParagraphLabels>
<TimeSeries name="series" value="$csv"/><TimeSeriesLabels name="timeserieslabels" toName="series">{
    _LABELS
}</TimeSeriesLabels>
<Audio name="audio" value="$audio"/><Labels name="audiolabels" toName="audio">{_LABELS}</Labels>
<Video name="video" value="$video"/><VideoRectangle name="videorectangle" toName="video"/>
<VideoVector name="videovector" toName="video"/>
<VideoVectorLabels name="videovectorlabels" toName="video">{_LABELS}</VideoVectorLabels>
<TimelineLabels name="timelinelabels" toName="video">{_LABELS}</TimelineLabels>
<Labels name="videolabels" toName="video">{_LABELS}</Labels>
<Choices name="choices" toName="text"><Choice value="Cat"/><Choice value="Dog" alias="d"/></Choices>
<Choices name="open" toName="text" value="$options"/>
<Taxonomy name="taxonomy" toName="text"><Choice value="T1"><Choice value="T2"/></Choice></Taxonomy>
<TextArea name="textarea" toName="text"/><Rating name="rating" toName="text" maxRating="3"/>
<Number name="number" toName="text" min="0" max="10"/><DateTime name="datetime" toName="text"/>
<Text name="left" value="$text"/><Text name="right" value="$text"/>
<Pairwise name="pairwise" toName="left,right"/>
<List name="list" value="$items"/><Ranker name="ranker" toName="list"/>
<Repeater on="$pages" indexFlag="{{{{i}}}}"><Image name="page_{{{{i}}}}" value="$pages[{{{{i}}}}]"/>
<RectangleLabels name="box_{{{{i}}}}" toName="page_{{{{i}}}}">{_LABELS}</RectangleLabels></Repeater>
<Image name="many" valueList="$images"/><Choices name="peritem" toName="many"><Choice value="Cat"/></Choices>
<Chat name="chat" value="$messages"/><ReactCode name="form" toName="form" value="$image" outputs="a"/>
</View>"""

TEXT = "John met Mary in Zürich"
DATA = {
    "image": "/i.png",
    "text": TEXT,
    "html": "<p>John met Mary</p>",
    "talk": [{"author": "a", "text": "Hello there"}, {"author": "b", "text": "Bye"}],
    "csv": "/s.csv",
    "audio": "/a.wav",
    "video": "/v.mp4",
    "items": [{"id": "a"}, {"id": "b"}],
    "pages": ["/1.png", "/2.png"],
    "images": ["/1.png", "/2.png"],
    "messages": [],
    "options": [{"value": "x"}],
}

_BOX = {"x": 10, "y": 10.5, "width": 20, "height": 20, "rotation": 0}
_VERTICES = {
    "vertices": [{"x": 1, "y": 2, "id": "a"}, {"x": 3, "y": 4, "id": "b"}],
    "closed": False,
}
_SHAPES: dict[str, Region] = {
    "rectangle": _BOX,
    "ellipse": {"x": 10, "y": 10, "radiusX": 5, "radiusY": 6, "rotation": 0},
    "polygon": {"points": [[1, 2], [3, 4.5], [5, 6]]},
    "keypoint": {"x": 1, "y": 2, "width": 0.5},
    "brush": {"format": "rle", "rle": [0, 1, 255]},
    "bitmask": {"imageDataURL": "data:image/png;base64,AA"},
    "vector": _VERTICES,
    "ocr": _BOX,
}
_FRAME = {"frame": 1, "time": 0.04, "x": 1, "y": 1, "width": 9, "height": 9, "rotation": 0}
_TRACK = {"framesCount": 9, "duration": 1.5, "sequence": [{**_FRAME, "enabled": True}]}
_LINE = {
    "framesCount": 9,
    "duration": 1.5,
    "sequence": [{"frame": 1, "time": 0.04, **_VERTICES}],
}
_PATH = "/p[1]/text()[1]"
_CAT = ["Cat"]


def _region(from_name: str, to_name: str, kind: str, value: Region) -> Region:
    return {"id": "r1", "from_name": from_name, "to_name": to_name, "type": kind, "value": value}


def _right() -> list[Region]:
    """Right regions of every control tag."""
    made: list[Region] = []
    for shape, value in _SHAPES.items():
        kind = f"{shape}labels"
        made.append(_region(kind, "image", kind, {**value, kind: _CAT}))
        if shape != "ocr":
            made.append(_region(shape, "image", shape, value))
            made.append(_region("imagelabels", "image", kind, {**value, kind: _CAT}))
            made.append(_region("imagelabels", "image", "labels", {**value, "labels": _CAT}))
    made += [
        _region("magicwand", "image", "magicwand", _SHAPES["brush"]),
        _region(
            "textlabels", "text", "labels", {"start": 0, "end": 4, "text": "John", "labels": _CAT}
        ),
        _region(
            "hypertextlabels",
            "html",
            "hypertextlabels",
            {
                "start": _PATH,
                "end": _PATH,
                "startOffset": 0,
                "endOffset": 4,
                "hypertextlabels": _CAT,
            },
        ),
        _region(
            "hypertextlabels",
            "html",
            "hypertextlabels",
            {"start": 0, "end": 4, "hypertextlabels": _CAT},
        ),
        _region(
            "paragraphlabels",
            "talk",
            "paragraphlabels",
            {"start": "0", "end": "1", "startOffset": 2, "endOffset": 3, "paragraphlabels": _CAT},
        ),
        _region(
            "timeserieslabels",
            "series",
            "timeserieslabels",
            {"start": 1, "end": 2.5, "instant": False, "timeserieslabels": _CAT},
        ),
        _region(
            "audiolabels", "audio", "labels", {"start": 0.5, "end": 2, "channel": 0, "labels": _CAT}
        ),
        _region("videorectangle", "video", "videorectangle", _TRACK),
        _region("videorectangle", "video", "videorectangle", {**_TRACK, "labels": _CAT}),
        _region("videovector", "video", "videovector", _LINE),
        _region("videovectorlabels", "video", "videovectorlabels", {**_LINE, "labels": _CAT}),
        _region(
            "videovectorlabels", "video", "videovectorlabels", {**_LINE, "videovectorlabels": _CAT}
        ),
        _region("videolabels", "video", "videovectorlabels", {**_LINE, "videovectorlabels": _CAT}),
        _region(
            "timelinelabels",
            "video",
            "timelinelabels",
            {"ranges": [{"start": 1, "end": 9}], "timelinelabels": _CAT},
        ),
        _region("choices", "text", "choices", {"choices": _CAT}),
        _region("open", "text", "choices", {"choices": ["anything"]}),
        _region("peritem", "many", "choices", {"choices": _CAT}) | {"item_index": 1},
        _region("taxonomy", "text", "taxonomy", {"taxonomy": [["T1"], ["T1", "T2"]]}),
        _region("textarea", "text", "textarea", {"text": ["hello"]}),
        _region("rating", "text", "rating", {"rating": 2}),
        _region("number", "text", "number", {"number": 2.5}),
        _region("datetime", "text", "datetime", {"datetime": "2024-01-31"}),
        _region("pairwise", "left", "pairwise", {"selected": "left"}),
        _region("pairwise", "pairwise", "pairwise", {"selected": "right"}),
        _region("ranker", "list", "ranker", {"ranker": {"ranker": ["a", "b"]}}),
        _region("box_0", "page_0", "rectanglelabels", {**_BOX, "rectanglelabels": _CAT}),
        _region("chat", "chat", "chatmessage", {"chatmessage": {"role": "user", "content": "Hi"}}),
        _region("form", "form", "reactcode", {"reactcode": {"a": "x"}}),
    ]
    for region in made:
        if "rle" in region["value"]:
            region |= {"original_width": 10, "original_height": 10}
    return made


RIGHT = _right()

_NUMBERS = (0, 1, 2.5, -1, -30, 4, 30, 60.5, 101, 130, 640, "12", None, True, [1], {})
_TEXTS = ("", "Cat", "john", "John met", "none", 7, None, ["Cat"], {"a": 1})
_LABEL_LISTS = (
    [],
    ["Dog"],
    ["d"],
    ["Cat", "d"],
    ["Bird"],
    [7],
    [["Cat"]],
    [["T1", "T9"]],
    "Cat",
    None,
)
_LISTS = (
    [],
    [[1, 2]],
    [[1, 640]],
    [[-4, 1], [-9, 2]],
    [1, 300],
    [{}],
    ["a"],
    "1",
    None,
    {"a": ["a"]},
)
_NAMES = ("image", "text", "choices", "nobody", "box_7", "box_x", "page_1", "", None, 3)


def _kinds(region: Region) -> tuple[Any, ...]:
    kind = str(region["type"])
    plain = kind.removesuffix("labels") or kind
    return (
        kind.upper(),
        plain,
        f"{kind}labels",
        "labels",
        "choices",
        "magicwand",
        "rectanglelabels",
    )


def _other_value(found: Any, rng: random.Random) -> Any:
    if isinstance(found, bool) or (isinstance(found, str) and rng.random() < 0.8):
        return rng.choice(_TEXTS)
    if isinstance(found, (int, float)):
        return rng.choice(_NUMBERS)
    if isinstance(found, list) and found and isinstance(found[0], dict) and rng.random() < 0.8:
        changed = copy.deepcopy(found)
        _change_member(changed[0], rng)
        return changed
    if isinstance(found, list):
        return copy.deepcopy(rng.choice(_LABEL_LISTS if rng.random() < 0.7 else _LISTS))
    if isinstance(found, dict) and found and rng.random() < 0.7:
        changed = copy.deepcopy(found)
        _change_member(changed, rng)
        return changed
    return copy.deepcopy(rng.choice((*_NUMBERS, *_TEXTS, *_LISTS)))


def _change_member(members: Region, rng: random.Random) -> None:
    if not members:
        return
    key = rng.choice(sorted(members))
    if rng.random() < 0.25:
        del members[key]
    else:
        members[key] = _other_value(members[key], rng)


def _change(region: Region, rng: random.Random) -> None:
    """Make a mistake, or what looks like one."""
    drawn = rng.random()
    if drawn < 0.7 and isinstance(region["value"], dict):
        _change_member(region["value"], rng)
    elif drawn < 0.76:
        region["type"] = rng.choice((*_kinds(region), "nothing", None, 5))
    elif drawn < 0.82:
        region["from_name"] = rng.choice((*_NAMES, "labels"))
    elif drawn < 0.88:
        region["to_name"] = rng.choice((*_NAMES, region["from_name"]))
    elif drawn < 0.91:
        region["value"] = rng.choice((None, [], "Cat", {}, {"labels": ["Cat"]}))
    elif drawn < 0.94:
        region["item_index"] = rng.choice((0, 1, 5, -1, "1", None))
    elif drawn < 0.97 and "original_width" in region:
        del region["original_width"]
    else:
        del region[rng.choice(("from_name", "to_name", "type", "value"))]
        region.setdefault("value", {})


def regions(count: int, seed: int) -> Iterator[Region]:
    """Generate regions; the same for the same seed."""
    rng = random.Random(seed)
    for _ in range(count):
        region = copy.deepcopy(rng.choice(RIGHT))
        for _ in range(rng.choice((0, 1, 1, 1, 2))):
            try:
                _change(region, rng)
            except KeyError:
                break
        yield region
