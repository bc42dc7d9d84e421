//! The recorded answers of both packages, replayed.
//!
//! In: `tests/fixtures/label_configs.json`. Out: the same answers from this
//! reader, key order included.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::super::{Dialect, LabelConfigError, LabelConfigErrorKind};
use super::parse;

/// JSON that keeps the order of keys.
#[derive(Debug, PartialEq)]
enum Json {
    Null,
    Bool(bool),
    Number(i64),
    Text(String),
    List(Vec<Json>),
    Map(Vec<(String, Json)>),
}

impl Json {
    fn get(&self, key: &str) -> Option<&Json> {
        let Json::Map(entries) = self else {
            panic!("no mapping: {self:?}");
        };
        entries.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    fn text(&self, key: &str) -> &str {
        match self.get(key) {
            Some(Json::Text(text)) => text,
            other => panic!("{key} is {other:?}"),
        }
    }

    fn of(config: &str, dialect: Dialect) -> Result<Self, LabelConfigError> {
        let parsed = parse(config, dialect)?;
        let written = serde_json::to_string(&parsed).unwrap();
        Ok(serde_json::from_str(&written).unwrap())
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Json;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("JSON")
            }

            fn visit_unit<E>(self) -> Result<Json, E> {
                Ok(Json::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
                Ok(Json::Bool(value))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
                Ok(Json::Number(value.try_into().unwrap()))
            }

            fn visit_str<E>(self, value: &str) -> Result<Json, E> {
                Ok(Json::Text(value.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Json::List(list))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
                let mut map = Vec::new();
                while let Some(entry) = entries.next_entry()? {
                    map.push(entry);
                }
                Ok(Json::Map(map))
            }
        }

        deserializer.deserialize_any(Reader)
    }
}

fn recorded_kind(class: &str) -> LabelConfigErrorKind {
    match class.rsplit_once('.') {
        Some(("builtins", "ValueError")) => LabelConfigErrorKind::Value,
        Some((_, "LabelStudioXMLSyntaxErrorSentryIgnored")) => LabelConfigErrorKind::XmlSyntax,
        _ => panic!("unexpected exception {class}"),
    }
}

/// Cases in the file, and how many of them raise.
const RECORDED: (usize, usize) = (94, 10);

/// Replays the recorded cases; returns how many there were, and how many of
/// them raised.
fn replay(dialect: Dialect, side: &str) -> (usize, usize) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/label_configs.json");
    let recorded: Json = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let Some(Json::List(cases)) = recorded.get("cases") else {
        panic!("no cases");
    };
    let mut raised = 0;
    for case in cases {
        let id = case.text("id");
        let config = case.text("config");
        let answer = case.get(side).unwrap();
        match Json::of(config, dialect) {
            Ok(parsed) => assert_eq!(Some(&parsed), answer.get("ok"), "{id}"),
            Err(error) => {
                raised += 1;
                let class = answer.get("exception").map(|_| answer.text("exception"));
                assert_eq!(class.map(recorded_kind), Some(error.kind()), "{id}: {error}");
            }
        }
    }
    (cases.len(), raised)
}

#[test]
fn answers_as_label_studio_tools() {
    assert_eq!(replay(Dialect::Tools, "label_studio_tools_0_0_4"), RECORDED);
}

#[test]
fn answers_as_label_studio_sdk() {
    assert_eq!(replay(Dialect::Sdk, "label_studio_sdk_2_1_2"), RECORDED);
}
