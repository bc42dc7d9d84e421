//! Predictions as a whole: relations and ids, scores, numbers of results; and the words for it.

use serde_json::{Value, json};

use jiter::JsonValue;

use super::super::display::{choice, quote, show};
use super::super::finding::{Cause, Mended, Places};
use super::super::json::{Results, member, number, read_results, whole};
use super::regions::{TEXTS, region};
use super::{causes, check_results};

#[test]
fn arrows_of_relations_point_somewhere_from_region_to_region() {
    let span = json!({"start": 0, "end": 4, "labels": ["PER"]});
    let mut one = region("ner", "text", "labels", &span);
    one["id"] = json!("1");
    let mut two = one.clone();
    two["id"] = json!(2);
    for (relation, expected) in [
        (json!({"from_id": "1", "to_id": "2", "direction": "left"}), None),
        (json!({"from_id": "1", "to_id": 2, "direction": "right"}), None),
        (json!({"from_id": 1, "to_id": "2", "direction": "bi"}), None),
        (json!({"from_id": "1", "to_id": "2"}), None),
        (json!({"from_id": "1", "to_id": "2", "direction": null}), Some("direction")),
        (json!({"from_id": "1", "to_id": "2", "direction": "both"}), Some("direction")),
        (json!({"from_id": "1", "direction": "bi"}), Some("to_id")),
        (json!({"to_id": "2"}), Some("from_id")),
        (json!({"from_id": "3", "to_id": "2"}), Some("from_id")),
        (json!({"from_id": "1", "to_id": 2.5}), Some("to_id")),
    ] {
        let mut relation = relation;
        relation["type"] = json!("relation");
        let results = json!([{"result": [one, two, relation]}]).to_string();
        let checked = check_results(Some(TEXTS), 1, &results);
        let expected: Vec<_> = expected
            .map(|key| (Cause::Relation, format!("results[0].result[2].{key}")))
            .into_iter()
            .collect();
        let found: Vec<_> =
            causes(&checked).into_iter().map(|(cause, path)| (cause, path.to_owned())).collect();
        assert_eq!(found, expected, "{relation}");
    }
}

#[test]
fn two_regions_of_one_tag_have_two_ids_with_or_without_a_config() {
    let of = |id: &str, name: &str| json!({"id": id, "from_name": name});
    let found = |regions: Value| {
        let results = json!([{"result": regions}, {"result": regions}]).to_string();
        causes(&check_results(None, 2, &results))
            .into_iter()
            .map(|(_, path)| path.to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(found(json!([of("1", "a"), of("2", "a"), of("1", "b")])), [""; 0]);
    assert_eq!(
        found(json!([of("1", "a"), of("2", "a"), of("1", "a"), of("1", "a")])),
        [
            "results[0].result[2].id",
            "results[0].result[3].id",
            "results[1].result[2].id",
            "results[1].result[3].id"
        ]
    );
    assert_eq!(found(json!([{"from_name": "a"}, {"from_name": "a"}])), [""; 0]);
}

#[test]
fn scores_and_versions_are_what_label_studio_takes() {
    for (prediction, expected) in [
        (r#"{"result":[],"score":" 0.5 "}"#, None),
        (r#"{"result":[],"score":-1}"#, None),
        (r#"{"result":[],"score":true}"#, Some(Cause::ScoreNotANumber)),
        (r#"{"result":[],"score":""}"#, Some(Cause::ScoreNotANumber)),
        (r#"{"result":[],"score":{}}"#, Some(Cause::ScoreNotANumber)),
        (r#"{"result":[],"model_version":7}"#, None),
        (r#"{"result":[],"model_version":"07"}"#, Some(Cause::OtherVersion)),
        (r#"{"result":[],"model_version":"6","model_version":"7"}"#, None),
        (r#"{"result":null,"result":[]}"#, None),
        (r#"{"result":3}"#, Some(Cause::ResultNotAList)),
        (r#"{"result":"a"}"#, Some(Cause::ResultNotAList)),
    ] {
        let checked = check_results(None, 1, &format!("[{prediction}]"));
        let found: Vec<_> = checked.findings.iter().map(|finding| finding.cause).collect();
        assert_eq!(found, Vec::from_iter(expected), "{prediction}");
    }
}

#[test]
fn numbers_of_results_and_tasks_are_said_in_words() {
    let problem = |tasks, results: &str| {
        check_results(None, tasks, results).findings.into_iter().next().map(|first| first.problem)
    };
    for (tasks, results, expected) in [
        (1, "[]", Some("is an empty list for 1 task (`[]` for a task stands for no prediction)")),
        (2, "[]", Some("is an empty list for 2 tasks (`[]` for a task stands for no prediction)")),
        (2, "[[]]", Some("has one item for 2 tasks")),
        (0, "[[]]", Some("has one item for 0 tasks")),
        (1, "[[],[]]", Some("has 2 items for 1 task")),
        (3, "[[],[]]", Some("has 2 items for 3 tasks")),
        (2, "[[],[]]", None),
        (1, "{}", Some("is a dict instead of a list with one item for each task")),
        (1, "null", Some("is null instead of a list with one item for each task")),
        (1, "true", Some("is true instead of a list with one item for each task")),
        (1, "-1", Some("is -1 instead of a list with one item for each task")),
        (1, "1.5", Some("is 1.5 instead of a list with one item for each task")),
        (1, "\"a\"", Some("is \"a\" instead of a list with one item for each task")),
    ] {
        assert_eq!(problem(tasks, results).as_deref(), expected, "{results} for {tasks}");
    }
}

#[test]
fn what_is_read_of_json_is_what_javascript_reads() {
    let json = |text: &'static str| JsonValue::parse(text.as_bytes(), false).unwrap();
    let dict = json(r#"{"a": 1, "a\u0062": [], "a": 2}"#);
    let JsonValue::Object(members) = &dict else { panic!("{dict:?}") };
    assert_eq!(member(members, "a"), Some(&JsonValue::Int(2)), "the last one counts");
    assert_eq!(member(members, "ab"), Some(&JsonValue::Array(Vec::new().into())));
    assert_eq!(member(members, "b"), None);
    for (text, number) in [
        ("4", Some(4)),
        ("4.0", Some(4)),
        ("4.5", None),
        ("\"4\"", Some(4)),
        ("\"4.0\"", None),
        ("\"-4\"", Some(-4)),
        ("true", None),
        ("null", None),
        ("9223372036854775808", Some(i64::MAX)),
    ] {
        assert_eq!(whole(&json(text)), number, "{text}");
    }
    assert_eq!(number(&json("18446744073709551615")), Some(18_446_744_073_709_551_615.0));
    assert_eq!(number(&json("-1e400")), Some(f64::NEG_INFINITY));
    let mut seen = Vec::new();
    let read = |body: &str, seen: &mut Vec<usize>| {
        read_results(body.as_bytes(), |item, _| seen.push(item)).ok()
    };
    assert_eq!(read(r#"{"x": [1], "results": [1, 2]}"#, &mut seen), Some(Results::List(2)));
    assert_eq!(seen, [0, 1]);
    assert_eq!(read("{}", &mut seen), Some(Results::Other("nothing".into())));
    for bad in [r#"{"results": []} x"#, "[]", r#"{"results": [1}"#, r#"{"results": [NaN]}"#] {
        assert_eq!(read(bad, &mut seen), None, "{bad}");
    }
    let error = read_results(b"{\"results\": [1,\n}", |_, _| {}).unwrap_err();
    assert_eq!(error, "expected value at line 2 column 1");
}

#[test]
fn long_texts_are_cut_and_of_many_names_the_first_are_said() {
    for (value, said) in [
        ("null", "null"),
        ("true", "true"),
        ("-1", "-1"),
        ("123456789012345678901", "123456789012345678901"),
        ("1.5", "1.5"),
        ("\"a\"", "\"a\""),
        ("[]", "an empty list"),
        ("[1]", "a list"),
        ("{}", "a dict"),
    ] {
        assert_eq!(show(&JsonValue::parse(value.as_bytes(), false).unwrap()), said);
    }
    assert_eq!(quote("a\"b"), r#""a\"b""#);
    let long = "é".repeat(60);
    assert_eq!(quote(&long), format!("\"{long}\""));
    assert_eq!(quote(&format!("{long}x")), format!("\"{long}\"…"));
    for (names, said) in [
        (&[][..], "none"),
        (&["a"], "\"a\""),
        (&["a", "b"], "\"a\" or \"b\""),
        (&["a", "b", "c", "d", "e", "f"], r#""a", "b", "c", "d", "e" or "f""#),
        (&["a", "b", "c", "d", "e", "f", "g"], r#""a", "b", "c", "d", "e", "f", …"#),
    ] {
        assert_eq!(choice(names.iter().copied()), said);
    }
}

#[test]
fn a_hundred_findings_are_kept_and_the_first_of_every_further_kind() {
    for (count, kept) in [(99, 99), (100, 100), (101, 100)] {
        let results = vec![r#"{"score":1}"#; count].join(",");
        let checked = check_results(None, count, &format!("[{results}]"));
        assert_eq!((checked.findings.len(), checked.total), (kept, count));
    }
    let mut places = None;
    for number in 1..=3 {
        Places::note(&mut places, || format!("results[{number}]"));
    }
    assert_eq!(places, Some(Places { first: "results[1]".into(), count: 3 }));
    let none = Mended::default();
    assert!(none.is_empty());
    assert!(!Mended { null_items: places.clone(), ..none.clone() }.is_empty());
    assert!(!Mended { null_versions: places, ..none }.is_empty());
}
