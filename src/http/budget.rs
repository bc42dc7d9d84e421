//! Room for the bodies of all requests together, counted from the first byte of one until nobody holds it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

/// How many bytes there may be, and how many there are.
#[derive(Debug)]
pub struct Budget {
    limit: usize,
    used: AtomicUsize,
}

/// What one body takes of it; given back when this is dropped.
#[derive(Debug)]
pub(super) struct Held {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Budget {
    pub fn shared(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicUsize::new(0) })
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    pub(super) fn hold(self: &Arc<Self>) -> Held {
        Held { budget: Arc::clone(self), bytes: 0 }
    }
}

impl Held {
    /// Takes more; false if there is not so much.
    pub(super) fn grow(&mut self, more: usize) -> bool {
        let Budget { limit, used } = &*self.budget;
        let taken = used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(more).filter(|sum| sum <= limit)
        });
        if taken.is_ok() {
            self.bytes += more;
        }
        taken.is_ok()
    }

    /// The body, which holds its room for as long as somebody holds it.
    pub(super) fn keep(self, body: Bytes) -> Bytes {
        Bytes::from_owner(Kept { body, _held: self })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

struct Kept {
    body: Bytes,
    _held: Held,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_up_to_the_limit_and_it_is_given_back() {
        let budget = Budget::shared(10);
        assert_eq!(budget.limit(), 10);
        let (mut first, mut second) = (budget.hold(), budget.hold());
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
        let budget = Budget::shared(10);
        let mut held = budget.hold();
        assert!(held.grow(10));
        let body = held.keep(Bytes::from_static(b"0123456789"));
        let part = body.slice(3..5);
        drop(body);
        assert!(!budget.hold().grow(1));
        assert_eq!(part, "34");
        drop(part);
        assert!(budget.hold().grow(10));
    }
}
