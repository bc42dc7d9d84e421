//! One region against the labelling config: which control tag it belongs to, and the labels or the
//! answer in its value.

use jiter::JsonValue;

mod against_task;
mod answer_value;
mod extent;
mod names;
mod shapes;
mod value;

use super::checking::Checking;
use super::control::ControlRules;
use super::display::{quote, show};
use super::finding::{Cause, Finding, FindingPlace};
use super::json::{JsonMembers, member, number};
use super::report::RegionReport;
use super::rules::Rules;
use super::shape::{is_answer_key, is_known_type};
use names::RegionNames;

pub(super) fn check(
    region: &JsonMembers<'_>,
    kind: Option<&str>,
    place: FindingPlace,
    rules: &Rules,
    checking: &mut Checking<'_>,
) {
    let is_interactive = checking.asked.is_interactive;
    let names = RegionNames::of(region, rules);
    if is_interactive && is_protocol(region, kind, &names) {
        return checking.checked.note(Cause::ProtocolAnswer, || {
            let found = member(region, "type").map_or_else(|| "missing".into(), show);
            Finding::at(Cause::ProtocolAnswer, place, "type", "", format!("is {found}"))
        });
    }
    let mut report = RegionReport { subject: "", place, checked: &mut checking.checked };
    let value = match member(region, "value") {
        Some(JsonValue::Object(value)) => Some(value.as_slice()),
        other => {
            let found =
                other.map_or_else(|| "is missing".into(), |other| format!("is {}", show(other)));
            report.add(Cause::NoValue, "value", || format!("{found} instead of a dict"));
            None
        }
    };
    let Some(control) = names.control() else {
        check_type(None, kind, region, &mut report);
        return names.tell(rules, &mut report);
    };
    report.subject = &control.name;
    names.tell(rules, &mut report);
    let merged = kind.and_then(|kind| control.merged_with_shape(kind));
    if merged.is_none() && kind != Some(&control.own_type) {
        check_type(Some(control), kind, region, &mut report);
    }
    if let Some(value) = value {
        let (key, lies) = match merged {
            Some(shape) => (answer_value::merged_key(shape, value), shape.region(None)),
            None => (answer_value::key(control, value), control.region),
        };
        answer_value::check(control, key, value, is_interactive, &mut report);
        value::check(lies, value, &mut report);
        if !is_interactive && shapes::has_encoded_mask(lies, value) {
            check_image_size(region, &mut report);
        }
    }
    against_task::check(region, value, &names, rules, place, checking);
}

/// Whether a region is an answer to a client that has a protocol of its own with the model, such as how far it has
/// come with a video: no type of the control tag, and nothing in the value that the tag would write.
fn is_protocol(region: &JsonMembers<'_>, kind: Option<&str>, names: &RegionNames<'_, '_>) -> bool {
    let (Some(kind), Some(JsonValue::Object(value))) = (kind, member(region, "value")) else {
        return false;
    };
    let is_answer = value.iter().any(|(key, _)| is_answer_key(key));
    let is_own_type = match names.control() {
        Some(control) => !control.takes_type(kind) && !is_known_type(&kind.to_ascii_lowercase()),
        None => member(region, "from_name").is_none() && !is_known_type(&kind.to_ascii_lowercase()),
    };
    // A mask is shown by such a client whatever the project draws.
    let is_mask = names.control().is_some_and(|control| !control.takes_type(kind))
        && member(value, "imageDataURL").is_some();
    !is_answer && (is_own_type || is_mask)
}

fn check_type(
    control: Option<&ControlRules>,
    kind: Option<&str>,
    region: &JsonMembers<'_>,
    report: &mut RegionReport<'_>,
) {
    let expected = || match control {
        Some(control) => {
            format!("and <{}> writes {}", control.tag, quote(&control.own_type))
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

/// Checks the size of the image, without which a mask that is run-length encoded cannot be decoded.
fn check_image_size(region: &JsonMembers<'_>, report: &mut RegionReport<'_>) {
    for (key, what) in [("original_width", "width"), ("original_height", "height")] {
        let found = member(region, key);
        if found.and_then(number).is_some_and(|pixels| pixels > 0.0) {
            continue;
        }
        report.add(Cause::ImageSize, key, || {
            let found =
                found.map_or_else(|| "is missing".into(), |found| format!("is {}", show(found)));
            format!("{found} (the {what} of the image in pixels)")
        });
    }
}
