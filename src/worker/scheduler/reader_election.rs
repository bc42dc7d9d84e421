//! Who reads the channel.
//!
//! While calls are short, a thread that has nothing to do reads the channel itself, so that a request wakes
//! one thread and not two. The lookout is the thread that reads whenever none of them does: every
//! [`LOOK_AFTER`] it looks whether anybody has begun to read since the last time, and takes over if not.

use std::sync::PoisonError;
use std::time::Duration;

use crate::worker::key_client::Attention;
use crate::worker::scheduler::{Dispatch, State, ThreadId};

/// How long nobody may read, and predictions may wait for a thread that is about to be done.
pub const LOOK_AFTER: Duration = Duration::from_millis(1);
/// After so many looks at the same thread that waits for something to read, the lookout sleeps: to be woken costs
/// whoever reads more than being looked at, unless it is seldom.
const QUIET: u32 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reader {
    Nobody,
    Lookout,
    Thread(ThreadId),
}

/// The lookout begins with it.
#[derive(Debug)]
pub(super) struct Reading {
    by: Reader,
    /// How often a thread has begun to read.
    begun: u64,
    /// The lookout waits to be woken.
    sleeps: bool,
    /// Threads that wait for something else than work, in the middle of a call.
    expecting: usize,
}

impl Default for Reading {
    fn default() -> Self {
        Self { by: Reader::Lookout, begun: 0, sleeps: false, expecting: 0 }
    }
}

impl<T> Dispatch<T> {
    /// For the lookout, which does not read: returns when it is to begin.
    pub fn look(&self) {
        let mut state = self.lock();
        let (mut begun, mut quiet) = (state.reading.begun, 0);
        loop {
            let is_awaited = matches!(state.reading.by, Reader::Thread(_));
            if is_awaited && quiet >= QUIET {
                state.reading.sleeps = true;
                state = self.lookout.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.reading.sleeps = false;
                quiet = 0;
            } else {
                let slept = self.lookout.wait_timeout(state, LOOK_AFTER);
                state = slept.unwrap_or_else(PoisonError::into_inner).0;
                quiet = if state.reading.begun == begun { quiet + 1 } else { 0 };
                state.hasten();
            }
            if state.reading.by == Reader::Nobody && quiet > 0 {
                state.reading.by = Reader::Lookout;
            }
            if state.reading.by == Reader::Lookout {
                return;
            }
            begun = state.reading.begun;
        }
    }

    /// For the lookout, which has read what there was: whether somebody else is going to read.
    pub fn hand_over(&self) -> bool {
        let mut state = self.lock();
        let somebody_comes = !(state.running.is_empty() && state.waiting.is_empty());
        let hands = state.wakeup.is_some()
            && state.are_short()
            && somebody_comes
            && state.reading.expecting == 0;
        if hands {
            state.reading.by = Reader::Nobody;
        }
        hands
    }

    /// `thread` reads no more, if it did. It is soon back where calls are short.
    pub(super) fn stop_reading(&self, state: &mut State<T>, thread: ThreadId) {
        if state.reading.by != Reader::Thread(thread) {
            return;
        }
        state.idle.retain(|idle| *idle != thread);
        let is_soon_back = state.are_short() && state.reading.expecting == 0;
        state.reading.by = if is_soon_back { Reader::Nobody } else { Reader::Lookout };
        if state.reading.sleeps || !is_soon_back {
            self.lookout.notify_one();
        }
    }
}

impl<T: std::fmt::Debug + Send> Attention for Dispatch<T> {
    fn expect(&self) {
        let mut state = self.lock();
        state.reading.expecting += 1;
        if state.reading.by == Reader::Nobody {
            state.reading.by = Reader::Lookout;
            self.lookout.notify_one();
        }
    }

    fn expect_no_more(&self) {
        let mut state = self.lock();
        state.reading.expecting = state.reading.expecting.saturating_sub(1);
    }
}

impl<T> State<T> {
    /// Whether `thread`, which has nothing else to do, is to read.
    pub(super) fn begin_reading(&mut self, thread: ThreadId) -> bool {
        let begins = self.reading.by == Reader::Nobody;
        if begins {
            self.reading.by = Reader::Thread(thread);
            self.reading.begun += 1;
            self.idle.push(thread);
        }
        begins
    }

    /// Gets `thread` back if it reads.
    pub(super) fn ring(&self, thread: ThreadId) -> bool {
        let reads = self.reading.by == Reader::Thread(thread);
        if let Some(wakeup) = self.wakeup.as_ref().filter(|_| reads) {
            wakeup.wake();
        }
        reads
    }

    /// Gets whichever thread reads back.
    pub(super) fn ring_anybody(&self) {
        if let Reader::Thread(thread) = self.reading.by {
            self.ring(thread);
        }
    }
}
