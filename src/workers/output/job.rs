//! The output of one training job: the end of its log, and its progress.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard, RwLock};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::ids::{JobId, ProjectKey};
use crate::wire::record::FitProgress;

/// Maximum number of bytes of output that are kept of a job.
const TAIL: usize = 64 << 10;
/// Number of pipes of a worker.
const STREAMS: u8 = 2;

/// The job that a worker runs now, if any.
#[derive(Debug, Clone, Default)]
pub struct CurrentJob(Arc<RwLock<Option<Arc<JobOutput>>>>);

impl CurrentJob {
    pub fn get(&self) -> Option<Arc<JobOutput>> {
        self.0.read().clone()
    }

    pub fn set(&self, job: Option<Arc<JobOutput>>) {
        *self.0.write() = job;
    }
}

/// The output of a job so far.
#[derive(Debug)]
pub struct JobOutput {
    pub id: JobId,
    pub project: ProjectKey,
    said: Mutex<Said>,
    /// Grows with every progress report.
    reports: watch::Sender<u64>,
    streams_ended: watch::Sender<u8>,
}

#[derive(Debug, Default)]
struct Said {
    tail: Vec<u8>,
    progress: Option<FitProgress>,
}

impl JobOutput {
    pub fn new(id: JobId, project: ProjectKey) -> Self {
        let (reports, streams_ended) = (watch::channel(0).0, watch::channel(0).0);
        Self { id, project, said: Mutex::default(), reports, streams_ended }
    }

    pub fn line(&self, text: &str) {
        let tail = &mut self.said().tail;
        tail.extend_from_slice(text.as_bytes());
        tail.push(b'\n');
        // Cutting moves all that is kept, so it is done rarely.
        if tail.len() > 4 * TAIL {
            tail.drain(..tail.len() - TAIL);
        }
    }

    pub(super) fn progress(&self, progress: FitProgress) {
        self.said().progress = Some(progress);
        self.reports.send_modify(|number| *number += 1);
    }

    /// Takes a report as JSON. Other text was not written by this package, and is ignored.
    pub(crate) fn report(&self, json: &str) {
        if let Ok(progress) = serde_json::from_str(json) {
            self.progress(progress);
        }
    }

    /// The end of the output; if it was cut, it begins with a whole line.
    pub fn tail(&self) -> Vec<u8> {
        let said = self.said();
        let kept = said.tail.len().saturating_sub(TAIL);
        let tail = &said.tail[kept..];
        if kept == 0 {
            return tail.to_vec();
        }
        let begin = memchr::memchr(b'\n', &tail[..TAIL - 1]).map_or(0, |end| end + 1);
        tail[begin..].to_vec()
    }

    pub fn latest_progress(&self) -> Option<FitProgress> {
        self.said().progress.clone()
    }

    /// Changes with every progress report.
    pub fn reports(&self) -> watch::Receiver<u64> {
        self.reports.subscribe()
    }

    pub(super) fn fit_ended(&self, id: &str) {
        if id == self.id.to_string() {
            self.stream_ended();
        }
    }

    pub(super) fn stream_ended(&self) {
        self.streams_ended.send_modify(|ended| *ended = ended.saturating_add(1));
    }

    /// Waits until all output of the job has arrived, for at most `bound`: user code may have redirected a
    /// stream. False if that was not enough.
    pub async fn drained(&self, bound: Duration) -> bool {
        let mut ended = self.streams_ended.subscribe();
        timeout(bound, ended.wait_for(|ended| *ended >= STREAMS)).await.is_ok()
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::run_in_time;

    #[test]
    fn the_end_of_a_long_log_is_kept_in_whole_lines() {
        let job = JobOutput::new(JobId(7), ProjectKey::default());
        for number in 0..20_000 {
            job.line(&format!("line {number}"));
        }
        let tail = String::from_utf8(job.tail()).unwrap();
        assert!(tail.len() <= TAIL && tail.len() > TAIL - 100);
        assert!(tail.starts_with("line 1") && tail.ends_with("line 19999\n"));
        job.line(&"x".repeat(2 * TAIL));
        assert_eq!(job.tail().len(), TAIL, "of one endless line the end is kept");
    }

    #[test]
    fn both_streams_must_have_ended() {
        run_in_time(|| async {
            let job = JobOutput::new(JobId(7), ProjectKey::default());
            job.fit_ended("6");
            job.fit_ended("7");
            assert_eq!(*job.streams_ended.borrow(), 1);
            job.stream_ended();
            job.drained(Duration::from_secs(60)).await;
        });
    }
}
