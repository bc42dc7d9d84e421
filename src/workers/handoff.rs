//! Large bodies handed over as a file descriptor instead of as bytes on the channel.
//!
//! In: the bytes of a request body. Out: a descriptor of a file without a name, positioned at its
//! start, that the receiver reads to its end. On Linux it is a sealed memory file (the sender can
//! no longer change what the receiver parses), elsewhere an unlinked temporary file.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::OwnedFd;

/// Puts `body` into a nameless file.
pub fn pack(body: &[u8]) -> io::Result<OwnedFd> {
    let mut file = nameless()?;
    file.write_all(body)?;
    file.rewind()?;
    seal(&file)?;
    Ok(file.into())
}

/// Reads back what [`pack`] put there.
pub fn unpack(descriptor: OwnedFd) -> io::Result<Vec<u8>> {
    let mut file = File::from(descriptor);
    file.rewind()?;
    let size = file.metadata()?.len();
    let mut body = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    file.read_to_end(&mut body)?;
    Ok(body)
}

#[cfg(target_os = "linux")]
fn nameless() -> io::Result<File> {
    use rustix::fs::MemfdFlags;
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    Ok(rustix::fs::memfd_create("label-studio-ml-body", flags)?.into())
}

#[cfg(target_os = "linux")]
fn seal(file: &File) -> io::Result<()> {
    use rustix::fs::SealFlags;
    let all = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    Ok(rustix::fs::fcntl_add_seals(file, all)?)
}

#[cfg(not(target_os = "linux"))]
fn nameless() -> io::Result<File> {
    tempfile::tempfile()
}

#[cfg(not(target_os = "linux"))]
fn seal(_file: &File) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_comes_back_as_it_was() {
        let body: Vec<u8> = (0..3_000_000u32).map(|i| i.to_le_bytes()[0]).collect();
        assert_eq!(unpack(pack(&body).unwrap()).unwrap(), body);
        assert!(unpack(pack(&[]).unwrap()).unwrap().is_empty());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_packed_body_can_no_longer_be_changed() {
        let mut file = File::from(pack(b"tasks").unwrap());
        assert!(file.write_all(b"other").is_err());
    }
}
