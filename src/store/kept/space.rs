//! Removes what is kept no longer: contents that no version needs, and the oldest versions where there is no
//! room for a new one.

use std::collections::HashSet;
use std::fs;
use std::io;

use super::KeptVersions;
use super::journal::Journal;
use super::manifest::Manifest;
use crate::ids::{ProjectKey, VersionId};
use crate::store::versions::{StoreError, Versions, at};

/// Said of versions that gave way to newer ones.
const GAVE_WAY: &str = "its files gave way to those of newer versions (--keep-versions-mib)";

impl KeptVersions {
    /// Removes old versions until there is room for `size` bytes; returns the room that there is. Served
    /// versions stay, and the contents that `used` shares; if those leave too little room, all versions stay.
    pub(super) fn make_room(&self, size: u64, used: &[&Manifest]) -> Result<u64, StoreError> {
        let room = |kept: &Self| kept.limit.saturating_sub(kept.blobs.size());
        let mut free = room(self);
        if free >= size {
            return Ok(free);
        }
        let old = self.oldest_first()?;
        if self.limit.saturating_sub(self.size_but(&old, used)?) < size {
            return Ok(free);
        }
        for (project, id) in old {
            let Some(manifest) = self.manifest(&project, id)? else { continue };
            if manifest.lacks.is_some() || used.contains(&&manifest) {
                continue;
            }
            let gone = Manifest::lacking(manifest.since, manifest.trained, GAVE_WAY);
            self.write(&project, id, &gone)?;
            self.collect_but(used);
            free = room(self);
            if free >= size {
                break;
            }
        }
        Ok(free)
    }

    /// Forgets versions of a project that are gone.
    pub fn forget(&self, project: &ProjectKey, gone: &[VersionId]) -> Result<(), StoreError> {
        for id in gone {
            let path = self.dir(project)?.join(format!("{id}.json"));
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(at(&path)(error));
                }
                _ => {}
            }
        }
        if !gone.is_empty() {
            self.collect();
        }
        Ok(())
    }

    /// Removes contents that no version needs.
    pub fn collect(&self) {
        self.collect_but(&[]);
    }

    fn collect_but(&self, used: &[&Manifest]) {
        let mut needed: HashSet<String> =
            used.iter().flat_map(|manifest| manifest.blobs()).map(str::to_owned).collect();
        match Journal::read(&self.versions) {
            Ok(Some(journal)) => needed.extend(journal.prior.blobs().map(str::to_owned)),
            Ok(None) => {}
            Err(_) => return,
        }
        for project in self.projects() {
            for id in self.ids(&project).unwrap_or_default() {
                match self.manifest(&project, id) {
                    Ok(Some(kept)) => needed.extend(kept.blobs().map(str::to_owned)),
                    Ok(None) => {}
                    // What it needs is not known, so everything stays.
                    Err(_) => return,
                }
            }
        }
        self.blobs.keep_only(&needed);
    }

    /// Projects of which versions are kept.
    pub(super) fn projects(&self) -> Vec<ProjectKey> {
        let entries = fs::read_dir(self.root()).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        names.filter_map(|name| Versions::project_of(&name)).collect()
    }

    /// Versions of a project of which something is kept.
    pub(super) fn ids(&self, project: &ProjectKey) -> Result<Vec<VersionId>, StoreError> {
        let entries = fs::read_dir(self.dir(project)?).into_iter().flatten().flatten();
        let id =
            |entry: fs::DirEntry| entry.file_name().to_str()?.strip_suffix(".json")?.parse().ok();
        Ok(entries.filter_map(id).collect())
    }

    /// The size of all contents, without those that only `old` versions need.
    fn size_but(
        &self,
        old: &[(ProjectKey, VersionId)],
        used: &[&Manifest],
    ) -> Result<u64, StoreError> {
        let mut staying: HashSet<String> =
            used.iter().flat_map(|manifest| manifest.blobs()).map(str::to_owned).collect();
        for project in self.projects() {
            for id in self.ids(&project)? {
                let is_old = old.iter().any(|(of, old)| (of, *old) == (&project, id));
                if !is_old && let Some(kept) = self.manifest(&project, id)? {
                    staying.extend(kept.blobs().map(str::to_owned));
                }
            }
        }
        Ok(staying.iter().map(|name| self.blobs.size_of(name)).sum())
    }

    /// All versions that may give way.
    fn oldest_first(&self) -> Result<Vec<(ProjectKey, VersionId)>, StoreError> {
        let mut found = Vec::new();
        for project in self.projects() {
            let served = self.versions.current_record(&project)?.map_or(VersionId(0), |of| of.id);
            let ids = self.ids(&project)?.into_iter().filter(|id| *id != served);
            found.extend(ids.map(|id| (project.clone(), id)));
        }
        found.sort_by_key(|(_, id)| *id);
        Ok(found)
    }
}
