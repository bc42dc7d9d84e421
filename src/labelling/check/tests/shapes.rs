//! Where regions lie: shapes on images, spans of texts and recordings, frames of videos.

use serde_json::json;

use super::super::Cause;
use super::regions::{IMAGE, TEXTS, assert_region, on_image, region};

#[test]
fn shapes_on_images() {
    let cat = json!(["Cat"]);
    let cases = [
        (
            on_image(
                "box",
                "rectanglelabels",
                &json!({"x": 150, "y": 60, "width": 200, "height": 30, "rectanglelabels": cat}),
            ),
            vec![(Cause::OutOfRange, "value.x"), (Cause::OutOfRange, "value.width")],
        ),
        (
            on_image(
                "box",
                "rectanglelabels",
                &json!({"x": "1", "y": 1, "width": 2, "rectanglelabels": cat}),
            ),
            vec![(Cause::WrongValue, "value.x"), (Cause::MissingKey, "value.height")],
        ),
        (
            on_image("box", "rectanglelabels", &json!({"x": -3, "y": 1, "width": 2, "height": 2})),
            vec![(Cause::MissingKey, "value.rectanglelabels"), (Cause::OutOfRange, "value.x")],
        ),
        (
            on_image(
                "oval",
                "ellipselabels",
                &json!({"x": 1, "y": 1, "width": 3, "height": 4, "ellipselabels": cat}),
            ),
            vec![(Cause::MissingKey, "value.radiusX"), (Cause::MissingKey, "value.radiusY")],
        ),
        (
            on_image("point", "keypointlabels", &json!({"x": 1, "y": 1, "keypointlabels": cat})),
            vec![(Cause::MissingKey, "value.width")],
        ),
        (
            on_image("poly", "polygonlabels", &json!({"points": [], "polygonlabels": cat})),
            vec![(Cause::WrongValue, "value.points")],
        ),
        (
            on_image(
                "poly",
                "polygonlabels",
                &json!({"points": [{"x": 1, "y": 2}, [1, 640]], "polygonlabels": cat}),
            ),
            vec![(Cause::WrongValue, "value.points[0]"), (Cause::OutOfRange, "value.points[1][1]")],
        ),
        (
            on_image(
                "brush",
                "brushlabels",
                &json!({"format": "coco", "rle": [1, 256], "brushlabels": cat}),
            ),
            vec![(Cause::WrongValue, "value.rle[1]"), (Cause::WrongValue, "value.format")],
        ),
        (
            on_image("mask", "bitmasklabels", &json!({"rle": [1], "bitmasklabels": cat})),
            vec![(Cause::MissingKey, "value.imageDataURL")],
        ),
        (
            on_image("line", "vectorlabels", &json!({"vertices": [[1, 2]], "vectorlabels": cat})),
            vec![(Cause::WrongValue, "value.vertices[0]")],
        ),
        (on_image("any", "labels", &json!({"labels": cat})), vec![(Cause::MissingKey, "value")]),
        (
            on_image(
                "any",
                "ellipselabels",
                &json!({"x": 1, "y": 1, "width": 2, "height": 2, "ellipselabels": cat}),
            ),
            vec![(Cause::WrongType, "type"), (Cause::MissingKey, "value.labels")],
        ),
    ];
    for (region, expected) in cases {
        assert_region(IMAGE, &region, &expected);
    }
}

#[test]
fn spans_and_times() {
    let person = json!(["PER"]);
    let a = json!(["A"]);
    let cases = [
        (
            region("ner", "text", "labels", &json!({"start": 4, "end": 0, "labels": person})),
            vec![(Cause::EmptySpan, "value.end")],
        ),
        (
            region("ner", "text", "labels", &json!({"start": 4, "end": 4, "labels": person})),
            vec![(Cause::EmptySpan, "value.end")],
        ),
        (
            region("ner", "text", "labels", &json!({"start": -4, "end": 4.5, "labels": ["X"]})),
            vec![
                (Cause::UnknownLabel, "value.labels[0]"),
                (Cause::OutOfRange, "value.start"),
                (Cause::WrongValue, "value.end"),
            ],
        ),
        (
            region("sound", "audio", "labels", &json!({"start": 2.5, "end": 1, "labels": a})),
            vec![(Cause::EmptySpan, "value.end")],
        ),
        (
            region(
                "hyper",
                "html",
                "hypertextlabels",
                &json!({"globalOffsets": {"start": 0, "end": 5}, "hypertextlabels": a}),
            ),
            vec![
                (Cause::MissingKey, "value.start"),
                (Cause::MissingKey, "value.end"),
                (Cause::MissingKey, "value.startOffset"),
                (Cause::MissingKey, "value.endOffset"),
            ],
        ),
        (
            region(
                "part",
                "talk",
                "paragraphlabels",
                &json!({"start": 0, "end": "0", "startOffset": 0, "endOffset": 5, "paragraphlabels": a}),
            ),
            vec![(Cause::WrongValue, "value.start")],
        ),
        (
            region(
                "part",
                "talk",
                "paragraphlabels",
                &json!({"start": "1", "end": "0", "startOffset": 0, "endOffset": 5, "paragraphlabels": a}),
            ),
            vec![(Cause::EmptySpan, "value.end")],
        ),
        (
            region(
                "phase",
                "series",
                "timeserieslabels",
                &json!({"start": 3, "end": 1, "timeserieslabels": a}),
            ),
            vec![(Cause::EmptySpan, "value.end")],
        ),
        (
            region(
                "track",
                "video",
                "videorectangle",
                &json!({"sequence": [{"x": 1, "y": 101, "width": 9, "height": 9}, 1]}),
            ),
            vec![
                (Cause::OutOfRange, "value.sequence[0].y"),
                (Cause::MissingKey, "value.sequence[0].frame"),
                (Cause::WrongValue, "value.sequence[1]"),
            ],
        ),
        (
            region(
                "scene",
                "video",
                "timelinelabels",
                &json!({"ranges": [{"start": 9, "end": 1}, {}], "timelinelabels": a}),
            ),
            vec![(Cause::EmptySpan, "value.ranges[0].end"), (Cause::WrongValue, "value.ranges[1]")],
        ),
    ];
    for (region, expected) in cases {
        assert_region(TEXTS, &region, &expected);
    }
}
