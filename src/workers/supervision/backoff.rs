//! The delay before another worker is started.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
/// Longest delay while no worker becomes ready.
const LONGEST: Duration = Duration::from_secs(30);
/// Longest delay while workers become ready and then die: some requests may kill them, and others wait.
const LONGEST_OF_READY: Duration = Duration::from_secs(1);
/// A worker that served for this long did not die of its start.
const STABLE_AFTER: Duration = Duration::from_secs(10);
/// Number of workers in a row that end before they are ready, after which the script counts as broken.
const MAX_FAILED_STARTS: u32 = 5;

/// The life of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WorkerLife {
    NeverReady,
    /// How long it served.
    Served(Duration),
}

/// The fate of the workers of a slot, and the delay before the next one.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    never_ready: u32,
    died_young: u32,
}

impl Backoff {
    pub(super) fn note(&mut self, life: WorkerLife) {
        match life {
            WorkerLife::NeverReady => self.never_ready += 1,
            WorkerLife::Served(time) => {
                self.never_ready = 0;
                self.died_young = if time >= STABLE_AFTER { 0 } else { self.died_young + 1 };
            }
        }
    }

    /// No delay at first: most deaths are accidents.
    pub(super) fn delay(&self) -> Duration {
        let grown = |times: u32, longest: Duration| {
            FIRST.saturating_mul(1 << (times - 2).min(16)).min(longest)
        };
        match (self.never_ready, self.died_young) {
            (0, 0 | 1) | (1, _) => Duration::ZERO,
            (0, times) => grown(times, LONGEST_OF_READY),
            (times, _) => grown(times, LONGEST),
        }
    }

    /// Whether requests should get an error rather than wait.
    pub(super) fn is_broken(&self) -> bool {
        self.never_ready >= MAX_FAILED_STARTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delays(backoff: &mut Backoff, life: WorkerLife, times: usize) -> Vec<u128> {
        let one = |backoff: &mut Backoff| {
            backoff.note(life);
            backoff.delay().as_millis()
        };
        (0..times).map(|_| one(backoff)).collect()
    }

    #[test]
    fn those_that_never_get_ready_are_tried_ever_less_often() {
        let mut backoff = Backoff::default();
        assert_eq!(delays(&mut backoff, WorkerLife::NeverReady, 4), [0, 100, 200, 400]);
        assert!(!backoff.is_broken());
        assert_eq!(delays(&mut backoff, WorkerLife::NeverReady, 1), [800]);
        assert!(backoff.is_broken());
        assert_eq!(delays(&mut backoff, WorkerLife::NeverReady, 99).last(), Some(&30_000));
        assert_eq!(delays(&mut backoff, WorkerLife::Served(Duration::ZERO), 1), [0]);
        assert!(!backoff.is_broken());
    }

    #[test]
    fn requests_that_end_workers_keep_others_waiting_for_a_second_at_most() {
        let mut backoff = Backoff::default();
        let young = WorkerLife::Served(Duration::from_secs(1));
        assert_eq!(delays(&mut backoff, young, 7), [0, 100, 200, 400, 800, 1000, 1000]);
        assert!(!backoff.is_broken());
        assert_eq!(delays(&mut backoff, WorkerLife::Served(STABLE_AFTER), 1), [0]);
    }
}
