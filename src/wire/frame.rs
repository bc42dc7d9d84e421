//! Frames: how one message travels between the server and a worker.
//!
//! A frame is `u32 length | u8 kind | u32 header length | header | body`, integers little-endian,
//! `length` counting everything after itself. The header is a small JSON message of
//! [`crate::wire::protocol`]; the body is raw bytes that nobody between the HTTP socket and the model
//! looks into. A body above [`INLINE_LIMIT`] does not travel in the frame: the frame is of kind
//! [`Kind::Handoff`] and a file descriptor that holds the body is sent along (see
//! [`crate::wire::shared_body`]), so that one huge request does not delay the others on the channel.

use std::io;

use thiserror::Error;

/// Longest header that either side accepts; a labelling config travels in a header.
pub const MAX_HEADER: usize = 16 << 20;
/// Longest body that a worker may answer with, and that travels inline at all.
pub const MAX_BODY: usize = 1 << 30;
/// Bodies above this size go by descriptor, in the direction server → worker.
pub const INLINE_LIMIT: usize = 1 << 20;
/// Bytes before the header: length, kind, header length.
pub const PREFIX: usize = 9;
/// Room for a usual head.
pub(super) const HEAD_ROOM: usize = 1 << 10;
/// Bytes that either end reads at a time, of messages that have come meanwhile.
pub(super) const READ_AHEAD: usize = 64 << 10;

/// How the body of a frame travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The body follows the header.
    Inline,
    /// The body lies in the file whose descriptor came with the frame.
    Handoff,
}

/// What is wrong with a frame.
#[derive(Debug, Error)]
pub enum FrameError {
    #[error("the header of {0} bytes is longer than the {MAX_HEADER} that a frame may have")]
    HeaderTooLong(usize),
    #[error("the body of {0} bytes is longer than the {MAX_BODY} that a frame may have")]
    BodyTooLong(usize),
    #[error("a frame of unknown kind {0}")]
    UnknownKind(u8),
    #[error("the lengths in a frame contradict each other: {length} in all, header {header}")]
    Inconsistent { length: usize, header: usize },
    #[error("the header of a frame is no message of this protocol: {0}")]
    Header(#[from] serde_json::Error),
    #[error("a frame announced a body by descriptor, and no descriptor came")]
    DescriptorMissing,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The decoded first bytes of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    pub kind: Kind,
    pub header: usize,
    pub body: usize,
}

impl Prefix {
    /// Checks the caps, so that a frame that the other side would refuse is never begun.
    pub fn new(kind: Kind, header: usize, body: usize) -> Result<Self, FrameError> {
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
        reason = "both lengths are capped well below u32::MAX"
    )]
    pub fn encode(self) -> [u8; PREFIX] {
        let length = (PREFIX - 4 + self.header + self.body) as u32;
        let mut out = [0; PREFIX];
        out[..4].copy_from_slice(&length.to_le_bytes());
        out[4] = match self.kind {
            Kind::Inline => 0,
            Kind::Handoff => 1,
        };
        out[5..].copy_from_slice(&(self.header as u32).to_le_bytes());
        out
    }

    pub fn decode(bytes: [u8; PREFIX]) -> Result<Self, FrameError> {
        let [l0, l1, l2, l3, kind, h0, h1, h2, h3] = bytes;
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let header = u32::from_le_bytes([h0, h1, h2, h3]) as usize;
        let kind = match kind {
            0 => Kind::Inline,
            1 => Kind::Handoff,
            other => return Err(FrameError::UnknownKind(other)),
        };
        let body = length
            .checked_sub(PREFIX - 4 + header)
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
        let prefix = Prefix::new(Kind::Inline, 2, 3).unwrap();
        assert_eq!(prefix.encode(), [10, 0, 0, 0, 0, 2, 0, 0, 0]);
        let prefix = Prefix::new(Kind::Handoff, 0x0102, 0).unwrap();
        assert_eq!(prefix.encode(), [7, 1, 0, 0, 1, 2, 1, 0, 0]);
    }

    #[test]
    fn caps_hold_in_both_directions() {
        assert!(matches!(
            Prefix::new(Kind::Inline, MAX_HEADER + 1, 0),
            Err(FrameError::HeaderTooLong(_))
        ));
        assert!(matches!(
            Prefix::new(Kind::Inline, 0, MAX_BODY + 1),
            Err(FrameError::BodyTooLong(_))
        ));
        let oversized = [255, 255, 255, 255, 0, 0, 0, 0, 0];
        assert!(matches!(Prefix::decode(oversized), Err(FrameError::BodyTooLong(_))));
        let contradictory = [1, 0, 0, 0, 0, 9, 0, 0, 0];
        assert!(matches!(Prefix::decode(contradictory), Err(FrameError::Inconsistent { .. })));
        let unknown = [5, 0, 0, 0, 7, 0, 0, 0, 0];
        assert!(matches!(Prefix::decode(unknown), Err(FrameError::UnknownKind(7))));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(header in 0..=MAX_HEADER, body in 0..=MAX_BODY, handoff: bool) {
            let kind = if handoff { Kind::Handoff } else { Kind::Inline };
            let prefix = Prefix::new(kind, header, body).unwrap();
            prop_assert_eq!(Prefix::decode(prefix.encode()).unwrap(), prefix);
        }

        #[test]
        fn any_nine_bytes_decode_or_are_refused(bytes: [u8; PREFIX]) {
            if let Ok(prefix) = Prefix::decode(bytes) {
                prop_assert_eq!(prefix.encode(), bytes);
            }
        }
    }
}
