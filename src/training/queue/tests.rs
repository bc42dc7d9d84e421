//! The queue as requests and the runner see it.

use super::*;
use crate::store::jobs::transitions::{JobOutcome, settle};
use crate::store::lock::Holder;
use crate::testing::{DEADLINE, run_in_time};
use crate::wire::api_version::ApiVersion::{self, V1, V2};
use crate::wire::record::FitProgress;

fn queue() -> (tempfile::TempDir, Arc<Queue>, Arc<JobStore>, Arc<Versions>) {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(JobStore::open(&dir.path().join("state.db")).unwrap());
    let queue = Arc::new(Queue::new(None));
    queue.set_ownership(Ownership::Owner(Arc::clone(&store)));
    let versions = Arc::new(Versions::open(dir.path()));
    (dir, queue, store, versions)
}

fn event(api: ApiVersion) -> Request {
    Request {
        project: "2.17".into(),
        label_config: None,
        action: Some("ANNOTATION_CREATED".into()),
        payload: Bytes::from_static(b"{}"),
        api,
    }
}

#[test]
fn a_request_that_waits_for_a_job_learns_of_its_end() {
    run_in_time(|| async {
        let (_dir, queue, store, versions) = queue();
        let id = queue.add(event(V1), &versions).await.unwrap().id;
        let waiting = tokio::spawn({
            let queue = Arc::clone(&queue);
            async move { queue.ended(id, Duration::from_secs(60)).await.unwrap().state }
        });
        let (job, _) = queue.next(&store).await.unwrap().unwrap();
        let still = queue.ended(id, Duration::from_millis(20)).await.unwrap();
        assert_eq!(still.state, JobState::Running);
        let outcome = JobOutcome::Succeeded { version: None, error: None };
        store.run(move |db| settle(db, id, job.epoch, &outcome)).await.unwrap();
        queue.done(0);
        assert_eq!(waiting.await.unwrap(), JobState::Succeeded);
        assert!(queue.is_empty());
    });
}

#[test]
fn the_running_job_is_told_that_it_is_cancelled() {
    run_in_time(|| async {
        let (_dir, queue, store, versions) = queue();
        let id = queue.add(event(V1), &versions).await.unwrap().id;
        let (_, running) = queue.next(&store).await.unwrap().unwrap();
        assert!(queue.cancel(id).await.unwrap().cancel_requested);
        timeout(Duration::from_secs(5), running.cancelled()).await.unwrap();
        assert!(matches!(queue.cancel(JobId(7)).await, Err(QueueError::Unknown(_))));
    });
}

#[test]
fn the_api_decides_whether_waiting_events_are_merged() {
    run_in_time(|| async {
        let (_dir, queue, _store, versions) = queue();
        let payload = |body: &'static str, api| Request {
            payload: Bytes::from_static(body.as_bytes()),
            ..event(api)
        };
        queue.add(payload("1", V1), &versions).await.unwrap();
        assert!(queue.add(payload("2", V1), &versions).await.unwrap().merged);
        assert!(!queue.add(payload("3", V2), &versions).await.unwrap().merged);
        assert_eq!(queue.len(), 2);
    });
}

#[test]
fn a_server_that_is_not_the_owner_says_why() {
    run_in_time(|| async {
        let queue = Queue::new(None);
        queue.set_ownership(Ownership::Held(Some(Holder { pid: 42, port: None })));
        let said = queue.job(JobId(1)).await.unwrap_err().to_string();
        assert_eq!(said, "another server (pid 42) owns the model folder; this one only predicts");
        queue.set_ownership(Ownership::Unusable("disk full".into()));
        assert_eq!(queue.job(JobId(1)).await.unwrap_err().to_string(), "no training: disk full");
        assert_eq!(queue.of_project(&"2.17".into()).await, None);
    });
}

fn failed() -> JobOutcome {
    JobOutcome::Failed { error: "ValueError".into(), traceback: None }
}

#[test]
fn a_job_gets_the_fields_of_the_request() {
    run_in_time(|| async {
        let (_dir, queue, store, versions) = queue();
        let request = Request {
            label_config: Some("<View/>".into()),
            payload: Bytes::from_static(b"{\"a\": 1}"),
            ..event(V1)
        };
        let queued = queue.add(request, &versions).await.unwrap();
        assert!(!queued.merged);
        let (job, running) = queue.next(&store).await.unwrap().unwrap();
        assert_eq!((job.id, job.project.as_str()), (queued.id, "2.17"));
        assert_eq!(job.label_config.as_deref(), Some("<View/>"));
        assert_eq!(job.action.as_deref(), Some("ANNOTATION_CREATED"));
        assert_eq!(job.payload, "{\"a\": 1}");
        assert_eq!((running.output.id, running.output.project.as_str()), (queued.id, "2.17"));
        assert!(queue.next(&store).await.unwrap().is_none());
    });
}

#[test]
fn ids_go_on_from_the_folders_of_the_project() {
    run_in_time(|| async {
        let (dir, queue, _store, versions) = queue();
        let folder = dir.path().join("2.17/99999999999");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("event.json"), "{}").unwrap();
        assert_eq!(queue.add(event(V1), &versions).await.unwrap().id, JobId(100_000_000_000));
    });
}

#[test]
fn the_option_for_waiting_events_overrides_the_api() {
    run_in_time(|| async {
        for (policy, merged) in [
            (None, [true, false]),
            (Some(Policy::Latest), [true, true]),
            (Some(Policy::All), [false; 2]),
        ] {
            let (_dir, of_store, store, versions) = queue();
            drop(of_store);
            let queue = Queue::new(policy);
            queue.set_ownership(Ownership::Owner(store));
            for (api, merged) in [V1, V2].into_iter().zip(merged) {
                let of = |body: &'static str| Request {
                    project: u8::from(api).to_string().into(),
                    payload: Bytes::from_static(body.as_bytes()),
                    ..event(api)
                };
                queue.add(of("1"), &versions).await.unwrap();
                let queued = queue.add(of("2"), &versions).await.unwrap();
                assert_eq!(queued.merged, merged, "{policy:?} {api}");
            }
        }
    });
}

#[test]
fn a_job_that_was_cancelled_before_anybody_could_be_told_is_told_so() {
    run_in_time(|| async {
        let (_dir, queue, store, versions) = queue();
        let id = queue.add(event(V1), &versions).await.unwrap().id;
        store.run(|db| db.execute("UPDATE jobs SET cancel_requested = 1", [])).await.unwrap();
        let (_, running) = queue.next(&store).await.unwrap().unwrap();
        timeout(DEADLINE, running.cancelled()).await.unwrap();
        assert!(queue.job(id).await.unwrap().cancel_requested);
    });
}

#[test]
fn cancelling_one_job_tells_no_other() {
    run_in_time(|| async {
        let (_dir, queue, store, versions) = queue();
        let first = queue.add(event(V2), &versions).await.unwrap().id;
        let other = Request { project: "3.1".into(), ..event(V2) };
        let second = queue.add(other, &versions).await.unwrap().id;
        let (job, running) = queue.next(&store).await.unwrap().unwrap();
        assert_eq!(job.id, first);
        assert_eq!(queue.len(), 2);
        let mut changes = queue.changes();
        changes.mark_unchanged();
        let cancelled = queue.cancel(second).await.unwrap();
        assert_eq!((cancelled.state, queue.len()), (JobState::Cancelled, 1));
        assert!(changes.has_changed().unwrap());
        assert!(timeout(Duration::from_millis(50), running.cancelled()).await.is_err());
        let error = queue.cancel(second).await.unwrap_err().to_string();
        assert_eq!(error, format!("job {second} cannot be cancelled any more (cancelled)"));
    });
}

#[test]
fn a_cancelled_run_of_another_job_is_not_the_one_that_runs_now() {
    run_in_time(|| async {
        let (_dir, queue, store, versions) = queue();
        queue.add(event(V2), &versions).await.unwrap();
        let other = Request { project: "3.1".into(), ..event(V2) };
        let second = queue.add(other, &versions).await.unwrap().id;
        let (_, running) = queue.next(&store).await.unwrap().unwrap();
        // In the store, another runner has begun the second one.
        store.run(transitions::claim).await.unwrap();
        assert!(queue.cancel(second).await.unwrap().cancel_requested);
        assert!(timeout(Duration::from_millis(50), running.cancelled()).await.is_err());
    });
}

#[test]
fn the_running_job_is_shown_with_its_newest_progress() {
    run_in_time(|| async {
        let (_dir, queue, store, versions) = queue();
        let id = queue.add(event(V1), &versions).await.unwrap().id;
        assert!(queue.running().borrow().is_none());
        let mut changes = queue.changes();
        changes.mark_unchanged();
        let (job, running) = queue.next(&store).await.unwrap().unwrap();
        assert!(changes.has_changed().unwrap(), "those who follow it learn that it runs");
        let progress = FitProgress { fraction: Some(0.5), ..FitProgress::default() };
        running.output.line("epoch 1");
        let text = serde_json::to_string(&progress).unwrap();
        running.output.report(&text);
        assert_eq!(queue.job(id).await.unwrap().progress.as_deref(), Some(text.as_str()));
        assert_eq!(queue.jobs(None, 9).await.unwrap()[0].progress.as_deref(), Some(text.as_str()));
        assert_eq!(queue.log(id).await.unwrap(), b"epoch 1\n");
        assert_eq!(queue.running().borrow().as_ref().unwrap().output.id, id);
        store
            .run(move |db| {
                transitions::note(db, id, job.epoch, None, b"the end")?;
                settle(db, id, job.epoch, &failed())
            })
            .await
            .unwrap();
        queue.done(0);
        assert!(queue.running().borrow().is_none());
        assert_eq!(queue.job(id).await.unwrap().progress, None);
        assert_eq!(queue.log(id).await.unwrap(), b"the end");
        assert!(matches!(queue.log(JobId(7)).await, Err(QueueError::Unknown(_))));
    });
}

#[test]
fn jobs_are_listed_for_one_project_up_to_a_limit() {
    run_in_time(|| async {
        let (_dir, queue, _store, versions) = queue();
        for project in ["1.1", "2.2", "1.1"] {
            let tasks = Request { project: project.into(), action: None, ..event(V1) };
            queue.add(tasks, &versions).await.unwrap();
        }
        assert_eq!(queue.jobs(None, 2).await.unwrap().len(), 2);
        assert_eq!(queue.jobs(Some("1.1".into()), 9).await.unwrap().len(), 2);
        assert_eq!(queue.jobs(Some("3.3".into()), 9).await.unwrap().len(), 0);
        assert_eq!(queue.project_key("2").await, Some("2.2".into()));
        assert!(queue.of_project(&"2.2".into()).await.is_some());
        assert_eq!(queue.of_project(&"3.3".into()).await, None);
        queue.set_ownership(Ownership::Held(None));
        assert_eq!(queue.project_key("2").await, None);
    });
}

#[test]
fn a_request_waits_while_the_server_before_ends_or_the_class_is_imported() {
    run_in_time(|| async {
        for before in [Ownership::Held(Some(Holder { pid: 42, port: None })), Ownership::Pending] {
            let (_dir, queue, store, versions) = queue();
            queue.set_ownership(before);
            let adding = tokio::spawn({
                let queue = Arc::clone(&queue);
                async move { queue.add(event(V1), &versions).await }
            });
            tokio::time::sleep(Duration::from_millis(20)).await;
            assert!(!adding.is_finished());
            queue.set_ownership(Ownership::Owner(store));
            timeout(DEADLINE, adding).await.unwrap().unwrap().unwrap();
        }
    });
}

#[test]
fn a_request_waits_for_another_server_only_so_long() {
    run_in_time(|| async {
        tokio::time::pause();
        let (_dir, queue, _store, versions) = queue();
        queue.set_ownership(Ownership::Held(None));
        let began = Instant::now();
        let refused = queue.add(event(V1), &versions).await.unwrap_err();
        assert_eq!(
            refused.to_string(),
            "another server owns the model folder; this one only predicts"
        );
        assert_eq!(began.elapsed().as_secs(), 10);
        // Waiting does not make a folder writable.
        queue.set_ownership(Ownership::Unusable("disk full".into()));
        let began = Instant::now();
        assert!(matches!(queue.add(event(V1), &versions).await, Err(QueueError::Unusable(_))));
        assert!(began.elapsed() < Duration::from_secs(1));
        queue.set_ownership(Ownership::Pending);
        assert_eq!(
            queue.of_project(&"2.17".into()).await,
            None,
            "nobody waits for the import here"
        );
    });
}

#[test]
fn a_request_that_waits_for_a_job_ends_when_the_server_stops() {
    run_in_time(|| async {
        let (_dir, queue, _store, versions) = queue();
        let id = queue.add(event(V1), &versions).await.unwrap().id;
        let waiting = tokio::spawn({
            let queue = Arc::clone(&queue);
            async move { queue.ended(id, Duration::from_secs(600)).await }
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        queue.set_ownership(Ownership::Ended);
        assert_eq!(waiting.await.unwrap().unwrap().state, JobState::Queued);
        assert!(matches!(queue.job(id).await, Err(QueueError::Stopping)));
    });
}
