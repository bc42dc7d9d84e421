//! What a failed request was about, for a person who reads the log.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::ids::ProjectKey;

/// Maximum number of ids of tasks that are listed.
const MOST_LISTED: usize = 3;
/// Maximum length of an id that is shown, in characters.
const LONGEST_ID: usize = 40;

/// The tasks and the project of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http) struct RequestSubject {
    /// `predicting project 1`.
    pub(in crate::http) kind: String,
    /// `predicting task 17 of project 1`.
    pub(in crate::http) what: String,
}

#[derive(Deserialize)]
struct IdOfTask {
    #[serde(default)]
    id: Value,
}

impl RequestSubject {
    /// A prediction for `tasks`, a JSON list.
    pub(in crate::http) fn prediction(project: &ProjectKey, tasks: &RawValue) -> Self {
        let of_project = match project.shown_id().as_str() {
            "" => String::new(),
            id => format!(" project {id}"),
        };
        let kind = format!("predicting{of_project}");
        let Some(tasks) = tasks_in_words(tasks.get()) else {
            return Self { what: kind.clone(), kind };
        };
        let of = if of_project.is_empty() { "" } else { " of" };
        Self { what: format!("predicting {tasks}{of}{of_project}"), kind }
    }

    /// A /setup of a project.
    pub(in crate::http) fn setup(project: &ProjectKey) -> Self {
        let kind = format!("setting up project {}", project.shown_id());
        Self { what: kind.clone(), kind }
    }
}

/// `task 17`, `tasks 17, 18, 19 and 13 more`; none where no task has an id.
fn tasks_in_words(tasks: &str) -> Option<String> {
    let tasks: Vec<IdOfTask> = serde_json::from_str(tasks).ok()?;
    let ids: Vec<String> = tasks.iter().filter_map(|task| id_in_words(&task.id)).collect();
    let (listed, others) = ids.split_at(ids.len().min(MOST_LISTED));
    let more =
        if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
    match listed {
        [] => None,
        [only] => Some(format!("task {only}")),
        listed => Some(format!("tasks {}{more}", listed.join(", "))),
    }
}

fn id_in_words(id: &Value) -> Option<String> {
    match id {
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => {
            Some(format!("{:?}", text.chars().take(LONGEST_ID).collect::<String>()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn what(project: &str, tasks: &str) -> String {
        RequestSubject::prediction(&project.into(), serde_json::from_str(tasks).unwrap()).what
    }

    #[test]
    fn tasks_are_named_by_their_ids() {
        assert_eq!(what("1.17", r#"[{"id": 17}]"#), "predicting task 17 of project 1");
        assert_eq!(
            what("1", r#"[{"id": 7}, {"id": "a\nb"}]"#),
            r#"predicting tasks 7, "a\nb" of project 1"#
        );
        let many = r#"[{"id": 1}, {"id": 2}, {"id": 3}, {"id": 4}, {"id": 5}]"#;
        assert_eq!(what("", many), "predicting tasks 1, 2, 3 and 2 more");
        for without in ["[]", "[{}]", "[1]", r#"[{"id": null}]"#] {
            assert_eq!(what("1.17", without), "predicting project 1", "{without}");
        }
    }
}
