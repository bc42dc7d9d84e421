//! Reads the folders of jobs: ours, and those of the original as they are.
//!
//! The original's `/train` wrote the same layout as this server; its webhook jobs wrote
//! `MODEL_DIR/<version>/job_result.json` with the bare result of `fit`, for the project that `event.json`
//! names.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{StoreError, at};
use crate::ids::{ProjectKey, VersionId};

pub(super) const RESULT: &str = "job_result.json";
pub(super) const EVENT: &str = "event.json";
pub(super) const TASKS: &str = "train_data.json";
pub(super) const TASKS_INFO: &str = "train_data_info.json";
/// In the folder of a version that no worker could load: the reason.
pub(super) const REFUSED: &str = "refused.txt";

/// In the folder of a version that no worker has loaded so far.
pub(super) const UNPROVEN: &str = "untried";

#[derive(Deserialize)]
struct StoredResult<'a> {
    #[serde(borrow)]
    train_output: Option<&'a RawValue>,
    #[serde(borrow)]
    workdir: Option<&'a RawValue>,
    #[serde(borrow)]
    version: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct StoredEvent {
    data: Option<StoredEventData>,
}

#[derive(Deserialize)]
struct StoredEventData {
    project: Option<StoredEventProject>,
}

#[derive(Deserialize)]
struct StoredEventProject {
    id: Option<u64>,
}

/// The content of `event.json`: the action of a webhook, the job, and the parts of the payload that are kept.
pub(super) fn event_json(
    event: &str,
    job_id: &str,
    data: Option<impl Serialize>,
) -> serde_json::Result<Vec<u8>> {
    #[derive(Serialize)]
    struct Stored<'a, T> {
        event: &'a str,
        job_id: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        data: Option<T>,
    }
    serde_json::to_vec_pretty(&Stored { event, job_id, data })
}

pub(super) fn is_published(dir: &Path) -> bool {
    dir.join(RESULT).is_file()
}

/// Whether a file in a job's folder is input of the job.
pub(super) fn is_input(path: &Path) -> bool {
    [EVENT, TASKS, TASKS_INFO].iter().any(|name| path.ends_with(name))
}

pub(super) fn is_refused(dir: &Path) -> bool {
    dir.join(REFUSED).exists()
}

pub(super) fn is_proven(dir: &Path) -> bool {
    !dir.join(UNPROVEN).exists()
}

/// Folders of jobs, finished or not. A folder whose name is a number may also be a project's, or unrelated:
/// one of a job holds the input or the result of the job.
pub(super) fn job_folders(dir: &Path) -> Vec<VersionId> {
    // A folder that does not exist, or cannot be read, holds no jobs.
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut ids: Vec<VersionId> = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let digits = name.to_str().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
        let id = digits.and_then(|name| name.parse().ok());
        // After a greater id no job could follow.
        let Some(id) = id.filter(|id: &VersionId| id.0 < i64::MAX.cast_unsigned()) else {
            continue;
        };
        if [RESULT, EVENT, TASKS].iter().any(|file| entry.path().join(file).exists()) {
            ids.push(id);
        }
    }
    ids
}

/// Whether a folder directly below MODEL_DIR is this project's. All webhook jobs of the original lie there:
/// `event.json` names the project; if it does not, the result is for all projects. Jobs of this server lie
/// there only for requests without a project, and are for those alone.
pub(super) fn belongs_to(dir: &Path, project: &ProjectKey) -> bool {
    let Ok(event) = fs::read(dir.join(EVENT)) else { return false };
    let id = serde_json::from_slice::<StoredEvent>(&event)
        .ok()
        .and_then(|event| event.data?.project?.id);
    match id {
        Some(id) => project.id() == id.to_string(),
        None => fs::read(dir.join(RESULT)).is_ok_and(|result| unwrap(&result).is_none()),
    }
}

/// The `train_output` in a result that `/train` of the original, or this server, has wrapped.
fn unwrap(result: &[u8]) -> Option<Bytes> {
    match serde_json::from_slice(result).ok()? {
        StoredResult { train_output, workdir: Some(_), version: Some(_) } => {
            let output = train_output.map_or("null", RawValue::get);
            Some(Bytes::copy_from_slice(output.as_bytes()))
        }
        _ => None,
    }
}

/// What `fit` returned for a version; webhook jobs of the original stored it bare. An error if the file does
/// not hold an object, which neither wrote.
pub(super) fn read_result(dir: &Path) -> Result<Bytes, StoreError> {
    let whole = whole_result(dir)?;
    let bytes = whole.get().as_bytes();
    if !bytes.starts_with(b"{") {
        return Err(StoreError::NotAnObject { path: dir.join(RESULT) });
    }
    Ok(unwrap(bytes).unwrap_or_else(|| Bytes::copy_from_slice(bytes)))
}

/// The content of `job_result.json`.
pub(super) fn whole_result(dir: &Path) -> Result<Box<RawValue>, StoreError> {
    let path = dir.join(RESULT);
    let bytes = fs::read(&path).map_err(at(&path))?;
    Ok(serde_json::from_slice(&bytes)?)
}
