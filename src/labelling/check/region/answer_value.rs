//! What a value says: the labels of a region, or the answer of a control tag.

use jiter::JsonValue;

use super::RegionReport;
use crate::labelling::check::control::ControlRules;
use crate::labelling::check::display::quote;
use crate::labelling::check::finding::Cause;
use crate::labelling::check::json::{JsonMembers, member, number};
use crate::labelling::check::shape::ControlKind;

/// The key under which a value of this kind has its labels or its answer.
pub(super) fn key(tool: ControlKind, value: &JsonMembers<'_>) -> Option<&'static str> {
    match tool {
        // Label Studio's package writes the one, its editor the other.
        ControlKind::VideoVectorLabels if member(value, "videovectorlabels").is_none() => {
            let has_plain = member(value, "labels").is_some();
            Some(if has_plain { "labels" } else { "videovectorlabels" })
        }
        tool => tool.key(),
    }
}

/// Checks the labels, or what else the tag writes under its own key.
///
/// A suggestion for the person who labels may have none: accepting it gives it the label that is selected.
pub(super) fn check(
    control: &ControlRules,
    key: Option<&str>,
    value: &JsonMembers<'_>,
    is_interactive: bool,
    report: &mut RegionReport<'_>,
) {
    let Some(key) = key else { return };
    let found = member(value, key);
    let path = |rest: &str| format!("value.{key}{rest}");
    let is_without = found.is_none_or(|found| matches!(found, JsonValue::Null));
    if is_interactive && is_without && control.tool.labels_regions() {
        return;
    }
    match control.tool {
        ControlKind::Rating | ControlKind::Number => check_number(control, key, found, report),
        ControlKind::Pairwise => match found {
            Some(JsonValue::Str(side)) if matches!(side.as_ref(), "left" | "right") => {}
            found => report.wrong(&path(""), found, "\"left\" or \"right\""),
        },
        ControlKind::DateTime => match found {
            Some(JsonValue::Str(date)) if !control.iso_date || starts_with_year(date) => {}
            found => report.wrong(&path(""), found, "a date such as \"2024-01-31\""),
        },
        ControlKind::TextArea => match found {
            Some(JsonValue::Str(_)) => {}
            Some(JsonValue::Array(texts)) => {
                for (index, text) in texts.iter().enumerate() {
                    if !matches!(text, JsonValue::Str(_)) {
                        report.wrong(&path(&format!("[{index}]")), Some(text), "a text");
                    }
                }
            }
            found => report.wrong(&path(""), found, "a list of texts"),
        },
        ControlKind::Ranker => match found {
            Some(JsonValue::Array(_)) => {}
            Some(JsonValue::Object(columns)) => {
                for (column, ids) in columns.iter() {
                    if !matches!(ids, JsonValue::Array(_)) {
                        report.wrong(&path(&format!(".{column}")), Some(ids), "a list of ids");
                    }
                }
            }
            found => report.wrong(&path(""), found, "a list of ids, or a dict of such lists"),
        },
        ControlKind::Chat => check_message(found, report),
        ControlKind::ReactCode => match found {
            Some(JsonValue::Object(_)) => {}
            found => report.wrong(&path(""), found, "a dict"),
        },
        tool if tool.borrows_labels() && found.is_none() => {}
        _ => match found {
            Some(JsonValue::Array(labels)) => check_labels(control, &path(""), labels, report),
            found => report.wrong(&path(""), found, "a list of labels"),
        },
    }
}

fn check_message(message: Option<&JsonValue<'_>>, report: &mut RegionReport<'_>) {
    let Some(JsonValue::Object(message)) = message else {
        return report.wrong("value.chatmessage", message, "a dict with role and content");
    };
    for key in ["role", "content"] {
        match member(message, key) {
            Some(JsonValue::Str(_)) => {}
            found => report.wrong(&format!("value.chatmessage.{key}"), found, "a text"),
        }
    }
}

fn check_number(
    control: &ControlRules,
    key: &str,
    found: Option<&JsonValue<'_>>,
    report: &mut RegionReport<'_>,
) {
    let path = || format!("value.{key}");
    let Some(given) = found.and_then(number) else {
        return report.wrong(&path(), found, "a number");
    };
    if let Some(min) = control.min.filter(|min| given < *min) {
        report.add(Cause::OutOfRange, &path(), || format!("is {given}, the least is {min}"));
    }
    if let Some(max) = control.max.filter(|max| given > *max) {
        report.add(Cause::OutOfRange, &path(), || format!("is {given}, the most is {max}"));
    }
}

fn starts_with_year(date: &str) -> bool {
    date.len() >= 4 && date.bytes().take(4).all(|byte| byte.is_ascii_digit())
}

fn check_labels(
    control: &ControlRules,
    path: &str,
    labels: &[JsonValue<'_>],
    report: &mut RegionReport<'_>,
) {
    let is_taxonomy = control.tool == ControlKind::Taxonomy;
    for (index, label) in labels.iter().enumerate() {
        let at = |rest: &str| format!("{path}[{index}]{rest}");
        match label {
            JsonValue::Str(label) if !is_taxonomy => check_label(control, label, || at(""), report),
            // A path, from the root to the choice.
            JsonValue::Array(steps) if is_taxonomy || control.tool == ControlKind::Choices => {
                for (step, label) in steps.iter().enumerate() {
                    let at = || at(&format!("[{step}]"));
                    match label {
                        JsonValue::Str(label) => check_label(control, label, at, report),
                        other => report.wrong(&at(), Some(other), "a text"),
                    }
                }
            }
            other => {
                let expected =
                    if is_taxonomy { "a list, the path to the choice" } else { "a text" };
                report.wrong(&at(""), Some(other), expected);
            }
        }
    }
}

fn check_label(
    control: &ControlRules,
    label: &str,
    path: impl FnOnce() -> String,
    report: &mut RegionReport<'_>,
) {
    if !control.has_label(label) {
        report.add(Cause::UnknownLabel, &path(), || {
            format!("is {}, {} has {}", quote(label), quote(&control.name), control.labels())
        });
    }
}
