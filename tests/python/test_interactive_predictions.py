"""Answers to a person who labels: what models of the original's interactive examples return, with
`--strict`, with a context and without.

The models here return what those return, without the weights: masks and boxes without labels, an empty
list without a context, and the types of a protocol between a client and its model.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from hosting import Server, make_project, wait_for

CONFIG = """
<View>
  <Image name="image" value="$image"/>
  <BrushLabels name="mask" toName="image"><Label value="Cat"/></BrushLabels>
  <KeyPointLabels name="point" toName="image" smart="true"><Label value="Cat"/></KeyPointLabels>
  <RectangleLabels name="box" toName="image"><Label value="Cat"/></RectangleLabels>
  <TextArea name="prompt" toName="image"/>
  <Polygon name="outline" toName="image"/>
  <Text name="text" value="$text"/>
  <Labels name="ner" toName="text"><Label value="Person"/></Labels>
  <Video name="video" value="$video"/>
  <VideoRectangle name="track" toName="video"/>
</View>
"""

#: `context["answer"]` says which example answers; without a context all return an empty list.
INTERACTIVE = """
    from label_studio_ml.model import LabelStudioMLBase
    from label_studio_ml.response import ModelResponse

    SIZE = {"original_width": 640, "original_height": 480, "image_rotation": 0}
    BOX = {"x": 1.5, "y": 2, "width": 30, "height": 40, "rotation": 0}

    def region(from_name, to_name, kind, value, **more):
        return {"id": "r1", "from_name": from_name, "to_name": to_name, "type": kind,
                "value": value, "readonly": False, "score": 0.5, **more}

    def protocol(kind, **value):
        return [region("track", "video", kind, value, origin="manual")]

    MASK = {"format": "rle", "rle": [0, 1, 255]}
    POINTS = {"points": [[1, 2], [99, 2], [105, 30]]}
    CONTEXT_BOX = region("box", "image", "rectanglelabels", {**BOX, "rectanglelabels": ["Cat"]}, **SIZE)

    ANSWERS = {
        "segment_anything": [region("mask", "image", "brushlabels", {**MASK, "brushlabels": ["Cat"]}, **SIZE)],
        "grounding_sam boxes": [region("box", "image", "rectanglelabels", BOX, **SIZE)],
        "grounding_sam masks": [region("mask", "image", "brushlabels", MASK, **SIZE)],
        "tesseract": [region("prompt", "image", "textarea", {**BOX, "text": ["read"]}, **SIZE), CONTEXT_BOX],
        "easyocr": [
            region("outline", "image", "polygon", POINTS, **SIZE),
            region("prompt", "image", "textarea", {**POINTS, "labels": ["Cat"], "text": ["read"]}, **SIZE),
        ],
        "substring": [
            region("ner", "text", "labels", {"start": 5, "end": 9, "text": "John", "labels": ["Person"]})
        ],
        "video": [region("track", "video", "videorectangle", {
            "framesCount": 9, "duration": 1.5,
            "sequence": [{**BOX, "frame": n, "enabled": True, "time": n / 25} for n in (1, 2)],
        })],
        "prewarm": protocol("prewarm_ack", status="ok", cached=[0], pending=[]),
        "started": protocol("track_started", session_id="s", total=9),
        "progress": protocol("track_progress", frames=[], done=False, error=None),
        "mask in pixels": protocol("bitmask", imageDataURL="data:image/png;base64,AA", width=1920, height=1080),
        "capabilities": [{"id": "c", "type": "capabilities", "origin": "manual", "value": {"prompts": ["point"]}}],
        "wrong name": [region("nobody", "image", "rectanglelabels", BOX)],
        "wrong type": [region("box", "image", "RectangleLabels", {**BOX, "rectanglelabels": ["Cat"]})],
        "unknown label": [region("box", "image", "rectanglelabels", {**BOX, "rectanglelabels": ["Dog"]})],
    }

    class Interactive(LabelStudioMLBase):
        def setup(self):
            self.set("model_version", "Interactive-v1")

        def predict(self, tasks, context=None, **kwargs):
            if not context or not context.get("answer"):
                return ModelResponse(predictions=[])
            prediction = {"result": ANSWERS[context["answer"]], "score": 0.5}
            return ModelResponse(predictions=[prediction for _ in tasks])
"""

RIGHT = (
    "segment_anything",
    "grounding_sam boxes",
    "grounding_sam masks",
    "tesseract",
    "easyocr",
    "substring",
    "video",
)
PROTOCOL = ("prewarm", "started", "progress", "mask in pixels", "capabilities")
MISTAKES = {
    "wrong name": "from-name",
    "wrong type": "unknown-type",
    "unknown label": "unknown-label",
}
DATA = {"image": "/i.png", "text": "It's John", "video": "/v.mp4"}


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("interactive")
    started = Server(make_project(root, INTERACTIVE), "--strict")
    yield started
    started.stop()


def ask(
    server: Server, answer: str | None, tasks: int = 1, project: str = "5.1"
) -> requests.Response:
    asked = [{"id": number, "data": DATA} for number in range(tasks)]
    context = {"context": {"answer": answer, "result": []}} if answer is not None else {}
    return server.predict(asked, project=project, config=CONFIG, **context)


def mistakes_of(server: Server, project: str) -> list[dict[str, Any]]:
    entries = server.get("/diagnostics").json()["mistakes"]
    return [entry for entry in entries if entry["project"] == project]


@pytest.mark.parametrize("answer", RIGHT)
def test_a_suggestion_is_right_as_the_examples_give_it(strict: Server, answer: str) -> None:
    answered = ask(strict, answer)
    assert answered.status_code == 200, answered.text
    assert "X-Prediction-Warnings" not in answered.headers
    assert len(answered.json()["results"]) == 1


@pytest.mark.parametrize("tasks", [1, 2])
def test_an_empty_list_without_a_context_is_no_mistake_of_a_model_that_needs_one(
    strict: Server, tasks: int
) -> None:
    answered = ask(strict, None, tasks)
    assert answered.status_code == 200, answered.text
    assert answered.json()["results"] == []


def test_an_empty_list_with_a_context_means_nothing_was_found(strict: Server) -> None:
    answered = ask(strict, "")
    assert answered.status_code == 200, answered.text
    assert "X-Prediction-Warnings" not in answered.headers


def test_the_answers_of_a_protocol_are_one_note_of_a_project(strict: Server) -> None:
    project = "6.1"
    for answer in (*PROTOCOL, *PROTOCOL):
        answered = ask(strict, answer, project=project)
        assert answered.status_code == 200, answered.text
        assert "X-Prediction-Warnings" not in answered.headers
    [note] = mistakes_of(strict, project)
    assert note["cause"] == "protocol-answer"
    assert note["answers"] == 2 * len(PROTOCOL)
    wait_for(lambda: "prewarm_ack" in strict.log(), "the log notes it")
    lines = [line for line in strict.log().splitlines() if "only a client that knows" in line]
    assert len(lines) == 1
    assert "WARN" not in lines[0]


@pytest.mark.parametrize("answer", MISTAKES)
def test_a_mistake_is_told_with_a_context_too(strict: Server, answer: str) -> None:
    answered = ask(strict, answer)
    assert answered.status_code == 500
    assert answered.json()["result"]["findings"][0]["cause"] == MISTAKES[answer]


def test_notes_are_not_findings_of_an_answer(strict: Server) -> None:
    before = strict.get("/diagnostics").json()["answers"]
    assert ask(strict, "progress", project="7.1").status_code == 200
    after = strict.get("/diagnostics").json()["answers"]
    assert after["with_findings"] == before["with_findings"]
    assert after["checked"] == before["checked"] + 1


LOOKS = {
    "a parameter": ("tasks, context=None, **kwargs", "return [] if not context else tasks", True),
    "its keywords": ("tasks, **kwargs", "return [] if not kwargs.get('context') else tasks", True),
    "an index": ("tasks, **kwargs", "return [] if not kwargs['context'] else tasks", True),
    "passed on": ("tasks, context=None, **kwargs", "return self.other(tasks, context)", True),
    "not at all": ("tasks, context=None, **kwargs", "return []", False),
    "no parameter": ("tasks, **kwargs", "return []", False),
}


@pytest.mark.parametrize("way", LOOKS)
def test_a_model_that_looks_at_the_context_may_have_nothing_without_one(
    tmp_path: Path, way: str
) -> None:
    parameters, body, looks = LOOKS[way]
    source = f"""
    from label_studio_ml.model import LabelStudioMLBase

    class Looking(LabelStudioMLBase):
        def other(self, tasks, context):
            return []

        def predict(self, {parameters}):
            {body}
    """
    server = Server(make_project(tmp_path, source), "--strict")
    try:
        answered = ask(server, None, 2)
        assert answered.status_code == (200 if looks else 500), answered.text
        if not looks:
            assert answered.json()["result"]["findings"][0]["cause"] == "no-results"
    finally:
        server.stop()
