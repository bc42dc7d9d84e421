//! The run of a job, from the queue to its outcome.

mod bench;
mod edges;
mod scripted;

use std::fs;

use bytes::Bytes;
use parking_lot::Mutex;

use super::*;
use crate::ids::VersionId;
use crate::serving::testing::{class, raised};
use crate::store::jobs::{JobState, JobStore};
use crate::testing::{DEADLINE, run_in_time, until};
use crate::wire::api_version::ApiVersion::{V1, V2};
use crate::wire::protocol::{ClassInfo, ModelErrorKind};
use crate::workers::handle::WorkerError;
use bench::{Bench, OPTIONS, PROJECT};
use scripted::{Told, WORKER};

fn cancelled_while_it_runs(
    store: &Arc<JobStore>,
    job: &FitJob,
) -> impl Future<Output = ()> + use<> {
    let (store, id) = (Arc::clone(store), job.id.parse().unwrap());
    async move {
        store.run(move |db| transitions::cancel(db, id)).await.unwrap();
    }
}

#[test]
fn the_return_value_of_fit_becomes_the_version_that_is_served() {
    run_in_time(|| async {
        let mut runs = Bench::new(V1).await.run_returning(OPTIONS, r#"{"n": 1}"#);
        let job = runs.train().await;
        assert_eq!(
            (job.state, job.version, job.error),
            (JobState::Succeeded, Some(job.id.into()), None)
        );
        assert_eq!(runs.served(), Some(job.id.to_string()));
        let version = runs.bench.versions.current(&PROJECT).unwrap().unwrap();
        assert_eq!(
            (version.id, &version.train_output[..]),
            (job.id.into(), br#"{"n": 1}"#.as_slice())
        );
        assert!(runs.folder(job.id).join("event.json").exists());
        let event = Some("ANNOTATION_CREATED".to_owned());
        let fit = Told::Fit { id: job.id.to_string(), event, body: Bytes::from_static(b"{}") };
        runs.end().await;
        assert_eq!(
            runs.told(),
            [Told::PrepareWorker, fit, Told::Finish { clean: true }, Told::Kill],
            "the trainer goes with the server"
        );
    });
}

#[test]
fn of_a_webhook_only_a_dict_is_kept_and_of_train_everything() {
    run_in_time(|| async {
        for (json, by_webhook) in
            [("{}", true), ("[1]", false), ("null", false), ("\"{\"", false), ("3", false)]
        {
            let runs = Bench::new(V1).await.run_returning(OPTIONS, json);
            let job = runs.train().await;
            assert_eq!(
                (job.state, job.error.is_none()),
                (JobState::Succeeded, by_webhook),
                "{json}"
            );
            assert_eq!(job.version, by_webhook.then_some(job.id.into()), "{json}");
            assert_eq!(runs.versions().len(), usize::from(by_webhook), "{json}");
            let id = runs.tasks().await;
            assert_eq!(runs.ended(id).await.version, Some(id.into()), "{json}");
            let info = fs::read_to_string(runs.folder(id).join("train_data_info.json")).unwrap();
            assert_eq!(info, r#"{"count":3}"#);
        }
    });
}

#[test]
fn a_job_without_data_fails_and_nothing_is_run() {
    run_in_time(|| async {
        let runs = Bench::new(V1).await.run_returning(OPTIONS, "{}");
        for (body, missing) in [("{}", "missing field `annotations`"), ("[]", "expected a map")] {
            let id = runs.add(None, body).await;
            let job = runs.ended(id).await;
            let error = job.error.unwrap();
            assert_eq!(job.state, JobState::Failed);
            assert!(error.starts_with("the payload of the job cannot be read: "), "{error}");
            assert!(error.contains(missing), "{error}");
        }
        assert_eq!(runs.told(), [Told::Finish { clean: false }, Told::Finish { clean: false }]);
    });
}

#[test]
fn a_job_whose_fit_raises_fails_and_the_version_before_stays() {
    run_in_time(|| async {
        let fails = Arc::new(Mutex::new(false));
        let failing = Arc::clone(&fails);
        let runs = Bench::new(V1).await.run(OPTIONS, move |job, _| {
            fs::write(job.workdir.join("half.pt"), "weights").unwrap();
            let fails = *failing.lock();
            async move {
                let raised = WorkerError::Model(raised(ModelErrorKind::Raised));
                if fails { Err(raised.into()) } else { Ok("{}") }
            }
        });
        let good = runs.train().await;
        *fails.lock() = true;
        let job = runs.train().await;
        assert_eq!((job.state, job.error.as_deref()), (JobState::Failed, Some("KeyError: 'x'")));
        assert_eq!((job.version, job.attempts), (None, 1));
        assert_eq!(runs.versions(), [good.id.into()]);
        assert_eq!(runs.served(), Some(good.id.to_string()));
        assert!(runs.folder(job.id).join("half.pt").exists(), "somebody may want to look at it");
        assert_eq!(
            runs.told_of_ends(),
            [Told::Finish { clean: true }, Told::Finish { clean: false }]
        );
    });
}

#[test]
fn a_job_whose_worker_dies_is_run_once_more_in_an_empty_folder() {
    run_in_time(|| async {
        let runs = Bench::new(V1).await.run(OPTIONS, |job, _| {
            let half = job.workdir.join("half.pt");
            assert!(!half.exists());
            fs::write(half, "weights").unwrap();
            async { Err(TrainingError::Died("was killed by signal 9".into())) }
        });
        let job = runs.train().await;
        assert_eq!((job.state, job.attempts), (JobState::Lost, 2));
        assert_eq!(job.error.unwrap(), "the training worker was killed by signal 9");
        let fits = runs.told().into_iter().filter(|told| matches!(told, Told::Fit { .. })).count();
        assert_eq!(fits, 2);
    });
}

#[test]
fn the_worker_of_a_job_is_known_while_it_runs() {
    run_in_time(|| async {
        let bench = Bench::new(V1).await;
        let store = Arc::clone(&bench.store);
        let runs = bench.run(OPTIONS, move |_, _| {
            let store = Arc::clone(&store);
            async move {
                let orphans = store.run(transitions::orphans).await.unwrap();
                assert_eq!(orphans[0].worker.as_deref(), Some(WORKER));
                Ok("{}")
            }
        });
        assert_eq!(runs.train().await.state, JobState::Succeeded);
    });
}

#[test]
fn an_event_that_the_class_does_not_learn_from_any_more_is_not_run() {
    run_in_time(|| async {
        let runs = Bench::new(V1).await.run_returning(OPTIONS, "{}");
        let id = runs.add(Some("TASKS_CREATED"), "{}").await;
        let job = runs.ended(id).await;
        assert_eq!(job.state, JobState::Cancelled);
        assert_eq!(
            job.error.unwrap(),
            "ignored: TASKS_CREATED does not train; these actions do: ANNOTATION_CREATED"
        );
        assert_eq!(runs.told(), [Told::Finish { clean: false }]);
        assert!(!runs.folder(id).exists());
    });
}

#[test]
fn a_job_that_is_cancelled_while_it_runs_is_interrupted() {
    run_in_time(|| async {
        for api in [V1, V2] {
            let begun = Arc::new(tokio::sync::Notify::new());
            let begins = Arc::clone(&begun);
            let options = TrainingOptions { in_worker: api == V2, ..OPTIONS };
            let runs = Bench::new(api).await.run(options, move |_, _| {
                begins.notify_one();
                std::future::pending()
            });
            let id = runs.event().await;
            begun.notified().await;
            assert!(runs.bench.queue.cancel(id).await.unwrap().cancel_requested);
            let job = runs.ended(id).await;
            assert_eq!((job.state, job.error.as_deref()), (JobState::Cancelled, Some("cancelled")));
            assert_eq!(runs.told_of_ends(), [Told::Interrupt, Told::Finish { clean: false }]);
            assert_eq!(runs.versions(), []);
            assert!(runs.bench.versions.interrupted_trainings().is_empty());
        }
    });
}

#[test]
fn a_job_that_was_cancelled_before_it_could_be_published_is_not() {
    run_in_time(|| async {
        for (api, served) in [(V1, "INITIAL"), (V2, "0.0.1")] {
            let bench = Bench::new(api).await;
            let store = Arc::clone(&bench.store);
            let options = TrainingOptions { in_worker: api == V2, ..OPTIONS };
            // The runner learns of it too late.
            let runs = bench.run(options, move |job, _| {
                let cancelled = cancelled_while_it_runs(&store, &job);
                async move {
                    cancelled.await;
                    Ok(r#"{"n": 1}"#)
                }
            });
            let job = runs.train().await;
            assert_eq!((job.state, job.version), (JobState::Cancelled, None), "{api}");
            assert_eq!(job.error.as_deref(), Some("cancelled"));
            assert_eq!(runs.versions(), [], "{api}");
            assert_eq!(runs.served().as_deref(), Some(served));
            assert!(runs.bench.versions.interrupted_trainings().is_empty());
            assert_eq!(runs.told_of_ends(), [Told::Finish { clean: true }]);
        }
    });
}

#[test]
fn a_version_that_cannot_be_loaded_is_a_success_that_says_so() {
    run_in_time(|| async {
        let runs = Bench::new(V1).await.run_returning(OPTIONS, "{}");
        let good = runs.train().await;
        runs.add_worker(Box::new(|_| Err(raised(ModelErrorKind::Construct))));
        let job = runs.train().await;
        assert_eq!((job.state, job.version), (JobState::Succeeded, Some(job.id.into())));
        let error =
            "published, but it cannot be loaded, so the version before is served: KeyError: 'x'";
        assert_eq!(job.error.as_deref(), Some(error));
        assert_eq!(runs.served(), Some(good.id.to_string()));
        assert_eq!(runs.versions(), [good.id.into()], "it is refused after a restart too");
    });
}

#[test]
fn old_versions_go_when_a_new_one_is_served_and_not_before() {
    run_in_time(|| async {
        let options = TrainingOptions { keep_versions: Some(2), ..OPTIONS };
        let runs = Bench::new(V1).await.run_returning(options, "{}");
        let loads = Arc::new(Mutex::new(true));
        let is_well = Arc::clone(&loads);
        runs.add_worker(Box::new(move |_| {
            // Of a kind that says nothing against the version.
            if *is_well.lock() { Ok(()) } else { Err(raised(ModelErrorKind::ConfigMissing)) }
        }));
        let (first, second) = (runs.train().await.id, runs.train().await.id);
        assert_eq!(runs.versions(), [second, first].map(VersionId::from));
        *loads.lock() = false;
        let third = runs.train().await;
        assert!(third.error.is_some());
        assert_eq!(
            runs.versions(),
            [third.id, second, first].map(VersionId::from),
            "the one that is served may be next"
        );
        *loads.lock() = true;
        let fourth = runs.train().await;
        assert_eq!(fourth.error, None);
        assert_eq!(runs.versions(), [fourth.id, third.id].map(VersionId::from));
    });
}

#[test]
fn versions_stay_where_nobody_says_how_many() {
    run_in_time(|| async {
        let runs = Bench::new(V1).await.run_returning(OPTIONS, "{}");
        for _ in 0..4 {
            runs.train().await;
        }
        assert_eq!(runs.versions().len(), 4);
    });
}

#[test]
fn a_job_that_runs_when_the_server_stops_goes_back_to_the_queue() {
    run_in_time(|| async {
        for (in_worker, ends) in [(false, Told::Kill), (true, Told::Interrupt)] {
            let begun = Arc::new(tokio::sync::Notify::new());
            let begins = Arc::clone(&begun);
            let options = TrainingOptions { in_worker, ..OPTIONS };
            let mut runs = Bench::new(V1).await.run(options, move |_, _| {
                begins.notify_one();
                std::future::pending()
            });
            let id = runs.event().await;
            begun.notified().await;
            runs.end().await;
            let job = runs.job(id).await;
            assert_eq!((job.state, job.attempts, job.error), (JobState::Queued, 0, None));
            assert_eq!(runs.told_of_ends(), [ends, Told::Finish { clean: false }, Told::Kill]);
        }
    });
}

#[test]
fn a_job_may_end_within_the_drain_time_and_none_is_begun_after_it() {
    run_in_time(|| async {
        let (begun, go) =
            (Arc::new(tokio::sync::Notify::new()), Arc::new(tokio::sync::Notify::new()));
        let (begins, goes) = (Arc::clone(&begun), Arc::clone(&go));
        let options = TrainingOptions { drain: DEADLINE, ..OPTIONS };
        let mut runs = Bench::new(V1).await.run(options, move |_, _| {
            begins.notify_one();
            let goes = Arc::clone(&goes);
            async move {
                goes.notified().await;
                Ok("{}")
            }
        });
        let (first, second) = (runs.tasks().await, runs.tasks().await);
        begun.notified().await;
        runs.stop.send_replace(true);
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(runs.job(first).await.state, JobState::Running);
        go.notify_one();
        runs.end().await;
        assert_eq!(runs.job(first).await.state, JobState::Succeeded);
        assert_eq!(runs.job(first).await.version, Some(first.into()));
        assert_eq!(runs.job(second).await.state, JobState::Queued);
    });
}

#[test]
fn an_idle_training_worker_ends_after_a_while() {
    run_in_time(|| async {
        let options = TrainingOptions { linger: Duration::from_millis(20), ..OPTIONS };
        let mut runs = Bench::new(V1).await.run_returning(options, "{}");
        runs.train().await;
        until(|| runs.told().last() == Some(&Told::Retire)).await;
        runs.train().await;
        runs.end().await;
        let prepared = runs.told().into_iter().filter(|told| *told == Told::PrepareWorker).count();
        assert_eq!(prepared, 2);
    });
}

#[test]
fn jobs_of_a_class_without_fit_are_not_run() {
    run_in_time(|| async {
        let bench = Bench::of(ClassInfo { train_events: Vec::new(), ..class(V1) }).await;
        let runs = bench.run_returning(OPTIONS, "{}");
        let id = runs.tasks().await;
        let job = runs.ended(id).await;
        assert_eq!(job.state, JobState::Cancelled);
        assert_eq!(job.error.unwrap(), "ignored: Model has no fit method, so nothing is trained");
    });
}
