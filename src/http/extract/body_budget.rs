//! Room for the bodies of all requests together, counted from the first byte of a body until its last copy is
//! dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

#[derive(Debug)]
pub struct BodyBudget {
    /// In bytes.
    limit: usize,
    used: AtomicUsize,
}

/// The part of the budget that one body takes; given back when this is dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    budget: Arc<BodyBudget>,
    bytes: usize,
}

impl BodyBudget {
    pub fn shared(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicUsize::new(0) })
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// An empty reservation.
    pub(super) fn reserve(self: &Arc<Self>) -> Reservation {
        Reservation { budget: Arc::clone(self), bytes: 0 }
    }
}

impl Reservation {
    /// Takes `more` bytes; false if fewer are left.
    pub(super) fn grow(&mut self, more: usize) -> bool {
        let BodyBudget { limit, used } = &*self.budget;
        let taken = used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(more).filter(|sum| sum <= limit)
        });
        if taken.is_ok() {
            self.bytes += more;
        }
        taken.is_ok()
    }

    /// Ties the reservation to a body: it ends with the last copy.
    pub(super) fn attach(self, body: Bytes) -> Bytes {
        Bytes::from_owner(ReservedBytes { body, _reservation: self })
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

struct ReservedBytes {
    body: Bytes,
    _reservation: Reservation,
}

impl AsRef<[u8]> for ReservedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_up_to_the_limit_and_it_is_given_back() {
        let budget = BodyBudget::shared(10);
        assert_eq!(budget.limit(), 10);
        let (mut first, mut second) = (budget.reserve(), budget.reserve());
        assert!(first.grow(4) && second.grow(5));
        assert!(!first.grow(2), "one too many");
        assert!(!first.grow(usize::MAX), "and no overflow");
        assert!(first.grow(1), "what was refused takes no room");
        assert!(!second.grow(1) && second.grow(0));
        drop(first);
        assert!(second.grow(5) && !second.grow(1));
    }

    #[test]
    fn a_body_holds_its_room_until_its_last_copy_is_gone() {
        let budget = BodyBudget::shared(10);
        let mut reservation = budget.reserve();
        assert!(reservation.grow(10));
        let body = reservation.attach(Bytes::from_static(b"0123456789"));
        let part = body.slice(3..5);
        drop(body);
        assert!(!budget.reserve().grow(1));
        assert_eq!(part, "34");
        drop(part);
        assert!(budget.reserve().grow(10));
    }
}
