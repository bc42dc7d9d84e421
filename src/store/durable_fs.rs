//! Writes that are there after a power cut, or not at all.
//!
//! A plain rename is atomic for readers but not durable; these functions also bring the data and
//! the folder entries to the disk before they return.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use crate::failpoint;

/// Writes `bytes` to `target` by way of a file in `staging`, which must be on the same file system.
/// Readers see the old content or the new, never a part.
pub fn write_atomic(staging: &Path, target: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut staged = NamedTempFile::new_in(staging)?;
    staged.write_all(bytes)?;
    staged.as_file().sync_all()?;
    make_readable(staged.as_file())?;
    failpoint::reached("write-staged");
    staged.persist(target)?;
    failpoint::reached("write-renamed");
    sync_parent(target)
}

/// Temporary files are private to the owner; published ones follow the usual mode.
fn make_readable(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

/// Brings every file and folder below `dir` to the disk.
pub fn sync_tree(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            sync_tree(&entry.path())?;
        } else if kind.is_file() {
            File::open(entry.path())?.sync_all()?;
        }
    }
    sync_dir(dir)
}

/// Brings the entry of `path` in its folder to the disk.
pub fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => sync_dir(Path::new(".")),
        Some(parent) => sync_dir(parent),
        None => Ok(()),
    }
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_replaces_the_whole_file_and_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let staging = dir.path().join("staging");
        fs::create_dir(&staging).unwrap();
        let target = dir.path().join("job_result.json");
        write_atomic(&staging, &target, b"a long first version").unwrap();
        write_atomic(&staging, &target, b"short").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"short");
        assert_eq!(fs::read_dir(&staging).unwrap().count(), 0);
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("job_result.json");
        fs::write(&target, b"old").unwrap();
        let missing = dir.path().join("no such folder");
        assert!(write_atomic(&missing, &target, b"new").is_err());
        assert_eq!(fs::read(&target).unwrap(), b"old");
    }

    #[test]
    fn a_tree_with_folders_and_dangling_links_is_synced() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("checkpoints/1")).unwrap();
        fs::write(dir.path().join("checkpoints/1/model.pt"), b"weights").unwrap();
        std::os::unix::fs::symlink("nowhere", dir.path().join("latest")).unwrap();
        sync_tree(dir.path()).unwrap();
    }
}
