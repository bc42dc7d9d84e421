//! What a value says: the labels of a region, or the answer of a control tag.

use jiter::JsonValue;

use crate::labelling::check::control::ControlRules;
use crate::labelling::check::display::{quote, show};
use crate::labelling::check::finding::Cause;
use crate::labelling::check::json::{JsonMembers, member, number};
use crate::labelling::check::report::RegionReport;
use crate::labelling::check::shape::{ControlKind, is_answer_key};

/// The key under which a value has its labels or its answer; none for a bare shape.
pub(super) fn key(control: &ControlRules, value: &JsonMembers<'_>) -> Option<&'static str> {
    match control.tool {
        // Label Studio's package writes the one, its editor the other.
        ControlKind::VideoVectorLabels => merged_key(control.tool, value),
        _ => control.key,
    }
}

/// The same where a shape has its labels from elsewhere: under the name of both together, or of labels.
pub(super) fn merged_key(shape: ControlKind, value: &JsonMembers<'_>) -> Option<&'static str> {
    let own = shape.key()?;
    let is_plain = member(value, own).is_none() && member(value, "labels").is_some();
    Some(if is_plain { "labels" } else { own })
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
    others(key, value, report);
    let Some(key) = key else { return };
    let found = member(value, key);
    let path = |rest: &str| format!("value.{key}{rest}");
    if is_interactive && found.is_none() && control.tool.labels_regions() {
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
                        report.add(Cause::WrongValue, &path(""), || {
                            format!(
                                "has {} for {} instead of a list of ids",
                                show(ids),
                                quote(column)
                            )
                        });
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
            Some(JsonValue::Array(labels)) => check_labels(control, key, labels, report),
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
    key: &str,
    labels: &[JsonValue<'_>],
    report: &mut RegionReport<'_>,
) {
    let is_taxonomy = control.tool == ControlKind::Taxonomy;
    for (index, label) in labels.iter().enumerate() {
        let at = |rest: &str| format!("value.{key}[{index}]{rest}");
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

/// Checks what the editor reads of every value, whatever the control tag: it fails on another type.
fn others(own: Option<&str>, value: &JsonMembers<'_>, report: &mut RegionReport<'_>) {
    for (key, found) in value {
        let expected = match key.as_ref() {
            key if Some(key) == own => continue,
            "text" if is_texts(found) || matches!(found, JsonValue::Str(_)) => continue,
            "text" => "a text or a list of texts",
            "datetime" if matches!(found, JsonValue::Str(_)) => continue,
            "datetime" => "a date such as \"2024-01-31\"",
            "rating" | "number" | "rotation" | "channel" if number(found).is_some() => continue,
            "rating" | "number" | "rotation" | "channel" => "a number",
            "closed" | "instant" | "negative" if matches!(found, JsonValue::Bool(_)) => continue,
            "closed" | "instant" | "negative" => "true or false",
            "choices" if is_choices(found) => continue,
            "choices" => "a list of labels",
            key if key.ends_with("labels") && is_answer_key(key) && !is_texts(found) => {
                "a list of labels"
            }
            _ => continue,
        };
        report.wrong(&format!("value.{key}"), Some(found), expected);
    }
}

fn is_texts(found: &JsonValue<'_>) -> bool {
    let is_text = |text: &JsonValue<'_>| matches!(text, JsonValue::Str(_));
    matches!(found, JsonValue::Array(texts) if texts.iter().all(is_text))
}

fn is_choices(found: &JsonValue<'_>) -> bool {
    let is_choice =
        |choice: &JsonValue<'_>| matches!(choice, JsonValue::Str(_)) || is_texts(choice);
    matches!(found, JsonValue::Array(choices) if choices.iter().all(is_choice))
}
