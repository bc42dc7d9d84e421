//! One region against the labelling config: which control tag it belongs to, and the labels or the
//! answer in its value.

use jiter::JsonValue;

mod value;

use super::display::{quote, show};
use super::finding::{Cause, Checked, Finding, FindingPlace};
use super::json::{JsonMembers, member, number};
use super::rules::{ControlRules, Rules};
use super::shape::{ControlKind, is_known_type};

/// Adds the findings of one region, which are about the control tag that the region names.
pub(super) struct RegionReport<'a> {
    pub(super) subject: &'a str,
    pub(super) place: FindingPlace,
    pub(super) checked: &'a mut Checked,
}

impl RegionReport<'_> {
    pub(super) fn add(&mut self, cause: Cause, path: &str, problem: impl FnOnce() -> String) {
        let (place, subject) = (self.place, self.subject);
        self.checked.add(cause, || Finding::at(cause, place, path, subject, problem()));
    }

    /// Adds that something has the wrong type, or is missing.
    pub(super) fn wrong(&mut self, path: &str, found: Option<&JsonValue<'_>>, expected: &str) {
        match found {
            Some(found) => {
                self.add(Cause::WrongValue, path, || {
                    format!("is {} instead of {expected}", show(found))
                });
            }
            None => self.add(Cause::MissingKey, path, || format!("is missing ({expected})")),
        }
    }
}

pub(super) fn check(
    region: &JsonMembers<'_>,
    kind: Option<&str>,
    place: FindingPlace,
    rules: &Rules,
    checked: &mut Checked,
) {
    let mut report = RegionReport { subject: "", place, checked };
    let value = match member(region, "value") {
        Some(JsonValue::Object(value)) => Some(value.as_slice()),
        other => {
            let found =
                other.map_or_else(|| "is missing".into(), |other| format!("is {}", show(other)));
            report.add(Cause::NoValue, "value", || format!("{found} instead of a dict"));
            None
        }
    };
    let from_name = member(region, "from_name");
    let control = match from_name {
        Some(JsonValue::Str(name)) => rules.control(name).ok_or(from_name),
        other => Err(other),
    };
    let control = match control {
        Ok(control) => control,
        Err(found) => {
            check_type(None, kind, region, &mut report);
            return report.add(Cause::FromName, "from_name", || match found {
                Some(found) => format!(
                    "is {}, and the labelling config has no such control tag (it has {})",
                    show(found),
                    rules.names()
                ),
                None => format!("is missing; the control tags are {}", rules.names()),
            });
        }
    };
    report.subject = &control.name;
    match member(region, "to_name") {
        Some(JsonValue::Str(name)) if control.points_to(name) => {}
        found => {
            let found =
                found.map_or_else(|| "is missing".into(), |name| format!("is {}", show(name)));
            report.add(Cause::ToName, "to_name", || {
                format!(
                    "{found}, and the control tag {} points to {}",
                    quote(&control.name),
                    control.objects()
                )
            });
        }
    }
    check_type(Some(control), kind, region, &mut report);
    if let Some(value) = value {
        check_answer(control, value, &mut report);
        value::check(control.region, value, &mut report);
    }
}

fn check_type(
    control: Option<&ControlRules>,
    kind: Option<&str>,
    region: &JsonMembers<'_>,
    report: &mut RegionReport<'_>,
) {
    let expected = || match control {
        Some(control) => {
            format!("and <{}> writes {}", control.tag, quote(&control.tag.to_ascii_lowercase()))
        }
        None => "where the name of a control tag in lower case is expected".into(),
    };
    let Some(kind) = kind else {
        let found = member(region, "type")
            .map_or_else(|| "is missing".into(), |found| format!("is {}", show(found)));
        return report.add(Cause::UnknownType, "type", || format!("{found}, {}", expected()));
    };
    let fits = control.is_none_or(|control| control.tool.accepts(&control.tag, kind));
    let is_known = is_known_type(kind) || (fits && control.is_some());
    if !is_known {
        report.add(Cause::UnknownType, "type", || format!("is {}, {}", quote(kind), expected()));
    } else if !fits {
        report.add(Cause::WrongType, "type", || format!("is {}, {}", quote(kind), expected()));
    }
}

/// Checks the labels, or what else the tag writes under its own key.
fn check_answer(control: &ControlRules, value: &JsonMembers<'_>, report: &mut RegionReport<'_>) {
    let Some(key) = control.tool.key() else { return };
    let found = member(value, key);
    let path = |rest: &str| format!("value.{key}{rest}");
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
            Some(JsonValue::Array(_) | JsonValue::Object(_)) => {}
            found => report.wrong(&path(""), found, "a list of ids, or a dict of such lists"),
        },
        ControlKind::VideoRectangle if found.is_none() => {}
        _ => match found {
            Some(JsonValue::Array(labels)) => check_labels(control, &path(""), labels, report),
            found => report.wrong(&path(""), found, "a list of labels"),
        },
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
