//! What each control tag takes: names, types, labels and answers.

use serde_json::json;

use super::super::finding::Cause;
use super::super::shape::{ControlKind, RegionKind, is_known_type};
use super::check_results;
use super::edges::{assert_value, found};
use super::regions::{IMAGE, TEXTS, assert_region, on_image, region};

#[test]
fn ratings_and_numbers_are_within_their_bounds() {
    let config = r#"<View><Text name="t" value="$t"/><Rating name="five" toName="t"/>
        <Rating name="three" toName="t" maxRating="3"/><Rating name="odd" toName="t" maxRating="many"/>
        <Number name="free" toName="t"/><Number name="from" toName="t" min="2"/>
        <Number name="to" toName="t" max=" 7.5 "/></View>"#;
    for (name, kind, given, is_shown) in [
        ("five", "rating", 0.0, true),
        ("five", "rating", 5.0, true),
        ("five", "rating", 5.1, false),
        ("five", "rating", 6.0, false),
        ("five", "rating", 9.0, false),
        ("five", "rating", -1.0, false),
        ("three", "rating", 3.0, true),
        ("three", "rating", 4.0, false),
        ("odd", "rating", 5.0, true),
        ("odd", "rating", 6.0, false),
        ("free", "number", -1e9, true),
        ("free", "number", 1e9, true),
        ("from", "number", 2.0, true),
        ("from", "number", 1.9, false),
        ("from", "number", 1e9, true),
        ("to", "number", 7.5, true),
        ("to", "number", 7.6, false),
        ("to", "number", -1e9, true),
    ] {
        let mut value = json!({});
        value[kind] = json!(given);
        let expected = (!is_shown).then_some((Cause::OutOfRange, kind));
        assert_value(config, &region(name, "t", kind, &value), expected);
    }
}

#[test]
fn a_date_begins_with_a_year_of_four_digits_where_dates_are_written_in_full() {
    let config = r#"<View><Text name="t" value="$t"/><DateTime name="any" toName="t"/>
        <DateTime name="day" toName="t" only="date"/><DateTime name="two" toName="t" only="date,time"/>
        <DateTime name="year" toName="t" only="year"/>
        <DateTime name="own" toName="t" only="date" format="%d.%m.%Y"/></View>"#;
    for (given, is_iso) in [
        ("2024-01-31", true),
        ("2024", true),
        ("0999-01-01", true),
        ("999-01-01", false),
        ("99", false),
        ("", false),
        ("31.01.2024", false),
        ("20a4-01-01", false),
        ("٢٠٢٤-01-01", false),
    ] {
        let value = json!({"datetime": given});
        for (name, is_shown) in
            [("any", is_iso), ("day", is_iso), ("two", is_iso), ("year", true), ("own", true)]
        {
            let expected = (!is_shown).then_some((Cause::WrongValue, "datetime"));
            assert_value(config, &region(name, "t", "datetime", &value), expected);
        }
    }
    let number = region("own", "t", "datetime", &json!({"datetime": 2024}));
    assert_value(config, &number, Some((Cause::WrongValue, "datetime")));
}

#[test]
fn variables_of_a_repeater_stand_between_the_rest_of_the_name() {
    let config = r#"<View><Repeater on="$pages" indexFlag="{{i}}"><Repeater on="$parts" indexFlag="{{j}}">
        <Text name="page_{{i}}_{{j}}" value="$pages[{{i}}].text"/>
        <Choices name="kind_{{i}}_of_{{j}}_end" toName="page_{{i}}_{{j}}"><Choice value="A"/></Choices>
        <Choices name="{{i}}first" toName="page_{{i}}_{{j}}"><Choice value="A"/></Choices></Repeater></Repeater>
        <Choices name="plain" toName="page_{{i}}_{{j}}"><Choice value="A"/></Choices></View>"#;
    let value = json!({"choices": ["A"]});
    let is_known = |name: &str, to_name: &str| {
        let found = found(config, &region(name, to_name, "choices", &value));
        found.iter().map(|(cause, _)| *cause).collect::<Vec<_>>()
    };
    for name in ["kind_3_of_4_end", "3first", "plain"] {
        assert_eq!(is_known(name, "page_3_4"), [], "{name}");
    }
    for name in [
        "kind_1_of_2_ending",
        "kind_1_of_2",
        "kind_1_2_end",
        "akind_1_of_2_end",
        "kind_of_end",
        "kind_1_of_end",
        "kind__of__end",
        "kind_3_of_4_of_5_end",
        "first",
        "firsts",
        "plainly",
        "aplain",
    ] {
        assert_eq!(is_known(name, "page_3_4"), [Cause::FromName], "{name}");
    }
    for to_name in ["page_0_1", "page_0_23"] {
        assert_eq!(is_known("0first", to_name), [], "{to_name}");
    }
    for to_name in ["page", "page_0", "apage_0_2", "page_{{i}}", "page__", "page_1_2"] {
        assert_eq!(is_known("0first", to_name), [Cause::ToName], "{to_name}");
    }
}

#[test]
fn labels_are_those_of_the_tag_or_of_anybody() {
    let config = r#"<View><Video name="v" value="$v"/><VideoRectangle name="track" toName="v"/>
        <Labels name="who" toName="v"><Label value="A" alias="a"/></Labels>
        <Labels name="more" toName="v"><Label value="B"/></Labels>
        <Video name="w" value="$w"/><VideoRectangle name="free" toName="w"/>
        <Video name="x" value="$x"/><VideoRectangle name="open" toName="x"/>
        <Labels name="known" toName="x"><Label value="A"/></Labels><Labels name="dyn" toName="x" value="$ls"/>
        <Choices name="none" toName="v"/></View>"#;
    let frame = json!({"frame": 1, "x": 1, "y": 1, "width": 9, "height": 9});
    for (name, to_name, label, is_known) in [
        ("track", "v", "A", true),
        ("track", "v", "a", true),
        ("track", "v", "B", true),
        ("track", "v", "C", false),
        ("free", "w", "anything", true),
        ("open", "x", "anything", true),
    ] {
        let value = json!({"sequence": [frame], "labels": [label]});
        let expected = (!is_known).then_some((Cause::UnknownLabel, "labels[0]"));
        assert_value(config, &region(name, to_name, "videorectangle", &value), expected);
    }
    let choices = region("none", "v", "choices", &json!({"choices": ["x"]}));
    assert_value(config, &choices, None);
}

#[test]
fn answers_have_the_form_of_their_tag() {
    let wrong = |path| Some((Cause::WrongValue, path));
    for (name, kind, value, expected) in [
        (
            "kind",
            "choices",
            json!({"choices": ["A", "Z"]}),
            Some((Cause::UnknownLabel, "choices[1]")),
        ),
        ("kind", "choices", json!({"choices": [["A", "Z"]]}), {
            Some((Cause::UnknownLabel, "choices[0][1]"))
        }),
        ("kind", "choices", json!({"choices": [["A", 1]]}), wrong("choices[0][1]")),
        ("kind", "choices", json!({"choices": []}), None),
        (
            "box",
            "rectanglelabels",
            json!({"rectanglelabels": [["Cat"]]}),
            wrong("rectanglelabels[0]"),
        ),
        ("tree", "taxonomy", json!({"taxonomy": [["T1", "T9"]]}), {
            Some((Cause::UnknownLabel, "taxonomy[0][1]"))
        }),
        ("tree", "taxonomy", json!({"taxonomy": [["T1", 2]]}), wrong("taxonomy[0][1]")),
        ("tree", "taxonomy", json!({"taxonomy": "T1"}), wrong("taxonomy")),
        ("caption", "textarea", json!({"text": ["a", null]}), wrong("text[1]")),
        ("caption", "textarea", json!({"text": 1}), wrong("text")),
        ("count", "number", json!({"number": 10}), None),
        ("count", "number", json!({"number": 0}), None),
        ("count", "number", json!({"number": 10.5}), Some((Cause::OutOfRange, "number"))),
        ("count", "number", json!({}), Some((Cause::MissingKey, "number"))),
    ] {
        let mut value = value;
        if name == "box" {
            for key in ["x", "y", "width", "height"] {
                value[key] = json!(1);
            }
        }
        assert_value(IMAGE, &on_image(name, kind, &value), expected);
    }
    for (value, expected) in [
        (json!({"selected": "left"}), None),
        (json!({"selected": "right"}), None),
        (json!({"selected": "Left"}), wrong("selected")),
        (json!({"selected": 1}), wrong("selected")),
        (json!({}), Some((Cause::MissingKey, "selected"))),
    ] {
        assert_value(TEXTS, &region("pair", "right", "pairwise", &value), expected);
    }
    for (value, expected) in [
        (json!({"ranker": []}), None),
        (json!({"ranker": {}}), None),
        (json!({"ranker": "a"}), wrong("ranker")),
        (json!({}), Some((Cause::MissingKey, "ranker"))),
    ] {
        assert_value(TEXTS, &region("rank", "list", "ranker", &value), expected);
    }
}

#[test]
fn every_tag_takes_its_own_type_and_the_plain_shape() {
    for (tag, taken, refused) in [
        ("RectangleLabels", &["rectanglelabels", "rectangle"][..], &["labels", "ellipse"][..]),
        ("Rectangle", &["rectangle"], &["rectanglelabels", "labels"]),
        ("KeyPointLabels", &["keypointlabels", "keypoint"], &["point"]),
        ("Labels", &["labels"], &["", "label", "rectanglelabels"]),
        ("Choices", &["choices"], &["choice", "Choices", "CHOICES"]),
        ("Brush", &["brush", "brushlabels"], &["bitmask"]),
        ("BrushLabels", &["brushlabels", "brush"], &["Brush"]),
        ("MagicWand", &["magicwand", "brush", "brushlabels"], &["wand"]),
        ("MyOwnTag", &["myowntag", "anything", "AtAll"], &[]),
    ] {
        let tool = ControlKind::of(tag);
        for kind in taken {
            assert!(tool.accepts(tag, kind), "{tag} {kind}");
        }
        for kind in refused {
            assert!(!tool.accepts(tag, kind), "{tag} {kind}");
        }
    }
    for kind in ["choices", "keypointlabels", "relation", "reactcode", "videovector", "ocrlabels"] {
        assert!(is_known_type(kind), "{kind}");
    }
    for kind in ["", "Choices", "choice", "Relation", "myowntag"] {
        assert!(!is_known_type(kind), "{kind}");
    }
}

#[test]
fn regions_lie_in_what_the_object_tag_shows() {
    for (tag, object, region) in [
        ("Labels", Some("Text"), RegionKind::Text),
        ("Labels", Some("HyperText"), RegionKind::HyperText),
        ("Labels", Some("Paragraphs"), RegionKind::Paragraphs),
        ("Labels", Some("Audio"), RegionKind::Seconds),
        ("Labels", Some("AudioPlus"), RegionKind::Seconds),
        ("Labels", Some("TimeSeries"), RegionKind::TimeSeries),
        ("Labels", Some("Image"), RegionKind::OnImage),
        ("Labels", Some("Video"), RegionKind::Whole),
        ("Labels", None, RegionKind::Whole),
        ("Brush", None, RegionKind::Brush),
        ("MagicWand", None, RegionKind::Brush),
        ("Bitmask", None, RegionKind::Bitmask),
        ("Vector", None, RegionKind::Vector),
        ("KeyPoint", None, RegionKind::KeyPoint),
        ("Polygon", None, RegionKind::Polygon),
        ("Ellipse", None, RegionKind::Ellipse),
        ("Rectangle", None, RegionKind::Rectangle),
        ("TimelineLabels", None, RegionKind::Timeline),
        ("VideoRectangle", None, RegionKind::VideoRectangle),
        ("Choices", Some("Text"), RegionKind::Whole),
        ("MyOwnTag", Some("Text"), RegionKind::Whole),
    ] {
        assert_eq!(ControlKind::of(tag).region(object), region, "{tag} {object:?}");
    }
}

#[test]
fn names_are_compared_as_they_are_written() {
    let config = r#"<View><Text name="t" value="$t"/><Text name="u" value="$u"/>
        <Choices name="c" toName="t, u"><Choice value="A"/></Choices></View>"#;
    for (from_name, to_name, expected) in [
        ("c", "t", &[][..]),
        ("c", "u", &[]),
        ("C", "t", &[(Cause::FromName, "from_name")]),
        ("c", "T", &[(Cause::ToName, "to_name")]),
        ("c", "t, u", &[(Cause::ToName, "to_name")]),
        ("c", "", &[(Cause::ToName, "to_name")]),
    ] {
        let choices = region(from_name, to_name, "choices", &json!({"choices": ["A"]}));
        assert_region(config, &choices, expected);
    }
}

#[test]
fn a_finding_is_about_the_control_tag_that_the_region_says_it_is_of() {
    let bad = json!({"choices": ["Z"]});
    for (region, subjects) in [
        (on_image("kind", "choices", &bad), &["kind"][..]),
        (region("kind", "nowhere", "choices", &bad), &["kind", "kind"]),
        (on_image("nobody", "choices", &bad), &[""]),
        (on_image("kind", "Choices", &bad), &["kind", "kind"]),
        (json!({"from_name": "kind", "to_name": "image", "type": "choices"}), &[""]),
    ] {
        let results = json!([{"result": [region]}]).to_string();
        let checked = check_results(Some(IMAGE), 1, &results);
        let found: Vec<_> = checked.findings.iter().map(|found| found.subject.as_str()).collect();
        assert_eq!(found, subjects, "{region}");
    }
}

#[test]
fn what_the_editor_reads_of_every_value_has_its_type() {
    let wrong = |path| Some((Cause::WrongValue, path));
    for (key, right, mistaken) in [
        ("text", json!("read"), json!(7)),
        ("text", json!(["read", "twice"]), json!([7])),
        ("text", json!([]), json!(null)),
        ("datetime", json!("2024-01-31"), json!(2024)),
        ("rating", json!(3), json!("3")),
        ("number", json!(2.5), json!(null)),
        ("rotation", json!(-90.5), json!("90")),
        ("channel", json!(0), json!("left")),
        ("closed", json!(true), json!("yes")),
        ("instant", json!(false), json!(0)),
        ("negative", json!(false), json!(null)),
        ("choices", json!(["anything", ["a", "b"]]), json!("A")),
        ("labels", json!(["anything"]), json!([1])),
        ("brushlabels", json!(["anything"]), json!(null)),
    ] {
        let mut value =
            json!({"x": 1, "y": 1, "width": 2, "height": 2, "rectanglelabels": ["Cat"]});
        value[key] = right;
        assert_value(IMAGE, &on_image("box", "rectanglelabels", &value), None);
        value[key] = mistaken;
        assert_value(IMAGE, &on_image("box", "rectanglelabels", &value), wrong(key));
    }
    // Keys that only models know are theirs.
    let mut value = json!({"choices": ["A"], "my_labels": 7, "scores": null, "mylabels": "x"});
    assert_value(IMAGE, &on_image("kind", "choices", &value), None);
    value["score"] = json!({});
    assert_value(IMAGE, &on_image("kind", "choices", &value), None);
}
