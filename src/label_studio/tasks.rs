//! The tasks of a project, page by page.
//!
//! A page begins after the last id of the page before. Numbered pages would skip tasks while others are
//! imported or deleted.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::ids::TaskId;
use super::projects::{Project, missing_project};
use super::query::{all_of, id_above};
use super::{LabelStudio, LabelStudioError};

/// Which fields of a task to fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskDetail {
    /// `id`, `data`, `meta` and counts.
    Data,
    /// Also annotations, drafts and predictions, as in requests to an ML backend.
    Full,
}

/// A task of a project, in the JSON of Label Studio.
#[derive(Debug)]
pub struct ProjectTask {
    pub id: TaskId,
    pub json: Box<RawValue>,
}

/// Consecutive tasks, ordered by id.
#[derive(Debug)]
pub struct TaskPage {
    /// Empty after the last task.
    pub tasks: Vec<ProjectTask>,
    /// Number of tasks from the first one of this page on.
    pub remaining: u64,
}

#[derive(Deserialize)]
pub(super) struct TaskList<T> {
    pub(super) tasks: Vec<T>,
    #[serde(default)]
    pub(super) total: u64,
}

#[derive(Deserialize)]
struct TaskWithId {
    id: TaskId,
}

/// The fields that Label Studio reads without annotations and predictions.
const DATA_FIELDS: &str = "id,data,meta,created_at,updated_at,inner_id,overlap,project,is_labeled,\
                    total_annotations,cancelled_annotations,total_predictions,file_upload";

impl LabelStudio {
    /// At most `size` tasks with ids above `after_id`; an empty page is the end. Addresses in `data` are
    /// as imported: Label Studio does not replace its own by signed ones that expire.
    pub async fn tasks(
        &self,
        project: &Project,
        after_id: TaskId,
        size: u32,
        detail: TaskDetail,
    ) -> Result<TaskPage, LabelStudioError> {
        let (id, size) = (project.id.to_string(), size.to_string());
        let query = all_of(&[id_above(after_id)]);
        let mut parameters = vec![
            ("project", id.as_str()),
            ("page_size", &size),
            ("resolve_uri", "false"),
            ("query", &query),
        ];
        parameters.push(match detail {
            TaskDetail::Data => ("include", DATA_FIELDS),
            TaskDetail::Full => ("fields", "all"),
        });
        if project.evaluate_predictions_automatically {
            // Otherwise this request would make Label Studio fetch predictions for the page.
            parameters.push(("review", "true"));
        }
        let rows: TaskList<Box<RawValue>> = self
            .get("/api/tasks/", &parameters)
            .await
            .map_err(|error| missing_project(error, project.id))?;
        let tasks = rows.tasks.into_iter().map(|json| {
            let id = serde_json::from_str::<TaskWithId>(json.get()).map_err(|error| {
                LabelStudioError::Answer {
                    what: "GET /api/tasks/".into(),
                    reason: error.to_string(),
                }
            })?;
            Ok(ProjectTask { id: id.id, json })
        });
        Ok(TaskPage { tasks: tasks.collect::<Result<_, _>>()?, remaining: rows.total })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::FakeLabelStudio;
    use super::*;

    fn project(fetches_predictions: bool) -> Project {
        serde_json::from_value(serde_json::json!({
            "id": 1,
            "label_config": "<View/>",
            "created_at": "2026-11-25T06:40:32.797502Z",
            "evaluate_predictions_automatically": fetches_predictions,
        }))
        .unwrap()
    }

    #[tokio::test]
    async fn a_page_begins_after_an_id_and_keeps_tasks_as_they_are() {
        let fake = FakeLabelStudio::new().await;
        let task = r#"{"id": 8, "data": {"n": 1.0, "b": 0}}"#;
        fake.on("/api/tasks/", &[(200, &format!(r#"{{"total": 3, "tasks": [{task}]}}"#))]);
        let client = fake.connect().await.unwrap();
        let page = client.tasks(&project(false), TaskId(7), 50, TaskDetail::Full).await.unwrap();
        assert_eq!((page.remaining, page.tasks.len(), page.tasks[0].id), (3, 1, TaskId(8)));
        assert_eq!(page.tasks[0].json.get(), task);
        let asked = &fake.seen("/api/tasks/")[0].line;
        for part in ["%22value%22%3A7%7D", "page_size=50", "fields=all", "resolve_uri=false"] {
            assert!(asked.contains(part), "{part}: {asked}");
        }
    }

    #[tokio::test]
    async fn reading_tasks_never_makes_label_studio_fetch_predictions() {
        let fake = FakeLabelStudio::new().await;
        fake.on("/api/tasks/", &[(200, r#"{"total": 0, "tasks": []}"#)]);
        let client = fake.connect().await.unwrap();
        for fetches in [false, true] {
            client.tasks(&project(fetches), TaskId(0), 1, TaskDetail::Data).await.unwrap();
        }
        let asked: Vec<bool> =
            fake.seen("/api/tasks/").iter().map(|seen| seen.line.contains("review=true")).collect();
        assert_eq!(asked, [false, true]);
    }
}
