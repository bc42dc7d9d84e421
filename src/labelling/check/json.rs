//! JSON as the check reads it: parsed without copying texts, item by item where there is a list of
//! results.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};

use super::words::{quote, show};

/// A value. Keys stand in their order, also those that are repeated.
#[derive(Debug, PartialEq)]
pub(super) enum Json<'a> {
    Null,
    Bool(bool),
    Int(i64),
    /// Also integers beyond 64 bits.
    Float(f64),
    Text(Cow<'a, str>),
    List(Vec<Json<'a>>),
    Dict(Vec<(Cow<'a, str>, Json<'a>)>),
}

impl<'de> Deserialize<'de> for Json<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: de::Error>(self, flag: bool) -> Result<Self::Value, E> {
        Ok(Json::Bool(flag))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Json::Int(number))
    }

    #[expect(clippy::cast_precision_loss, reason = "JavaScript has only floats")]
    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(i64::try_from(number).map_or(Json::Float(number as f64), Json::Int))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Json::Float(number))
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Json::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Json::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut dict = Vec::new();
        while let Some((Key(key), value)) = members.next_entry()? {
            dict.push((key, value));
        }
        Ok(Json::Dict(dict))
    }
}

/// A key; borrowed unless it holds escapes.
struct Key<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_str(JsonVisitor)? {
            Json::Text(key) => Ok(Self(key)),
            _ => Err(de::Error::custom("a key is a text")),
        }
    }
}

/// What there is for results.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Results {
    /// A list of so many items.
    List(usize),
    Other(String),
}

/// Reads the body of an answer and hands over each item of its `results`. Masks are long lists of
/// numbers, which take many times their size when they are parsed, and so at most one item is.
pub(super) fn read_results(
    body: &[u8],
    each: impl FnMut(usize, &Json<'_>),
) -> serde_json::Result<Results> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let results = deserializer.deserialize_map(AnswerVisitor(each))?;
    deserializer.end()?;
    Ok(results)
}

struct AnswerVisitor<F>(F);

impl<'de, F: FnMut(usize, &Json<'_>)> Visitor<'de> for AnswerVisitor<F> {
    type Value = Results;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `results`")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<Results, A::Error> {
        let mut results = Results::Other("nothing".into());
        while let Some(Key(key)) = members.next_key()? {
            if key == "results" {
                results = members.next_value_seed(Items(&mut self.0))?;
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        Ok(results)
    }
}

struct Items<'f, F>(&'f mut F);

impl<'de, F: FnMut(usize, &Json<'_>)> DeserializeSeed<'de> for Items<'_, F> {
    type Value = Results;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Results, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, F: FnMut(usize, &Json<'_>)> Visitor<'de> for Items<'_, F> {
    type Value = Results;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("results")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Results, A::Error> {
        let mut count = 0;
        while let Some(item) = items.next_element()? {
            (self.0)(count, &item);
            count += 1;
        }
        Ok(Results::List(count))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Results, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Results::Other("a dict".into()))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Results, E> {
        Ok(Results::Other(show(&Json::Null)))
    }

    fn visit_bool<E: de::Error>(self, flag: bool) -> Result<Results, E> {
        Ok(Results::Other(flag.to_string()))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Results, E> {
        Ok(Results::Other(number.to_string()))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Results, E> {
        Ok(Results::Other(number.to_string()))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Results, E> {
        Ok(Results::Other(number.to_string()))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Results, E> {
        Ok(Results::Other(quote(text)))
    }
}

/// A member of an object; the last one where a key is repeated, as every reader of JSON takes it.
pub(super) fn member<'a, 'j>(
    object: &'a [(Cow<'j, str>, Json<'j>)],
    key: &str,
) -> Option<&'a Json<'j>> {
    object.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value)
}

/// The number, if it is one that JavaScript takes for a number too.
#[expect(clippy::cast_precision_loss, reason = "JavaScript has only floats")]
pub(super) fn number(value: &Json<'_>) -> Option<f64> {
    match value {
        Json::Int(number) => Some(*number as f64),
        Json::Float(number) => Some(*number),
        _ => None,
    }
}

/// A whole number, or a text that is one.
pub(super) fn whole(value: &Json<'_>) -> Option<i64> {
    match value {
        Json::Int(number) => Some(*number),
        #[expect(clippy::cast_possible_truncation, reason = "it has no fraction")]
        Json::Float(number) if number.fract() == 0.0 => Some(*number as i64),
        Json::Text(text) => text.parse().ok(),
        _ => None,
    }
}
