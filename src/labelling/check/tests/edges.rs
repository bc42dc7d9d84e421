//! Where regions lie, at the edges of what the editor shows.

use serde_json::{Value, json};

use super::super::finding::Cause;
use super::regions::{IMAGE, TEXTS, on_image, region};
use super::{causes, check_results};

/// What is wrong with one region, at paths within its value.
pub(super) fn found(config: &str, region: &Value) -> Vec<(Cause, String)> {
    let results = json!([{"result": [region]}]).to_string();
    let checked = check_results(Some(config), 1, &results);
    let prefix = "results[0].result[0].value.";
    causes(&checked)
        .into_iter()
        .map(|(cause, path)| (cause, path.strip_prefix(prefix).unwrap_or(path).to_owned()))
        .collect()
}

#[track_caller]
pub(super) fn assert_value(config: &str, region: &Value, expected: Option<(Cause, &str)>) {
    let expected: Vec<_> =
        expected.into_iter().map(|(cause, path)| (cause, path.to_owned())).collect();
    assert_eq!(found(config, region), expected, "{region}");
}

#[test]
fn percents_may_be_beyond_the_edge_by_what_rounding_does() {
    for (given, is_shown) in [
        (0.0, true),
        (-0.0009, true),
        (-0.0011, false),
        (-0.5, false),
        (100.0, true),
        (100.0009, true),
        (100.0011, false),
        (100.5, false),
        (101.0, false),
    ] {
        let expected = |path| (!is_shown).then_some((Cause::OutOfRange, path));
        let cat = json!(["Cat"]);
        for key in ["x", "y", "width", "height"] {
            let mut value =
                json!({"x": 1, "y": 1, "width": 2, "height": 2, "rectanglelabels": cat});
            value[key] = json!(given);
            assert_value(IMAGE, &on_image("box", "rectanglelabels", &value), expected(key));
        }
        for key in ["x", "y", "radiusX", "radiusY"] {
            let mut value =
                json!({"x": 1, "y": 1, "radiusX": 2, "radiusY": 2, "ellipselabels": cat});
            value[key] = json!(given);
            assert_value(IMAGE, &on_image("oval", "ellipselabels", &value), expected(key));
        }
        for key in ["x", "y", "width"] {
            let mut value = json!({"x": 1, "y": 1, "width": 2, "keypointlabels": cat});
            value[key] = json!(given);
            assert_value(IMAGE, &on_image("point", "keypointlabels", &value), expected(key));
        }
        for (index, path) in [(0, "points[1][0]"), (1, "points[1][1]")] {
            let mut value = json!({"points": [[1, 1], [2, 2]], "polygonlabels": cat});
            value["points"][1][index] = json!(given);
            assert_value(IMAGE, &on_image("poly", "polygonlabels", &value), expected(path));
        }
        for (key, path) in [("x", "vertices[1].x"), ("y", "vertices[1].y")] {
            let mut value = json!({"vertices": [{"x": 1, "y": 1}, {"x": 1, "y": 1}]});
            value["vertices"][1][key] = json!(given);
            value["vectorlabels"] = cat.clone();
            assert_value(IMAGE, &on_image("line", "vectorlabels", &value), expected(path));
        }
        for (key, path) in [
            ("x", "sequence[0].x"),
            ("width", "sequence[0].width"),
            ("height", "sequence[0].height"),
        ] {
            let mut value =
                json!({"sequence": [{"frame": 1, "x": 1, "y": 1, "width": 9, "height": 9}]});
            value["sequence"][0][key] = json!(given);
            let track = region("track", "video", "videorectangle", &value);
            assert_value(TEXTS, &track, expected(path));
        }
    }
}

#[test]
fn what_a_shape_needs_is_missed_key_by_key() {
    let shapes = [
        ("box", "rectanglelabels", json!({"x": 1, "y": 1, "width": 2, "height": 2})),
        ("oval", "ellipselabels", json!({"x": 1, "y": 1, "radiusX": 2, "radiusY": 2})),
        ("point", "keypointlabels", json!({"x": 1, "y": 1, "width": 2})),
        ("poly", "polygonlabels", json!({"points": [[1, 1]]})),
        ("brush", "brushlabels", json!({"rle": [1]})),
        ("mask", "bitmasklabels", json!({"imageDataURL": "data:"})),
        ("line", "vectorlabels", json!({"vertices": [{"x": 1, "y": 1}]})),
    ];
    for (name, kind, shape) in shapes {
        let with_label = |mut shape: Value| {
            shape[kind] = json!(["Cat"]);
            on_image(name, kind, &shape)
        };
        assert_value(IMAGE, &with_label(shape.clone()), None);
        for key in shape.as_object().unwrap().keys() {
            let mut broken = shape.clone();
            broken.as_object_mut().unwrap().remove(key);
            assert_value(IMAGE, &with_label(broken), Some((Cause::MissingKey, key)));
            let mut broken = shape.clone();
            broken[key] = json!(true);
            assert_value(IMAGE, &with_label(broken), Some((Cause::WrongValue, key)));
        }
    }
    let frame = json!({"frame": 1, "x": 1, "y": 1, "width": 9, "height": 9});
    for key in ["frame", "x", "y", "width", "height"] {
        let mut broken = frame.clone();
        broken.as_object_mut().unwrap().remove(key);
        let track = region("track", "video", "videorectangle", &json!({"sequence": [broken]}));
        assert_value(TEXTS, &track, Some((Cause::MissingKey, &format!("sequence[0].{key}"))));
    }
}

#[test]
fn lists_of_points_masks_and_frames_hold_what_they_must() {
    let cat = json!(["Cat"]);
    let bad = |path| Some((Cause::WrongValue, path));
    for (points, expected) in [
        (json!([[1, 2], [3, 4]]), None),
        (json!([[1, 2, 3]]), bad("points[0]")),
        (json!([[1, 2], [3]]), bad("points[1]")),
        (json!([[1, "2"]]), bad("points[0]")),
        (json!([[]]), bad("points[0]")),
        (json!([1, 2]), bad("points[0]")),
        (json!({}), bad("points")),
    ] {
        let value = json!({"points": points, "polygonlabels": cat});
        let found = found(IMAGE, &on_image("poly", "polygonlabels", &value));
        let first = found.first().map(|(cause, path)| (*cause, path.as_str()));
        assert_eq!(first, expected, "{value}");
    }
    for (rle, expected) in [
        (json!([0, 255]), None),
        (json!([-1]), bad("rle[0]")),
        (json!([1, 255, 256]), bad("rle[2]")),
        (json!([1.5]), bad("rle[0]")),
        (json!(["1"]), bad("rle[0]")),
        (json!([]), bad("rle")),
        (json!("abc"), bad("rle")),
    ] {
        let value = json!({"rle": rle, "brushlabels": cat});
        assert_value(IMAGE, &on_image("brush", "brushlabels", &value), expected);
        let value = json!({"rle": rle, "maskDataURL": "data:", "brushlabels": cat});
        assert_value(IMAGE, &on_image("brush", "brushlabels", &value), None);
    }
    for (format, expected) in [
        (json!("rle"), None),
        (json!("coco"), bad("format")),
        (json!(null), bad("format")),
        (json!(1), bad("format")),
    ] {
        let value = json!({"rle": [1], "format": format, "brushlabels": cat});
        assert_value(IMAGE, &on_image("brush", "brushlabels", &value), expected);
    }
    for (ranges, expected) in [
        (json!([{"start": 1, "end": 1}]), None),
        (json!([{"start": 1, "end": 9}, {"start": 3, "end": 2}]), {
            Some((Cause::EmptySpan, "ranges[1].end"))
        }),
        (json!([{"start": 1}]), bad("ranges[0]")),
        (json!([{"end": 1}]), bad("ranges[0]")),
        (json!([{"start": "1", "end": 2}]), bad("ranges[0]")),
        (json!([]), bad("ranges")),
    ] {
        let value = json!({"ranges": ranges, "timelinelabels": ["A"]});
        assert_value(TEXTS, &region("scene", "video", "timelinelabels", &value), expected);
    }
    for empty in [json!([]), json!(1)] {
        let track = region("track", "video", "videorectangle", &json!({"sequence": empty}));
        assert_value(TEXTS, &track, bad("sequence"));
        let line = json!({"vertices": empty, "vectorlabels": cat});
        assert_value(IMAGE, &on_image("line", "vectorlabels", &line), bad("vertices"));
        let poly = json!({"points": empty, "polygonlabels": cat});
        assert_value(IMAGE, &on_image("poly", "polygonlabels", &poly), bad("points"));
    }
}

#[test]
fn labels_on_images_have_the_shape_that_their_keys_say() {
    let cases = [
        (json!({"points": [[1]], "x": 1}), (Cause::WrongValue, "points[0]")),
        (json!({"rle": [], "vertices": []}), (Cause::WrongValue, "rle")),
        (json!({"maskDataURL": 1}), (Cause::MissingKey, "rle")),
        (json!({"vertices": [1], "radiusX": 1}), (Cause::WrongValue, "vertices[0]")),
        (json!({"x": 1, "y": 1, "radiusX": 1, "height": 1}), (Cause::MissingKey, "radiusY")),
        (json!({"x": 1, "y": 1, "radiusY": 1}), (Cause::MissingKey, "radiusX")),
        (json!({"x": 1, "y": 1, "height": 1}), (Cause::MissingKey, "width")),
        (json!({"x": 1, "width": 1}), (Cause::MissingKey, "y")),
        (json!({"y": 1, "width": 1}), (Cause::MissingKey, "x")),
    ];
    for (mut value, expected) in cases {
        value["labels"] = json!(["Cat"]);
        assert_value(IMAGE, &on_image("any", "labels", &value), Some(expected));
    }
    let mask = json!({"imageDataURL": "data:", "height": 1, "labels": ["Cat"]});
    assert_value(IMAGE, &on_image("any", "labels", &mask), None);
}

#[test]
fn a_span_of_a_text_has_whole_characters_from_zero_on_and_at_least_one() {
    let (range, span, wrong) = (Cause::OutOfRange, Cause::EmptySpan, Cause::WrongValue);
    for (start, end, expected) in [
        (json!(0), json!(1), None),
        (json!(4.0), json!(5.0), None),
        (json!("0"), json!("4"), None),
        (json!(0), json!(0), Some((span, "end"))),
        (json!(5), json!(4), Some((span, "end"))),
        (json!("5"), json!(4), Some((span, "end"))),
        (json!(-1), json!(4), Some((range, "start"))),
        (json!(0.5), json!(4), Some((wrong, "start"))),
        (json!(0), json!("4.5"), Some((wrong, "end"))),
        (json!(0), json!("four"), Some((wrong, "end"))),
        (json!(0), json!(null), Some((wrong, "end"))),
    ] {
        let value = json!({"start": start, "end": end, "labels": ["PER"]});
        assert_value(TEXTS, &region("ner", "text", "labels", &value), expected);
    }
    for key in ["start", "end"] {
        let mut value = json!({"start": 0, "end": 4, "labels": ["PER"]});
        value.as_object_mut().unwrap().remove(key);
        let missing = Some((Cause::MissingKey, key));
        assert_value(TEXTS, &region("ner", "text", "labels", &value), missing);
    }
}

#[test]
fn a_span_of_a_recording_may_be_a_moment_and_one_of_a_series_a_text() {
    for (start, end, expected) in [
        (json!(0), json!(0.5), None),
        (json!(1.5), json!(1.5), None),
        (json!(1.5), json!(1.4), Some((Cause::EmptySpan, "end"))),
        (json!(-0.1), json!(1), Some((Cause::OutOfRange, "start"))),
        (json!(true), json!(1), Some((Cause::WrongValue, "start"))),
    ] {
        let value = json!({"start": start, "end": end, "labels": ["A"]});
        assert_value(TEXTS, &region("sound", "audio", "labels", &value), expected);
        let value = json!({"start": start, "end": end, "timeserieslabels": ["A"]});
        assert_value(TEXTS, &region("phase", "series", "timeserieslabels", &value), expected);
    }
    let value = json!({"start": "2020-02-01", "end": 7, "timeserieslabels": ["A"]});
    assert_value(TEXTS, &region("phase", "series", "timeserieslabels", &value), None);
}

#[test]
fn offsets_in_one_place_are_in_order_and_in_two_need_not_be() {
    let (first, second) = ("/p[1]/text()[1]", "/p[2]/text()[1]");
    let (span, wrong) = (Cause::EmptySpan, Cause::WrongValue);
    for (is_same, start, end, expected) in [
        (true, json!(0), json!(1), None),
        (true, json!(3), json!(3), Some((span, "endOffset"))),
        (true, json!(3), json!(2), Some((span, "endOffset"))),
        (false, json!(3), json!(3), None),
        (false, json!(3), json!(2), None),
        (true, json!(-1), json!(2), Some((wrong, "startOffset"))),
        (false, json!(1), json!(-2), Some((wrong, "endOffset"))),
        (true, json!(0.5), json!(2), Some((wrong, "startOffset"))),
        (true, json!("0"), json!("2"), None),
    ] {
        let mut value = json!({"startOffset": start, "endOffset": end});
        (value["start"], value["end"]) =
            (json!(first), json!(if is_same { first } else { second }));
        value["hypertextlabels"] = json!(["A"]);
        assert_value(TEXTS, &region("hyper", "html", "hypertextlabels", &value), expected);
        let mut value = json!({"startOffset": start, "endOffset": end});
        (value["start"], value["end"]) = (json!("0"), json!(if is_same { "0" } else { "1" }));
        value["paragraphlabels"] = json!(["A"]);
        assert_value(TEXTS, &region("part", "talk", "paragraphlabels", &value), expected);
    }
    for (start, end, expected) in [
        (json!("2"), json!("10"), None),
        (json!("10"), json!("2"), Some((span, "end"))),
        (json!("-1"), json!("2"), Some((wrong, "start"))),
        (json!("0"), json!(1), Some((wrong, "end"))),
        (json!("a"), json!("1"), Some((wrong, "start"))),
    ] {
        let mut value = json!({"start": start, "end": end, "startOffset": 0, "endOffset": 1});
        value["paragraphlabels"] = json!(["A"]);
        assert_value(TEXTS, &region("part", "talk", "paragraphlabels", &value), expected);
    }
    // Characters of the whole text, which are numbers.
    for (start, end, expected) in [
        (json!(0), json!(1), None),
        (json!(1), json!(1), Some((span, "end"))),
        (json!(0), json!(first), Some((wrong, "start"))),
    ] {
        let value = json!({
            "start": start, "end": end, "startOffset": 0, "endOffset": 1, "hypertextlabels": ["A"],
        });
        assert_value(TEXTS, &region("hyper", "html", "hypertextlabels", &value), expected);
    }
}
