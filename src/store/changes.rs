//! Finds the files below MODEL_DIR that `fit` changed.
//!
//! A model of API v2 keeps its files anywhere, so all of them are compared before and after: path, size,
//! modification time. Files that are not part of a model are ignored: our own folder, caches, logs, hidden
//! files, virtual environments. A folder that is too large to scan counts as changed.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Maximum number of entries that are scanned.
const MAX_ENTRIES: usize = 20_000;
/// Maximum duration of a scan.
const MAX_DURATION: Duration = Duration::from_secs(1);
/// Maximum number of paths in a record.
const MAX_PATHS: usize = 20;

/// The files below a folder at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Size, and modification time in seconds and nanoseconds. None: there were too many.
    files: Option<HashMap<PathBuf, (u64, i64, i64)>>,
}

impl Snapshot {
    pub fn take(folder: &Path) -> Self {
        Self::within(folder, MAX_ENTRIES, MAX_DURATION)
    }

    fn within(folder: &Path, most: usize, longest: Duration) -> Self {
        let (began, mut seen) = (Instant::now(), 0);
        let mut files = HashMap::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            // A folder that cannot be read cannot be written either.
            let Ok(entries) = fs::read_dir(&folder) else { continue };
            for entry in entries.flatten() {
                seen += 1;
                if seen > most || began.elapsed() > longest {
                    return Self { files: None };
                }
                let (path, name) = (entry.path(), entry.file_name());
                let (name, Ok(kind)) = (name.to_string_lossy(), entry.file_type()) else {
                    continue;
                };
                if kind.is_dir() {
                    if !is_ignored_folder(&name) && !path.join("pyvenv.cfg").exists() {
                        folders.push(path);
                    }
                } else if !is_ignored_file(&name)
                    && let Ok(about) = entry.metadata()
                {
                    files.insert(path, (about.len(), about.mtime(), about.mtime_nsec()));
                }
            }
        }
        Self { files: Some(files) }
    }

    /// Paths that are new, gone or different in `after`, at most `MAX_PATHS`; none if nothing changed.
    pub fn changes(&self, after: &Self, folder: &Path) -> Option<Vec<String>> {
        let (Some(before), Some(after)) = (&self.files, &after.files) else {
            return Some(Vec::new());
        };
        let written = after.iter().filter(|(path, about)| before.get(*path) != Some(about));
        let gone = before.keys().filter(|path| !after.contains_key(*path));
        let mut changed: Vec<String> = written
            .map(|(path, _)| path)
            .chain(gone)
            .map(|path| path.strip_prefix(folder).unwrap_or(path).display().to_string())
            .collect();
        changed.sort();
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
        assert_eq!(before.changes(&Snapshot::take(root), root), None);
        fs::create_dir(root.join("7")).unwrap();
        fs::write(root.join("7/model.pkl"), "weights").unwrap();
        let trained = Snapshot::take(root);
        assert_eq!(before.changes(&trained, root), Some(vec!["7/model.pkl".into()]));
        fs::remove_file(root.join("7/model.pkl")).unwrap();
        let gone = trained.changes(&Snapshot::take(root), root);
        assert_eq!(gone, Some(vec!["7/model.pkl".into()]));
    }

    #[test]
    fn a_folder_that_is_too_large_counts_as_changed() {
        let dir = tempfile::tempdir().unwrap();
        for number in 0..5 {
            fs::write(dir.path().join(number.to_string()), "").unwrap();
        }
        let few = Snapshot::within(dir.path(), 3, MAX_DURATION);
        assert_eq!(few.changes(&few, dir.path()), Some(Vec::new()));
    }
}
