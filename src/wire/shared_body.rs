//! Bodies of requests; a large one is shared as a file descriptor instead of sent as bytes.
//!
//! A body that turns out to be large is written into an unnamed file as it comes. From then on both sides map
//! the same pages: the server to find the project, the worker to parse it (see
//! [`memory_file`](crate::os::memory_file)).

use std::io;
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use bytes::Bytes;
use memmap2::Mmap;

use crate::os::memory_file::{MemoryFile, SealedFile};

/// A body that goes to a worker. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct SharedBody {
    bytes: Bytes,
    /// The file that holds the bytes, if one does.
    file: Option<Arc<OwnedFd>>,
}

/// A body as a worker receives it.
#[derive(Debug)]
pub enum ReceivedBody {
    Inline(Vec<u8>),
    Mapped(Mmap),
}

/// Writes a large body into a file as it comes.
#[derive(Debug)]
pub struct BodyWriter {
    file: MemoryFile,
}

impl SharedBody {
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// A body in a file; `hold` may wrap the bytes in something that is dropped with them.
    pub fn in_file((map, file): (Mmap, OwnedFd), hold: impl FnOnce(Bytes) -> Bytes) -> Self {
        Self { bytes: hold(Bytes::from_owner(map)), file: Some(Arc::new(file)) }
    }

    /// The same body in a file of its own.
    pub(super) fn copied_to_file(self) -> io::Result<Self> {
        let mut writer = BodyWriter::new()?;
        writer.write(&self.bytes)?;
        Ok(Self { bytes: self.bytes, file: Some(Arc::new(writer.file.seal()?.into())) })
    }

    /// The file that holds the body, if one does.
    pub(super) fn file(&self) -> Option<&OwnedFd> {
        self.file.as_deref()
    }
}

impl BodyWriter {
    pub fn new() -> io::Result<Self> {
        Ok(Self { file: MemoryFile::new()? })
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write(bytes)
    }

    /// Ends the body, which cannot be changed from now on.
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
    /// The bytes, copied if they are in a file.
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

    fn written(body: &[u8]) -> (Mmap, OwnedFd) {
        let mut writer = BodyWriter::new().unwrap();
        for piece in body.chunks(700_000) {
            writer.write(piece).unwrap();
        }
        writer.finish().unwrap()
    }

    #[test]
    fn a_body_comes_back_as_it_was() {
        let body: Vec<u8> = (0..3_000_000u32).map(|i| i.to_le_bytes()[0]).collect();
        let written = SharedBody::in_file(written(&body), |bytes| bytes);
        let copied = SharedBody::from(body.clone()).copied_to_file().unwrap();
        let empty = SharedBody::default().copied_to_file().unwrap();
        for (sent, expected) in [(written, &*body), (copied, &*body), (empty, b"")] {
            assert_eq!(*sent, *expected);
            let descriptor = sent.file().unwrap().try_clone().unwrap();
            assert_eq!(*unpack(descriptor).unwrap(), *expected);
        }
    }
}
