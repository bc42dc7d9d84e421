"""Writes the first inputs of each fuzzing target: recorded requests, labelling configs, messages.

Usage: seeds.py FOLDER; makes FOLDER/<target>/, and FOLDER/<target>.dict with the words that occur there.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import struct
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "tests" / "fixtures"

WORDS = 400
"""Words of a dictionary, the most frequent ones."""

SHAPES: list[dict[str, Any]] = [
    {"x": 1, "y": 2.5, "width": 30, "height": 40, "rotation": 0},
    {"x": 1, "y": 2, "radiusX": 3, "radiusY": 140},
    {"points": [[1, 2], [3, 4.5], ["a"]]},
    {"format": "rle", "rle": [0, 1, 255, 256]},
    {"start": 3, "end": 1, "text": "a"},
    {"start": "0", "end": "0", "startOffset": 1, "endOffset": 1},
    {"start": "/p[1]/text()[1]", "end": "/p[1]", "startOffset": 1, "endOffset": "2"},
    {"vertices": [{"x": 1, "y": 101}, 3]},
    {"sequence": [{"frame": 1, "x": 1, "y": 1, "width": 1, "height": 1, "enabled": True}]},
    {"ranges": [{"start": 1, "end": 0}]},
    {"imageDataURL": "data:image/png;base64,AA==", "maskDataURL": None},
    {},
]
"""Where regions lie, each kind of shape once."""

TEXTS = [
    r'{"a": "\ud800", "\udc00b": "\ud83d\ude00", "é": "\u00e9\u0000\/\b"}',
    '{"a": [1, -0, 0.0, -0.0, 1e5, 1E-5, 1e400, 123456789012345678901234567890, 5e-324]}',
    '{"a": NaN, "b": Infinity, "c": -Infinity, "a": null}',
    '{"a": 1, "a": {"b": [[], {}, "", true, false, null]}}',
    ' \t\r\n{ "a" : [ ] , "b" : { } } ',
    '\ufeff{"a": 1}',
    '{"a": ' + "[" * 150 + "]" * 150 + "}",
    '["no object"]',
    "-12.5e-3",
]
"""JSON at its edges."""


def read(name: str) -> Any:
    return json.loads((FIXTURES / name).read_text())


def label_configs() -> Iterator[dict[str, Any]]:
    yield from read("label_configs.json")["cases"]


def bodies() -> Iterator[Any]:
    """Yield the bodies of recorded requests and answers."""
    for request in read("label_studio_1.23_v1.json"):
        yield request["body"]
    recorded = [step for run in read("v1_recorded_75fafe0.json")["runs"] for step in run["steps"]]
    for step in recorded + read("v2_recorded_master.json"):
        yield from step.get("request", [])[2:3]
        yield step.get("body")


def messages(name: str) -> Iterator[dict[str, Any]]:
    """Yield the messages of a snapshot, which stand below its head."""
    folder = ROOT / "src" / "wire" / "protocol" / "snapshots"
    path = folder / f"label_studio_ml__wire__protocol__tests__{name}.snap"
    yield from json.loads(path.read_text().split("\n---\n", 1)[1])


def frame(message: dict[str, Any], body: bytes = b"", kind: int = 0) -> bytes:
    header = json.dumps(message).encode()
    return struct.pack("<IBI", 5 + len(header) + len(body), kind, len(header)) + header + body


def frames() -> Iterator[bytes]:
    for direction, name in enumerate(["to_worker", "from_worker"]):
        whole = [frame(message, b'{"results": []}') for message in messages(name)]
        for one in [*whole, b"".join(whole), whole[0][:-3], frame({"type": "none"}, kind=1)]:
            yield bytes([direction]) + one


def answers() -> Iterator[bytes]:
    """Yield labelling configs with answers that have regions for some control tags, in some shapes."""
    shapes = itertools.cycle(SHAPES)
    for case in label_configs():
        controls = case["label_studio_tools_0_0_4"].get("ok") or {}
        regions = [
            {
                "id": str(number),
                "from_name": name,
                "to_name": control["to_name"][0],
                "type": control["type"].lower(),
                "value": {control["type"].lower(): control["labels"][:2], **shape},
            }
            for name, control in list(controls.items())[:3]
            for number, shape in enumerate(itertools.islice(shapes, 5))
        ]
        if regions:
            arrow = {"type": "relation", "from_id": "0", "to_id": "x", "direction": "up"}
            results = [{"result": [*regions, arrow], "score": 0.5}, [{"result": []}]]
            answer = {"model_version": "7", "results": results}
            yield b"\x02" + case["config"].encode() + b"\0" + json.dumps(answer).encode()


def targets() -> dict[str, list[bytes]]:
    texts = [json.dumps(body).encode() for body in bodies() if isinstance(body, (dict, list))]
    edges = [text.encode() for text in TEXTS]
    return {
        "label_config": [case["config"].encode() for case in label_configs()],
        "channel": [*frames()],
        "request": texts + edges,
        "json": texts + edges,
        "predictions": [*answers()],
    }


def main(folder: Path) -> None:
    for target, inputs in targets().items():
        (folder / target).mkdir(parents=True, exist_ok=True)
        for data in inputs:
            (folder / target / hashlib.sha1(data).hexdigest()).write_bytes(data)
        count = Counter(re.findall(rb"[A-Za-z_]{3,24}", b" ".join(inputs)))
        words = sorted(word.decode() for word, _ in count.most_common(WORDS))
        lines = "".join(f'"{word}"\n' for word in words)
        (folder / f"{target}.dict").write_text(lines)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
