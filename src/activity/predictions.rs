//! Predictions that were made: those of a burst are one line.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::sleep;
use tracing::info;

use super::counted;
use crate::ids::ProjectKey;

/// Time from the first prediction of a burst to its line.
const FIRST_PAUSE: Duration = Duration::from_millis(300);
/// Longest time between two lines while predictions go on.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Counts predictions, and logs them after pauses that grow while they go on.
#[derive(Debug, Clone, Default)]
pub struct PredictionTally(Arc<Mutex<Tally>>);

#[derive(Debug, Default)]
struct Tally {
    burst: Burst,
    /// A task waits for the end of the burst.
    is_followed: bool,
}

#[derive(Debug, Default, PartialEq)]
struct Burst {
    requests: u64,
    tasks: u64,
    took: Duration,
    /// The project, if all were for the same one.
    project: Option<ProjectKey>,
}

impl PredictionTally {
    /// Counts the answer to a request for `tasks` tasks.
    pub fn note(&self, project: &ProjectKey, tasks: usize, took: Duration) {
        let mut tally = self.0.lock();
        let burst = &mut tally.burst;
        if burst.requests == 0 {
            burst.project = Some(project.clone());
        } else if burst.project.as_ref().is_some_and(|known| known != project) {
            burst.project = None;
        }
        burst.requests += 1;
        burst.tasks += tasks as u64;
        burst.took += took;
        if !std::mem::replace(&mut tally.is_followed, true) {
            tokio::spawn(self.clone().follow());
        }
    }

    /// Logs what was counted and not told yet; the server ends.
    pub fn flush(&self) {
        let burst = std::mem::take(&mut self.0.lock().burst);
        if burst.requests > 0 {
            burst.tell();
        }
    }

    /// Tells bursts until a pause without predictions.
    async fn follow(self) {
        let mut pause = FIRST_PAUSE;
        loop {
            sleep(pause).await;
            let burst = {
                let mut tally = self.0.lock();
                if tally.burst.requests == 0 {
                    tally.is_followed = false;
                    return;
                }
                std::mem::take(&mut tally.burst)
            };
            burst.tell();
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

impl Burst {
    fn tell(&self) {
        let project = self.project.as_ref().map(ProjectKey::as_str);
        let (tasks, requests) = (self.tasks, self.requests);
        info!(project, tasks, requests, "predicted {}", self.in_words());
    }

    /// `1 task, 12 ms`, `340 tasks in 17 requests, 12 ms each`.
    fn in_words(&self) -> String {
        let each = self.took / u32::try_from(self.requests).unwrap_or(u32::MAX).max(1);
        let tasks = counted(self.tasks, "task");
        match self.requests {
            1 => format!("{tasks}, {}", shown(each)),
            requests => format!("{tasks} in {requests} requests, {} each", shown(each)),
        }
    }
}

/// `0.4 ms`, `12 ms`, `1.2 s`.
fn shown(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds * 1000.0 {
        ms if ms < 9.95 => format!("{ms:.1} ms"),
        ms if ms < 999.5 => format!("{ms:.0} ms"),
        _ => format!("{seconds:.1} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn burst(requests: u64, tasks: u64, ms: u64) -> Burst {
        Burst { requests, tasks, took: Duration::from_millis(ms), project: None }
    }

    #[test]
    fn one_request_and_many_read_well() {
        assert_eq!(burst(1, 1, 12).in_words(), "1 task, 12 ms");
        assert_eq!(burst(1, 5, 1234).in_words(), "5 tasks, 1.2 s");
        assert_eq!(burst(17, 340, 204).in_words(), "340 tasks in 17 requests, 12 ms each");
        assert_eq!(burst(4, 4, 1).in_words(), "4 tasks in 4 requests, 0.2 ms each");
    }

    #[test]
    fn times_keep_two_digits_across_the_units() {
        let micros = |micros| shown(Duration::from_micros(micros));
        assert_eq!(micros(0), "0.0 ms");
        assert_eq!(micros(9_940), "9.9 ms");
        assert_eq!(micros(9_960), "10 ms");
        assert_eq!(micros(999_400), "999 ms");
        assert_eq!(micros(999_600), "1.0 s");
    }

    /// A hundred requests a second for a minute.
    #[tokio::test(start_paused = true)]
    async fn a_long_burst_has_few_lines_and_counts_all() {
        let tally = PredictionTally::default();
        let (mut lines, mut before) = (0, 0);
        for number in 0..6_000_u32 {
            tally.note(&"1.2".into(), 2, Duration::from_millis(5));
            sleep(Duration::from_millis(10)).await;
            let waiting = tally.0.lock().burst.requests;
            lines += u32::from(waiting <= before && number > 0);
            before = waiting;
        }
        assert!((6..=12).contains(&lines), "{lines}");
        sleep(LONGEST_PAUSE * 3).await;
        let tally = tally.0.lock();
        assert!(!tally.is_followed && tally.burst == Burst::default());
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_of_several_projects_names_none() {
        let tally = PredictionTally::default();
        for project in ["1.2", "1.2", "3.4", "1.2"] {
            tally.note(&project.into(), 1, Duration::ZERO);
        }
        assert_eq!(tally.0.lock().burst.project, None);
        tally.flush();
        tally.note(&"3.4".into(), 1, Duration::ZERO);
        assert_eq!(tally.0.lock().burst.project, Some("3.4".into()));
    }
}
