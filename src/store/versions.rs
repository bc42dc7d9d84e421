//! Trained versions of models, as folders below MODEL_DIR.
//!
//! The layout is the one that users of the original know:
//! `MODEL_DIR/<project>/<version>/{train_data.json, train_data_info.json, event.json,
//! job_result.json}`, the version being digits. A folder counts as a version once it holds
//! `job_result.json`; that file is staged, synced and renamed into place after everything else in
//! the folder reached the disk, so a kill or a full disk at any moment leaves the old version the
//! newest one. The folder itself is not moved: `fit` got its path and may have put it into what it
//! returned.
//!
//! Folders of the original are read as they are: its `/train` wrote the same layout, its webhook
//! jobs wrote `MODEL_DIR/<version>/job_result.json` with the bare result of `fit` for whichever
//! project `event.json` names.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;

use super::durable_fs;
use super::project_dir::{self, TooLong};

const RESULT: &str = "job_result.json";
const EVENT: &str = "event.json";
const TASKS: &str = "train_data.json";
/// In the folder of a version that no worker could load: why.
const REFUSED: &str = "refused.txt";
/// Our own folder below MODEL_DIR.
const OWN: &str = ".label-studio-ml";

/// What went wrong with the model folder.
#[derive(Debug, Error)]
pub enum StoreError {
    #[error(transparent)]
    Project(#[from] TooLong),
    #[error("{}: {reason}", path.display())]
    Io { path: PathBuf, reason: io::Error },
    #[error("the result of training is no JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// Names the path that an input or output error is about.
fn at(path: &Path) -> impl FnOnce(io::Error) -> StoreError + '_ {
    |reason| StoreError::Io { path: path.to_owned(), reason }
}

/// A trained version that can be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Digits; grows with time.
    pub id: u64,
    /// What `fit` returned, as JSON.
    pub train_output: Bytes,
}

/// What a training job starts from, kept beside its result.
#[derive(Debug)]
pub enum Input<'a> {
    /// Annotated tasks from /train: a JSON list and its length.
    Tasks { json: &'a RawValue, count: usize },
    /// A webhook event: its action and the rest of the payload.
    Event { action: &'a str, data: &'a RawValue },
}

/// The versions below one MODEL_DIR. One server owns it.
#[derive(Debug)]
pub struct Versions {
    model_dir: PathBuf,
    last_id: Mutex<u64>,
}

#[derive(Deserialize)]
struct StoredResult<'a> {
    #[serde(borrow)]
    train_output: Option<&'a RawValue>,
    #[serde(borrow)]
    workdir: Option<&'a RawValue>,
    #[serde(borrow)]
    version: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct PublishedResult<'a> {
    status: &'static str,
    train_output: &'a RawValue,
    project: &'a str,
    workdir: &'a Path,
    version: String,
    job_id: String,
    time: f64,
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

impl Versions {
    /// Sweeps what a killed server left half-written. Nothing is made before it is needed: a model
    /// that only predicts may be served from a folder that cannot be written.
    pub fn open(model_dir: &Path) -> Self {
        let versions = Self { model_dir: model_dir.to_owned(), last_id: Mutex::new(0) };
        // What cannot be removed does no harm: it is never read.
        let _ = fs::remove_dir_all(versions.staging());
        versions
    }

    pub fn model_dir(&self) -> &Path {
        &self.model_dir
    }

    /// Ids of the versions of a project, newest first.
    pub fn list(&self, project: &str) -> Result<Vec<u64>, StoreError> {
        Ok(self.folders(project)?.into_iter().map(|(id, _)| id).collect())
    }

    /// The newest version of a project whose result can be read.
    pub fn newest(&self, project: &str) -> Result<Option<Version>, StoreError> {
        for (id, dir) in self.folders(project)? {
            match read_result(&dir) {
                Ok(train_output) => return Ok(Some(Version { id, train_output })),
                Err(error) => {
                    tracing::error!(
                        project,
                        version = id,
                        "this version cannot be read, an older one is served: {error}"
                    );
                }
            }
        }
        Ok(None)
    }

    /// A new id for a job and the version that it makes: the time in seconds, unless that is taken
    /// or the clock stepped back.
    pub fn next_id(&self, project: &str) -> Result<u64, StoreError> {
        let newest = job_folders(&self.project_dir(project)?).into_iter().max().unwrap_or(0);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut last = self.last_id.lock().unwrap_or_else(PoisonError::into_inner);
        *last = now.max(last.saturating_add(1)).max(newest.saturating_add(1));
        Ok(*last)
    }

    /// Makes the folder of a job, with what the job starts from.
    pub fn begin(&self, project: &str, id: u64, input: &Input<'_>) -> Result<PathBuf, StoreError> {
        let dir = self.project_dir(project)?.join(id.to_string());
        fs::create_dir_all(&dir).map_err(at(&dir))?;
        match input {
            Input::Tasks { json, count } => {
                write(&dir.join(TASKS), json.get().as_bytes())?;
                let info = serde_json::to_vec(&serde_json::json!({ "count": count }))?;
                write(&dir.join("train_data_info.json"), &info)?;
            }
            Input::Event { action, data } => {
                #[derive(Serialize)]
                struct Stored<'a> {
                    event: &'a str,
                    job_id: String,
                    data: &'a RawValue,
                }
                let event = Stored { event: action, job_id: id.to_string(), data };
                write(&dir.join(EVENT), &serde_json::to_vec_pretty(&event)?)?;
            }
        }
        Ok(dir)
    }

    /// Makes a job's folder a version. After this returns, every later start serves it.
    pub fn publish(
        &self,
        project: &str,
        id: u64,
        train_output: &Bytes,
        took: Duration,
    ) -> Result<Version, StoreError> {
        let dir = self.project_dir(project)?.join(id.to_string());
        let raw: &RawValue = serde_json::from_slice(train_output)?;
        let result = serde_json::to_vec(&PublishedResult {
            status: "ok",
            train_output: raw,
            project,
            workdir: &dir,
            version: id.to_string(),
            job_id: id.to_string(),
            time: took.as_secs_f64(),
        })?;
        durable_fs::sync_tree(&dir).map_err(at(&dir))?;
        durable_fs::sync_parent(&dir).map_err(at(&dir))?;
        let (staging, target) = (self.staging(), dir.join(RESULT));
        fs::create_dir_all(&staging).map_err(at(&staging))?;
        durable_fs::write_atomic(&staging, &target, &result).map_err(at(&target))?;
        Ok(Version { id, train_output: train_output.clone() })
    }

    /// Notes that a version cannot be loaded, so that it is not served after a restart either.
    pub fn refuse(&self, project: &str, id: u64, reason: &str) {
        let noted = self.project_dir(project).map_err(|error| error.to_string()).and_then(|dir| {
            let path = dir.join(id.to_string()).join(REFUSED);
            fs::write(path, reason).map_err(|error| error.to_string())
        });
        if let Err(error) = noted {
            tracing::warn!(project, version = id, "the refusal could not be noted: {error}");
        }
    }

    fn staging(&self) -> PathBuf {
        self.model_dir.join(OWN).join("staging")
    }

    fn project_dir(&self, project: &str) -> Result<PathBuf, StoreError> {
        Ok(self.model_dir.join(project_dir::name(project)?))
    }

    /// Folders that are versions of `project`, newest first.
    fn folders(&self, project: &str) -> Result<Vec<(u64, PathBuf)>, StoreError> {
        let own = self.project_dir(project)?;
        let mut folders: Vec<_> = job_folders(&own)
            .into_iter()
            .map(|id| (id, own.join(id.to_string())))
            .filter(|(_, dir)| dir.join(RESULT).is_file() && !dir.join(REFUSED).exists())
            .collect();
        if own != self.model_dir {
            let shared = job_folders(&self.model_dir)
                .into_iter()
                .map(|id| (id, self.model_dir.join(id.to_string())))
                .filter(|(_, dir)| dir.join(RESULT).is_file() && belongs_to(dir, project));
            folders.extend(shared);
        }
        folders.sort_by_key(|(id, _)| std::cmp::Reverse(*id));
        folders.dedup_by_key(|(id, _)| *id);
        Ok(folders)
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    fs::write(path, bytes).map_err(at(path))
}

/// Folders of jobs, finished or not. A folder whose name is a number may also be a project's, or
/// nobody's: one of a job holds what the job started from, or what it made.
fn job_folders(dir: &Path) -> Vec<u64> {
    // A folder that is not there, or cannot be read, holds no jobs.
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut ids: Vec<u64> = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let digits = name.to_str().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
        let Some(id) = digits.and_then(|name| name.parse().ok()) else { continue };
        if [RESULT, EVENT, TASKS].iter().any(|file| entry.path().join(file).exists()) {
            ids.push(id);
        }
    }
    ids
}

/// Whether a folder directly below MODEL_DIR is this project's. Webhook jobs of the original all lie
/// there: `event.json` names the project, or nobody does and the result is everybody's. Jobs of
/// ours lie there only for requests without a project, and are nobody else's.
fn belongs_to(dir: &Path, project: &str) -> bool {
    let Ok(event) = fs::read(dir.join(EVENT)) else { return false };
    let id = serde_json::from_slice::<StoredEvent>(&event)
        .ok()
        .and_then(|event| event.data?.project?.id);
    match id {
        Some(id) => project.split('.').next() == Some(id.to_string().as_str()),
        None => fs::read(dir.join(RESULT)).is_ok_and(|result| unwrap(&result).is_none()),
    }
}

/// The `train_output` in a result that was wrapped: by `/train` of the original, and by us.
fn unwrap(result: &[u8]) -> Option<Bytes> {
    match serde_json::from_slice(result).ok()? {
        StoredResult { train_output, workdir: Some(_), version: Some(_) } => {
            let output = train_output.map_or("null", RawValue::get);
            Some(Bytes::copy_from_slice(output.as_bytes()))
        }
        _ => None,
    }
}

/// What `fit` returned for a version; webhook jobs of the original stored it bare.
fn read_result(dir: &Path) -> Result<Bytes, StoreError> {
    let path = dir.join(RESULT);
    let bytes = fs::read(&path).map_err(at(&path))?;
    serde_json::from_slice::<&RawValue>(&bytes)?;
    Ok(unwrap(&bytes).unwrap_or_else(|| Bytes::from(bytes)))
}

#[cfg(test)]
#[path = "versions_tests.rs"]
mod tests;
