//! What a running job says, kept while it runs: log and progress go to the job store every two
//! seconds, progress to the server's log now and then.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::AbortHandle;
use tokio::time::sleep;
use tracing::info;

use crate::store::jobs::{Claimed, JobStore, transitions};
use crate::workers::output::job::{JobOutput, Progress};

const NOTE_PAUSE: Duration = Duration::from_secs(2);
/// Between two lines of progress in the log.
const LOG_PAUSE: Duration = Duration::from_secs(10);

/// Follows a job until it is dropped.
#[derive(Debug)]
pub(super) struct Reporter(AbortHandle);

impl Reporter {
    pub(super) fn follow(store: &Arc<JobStore>, job: &Claimed, output: &Arc<JobOutput>) -> Self {
        let note = keep_notes(Arc::clone(store), job.id, job.epoch, Arc::clone(output));
        Self(tokio::spawn(note).abort_handle())
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The last output and progress of a job, as the store takes them.
pub(super) fn last_words(output: &JobOutput) -> (Option<String>, Vec<u8>) {
    let progress = output.latest_progress();
    (progress.and_then(|progress| serde_json::to_string(&progress).ok()), output.tail())
}

async fn keep_notes(store: Arc<JobStore>, id: u64, epoch: u32, output: Arc<JobOutput>) {
    let mut noted = (None, Vec::new());
    let mut logged: Option<(Instant, Progress)> = None;
    loop {
        sleep(NOTE_PAUSE).await;
        let said = last_words(&output);
        if said != noted {
            noted = said.clone();
            // The next round tries again, and the end of the job writes it all.
            let _ = store
                .run(move |db| transitions::note(db, id, epoch, said.0.as_deref(), &said.1))
                .await;
        }
        let Some(progress) = output.latest_progress() else { continue };
        let due = logged
            .as_ref()
            .is_none_or(|(when, last)| when.elapsed() >= LOG_PAUSE && *last != progress);
        if due {
            info!(project = output.project, job = id, "training {}", in_words(&progress));
            logged = Some((Instant::now(), progress));
        }
    }
}

/// `40 %, epoch 2, loss 0.25`.
pub fn in_words(progress: &Progress) -> String {
    let percent = progress.fraction.map(|fraction| format!("{:.0} %", fraction * 100.0));
    let metrics = progress.metrics.iter().map(|(name, value)| match value.as_f64() {
        Some(number) if value.is_f64() => format!("{name} {number:.4}"),
        _ => format!("{name} {value}"),
    });
    percent
        .into_iter()
        .chain(progress.message.clone())
        .chain(metrics)
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_reads_like_a_sentence() {
        let metrics = serde_json::json!({"loss": 0.123_456, "step": 7});
        let progress = Progress {
            fraction: Some(0.4),
            message: Some("epoch 2".into()),
            metrics: metrics.as_object().unwrap().clone(),
        };
        assert_eq!(in_words(&progress), "40 %, epoch 2, loss 0.1235, step 7");
        assert_eq!(in_words(&Progress::default()), "");
    }
}
