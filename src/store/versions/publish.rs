//! Makes a job's folder a version.
//!
//! `job_result.json` is staged, synced and renamed into place after everything else in the folder
//! has reached the disk, so after a kill or a full disk at any moment the old version is still the newest
//! one. The folder itself is not moved: `fit` got its path and may have put it into its return value.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use super::layout::{self, REFUSED, RESULT, UNPROVEN};
use super::{StoreError, Version, Versions, at};
use crate::failpoint;
use crate::ids::{JobId, ProjectKey, VersionId};
use crate::store::durable_fs;

#[derive(Serialize)]
struct PublishedResult<'a> {
    status: &'static str,
    train_output: &'a RawValue,
    project: &'a ProjectKey,
    workdir: &'a Path,
    version: String,
    job_id: String,
    time: f64,
}

impl Versions {
    /// Removes files that a killed server left half-written. Only for the owner of the model folder.
    pub fn sweep(&self) {
        // A file that cannot be removed does no harm: it is never read.
        let _ = fs::remove_dir_all(self.staging());
    }

    /// Makes a job's folder a version. After this returns, every later start serves it.
    pub fn publish(
        &self,
        project: &ProjectKey,
        id: JobId,
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
        let unproven = dir.join(UNPROVEN);
        fs::write(&unproven, "no worker has loaded this version yet\n").map_err(at(&unproven))?;
        durable_fs::sync_tree(&dir).map_err(at(&dir))?;
        durable_fs::sync_parent(&dir).map_err(at(&dir))?;
        // With the first job, the folder of the project may be new, too.
        let project_dir = self.project_dir(project)?;
        if project_dir != self.model_dir {
            durable_fs::sync_parent(&project_dir).map_err(at(&project_dir))?;
        }
        failpoint::reached("publish-synced");
        let (staging, target) = (self.staging(), dir.join(RESULT));
        fs::create_dir_all(&staging).map_err(at(&staging))?;
        if let Err(error) = durable_fs::write_atomic(&staging, &target, &result) {
            // In place, but it may not be on the disk yet: readers see it, so it counts.
            if !layout::is_published(&dir) {
                return Err(at(&target)(error));
            }
            tracing::warn!("{}: {error}", target.display());
        }
        failpoint::reached("publish-renamed");
        Ok(Version { id: id.into(), train_output: train_output.clone(), is_proven: false })
    }

    /// Removes the files that `fit` wrote in a job that made no version; the input of the job stays.
    pub fn discard(&self, project: &ProjectKey, id: JobId) -> Result<(), StoreError> {
        let dir = self.project_dir(project)?.join(id.to_string());
        for entry in fs::read_dir(&dir).map_err(at(&dir))? {
            let entry = entry.map_err(at(&dir))?;
            let path = entry.path();
            if layout::is_input(&path) {
                continue;
            }
            let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let removed = if is_dir { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.map_err(at(&path))?;
        }
        Ok(())
    }

    /// Records that a version was loaded, so that a later failure to load it does not reject it.
    pub fn mark_proven(&self, project: &ProjectKey, id: VersionId) -> Result<(), StoreError> {
        remove(&self.in_folder(project, id, UNPROVEN)?)
    }

    /// Records that a version cannot be loaded, so that it is not served after a restart either.
    pub fn refuse(&self, project: &ProjectKey, id: VersionId, reason: &str) {
        let noted = self
            .in_folder(project, id, REFUSED)
            .and_then(|path| fs::write(&path, reason).map_err(at(&path)));
        if let Err(error) = noted {
            tracing::warn!(
                project = project.as_str(),
                version = %id,
                "cannot record that this version was refused: {error}"
            );
        }
    }

    /// Removes a refusal: the version was loaded after all.
    pub(super) fn accept(&self, project: &ProjectKey, id: VersionId) -> Result<(), StoreError> {
        remove(&self.in_folder(project, id, REFUSED)?)
    }

    fn in_folder(
        &self,
        project: &ProjectKey,
        id: VersionId,
        name: &str,
    ) -> Result<PathBuf, StoreError> {
        let own = self.project_dir(project)?.join(id.to_string());
        Ok(self.folder(project, id)?.unwrap_or(own).join(name))
    }

    pub(in crate::store) fn staging(&self) -> PathBuf {
        self.own_dir().join("staging")
    }
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(path)(error)),
        _ => Ok(()),
    }
}
