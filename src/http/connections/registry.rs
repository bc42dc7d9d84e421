//! The open connections. Room for a new one is made by closing one that is not in use.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::connection_state::{ConnectionState, ConnectionUse};

/// Shortest time before a connection without a whole request is closed for the sake of others: a client that
/// has just come needs a moment.
const TIME_TO_ASK: Duration = Duration::from_secs(2);

pub(super) struct ConnectionRegistry {
    open: Arc<Mutex<Open>>,
    most: usize,
}

/// Why there is no permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoPermit {
    /// All connections have a request that is being answered.
    AllBusy,
    /// One of them will soon either bring a request or make room.
    NotYet,
}

#[derive(Default)]
struct Open {
    next: u64,
    connections: HashMap<u64, Arc<ConnectionState>>,
}

/// The right to one connection; free again when this is dropped.
pub(super) struct ConnectionPermit {
    id: u64,
    open: Arc<Mutex<Open>>,
    pub(super) state: Arc<ConnectionState>,
}

impl ConnectionRegistry {
    pub(super) fn new(most: usize) -> Self {
        Self { open: Arc::default(), most }
    }

    /// A permit for a new connection.
    pub(super) fn admit(&self) -> Result<ConnectionPermit, NoPermit> {
        let mut open = self.open.lock();
        if open.connections.len() >= self.most {
            let unused = least_used(&open)?;
            if let Some(connection) = open.connections.remove(&unused) {
                connection.close();
            }
        }
        let id = open.next;
        open.next += 1;
        let state = Arc::new(ConnectionState::default());
        open.connections.insert(id, Arc::clone(&state));
        Ok(ConnectionPermit { id, open: Arc::clone(&self.open), state })
    }

    /// Closes each connection once it has no request.
    pub(super) fn drain(&self) {
        self.open.lock().connections.values().for_each(|connection| connection.drain());
    }
}

/// The connection that has waited for a next request for longest, or else the one that has not brought a
/// whole request for longest.
fn least_used(open: &Open) -> Result<u64, NoPermit> {
    let now = Instant::now();
    let unused = open.connections.iter().filter_map(|(id, connection)| match connection.usage() {
        ConnectionUse::Kept(since) => Some((false, since, *id)),
        ConnectionUse::Asking(since) => Some((true, since, *id)),
        ConnectionUse::Busy => None,
    });
    match unused.min() {
        None => Err(NoPermit::AllBusy),
        Some((true, since, _)) if now.duration_since(since) < TIME_TO_ASK => Err(NoPermit::NotYet),
        Some((.., id)) => Ok(id),
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.open.lock().connections.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_unused_makes_room_and_the_busy_stay() {
        let registry = ConnectionRegistry::new(3);
        let permits: Vec<ConnectionPermit> = (0..3).map(|_| registry.admit().unwrap()).collect();
        for permit in &permits {
            permit.state.begin();
        }
        assert_eq!(registry.admit().err(), Some(NoPermit::AllBusy));
        for permit in [&permits[1], &permits[2]] {
            permit.state.finish();
            permit.state.flushed();
        }
        let fourth = registry.admit().unwrap();
        let closed: Vec<bool> = permits.iter().map(|permit| permit.state.is_closed()).collect();
        assert_eq!(closed, [false, true, false]);
        fourth.state.begin();
        let fifth = registry.admit().unwrap();
        assert!(permits[2].state.is_closed());
        // One that has just come is given time to ask.
        assert_eq!(registry.admit().err(), Some(NoPermit::NotYet));
        fifth.state.begin();
        assert_eq!(registry.admit().err(), Some(NoPermit::AllBusy));
        drop(permits);
        assert!(registry.admit().is_ok());
    }
}
