//! Which version predictions carry, and what Label Studio would fail on.

use super::*;

#[test]
fn predictions_carry_the_version_that_made_them() {
    let cases = [
        ("[]", r#"{"model_version":"7","results":[]}"#),
        (
            "[{'result': []}, {}]",
            r#"{"model_version":"7","results":[{"result":[],"model_version":"7"},{"model_version":"7"}]}"#,
        ),
        (
            "[{'model_version': 'mine'}, [{'score': 1}]]",
            r#"{"model_version":"7","results":[{"model_version":"mine"},[{"score":1,"model_version":"7"}]]}"#,
        ),
        (
            "[{'model_version': None, 'score': 1}]",
            r#"{"model_version":"7","results":[{"score":1,"model_version":"7"}]}"#,
        ),
        ("None", r#"{"model_version":"7","results":null}"#),
        ("{'a': []}", r#"{"model_version":"7","results":{"a":[]}}"#),
    ];
    for (expression, expected) in cases {
        let body = written_by(expression, predicted).unwrap();
        assert_eq!(body, format!("{expected}\n"), "{expression}");
    }
}

#[test]
fn what_the_model_calls_its_version_becomes_the_one_that_is_served() {
    let names = names("0.0.1+17", &["0.0.1", "0.0.2"]);
    let body = written_by(
        "[{'model_version': '0.0.1'}, [{'model_version': Version('0.0.2')}], {'model_version': 'x'}]",
        |value| {
            Ok(predictions(value, &names)?.body)
        },
    )
    .unwrap();
    assert_eq!(
        body,
        concat!(
            r#"{"model_version":"0.0.1+17","results":[{"model_version":"0.0.1+17"},"#,
            r#"[{"model_version":"0.0.1+17"}],{"model_version":"x"}]}"#,
            "\n"
        )
    );
}

#[test]
fn nothing_is_written_on_which_label_studio_fails() {
    let mut mended = Mended::default();
    let body = written_by(
        "[None, {'model_version': None}, [None, {'model_version': None}], (), None, {'result': None}]",
        |value| {
            let written = predictions(value, &names("7", &[]))?;
            mended = written.mended;
            Ok(written.body)
        },
    )
    .unwrap();
    assert_eq!(
        body,
        concat!(
            r#"{"model_version":"7","results":[[],{"model_version":"7"},[null,{"model_version":"7"}],"#,
            r#"[],[],{"result":null,"model_version":"7"}]}"#,
            "\n"
        )
    );
    let places = |first: &str| Some(Places { first: first.into(), count: 2 });
    assert_eq!(mended.null_items, places("results[0]"));
    assert_eq!(mended.null_versions, places("results[1].model_version"));
}

#[test]
fn versions_are_put_in_the_place_of_those_of_a_prediction_and_of_nothing_else() {
    let names = names("7", &["mine"]);
    let body = |expression: &str| {
        written_by(expression, |value| Ok(predictions(value, &names)?.body)).unwrap()
    };
    for (expression, results) in [
        ("[{'model_version': 'mine'}]", r#"[{"model_version":"7"}]"#),
        ("[{'a': {'model_version': 'mine'}}]", {
            r#"[{"a":{"model_version":"mine"},"model_version":"7"}]"#
        }),
        ("[{'model_version': 'min'}]", r#"[{"model_version":"min"}]"#),
        ("[{'Model_version': 1}]", r#"[{"Model_version":1,"model_version":"7"}]"#),
        ("({'a': 1},)", r#"[{"a":1,"model_version":"7"}]"#),
        ("[({},)]", r#"[[{"model_version":"7"}]]"#),
        ("{'model_version': 'mine'}", r#"{"model_version":"mine"}"#),
        ("{'a': None, 'b': {}}", r#"{"a":null,"b":{}}"#),
        ("[1, 'a']", r#"[1,"a"]"#),
    ] {
        let expected = format!("{{\"model_version\":\"7\",\"results\":{results}}}\n");
        assert_eq!(body(expression), expected, "{expression}");
    }
}
