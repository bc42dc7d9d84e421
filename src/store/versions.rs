//! Trained versions of models, as folders below MODEL_DIR.
//!
//! The layout is the one that users of the original know:
//! `MODEL_DIR/<project>/<version>/{train_data.json, train_data_info.json, event.json,
//! job_result.json}`, where the version consists of digits. A folder counts as a version once it holds
//! `job_result.json`, which [`publish`] puts there last and whole. The newest one is served, unless
//! [`choice`] names another. [`layout`] reads the folders, also those of the original.

mod choice;
mod details;
mod layout;
mod names;
mod prune;
mod publish;
mod record;
mod without_server;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use indexmap::IndexMap;
use parking_lot::Mutex;
use serde_json::value::RawValue;
use thiserror::Error;

use super::own_folder;
use super::project_dir::{self, TooLong};
use crate::ids::{JobId, ProjectKey, VersionId};
pub use choice::Choice;
use layout::{EVENT, TASKS, TASKS_INFO};
pub use record::{Begun, Record};
pub use without_server::{job_times, publish_result, write_event, write_tasks};

/// What went wrong with the model folder.
#[derive(Debug, Error)]
pub enum StoreError {
    #[error(transparent)]
    Project(#[from] TooLong),
    #[error("{}: {reason}", path.display())]
    Io { path: PathBuf, reason: io::Error },
    #[error("the result of training is not valid JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("{}: it must be a JSON object", path.display())]
    NotAnObject { path: PathBuf },
}

/// Adds the path to an I/O error.
pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> StoreError + '_ {
    |reason| StoreError::Io { path: path.to_owned(), reason }
}

/// A trained version that can be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// A newer version has a greater id.
    pub id: VersionId,
    /// What `fit` returned, as JSON.
    pub train_output: Bytes,
    /// Whether a worker has loaded it once, so that it can be served.
    pub is_proven: bool,
}

impl Version {
    /// A version of API v2, which has no folder and does not need to be proven.
    pub fn recorded(id: VersionId) -> Self {
        Self { id, train_output: Bytes::new(), is_proven: true }
    }
}

/// The input of a training job, kept beside its result.
#[derive(Debug)]
pub enum Input<'a> {
    /// Annotated tasks from /train: a JSON list and its length.
    Tasks { json: &'a RawValue, count: usize },
    /// A webhook event: its action and its payload.
    Event { action: &'a str, data: &'a RawValue },
}

/// The versions below one MODEL_DIR. Only a process that owns it may write.
#[derive(Debug)]
pub struct Versions {
    model_dir: PathBuf,
    /// The newest job folder of each project, as it was when it was first asked for.
    newest_folders: Mutex<HashMap<ProjectKey, JobId>>,
}

impl Versions {
    /// Does not make the folder: a model that only predicts may be served from a read-only one.
    pub fn open(model_dir: &Path) -> Self {
        Self { model_dir: model_dir.to_owned(), newest_folders: Mutex::default() }
    }

    pub fn model_dir(&self) -> &Path {
        &self.model_dir
    }

    /// Our own folder below MODEL_DIR.
    pub fn own_dir(&self) -> PathBuf {
        own_folder::path(&self.model_dir)
    }

    /// Keys of the projects that have folders here.
    pub fn projects(&self) -> Vec<ProjectKey> {
        let folders = |dir: &Path| {
            // A folder that does not exist, or cannot be read, holds none.
            let entries = fs::read_dir(dir).into_iter().flatten().flatten();
            let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
            names.filter_map(|name| Self::project_of(&name)).collect::<Vec<_>>()
        };
        let has_versions = |key: &ProjectKey| {
            let jobs = |dir: PathBuf| !layout::job_folders(&dir).is_empty();
            (!key.as_str().is_empty() && self.project_dir(key).is_ok_and(jobs))
                || self.record_ids(key).is_ok_and(|ids| !ids.is_empty())
        };
        let mut keys = folders(&self.model_dir);
        keys.extend(folders(&self.own_dir().join("versions")));
        keys.retain(has_versions);
        keys.sort();
        keys.dedup();
        keys
    }

    /// Whether any project has a version here, of API v1 or v2; a folder in it that is a model folder itself
    /// may be left out.
    pub fn has_any_outside_of(&self, model_dir: Option<&Path>) -> bool {
        let has_folder = |dir: &Path| {
            let ids = layout::job_folders(dir).into_iter();
            ids.map(|id| dir.join(id.to_string())).any(|dir| layout::is_published(&dir))
        };
        let has_record = |key: &ProjectKey| self.record_ids(key).is_ok_and(|ids| !ids.is_empty());
        let is_trained = |key: &ProjectKey| {
            let folder = self.model_dir.join(key.as_str());
            has_record(key) || (model_dir != Some(folder.as_path()) && has_folder(&folder))
        };
        has_folder(&self.model_dir)
            || has_record(&ProjectKey::default())
            || self.projects().iter().any(is_trained)
    }

    /// Ids of the versions of a project that can be served, newest first.
    pub fn list(&self, project: &ProjectKey) -> Result<Vec<VersionId>, StoreError> {
        Ok(self.folders(project)?.into_iter().map(|(id, _)| id).collect())
    }

    /// The version of a project to serve: the chosen one, else the newest one; if its result cannot be read,
    /// the one before.
    pub fn current(&self, project: &ProjectKey) -> Result<Option<Version>, StoreError> {
        for (id, dir) in self.served_folders(project)? {
            match layout::read_result(&dir) {
                Ok(train_output) => {
                    let is_proven = layout::is_proven(&dir);
                    return Ok(Some(Version { id, train_output, is_proven }));
                }
                Err(error) => {
                    tracing::error!(
                        project = project.as_str(),
                        version = %id,
                        "this version cannot be read, an older one is served: {error}"
                    );
                }
            }
        }
        Ok(None)
    }

    /// A version of a project, even one that was refused.
    pub fn find(&self, project: &ProjectKey, id: VersionId) -> Result<Option<Version>, StoreError> {
        let Some(dir) = self.folder(project, id)? else { return Ok(None) };
        let train_output = layout::read_result(&dir)?;
        Ok(Some(Version { id, train_output, is_proven: layout::is_proven(&dir) }))
    }

    /// Whether a job has made its version.
    pub fn is_published(&self, project: &ProjectKey, id: VersionId) -> Result<bool, StoreError> {
        Ok(layout::is_published(&self.project_dir(project)?.join(id.to_string()))
            || self.record(project, id)?.is_some())
    }

    /// The whole `job_result.json` of a version; none if the version is gone.
    pub fn result(
        &self,
        project: &ProjectKey,
        id: VersionId,
    ) -> Result<Option<Box<RawValue>>, StoreError> {
        match self.folder(project, id)? {
            Some(dir) => layout::whole_result(&dir).map(Some),
            None => Ok(None),
        }
    }

    /// The newest job folder of a project, finished or not: ids of new jobs are greater.
    pub fn newest_folder(&self, project: &ProjectKey) -> Result<JobId, StoreError> {
        let mut known = self.newest_folders.lock();
        if let Some(newest) = known.get(project) {
            return Ok(*newest);
        }
        let recorded = self.record_ids(project)?.into_iter().next();
        let folders = layout::job_folders(&self.project_dir(project)?);
        let newest = folders.into_iter().chain(recorded).max().unwrap_or_default().into();
        known.insert(project.to_owned(), newest);
        Ok(newest)
    }

    /// Makes the folder of a job, with its input; removes what an earlier run of the job left there.
    pub fn begin(
        &self,
        project: &ProjectKey,
        id: JobId,
        input: &Input<'_>,
    ) -> Result<PathBuf, StoreError> {
        let dir = self.project_dir(project)?.join(id.to_string());
        match fs::remove_dir_all(&dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&dir)(error)),
            _ => fs::create_dir_all(&dir).map_err(at(&dir))?,
        }
        match input {
            Input::Tasks { json, count } => {
                write(&dir.join(TASKS), json.get().as_bytes())?;
                let info = serde_json::to_vec(&serde_json::json!({ "count": count }))?;
                write(&dir.join(TASKS_INFO), &info)?;
            }
            Input::Event { action, data } => {
                let mut data: IndexMap<Cow<'_, str>, &RawValue> = serde_json::from_str(data.get())?;
                data.shift_remove("action");
                write(&dir.join(EVENT), &layout::event_json(action, &id.to_string(), Some(data))?)?;
            }
        }
        Ok(dir)
    }

    fn project_dir(&self, project: &ProjectKey) -> Result<PathBuf, StoreError> {
        Ok(self.model_dir.join(project_dir::name(project)?))
    }

    /// Folders that are versions of `project` and were not refused, newest first.
    pub fn folders(&self, project: &ProjectKey) -> Result<Vec<(VersionId, PathBuf)>, StoreError> {
        let mut folders = self.all_folders(project)?;
        folders.retain(|(_, dir)| !layout::is_refused(dir));
        Ok(folders)
    }

    /// The same from the version to serve on, without newer ones if the user went back to an older one.
    pub fn served_folders(
        &self,
        project: &ProjectKey,
    ) -> Result<Vec<(VersionId, PathBuf)>, StoreError> {
        let mut folders = self.folders(project)?;
        let newest = folders.first().map(|(id, _)| *id);
        if let Some(chosen) = newest.and_then(|newest| self.chosen(project, newest)) {
            folders.retain(|(id, _)| *id <= chosen);
        }
        Ok(folders)
    }

    fn folder(&self, project: &ProjectKey, id: VersionId) -> Result<Option<PathBuf>, StoreError> {
        let folders = self.all_folders(project)?;
        Ok(folders.into_iter().find(|(found, _)| *found == id).map(|(_, dir)| dir))
    }

    /// Folders that are versions of `project`, newest first.
    fn all_folders(&self, project: &ProjectKey) -> Result<Vec<(VersionId, PathBuf)>, StoreError> {
        let own = self.project_dir(project)?;
        let mut folders: Vec<_> = layout::job_folders(&own)
            .into_iter()
            .map(|id| (id, own.join(id.to_string())))
            .filter(|(_, dir)| layout::is_published(dir))
            .collect();
        if own != self.model_dir {
            let shared = layout::job_folders(&self.model_dir)
                .into_iter()
                .map(|id| (id, self.model_dir.join(id.to_string())))
                .filter(|(_, dir)| layout::is_published(dir) && layout::belongs_to(dir, project));
            folders.extend(shared);
        }
        folders.sort_by_key(|(id, _)| std::cmp::Reverse(*id));
        folders.dedup_by_key(|(id, _)| *id);
        Ok(folders)
    }
}

/// Writes data of Label Studio so that only the owner can read it, since it may hold tokens.
fn write(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let opened = fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(path);
    opened.and_then(|mut file| file.write_all(bytes)).map_err(at(path))
}

#[cfg(test)]
mod tests;
