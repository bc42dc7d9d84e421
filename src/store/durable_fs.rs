//! Writes that survive a power cut completely or not at all.
//!
//! A plain rename is atomic for readers but not durable; these functions also sync the data and the folder
//! entries before they return.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use tempfile::NamedTempFile;

use super::own_folder;
use crate::failpoint;

/// Writes `bytes` to `target` through a file in `staging`, which must be on the same file system.
/// Readers see the old content or the new, never a part.
pub fn write_atomic(staging: &Path, target: &Path, bytes: &[u8]) -> io::Result<()> {
    replace(staging, target, bytes)?;
    sync_parent(target)
}

/// The same for what is written beside a version: fault tests end the server while it writes versions.
pub fn write_beside(staging: &Path, target: &Path, bytes: &[u8]) -> io::Result<()> {
    stage(staging, bytes)?.persist(target)?;
    sync_parent(target)
}

/// The same as [`write_atomic`] without the last step: the content is on the disk, but its name may not be yet.
pub fn replace(staging: &Path, target: &Path, bytes: &[u8]) -> io::Result<()> {
    let staged = stage(staging, bytes)?;
    failpoint::reached("write-staged");
    staged.persist(target)?;
    failpoint::reached("write-renamed");
    Ok(())
}

/// The same for a note on which nothing depends.
pub fn write_note(staging: &Path, target: &Path, bytes: &[u8]) -> io::Result<()> {
    stage(staging, bytes)?.persist(target)?;
    Ok(())
}

fn stage(staging: &Path, bytes: &[u8]) -> io::Result<NamedTempFile> {
    let mut staged = NamedTempFile::new_in(staging)?;
    staged.write_all(bytes)?;
    staged.as_file().sync_all()?;
    make_readable(staged.as_file())?;
    Ok(staged)
}

/// Temporary files are private to the owner; published ones follow the usual mode.
fn make_readable(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

/// Syncs every file and folder below `dir`.
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

/// Makes a folder and its missing parents, and syncs their entries. The own folder of a MODEL_DIR is private.
pub fn create_dirs(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        create_dirs(parent)?;
    }
    let is_own = dir.file_name().is_some_and(|name| name == own_folder::NAME);
    match DirBuilder::new().mode(if is_own { 0o700 } else { 0o777 }).create(dir) {
        // Another process or thread was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => {}
        made => made?,
    }
    sync_parent(dir)
}

/// Syncs the entry of `path` in its folder.
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
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&target.metadata().unwrap().permissions());
        assert_eq!(mode & 0o777, 0o644, "others may read it");
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

    #[cfg(target_os = "linux")]
    mod on_the_disk {
        use super::*;
        use crate::os::sync_calls::Watch;

        #[test]
        fn a_write_is_synced_before_its_name_stands_for_it_and_the_name_after_that() {
            let dir = tempfile::tempdir().unwrap();
            let (staging, folder) = (dir.path().join("staging"), dir.path().join("7"));
            for folder in [&staging, &folder] {
                fs::create_dir(folder).unwrap();
            }
            let watch = Watch::over(dir.path());
            write_atomic(&staging, &folder.join("job_result.json"), b"whole").unwrap();
            let synced = watch.take();
            let [staged, named] = synced.as_slice() else { panic!("{synced:?}") };
            assert!(staged.path.starts_with("staging"), "{staged:?}");
            assert_eq!(staged.bytes.as_deref(), Some(&b"whole"[..]));
            assert_eq!(named.path, Path::new("7"));
            assert_eq!(named.names, ["job_result.json"]);
        }

        #[test]
        fn a_write_that_the_disk_does_not_take_is_an_error_and_leaves_the_old_file() {
            let dir = tempfile::tempdir().unwrap();
            let target = dir.path().join("file");
            fs::write(&target, b"old").unwrap();
            let watch = Watch::over(dir.path());
            watch.break_when(|synced| synced.bytes.is_some());
            assert!(write_atomic(dir.path(), &target, b"new").is_err());
            assert_eq!(fs::read(&target).unwrap(), b"old");
            watch.break_when(|synced| synced.bytes.is_none());
            assert!(write_atomic(dir.path(), &target, b"new").is_err(), "its name may be lost");
        }

        #[test]
        fn every_file_and_folder_of_a_tree_is_synced_and_no_link_is_followed() {
            let dir = tempfile::tempdir().unwrap();
            let tree = dir.path().join("tree");
            fs::create_dir_all(tree.join("checkpoints/1")).unwrap();
            fs::write(tree.join("checkpoints/1/model.pt"), b"weights").unwrap();
            fs::write(tree.join("log.txt"), b"loss").unwrap();
            fs::write(dir.path().join("outside"), b"not ours").unwrap();
            std::os::unix::fs::symlink("nowhere", tree.join("latest")).unwrap();
            std::os::unix::fs::symlink("../outside", tree.join("link")).unwrap();
            let watch = Watch::over(dir.path());
            sync_tree(&tree).unwrap();
            let mut paths = watch.take_paths();
            assert_eq!(paths.last().unwrap(), "tree", "what is in a folder comes before it");
            paths.sort();
            let all = ["", "/checkpoints", "/checkpoints/1", "/checkpoints/1/model.pt", "/log.txt"];
            assert_eq!(paths, all.map(|path| format!("tree{path}")));
            watch.break_when(|synced| synced.path.ends_with("model.pt"));
            assert!(sync_tree(&tree).is_err());
        }

        #[test]
        fn the_folder_in_which_a_name_stands_is_synced() {
            let dir = tempfile::tempdir().unwrap();
            let watch = Watch::over(dir.path());
            sync_parent(&dir.path().join("file")).unwrap();
            assert_eq!(watch.take_paths(), [""]);
            assert!(sync_parent(&dir.path().join("no such folder/file")).is_err());
            let here = Watch::over(Path::new("."));
            sync_parent(Path::new("Cargo.toml")).unwrap();
            assert!(here.take_paths().contains(&String::new()));
            sync_parent(Path::new("/")).unwrap();
        }

        #[test]
        fn folders_that_are_made_are_not_lost_again() {
            let dir = tempfile::tempdir().unwrap();
            let watch = Watch::over(dir.path());
            create_dirs(&dir.path().join("a/b")).unwrap();
            assert!(dir.path().join("a/b").is_dir());
            let synced: Vec<_> =
                watch.take().into_iter().map(|synced| (synced.path, synced.names)).collect();
            assert_eq!(
                synced,
                [("".into(), vec!["a".to_owned()]), ("a".into(), vec!["b".to_owned()])]
            );
            create_dirs(&dir.path().join("a/b")).unwrap();
            assert_eq!(watch.take(), [], "nothing new is there");
            fs::write(dir.path().join("file"), "").unwrap();
            assert!(create_dirs(&dir.path().join("file")).is_err());
        }
    }
}
