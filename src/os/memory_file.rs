//! Unnamed files by which two processes share pages.
//!
//! On Linux such a file lives in memory and is sealed once it is written: the writer can no longer change
//! what the reader reads. Elsewhere it is a temporary file that is already unlinked, and the writer just
//! stops writing.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;

use memmap2::{Mmap, MmapOptions};

#[cfg(target_os = "linux")]
use memfd as system;
#[cfg(not(target_os = "linux"))]
use unlinked as system;

/// A file that is being written.
#[derive(Debug)]
pub struct MemoryFile {
    file: File,
}

/// A file that is complete, to be mapped here and sent to other processes.
#[derive(Debug)]
pub struct SealedFile {
    file: File,
}

impl MemoryFile {
    pub fn new() -> io::Result<Self> {
        Ok(Self { file: system::create()? })
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    /// Ends the writing: on Linux nobody can change the file from now on.
    pub fn seal(self) -> io::Result<SealedFile> {
        system::seal(&self.file)?;
        Ok(SealedFile { file: self.file })
    }
}

impl SealedFile {
    /// A file that was sealed in another process of this program, by its descriptor.
    pub fn received(descriptor: OwnedFd) -> Self {
        Self { file: descriptor.into() }
    }

    #[expect(unsafe_code, reason = "a file that shrinks would end this process")]
    pub fn map(&self) -> io::Result<Mmap> {
        // SAFETY: the file has no name, and its writer has finished with it. On Linux it is sealed, so that
        // nobody can change or shorten it; elsewhere only this program has its descriptor, and does not.
        unsafe { MmapOptions::new().map_copy_read_only(&self.file) }
    }
}

impl From<SealedFile> for OwnedFd {
    fn from(sealed: SealedFile) -> Self {
        sealed.file.into()
    }
}

#[cfg(target_os = "linux")]
mod memfd {
    use std::fs::File;
    use std::io;

    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

    pub(super) fn create() -> io::Result<File> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        Ok(memfd_create("label-studio-ml-body", flags)?.into())
    }

    pub(super) fn seal(file: &File) -> io::Result<()> {
        let all = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
        Ok(fcntl_add_seals(file, all)?)
    }
}

#[cfg(any(test, not(target_os = "linux")))]
mod unlinked {
    use std::fs::File;
    use std::io;

    pub(super) fn create() -> io::Result<File> {
        tempfile::tempfile()
    }

    #[expect(clippy::unnecessary_wraps, reason = "sealing a file of memory can fail")]
    pub(super) fn seal(_file: &File) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(content: &[u8]) -> SealedFile {
        let mut file = MemoryFile::new().unwrap();
        for piece in content.chunks(700_000) {
            file.write(piece).unwrap();
        }
        file.seal().unwrap()
    }

    fn written_elsewhere(content: &[u8]) -> SealedFile {
        let mut file = unlinked::create().unwrap();
        file.write_all(content).unwrap();
        unlinked::seal(&file).unwrap();
        SealedFile { file }
    }

    #[test]
    fn both_sides_see_what_was_written() {
        let content: Vec<u8> = (0..3_000_000u32).map(|i| i.to_le_bytes()[0]).collect();
        for content in [&content[..], b""] {
            for sealed in [written(content), written_elsewhere(content)] {
                let here = sealed.map().unwrap();
                let there = SealedFile::received(sealed.into()).map().unwrap();
                assert!(*here == *content && *there == *content);
            }
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_sealed_file_can_no_longer_be_changed() {
        let mut file = written(b"tasks").file;
        assert!(file.write_all(b"other").is_err());
        assert!(file.set_len(0).is_err());
    }
}
