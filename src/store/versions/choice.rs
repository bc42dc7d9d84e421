//! Serves an older version than the newest one.
//!
//! The choice is a file of its own, `MODEL_DIR/.label-studio-ml/active/<project>.json`, and is valid until a
//! newer version is published than those that existed then. So publishing is one rename, and no second
//! record can contradict the folders.

use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{StoreError, Versions, at};
use crate::ids::{ProjectKey, VersionId};
use crate::store::{durable_fs, project_dir};

#[derive(Serialize, Deserialize)]
struct Choice {
    version: VersionId,
    /// The newest version at the time of the choice.
    instead_of: VersionId,
}

impl Versions {
    /// Serves `id` from now on, until the next version is published.
    pub fn choose(&self, project: &ProjectKey, id: VersionId) -> Result<(), StoreError> {
        self.accept(project, id)?;
        let newest = self.list(project)?.first().copied().unwrap_or(id);
        let path = self.choice_path(project)?;
        let json = serde_json::to_vec(&Choice { version: id, instead_of: newest })?;
        let staging = self.staging();
        for dir in [path.parent(), Some(staging.as_path())].into_iter().flatten() {
            durable_fs::create_dirs(dir).map_err(at(dir))?;
        }
        durable_fs::write_atomic(&staging, &path, &json).map_err(at(&path))
    }

    /// The version that was chosen, if the choice is still valid now that `newest` is the newest one.
    pub(super) fn chosen(&self, project: &ProjectKey, newest: VersionId) -> Option<VersionId> {
        let path = self.choice_path(project).ok()?;
        let choice: Choice = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        (newest <= choice.instead_of).then_some(choice.version)
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
