//! Any answer and any labelling config: each finding names a place in the answer, or a place that is missing
//! in something that the answer contains.
//!
//! An input is a byte with the number of tasks and two flags, the labelling config, a zero byte, the answer, and
//! perhaps another zero byte and the request.
#![no_main]

use label_studio_ml::labelling::check::{AnswerContext, Cause, Checked, Mended, Rules, check};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// Findings that are kept whatever their cause, and one more of each cause.
const MOST_KEPT: usize = 100 + 40;

fuzz_target!(|data: &[u8]| {
    let Some((tasks, rest)) = data.split_first() else { return };
    let mut parts = rest.splitn(3, |byte| *byte == 0);
    let config = String::from_utf8_lossy(parts.next().unwrap_or_default());
    let body = parts.next().unwrap_or_default();
    let request = parts.next().unwrap_or_default();
    let rules = Rules::parse(&config).ok();
    let asked = AnswerContext {
        tasks: usize::from(*tasks % 4),
        version: Some("7"),
        mended: &Mended::default(),
        request,
        is_interactive: *tasks & 4 != 0,
        uses_context: *tasks & 8 != 0,
    };
    let checked = check(body, asked, rules.as_ref());
    assert_eq!(checked, check(body, asked, rules.as_ref()), "the same answer, other findings");
    assert!(checked.findings.len() <= checked.total.min(MOST_KEPT));
    if let Ok(whole) = serde_json::from_slice::<Value>(body)
        && body.windows(9).filter(|part| part == b"\"results\"").count() == 1
    {
        assert_places_exist(&checked, &whole);
    }
    for finding in &checked.findings {
        let sentence = finding.sentence();
        assert!(sentence.starts_with(&finding.path) && !finding.problem.is_empty());
    }
    serde_json::to_string(&checked.findings).expect("findings are JSON");
});

fn assert_places_exist(checked: &Checked, whole: &Value) {
    for finding in &checked.findings {
        let mut steps = steps(&finding.path);
        // What is missing can only be missing from something; `results` of nothing are at the top.
        if at(whole, &steps).is_none() {
            assert!(
                matches!(
                    finding.cause,
                    Cause::ResultsNotAList
                        | Cause::Unreadable
                        | Cause::FromName
                        | Cause::ToName
                        | Cause::UnknownType
                        | Cause::NoValue
                        | Cause::MissingKey
                        | Cause::ImageSize
                        | Cause::Relation
                ),
                "{} is not there, {:?}",
                finding.path,
                finding.cause
            );
            steps.pop();
            assert!(at(whole, &steps).is_some(), "nothing is at {steps:?}, {finding:?}");
        }
        if let Some(item) = finding.item {
            assert!(finding.path.starts_with(&format!("results[{item}]")));
        }
    }
}

#[derive(Debug)]
enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

fn steps(path: &str) -> Vec<Step<'_>> {
    path.split(['.', '['])
        .filter(|step| !step.is_empty())
        .map(|step| match step.strip_suffix(']') {
            Some(index) => Step::Index(index.parse().expect("an index")),
            None => Step::Key(step),
        })
        .collect()
}

fn at<'a>(whole: &'a Value, steps: &[Step<'_>]) -> Option<&'a Value> {
    steps.iter().try_fold(whole, |value, step| match step {
        Step::Key(key) => value.get(key),
        Step::Index(index) => value.get(index),
    })
}
