//! A region against the data of its task: whether what it names or marks is there.

use jiter::JsonValue;

use super::names::RegionNames;
use crate::labelling::check::checking::Checking;
use crate::labelling::check::display::quote;
use crate::labelling::check::finding::{Cause, FindingPlace};
use crate::labelling::check::json::{JsonMembers, member, number};
use crate::labelling::check::object::ObjectRules;
use crate::labelling::check::repeater::{Bindings, index};
use crate::labelling::check::report::RegionReport;
use crate::labelling::check::rules::Rules;
use crate::labelling::check::source::{TaskPath, value_at};
use crate::labelling::check::text::{self, ShownText};

pub(super) fn check(
    region: &JsonMembers<'_>,
    value: Option<&JsonMembers<'_>>,
    names: &RegionNames<'_, '_>,
    rules: &Rules,
    place: FindingPlace,
    checking: &mut Checking<'_>,
) {
    let Some(control) = names.control() else { return };
    let object = names.target().map(|target| &target.object);
    let item_index = member(region, "item_index").filter(|found| **found != JsonValue::Null);
    let bindings = names.bindings();
    let span = value
        .filter(|value| control.marks_text && member(value, "end").is_some())
        .zip(object.and_then(|object| object.text.as_ref()));
    let Checking { tasks, checked, texts, .. } = checking;
    let mut report = RegionReport { subject: &control.name, place, checked };
    let is_measured = item_index
        .is_some_and(|_| object.is_some_and(|object| object.items.is_some()))
        || !bindings.is_empty()
        || span.is_some();
    let data = if is_measured { tasks.data(place.item, rules) } else { None };
    if let Some(found) = item_index {
        check_item(found, object, data, &bindings, &mut report);
    }
    let Some(data) = data else { return };
    check_repeaters(names, rules, data, &mut report);
    if let Some((value, source)) = span
        && let Some(path) = source.path.bound(&bindings)
        && let Some(shown) = value_at(data, &path)
    {
        let place = (place.item, path.as_str());
        text::check(
            control,
            value,
            &ShownText { place, kind: &source.kind, shown },
            texts,
            &mut report,
        );
    }
}

/// Checks the index of the item on which a region lies.
fn check_item(
    found: &JsonValue<'_>,
    object: Option<&ObjectRules>,
    data: Option<&JsonMembers<'_>>,
    bindings: &Bindings<'_>,
    report: &mut RegionReport<'_>,
) {
    let Some(given) = number(found) else {
        return report.wrong("item_index", Some(found), "the number of an item, from 0 on");
    };
    let Some(object) = object else { return };
    let is_index = given >= 0.0 && given.fract() == 0.0;
    match &object.items {
        Some(_) if !is_index => report.add(Cause::ItemIndex, "item_index", || {
            format!("is {given}, and items are numbered from 0 on")
        }),
        Some(path) => {
            if let Some((path, length)) = length_of(path, data, bindings)
                && given >= length_as_number(length)
            {
                report.add(Cause::ItemIndex, "item_index", || {
                    format!("is {given}, and {} of the task has {}", quote(&path), items(length))
                });
            }
        }
        None if object.is_image && given != 0.0 => {
            report.add(Cause::ItemIndex, "item_index", || {
                format!("is {given}, and the object tag shows one image, which is 0")
            });
        }
        None => {}
    }
}

/// Checks that the items which the names number are in the lists of their Repeaters.
fn check_repeaters(
    names: &RegionNames<'_, '_>,
    rules: &Rules,
    data: &JsonMembers<'_>,
    report: &mut RegionReport<'_>,
) {
    let bindings = names.bindings();
    for (repeater, text) in &bindings {
        let (Some(given), Some(list)) = (index(text), rules.list(*repeater)) else { continue };
        let Some((path, length)) = length_of(list, Some(data), &bindings) else { continue };
        if given < length {
            continue;
        }
        let (cause, key, name) = names.place_of(*repeater);
        return report.add(cause, key, || {
            format!("is {}, and {} of the task has {}", name, quote(&path), items(length))
        });
    }
}

/// The path of a list and how many items it has in the task.
fn length_of(
    list: &TaskPath,
    data: Option<&JsonMembers<'_>>,
    bindings: &Bindings<'_>,
) -> Option<(String, usize)> {
    let path = list.bound(bindings)?;
    match value_at(data?, &path)? {
        JsonValue::Array(items) => Some((path, items.len())),
        _ => None,
    }
}

#[expect(clippy::cast_precision_loss, reason = "no list is that long")]
fn length_as_number(length: usize) -> f64 {
    length as f64
}

fn items(length: usize) -> String {
    if length == 1 { "1 item".into() } else { format!("{length} items") }
}
