//! Decides which thread reads the channel.
//!
//! While calls are short, a prediction thread without work reads the channel itself, so that a request wakes
//! one thread and not two. The fallback reader reads whenever none of them does: every [`STALL_CHECK`] it
//! checks whether a thread has begun to read since the last time, and takes over if not.

use std::time::Duration;

use crate::worker::scheduler::state::{ReaderRole, SchedulerState};
use crate::worker::scheduler::{PredictThreadId, Scheduler};
use crate::worker::server_client::Attention;

/// Time after which the fallback reader takes over, and a prediction that no thread took counts as stalled.
pub const STALL_CHECK: Duration = Duration::from_millis(1);
/// Number of checks that find the same thread waiting for a message, after which the fallback reader sleeps.
/// Waking it costs the reading thread more than being checked, unless that is rare.
const QUIET: u32 = 1;

impl<T> Scheduler<T> {
    /// Waits until the fallback reader, which calls this, must read.
    pub fn wait_for_reading(&self) {
        let mut state = self.lock();
        let (mut begun, mut quiet) = (state.election.begun, 0);
        loop {
            let is_awaited = matches!(state.election.by, ReaderRole::Thread(_));
            if is_awaited && quiet >= QUIET {
                state.election.sleeps = true;
                self.fallback_reader.wait(&mut state);
                state.election.sleeps = false;
                quiet = 0;
            } else {
                self.fallback_reader.wait_for(&mut state, STALL_CHECK);
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

    /// Whether another thread will read; called by the fallback reader once the channel is empty.
    pub fn hand_over_reading(&self) -> bool {
        let mut state = self.lock();
        let is_thread_coming = !(state.running.is_empty() && state.waiting.is_empty());
        let hands = state.wakeup.is_some()
            && state.are_short()
            && is_thread_coming
            && state.election.expecting == 0;
        if hands {
            state.election.by = ReaderRole::Nobody;
        }
        hands
    }

    /// Ends the turn of `thread`, if it was reading. It reads again soon if calls are short.
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
    /// Whether `thread`, which has nothing else to do, must read; its turn has then begun.
    pub(super) fn begin_reading(&mut self, thread: PredictThreadId) -> bool {
        let begins = self.election.by == ReaderRole::Nobody;
        if begins {
            self.election.by = ReaderRole::Thread(thread);
            self.election.begun += 1;
            self.idle.push(thread);
        }
        begins
    }

    /// Calls `thread` back if it reads.
    pub(super) fn ring(&self, thread: PredictThreadId) -> bool {
        let reads = self.election.by == ReaderRole::Thread(thread);
        if let Some(wakeup) = self.wakeup.as_ref().filter(|_| reads) {
            wakeup.wake();
        }
        reads
    }

    /// Calls back the thread that reads, if there is one.
    pub(super) fn ring_anybody(&self) {
        if let ReaderRole::Thread(thread) = self.election.by {
            self.ring(thread);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;
    use crate::os::wakeup::Wakeup;
    use crate::testing::in_time;
    use crate::wire::protocol::ModelId;
    use crate::worker::scheduler::NextStep;

    const M1: ModelId = ModelId(1);
    const NOW: Duration = Duration::ZERO;
    const SOON: Duration = Duration::from_secs(5);

    fn item<T>(model: ModelId, item: T) -> NextStep<T> {
        NextStep::Item { model, item }
    }

    /// One whose calls are short, with a wakeup, and a thread that has just done one.
    fn of_short_calls(by_thread: bool) -> (Arc<Scheduler<&'static str>>, PredictThreadId) {
        let scheduler = Arc::new(Scheduler::new(by_thread));
        scheduler.allow_reading(Arc::new(Wakeup::new().unwrap()));
        let thread = scheduler.register();
        scheduler.begin_making(M1);
        scheduler.made(thread, M1, NOW);
        scheduler.push(M1, "first", None);
        assert!(!scheduler.hand_over_reading(), "the length of calls is not known yet");
        assert_eq!(scheduler.next(thread, SOON), item(M1, "first"));
        scheduler.done(thread);
        scheduler.push(M1, "second", None);
        assert!(scheduler.hand_over_reading(), "a thread is going to come for it");
        assert_eq!(scheduler.next(thread, SOON), item(M1, "second"));
        scheduler.done(thread);
        (scheduler, thread)
    }

    #[test]
    fn a_thread_without_work_reads_where_calls_are_short() {
        in_time(|| {
            let (scheduler, a) = of_short_calls(false);
            let b = scheduler.register();
            assert!(matches!(scheduler.next(a, SOON), NextStep::Read(_)));
            assert_eq!(scheduler.next(b, NOW), NextStep::Idle, "one is enough");
            scheduler.push(M1, "read", Some(a));
            scheduler.push(M1, "read with it", Some(a));
            assert_eq!(scheduler.next(a, SOON), item(M1, "read"));
            assert_eq!(scheduler.next(b, SOON), item(M1, "read with it"));
            assert!(
                matches!(scheduler.next(b, SOON), NextStep::Read(_)),
                "the first one does not any more"
            );
        });
    }

    #[test]
    fn the_fallback_reader_reads_when_no_thread_does() {
        in_time(|| {
            let (scheduler, thread) = of_short_calls(false);
            assert!(matches!(scheduler.next(thread, SOON), NextStep::Read(_)));
            let fallback_reader = thread::spawn({
                let scheduler = Arc::clone(&scheduler);
                move || scheduler.wait_for_reading()
            });
            // Long enough for it to go to sleep.
            thread::sleep(Duration::from_millis(30));
            assert!(!fallback_reader.is_finished());
            scheduler.push(M1, "long", Some(thread));
            assert_eq!(scheduler.next(thread, SOON), item(M1, "long"));
            fallback_reader.join().unwrap();
            assert!(!scheduler.lock().begin_reading(thread));
        });
    }

    #[test]
    fn the_fallback_reader_reads_while_a_call_waits_for_an_answer() {
        in_time(|| {
            let (scheduler, thread) = of_short_calls(false);
            assert!(matches!(scheduler.next(thread, SOON), NextStep::Read(_)));
            scheduler.push(M1, "asks", Some(thread));
            assert_eq!(scheduler.next(thread, SOON), item(M1, "asks"));
            scheduler.expect();
            // Returns at once, or never.
            scheduler.wait_for_reading();
            assert!(!scheduler.hand_over_reading());
            scheduler.expect_no_more();
            assert!(scheduler.hand_over_reading());
        });
    }

    #[test]
    fn a_thread_that_reads_is_called_back() {
        in_time(|| {
            let (scheduler, thread) = of_short_calls(true);
            let wakeup = scheduler.lock().wakeup.clone().unwrap();
            let is_rung = || {
                let mut waited =
                    [rustix::event::PollFd::new(&*wakeup, rustix::event::PollFlags::IN)];
                rustix::event::poll(&mut waited, Some(&rustix::event::Timespec::default())).unwrap()
                    > 0
            };
            assert!(matches!(scheduler.next(thread, SOON), NextStep::Read(_)));
            scheduler.push(M1, "its own", Some(thread));
            assert!(!is_rung(), "it comes anyway");
            assert_eq!(scheduler.next(thread, SOON), item(M1, "its own"));
            scheduler.done(thread);
            assert!(matches!(scheduler.next(thread, SOON), NextStep::Read(_)));
            scheduler.push(M1, "somebody else's", None);
            assert!(is_rung());
            wakeup.clear();
            assert!(!is_rung());
            assert_eq!(scheduler.next(thread, SOON), item(M1, "somebody else's"));
            scheduler.done(thread);
            assert!(matches!(scheduler.next(thread, SOON), NextStep::Read(_)));
            scheduler.forget(M1);
            assert!(is_rung());
        });
    }
}
