//! The state of a connection, as its stream and its requests report it, and what follows from it: its
//! deadline, and whether it may be closed.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::ConnectionLimits;

/// Maximum length of the head that is inspected, in bytes.
const MAX_INSPECTED_HEAD: usize = 16 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The connection is new, and no byte has come.
    Fresh,
    /// It has served a request, and no byte of a next one has come.
    Kept,
    /// The head of a request is coming.
    Head,
    /// A request is being answered.
    Busy,
    /// The whole answer is there, and is being sent.
    Answered,
    /// Another connection needs the room.
    Closed,
}

/// Which time ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Timeout {
    /// No request came.
    Idle,
    /// The head of a request did not come to its end.
    Head,
    /// The client took no byte of its answer.
    Write,
}

/// Whether a connection may be closed for the sake of another, and since when.
#[derive(Debug, Clone, Copy)]
pub(super) enum ConnectionUse {
    /// It has served a request, and waits for a next one.
    Kept(Instant),
    /// It has not brought a whole request yet.
    Asking(Instant),
    Busy,
}

/// Shared by the stream of a connection, its requests and the registry.
#[derive(Debug)]
pub(super) struct ConnectionState {
    state: Mutex<State>,
    /// The registry wants the connection to end.
    pub(super) changed: Notify,
}

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct State {
    phase: Phase,
    since: Instant,
    /// The start of the head that is coming.
    head: Vec<u8>,
    /// A request was not read to its end.
    has_unread: bool,
    /// The client's side of the stream is at its end.
    client_ended: bool,
    /// The HTTP library's own answer to what is not a request was suppressed.
    has_suppressed: bool,
    /// Since when the client takes no bytes, and how many it had not taken then.
    stalled: Option<(Instant, Option<usize>)>,
    is_draining: bool,
}

impl Default for ConnectionState {
    fn default() -> Self {
        let state = State {
            phase: Phase::Fresh,
            since: Instant::now(),
            head: Vec::new(),
            has_unread: false,
            client_ended: false,
            has_suppressed: false,
            stalled: None,
            is_draining: false,
        };
        Self { state: Mutex::new(state), changed: Notify::new() }
    }
}

impl ConnectionState {
    /// Bytes came.
    pub(super) fn received(&self, bytes: &[u8]) {
        let mut state = self.state.lock();
        if matches!(state.phase, Phase::Fresh | Phase::Kept) {
            state.enter(Phase::Head);
        }
        if state.phase == Phase::Head {
            let room = MAX_INSPECTED_HEAD - state.head.len().min(MAX_INSPECTED_HEAD);
            state.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
    }

    /// A whole head came. Returns it as it came, up to the inspected length.
    pub(super) fn begin(&self) -> Vec<u8> {
        let mut state = self.state.lock();
        if state.phase != Phase::Closed {
            state.enter(Phase::Busy);
        }
        state.has_unread = false;
        std::mem::take(&mut state.head)
    }

    /// The whole answer is there.
    pub(super) fn finish(&self) {
        let mut state = self.state.lock();
        if state.phase == Phase::Busy {
            state.enter(Phase::Answered);
        }
    }

    /// Everything that was written is on its way.
    pub(super) fn flushed(&self) {
        let mut state = self.state.lock();
        state.stalled = None;
        if state.phase == Phase::Answered {
            state.enter(Phase::Kept);
        }
    }

    /// Whether the bytes that are written now must be suppressed, since they do not answer a request: the
    /// HTTP library itself refuses what is not one, without a body.
    pub(super) fn suppresses(&self) -> bool {
        let mut state = self.state.lock();
        let suppresses = matches!(state.phase, Phase::Fresh | Phase::Kept | Phase::Head);
        state.has_suppressed |= suppresses;
        suppresses
    }

    pub(super) fn has_suppressed(&self) -> bool {
        self.state.lock().has_suppressed
    }

    /// Takes the start of what is not a request.
    pub(super) fn take_head(&self) -> Vec<u8> {
        std::mem::take(&mut self.state.lock().head)
    }

    /// A request was not read to its end.
    pub(super) fn left_unread(&self) {
        self.state.lock().has_unread = true;
    }

    /// The client sends no more.
    pub(super) fn client_ended(&self) {
        self.state.lock().client_ended = true;
    }

    /// Whether the client may still be sending what nobody reads.
    pub(super) fn has_unread(&self) -> bool {
        let state = self.state.lock();
        state.has_unread && !state.client_ended
    }

    /// The client took bytes.
    pub(super) fn progressed(&self) {
        self.state.lock().stalled = None;
    }

    /// There is no room for more bytes. `outstanding`: how many are on their way, where that is known; a
    /// client that takes some of those does not stall, however slow it is.
    pub(super) fn stalled(&self, outstanding: Option<usize>) {
        let mut state = self.state.lock();
        let goes_on = match (state.stalled, outstanding) {
            (None, _) => true,
            (Some((_, Some(before))), Some(now)) => now < before,
            _ => false,
        };
        if goes_on {
            state.stalled = Some((Instant::now(), outstanding));
        }
    }

    /// When the connection must have made progress, and which time has run out if it has not.
    pub(super) fn deadline(&self, limits: &ConnectionLimits) -> Option<(Instant, Timeout)> {
        let state = self.state.lock();
        let after = |since: Instant, time: Duration, timeout| Some((since + time, timeout));
        match (state.phase, state.stalled) {
            (_, Some((since, _))) => after(since, limits.write_timeout, Timeout::Write),
            (Phase::Kept, None) => after(state.since, limits.idle_timeout, Timeout::Idle),
            (Phase::Fresh, None) => after(state.since, limits.header_timeout, Timeout::Idle),
            (Phase::Head, None) => after(state.since, limits.header_timeout, Timeout::Head),
            (Phase::Busy | Phase::Answered | Phase::Closed, None) => None,
        }
    }

    pub(super) fn usage(&self) -> ConnectionUse {
        let state = self.state.lock();
        match state.phase {
            Phase::Kept => ConnectionUse::Kept(state.since),
            Phase::Fresh | Phase::Head => ConnectionUse::Asking(state.since),
            Phase::Busy | Phase::Answered | Phase::Closed => ConnectionUse::Busy,
        }
    }

    /// Ends the connection at once.
    pub(super) fn close(&self) {
        self.state.lock().phase = Phase::Closed;
        self.changed.notify_one();
    }

    /// Ends the connection after the request that it answers.
    pub(super) fn drain(&self) {
        self.state.lock().is_draining = true;
        self.changed.notify_one();
    }

    /// Whether the connection ends at once: another needs the room, or it drains and has no request.
    pub(super) fn is_closed(&self) -> bool {
        let state = self.state.lock();
        match state.phase {
            Phase::Closed => true,
            Phase::Fresh | Phase::Kept => state.is_draining,
            Phase::Head | Phase::Busy | Phase::Answered => false,
        }
    }

    pub(super) fn is_draining(&self) -> bool {
        self.state.lock().is_draining
    }
}

impl State {
    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.since = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ConnectionLimits = ConnectionLimits {
        connections: 1,
        header_timeout: Duration::from_secs(30),
        header_size: 1 << 16,
        idle_timeout: Duration::from_secs(75),
        write_timeout: Duration::from_secs(60),
    };

    fn timeout(state: &ConnectionState) -> Option<Timeout> {
        state.deadline(&LIMITS).map(|(_, timeout)| timeout)
    }

    #[test]
    fn each_phase_has_its_time() {
        let state = ConnectionState::default();
        let (idle, _) = state.deadline(&LIMITS).unwrap();
        state.received(b"GET / ");
        state.received(b"HTTP/1.1\r\n\r\n");
        assert_eq!(timeout(&state), Some(Timeout::Head));
        assert_eq!(state.begin(), b"GET / HTTP/1.1\r\n\r\n");
        assert_eq!(timeout(&state), None);
        state.flushed();
        assert_eq!(timeout(&state), None, "100 Continue is not an answer");
        state.stalled(Some(10));
        let (first, over) = state.deadline(&LIMITS).unwrap();
        assert_eq!(over, Timeout::Write);
        state.stalled(Some(10));
        assert_eq!(state.deadline(&LIMITS).unwrap().0, first);
        state.stalled(Some(9));
        assert!(state.deadline(&LIMITS).unwrap().0 > first);
        state.finish();
        state.flushed();
        let (kept, timeout) = state.deadline(&LIMITS).unwrap();
        assert_eq!(timeout, Timeout::Idle);
        assert!(kept >= idle + Duration::from_secs(45));
    }

    #[test]
    fn only_answers_to_requests_pass() {
        let state = ConnectionState::default();
        state.received(b"\x16\x03\x01");
        assert!(state.suppresses() && state.has_suppressed());
        let state = ConnectionState::default();
        state.begin();
        assert!(!state.suppresses() && !state.has_suppressed());
    }
}
