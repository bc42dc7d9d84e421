//! What is known of a version besides its result: when it came, from which job, from how many annotations.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use serde::Deserialize;

use super::layout::{EVENT, RESULT, TASKS_INFO};
use super::{Record, Versions};
use crate::ids::{ProjectKey, VersionId};

#[derive(Deserialize)]
struct TasksInfo {
    count: u64,
}

#[derive(Deserialize)]
struct EventFile {
    data: Option<EventData>,
}

#[derive(Deserialize)]
struct EventData {
    project: Option<CountedProject>,
}

#[derive(Deserialize)]
struct CountedProject {
    total_annotations_number: Option<u64>,
}

impl Versions {
    /// When a version of API v1 was published, in milliseconds since 1970.
    pub fn published_at(&self, project: &ProjectKey, id: VersionId) -> Option<i64> {
        modified(&self.folder(project, id).ok()??.join(RESULT))
    }

    /// The same for a version of API v2.
    pub fn recorded_at(&self, project: &ProjectKey, record: &Record) -> Option<i64> {
        record.at.or_else(|| modified(&self.record_path(project, record.id).ok()?))
    }

    /// Whether a version of API v1 was made by a job of its project. Those of the original's webhooks lie
    /// directly in MODEL_DIR.
    pub fn is_of_own_job(&self, project: &ProjectKey, id: VersionId) -> bool {
        self.project_dir(project).is_ok_and(|own| {
            own != self.model_dir && own.join(id.to_string()).join(RESULT).is_file()
        }) || project.as_str().is_empty()
    }

    /// Number of annotated tasks that /train brought, or of annotations that the project of the event had.
    pub fn annotations(&self, project: &ProjectKey, id: VersionId) -> Option<u64> {
        let dir = self.folder(project, id).ok()??;
        if let Ok(info) = fs::read(dir.join(TASKS_INFO)) {
            return Some(serde_json::from_slice::<TasksInfo>(&info).ok()?.count);
        }
        let event = fs::read(dir.join(EVENT)).ok()?;
        serde_json::from_slice::<EventFile>(&event).ok()?.data?.project?.total_annotations_number
    }
}

fn modified(path: &Path) -> Option<i64> {
    let time = fs::metadata(path).ok()?.modified().ok()?;
    time.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_millis().try_into().ok()
}
