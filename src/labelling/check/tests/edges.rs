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

/// A shape that lies inside but for one number, and the path of what is told of it.
fn assert_shape(from_name: &str, key: &str, given: f64, expected: Option<&str>) {
    let cat = json!(["Cat"]);
    let (config, mut region) = match from_name {
        "box" => (IMAGE, json!({"x": 1, "y": 1, "width": 2, "height": 2, "rectanglelabels": cat})),
        "oval" => {
            (IMAGE, json!({"x": 1, "y": 1, "radiusX": 2, "radiusY": 2, "ellipselabels": cat}))
        }
        "point" => (IMAGE, json!({"x": 1, "y": 1, "width": 2, "keypointlabels": cat})),
        _ => (TEXTS, json!({"frame": 1, "x": 1, "y": 1, "width": 2, "height": 2})),
    };
    region[key] = json!(given);
    let region = match from_name {
        "box" => on_image("box", "rectanglelabels", &region),
        "oval" => on_image("oval", "ellipselabels", &region),
        "point" => on_image("point", "keypointlabels", &region),
        _ => super::regions::region(
            "track",
            "video",
            "videorectangle",
            &json!({"sequence": [region]}),
        ),
    };
    let prefix = if from_name == "track" { "sequence[0]." } else { "" };
    let expected = expected.map(|path| format!("{prefix}{path}"));
    assert_value(config, &region, expected.as_deref().map(|path| (Cause::OutOfRange, path)));
}

#[test]
fn a_shape_may_stick_out_and_must_not_be_outside_or_in_pixels() {
    for (from_name, key, cases) in [
        // 1 to 3 but for one number.
        ("box", "x", &[(-1.9, true), (-2.5, false), (99.0, true), (100.0009, true)][..]),
        ("box", "x", &[(100.0011, false), (-51.0, false), (640.0, false)]),
        ("box", "y", &[(-1.9, true), (-2.1, false), (100.5, false)]),
        ("box", "width", &[(0.0, true), (101.0, true), (149.0, true), (149.1, false)]),
        ("box", "height", &[(120.0, true), (320.0, false)]),
        ("track", "x", &[(-1.9, true), (-2.1, false), (100.5, false)]),
        ("track", "height", &[(120.0, true), (320.0, false)]),
        ("oval", "x", &[(-1.9, true), (-2.1, false), (101.9, true), (102.1, false)]),
        ("oval", "radiusX", &[(50.9, true), (51.1, false), (320.0, false)]),
        ("oval", "radiusY", &[(50.9, true), (51.1, false)]),
        ("point", "x", &[(-0.0009, true), (-0.0011, false), (100.0, true), (101.0, false)]),
        ("point", "y", &[(-0.5, false), (640.0, false)]),
        ("point", "width", &[(101.0, true)]),
    ] {
        for (given, is_shown) in cases {
            assert_shape(from_name, key, *given, (!is_shown).then_some(key));
        }
    }
}

#[test]
fn a_turned_rectangle_may_reach_into_the_image() {
    for (rotation, x, is_shown) in [
        (json!(90), 101.0, true),
        (json!(-45.5), -3.0, true),
        (json!(90), 640.0, false),
        (json!(0), 101.0, false),
        (json!(360), 101.0, false),
    ] {
        let value = json!({
            "x": x, "y": 1, "width": 2, "height": 2, "rotation": rotation, "rectanglelabels": ["Cat"],
        });
        let expected = (!is_shown).then_some((Cause::OutOfRange, "x"));
        assert_value(IMAGE, &on_image("box", "rectanglelabels", &value), expected);
    }
}

#[test]
fn a_list_of_points_may_stick_out_and_must_not_be_outside_or_in_pixels() {
    for (points, path) in [
        (json!([[1, 1], [2, 2]]), None),
        (json!([[-1, 1], [-2, 2], [1, 1]]), None),
        (json!([[90, 90], [110, 90], [110, 120]]), None),
        (json!([[-1, 1], [-2, 2]]), Some("")),
        (json!([[1, 101], [2, 140]]), Some("")),
        (json!([[1, 1], [640, 2]]), Some("[1][0]")),
        (json!([[1, -60], [2, 2]]), Some("[0][1]")),
        (json!([[640, 1]]), Some("[0][0]")),
    ] {
        let value = json!({"points": points, "polygonlabels": ["Cat"]});
        let expected = path.map(|path| format!("points{path}"));
        let expected = expected.as_deref().map(|path| (Cause::OutOfRange, path));
        assert_value(IMAGE, &on_image("poly", "polygonlabels", &value), expected);
        let vertices: Vec<_> = points
            .as_array()
            .into_iter()
            .flatten()
            .map(|point| json!({"x": point[0], "y": point[1]}))
            .collect();
        let value = json!({"vertices": vertices, "vectorlabels": ["Cat"]});
        let expected = path
            .map(|path| format!("vertices{}", path.replace("][0]", "].x").replace("][1]", "].y")));
        let expected = expected.as_deref().map(|path| (Cause::OutOfRange, path));
        assert_value(IMAGE, &on_image("line", "vectorlabels", &value), expected);
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
        (json!([{"start": 1.5, "end": 2}]), bad("ranges[0]")),
        (json!([{"start": 1.0, "end": 2}]), None),
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
        (json!(true), json!(1), Some((Cause::WrongValue, "start"))),
    ] {
        let value = json!({"start": start, "end": end, "labels": ["A"]});
        assert_value(TEXTS, &region("sound", "audio", "labels", &value), expected);
        let value = json!({"start": start, "end": end, "timeserieslabels": ["A"]});
        assert_value(TEXTS, &region("phase", "series", "timeserieslabels", &value), expected);
    }
    for (start, expected) in [
        (json!(-0.1), Some((Cause::OutOfRange, "start"))),
        (json!("2020-02-01"), Some((Cause::WrongValue, "start"))),
    ] {
        let value = json!({"start": start, "end": 7, "labels": ["A"]});
        assert_value(TEXTS, &region("sound", "audio", "labels", &value), expected);
        let value = json!({"start": start, "end": 7, "timeserieslabels": ["A"]});
        assert_value(TEXTS, &region("phase", "series", "timeserieslabels", &value), None);
    }
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
