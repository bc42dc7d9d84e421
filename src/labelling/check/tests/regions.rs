//! Regions against labelling configs of every kind of control tag.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::Cause;
use super::{causes, check_results};

pub(super) const IMAGE: &str = r#"<View><Image name="image" value="$image"/>
<RectangleLabels name="box" toName="image"><Label value="Cat"/><Label value="Dog" alias="d"/></RectangleLabels>
<PolygonLabels name="poly" toName="image"><Label value="Cat"/></PolygonLabels>
<KeyPointLabels name="point" toName="image"><Label value="Cat"/></KeyPointLabels>
<EllipseLabels name="oval" toName="image"><Label value="Cat"/></EllipseLabels>
<BrushLabels name="brush" toName="image"><Label value="Cat"/></BrushLabels>
<BitmaskLabels name="mask" toName="image"><Label value="Cat"/></BitmaskLabels>
<VectorLabels name="line" toName="image"><Label value="Cat"/></VectorLabels>
<MagicWand name="wand" toName="image"/>
<Rectangle name="bare" toName="image"/><Labels name="any" toName="image"><Label value="Cat"/></Labels>
<Choices name="kind" toName="image"><Choice value="A"/><Choice value="B"/></Choices>
<Choices name="open" toName="image" value="$options"/>
<Rating name="stars" toName="image" maxRating="3"/><Number name="count" toName="image" min="0" max="10"/>
<TextArea name="caption" toName="image"/><DateTime name="day" toName="image" only="date"/>
<DateTime name="clock" toName="image" only="time"/>
<Taxonomy name="tree" toName="image"><Choice value="T1"><Choice value="T2"/></Choice></Taxonomy>
</View>"#;

pub(super) const TEXTS: &str = r#"<View><Text name="text" value="$text"/>
<Labels name="ner" toName="text"><Label value="PER"/></Labels><Relations><Relation value="of"/></Relations>
<HyperText name="html" value="$html"/><HyperTextLabels name="hyper" toName="html"><Label value="A"/></HyperTextLabels>
<Paragraphs name="talk" value="$talk"/><ParagraphLabels name="part" toName="talk"><Label value="A"/></ParagraphLabels>
<TimeSeries name="series" value="$csv"/><TimeSeriesLabels name="phase" toName="series"><Label value="A"/></TimeSeriesLabels>
<Audio name="audio" value="$audio"/><Labels name="sound" toName="audio"><Label value="A"/></Labels>
<Video name="video" value="$video"/><VideoRectangle name="track" toName="video"/>
<Labels name="who" toName="video"><Label value="A"/></Labels>
<TimelineLabels name="scene" toName="video"><Label value="A"/></TimelineLabels>
<List name="list" value="$items"/><Ranker name="rank" toName="list"/>
<Text name="left" value="$l"/><Text name="right" value="$r"/><Pairwise name="pair" toName="left,right"/>
</View>"#;

/// Checks one region; expects the causes at paths within it.
pub(super) fn assert_region(config: &str, region: &Value, expected: &[(Cause, &str)]) {
    let results = json!([{"result": [region]}]).to_string();
    let checked = check_results(Some(config), 1, &results);
    let expected: Vec<(Cause, String)> = expected
        .iter()
        .map(|(cause, path)| (*cause, format!("results[0].result[0].{path}")))
        .collect();
    let found = causes(&checked);
    let found: Vec<(Cause, String)> =
        found.into_iter().map(|(cause, path)| (cause, path.to_owned())).collect();
    assert_eq!(found, expected, "{region}");
}

pub(super) fn region(from_name: &str, to_name: &str, kind: &str, value: &Value) -> Value {
    json!({"id": "1", "from_name": from_name, "to_name": to_name, "type": kind, "value": value})
}

pub(super) fn on_image(from_name: &str, kind: &str, value: &Value) -> Value {
    let mut region = region(from_name, "image", kind, value);
    (region["original_width"], region["original_height"]) = (json!(640), json!(480));
    region
}

/// A region that the editor shows, for every control tag of [`IMAGE`].
fn shown_on_images() -> Vec<Value> {
    let cat = json!(["Cat"]);
    let rectangle = json!({"x": 10, "y": 10.5, "width": 20, "height": 20, "rotation": 370});
    let with = |value: &Value, key: &str, labels: &Value| {
        let mut value = value.clone();
        value[key] = labels.clone();
        value
    };
    let boxed = |labels: &Value| with(&rectangle, "rectanglelabels", labels);
    vec![
        on_image("box", "rectanglelabels", &boxed(&json!(["Cat", "d", "Dog"]))),
        on_image("box", "rectangle", &boxed(&cat)),
        on_image("bare", "rectangle", &rectangle),
        on_image("any", "labels", &with(&rectangle, "labels", &cat)),
        on_image("any", "labels", &json!({"points": [[1, 2], [3, 4], [5, 6]], "labels": cat})),
        on_image("any", "labels", &json!({"rle": [0, 255], "format": "rle", "labels": cat})),
        on_image("any", "labels", &json!({"x": 1, "y": 1, "width": 1, "labels": cat})),
        on_image(
            "any",
            "labels",
            &json!({"x": 1, "y": 1, "radiusX": 1, "radiusY": 2, "labels": cat}),
        ),
        on_image(
            "poly",
            "polygonlabels",
            &json!({"points": [[0, 0], [100, 0], [50, 100]], "polygonlabels": cat}),
        ),
        on_image(
            "point",
            "keypointlabels",
            &json!({"x": 1, "y": 1, "width": 0.5, "keypointlabels": cat}),
        ),
        on_image(
            "oval",
            "ellipselabels",
            &json!({"x": 1, "y": 1, "radiusX": 3, "radiusY": 4, "ellipselabels": cat}),
        ),
        on_image(
            "brush",
            "brushlabels",
            &json!({"format": "rle", "rle": [1, 2, 3], "brushlabels": cat}),
        ),
        on_image("wand", "brush", &json!({"format": "rle", "rle": [1, 2, 3]})),
        on_image(
            "mask",
            "bitmasklabels",
            &json!({"imageDataURL": "data:image/png;base64,AA", "bitmasklabels": cat}),
        ),
        on_image(
            "line",
            "vectorlabels",
            &json!({"vertices": [{"x": 1, "y": 2}], "vectorlabels": cat}),
        ),
        on_image("kind", "choices", &json!({"choices": ["A"]})),
        on_image("kind", "choices", &json!({"choices": ["A", "B"]})),
        on_image("kind", "choices", &json!({"choices": [["A", "B"]]})),
        on_image("open", "choices", &json!({"choices": ["anything"]})),
        on_image("stars", "rating", &json!({"rating": 3})),
        on_image("count", "number", &json!({"number": 2.5})),
        on_image("caption", "textarea", &json!({"text": ["hello"]})),
        on_image("caption", "textarea", &json!({"text": "hello"})),
        on_image("day", "datetime", &json!({"datetime": "2024-01-31"})),
        on_image("clock", "datetime", &json!({"datetime": "12:30"})),
        on_image("tree", "taxonomy", &json!({"taxonomy": [["T1"], ["T1", "T2"]]})),
    ]
}

/// The same for [`TEXTS`].
fn shown_elsewhere() -> Vec<Value> {
    let a = json!(["A"]);
    let frame = json!({"frame": 1, "enabled": true, "x": 1, "y": 1, "width": 9, "height": 9});
    let path = "/p[1]/text()[1]";
    vec![
        region(
            "ner",
            "text",
            "labels",
            &json!({"start": 0, "end": 4, "text": "John", "labels": ["PER"]}),
        ),
        region("ner", "text", "labels", &json!({"start": "0", "end": "4", "labels": ["PER"]})),
        region(
            "hyper",
            "html",
            "hypertextlabels",
            &json!({"start": path, "end": path, "startOffset": 0, "endOffset": 5, "hypertextlabels": a}),
        ),
        region(
            "hyper",
            "html",
            "hypertextlabels",
            &json!({"start": 0, "end": 5, "hypertextlabels": a}),
        ),
        region(
            "part",
            "talk",
            "paragraphlabels",
            &json!({"start": "0", "end": "1", "startOffset": 5, "endOffset": 2, "paragraphlabels": a}),
        ),
        region(
            "phase",
            "series",
            "timeserieslabels",
            &json!({"start": 1, "end": 1, "instant": true, "timeserieslabels": a}),
        ),
        region(
            "phase",
            "series",
            "timeserieslabels",
            &json!({"start": "2020-01-01", "end": "2020-01-02", "timeserieslabels": a}),
        ),
        region(
            "sound",
            "audio",
            "labels",
            &json!({"start": 0.5, "end": 1.25, "channel": 0, "labels": a}),
        ),
        region("track", "video", "videorectangle", &json!({"sequence": [frame], "labels": a})),
        region("track", "video", "videorectangle", &json!({"sequence": [frame]})),
        region(
            "scene",
            "video",
            "timelinelabels",
            &json!({"ranges": [{"start": 1, "end": 9}], "timelinelabels": a}),
        ),
        region("rank", "list", "ranker", &json!({"ranker": ["a", "b"]})),
        region("rank", "list", "ranker", &json!({"ranker": {"rank": ["a", "b"]}})),
        region("pair", "left", "pairwise", &json!({"selected": "right"})),
    ]
}

fn shown() -> Vec<(&'static str, Value)> {
    let image = shown_on_images().into_iter().map(|region| (IMAGE, region));
    image.chain(shown_elsewhere().into_iter().map(|region| (TEXTS, region))).collect()
}

#[test]
fn what_the_editor_shows_is_no_finding() {
    for (config, region) in shown() {
        assert_region(config, &region, &[]);
    }
}

#[test]
fn names_and_types() {
    let value = json!({"choices": ["A"]});
    let cases = [
        (on_image("kinds", "choices", &value), vec![(Cause::FromName, "from_name")]),
        (region("kind", "img", "choices", &value), vec![(Cause::ToName, "to_name")]),
        (on_image("kind", "Choices", &value), vec![(Cause::UnknownType, "type")]),
        (on_image("kind", "classification", &value), vec![(Cause::UnknownType, "type")]),
        (on_image("kind", "labels", &value), vec![(Cause::WrongType, "type")]),
        (
            json!({"value": value}),
            vec![(Cause::UnknownType, "type"), (Cause::FromName, "from_name")],
        ),
        (
            json!({"from_name": "kind", "type": 3, "value": value}),
            vec![(Cause::ToName, "to_name"), (Cause::UnknownType, "type")],
        ),
        (
            json!({"from_name": "kind", "to_name": "image", "type": "choices"}),
            vec![(Cause::NoValue, "value")],
        ),
        (on_image("kind", "choices", &json!(["A"])), vec![(Cause::NoValue, "value")]),
    ];
    for (region, expected) in cases {
        assert_region(IMAGE, &region, &expected);
    }
}

#[test]
fn labels_and_answers() {
    let cases = [
        ("kind", "choices", json!({"choices": ["Z"]}), Cause::UnknownLabel, "value.choices[0]"),
        ("kind", "choices", json!({"choices": "A"}), Cause::WrongValue, "value.choices"),
        ("kind", "choices", json!({"choices": [1]}), Cause::WrongValue, "value.choices[0]"),
        ("kind", "choices", json!({"choice": ["A"]}), Cause::MissingKey, "value.choices"),
        // One star beyond the three.
        ("stars", "rating", json!({"rating": 4}), Cause::OutOfRange, "value.rating"),
        ("stars", "rating", json!({"rating": "3"}), Cause::WrongValue, "value.rating"),
        ("count", "number", json!({"number": -1}), Cause::OutOfRange, "value.number"),
        ("count", "number", json!({"number": [1]}), Cause::WrongValue, "value.number"),
        ("caption", "textarea", json!({"text": [1]}), Cause::WrongValue, "value.text[0]"),
        ("caption", "textarea", json!({"textarea": ["a"]}), Cause::MissingKey, "value.text"),
        ("day", "datetime", json!({"datetime": "31/01/2024"}), Cause::WrongValue, "value.datetime"),
        (
            "tree",
            "taxonomy",
            json!({"taxonomy": [["T9"]]}),
            Cause::UnknownLabel,
            "value.taxonomy[0][0]",
        ),
        ("tree", "taxonomy", json!({"taxonomy": ["T1"]}), Cause::WrongValue, "value.taxonomy[0]"),
    ];
    for (name, kind, value, cause, path) in cases {
        assert_region(IMAGE, &on_image(name, kind, &value), &[(cause, path)]);
    }
    let frame = json!({"frame": 1, "x": 1, "y": 1, "width": 9, "height": 9});
    let value = json!({"sequence": [frame], "labels": ["Z"]});
    let track = region("track", "video", "videorectangle", &value);
    assert_region(TEXTS, &track, &[(Cause::UnknownLabel, "value.labels[0]")]);
    let pair = region("pair", "left", "pairwise", &json!({"selected": "left one"}));
    assert_region(TEXTS, &pair, &[(Cause::WrongValue, "value.selected")]);
    let both = region("pair", "left,right", "pairwise", &json!({"selected": "left"}));
    assert_region(TEXTS, &both, &[(Cause::ToName, "to_name")]);
}

#[test]
fn regions_of_one_prediction_among_themselves() {
    let span = |id: Value, start: usize| {
        let mut region = region(
            "ner",
            "text",
            "labels",
            &json!({"start": start, "end": start + 2, "labels": ["PER"]}),
        );
        region["id"] = id;
        region
    };
    let relation = |from: Value, to: Value, direction: &str| json!({"type": "relation", "from_id": from, "to_id": to, "direction": direction, "labels": ["of"]});
    let found = |regions: &[Value]| {
        let results = json!([{"result": regions}]).to_string();
        let checked = check_results(Some(TEXTS), 1, &results);
        causes(&checked)
            .into_iter()
            .map(|(cause, path)| (cause, path.to_owned()))
            .collect::<Vec<_>>()
    };
    let (one, two) = (span("1".into(), 0), span("2".into(), 5));
    let right = relation("1".into(), "2".into(), "right");
    assert_eq!(found(&[one.clone(), two.clone(), right]), []);
    let numbers = relation(1.into(), 2.into(), "bi");
    assert_eq!(found(&[numbers, span(1.into(), 0), span(2.into(), 5)]), []);
    let lost = relation("1".into(), "9".into(), "up");
    assert_eq!(
        found(&[one.clone(), lost]),
        [
            (Cause::Relation, "results[0].result[1].to_id".into()),
            (Cause::Relation, "results[0].result[1].direction".into())
        ]
    );
    assert_eq!(
        found(&[one.clone(), span("1".into(), 5)]),
        [(Cause::DuplicateId, "results[0].result[1].id".into())]
    );
    // The shape and the labels of one region.
    let value = json!({"x": 1, "y": 1, "width": 2, "height": 2, "labels": ["Cat"]});
    let pair = [on_image("bare", "rectangle", &value), on_image("any", "labels", &value)];
    let results = json!([{"result": pair}]).to_string();
    assert_eq!(causes(&check_results(Some(IMAGE), 1, &results)), []);
}

#[test]
fn control_tags_within_a_repeater_are_found_by_number() {
    let config = r#"<View><Repeater on="$pages" indexFlag="{{i}}"><Image name="page_{{i}}" value="$pages[{{i}}].url"/>
        <RectangleLabels name="box_{{i}}" toName="page_{{i}}"><Label value="Cat"/></RectangleLabels></Repeater></View>"#;
    let value = json!({"x": 1, "y": 1, "width": 2, "height": 2, "rectanglelabels": ["Cat"]});
    assert_region(config, &region("box_12", "page_12", "rectanglelabels", &value), &[]);
    let other = region("box_0", "image", "rectanglelabels", &value);
    assert_region(config, &other, &[(Cause::ToName, "to_name")]);
    let other = region("bo_0", "page_0", "rectanglelabels", &value);
    assert_region(config, &other, &[(Cause::FromName, "from_name")]);
}

#[test]
fn sentences_name_what_is_there_and_what_is_wanted() {
    let regions = json!([
        on_image("kinds", "choices", &json!({"choices": ["A"]})),
        region("kind", "img", "choices", &json!({"choices": ["A"]})),
        on_image("kind", "Choices", &json!({"choices": ["Z"]})),
        on_image("box", "rectanglelabels", &json!({"x": 150, "y": "1", "width": 2, "height": 1, "rectanglelabels": "Cat"})),
        on_image("poly", "polygonlabels", &json!({"polygonlabels": ["Cat"]})),
        {"from_name": "kind", "to_name": "image", "type": "choices"},
    ]);
    let results = json!([{"result": regions}]).to_string();
    let checked = check_results(Some(IMAGE), 1, &results);
    let sentences: Vec<String> =
        checked.findings.iter().map(super::super::Finding::sentence).collect();
    insta::assert_snapshot!(sentences.join("\n"));
}

/// Any JSON, with the words of regions in it.
fn arbitrary() -> impl Strategy<Value = Value> {
    let words = prop::sample::select(vec![
        "from_name",
        "to_name",
        "type",
        "value",
        "id",
        "box",
        "image",
        "ner",
        "text",
        "labels",
        "x",
        "start",
        "relation",
        "sequence",
        "points",
        "Cat",
        "choices",
        "kind",
        "rectanglelabels",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        words.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(words.clone(), inner, 0..6)
                .prop_map(|members| json!(members)),
        ]
    })
}

proptest! {
    #[test]
    fn any_regions_are_checked_without_panic(regions in arbitrary(), is_text in any::<bool>()) {
        let results = json!([{"result": regions}, regions]).to_string();
        check_results(Some(if is_text { TEXTS } else { IMAGE }), 2, &results);
    }

    #[test]
    fn what_is_shown_and_then_broken_is_found(index in 0_usize..40, key in "from_name|to_name|type|value") {
        let shown = shown();
        let (config, region) = &shown[index % shown.len()];
        let mut region = region.clone();
        region[&key] = json!("nothing like it");
        let results = json!([{"result": [region]}]).to_string();
        prop_assert!(check_results(Some(config), 1, &results).total > 0);
    }
}
