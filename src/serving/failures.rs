//! The last prediction of each project that failed, for the author of the model: Label Studio tells its user
//! of a batch only how many predictions came back.

use std::sync::atomic::{AtomicBool, Ordering};

use indexmap::IndexMap;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::ServingError;
use crate::ids::ProjectKey;

/// Maximum number of projects whose failure is kept; the one that failed longest ago is forgotten first.
const MAX_PROJECTS: usize = 100;
/// Maximum length of a text that is the id of a task, in characters.
const MAX_ID: usize = 40;
/// Maximum length of the key of a project in bytes; a longer one has no folder either.
const MAX_KEY: usize = 200;
/// Maximum number of tasks that are named.
const MAX_TASKS: usize = 3;
/// Maximum length of an error, in characters.
const MAX_ERROR: usize = 1000;

/// A request for predictions that failed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FailedPrediction {
    pub project: ProjectKey,
    pub at: Timestamp,
    /// Ids of the first tasks of the request.
    pub tasks: Vec<Value>,
    /// Number of tasks of the request.
    pub task_count: usize,
    pub error: String,
    /// Number of requests of the project that have failed since the start.
    pub failures: u64,
    /// Whether a later request of the project was answered.
    pub succeeded_since: bool,
}

#[derive(Debug, Default)]
pub struct FailedPredictions {
    last: Mutex<IndexMap<ProjectKey, FailedPrediction>>,
    /// Most servers never note any, and should not lock for each prediction.
    has_any: AtomicBool,
}

#[derive(Deserialize)]
struct AskedTasks {
    tasks: Vec<AskedTask>,
}

#[derive(Deserialize)]
struct AskedTask {
    #[serde(default)]
    id: Value,
}

impl FailedPredictions {
    /// Notes that a request with this body failed.
    pub fn note_failure(&self, project: &ProjectKey, body: &[u8], error: &ServingError) {
        if !is_failure(error) || project.as_str().len() > MAX_KEY {
            return;
        }
        let asked = serde_json::from_slice::<AskedTasks>(body).map(|body| body.tasks);
        let asked = asked.unwrap_or_default();
        let named = asked.iter().filter(|task| task.id.is_number() || task.id.is_string());
        let mut last = self.last.lock();
        let failures = last.shift_remove(project).map_or(0, |before| before.failures) + 1;
        if last.len() >= MAX_PROJECTS {
            last.shift_remove_index(0);
        }
        let failed = FailedPrediction {
            project: project.clone(),
            at: Timestamp::now(),
            tasks: named.take(MAX_TASKS).map(|task| shortened(&task.id)).collect(),
            task_count: asked.len(),
            error: error.to_string().chars().take(MAX_ERROR).collect(),
            failures,
            succeeded_since: false,
        };
        last.insert(project.clone(), failed);
        self.has_any.store(true, Ordering::Release);
    }

    /// Notes that a request was answered.
    pub fn note_success(&self, project: &ProjectKey) {
        if self.has_any.load(Ordering::Acquire)
            && let Some(failed) = self.last.lock().get_mut(project)
        {
            failed.succeeded_since = true;
        }
    }

    /// The last failure of each project, newest first.
    pub fn list(&self) -> Vec<FailedPrediction> {
        self.last.lock().values().rev().cloned().collect()
    }
}

fn shortened(id: &Value) -> Value {
    match id {
        Value::String(text) => text.chars().take(MAX_ID).collect::<String>().into(),
        id => id.clone(),
    }
}

/// Whether the author or the user of the model can do something about an error.
fn is_failure(error: &ServingError) -> bool {
    !matches!(error, ServingError::Stopping | ServingError::NoModel(_) | ServingError::NotReady(_))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn failed() -> ServingError {
        ServingError::TooLong(Duration::from_secs(3))
    }

    #[test]
    fn the_last_failure_of_a_project_is_kept_until_it_is_past() {
        let failures = FailedPredictions::default();
        let body = br#"{"tasks": [{"id": 7}, {"data": {}}, {"id": "b"}, {"id": 9}, {"id": 10}]}"#;
        failures.note_success(&"1.5".into());
        failures.note_failure(&"1.5".into(), b"{", &failed());
        failures.note_success(&"1.5".into());
        assert!(failures.list()[0].succeeded_since);
        failures.note_failure(&"2.5".into(), b"{}", &failed());
        failures.note_failure(&"1.5".into(), body, &failed());
        failures.note_failure(&"3.5".into(), body, &ServingError::Stopping);
        failures.note_success(&"2.5".into());
        let [newest, other] = failures.list().try_into().unwrap();
        assert_eq!((newest.project.as_str(), newest.failures), ("1.5", 2));
        assert_eq!((newest.tasks, newest.task_count), (vec![json!(7), json!("b"), json!(9)], 5));
        assert!(newest.error.contains("longer than 3 s") && !newest.succeeded_since);
        assert!(other.succeeded_since && other.tasks.is_empty());
    }

    #[test]
    fn a_bounded_number_of_projects_and_letters_is_kept() {
        let failures = FailedPredictions::default();
        for project in 0..=MAX_PROJECTS {
            let long = ServingError::Unloadable { version: "1".into(), reason: "é".repeat(9999) };
            failures.note_failure(&project.to_string().as_str().into(), b"", &long);
        }
        let list = failures.list();
        assert_eq!(list.len(), MAX_PROJECTS);
        assert!(list.iter().all(|failed| failed.project.as_str() != "0"));
        assert_eq!(list[0].error.chars().count(), MAX_ERROR);
    }
}
