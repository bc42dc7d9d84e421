//! Looking at parsed JSON: kinds, members, numbers, and short words for messages.

use jiter::JsonValue;

/// Texts in messages are cut after so many characters.
const LONGEST_TEXT: usize = 60;

/// A member of an object; the last one where a key is repeated, as every reader of JSON takes it.
pub(super) fn member<'a, 'j>(
    object: &'a [(std::borrow::Cow<'j, str>, JsonValue<'j>)],
    key: &str,
) -> Option<&'a JsonValue<'j>> {
    object.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value)
}

/// The number, if it is one that JavaScript takes for a number too.
#[allow(clippy::cast_precision_loss)] // JavaScript has only floats
pub(super) fn number(value: &JsonValue<'_>) -> Option<f64> {
    match value {
        JsonValue::Int(number) => Some(*number as f64),
        JsonValue::Float(number) => Some(*number),
        _ => None,
    }
}

/// A whole number, or a text that is one.
pub(super) fn whole(value: &JsonValue<'_>) -> Option<i64> {
    match value {
        JsonValue::Int(number) => Some(*number),
        #[allow(clippy::cast_possible_truncation)] // it has no fraction
        JsonValue::Float(number) if number.fract() == 0.0 => Some(*number as i64),
        JsonValue::Str(text) => text.parse().ok(),
        _ => None,
    }
}

/// What a value is, for a message: `"abc"`, `12`, `a list`.
pub(super) fn show(value: &JsonValue<'_>) -> String {
    match value {
        JsonValue::Null => "null".into(),
        JsonValue::Bool(flag) => flag.to_string(),
        JsonValue::Int(number) => number.to_string(),
        JsonValue::Float(number) => number.to_string(),
        JsonValue::Str(text) => quote(text),
        JsonValue::Array(items) if items.is_empty() => "an empty list".into(),
        JsonValue::Array(_) => "a list".into(),
        JsonValue::Object(_) => "a dict".into(),
        JsonValue::BigInt(number) => number.to_string(),
    }
}

/// A text in quotes, cut where it is long.
pub(super) fn quote(text: &str) -> String {
    if text.chars().count() <= LONGEST_TEXT {
        return format!("{text:?}");
    }
    let start: String = text.chars().take(LONGEST_TEXT).collect();
    format!("{start:?}…")
}

/// Several names, for a message: `"a", "b" or "c"`; the first few of many.
pub(super) fn choice<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    const MOST: usize = 6;
    let names: Vec<&str> = names.into_iter().collect();
    let shown: Vec<String> = names.iter().take(MOST).map(|name| quote(name)).collect();
    match shown.as_slice() {
        [] => "none".into(),
        _ if names.len() > MOST => format!("{}, …", shown.join(", ")),
        [only] => only.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}
