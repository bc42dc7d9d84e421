//! The answer as a whole: the list of results, the predictions in it and what Label Studio's server
//! reads of them.

use std::collections::HashSet;

use jiter::JsonValue;

use super::checking::{AnswerContext, Checking};
use super::display::{quote, show};
use super::finding::{Cause, Checked, Finding, FindingPlace};
use super::json::{Results, member, read_results};
use super::region;
use super::relation;
use super::rules::Rules;
use super::tasks::ids;

/// Checks the body of an answer. Without rules (no labelling config, or one that is not well-formed)
/// only what Label Studio's server reads is checked, not the regions.
pub fn check(body: &[u8], asked: AnswerContext<'_>, rules: Option<&Rules>) -> Checked {
    let mut checking = Checking::new(asked);
    checking.checked.add_mended(asked.mended);
    let read = read_results(body, |item, result| {
        check_item(result, item, rules, &mut checking);
    });
    let whole = match read {
        Ok(Results::List(given)) => judge_number(given, asked),
        Ok(Results::Other(other)) => {
            let problem = format!("is {other} instead of a list with one item for each task");
            Some((Cause::ResultsNotAList, problem))
        }
        Err(error) => Some((Cause::Unreadable, format!("cannot be read: {error}"))),
    };
    let mut checked = checking.checked;
    if let Some((cause, problem)) = whole {
        checked.add_first(Finding::of_all(cause, "results", problem));
    }
    name_tasks(&mut checked, asked.request);
    checked
}

/// Names the tasks of the findings by their ids. The request is read only if there are any.
fn name_tasks(checked: &mut Checked, request: &[u8]) {
    let all = || checked.findings.iter().chain(&checked.notes);
    let Some(last) = all().filter_map(Finding::task_index).max() else { return };
    let ids = ids(request, last);
    for finding in checked.findings.iter_mut().chain(&mut checked.notes) {
        finding.task = finding.task_index().and_then(|item| ids.get(item).cloned().flatten());
    }
}

/// What is wrong with the number of results, if anything.
fn judge_number(given: usize, asked: AnswerContext<'_>) -> Option<(Cause, String)> {
    let tasks = asked.tasks;
    // Without a context, models that answer a person have nothing to answer; with one, they may find nothing, and
    // a question about no task is one about the model itself.
    let is_without = given == 0 && (asked.is_interactive || asked.uses_context);
    if given == tasks || is_without || (asked.is_interactive && tasks == 0) {
        return None;
    }
    let items = if given == 1 { "one item".into() } else { format!("{given} items") };
    Some(match given {
        0 => {
            let count = count(tasks);
            let problem =
                format!("is an empty list for {count} (`[]` for a task stands for no prediction)");
            (Cause::NoResults, problem)
        }
        1 if tasks > 1 => (Cause::OneForSeveral, format!("has one item for {}", count(tasks))),
        _ => (Cause::WrongNumberOfResults, format!("has {items} for {}", count(tasks))),
    })
}

fn check_item(
    result: &JsonValue<'_>,
    item: usize,
    rules: Option<&Rules>,
    checking: &mut Checking<'_>,
) {
    let place = FindingPlace { item, prediction: None, region: None };
    match result {
        JsonValue::Array(predictions) => {
            for (prediction, value) in predictions.iter().enumerate() {
                let place = FindingPlace { prediction: Some(prediction), ..place };
                check_prediction(value, place, rules, checking);
            }
        }
        value => check_prediction(value, place, rules, checking),
    }
}

fn count(tasks: usize) -> String {
    if tasks == 1 { "1 task".into() } else { format!("{tasks} tasks") }
}

/// Adds a finding that is not about a control tag.
fn add(
    checked: &mut Checked,
    cause: Cause,
    place: FindingPlace,
    rest: &str,
    problem: impl FnOnce() -> String,
) {
    checked.add(cause, || Finding::at(cause, place, rest, "", problem()));
}

fn check_prediction(
    value: &JsonValue<'_>,
    place: FindingPlace,
    rules: Option<&Rules>,
    checking: &mut Checking<'_>,
) {
    let version = checking.asked.version;
    let checked = &mut checking.checked;
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
    if let Some(JsonValue::Str(given)) = member(prediction, "model_version")
        && let Some(version) = version
        && given != version
    {
        let cause = Cause::OtherVersion;
        checked.add(cause, || {
            let problem = format!("is {} and /setup tells {}", quote(given), quote(version));
            Finding::at(cause, place, "model_version", given, problem)
        });
    }
    match member(prediction, "result") {
        Some(JsonValue::Array(regions)) => check_regions(regions, place, rules, checking),
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
    place: FindingPlace,
    rules: Option<&Rules>,
    checking: &mut Checking<'_>,
) {
    let mut seen = HashSet::new();
    let mut ids = None;
    for (index, value) in regions.iter().enumerate() {
        let place = FindingPlace { region: Some(index), ..place };
        let JsonValue::Object(region) = value else {
            let problem = || format!("is {} instead of a dict", show(value));
            add(&mut checking.checked, Cause::RegionNotADict, place, "", problem);
            continue;
        };
        let text = |key| match member(region, key) {
            Some(JsonValue::Str(text)) => Some(text.as_ref()),
            _ => None,
        };
        let kind = text("type");
        if kind == Some("relation") {
            let ids = ids.get_or_insert_with(|| relation::ids(regions));
            relation::check(region, ids, place, &mut checking.checked);
            continue;
        }
        if let Some(rules) = rules {
            region::check(region, kind, place, rules, checking);
        }
        if regions.len() > 1
            && let (Some(id), Some(from_name)) = (text("id"), text("from_name"))
            && !seen.insert((id, from_name))
        {
            checking.checked.add(Cause::DuplicateId, || {
                let problem = format!("is {} like that of a region before it", quote(id));
                Finding::at(Cause::DuplicateId, place, "id", from_name, problem)
            });
        }
    }
}
