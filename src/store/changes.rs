//! Finds the files below MODEL_DIR that `fit` changed.
//!
//! A model of API v2 keeps its files anywhere, so all of them are compared before and after: path, size,
//! modification time. Files that are not part of a model are ignored: our own folder, caches, logs, hidden
//! files, virtual environments. A folder that is too large to scan counts as changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// Maximum number of entries that are scanned.
const MAX_ENTRIES: usize = 20_000;
/// Maximum duration of a scan.
const MAX_DURATION: Duration = Duration::from_secs(1);
/// Maximum number of paths in a record.
const MAX_PATHS: usize = 20;

/// What a path below a folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    File,
    Folder,
    Link,
}

/// What tells one state of a file from another without reading it. Times are seconds and nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStamp {
    pub kind: EntryKind,
    pub size: u64,
    pub mode: u32,
    pub modified: (i64, i64),
    pub changed: (i64, i64),
    pub inode: u64,
}

impl FileStamp {
    /// None for what is neither a file, nor a folder, nor a symbolic link: reading it may wait for ever.
    pub fn of(about: &Metadata) -> Option<Self> {
        let kind = about.file_type();
        let kind = match () {
            () if kind.is_file() => EntryKind::File,
            () if kind.is_dir() => EntryKind::Folder,
            () if kind.is_symlink() => EntryKind::Link,
            () => return None,
        };
        Some(Self {
            kind,
            size: about.len(),
            mode: about.mode() & 0o7777,
            modified: (about.mtime(), about.mtime_nsec()),
            changed: (about.ctime(), about.ctime_nsec()),
            inode: about.ino(),
        })
    }

    /// Whether a path with these stamps was given another content, kind or permissions in between.
    pub fn differs(&self, other: &Self) -> bool {
        if self.kind == EntryKind::Folder && other.kind == EntryKind::Folder {
            return self.mode != other.mode;
        }
        let told = |of: &Self| (of.kind, of.size, of.mode, of.modified, of.inode);
        told(self) != told(other)
    }
}

/// The files below a folder at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// By their paths below the folder. None: there were too many.
    entries: Option<BTreeMap<PathBuf, FileStamp>>,
}

impl Snapshot {
    pub fn take(folder: &Path) -> Self {
        Self::within(folder, MAX_ENTRIES, MAX_DURATION)
    }

    /// The entries by their paths below the folder; none if there were too many.
    pub fn entries(&self) -> Option<&BTreeMap<PathBuf, FileStamp>> {
        self.entries.as_ref()
    }

    fn within(root: &Path, most: usize, longest: Duration) -> Self {
        let (began, mut seen) = (Instant::now(), 0);
        let mut found = BTreeMap::new();
        let mut folders = vec![PathBuf::new()];
        while let Some(folder) = folders.pop() {
            // A folder that cannot be read cannot be written either.
            let Ok(entries) = fs::read_dir(root.join(&folder)) else { continue };
            for entry in entries.flatten() {
                seen += 1;
                if seen > most || began.elapsed() > longest {
                    return Self { entries: None };
                }
                let (path, name) = (folder.join(entry.file_name()), entry.file_name());
                let (name, Ok(about)) = (name.to_string_lossy(), entry.metadata()) else {
                    continue;
                };
                let Some(stamp) = FileStamp::of(&about) else { continue };
                if stamp.kind == EntryKind::Folder {
                    if is_ignored_folder(&name) || entry.path().join("pyvenv.cfg").exists() {
                        continue;
                    }
                    folders.push(path.clone());
                } else if is_ignored_file(&name) {
                    continue;
                }
                found.insert(path, stamp);
            }
        }
        Self { entries: Some(found) }
    }

    /// Paths of files that are new, gone or different in `after`, at most `MAX_PATHS`; none if nothing changed.
    pub fn changes(&self, after: &Self) -> Option<Vec<String>> {
        let Some(paths) = self.changed_paths(after) else { return Some(Vec::new()) };
        let mut changed: Vec<String> =
            paths.into_iter().map(|path| path.display().to_string()).collect();
        changed.sort();
        changed.truncate(MAX_PATHS);
        (!changed.is_empty()).then_some(changed)
    }

    /// Paths of files that are new, gone or different in `after`; none if one of both is not known.
    fn changed_paths<'a>(&'a self, after: &'a Self) -> Option<BTreeSet<&'a Path>> {
        let (before, after) = (self.entries.as_ref()?, after.entries.as_ref()?);
        let file = |of: &BTreeMap<PathBuf, FileStamp>, path: &Path| {
            let stamp = of.get(path).filter(|stamp| stamp.kind != EntryKind::Folder);
            stamp.map(|stamp| (stamp.size, stamp.modified))
        };
        let paths = before.keys().chain(after.keys()).map(PathBuf::as_path);
        Some(paths.filter(|path| file(before, path) != file(after, path)).collect())
    }
}

/// The files of folders outside MODEL_DIR in which a model may keep what it learned as well: that of its script,
/// and the working folder.
#[derive(Debug)]
pub struct FilesOutside {
    model_dir: PathBuf,
    folders: Vec<(PathBuf, Snapshot)>,
}

impl FilesOutside {
    /// Folders below others of `folders` are scanned with those.
    pub fn take(model_dir: &Path, folders: &[PathBuf]) -> Self {
        let is_outermost = |folder: &&PathBuf| {
            !folders.iter().any(|other| other != *folder && folder.starts_with(other))
        };
        let outermost: BTreeSet<&PathBuf> = folders.iter().filter(is_outermost).collect();
        let folders =
            outermost.into_iter().map(|folder| (folder.clone(), Snapshot::take(folder))).collect();
        Self { model_dir: model_dir.to_owned(), folders }
    }

    /// Paths of files that have changed since, at most `MAX_PATHS`; of a folder that is too large to scan none
    /// are known.
    pub fn changes(&self) -> Option<Vec<String>> {
        let mut changed = Vec::new();
        for (folder, before) in &self.folders {
            let after = Snapshot::take(folder);
            let paths = before.changed_paths(&after).unwrap_or_default();
            let paths = paths.into_iter().map(|path| folder.join(path));
            let outside = paths.filter(|path| !path.starts_with(&self.model_dir));
            changed.extend(outside.map(|path| path.display().to_string()));
        }
        changed.truncate(MAX_PATHS);
        (!changed.is_empty()).then_some(changed)
    }
}

fn is_ignored_folder(folder: &str) -> bool {
    folder.starts_with('.') || matches!(folder, "__pycache__" | "node_modules" | "cache" | "logs")
}

fn is_ignored_file(file: &str) -> bool {
    let is = |suffix: &str| file.ends_with(suffix);
    file.starts_with('.') || file.starts_with("cache.db") || is(".log") || is(".pyc") || is(".lock")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_is_written_is_a_change_and_a_log_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let before = Snapshot::take(root);
        fs::create_dir_all(root.join(".label-studio-ml")).unwrap();
        fs::create_dir_all(root.join("__pycache__")).unwrap();
        for file in ["train.log", "cache.db-wal", ".label-studio-ml/state.db", "__pycache__/a.pyc"]
        {
            fs::write(root.join(file), "x").unwrap();
        }
        assert_eq!(before.changes(&Snapshot::take(root)), None);
        fs::create_dir(root.join("7")).unwrap();
        assert_eq!(before.changes(&Snapshot::take(root)), None, "a folder alone is no model");
        fs::write(root.join("7/model.pkl"), "weights").unwrap();
        let trained = Snapshot::take(root);
        assert_eq!(before.changes(&trained), Some(vec!["7/model.pkl".into()]));
        fs::remove_file(root.join("7/model.pkl")).unwrap();
        let gone = trained.changes(&Snapshot::take(root));
        assert_eq!(gone, Some(vec!["7/model.pkl".into()]));
    }

    #[test]
    fn a_folder_that_is_too_large_counts_as_changed() {
        let dir = tempfile::tempdir().unwrap();
        for number in 0..5 {
            fs::write(dir.path().join(number.to_string()), "").unwrap();
        }
        let few = Snapshot::within(dir.path(), 3, MAX_DURATION);
        assert_eq!(few.changes(&few), Some(Vec::new()));
        assert!(few.entries().is_none());
    }

    #[test]
    fn files_outside_the_model_folder_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let (root, project) = (dir.path().to_owned(), dir.path().join("backend"));
        let models = project.join("models");
        fs::create_dir_all(&models).unwrap();
        let outside = FilesOutside::take(&models, &[root.clone(), project.clone()]);
        assert_eq!(outside.folders.len(), 1, "one contains the other");
        for number in 0..2 * MAX_PATHS {
            fs::write(models.join(number.to_string()), "x").unwrap();
        }
        assert_eq!(outside.changes(), None, "what lies in the model folder is not outside");
        fs::write(project.join("weights.bin"), "x").unwrap();
        fs::write(root.join("model.pkl"), "x").unwrap();
        let paths = [project.join("weights.bin"), root.join("model.pkl")];
        assert_eq!(outside.changes(), Some(paths.map(|path| path.display().to_string()).to_vec()));
    }
}
