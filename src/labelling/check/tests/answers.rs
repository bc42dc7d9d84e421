//! What Label Studio's server reads: the number of results, versions, scores.

use proptest::prelude::*;

use super::super::{AnswerContext, Cause, Mended, Places, check};
use super::{asked, causes, check_results};

#[test]
fn each_way_of_losing_predictions_has_a_cause() {
    let cases = [
        (1, "null", Cause::ResultsNotAList, "results"),
        (1, r#"{"result":[]}"#, Cause::ResultsNotAList, "results"),
        (2, "[]", Cause::NoResults, "results"),
        (3, r#"[{"result":[]},{"result":[]}]"#, Cause::WrongNumberOfResults, "results"),
        (3, r#"[{"result":[]}]"#, Cause::OneForSeveral, "results"),
        (0, r#"[{"result":[]}]"#, Cause::WrongNumberOfResults, "results"),
        (1, "[null]", Cause::PredictionNotADict, "results[0]"),
        (1, r#"["Positive"]"#, Cause::PredictionNotADict, "results[0]"),
        (1, r#"[[{"result":[]},3]]"#, Cause::PredictionNotADict, "results[0][1]"),
        (1, r#"[{"score":1}]"#, Cause::ResultMissing, "results[0]"),
        (1, r#"[{"result":null}]"#, Cause::ResultNull, "results[0].result"),
        (1, r#"[{"result":{"choices":["A"]}}]"#, Cause::ResultNotAList, "results[0].result"),
        (1, r#"[{"result":["A"]}]"#, Cause::RegionNotADict, "results[0].result[0]"),
        (1, r#"[{"result":[],"score":"high"}]"#, Cause::ScoreNotANumber, "results[0].score"),
        (1, r#"[{"result":[],"score":[0.5]}]"#, Cause::ScoreNotANumber, "results[0].score"),
        (
            1,
            r#"[[{"result":[],"model_version":"6"}]]"#,
            Cause::OtherVersion,
            "results[0][0].model_version",
        ),
    ];
    for (tasks, results, cause, path) in cases {
        let checked = check_results(None, tasks, results);
        assert_eq!(causes(&checked), [(cause, path)], "{results}");
        assert_eq!(checked.total, 1, "{results}");
    }
}

#[test]
fn what_label_studio_takes_is_no_finding() {
    let cases = [
        (0, "[]"),
        (2, r#"[{"result":[]},[]]"#),
        (1, r#"[[{"result":[]},{"result":[],"score":null}]]"#),
        (1, r#"[{"result":[],"score":"0.5","model_version":"7"}]"#),
        (1, r#"[{"result":[],"score":1234.5,"cluster":3}]"#),
        // Without a labelling config nothing is known of the regions.
        (1, r#"[{"result":[{"from_name":"nowhere"}]}]"#),
    ];
    for (tasks, results) in cases {
        assert_eq!(causes(&check_results(None, tasks, results)), [], "{results}");
    }
}

#[test]
fn a_finding_is_one_sentence_with_place_and_effect() {
    let checked = check_results(None, 3, r#"[{"result":[]}]"#);
    insta::assert_snapshot!(checked.findings[0].sentence());
    let checked = check_results(None, 1, r#"[{"result":[],"model_version":"6"}]"#);
    insta::assert_snapshot!(checked.findings[0].sentence());
}

#[test]
fn what_was_mended_is_found_too() {
    let mended = Mended {
        null_items: Some(Places { first: "results[2]".into(), count: 2 }),
        null_versions: Some(Places { first: "results[0].model_version".into(), count: 1 }),
    };
    let asked = asked(1, &mended);
    let checked = check(br#"{"results":[[]]}"#, asked, None);
    assert_eq!(
        causes(&checked),
        [(Cause::NullItem, "results[2]"), (Cause::NullVersion, "results[0].model_version")]
    );
    assert_eq!(checked.total, 3);
}

#[test]
fn a_rare_mistake_does_not_hide_behind_a_common_one() {
    let mut results = vec![r#"{"score":1}"#; 500];
    results.push(r#"{"result":null}"#);
    let checked = check_results(None, 501, &format!("[{}]", results.join(",")));
    assert_eq!(checked.total, 501);
    assert_eq!(checked.findings.len(), 101);
    assert_eq!(checked.findings[100].path, "results[500].result");
}

#[test]
fn an_empty_list_is_right_where_the_model_needs_a_context_or_has_one() {
    let mended = Mended::default();
    for (tasks, results, is_interactive, uses_context, expected) in [
        (2, "[]", false, false, Some(Cause::NoResults)),
        (2, "[]", false, true, None),
        (1, "[]", true, false, None),
        (1, "[]", true, true, None),
        // A question about no task.
        (0, "[[]]", true, true, None),
        (0, "[[]]", false, true, Some(Cause::WrongNumberOfResults)),
        (2, "[[]]", true, true, Some(Cause::OneForSeveral)),
        (2, "null", true, true, Some(Cause::ResultsNotAList)),
    ] {
        let asked = AnswerContext { is_interactive, uses_context, ..asked(tasks, &mended) };
        let body = format!(r#"{{"results":{results}}}"#);
        let found: Vec<_> = check(body.as_bytes(), asked, None)
            .findings
            .into_iter()
            .map(|finding| finding.cause)
            .collect();
        assert_eq!(found, Vec::from_iter(expected), "{results} for {tasks}");
    }
}

#[test]
fn an_answer_that_cannot_be_read_is_a_finding() {
    let deep = format!("{}{}", "[".repeat(400), "]".repeat(400));
    let body = format!(r#"{{"results":[{{"result":{deep}}}]}}"#);
    let mended = Mended::default();
    let asked = asked(1, &mended);
    for body in [body.as_str(), "{", ""] {
        assert_eq!(causes(&check(body.as_bytes(), asked, None)), [(Cause::Unreadable, "results")]);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_checked_without_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mended = Mended::default();
        let asked = asked(1, &mended);
        check(&body, asked, None);
    }
}
