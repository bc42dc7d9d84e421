//! What it takes to go back to a version of API v2: the files and keys as they were.
//!
//! Such a model overwrites its files in place. So before a training all files below MODEL_DIR are kept as those
//! of the version before ([`KeptVersions::seal`]), and after it those that it changed ([`KeptVersions::take`]).
//! A version lists all files; going back touches only those that some training of the project has changed.

pub mod blobs;
mod capture;
pub mod journal;
pub mod manifest;
mod restore;
mod space;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::changes::{FileStamp, Snapshot};
use super::durable_fs;
use super::versions::{StoreError, Versions, at};
use crate::ids::{ProjectKey, VersionId};
use blobs::Blobs;
use capture::Capture;
use manifest::{KeptContent, KeptKeys, Manifest, RawPath};

/// Said of versions of which there is nothing but their record.
const NOTHING: &str = "its files and keys were not kept";
/// Said of versions that can be told from the present one no more.
const CUT_OFF: &str =
    "a later training left what it learned where the server cannot put it back from";
pub const TOO_MANY: &str =
    "MODEL_DIR has too many files to compare (20,000, or more than can be listed in 1 s)";
const NO_ROOM: &str = "the disk was full";

/// The kept versions below one MODEL_DIR. Only for its owner, one call at a time.
#[derive(Debug)]
pub struct KeptVersions {
    versions: Arc<Versions>,
    /// Maximum size of all contents in bytes.
    limit: u64,
    blobs: Blobs,
}

/// What a training did, for [`KeptVersions::take`].
#[derive(Debug)]
pub struct FitChange<'a> {
    /// The version that it started from.
    pub from: VersionId,
    pub to: VersionId,
    pub before: &'a Snapshot,
    pub after: &'a Snapshot,
    /// Why files and keys do not hold what it learned.
    pub elsewhere: Option<&'static str>,
}

impl KeptVersions {
    pub fn open(versions: Arc<Versions>, limit: u64) -> Self {
        let blobs = Blobs::new(versions.own_dir().join("kept/.blobs"));
        Self { versions, limit, blobs }
    }

    /// Keeps the version that a training of the project starts from. A training that fails or is killed may
    /// leave files behind, so the next one leaves what was kept as it is.
    pub fn seal(
        &self,
        project: &ProjectKey,
        current: VersionId,
        found: &Snapshot,
        keys: impl FnOnce() -> KeptKeys,
    ) -> Result<(), StoreError> {
        let newest = self.newest(project)?.map(|(_, newest)| newest);
        let sealed = match (self.manifest(project, current)?, found.entries()) {
            (Some(known), _) if known.lacks.is_some() => return Ok(()),
            (Some(mut known), found) if known.is_sealed => {
                if known.is_open {
                    // A killed training may have changed what differs.
                    let left = found.map(|found| known.differing(found)).unwrap_or_default();
                    known.trained.extend(left);
                }
                known
            }
            (Some(known), None) => known,
            (None, None) => {
                let trained = newest.map(|newest| newest.trained).unwrap_or_default();
                Manifest::lacking(VersionId(current.0 + 1), trained, TOO_MANY)
            }
            (Some(mut known), Some(stamps)) => {
                let is_free = |path: &RawPath| !known.trained.contains(path);
                let free: BTreeMap<_, _> = stamps
                    .iter()
                    .filter(|(path, _)| is_free(&RawPath::from((*path).clone())))
                    .map(|(path, stamp)| (path.clone(), *stamp))
                    .collect();
                let taken = self.capture(&known.trained, &[&known]).take(&free)?;
                known.files.retain(|path, _| known.trained.contains(path));
                known.files.extend(taken);
                known
            }
            (None, Some(stamps)) => {
                let trained =
                    newest.as_ref().map(|newest| newest.trained.clone()).unwrap_or_default();
                let bases: Vec<&Manifest> = newest.iter().collect();
                let files = self.capture(&trained, &bases).take(stamps)?;
                Manifest { since: current, trained, files, keys: keys(), ..Manifest::default() }
            }
        };
        let sealed = Manifest { is_sealed: true, is_open: true, ..sealed };
        self.write(project, current, &sealed)
    }

    /// Notes what a training that made no version has changed.
    pub fn note_failed(
        &self,
        project: &ProjectKey,
        from: VersionId,
        before: &Snapshot,
        after: &Snapshot,
    ) -> Result<(), StoreError> {
        let Some(mut known) = self.manifest(project, from)?.filter(|known| known.is_open) else {
            return Ok(());
        };
        let left = match (before.entries(), after.entries()) {
            (Some(before), Some(after)) => differing(before, after),
            (_, Some(after)) => known.differing(after),
            (_, None) => BTreeSet::new(),
        };
        known.trained.extend(left);
        known.is_open = false;
        self.write(project, from, &known)
    }

    /// Keeps what a training has left, for the version that it makes; its keys are still to be added. What
    /// cannot be kept is told in what is returned.
    pub fn take(
        &self,
        project: &ProjectKey,
        change: &FitChange<'_>,
    ) -> Result<Manifest, StoreError> {
        let newest = self.newest(project)?.filter(|(id, _)| *id >= change.from);
        let newest = newest.map(|(_, newest)| newest);
        let since = newest.as_ref().map_or(change.to, |newest| newest.since);
        let mut trained = newest.as_ref().map(|newest| newest.trained.clone()).unwrap_or_default();
        let beyond = VersionId(change.to.0 + 1);
        let Some(after) = change.after.entries() else {
            return Ok(Manifest::lacking(beyond, trained, TOO_MANY));
        };
        let base = self.manifest(project, change.from)?;
        trained.extend(base.iter().flat_map(|base| base.trained.clone()));
        let whole_base = base.as_ref().filter(|base| base.lacks.is_none());
        let since = match (change.before.entries(), whole_base) {
            (Some(before), _) => {
                trained.extend(differing(before, after));
                since
            }
            (None, Some(base)) => {
                trained.extend(base.differing(after));
                since
            }
            (None, None) => change.to,
        };
        if let Some(reason) = change.elsewhere {
            return Ok(Manifest::lacking(beyond, trained, reason));
        }
        let bases: Vec<&Manifest> = whole_base.into_iter().chain(&newest).collect();
        match self.capture(&trained, &bases).take(after) {
            Ok(files) => Ok(Manifest { since, trained, files, ..Manifest::default() }),
            Err(StoreError::Io { reason, .. }) => {
                self.collect();
                let said = match reason.kind() {
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => NO_ROOM.to_owned(),
                    _ => reason.to_string(),
                };
                let said = format!("its files could not be kept: {said}");
                Ok(Manifest::lacking(since, trained, said))
            }
            Err(error) => Err(error),
        }
    }

    /// Why one cannot go back to a version; none if one can.
    pub fn obstacle(
        &self,
        project: &ProjectKey,
        id: VersionId,
    ) -> Result<Option<String>, StoreError> {
        Ok(self.way_back(project, id)?.err())
    }

    /// What was kept of a version, and the paths to put back; or why one cannot go back to it.
    pub fn way_back(
        &self,
        project: &ProjectKey,
        id: VersionId,
    ) -> Result<Result<(Manifest, BTreeSet<RawPath>), String>, StoreError> {
        let Some(kept) = self.manifest(project, id)? else { return Ok(Err(NOTHING.into())) };
        if let Some(reason) = kept.lacks {
            return Ok(Err(reason));
        }
        let recorded = self.versions.record_ids(project)?.into_iter().next().unwrap_or_default();
        let mut paths = match self.newest(project)? {
            Some((newest, manifest)) if newest >= recorded && id >= manifest.since => {
                manifest.trained
            }
            _ => return Ok(Err(CUT_OFF.into())),
        };
        let served = self.versions.current_record(project)?.map(|of| of.id).unwrap_or_default();
        paths.extend(
            self.manifest(project, served)?.map(|served| served.trained).unwrap_or_default(),
        );
        for path in &paths {
            let Some(file) = kept.files.get(path) else { continue };
            let said = |reason: &str| Ok(Err(format!("{}: {reason}", path.as_path().display())));
            match &file.content {
                KeptContent::Lacks(reason) if self.live(path) != Some(file.stamp) => {
                    return said(reason);
                }
                KeptContent::Blob(name) if !self.blobs.has(name) => {
                    return said("its kept copy is gone");
                }
                _ => {}
            }
        }
        Ok(Ok((kept, paths)))
    }

    /// Other projects whose newest training changed files that going back to a version would put back.
    pub fn also_of(
        &self,
        project: &ProjectKey,
        kept: &Manifest,
        paths: &BTreeSet<RawPath>,
    ) -> Result<Vec<ProjectKey>, StoreError> {
        let mut others = Vec::new();
        for other in self.projects().into_iter().filter(|other| other != project) {
            let Some((_, newest)) = self.newest(&other)? else { continue };
            let is_theirs = |path: &&RawPath| {
                let live = self.live(path);
                newest.trained.contains(path)
                    && kept.files.get(path).map(|file| file.stamp) != live
                    && newest.files.get(path).map(|file| file.stamp) == live
            };
            if paths.iter().any(|path| is_theirs(&path)) {
                others.push(other);
            }
        }
        Ok(others)
    }

    /// What there is now at some paths, whatever its size.
    pub fn present(
        &self,
        project: &ProjectKey,
        served: VersionId,
        paths: &BTreeSet<RawPath>,
        keys: KeptKeys,
    ) -> Result<Manifest, StoreError> {
        let base = self.manifest(project, served)?.unwrap_or_default();
        let found = paths
            .iter()
            .filter_map(|path| self.live(path).map(|stamp| (path.as_path().to_owned(), stamp)));
        let files = self.capture(paths, &[&base]).without_limit().take(&found.collect())?;
        Ok(Manifest { files, keys, ..Manifest::default() })
    }

    /// Notes the stamps that files have since they were put back, and that the next training begins from here.
    pub fn unseal(&self, project: &ProjectKey, id: VersionId) -> Result<(), StoreError> {
        let Some(mut kept) = self.manifest(project, id)? else { return Ok(()) };
        let trained = self.newest(project)?.map(|(_, newest)| newest.trained).unwrap_or_default();
        for (path, file) in &mut kept.files {
            if trained.contains(path)
                && let Some(stamp) = self.live(path)
            {
                file.stamp = stamp;
            }
        }
        (kept.is_sealed, kept.is_open) = (false, false);
        self.write(project, id, &kept)
    }

    /// What was kept of a version, if anything.
    pub fn manifest(
        &self,
        project: &ProjectKey,
        id: VersionId,
    ) -> Result<Option<Manifest>, StoreError> {
        let path = self.dir(project)?.join(format!("{id}.json"));
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(at(&path)(error)),
        }
    }

    /// Writes what was kept of a version: all of it or, if killed, none.
    pub fn write(
        &self,
        project: &ProjectKey,
        id: VersionId,
        manifest: &Manifest,
    ) -> Result<(), StoreError> {
        let dir = self.dir(project)?;
        durable_fs::create_dirs(&dir).map_err(at(&dir))?;
        let path = dir.join(format!("{id}.json"));
        let bytes = serde_json::to_vec(manifest)?;
        durable_fs::write_beside(&self.versions.own_dir(), &path, &bytes).map_err(at(&path))
    }

    fn newest(&self, project: &ProjectKey) -> Result<Option<(VersionId, Manifest)>, StoreError> {
        let Some(id) = self.ids(project)?.into_iter().max() else { return Ok(None) };
        Ok(self.manifest(project, id)?.map(|manifest| (id, manifest)))
    }

    /// What is at a path now. What a link above it leads to is not in MODEL_DIR.
    fn live(&self, path: &RawPath) -> Option<FileStamp> {
        let root = self.versions.model_dir();
        if restore::links_above(root, path.as_path()).next().is_some() {
            return None;
        }
        let about = fs::symlink_metadata(root.join(path.as_path())).ok()?;
        FileStamp::of(&about)
    }

    fn capture<'a>(
        &'a self,
        trained: &'a BTreeSet<RawPath>,
        bases: &'a [&'a Manifest],
    ) -> Capture<'a> {
        Capture::new(self, trained, bases)
    }

    fn dir(&self, project: &ProjectKey) -> Result<PathBuf, StoreError> {
        Ok(self.root().join(Versions::own_name_of(project)?))
    }

    fn root(&self) -> PathBuf {
        self.versions.own_dir().join("kept")
    }
}

/// Paths that two lists have in different states.
fn differing(
    before: &BTreeMap<PathBuf, FileStamp>,
    after: &BTreeMap<PathBuf, FileStamp>,
) -> BTreeSet<RawPath> {
    let is_same = |path: &&PathBuf| match (before.get(*path), after.get(*path)) {
        (Some(before), Some(after)) => !before.differs(after),
        _ => false,
    };
    let paths = before.keys().chain(after.keys()).filter(|path| !is_same(path));
    paths.cloned().map(RawPath::from).filter(|path| !path.is_program()).collect()
}

#[cfg(test)]
mod tests;
