//! JSON as the check reads it: parsed without copying texts, item by item where there is a list of
//! results.

use std::borrow::Cow;

use jiter::{Jiter, JiterResult, JsonValue, Peek};

use super::display::show;

/// The members of an object in their order, also those that are repeated.
pub(super) type JsonMembers<'j> = [(Cow<'j, str>, JsonValue<'j>)];

/// What there is for results.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Results {
    /// A list with this number of items.
    List(usize),
    /// Something else, as a message describes it.
    Other(String),
}

/// Reads the body of an answer and hands over each item of its `results`. Masks are long lists of
/// numbers, which take many times their size when they are parsed, and so at most one item is.
///
/// Fails with a sentence that names the place where the JSON is not valid.
pub(super) fn read_results(
    body: &[u8],
    mut each: impl FnMut(usize, &JsonValue<'_>),
) -> Result<Results, String> {
    let mut jiter = Jiter::new(body);
    read_answer(&mut jiter, &mut each).map_err(|error| error.description(&jiter))
}

fn read_answer(
    jiter: &mut Jiter<'_>,
    each: &mut impl FnMut(usize, &JsonValue<'_>),
) -> JiterResult<Results> {
    let mut results = Results::Other("nothing".into());
    let mut key = jiter.next_object()?;
    while let Some(name) = key {
        if name == "results" {
            results = read_items(jiter, each)?;
        } else {
            jiter.next_skip()?;
        }
        key = jiter.next_key()?;
    }
    jiter.finish()?;
    Ok(results)
}

fn read_items(
    jiter: &mut Jiter<'_>,
    each: &mut impl FnMut(usize, &JsonValue<'_>),
) -> JiterResult<Results> {
    let first = jiter.peek()?;
    if first != Peek::Array {
        return Ok(Results::Other(show(&jiter.known_value(first)?)));
    }
    let mut count = 0;
    let mut next = jiter.known_array()?;
    while let Some(item) = next {
        each(count, &jiter.known_value(item)?);
        count += 1;
        next = jiter.array_step()?;
    }
    Ok(Results::List(count))
}

/// A member of an object; the last one where a key is repeated, as every reader of JSON takes it.
pub(super) fn member<'a, 'j>(object: &'a JsonMembers<'j>, key: &str) -> Option<&'a JsonValue<'j>> {
    object.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value)
}

/// The number, if it is one that JavaScript takes for a number too.
#[expect(clippy::cast_precision_loss, reason = "JavaScript has only floats")]
pub(super) fn number(value: &JsonValue<'_>) -> Option<f64> {
    match value {
        JsonValue::Int(number) => Some(*number as f64),
        JsonValue::BigInt(number) => number.to_string().parse().ok(),
        JsonValue::Float(number) => Some(*number),
        _ => None,
    }
}

/// A whole number, or a text that is one.
pub(super) fn whole(value: &JsonValue<'_>) -> Option<i64> {
    match value {
        JsonValue::Int(number) => Some(*number),
        JsonValue::Str(text) => text.parse().ok(),
        #[expect(clippy::cast_possible_truncation, reason = "it has no fraction")]
        value => number(value).filter(|number| number.fract() == 0.0).map(|number| number as i64),
    }
}
