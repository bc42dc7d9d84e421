//! Jobs at a full disk, and those of API v2.

use std::fs;
use std::path::{Path, PathBuf};

use super::bench::{Bench, Fitted, OPTIONS, PROJECT, Runs};
use super::*;
use crate::ids::VersionId;
use crate::serving::testing::raised;
use crate::store::jobs::{JobState, JobStore};
use crate::testing::{run_in_time, until};
use crate::wire::protocol::ModelErrorKind;
use crate::workers::handle::WorkerError;

/// Limits the job store to its present size, or lifts the limit.
async fn limit_pages(store: &JobStore, pages: u32) {
    let limit = move |db: &rusqlite::Connection| {
        db.pragma_update_and_check(None, "max_page_count", pages, |row| row.get::<_, u32>(0))
    };
    store.run(limit).await.unwrap();
}

/// A job at whose end the disk is full, and which has written a file.
async fn at_a_full_disk(fitted: fn() -> Fitted) -> (Runs, JobId, PathBuf) {
    let bench = Bench::new(V1).await;
    let store = Arc::clone(&bench.store);
    let runs = bench.run(OPTIONS, move |job, output| {
        let store = Arc::clone(&store);
        async move {
            fs::write(job.workdir.join("model.pt"), "weights").unwrap();
            limit_pages(&store, 1).await;
            // Its further reports do not fit into the store.
            output.line(&"x".repeat(60_000));
            fitted()
        }
    });
    let id = runs.event().await;
    let written = runs.folder(id).join("model.pt");
    (runs, id, written)
}

/// Waits until the end of a job could not be written down at least once.
async fn refused_once(runs: &Runs, written: &Path) {
    until(|| runs.told_of_ends().len() == 1).await;
    let began = Instant::now();
    while began.elapsed() < SETTLE_PAUSE + Duration::from_millis(500) && written.exists() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn a_full_disk_takes_nothing_from_a_job_that_succeeded() {
    run_in_time(|| async {
        let (runs, id, written) = at_a_full_disk(|| Ok("{}")).await;
        refused_once(&runs, &written).await;
        assert!(!runs.job(id).await.state.is_ended(), "it cannot be written down yet");
        assert!(written.exists(), "it is a part of a version");
        limit_pages(&runs.bench.store, 1_000_000).await;
        let job = runs.ended(id).await;
        assert_eq!((job.state, job.version), (JobState::Succeeded, Some(id.into())));
        assert_eq!(runs.versions(), [id.into()]);
        assert!(written.exists());
        assert!(runs.bench.queue.log(id).await.unwrap().len() > 60_000);
    });
}

#[test]
fn a_job_that_failed_at_a_full_disk_makes_room() {
    run_in_time(|| async {
        let raises = || Err(WorkerError::Model(raised(ModelErrorKind::Raised)).into());
        let (runs, id, written) = at_a_full_disk(raises).await;
        until(|| runs.told_of_ends().len() == 1).await;
        until(|| !written.exists()).await;
        assert!(runs.folder(id).join("event.json").exists(), "what it started from stays");
        limit_pages(&runs.bench.store, 1_000_000).await;
        assert_eq!(runs.ended(id).await.state, JobState::Failed);
    });
}

#[test]
fn a_server_that_stops_waits_for_no_disk() {
    run_in_time(|| async {
        let (mut runs, id, written) = at_a_full_disk(|| Ok("{}")).await;
        refused_once(&runs, &written).await;
        runs.end().await;
        assert_eq!(
            runs.job(id).await.state,
            JobState::Publishing,
            "the next server decides about it"
        );
        assert_eq!(runs.versions(), [id.into()]);
    });
}

#[test]
fn a_training_of_api_v2_that_did_nothing_makes_no_version() {
    run_in_time(|| async {
        let options = TrainingOptions { in_worker: true, ..OPTIONS };
        let runs = Bench::new(V2).await.run_returning(options, "null");
        let job = runs.train().await;
        assert_eq!((job.state, job.version), (JobState::Succeeded, None));
        let reason = job.error.unwrap();
        assert!(reason.starts_with("fit made nothing new"), "{reason}");
        assert!(reason.contains(&*runs.bench.versions.model_dir().to_string_lossy()), "{reason}");
        assert_eq!(runs.served().as_deref(), Some("0.0.1"));
        assert!(runs.bench.versions.interrupted_trainings().is_empty());
    });
}

#[test]
fn a_training_of_api_v2_is_served_under_a_new_name_and_old_records_go() {
    run_in_time(|| async {
        let options = TrainingOptions { in_worker: true, keep_versions: Some(1), ..OPTIONS };
        let bench = Bench::new(V2).await;
        let model_dir = bench.stage.dir.path().to_owned();
        let runs = bench.run(options, move |job, _| {
            assert_eq!(job.workdir, model_dir, "files lie where the model wants them");
            fs::write(model_dir.join("model.pt"), job.id).unwrap();
            async { Ok("null") }
        });
        let mut last = JobId(0);
        for (number, body) in ["1", "2"].into_iter().enumerate() {
            let id = runs.add(Some("ANNOTATION_CREATED"), body).await;
            let job = runs.ended(id).await;
            assert_eq!(
                (job.state, job.version, job.error),
                (JobState::Succeeded, Some(id.into()), None)
            );
            assert_eq!(runs.served(), Some(format!("0.0.1+{}", number + 1)));
            assert_eq!(runs.versions(), [id.into()], "one is kept");
            let record = runs.bench.versions.newest_record(&PROJECT).unwrap().unwrap();
            assert_eq!(record.files, ["model.pt"], "what it returned is kept though it is no dict");
            assert_eq!(
                (record.event.as_str(), record.result.get()),
                ("ANNOTATION_CREATED", "null")
            );
            assert!(id > last);
            last = id;
        }
    });
}

#[test]
fn a_version_of_api_v2_that_cannot_be_loaded_is_a_success_that_says_so() {
    run_in_time(|| async {
        let options = TrainingOptions { in_worker: true, ..OPTIONS };
        let runs = Bench::new(V2).await.run_returning(options, "1");
        let first = runs.train().await;
        assert_eq!(first.error, None);
        runs.add_worker(Box::new(|_| Err(raised(ModelErrorKind::Construct))));
        let id = runs.add(Some("ANNOTATION_CREATED"), "{\"n\": 2}").await;
        let job = runs.ended(id).await;
        assert_eq!((job.state, job.version), (JobState::Succeeded, None));
        let error = "trained, but the version before is served: KeyError: 'x'";
        assert_eq!(job.error.as_deref(), Some(error));
        assert_eq!(runs.versions(), [first.id.into()]);
        assert_eq!(runs.served(), Some("0.0.1+1".to_owned()));
    });
}

#[test]
fn a_training_of_api_v2_that_fails_gives_its_name_back() {
    run_in_time(|| async {
        let options = TrainingOptions { in_worker: true, ..OPTIONS };
        let runs = Bench::new(V2).await.run(options, |_, _| async {
            Err(WorkerError::Model(raised(ModelErrorKind::Raised)).into())
        });
        let job = runs.train().await;
        assert_eq!(job.state, JobState::Failed);
        assert!(runs.bench.versions.interrupted_trainings().is_empty());
        assert_eq!(runs.served().as_deref(), Some("0.0.1"));
    });
}

#[test]
fn jobs_are_counted_by_how_they_end_and_only_when_they_do() {
    let error = || "e".to_owned();
    for (outcome, state) in [
        (JobOutcome::Succeeded { version: Some(VersionId(7)), error: None }, Some("succeeded")),
        (JobOutcome::Succeeded { version: None, error: Some(error()) }, Some("succeeded")),
        (JobOutcome::Failed { error: error(), traceback: None }, Some("failed")),
        (JobOutcome::Lost { error: error() }, Some("lost")),
        (JobOutcome::Cancelled { error: error() }, Some("cancelled")),
        (JobOutcome::Retry { error: error() }, None),
        (JobOutcome::Interrupted, None),
    ] {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let counts = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            tell(&PROJECT, JobId(7), &outcome, Instant::now(), None);
        });
        let counted = counts.render();
        let expected =
            state.map(|state| format!("label_studio_ml_jobs_total{{state=\"{state}\"}} 1"));
        let lines: Vec<_> = counted.lines().filter(|line| line.contains("jobs_total{")).collect();
        assert_eq!(lines, Vec::from_iter(expected.as_deref()), "{outcome:?}");
    }
}
