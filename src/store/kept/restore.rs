//! Puts the files of a version back.
//!
//! In two steps: [`KeptVersions::prepare`] writes all contents beside the live files and changes none of them, so a
//! disk that fills does no harm; [`Restore::apply`] moves them into place. A live file is never written into,
//! since a running worker may have it mapped. After a kill `apply` of what was there before makes it whole again.

use std::collections::BTreeSet;
use std::fs::{self, FileTimes, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::TempPath;

use super::KeptVersions;
use super::manifest::{KeptContent, KeptFile, Manifest, RawPath};
use crate::failpoint;
use crate::os::file_copy;
use crate::store::changes::{EntryKind, FileStamp};
use crate::store::durable_fs;
use crate::store::versions::{StoreError, at};

/// Files that are ready to be put back.
#[derive(Debug)]
pub struct Restore {
    root: PathBuf,
    /// Paths that are not as they should be, parents first.
    steps: Vec<RestoreStep>,
}

#[derive(Debug)]
struct RestoreStep {
    path: PathBuf,
    /// What it should be; none: nothing.
    wanted: Option<KeptFile>,
    /// Its content.
    draft: Option<TempPath>,
}

impl KeptVersions {
    /// Makes ready what `kept` says of these paths.
    pub fn prepare(
        &self,
        kept: &Manifest,
        paths: &BTreeSet<RawPath>,
    ) -> Result<Restore, StoreError> {
        let root = self.versions.model_dir().to_owned();
        let staging = self.versions.staging();
        durable_fs::create_dirs(&staging).map_err(at(&staging))?;
        let mut steps = Vec::new();
        for raw in paths {
            let wanted = kept.files.get(raw).cloned();
            let path = root.join(raw.as_path());
            if let Some(problem) = outside(&root, raw.as_path(), paths) {
                return Err(at(&path)(io::Error::other(problem)));
            }
            if wanted.as_ref().map(|file| file.stamp) == self.live(raw) {
                continue;
            }
            let draft = match wanted.as_ref().map(|file| (&file.content, &file.stamp)) {
                Some((KeptContent::Blob(name), stamp)) => {
                    Some(self.draft(&staging, name, stamp).map_err(at(&path))?)
                }
                Some((KeptContent::Link(target), _)) => {
                    Some(link(&staging, target.as_path()).map_err(at(&path))?)
                }
                // Only where the live file is still the same; checked before.
                Some((KeptContent::Lacks(_), _)) => continue,
                Some((KeptContent::Folder, _)) | None => None,
            };
            steps.push(RestoreStep { path, wanted, draft });
        }
        Ok(Restore { root, steps })
    }

    /// Fails if a file of `prior` could not be copied and is about to be replaced by one of `wanted`.
    pub fn check_saved(
        &self,
        prior: &Manifest,
        wanted: &Manifest,
        paths: &BTreeSet<RawPath>,
    ) -> Result<(), StoreError> {
        for raw in paths {
            let Some(before) = prior.files.get(raw) else { continue };
            let is_saved = !matches!(before.content, KeptContent::Lacks(_));
            if !is_saved && wanted.files.get(raw).map(|file| file.stamp) != Some(before.stamp) {
                let path = self.versions.model_dir().join(raw.as_path());
                let why = "it cannot be copied now, so that going back could not be undone";
                return Err(at(&path)(io::Error::other(why)));
            }
        }
        Ok(())
    }

    /// A copy of a content that may become a live file.
    fn draft(&self, staging: &Path, name: &str, stamp: &FileStamp) -> io::Result<TempPath> {
        let draft = tempfile::NamedTempFile::new_in(staging)?;
        let file = draft.as_file();
        file_copy::copy(&self.blobs.open(name)?, file)?;
        file.set_permissions(Permissions::from_mode(stamp.mode))?;
        if let Some(modified) = time(stamp.modified) {
            // Models choose the newest of their files by it.
            file.set_times(FileTimes::new().set_modified(modified))?;
        }
        file.sync_all()?;
        Ok(draft.into_temp_path())
    }
}

/// Why a path does not lie in the folder itself: a list that was damaged, or a link that leads elsewhere.
fn outside(root: &Path, path: &Path, replaced: &BTreeSet<RawPath>) -> Option<&'static str> {
    if !path.components().all(|part| matches!(part, Component::Normal(_))) {
        return Some("the list of files names a path outside MODEL_DIR");
    }
    // A link that a training made is replaced itself.
    let is_replaced = |link: &Path| replaced.iter().any(|raw| raw.as_path() == link);
    links_above(root, path)
        .any(|link| !is_replaced(link))
        .then_some("it is below a symbolic link now, and nothing is put back through links")
}

/// The folders above a path that are symbolic links.
pub(super) fn links_above<'a>(root: &'a Path, path: &'a Path) -> impl Iterator<Item = &'a Path> {
    let parents = path.ancestors().skip(1).filter(|parent| !parent.as_os_str().is_empty());
    parents.filter(|parent| root.join(parent).is_symlink())
}

impl Restore {
    /// Puts everything into place. After an error some files may be as wanted and others not.
    pub fn apply(self) -> Result<(), StoreError> {
        let mut touched = BTreeSet::new();
        let mut folders = Vec::new();
        // Deepest first: what is in the way of other kinds, and what was not there.
        for step in self.steps.iter().rev() {
            let wanted = step.wanted.as_ref().map(|file| file.stamp.kind);
            clear(&step.path, wanted).map_err(at(&step.path))?;
        }
        failpoint::reached("restore-cleared");
        for step in self.steps {
            let RestoreStep { path, wanted, draft } = step;
            let parent = path.parent().unwrap_or(&self.root);
            touched.insert(parent.to_owned());
            let Some(wanted) = wanted else { continue };
            make_folders(&self.root, parent).map_err(at(&path))?;
            if let Some(draft) = draft {
                place(&draft, &path).map_err(at(&path))?;
            } else {
                make_folder(&path).map_err(at(&path))?;
                folders.push((path, wanted.stamp.mode));
            }
            failpoint::reached("restore-one");
        }
        // Last, since nothing can be put into a folder that is read-only.
        for (folder, mode) in folders {
            fs::set_permissions(&folder, Permissions::from_mode(mode)).map_err(at(&folder))?;
        }
        for folder in touched {
            // One that was removed needs no sync.
            match fs::File::open(&folder).and_then(|folder| folder.sync_all()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(at(&folder)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Removes what is at a path, unless something of the wanted kind is there. A folder that holds other things
/// stays if nothing has to take its place.
fn clear(path: &Path, wanted: Option<EntryKind>) -> io::Result<()> {
    let about = match fs::symlink_metadata(path) {
        Ok(about) => about,
        // A parent may be a file now.
        Err(error) if is_absence(&error) => return Ok(()),
        Err(error) => return Err(error),
    };
    let removed = match (about.is_dir(), wanted) {
        // A file or link is replaced in one step.
        (true, Some(EntryKind::Folder)) | (false, Some(EntryKind::File | EntryKind::Link)) => {
            return Ok(());
        }
        (true, _) => fs::remove_dir(path),
        (false, _) => fs::remove_file(path),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty && wanted.is_none() => {
            Ok(())
        }
        Err(error) if !is_absence(&error) => Err(error),
        _ => Ok(()),
    }
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Makes the folders down to `folder`. None of them may be a link, which could lead anywhere.
fn make_folders(root: &Path, folder: &Path) -> io::Result<()> {
    let mut at = root.to_owned();
    for part in folder.strip_prefix(root).unwrap_or(Path::new("")) {
        at.push(part);
        match fs::symlink_metadata(&at) {
            Ok(about) if about.is_dir() => {}
            Ok(_) => {
                let said = format!("{} is not a folder any more", at.display());
                return Err(io::Error::other(said));
            }
            Err(_) => fs::create_dir(&at)?,
        }
    }
    Ok(())
}

fn make_folder(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        done => done,
    }
}

/// Moves a draft to its place, on another disk too.
fn place(draft: &TempPath, path: &Path) -> io::Result<()> {
    match fs::rename(draft, path) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            let folder = path.parent().unwrap_or(path);
            let about = fs::symlink_metadata(draft)?;
            let near = if about.is_symlink() {
                link(folder, &fs::read_link(draft)?)?
            } else {
                let near =
                    tempfile::Builder::new().prefix(".label-studio-ml-").tempfile_in(folder)?;
                file_copy::copy(&fs::File::open(draft)?, near.as_file())?;
                near.as_file().set_permissions(about.permissions())?;
                near.as_file().set_times(FileTimes::new().set_modified(about.modified()?))?;
                near.as_file().sync_all()?;
                near.into_temp_path()
            };
            fs::rename(&near, path)
        }
        renamed => renamed,
    }
}

/// A link of a name that nothing has.
fn link(folder: &Path, target: &Path) -> io::Result<TempPath> {
    let made = tempfile::Builder::new()
        .prefix(".label-studio-ml-")
        .make_in(folder, |path| symlink(target, path))?;
    Ok(made.into_temp_path())
}

fn time((seconds, nanoseconds): (i64, i64)) -> Option<SystemTime> {
    let fraction = Duration::from_nanos(nanoseconds.try_into().ok()?);
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let seconds = if seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(whole)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(whole)
    };
    seconds?.checked_add(fraction)
}
