//! Copies the content of a file.
//!
//! Linux: both files share their blocks until one of them is changed, where the file system can do that (Btrfs,
//! XFS, bcachefs); elsewhere the data is copied, and holes stay holes. Other systems: as the standard library
//! does it.

use std::fs::File;
use std::io;

/// Makes `to`, which is empty, hold what `from` holds.
pub fn copy(from: &File, to: &File) -> io::Result<()> {
    imp::copy(from, to)
}

#[cfg(target_os = "linux")]
mod imp {
    use std::fs::File;
    use std::io::{self, Read, Seek, SeekFrom, Write};

    use rustix::fs::ioctl_ficlone;
    use rustix::fs::{SeekFrom as RawSeek, seek};
    use rustix::io::Errno;

    pub(super) fn copy(from: &File, to: &File) -> io::Result<()> {
        if ioctl_ficlone(to, from).is_ok() {
            return Ok(());
        }
        let length = from.metadata()?.len();
        to.set_len(length)?;
        let mut at = 0;
        while at < length {
            let data = match seek(from, RawSeek::Data(at)) {
                Ok(data) => data,
                // Only a hole follows.
                Err(Errno::NXIO) => break,
                // This file system does not tell its holes.
                Err(_) => at,
            };
            let hole = seek(from, RawSeek::Hole(data)).unwrap_or(length).max(data + 1);
            copy_range(from, to, data, hole - data)?;
            at = hole;
        }
        Ok(())
    }

    fn copy_range(mut from: &File, mut to: &File, at: u64, length: u64) -> io::Result<()> {
        from.seek(SeekFrom::Start(at))?;
        to.seek(SeekFrom::Start(at))?;
        io::copy(&mut from.take(length), &mut to)?;
        to.flush()
    }
}

#[cfg(not(target_os = "linux"))]
mod imp {
    use std::fs::File;
    use std::io;

    pub(super) fn copy(mut from: &File, mut to: &File) -> io::Result<()> {
        io::copy(&mut from, &mut to).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{Seek, SeekFrom, Write};
    use std::os::unix::fs::MetadataExt;

    use super::*;

    /// The space on the disk of a copy, and the bytes of the original and of the copy.
    fn copied(content: impl FnOnce(&mut File)) -> (u64, Vec<u8>, Vec<u8>) {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        let mut file = File::create(&from).unwrap();
        content(&mut file);
        file.sync_all().unwrap();
        copy(&File::open(&from).unwrap(), &File::create(&to).unwrap()).unwrap();
        let space = fs::metadata(&to).unwrap().blocks() * 512;
        (space, fs::read(&from).unwrap(), fs::read(&to).unwrap())
    }

    #[test]
    fn a_copy_holds_the_same_bytes() {
        for length in [0, 1, 4096, 3_000_000] {
            let bytes: Vec<u8> = (0..length).map(|n| u8::try_from(n % 251).unwrap()).collect();
            let (_, from, to) = copied(|file| file.write_all(&bytes).unwrap());
            assert!(from == bytes && to == bytes, "{length}");
        }
    }

    #[test]
    fn holes_stay_holes() {
        let (space, from, to) = copied(|file| {
            file.write_all(b"head").unwrap();
            file.seek(SeekFrom::Start(64 << 20)).unwrap();
            file.write_all(b"tail").unwrap();
            file.set_len(80 << 20).unwrap();
        });
        assert!(from == to);
        // Other systems may fill them.
        let is_sparse = space < 8 << 20;
        assert!(is_sparse || cfg!(not(target_os = "linux")), "{space} bytes");
    }
}
