//! Who reads the channel.
//!
//! While calls are short, a thread that has nothing to do reads the channel itself, so that a request wakes
//! one thread and not two. The fallback reader is the thread that reads whenever none of them does: every
//! [`STALL_CHECK`] it looks whether anybody has begun to read since the last time, and takes over if not.

use std::sync::PoisonError;
use std::time::Duration;

use crate::worker::key_client::Attention;
use crate::worker::scheduler::{PredictThreadId, Scheduler, SchedulerState};

/// How long nobody may read, and predictions may wait for a thread that is about to be done.
pub const STALL_CHECK: Duration = Duration::from_millis(1);
/// After so many looks at the same thread that waits for something to read, the fallback reader sleeps: to be woken costs
/// whoever reads more than being looked at, unless it is seldom.
const QUIET: u32 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReaderRole {
    Nobody,
    Fallback,
    Thread(PredictThreadId),
}

/// The fallback reader begins with it.
#[derive(Debug)]
pub(super) struct ReaderElection {
    by: ReaderRole,
    /// How often a thread has begun to read.
    begun: u64,
    /// The fallback reader waits to be woken.
    sleeps: bool,
    /// Threads that wait for something else than work, in the middle of a call.
    expecting: usize,
}

impl Default for ReaderElection {
    fn default() -> Self {
        Self { by: ReaderRole::Fallback, begun: 0, sleeps: false, expecting: 0 }
    }
}

impl<T> Scheduler<T> {
    /// For the fallback reader, which does not read: returns when it is to begin.
    pub fn wait_for_reading(&self) {
        let mut state = self.lock();
        let (mut begun, mut quiet) = (state.election.begun, 0);
        loop {
            let is_awaited = matches!(state.election.by, ReaderRole::Thread(_));
            if is_awaited && quiet >= QUIET {
                state.election.sleeps = true;
                state = self.fallback_reader.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.election.sleeps = false;
                quiet = 0;
            } else {
                let slept = self.fallback_reader.wait_timeout(state, STALL_CHECK);
                state = slept.unwrap_or_else(PoisonError::into_inner).0;
                quiet = if state.election.begun == begun { quiet + 1 } else { 0 };
                state.wake_stalled();
            }
            if state.election.by == ReaderRole::Nobody && quiet > 0 {
                state.election.by = ReaderRole::Fallback;
            }
            if state.election.by == ReaderRole::Fallback {
                return;
            }
            begun = state.election.begun;
        }
    }

    /// For the fallback reader, which has read what there was: whether somebody else is going to read.
    pub fn hand_over_reading(&self) -> bool {
        let mut state = self.lock();
        let somebody_comes = !(state.running.is_empty() && state.waiting.is_empty());
        let hands = state.wakeup.is_some()
            && state.are_short()
            && somebody_comes
            && state.election.expecting == 0;
        if hands {
            state.election.by = ReaderRole::Nobody;
        }
        hands
    }

    /// `thread` reads no more, if it did. It is soon back where calls are short.
    pub(super) fn stop_reading(&self, state: &mut SchedulerState<T>, thread: PredictThreadId) {
        if state.election.by != ReaderRole::Thread(thread) {
            return;
        }
        state.idle.retain(|idle| *idle != thread);
        let is_soon_back = state.are_short() && state.election.expecting == 0;
        state.election.by = if is_soon_back { ReaderRole::Nobody } else { ReaderRole::Fallback };
        if state.election.sleeps || !is_soon_back {
            self.fallback_reader.notify_one();
        }
    }
}

impl<T: std::fmt::Debug + Send> Attention for Scheduler<T> {
    fn expect(&self) {
        let mut state = self.lock();
        state.election.expecting += 1;
        if state.election.by == ReaderRole::Nobody {
            state.election.by = ReaderRole::Fallback;
            self.fallback_reader.notify_one();
        }
    }

    fn expect_no_more(&self) {
        let mut state = self.lock();
        state.election.expecting = state.election.expecting.saturating_sub(1);
    }
}

impl<T> SchedulerState<T> {
    /// Whether `thread`, which has nothing else to do, is to read.
    pub(super) fn begin_reading(&mut self, thread: PredictThreadId) -> bool {
        let begins = self.election.by == ReaderRole::Nobody;
        if begins {
            self.election.by = ReaderRole::Thread(thread);
            self.election.begun += 1;
            self.idle.push(thread);
        }
        begins
    }

    /// Gets `thread` back if it reads.
    pub(super) fn ring(&self, thread: PredictThreadId) -> bool {
        let reads = self.election.by == ReaderRole::Thread(thread);
        if let Some(wakeup) = self.wakeup.as_ref().filter(|_| reads) {
            wakeup.wake();
        }
        reads
    }

    /// Gets whichever thread reads back.
    pub(super) fn ring_anybody(&self) {
        if let ReaderRole::Thread(thread) = self.election.by {
            self.ring(thread);
        }
    }
}
