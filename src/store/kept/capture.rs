//! Keeps the files of a list: those that a version before shares are not copied again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::KeptVersions;
use super::blobs::NotCopied;
use super::manifest::{KeptContent, KeptFile, Manifest, RawPath};
use crate::store::changes::{EntryKind, FileStamp};
use crate::store::versions::{StoreError, at};

/// Files that no training has changed so far get this part of the space: most of them never will be.
const PART_OF_UNTRAINED: u64 = 4;

/// One capture.
pub(super) struct Capture<'a> {
    kept: &'a KeptVersions,
    trained: &'a BTreeSet<RawPath>,
    bases: &'a [&'a Manifest],
    has_limit: bool,
}

impl<'a> Capture<'a> {
    pub(super) fn new(
        kept: &'a KeptVersions,
        trained: &'a BTreeSet<RawPath>,
        bases: &'a [&'a Manifest],
    ) -> Self {
        Self { kept, trained, bases, has_limit: true }
    }

    /// Keeps everything, whatever its size.
    pub(super) fn without_limit(self) -> Self {
        Self { has_limit: false, ..self }
    }

    /// Keeps files of these stamps. An error means that nothing more can be written.
    pub(super) fn take(
        &self,
        stamps: &BTreeMap<PathBuf, FileStamp>,
    ) -> Result<BTreeMap<RawPath, KeptFile>, StoreError> {
        let blobs = &self.kept.blobs;
        blobs.sync().map_err(at(&self.kept.root()))?;
        let mut files = BTreeMap::new();
        let mut missing = Vec::new();
        for (path, stamp) in stamps {
            let raw = RawPath::from(path.clone());
            match self.known(&raw, stamp) {
                Some(content) => drop(files.insert(raw, KeptFile { stamp: *stamp, content })),
                None => missing.push((raw, *stamp)),
            }
        }
        // Those that matter first, then the small ones.
        missing.sort_by_key(|(path, stamp)| (!self.trained.contains(path), stamp.size));
        // Without one of those that matter the others are of no use.
        let trained = missing.iter().filter(|(path, _)| self.trained.contains(path));
        let size = trained.map(|(_, stamp)| stamp.size).sum();
        let (mut room, mut for_untrained) = if self.has_limit {
            (self.kept.make_room(size, self.bases)?, self.kept.limit / PART_OF_UNTRAINED)
        } else {
            (u64::MAX, u64::MAX)
        };
        let has_room = size <= room;
        for (path, stamp) in missing {
            let is_trained = self.trained.contains(&path);
            let fits = if is_trained { has_room } else { stamp.size <= room.min(for_untrained) };
            if !fits {
                let reason = "its size is beyond what may be kept (--keep-versions-mib)";
                let content = KeptContent::Lacks(reason.into());
                files.insert(path, KeptFile { stamp, content });
                continue;
            }
            let live = self.kept.versions.model_dir().join(path.as_path());
            let file = match blobs.take(&live) {
                Ok((name, stamp)) => {
                    let size = blobs.size_of(&name);
                    room = room.saturating_sub(size);
                    if !is_trained {
                        for_untrained = for_untrained.saturating_sub(size);
                    }
                    KeptFile { stamp, content: KeptContent::Blob(name) }
                }
                Err(NotCopied::Gone) => continue,
                Err(NotCopied::Unreadable(reason)) => {
                    let content = KeptContent::Lacks(format!("it could not be kept: {reason}"));
                    KeptFile { stamp, content }
                }
                Err(NotCopied::Io(error)) => return Err(at(&live)(error)),
            };
            files.insert(path, file);
        }
        blobs.sync().map_err(at(&self.kept.root()))?;
        Ok(files)
    }

    /// What needs no copy.
    fn known(&self, path: &RawPath, stamp: &FileStamp) -> Option<KeptContent> {
        let live = self.kept.versions.model_dir().join(path.as_path());
        match stamp.kind {
            EntryKind::Folder => Some(KeptContent::Folder),
            EntryKind::Link => Some(link(&live)),
            EntryKind::File => {
                let same = self.bases.iter().filter_map(|base| base.files.get(path));
                let mut same = same.filter(|file| file.stamp == *stamp);
                let has_content = |file: &&KeptFile| match &file.content {
                    KeptContent::Blob(name) => self.kept.blobs.has(name),
                    _ => false,
                };
                same.find(has_content).map(|file| file.content.clone())
            }
        }
    }
}

fn link(live: &Path) -> KeptContent {
    match fs::read_link(live) {
        Ok(target) => KeptContent::Link(target.into()),
        Err(error) => KeptContent::Lacks(format!("it could not be kept: {error}")),
    }
}
