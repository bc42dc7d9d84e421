//! The bytes of a body that have come: in memory while they are few, then in a file that a worker can be
//! given.

use std::io;

use bytes::BytesMut;

use super::body_budget::Reservation;
use crate::wire::frame::INLINE_LIMIT;
use crate::wire::shared_body::{BodyWriter, SharedBody};

/// First capacity in bytes. It grows as bytes come, since a length is soon announced.
const CAPACITY: usize = 1 << 10;

pub(super) enum PartialBody {
    /// Few enough to send them to a worker as they are.
    InMemory(BytesMut),
    InFile(BodyWriter, usize),
}

impl PartialBody {
    pub(super) fn new() -> Self {
        Self::InMemory(BytesMut::new())
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::InMemory(bytes) => bytes.len(),
            Self::InFile(_, length) => *length,
        }
    }

    /// Appends bytes; `announced` is the number of all.
    pub(super) fn append(&mut self, data: &[u8], announced: usize) -> io::Result<()> {
        match self {
            Self::InFile(writer, length) => {
                writer.write(data)?;
                *length += data.len();
            }
            Self::InMemory(bytes) if bytes.len() + data.len() > INLINE_LIMIT => {
                let mut writer = BodyWriter::new()?;
                writer.write(bytes)?;
                writer.write(data)?;
                *self = Self::InFile(writer, bytes.len() + data.len());
            }
            Self::InMemory(bytes) => {
                if bytes.capacity() - bytes.len() < data.len() {
                    let rest = announced.saturating_sub(bytes.len());
                    bytes.reserve(rest.min(bytes.len().max(CAPACITY)).max(data.len()));
                }
                bytes.extend_from_slice(data);
            }
        }
        Ok(())
    }

    pub(super) fn finish(self, reservation: Reservation) -> io::Result<SharedBody> {
        Ok(match self {
            Self::InMemory(bytes) => reservation.attach(bytes.freeze()).into(),
            Self::InFile(writer, _) => {
                SharedBody::in_file(writer.finish()?, |bytes| reservation.attach(bytes))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::body_budget::BodyBudget;
    use super::*;

    #[test]
    fn a_long_body_lies_in_a_file_and_a_short_one_does_not() {
        for (sizes, in_file) in [
            (&[INLINE_LIMIT][..], false),
            (&[INLINE_LIMIT - 5, 5], false),
            (&[INLINE_LIMIT - 5, 6], true),
            (&[INLINE_LIMIT + 1], true),
            (&[1, INLINE_LIMIT, 7, 0], true),
        ] {
            let length: usize = sizes.iter().sum();
            let mut body = PartialBody::new();
            for size in sizes {
                body.append(&vec![b'x'; *size], length).unwrap();
            }
            assert_eq!(matches!(body, PartialBody::InFile(..)), in_file, "{sizes:?}");
            assert_eq!(body.len(), length);
            let budget = BodyBudget::shared(length);
            let mut reservation = budget.reserve();
            assert!(reservation.grow(length));
            let whole = body.finish(reservation).unwrap();
            assert!(whole.len() == length && whole.iter().all(|byte| *byte == b'x'), "{sizes:?}");
            assert!(!budget.reserve().grow(1), "its room is taken");
            drop(whole);
            assert!(budget.reserve().grow(length));
        }
    }

    #[test]
    fn room_is_made_as_bytes_come_and_never_for_more_than_was_announced() {
        let mut body = PartialBody::new();
        for _ in 0..100 {
            body.append(b"0123456789", 1_000).unwrap();
            let PartialBody::InMemory(bytes) = &body else { panic!("it is short") };
            assert!(bytes.capacity() <= (bytes.len() * 3).max(CAPACITY), "{}", bytes.capacity());
        }
        assert_eq!(body.len(), 1_000);
    }
}
