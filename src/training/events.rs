//! Reads webhook payloads of Label Studio, and decides which of them train.
//!
//! In: the body of `POST /webhook`. Out: the action, the project key and the labelling config.
//! Label Studio sends the project as an object; its key, as /setup and /predict send it, is
//! `{id}.{created_at as unix time}`.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::ids::ProjectKey;
use crate::wire::protocol::ClassInfo;

#[derive(Debug, Deserialize)]
struct ProjectObject {
    #[serde(default)]
    id: Value,
    #[serde(default)]
    created_at: Value,
    #[serde(default)]
    label_config: Value,
}

/// The project of an event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventProject {
    /// `2`, without the time of creation; empty if the event names no project.
    pub id: String,
    /// Time of creation in unix seconds.
    pub created: Option<i64>,
    pub label_config: Option<String>,
}

impl EventProject {
    /// Reads the `project` of a payload; empty if it does not have the shape that Label Studio sends.
    pub fn read(raw: Option<&RawValue>) -> Self {
        let Some(raw) = raw else {
            return Self::default();
        };
        let Ok(project) = serde_json::from_str::<ProjectObject>(raw.get()) else {
            return Self::default();
        };
        let id = match project.id {
            Value::Number(number) => number.to_string(),
            Value::String(text) => text,
            _ => String::new(),
        };
        let created = project.created_at.as_str().and_then(|text| text.parse::<Timestamp>().ok());
        Self {
            id,
            created: created.map(Timestamp::as_second),
            label_config: project.label_config.as_str().map(str::to_owned),
        }
    }

    /// The key by which /setup and /predict know the project. `known` is the key to use for an id that came
    /// without its time of creation.
    pub fn key(&self, known: Option<ProjectKey>) -> ProjectKey {
        match self.created {
            Some(created) => format!("{}.{created}", self.id).into(),
            None => known.unwrap_or_else(|| self.id.as_str().into()),
        }
    }
}

/// What is missing in an event that names no project, and how it comes; none for one that names its project.
pub fn lacks_payload(action: &str, project: &EventProject) -> Option<String> {
    project.id.is_empty().then(|| {
        format!(
            "{action} names no project, so it trains the model of requests without one, and most models find \
             no annotation in it; switch on \"Send payload\" of the webhook in Label Studio"
        )
    })
}

/// Why a class cannot be trained; none if it can.
pub fn cannot_learn(class: &ClassInfo) -> Option<String> {
    let learns = class.wants_every_event || !class.train_events.is_empty();
    (!learns).then(|| format!("{} has no fit method, so nothing is trained", class.class))
}

/// Why an action does not train; none if it does.
pub fn ignored_because(action: &str, class: &ClassInfo) -> Option<String> {
    if class.wants_every_event || class.train_events.iter().any(|event| event == action) {
        return None;
    }
    cannot_learn(class).or_else(|| {
        let events = class.train_events.join(", ");
        Some(format!("{action} does not train; these actions do: {events}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::api_version::ApiVersion;

    fn project(json: &str) -> EventProject {
        let raw = RawValue::from_string(json.to_owned()).unwrap();
        EventProject::read(Some(&raw))
    }

    #[test]
    fn the_key_equals_that_of_setup() {
        let event = project(
            r#"{"id": 23, "created_at": "2026-11-23T11:09:48.123456Z", "label_config": "<View/>", "title": "t"}"#,
        );
        assert_eq!(event.key(None), "23.1795432188".into());
        assert_eq!(event.label_config.as_deref(), Some("<View/>"));
        let offset = project(r#"{"id": 23, "created_at": "2026-11-23T12:09:48+01:00"}"#);
        assert_eq!(offset.key(None), "23.1795432188".into());
    }

    #[test]
    fn an_id_alone_is_joined_to_the_known_key() {
        let event = project(r#"{"id": 23}"#);
        assert_eq!(event.key(Some("23.1795432188".into())), "23.1795432188".into());
        assert_eq!(event.key(None), "23".into());
        let odd = project(r#"{"id": "23", "created_at": 7, "label_config": {}}"#);
        assert_eq!((odd.key(None).as_str(), odd.label_config), ("23", None));
    }

    #[test]
    fn other_shapes_name_no_project() {
        for json in ["23", "null", "\"23\"", "[]", "{}", r#"{"id": null}"#] {
            assert_eq!(project(json).key(None), "".into(), "{json}");
        }
        assert_eq!(EventProject::read(None).key(None), "".into());
    }

    #[test]
    fn an_event_without_a_project_says_what_to_switch_on() {
        for json in ["null", "{}", "7"] {
            let hint = lacks_payload("ANNOTATION_CREATED", &project(json)).unwrap();
            assert!(hint.starts_with("ANNOTATION_CREATED names no project"), "{hint}");
            assert!(hint.contains("\"Send payload\""), "{hint}");
        }
        assert_eq!(lacks_payload("ANNOTATION_CREATED", &project(r#"{"id": 7}"#)), None);
    }

    #[test]
    fn an_ignored_action_says_why() {
        let mut class = ClassInfo {
            class: "Model".into(),
            api: ApiVersion::V1,
            reason: String::new(),
            model_dir: "/m".into(),
            script: None,
            thread_safe: true,
            train_events: vec!["ANNOTATION_CREATED".into()],
            wants_every_event: false,
            uses_context: false,
            reads_config: false,
            basic_auth: None,
            app: None,
            inspection: None,
        };
        assert_eq!(ignored_because("ANNOTATION_CREATED", &class), None);
        assert_eq!(
            ignored_because("TASKS_CREATED", &class).unwrap(),
            "TASKS_CREATED does not train; these actions do: ANNOTATION_CREATED"
        );
        class.wants_every_event = true;
        assert_eq!(ignored_because("TASKS_CREATED", &class), None);
        class.wants_every_event = false;
        class.train_events.clear();
        assert_eq!(
            ignored_because("ANNOTATION_CREATED", &class).unwrap(),
            "Model has no fit method, so nothing is trained"
        );
    }

    #[test]
    fn a_project_is_read_with_whatever_of_it_is_of_the_right_type() {
        for (json, id, created, config) in [
            (r#"{"id": 23, "created_at": "not a time"}"#, "23", None, None),
            (r#"{"id": true, "created_at": "1970-01-01T00:00:07Z"}"#, "", Some(7), None),
            (r#"{"id": "a.b", "label_config": ""}"#, "a.b", None, Some("")),
            (r#"{"id": 1.5, "label_config": 7}"#, "1.5", None, None),
        ] {
            let read = project(json);
            let config = config.map(str::to_owned);
            assert_eq!((read.id.as_str(), read.created, read.label_config), (id, created, config));
        }
        let event = project(r#"{"id": 23, "created_at": "1970-01-01T00:00:07Z"}"#);
        assert_eq!(
            event.key(Some("23.9".into())),
            "23.7".into(),
            "its own time goes before what is known"
        );
    }
}
