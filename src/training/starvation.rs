//! Tells the user when a training waits for processor time. It computes only while nothing else does, so beside
//! a busy program it may seem to hang.

use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::sleep;

use crate::activity;
use crate::ids::{JobId, ProjectKey};
use crate::os::cpu_time::{CpuTimes, of_process};

/// Time over which a training is judged.
const WINDOW: Duration = Duration::from_secs(5);

/// Follows a training until it is dropped.
#[derive(Debug)]
pub(super) struct StarvationWatch(AbortHandle);

impl StarvationWatch {
    /// Follows the training of a job in the process `pid`.
    pub(super) fn begin(pid: u32, project: ProjectKey, job: JobId) -> Self {
        let watch = async move {
            if until_starved(|| of_process(pid)).await.is_some() {
                activity::training_starves(&project, job);
            }
        };
        Self(tokio::spawn(watch).abort_handle())
    }
}

impl Drop for StarvationWatch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Resolves once a window was lost to waiting; none where the times are not known.
async fn until_starved(times: impl Fn() -> Option<CpuTimes>) -> Option<()> {
    let mut before = times()?;
    loop {
        sleep(WINDOW).await;
        let now = times()?;
        if is_starved(before, now) {
            return Some(());
        }
        before = now;
    }
}

/// Whether a training that could run almost did not, for a window. One whose own threads compete with each other
/// runs all the time.
fn is_starved(before: CpuTimes, now: CpuTimes) -> bool {
    let running = now.running.saturating_sub(before.running);
    let waiting = now.waiting.saturating_sub(before.waiting);
    running < WINDOW / 5 && waiting > WINDOW / 2
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::time::{Instant, timeout};

    use super::*;

    fn times(running: u64, waiting: u64) -> CpuTimes {
        let of = Duration::from_millis;
        CpuTimes { running: of(running), waiting: of(waiting) }
    }

    #[test]
    fn a_training_starves_that_is_ready_and_hardly_runs() {
        let starved = |running: u64, waiting: u64| {
            is_starved(times(100, 100), times(100 + running, 100 + waiting))
        };
        assert!(starved(200, 4_700));
        assert!(!starved(2_500, 2_500), "half of the time is its share among equals");
        assert!(!starved(10_000, 30_000), "its own threads compete");
        assert!(!starved(100, 200), "it waits for a file or sleeps");
        assert!(!is_starved(times(5_000, 9_000), times(100, 200)), "threads have ended");
    }

    /// In the third window it gets no time.
    #[tokio::test(start_paused = true)]
    async fn it_is_noticed_in_the_window_in_which_it_begins() {
        let began = Instant::now();
        let window = AtomicU32::new(0);
        let looked = || match window.fetch_add(1, Ordering::Relaxed) {
            number @ 0..=2 => Some(times(u64::from(number) * 5_000, 0)),
            _ => Some(times(10_000, 5_000)),
        };
        assert_eq!(timeout(WINDOW * 100, until_starved(looked)).await, Ok(Some(())));
        assert_eq!(began.elapsed().as_secs(), WINDOW.as_secs() * 3);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_said_where_nothing_is_known() {
        assert_eq!(timeout(WINDOW * 100, until_starved(|| None)).await, Ok(None));
    }
}
