//! The contents of kept files, each under a name of its own. A content is written once and never changed.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use tempfile::NamedTempFile;

use crate::os::file_copy;
use crate::store::changes::{EntryKind, FileStamp};
use crate::store::durable_fs;

/// Maximum number of attempts to copy a file that is written meanwhile.
const ATTEMPTS: u32 = 3;

/// A folder of contents.
#[derive(Debug)]
pub struct Blobs {
    dir: PathBuf,
}

/// Why a file was not copied.
#[derive(Debug)]
pub enum NotCopied {
    /// It is gone, or is not a file any more.
    Gone,
    Unreadable(String),
    /// The folder of contents cannot be written.
    Io(io::Error),
}

impl Blobs {
    pub fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Copies the content of a file; returns its name here, and the file's stamp as of the copy.
    pub fn take(&self, live: &Path) -> Result<(String, FileStamp), NotCopied> {
        let unreadable = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => NotCopied::Gone,
            _ => NotCopied::Unreadable(error.to_string()),
        };
        // What became a link or a pipe meanwhile is not followed or waited for.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let file =
            OpenOptions::new().read(true).custom_flags(flags).open(live).map_err(unreadable)?;
        for _ in 0..ATTEMPTS {
            let before = FileStamp::of(&file.metadata().map_err(unreadable)?);
            let Some(before) = before.filter(|stamp| stamp.kind == EntryKind::File) else {
                return Err(NotCopied::Gone);
            };
            let copy = NamedTempFile::new_in(&self.dir).map_err(NotCopied::Io)?;
            file_copy::copy(&file, copy.as_file()).map_err(NotCopied::Io)?;
            copy.as_file().sync_all().map_err(NotCopied::Io)?;
            let after = FileStamp::of(&file.metadata().map_err(unreadable)?);
            if after == Some(before) {
                let (_, path) = copy.keep().map_err(|error| NotCopied::Io(error.error))?;
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                return Ok((name, before));
            }
        }
        Err(NotCopied::Unreadable("it was written while it was copied".into()))
    }

    pub fn open(&self, name: &str) -> io::Result<File> {
        File::open(self.path(name))
    }

    pub fn has(&self, name: &str) -> bool {
        self.path(name).is_file()
    }

    /// Makes the folder, or makes sure that what was added is on the disk.
    pub fn sync(&self) -> io::Result<()> {
        durable_fs::create_dirs(&self.dir)?;
        File::open(&self.dir)?.sync_all()
    }

    /// The space on the disk that all contents take, in bytes.
    pub fn size(&self) -> u64 {
        self.names().iter().map(|name| self.size_of(name)).sum()
    }

    pub fn size_of(&self, name: &str) -> u64 {
        fs::metadata(self.path(name)).map_or(0, |about| about.blocks() * 512)
    }

    /// Removes all contents but these.
    pub fn keep_only(&self, needed: &HashSet<String>) {
        for name in self.names().into_iter().filter(|name| !needed.contains(name)) {
            // One that stays is removed the next time.
            let _ = fs::remove_file(self.path(&name));
        }
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}
