//! Serves an older version than the newest one.
//!
//! The choice is a file of its own, `MODEL_DIR/.label-studio-ml/active/<project>.json`, and is valid until a
//! newer version is published than those that existed then. So publishing is one rename, and no second
//! record can contradict the folders.

use std::fs;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Record, StoreError, Versions, at};
use crate::ids::{ProjectKey, VersionId};
use crate::store::jobs::now;
use crate::store::{durable_fs, project_dir};

/// A version that is served although it is not the newest one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    pub version: VersionId,
    /// The newest version at the time of the choice.
    pub instead_of: VersionId,
    /// The time of the choice in milliseconds since 1970; older servers noted none.
    #[serde(default)]
    pub at: Option<i64>,
}

impl Versions {
    /// Serves `id` from now on, until the next version is published.
    pub fn choose(&self, project: &ProjectKey, id: VersionId) -> Result<(), StoreError> {
        self.accept(project, id)?;
        let newest = self.list(project)?.first().copied().unwrap_or(id);
        self.write_choice(project, Choice { version: id, instead_of: newest, at: Some(now()) })
    }

    /// The same for a version of API v2.
    pub fn choose_record(&self, project: &ProjectKey, id: VersionId) -> Result<(), StoreError> {
        let newest = self.record_ids(project)?.first().copied().unwrap_or(id);
        self.write_choice(project, Choice { version: id, instead_of: newest, at: Some(now()) })
    }

    /// Serves what was chosen before, if anything.
    pub fn restore_choice(
        &self,
        project: &ProjectKey,
        choice: Option<Choice>,
    ) -> Result<(), StoreError> {
        if let Some(choice) = choice {
            return self.write_choice(project, choice);
        }
        let path = self.choice_path(project)?;
        match fs::remove_file(&path) {
            Ok(()) => durable_fs::sync_parent(&path).map_err(at(&path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(at(&path)(error)),
        }
    }

    /// The version of API v2 to serve: the chosen one, else the newest one that can be read.
    pub fn current_record(&self, project: &ProjectKey) -> Result<Option<Record>, StoreError> {
        let newest = self.record_ids(project)?.first().copied();
        if let Some(chosen) = newest.and_then(|newest| self.chosen(project, newest))
            && let Ok(Some(record)) = self.record(project, chosen)
        {
            return Ok(Some(record));
        }
        self.newest_record(project)
    }

    /// What was chosen last, valid or not.
    pub fn choice(&self, project: &ProjectKey) -> Option<Choice> {
        let path = self.choice_path(project).ok()?;
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }

    /// The version that was chosen, if the choice is still valid now that `newest` is the newest one.
    pub(super) fn chosen(&self, project: &ProjectKey, newest: VersionId) -> Option<VersionId> {
        let choice = self.choice(project)?;
        (newest <= choice.instead_of).then_some(choice.version)
    }

    fn write_choice(&self, project: &ProjectKey, choice: Choice) -> Result<(), StoreError> {
        let path = self.choice_path(project)?;
        let json = serde_json::to_vec(&choice)?;
        let staging = self.staging();
        for dir in [path.parent(), Some(staging.as_path())].into_iter().flatten() {
            durable_fs::create_dirs(dir).map_err(at(dir))?;
        }
        durable_fs::write_atomic(&staging, &path, &json).map_err(at(&path))
    }

    fn choice_path(&self, project: &ProjectKey) -> Result<PathBuf, StoreError> {
        let name = match project_dir::name(project)? {
            // No other key has this name.
            name if name.is_empty() => "%".to_owned(),
            name => name,
        };
        Ok(self.own_dir().join("active").join(format!("{name}.json")))
    }
}
