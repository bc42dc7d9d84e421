//! The open connections: room is made for new ones by closing those that nobody uses.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::phase::{Shared, Use};

/// A connection without a whole request is closed for the sake of others only after this time: a client
/// that has just come needs a moment.
const TIME_TO_ASK: Duration = Duration::from_secs(2);

pub(super) struct Registry {
    open: Arc<Mutex<Open>>,
    most: usize,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// All connections have a request that is being answered.
    Busy,
    /// One of them either asks or makes room before long.
    Soon,
}

#[derive(Default)]
struct Open {
    next: u64,
    connections: HashMap<u64, Arc<Shared>>,
}

/// The place of one connection; free again when this is dropped.
pub(super) struct Place {
    id: u64,
    open: Arc<Mutex<Open>>,
    pub(super) shared: Arc<Shared>,
}

impl Registry {
    pub(super) fn new(most: usize) -> Self {
        Self { open: Arc::default(), most }
    }

    /// A place for a new connection.
    pub(super) fn enter(&self) -> Result<Place, Full> {
        let mut open = lock(&self.open);
        if open.connections.len() >= self.most {
            let unused = least_used(&open)?;
            if let Some(connection) = open.connections.remove(&unused) {
                connection.close();
            }
        }
        let id = open.next;
        open.next += 1;
        let shared = Arc::new(Shared::default());
        open.connections.insert(id, Arc::clone(&shared));
        Ok(Place { id, open: Arc::clone(&self.open), shared })
    }

    /// Has every connection end as soon as it has no request.
    pub(super) fn leave(&self) {
        lock(&self.open).connections.values().for_each(|connection| connection.leave());
    }
}

/// The connection that is kept for a next request for longest, or else the one that has not managed to ask
/// anything for longest.
fn least_used(open: &Open) -> Result<u64, Full> {
    let now = Instant::now();
    let unused = open.connections.iter().filter_map(|(id, connection)| match connection.in_use() {
        Use::Kept(since) => Some((false, since, *id)),
        Use::Asking(since) => Some((true, since, *id)),
        Use::Busy => None,
    });
    match unused.min() {
        None => Err(Full::Busy),
        Some((true, since, _)) if now.duration_since(since) < TIME_TO_ASK => Err(Full::Soon),
        Some((.., id)) => Ok(id),
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.open).connections.remove(&self.id);
    }
}

fn lock(open: &Mutex<Open>) -> MutexGuard<'_, Open> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_unused_makes_room_and_the_busy_stay() {
        let registry = Registry::new(3);
        let places: Vec<Place> = (0..3).map(|_| registry.enter().unwrap()).collect();
        for place in &places {
            place.shared.begin();
        }
        assert_eq!(registry.enter().err(), Some(Full::Busy));
        for place in [&places[1], &places[2]] {
            place.shared.finish();
            place.shared.flushed();
        }
        let fourth = registry.enter().unwrap();
        let closed: Vec<bool> = places.iter().map(|place| place.shared.is_closed()).collect();
        assert_eq!(closed, [false, true, false]);
        fourth.shared.begin();
        let fifth = registry.enter().unwrap();
        assert!(places[2].shared.is_closed());
        // One that has just come is given time to ask.
        assert_eq!(registry.enter().err(), Some(Full::Soon));
        fifth.shared.begin();
        assert_eq!(registry.enter().err(), Some(Full::Busy));
        drop(places);
        assert!(registry.enter().is_ok());
    }
}
