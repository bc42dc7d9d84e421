//! What a connection is doing, as its stream and its requests report it, and what that allows.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::ConnectionLimits;

/// So much of the head of a request is looked at.
const HEAD_KEPT: usize = 16 << 10;

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It is new, and no byte has come.
    Fresh,
    /// It was used, and no byte of a next request has come.
    Kept,
    /// The head of a request is coming.
    Head,
    /// A request is being answered.
    Busy,
    /// The answer was handed over whole, and needs only be sent.
    Answered,
    /// Others need its place.
    Closed,
}

/// Which time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Late {
    Silent,
    Head,
    Write,
}

/// Whether a connection may be closed for the sake of others, and since when it is as it is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Use {
    /// It was used, and is kept for a next request.
    Kept(Instant),
    /// It has brought no whole request yet.
    Asking(Instant),
    Busy,
}

/// The state of a connection, which its stream, its requests and the registry share.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// Somebody wants the connection to end.
    pub(super) told: Notify,
}

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct State {
    phase: Phase,
    since: Instant,
    /// The start of the head that is coming.
    head: Vec<u8>,
    /// A request was not read to its end.
    unread: bool,
    /// The client's side of the stream is at its end.
    ended: bool,
    /// The answer of the HTTP library to what is no request was kept back.
    kept_back: bool,
    /// Since when the client takes no bytes, and how many it had not taken then.
    stalled: Option<(Instant, Option<usize>)>,
    leaving: bool,
}

impl Default for Shared {
    fn default() -> Self {
        let state = State {
            phase: Phase::Fresh,
            since: Instant::now(),
            head: Vec::new(),
            unread: false,
            ended: false,
            kept_back: false,
            stalled: None,
            leaving: false,
        };
        Self { state: Mutex::new(state), told: Notify::new() }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes came.
    pub(super) fn received(&self, bytes: &[u8]) {
        let mut state = self.lock();
        if matches!(state.phase, Phase::Fresh | Phase::Kept) {
            state.enter(Phase::Head);
        }
        if state.phase == Phase::Head {
            let room = HEAD_KEPT - state.head.len().min(HEAD_KEPT);
            state.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
    }

    /// A request is there. Returns its head as it came, as far as that is known.
    pub(super) fn begin(&self) -> Vec<u8> {
        let mut state = self.lock();
        if state.phase != Phase::Closed {
            state.enter(Phase::Busy);
        }
        state.unread = false;
        std::mem::take(&mut state.head)
    }

    /// The answer was handed over.
    pub(super) fn finish(&self) {
        let mut state = self.lock();
        if state.phase == Phase::Busy {
            state.enter(Phase::Answered);
        }
    }

    /// All that was written is on its way.
    pub(super) fn flushed(&self) {
        let mut state = self.lock();
        state.stalled = None;
        if state.phase == Phase::Answered {
            state.enter(Phase::Kept);
        }
    }

    /// What is written now is no answer to a request: the HTTP library refuses what is none, in words that
    /// help nobody.
    pub(super) fn keeps_back(&self) -> bool {
        let mut state = self.lock();
        let keeps_back = matches!(state.phase, Phase::Fresh | Phase::Kept | Phase::Head);
        state.kept_back |= keeps_back;
        keeps_back
    }

    pub(super) fn kept_back(&self) -> bool {
        self.lock().kept_back
    }

    /// The start of what is no request.
    pub(super) fn head(&self) -> Vec<u8> {
        std::mem::take(&mut self.lock().head)
    }

    pub(super) fn left_unread(&self) {
        self.lock().unread = true;
    }

    /// The client sends no more.
    pub(super) fn ended(&self) {
        self.lock().ended = true;
    }

    /// Whether the client may still be sending what nobody reads.
    pub(super) fn unread(&self) -> bool {
        let state = self.lock();
        state.unread && !state.ended
    }

    /// The client took bytes.
    pub(super) fn progressed(&self) {
        self.lock().stalled = None;
    }

    /// There is no room for more bytes; so many are on their way, where that is known. A client that takes
    /// some of those does not stall, however slow it is.
    pub(super) fn stalled(&self, outstanding: Option<usize>) {
        let mut state = self.lock();
        let goes_on = match (state.stalled, outstanding) {
            (None, _) => true,
            (Some((_, Some(before))), Some(now)) => now < before,
            _ => false,
        };
        if goes_on {
            state.stalled = Some((Instant::now(), outstanding));
        }
    }

    /// When the connection has to have gone on.
    pub(super) fn deadline(&self, limits: &ConnectionLimits) -> Option<(Instant, Late)> {
        let state = self.lock();
        let after = |since: Instant, time: Duration, late| Some((since + time, late));
        match (state.phase, state.stalled) {
            (_, Some((since, _))) => after(since, limits.write_timeout, Late::Write),
            (Phase::Kept, None) => after(state.since, limits.idle_timeout, Late::Silent),
            (Phase::Fresh, None) => after(state.since, limits.header_timeout, Late::Silent),
            (Phase::Head, None) => after(state.since, limits.header_timeout, Late::Head),
            (Phase::Busy | Phase::Answered | Phase::Closed, None) => None,
        }
    }

    pub(super) fn in_use(&self) -> Use {
        let state = self.lock();
        match state.phase {
            Phase::Kept => Use::Kept(state.since),
            Phase::Fresh | Phase::Head => Use::Asking(state.since),
            Phase::Busy | Phase::Answered | Phase::Closed => Use::Busy,
        }
    }

    /// Has the connection end at once.
    pub(super) fn close(&self) {
        self.lock().phase = Phase::Closed;
        self.told.notify_one();
    }

    /// Has the connection end after the request that it answers.
    pub(super) fn leave(&self) {
        self.lock().leaving = true;
        self.told.notify_one();
    }

    /// Whether it ends at once: its place is taken, or no request came that would have to be answered.
    pub(super) fn is_closed(&self) -> bool {
        let state = self.lock();
        match state.phase {
            Phase::Closed => true,
            Phase::Fresh | Phase::Kept => state.leaving,
            Phase::Head | Phase::Busy | Phase::Answered => false,
        }
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.lock().leaving
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

    fn late(shared: &Shared) -> Option<Late> {
        shared.deadline(&LIMITS).map(|(_, late)| late)
    }

    #[test]
    fn each_phase_has_its_time() {
        let shared = Shared::default();
        let (silent, _) = shared.deadline(&LIMITS).unwrap();
        shared.received(b"GET / ");
        shared.received(b"HTTP/1.1\r\n\r\n");
        assert_eq!(late(&shared), Some(Late::Head));
        assert_eq!(shared.begin(), b"GET / HTTP/1.1\r\n\r\n");
        assert_eq!(late(&shared), None);
        shared.flushed();
        assert_eq!(late(&shared), None, "100 Continue is no answer");
        shared.stalled(Some(10));
        let (first, over) = shared.deadline(&LIMITS).unwrap();
        assert_eq!(over, Late::Write);
        shared.stalled(Some(10));
        assert_eq!(shared.deadline(&LIMITS).unwrap().0, first);
        shared.stalled(Some(9));
        assert!(shared.deadline(&LIMITS).unwrap().0 > first);
        shared.finish();
        shared.flushed();
        let (kept, late) = shared.deadline(&LIMITS).unwrap();
        assert_eq!(late, Late::Silent);
        assert!(kept >= silent + Duration::from_secs(45));
    }

    #[test]
    fn only_answers_to_requests_pass() {
        let shared = Shared::default();
        shared.received(b"\x16\x03\x01");
        assert!(shared.keeps_back() && shared.kept_back());
        let shared = Shared::default();
        shared.begin();
        assert!(!shared.keeps_back() && !shared.kept_back());
    }
}
