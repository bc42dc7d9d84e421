//! Removes old versions.

use std::fs;
use std::io;

use super::layout::{self, RESULT};
use super::{StoreError, Versions, at};
use crate::ids::{ProjectKey, VersionId};

impl Versions {
    /// Removes all versions of a project except the newest `keep` and the one that is `served`, and the
    /// folders of older jobs that made none. Versions that the original stored for several projects stay.
    ///
    /// Returns the versions that were removed, newest first.
    pub fn prune(
        &self,
        project: &ProjectKey,
        keep: usize,
        served: Option<VersionId>,
    ) -> Result<Vec<VersionId>, StoreError> {
        let own = self.project_dir(project)?;
        let kept: Vec<VersionId> = self.list(project)?.into_iter().take(keep.max(1)).collect();
        let Some(oldest) = kept.last() else { return Ok(Vec::new()) };
        let mut removed = Vec::new();
        let mut folders = layout::job_folders(&own);
        folders.sort_unstable_by_key(|id| std::cmp::Reverse(*id));
        for id in folders {
            if id >= *oldest || served == Some(id) {
                continue;
            }
            let dir = own.join(id.to_string());
            // Without its result the folder is not a version, even if the rest cannot be removed.
            match fs::remove_file(dir.join(RESULT)) {
                Ok(()) => removed.push(id),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(at(&dir)(error)),
            }
            fs::remove_dir_all(&dir).map_err(at(&dir))?;
        }
        Ok(removed)
    }
}
