//! Values and names as messages show them.

use jiter::JsonValue;

/// Maximum number of characters of a text that a message shows.
const LONGEST_TEXT: usize = 60;

/// Describes a value: `"abc"`, `12`, `a list`.
pub(super) fn show(value: &JsonValue<'_>) -> String {
    match value {
        JsonValue::Null => "null".into(),
        JsonValue::Bool(flag) => flag.to_string(),
        JsonValue::Int(number) => number.to_string(),
        JsonValue::BigInt(number) => number.to_string(),
        JsonValue::Float(number) => number.to_string(),
        JsonValue::Str(text) => quote(text),
        JsonValue::Array(items) if items.is_empty() => "an empty list".into(),
        JsonValue::Array(_) => "a list".into(),
        JsonValue::Object(_) => "a dict".into(),
    }
}

/// Quotes and escapes a text, cut where it is long.
pub(super) fn quote(text: &str) -> String {
    if text.chars().count() <= LONGEST_TEXT {
        return format!("{text:?}");
    }
    let start: String = text.chars().take(LONGEST_TEXT).collect();
    format!("{start:?}…")
}

/// Lists names to choose from: `"a", "b" or "c"`; of many the first few.
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
