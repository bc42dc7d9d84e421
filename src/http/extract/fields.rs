//! The top-level fields of a JSON body. The server reads those that it needs to pass the body on, and no
//! others.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::http::error::{ApiError, ErrorCode};
use crate::ids::ProjectKey;
use crate::labelling::config::MAX_CONFIG_BYTES;

/// The top-level fields of a request, unparsed. Of a key that occurs twice the last value counts,
/// and null is the same as absent, as in the original.
#[derive(Debug)]
pub(in crate::http) struct Fields<'a>(HashMap<Cow<'a, str>, &'a RawValue>);

impl<'a> Fields<'a> {
    /// Fails with 400 if the body is not JSON, with 422 if it is JSON but not an object.
    pub(in crate::http) fn read(body: &'a [u8]) -> Result<Self, ApiError> {
        serde_json::from_slice(body).map(Self).map_err(|error| {
            if error.is_data() {
                ApiError::new(ErrorCode::NotAnObject, "the body must be a JSON object")
            } else {
                let detail = format!("the body is not valid JSON: {error}");
                ApiError::new(ErrorCode::InvalidJson, detail)
            }
        })
    }

    pub(in crate::http) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.get(name).copied().filter(|raw| raw.get() != "null")
    }

    /// The project key: a string, an integer, or nothing, which is one default project.
    pub(in crate::http) fn project(&self) -> Result<ProjectKey, ApiError> {
        let Some(raw) = self.get("project") else {
            return Ok(ProjectKey::default());
        };
        match serde_json::from_str(raw.get()) {
            Ok(Value::String(key)) => Ok(key.into()),
            Ok(Value::Number(key)) if !key.is_f64() => Ok(key.to_string().into()),
            _ => Err(ApiError::field("project", "must be a string or an integer")),
        }
    }

    /// A field that is a string or absent.
    pub(in crate::http) fn text(&self, name: &str) -> Result<Option<String>, ApiError> {
        let Some(raw) = self.get(name) else {
            return Ok(None);
        };
        let text = serde_json::from_str(raw.get()).map(Some);
        text.map_err(|_| ApiError::field(name, "must be a string"))
    }

    /// A labelling config, within the length that can be read at all.
    pub(in crate::http) fn config(&self, name: &str) -> Result<Option<String>, ApiError> {
        let config = self.text(name)?;
        readable(name, config.as_deref())?;
        Ok(config)
    }

    /// A field that is true, false or absent.
    pub(in crate::http) fn flag(&self, name: &str, absent: bool) -> Result<bool, ApiError> {
        let Some(raw) = self.get(name) else {
            return Ok(absent);
        };
        let flag = serde_json::from_str(raw.get());
        flag.map_err(|_| ApiError::field(name, "must be true or false"))
    }

    /// A field that must be there and be a list.
    pub(in crate::http) fn list(&self, name: &str) -> Result<&'a RawValue, ApiError> {
        match self.get(name) {
            Some(raw) if raw.get().starts_with('[') => Ok(raw),
            Some(_) => Err(ApiError::field(name, "must be a list")),
            None => Err(ApiError::missing(name, "; it must be a list")),
        }
    }

    /// A field that is an object or absent.
    pub(in crate::http) fn object(&self, name: &str) -> Result<Option<&'a RawValue>, ApiError> {
        match self.get(name) {
            Some(raw) if !raw.get().starts_with('{') => {
                Err(ApiError::field(name, "must be an object"))
            }
            raw => Ok(raw),
        }
    }
}

/// Refuses a labelling config that is too long for the parser, before it is kept anywhere.
pub(in crate::http) fn readable(name: &str, config: Option<&str>) -> Result<(), ApiError> {
    if config.is_some_and(|config| config.len() > MAX_CONFIG_BYTES) {
        return Err(ApiError::field(name, &format!("is longer than {MAX_CONFIG_BYTES} bytes")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;

    #[test]
    fn a_config_has_its_limit() {
        let body = |length| format!(r#"{{"schema": "{}"}}"#, "x".repeat(length));
        let config = |body: &str| Fields::read(body.as_bytes()).unwrap().config("schema");
        assert!(config(&body(MAX_CONFIG_BYTES)).is_ok());
        let error = config(&body(MAX_CONFIG_BYTES + 1)).unwrap_err();
        assert_eq!(error.status, StatusCode::UNPROCESSABLE_ENTITY);
    }

    fn project(body: &str) -> Result<String, ApiError> {
        Ok(Fields::read(body.as_bytes()).unwrap().project()?.to_string())
    }

    #[test]
    fn a_project_is_a_string_an_integer_or_absent() {
        assert_eq!(project("{}").unwrap(), "");
        assert_eq!(project(r#"{"project": null}"#).unwrap(), "");
        assert_eq!(project(r#"{"project": 7}"#).unwrap(), "7");
        assert_eq!(project(r#"{"project": 1, "project": "2.179"}"#).unwrap(), "2.179");
        for bad in ["2.5", "true", "[]", "{}"] {
            let error = project(&format!(r#"{{"project": {bad}}}"#)).unwrap_err();
            assert_eq!(error.status, StatusCode::UNPROCESSABLE_ENTITY);
            assert!(error.detail.contains("`project`"), "{}", error.detail);
        }
    }

    #[test]
    fn no_json_and_no_object_are_told_apart() {
        let status = |body: &[u8]| Fields::read(body).unwrap_err().status;
        for bad in ["", "{", "{\"a\": NaN}", "{\"a\": 1,}", "{} x"] {
            assert_eq!(status(bad.as_bytes()), StatusCode::BAD_REQUEST, "{bad}");
        }
        assert_eq!(status(b"{\"a\": \"\xff\"}"), StatusCode::BAD_REQUEST);
        for bad in ["[]", "1", "null", "\"a\""] {
            assert_eq!(status(bad.as_bytes()), StatusCode::UNPROCESSABLE_ENTITY, "{bad}");
        }
    }

    #[test]
    fn a_field_has_its_type_or_is_absent() {
        let body = r#"{"text": "a\u00e9", "list": [1], "object": {"a": 1}, "yes": true, "no": false,
                       "null": null, "number": 7, "twice": 1, "twice": [2]}"#;
        let fields = Fields::read(body.as_bytes()).unwrap();
        let names = ["text", "list", "object", "yes", "no", "null", "number", "absent", "twice"];
        let flags = |absent| names.map(|name| fields.flag(name, absent).ok());
        let mut expected = [None; 9];
        (expected[3], expected[4]) = (Some(true), Some(false));
        (expected[5], expected[7]) = (Some(true), Some(true));
        assert_eq!(flags(true), expected);
        (expected[5], expected[7]) = (Some(false), Some(false));
        assert_eq!(flags(false), expected);
        for (index, name) in names.into_iter().enumerate() {
            let is_absent = matches!(name, "null" | "absent");
            let text = fields.text(name).ok();
            let expected = match name {
                "text" => Some(Some("aé".to_owned())),
                _ => is_absent.then_some(None),
            };
            assert_eq!(text, expected, "{name}");
            assert_eq!(fields.config(name).ok(), text, "{name}");
            assert_eq!(fields.list(name).is_ok(), matches!(name, "list" | "twice"), "{name}");
            let object = fields.object(name).map(|found| found.map(RawValue::get)).ok();
            let expected = match index {
                2 => Some(Some(r#"{"a": 1}"#)),
                _ => is_absent.then_some(None),
            };
            assert_eq!(object, expected, "{name}");
            assert_eq!(fields.get(name).is_none(), is_absent);
        }
        assert_eq!(fields.list("twice").unwrap().get(), "[2]", "the last one counts");
        let detail = |error: ApiError| (error.status, error.detail);
        let (status, missing) = detail(fields.list("absent").unwrap_err());
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(missing.contains("`absent`") && missing.contains("missing"), "{missing}");
        let (_, wrong) = detail(fields.list("text").unwrap_err());
        assert!(wrong.contains("`text`") && !wrong.contains("missing"), "{wrong}");
    }

    #[test]
    fn a_config_that_comes_with_an_event_has_the_same_limit() {
        assert!(readable("label_config", None).is_ok());
        assert!(readable("label_config", Some(&"x".repeat(MAX_CONFIG_BYTES))).is_ok());
        let error = readable("label_config", Some(&"x".repeat(MAX_CONFIG_BYTES + 1))).unwrap_err();
        assert!(error.detail.contains("`label_config`"), "{}", error.detail);
    }

    #[test]
    fn large_integers_name_projects_and_numbers_with_a_fraction_do_not() {
        assert_eq!(
            project(r#"{"project": 18446744073709551615}"#).unwrap(),
            "18446744073709551615"
        );
        assert_eq!(project(r#"{"project": -1}"#).unwrap(), "-1");
        assert_eq!(project(r#"{"project": ""}"#).unwrap(), "");
        for bad in ["18446744073709551616", "1e3", "1.0"] {
            assert!(project(&format!(r#"{{"project": {bad}}}"#)).is_err(), "{bad}");
        }
    }
}
