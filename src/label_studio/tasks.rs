//! The tasks of a project, page by page.
//!
//! A page begins after the id that ended the one before. Numbered pages would move while tasks are
//! imported or deleted, and skip some.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::projects::{Project, missing_project};
use super::query::{after, all_of};
use super::{LabelStudio, LabelStudioError};

/// How much of each task is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// `id`, `data`, `meta` and counts.
    Data,
    /// Also annotations, drafts and predictions, as Label Studio sends tasks to an ML backend.
    Full,
}

/// A task, as Label Studio wrote it.
#[derive(Debug)]
pub struct Task {
    pub id: u64,
    pub json: Box<RawValue>,
}

/// Some tasks in the order of their ids.
#[derive(Debug)]
pub struct Page {
    /// None: there are no more.
    pub tasks: Vec<Task>,
    /// How many there are from the start of this page on.
    pub remaining: u64,
}

#[derive(Deserialize)]
pub(super) struct Rows<T> {
    pub(super) tasks: Vec<T>,
    #[serde(default)]
    pub(super) total: u64,
}

#[derive(Deserialize)]
struct Id {
    id: u64,
}

const DATA: &str = "id,data,meta,created_at,updated_at,inner_id,overlap,project,is_labeled,\
                    total_annotations,cancelled_annotations,total_predictions,file_upload";

impl LabelStudio {
    /// At most `size` tasks with ids above `after_id`; an empty page is the end. Addresses in `data` are
    /// as they were imported: Label Studio's own are not replaced by ones that end after a while.
    pub async fn tasks(
        &self,
        project: &Project,
        after_id: u64,
        size: u32,
        detail: Detail,
    ) -> Result<Page, LabelStudioError> {
        let (id, size) = (project.id.to_string(), size.to_string());
        let query = all_of(&[after(after_id)]);
        let mut parameters = vec![
            ("project", id.as_str()),
            ("page_size", &size),
            ("resolve_uri", "false"),
            ("query", &query),
        ];
        parameters.push(match detail {
            Detail::Data => ("include", DATA),
            Detail::Full => ("fields", "all"),
        });
        if project.evaluate_predictions_automatically {
            // Else this look would make Label Studio fetch predictions for the page.
            parameters.push(("review", "true"));
        }
        let rows: Rows<Box<RawValue>> = self
            .get("/api/tasks/", &parameters)
            .await
            .map_err(|error| missing_project(error, project.id))?;
        let tasks = rows.tasks.into_iter().map(|json| {
            let id = serde_json::from_str::<Id>(json.get()).map_err(|error| {
                LabelStudioError::Answer {
                    what: "GET /api/tasks/".into(),
                    reason: error.to_string(),
                }
            })?;
            Ok(Task { id: id.id, json })
        });
        Ok(Page { tasks: tasks.collect::<Result<_, _>>()?, remaining: rows.total })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Fake;
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
        let fake = Fake::new().await;
        let task = r#"{"id": 8, "data": {"n": 1.0, "b": 0}}"#;
        fake.on("/api/tasks/", &[(200, &format!(r#"{{"total": 3, "tasks": [{task}]}}"#))]);
        let client = fake.connect().await.unwrap();
        let page = client.tasks(&project(false), 7, 50, Detail::Full).await.unwrap();
        assert_eq!((page.remaining, page.tasks.len(), page.tasks[0].id), (3, 1, 8));
        assert_eq!(page.tasks[0].json.get(), task);
        let asked = &fake.seen("/api/tasks/")[0].line;
        for part in ["%22value%22%3A7%7D", "page_size=50", "fields=all", "resolve_uri=false"] {
            assert!(asked.contains(part), "{part}: {asked}");
        }
    }

    #[tokio::test]
    async fn a_look_at_tasks_never_makes_label_studio_fetch_predictions() {
        let fake = Fake::new().await;
        fake.on("/api/tasks/", &[(200, r#"{"total": 0, "tasks": []}"#)]);
        let client = fake.connect().await.unwrap();
        for fetches in [false, true] {
            client.tasks(&project(fetches), 0, 1, Detail::Data).await.unwrap();
        }
        let asked: Vec<bool> =
            fake.seen("/api/tasks/").iter().map(|seen| seen.line.contains("review=true")).collect();
        assert_eq!(asked, [false, true]);
    }
}
