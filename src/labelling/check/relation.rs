//! Relations: arrows between two regions of one prediction.

use std::borrow::Cow;
use std::collections::HashSet;

use jiter::JsonValue;

use super::display::show;
use super::finding::{Cause, Checked, Finding, FindingPlace};
use super::json::{JsonMembers, member};

/// Ids of regions; numbers as text.
pub(super) type Ids<'a> = HashSet<Cow<'a, str>>;

/// The ids that relations may name.
pub(super) fn ids<'a>(regions: &'a [JsonValue<'_>]) -> Ids<'a> {
    let id_of = |region: &'a JsonValue<'_>| match region {
        JsonValue::Object(region) => member(region, "id").and_then(as_id),
        _ => None,
    };
    regions.iter().filter_map(id_of).collect()
}

fn as_id<'a>(id: &'a JsonValue<'_>) -> Option<Cow<'a, str>> {
    match id {
        JsonValue::Str(id) => Some(Cow::Borrowed(id.as_ref())),
        JsonValue::Int(id) => Some(Cow::Owned(id.to_string())),
        _ => None,
    }
}

pub(super) fn check(
    relation: &JsonMembers<'_>,
    ids: &Ids<'_>,
    place: FindingPlace,
    checked: &mut Checked,
) {
    for key in ["from_id", "to_id"] {
        let id = member(relation, key);
        if id.and_then(as_id).is_some_and(|id| ids.contains(&id)) {
            continue;
        }
        let found = id.map(show);
        add(checked, place, key, || match found {
            Some(id) => format!("is {id}, and no region of this prediction has that id"),
            None => "is missing".into(),
        });
    }
    match member(relation, "direction") {
        None => {}
        Some(JsonValue::Str(direction))
            if matches!(direction.as_ref(), "left" | "right" | "bi") => {}
        Some(other) => add(checked, place, "direction", || {
            format!("is {} instead of \"left\", \"right\" or \"bi\"", show(other))
        }),
    }
}

fn add(checked: &mut Checked, place: FindingPlace, key: &str, problem: impl FnOnce() -> String) {
    checked.add(Cause::Relation, || Finding::at(Cause::Relation, place, key, "", problem()));
}
