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
