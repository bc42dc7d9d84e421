//! Frames: how one message travels between the server and a worker.
//!
//! A frame is `u32 length | u8 kind | u32 header length | header | body`, integers little-endian,
//! `length` counting everything after itself. The header is a small JSON message of
//! [`crate::wire::protocol`]; the body is raw bytes that are not parsed between the HTTP socket and
//! the model. A body above [`INLINE_LIMIT`] does not travel in the frame: the frame is of kind
//! [`FrameKind::Descriptor`] and a file descriptor that holds the body is sent along (see
//! [`crate::wire::shared_body`]), so that one huge request does not delay the others on the channel.

use std::io;

use thiserror::Error;

/// Maximum length of a header in bytes; a labelling config travels in a header.
pub const MAX_HEADER: usize = 16 << 20;
/// Maximum length of a body that travels inline, in bytes; answers of workers always do.
pub const MAX_BODY: usize = 1 << 30;
/// Maximum length of a body that travels inline from the server to a worker, in bytes; longer ones travel as
/// a descriptor.
pub const INLINE_LIMIT: usize = 1 << 20;
/// Length of what comes before the header, in bytes: length, kind, header length.
pub const PREFIX_LENGTH: usize = 9;
/// Initial capacity for prefix and header, in bytes.
pub(super) const HEAD_ROOM: usize = 1 << 10;
/// Maximum number of bytes that either end reads ahead.
pub(super) const READ_AHEAD: usize = 64 << 10;

/// How the body of a frame travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// The body follows the header.
    Inline,
    /// The body lies in the file whose descriptor came with the frame.
    Descriptor,
}

/// Why a frame cannot be sent or read.
#[derive(Debug, Error)]
pub enum FrameError {
    #[error("the header of {0} bytes is longer than the {MAX_HEADER} that a frame may have")]
    HeaderTooLong(usize),
    #[error("the body of {0} bytes is longer than the {MAX_BODY} that a frame may have")]
    BodyTooLong(usize),
    #[error("a frame has the unknown kind {0}")]
    UnknownKind(u8),
    #[error("the lengths in a frame contradict each other: {length} in all, header {header}")]
    Inconsistent { length: usize, header: usize },
    #[error("the header of a frame is not a message of this protocol: {0}")]
    Header(#[from] serde_json::Error),
    #[error("a frame announced a body by descriptor, and no descriptor came")]
    DescriptorMissing,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The first bytes of a frame: its kind and the lengths of its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FramePrefix {
    pub kind: FrameKind,
    pub header: usize,
    pub body: usize,
}

impl FramePrefix {
    /// Checks the maximum lengths, so that a frame that the other side would refuse is never begun.
    pub fn new(kind: FrameKind, header: usize, body: usize) -> Result<Self, FrameError> {
        if header > MAX_HEADER {
            return Err(FrameError::HeaderTooLong(header));
        }
        if body > MAX_BODY {
            return Err(FrameError::BodyTooLong(body));
        }
        Ok(Self { kind, header, body })
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "both lengths are limited to far below u32::MAX"
    )]
    pub fn encode(self) -> [u8; PREFIX_LENGTH] {
        let length = (PREFIX_LENGTH - 4 + self.header + self.body) as u32;
        let mut out = [0; PREFIX_LENGTH];
        out[..4].copy_from_slice(&length.to_le_bytes());
        out[4] = match self.kind {
            FrameKind::Inline => 0,
            FrameKind::Descriptor => 1,
        };
        out[5..].copy_from_slice(&(self.header as u32).to_le_bytes());
        out
    }

    pub fn decode(bytes: [u8; PREFIX_LENGTH]) -> Result<Self, FrameError> {
        let [l0, l1, l2, l3, kind, h0, h1, h2, h3] = bytes;
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let header = u32::from_le_bytes([h0, h1, h2, h3]) as usize;
        let kind = match kind {
            0 => FrameKind::Inline,
            1 => FrameKind::Descriptor,
            other => return Err(FrameError::UnknownKind(other)),
        };
        let body = length
            .checked_sub(PREFIX_LENGTH - 4 + header)
            .ok_or(FrameError::Inconsistent { length, header })?;
        Self::new(kind, header, body)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_prefix_is_laid_out_as_documented() {
        let prefix = FramePrefix::new(FrameKind::Inline, 2, 3).unwrap();
        assert_eq!(prefix.encode(), [10, 0, 0, 0, 0, 2, 0, 0, 0]);
        let prefix = FramePrefix::new(FrameKind::Descriptor, 0x0102, 0).unwrap();
        assert_eq!(prefix.encode(), [7, 1, 0, 0, 1, 2, 1, 0, 0]);
    }

    #[test]
    fn caps_hold_in_both_directions() {
        assert!(matches!(
            FramePrefix::new(FrameKind::Inline, MAX_HEADER + 1, 0),
            Err(FrameError::HeaderTooLong(_))
        ));
        assert!(matches!(
            FramePrefix::new(FrameKind::Inline, 0, MAX_BODY + 1),
            Err(FrameError::BodyTooLong(_))
        ));
        let oversized = [255, 255, 255, 255, 0, 0, 0, 0, 0];
        assert!(matches!(FramePrefix::decode(oversized), Err(FrameError::BodyTooLong(_))));
        let contradictory = [1, 0, 0, 0, 0, 9, 0, 0, 0];
        assert!(matches!(FramePrefix::decode(contradictory), Err(FrameError::Inconsistent { .. })));
        let unknown = [5, 0, 0, 0, 7, 0, 0, 0, 0];
        assert!(matches!(FramePrefix::decode(unknown), Err(FrameError::UnknownKind(7))));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(header in 0..=MAX_HEADER, body in 0..=MAX_BODY, by_descriptor: bool) {
            let kind = if by_descriptor { FrameKind::Descriptor } else { FrameKind::Inline };
            let prefix = FramePrefix::new(kind, header, body).unwrap();
            prop_assert_eq!(FramePrefix::decode(prefix.encode()).unwrap(), prefix);
        }

        #[test]
        fn any_nine_bytes_decode_or_are_refused(bytes: [u8; PREFIX_LENGTH]) {
            if let Ok(prefix) = FramePrefix::decode(bytes) {
                prop_assert_eq!(prefix.encode(), bytes);
            }
        }
    }
}
