//! The answer as a whole: the list of results, the predictions in it and what Label Studio's server
//! reads of them.

use std::collections::HashSet;

use jiter::JsonValue;

use super::finding::{Cause, Checked, Finding, Mended, Place};
use super::json::{member, quote, show};
use super::region;
use super::relation;
use super::rules::Rules;

/// What was asked of the model.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    pub tasks: usize,
    /// The version that /setup tells.
    pub version: &'a str,
    pub mended: &'a Mended,
}

/// Checks the body of an answer. Without rules (no labelling config, or one that is not well-formed)
/// only what Label Studio's server reads is checked, not the regions.
pub fn check(body: &[u8], asked: Asked<'_>, rules: Option<&Rules>) -> Checked {
    let mut checked = Checked::default();
    checked.add_mended(asked.mended);
    match JsonValue::parse(body, false) {
        Ok(answer) => check_results(&answer, asked, rules, &mut checked),
        Err(error) => {
            add_whole(&mut checked, Cause::Unreadable, format!("cannot be read: {error}"));
        }
    }
    checked
}

fn check_results(
    answer: &JsonValue<'_>,
    asked: Asked<'_>,
    rules: Option<&Rules>,
    checked: &mut Checked,
) {
    let results = match answer {
        JsonValue::Object(answer) => member(answer, "results"),
        _ => None,
    };
    let results = match results {
        Some(JsonValue::Array(results)) => results,
        other => {
            let other = other.map_or_else(|| "nothing".into(), show);
            let problem = format!("is {other} instead of a list with one item for each task");
            return add_whole(checked, Cause::ResultsNotAList, problem);
        }
    };
    let (tasks, given) = (asked.tasks, results.len());
    if given == 0 && tasks > 0 {
        let problem = format!(
            "is an empty list for {} (`[]` for a task stands for no prediction)",
            count(tasks)
        );
        add_whole(checked, Cause::NoResults, problem);
    } else if given == 1 && tasks > 1 {
        let problem = format!("has one item for {}", count(tasks));
        add_whole(checked, Cause::OneForSeveral, problem);
    } else if given != tasks {
        let items = if given == 1 { "one item".into() } else { format!("{given} items") };
        let problem = format!("has {items} for {}", count(tasks));
        add_whole(checked, Cause::WrongNumberOfResults, problem);
    }
    for (item, result) in results.iter().enumerate() {
        let place = Place { item, prediction: None, region: None };
        match result {
            JsonValue::Array(predictions) => {
                for (prediction, value) in predictions.iter().enumerate() {
                    let place = Place { prediction: Some(prediction), ..place };
                    check_prediction(value, place, asked, rules, checked);
                }
            }
            value => check_prediction(value, place, asked, rules, checked),
        }
    }
}

fn count(tasks: usize) -> String {
    if tasks == 1 { "1 task".into() } else { format!("{tasks} tasks") }
}

fn add_whole(checked: &mut Checked, cause: Cause, problem: String) {
    checked.add(cause, || Finding::of_all(cause, "results", problem));
}

/// Adds a finding that is about no control tag.
fn add(
    checked: &mut Checked,
    cause: Cause,
    place: Place,
    rest: &str,
    problem: impl FnOnce() -> String,
) {
    checked.add(cause, || Finding::at(cause, place, rest, "", problem()));
}

fn check_prediction(
    value: &JsonValue<'_>,
    place: Place,
    asked: Asked<'_>,
    rules: Option<&Rules>,
    checked: &mut Checked,
) {
    let JsonValue::Object(prediction) = value else {
        let problem = || format!("is {} instead of a dict with `result`", show(value));
        return add(checked, Cause::PredictionNotADict, place, "", problem);
    };
    match member(prediction, "score") {
        None | Some(JsonValue::Null | JsonValue::Int(_) | JsonValue::Float(_)) => {}
        // Label Studio takes "0.5" too.
        Some(JsonValue::Str(text)) if text.trim().parse::<f64>().is_ok() => {}
        Some(score) => add(checked, Cause::ScoreNotANumber, place, "score", || {
            format!("is {} instead of a number", show(score))
        }),
    }
    if let Some(JsonValue::Str(version)) = member(prediction, "model_version")
        && version != asked.version
    {
        let cause = Cause::OtherVersion;
        checked.add(cause, || {
            let problem =
                format!("is {} and /setup tells {}", quote(version), quote(asked.version));
            Finding::at(cause, place, "model_version", version, problem)
        });
    }
    match member(prediction, "result") {
        Some(JsonValue::Array(regions)) => check_regions(regions, place, rules, checked),
        Some(JsonValue::Null) => add(checked, Cause::ResultNull, place, "result", || {
            "is None instead of a list of regions (`[]` stands for none)".into()
        }),
        Some(other) => add(checked, Cause::ResultNotAList, place, "result", || {
            format!("is {} instead of a list of regions", show(other))
        }),
        None => add(checked, Cause::ResultMissing, place, "", || "has no `result`".into()),
    }
}

fn check_regions(
    regions: &[JsonValue<'_>],
    place: Place,
    rules: Option<&Rules>,
    checked: &mut Checked,
) {
    let mut seen = HashSet::new();
    let mut ids = None;
    for (index, value) in regions.iter().enumerate() {
        let place = Place { region: Some(index), ..place };
        let JsonValue::Object(region) = value else {
            let problem = || format!("is {} instead of a dict", show(value));
            add(checked, Cause::RegionNotADict, place, "", problem);
            continue;
        };
        let text = |key| match member(region, key) {
            Some(JsonValue::Str(text)) => Some(text.as_ref()),
            _ => None,
        };
        let kind = text("type");
        if kind == Some("relation") {
            let ids = ids.get_or_insert_with(|| relation::ids(regions));
            relation::check(region, ids, place, checked);
            continue;
        }
        if let Some(rules) = rules {
            region::check(region, kind, place, rules, checked);
        }
        if regions.len() > 1
            && let (Some(id), Some(from_name)) = (text("id"), text("from_name"))
            && !seen.insert((id, from_name))
        {
            checked.add(Cause::DuplicateId, || {
                let problem = format!("is {} like that of a region before it", quote(id));
                Finding::at(Cause::DuplicateId, place, "id", from_name, problem)
            });
        }
    }
}
