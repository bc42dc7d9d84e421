//! Numbers jobs and publishes versions in processes that train without a server. Several of them may do
//! so at the same time.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::value::RawValue;

use super::layout::{self, EVENT, RESULT, TASKS, TASKS_INFO};
use super::{StoreError, Versions, at};
use crate::failpoint;
use crate::ids::{JobId, ProjectKey};
use crate::store::durable_fs;

impl Versions {
    /// The number of the next job: the time in seconds, or the number after the newest job if that is
    /// greater.
    pub fn next_id(&self, project: &ProjectKey) -> Result<JobId, StoreError> {
        let shared = layout::job_folders(&self.model_dir);
        let own = layout::job_folders(&self.project_dir(project)?);
        let next = shared.into_iter().chain(own).max().map_or(0, |newest| newest.0 + 1);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Ok(JobId(now.as_secs().max(next)))
    }

    /// Makes the folder of a new job, whose number no other process gets. It lies in the folder of the
    /// project or, if `shared`, directly below MODEL_DIR like webhook jobs of the original.
    pub fn claim(
        &self,
        project: &ProjectKey,
        shared: bool,
    ) -> Result<(JobId, PathBuf), StoreError> {
        let parent = if shared { self.model_dir.clone() } else { self.project_dir(project)? };
        fs::create_dir_all(&parent).map_err(at(&parent))?;
        let mut id = self.next_id(project)?;
        loop {
            let dir = parent.join(id.to_string());
            match fs::create_dir(&dir) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => id.0 += 1,
                made => return made.map(|()| (id, dir.clone())).map_err(at(&dir)),
            }
        }
    }
}

/// Writes the tasks that a job starts from, a JSON list, and the number of tasks.
pub fn write_tasks(dir: &Path, json: &[u8], count: usize) -> Result<(), StoreError> {
    let info = serde_json::to_vec(&serde_json::json!({ "count": count }))?;
    for (name, bytes) in [(TASKS, json), (TASKS_INFO, info.as_slice())] {
        let path = dir.join(name);
        fs::write(&path, bytes).map_err(at(&path))?;
    }
    Ok(())
}

/// Writes the event that a job starts from.
pub fn write_event(
    dir: &Path,
    event: &str,
    job_id: &str,
    data: Option<&RawValue>,
) -> Result<(), StoreError> {
    let path = dir.join(EVENT);
    fs::write(&path, layout::event_json(event, job_id, data)?).map_err(at(&path))
}

/// Makes the folder of a job a version by the file `name` with its result, which appears whole. Every later
/// start finds the version. Returns a reason if a crash of the machine could still lose it.
pub fn publish_result(
    dir: &Path,
    name: &str,
    json: &[u8],
) -> Result<Option<StoreError>, StoreError> {
    let target = dir.join(name);
    durable_fs::sync_tree(dir).map_err(at(dir))?;
    durable_fs::sync_parent(dir).map_err(at(dir))?;
    failpoint::reached("publish-synced");
    // In the same folder: a server that starts empties its own folder for drafts.
    durable_fs::replace(dir, &target, json).map_err(at(&target))?;
    Ok(durable_fs::sync_parent(&target).map_err(at(&target)).err())
}

/// When a job began, and when it left its result; none if it did not.
pub fn job_times(dir: &Path) -> (Option<SystemTime>, Option<SystemTime>) {
    let time = |name: &str| fs::metadata(dir.join(name)).and_then(|about| about.modified()).ok();
    (time(EVENT).or_else(|| time(TASKS)), time(RESULT))
}
