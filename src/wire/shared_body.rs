//! Large bodies handed over as a file descriptor instead of as bytes on the channel.
//!
//! A body that turns out to be large is written into a file without a name as it comes, and from then on
//! both sides look at the same pages: the server to find the project, the worker to parse it (see
//! [`memory_file`](crate::os::memory_file)).

use std::io;
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use bytes::Bytes;
use memmap2::Mmap;

use crate::os::memory_file::{MemoryFile, SealedFile};

/// A body on its way to a worker. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct SharedBody {
    bytes: Bytes,
    /// The file that the bytes lie in.
    file: Option<Arc<OwnedFd>>,
}

/// A body as a worker got it.
#[derive(Debug)]
pub enum ReceivedBody {
    Inline(Vec<u8>),
    Mapped(Mmap),
}

/// A large body that is still coming.
#[derive(Debug)]
pub struct BodyWriter {
    file: MemoryFile,
}

impl SharedBody {
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// A body that lies in a file; `hold` may put something around the bytes that goes when they go.
    pub fn in_file((map, file): (Mmap, OwnedFd), hold: impl FnOnce(Bytes) -> Bytes) -> Self {
        Self { bytes: hold(Bytes::from_owner(map)), file: Some(Arc::new(file)) }
    }

    /// The file with the body; makes one where it was not large when it came.
    pub(super) fn into_file(self) -> io::Result<Arc<OwnedFd>> {
        if let Some(file) = self.file {
            return Ok(file);
        }
        let mut spool = BodyWriter::new()?;
        spool.write(&self.bytes)?;
        Ok(Arc::new(spool.file.seal()?.into()))
    }

    pub(super) fn is_in_file(&self) -> bool {
        self.file.is_some()
    }
}

impl BodyWriter {
    pub fn new() -> io::Result<Self> {
        Ok(Self { file: MemoryFile::new()? })
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write(bytes)
    }

    /// The whole body, which nobody can change from now on.
    pub fn finish(self) -> io::Result<(Mmap, OwnedFd)> {
        let file = self.file.seal()?;
        Ok((file.map()?, file.into()))
    }
}

/// Maps what [`BodyWriter`] put into a file.
pub fn unpack(descriptor: OwnedFd) -> io::Result<ReceivedBody> {
    Ok(ReceivedBody::Mapped(SealedFile::received(descriptor).map()?))
}

impl ReceivedBody {
    /// The bytes on their own.
    pub fn into_vec(self) -> Vec<u8> {
        match self {
            Self::Inline(bytes) => bytes,
            Self::Mapped(map) => map.to_vec(),
        }
    }
}

impl Deref for ReceivedBody {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Inline(bytes) => bytes,
            Self::Mapped(map) => map,
        }
    }
}

impl Deref for SharedBody {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl From<Bytes> for SharedBody {
    fn from(bytes: Bytes) -> Self {
        Self { bytes, file: None }
    }
}

impl From<Vec<u8>> for SharedBody {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spooled(body: &[u8]) -> (Mmap, OwnedFd) {
        let mut spool = BodyWriter::new().unwrap();
        for piece in body.chunks(700_000) {
            spool.write(piece).unwrap();
        }
        spool.finish().unwrap()
    }

    #[test]
    fn a_body_comes_back_as_it_was() {
        let body: Vec<u8> = (0..3_000_000u32).map(|i| i.to_le_bytes()[0]).collect();
        let payload = SharedBody::in_file(spooled(&body), |bytes| bytes);
        assert_eq!(*payload, *body);
        let copy = SharedBody::from(body.clone());
        for payload in [payload, copy] {
            let descriptor = payload.into_file().unwrap().try_clone().unwrap();
            assert_eq!(*unpack(descriptor).unwrap(), *body);
        }
        let empty = SharedBody::default().into_file().unwrap().try_clone().unwrap();
        assert!(unpack(empty).unwrap().is_empty());
    }
}
