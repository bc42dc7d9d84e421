//! Reports of a running job: its log and progress go to the job store every two seconds, its progress to
//! the server's log every ten.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::AbortHandle;
use tokio::time::sleep;
use tracing::info;

use crate::ids::JobId;
use crate::store::jobs::{Claimed, JobStore, transitions};
use crate::wire::record::FitProgress;
use crate::workers::output::job::JobOutput;

const NOTE_PAUSE: Duration = Duration::from_secs(2);
/// Time between two lines of progress in the log.
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

/// The end of the output of a job and its progress, in the form of the store.
pub(super) fn last_words(output: &JobOutput) -> (Option<String>, Vec<u8>) {
    let progress = output.latest_progress();
    (progress.and_then(|progress| serde_json::to_string(&progress).ok()), output.tail())
}

async fn keep_notes(store: Arc<JobStore>, id: JobId, epoch: u32, output: Arc<JobOutput>) {
    let mut noted = (None, Vec::new());
    let mut logged: Option<(Instant, FitProgress)> = None;
    loop {
        sleep(NOTE_PAUSE).await;
        let said = last_words(&output);
        if said != noted {
            noted = said.clone();
            // The next round tries again, and the end of the job writes everything.
            let _ = store
                .run(move |db| transitions::note(db, id, epoch, said.0.as_deref(), &said.1))
                .await;
        }
        let Some(progress) = output.latest_progress() else { continue };
        let due = logged
            .as_ref()
            .is_none_or(|(when, last)| when.elapsed() >= LOG_PAUSE && *last != progress);
        if due {
            let (key, project) = (output.project.as_str(), output.project.id());
            let said = in_words(&progress);
            info!(project = key, job = %id, "training project {project}: {said}");
            logged = Some((Instant::now(), progress));
        }
    }
}

/// `40 %, epoch 2, loss 0.25`.
pub fn in_words(progress: &FitProgress) -> String {
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
    use crate::store::jobs::enqueue::{NewJob, Policy, enqueue};
    use crate::store::jobs::read;
    use crate::testing::run_in_time;

    #[test]
    fn progress_reads_like_a_sentence() {
        let metrics = serde_json::json!({"loss": 0.123_456, "step": 7});
        let progress = FitProgress {
            fraction: Some(0.4),
            message: Some("epoch 2".into()),
            metrics: metrics.as_object().unwrap().clone(),
        };
        assert_eq!(in_words(&progress), "40 %, epoch 2, loss 0.1235, step 7");
        assert_eq!(in_words(&FitProgress::default()), "");
    }

    #[test]
    fn unknown_fields_are_left_out() {
        let of = |fraction: Option<f64>, message: Option<&str>, metrics: serde_json::Value| {
            let message = message.map(str::to_owned);
            in_words(&FitProgress {
                fraction,
                message,
                metrics: metrics.as_object().unwrap().clone(),
            })
        };
        let none = serde_json::json!({});
        for (fraction, text) in [(0.0, "0 %"), (0.004, "0 %"), (0.996, "100 %"), (1.0, "100 %")] {
            assert_eq!(of(Some(fraction), None, none.clone()), text);
        }
        assert_eq!(of(None, Some("epoch 2"), none), "epoch 2");
        let metrics = serde_json::json!({"f1": 1.0, "best": null, "name": "a", "n": -3});
        assert_eq!(of(None, None, metrics), "best null, f1 1.0000, n -3, name \"a\"");
    }

    #[test]
    fn the_last_words_are_the_progress_as_json_and_the_end_of_the_log() {
        let output = JobOutput::new(JobId(7), "2.17".into());
        assert_eq!(last_words(&output), (None, Vec::new()));
        output.line("epoch 1");
        output.report(r#"{"fraction": 0.5, "message": null, "metrics": {"loss": 1}}"#);
        let (progress, log) = last_words(&output);
        assert_eq!(progress.unwrap(), r#"{"fraction":0.5,"message":null,"metrics":{"loss":1}}"#);
        assert_eq!(log, b"epoch 1\n");
    }

    /// The clock stands still except during waits.
    #[test]
    fn reports_of_a_job_are_stored_while_it_runs_and_not_afterwards() {
        run_in_time(|| async {
            tokio::time::pause();
            let dir = tempfile::tempdir().unwrap();
            let store = Arc::new(JobStore::open(&dir.path().join("state.db")).unwrap());
            let job = NewJob {
                project: "2.17".into(),
                label_config: None,
                action: None,
                payload: bytes::Bytes::new(),
                policy: Policy::All,
                newest_folder: JobId(0),
                now: 1,
            };
            let claim = move |db: &rusqlite::Connection| {
                enqueue(db, &job)?;
                transitions::claim(db)
            };
            let job = store.run(claim).await.unwrap().unwrap();
            let id = job.id;
            let output = Arc::new(JobOutput::new(id, job.project.clone()));
            let noted = || async { store.run(move |db| read::log(db, id)).await.unwrap() };
            let reporter = Reporter::follow(&store, &job, &output);
            output.line("epoch 1");
            sleep(NOTE_PAUSE + Duration::from_secs(1)).await;
            assert_eq!(noted().await, b"epoch 1\n");
            output.line("epoch 2");
            sleep(NOTE_PAUSE + Duration::from_secs(1)).await;
            assert_eq!(noted().await, b"epoch 1\nepoch 2\n");
            drop(reporter);
            output.line("epoch 3");
            sleep(NOTE_PAUSE * 3).await;
            assert_eq!(noted().await, b"epoch 1\nepoch 2\n");
        });
    }
}
