//! The rows of jobs: which events are merged, which columns a run changes, which jobs are listed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::super::enqueue::{NewJob, Policy, enqueue};
use super::super::read::{list, log, project_key};
use super::super::transitions::{
    Cancel, JobOutcome, begin_publishing, cancel, claim, note, orphans, set_worker, settle,
};
use super::*;
use super::{NOW, event, found, store, succeeded, tasks};
use crate::testing::run_in_time;

#[test]
fn a_merged_event_trains_with_everything_that_came_with_the_newest_one() {
    let db = store();
    let newer = NewJob {
        label_config: Some("<View><Text/></View>".into()),
        action: Some("ANNOTATION_UPDATED".into()),
        now: NOW + 500,
        ..event("a", "2")
    };
    let id = enqueue(&db, &NewJob { label_config: Some("<View/>".into()), ..event("a", "1") })
        .unwrap()
        .id;
    enqueue(&db, &newer).unwrap();
    let job = found(&db, id);
    assert_eq!((job.created_at, job.enqueued_at, job.merged), (NOW, NOW + 500, 1));
    let claimed = claim(&db).unwrap().unwrap();
    assert_eq!(claimed.label_config, newer.label_config);
    assert_eq!((claimed.action, claimed.payload), (newer.action, newer.payload));
    // An event without a config counts as newer, too: the config of the first one is out of date.
    let id = enqueue(&db, &newer_of("b", Some("<View/>"))).unwrap().id;
    enqueue(&db, &newer_of("b", None)).unwrap();
    assert_eq!(claim(&db).unwrap().map(|job| (job.id, job.label_config)), Some((id, None)));
}

fn newer_of(project: &str, config: Option<&str>) -> NewJob {
    NewJob { label_config: config.map(str::to_owned), ..event(project, "1") }
}

#[test]
fn the_same_event_is_that_of_the_same_project_action_and_payload_within_ten_seconds() {
    let first = || NewJob { policy: Policy::All, ..event("a", "1") };
    let cases = [
        (first(), true),
        (NewJob { now: NOW + 10_000, ..first() }, true),
        (NewJob { now: NOW + 10_001, ..first() }, false),
        (NewJob { now: NOW - 1, ..first() }, false),
        (NewJob { project: "b".into(), ..first() }, false),
        (NewJob { action: Some("ANNOTATION_UPDATED".into()), ..first() }, false),
        (NewJob { payload: Bytes::from_static(b"2"), ..first() }, false),
        (NewJob { action: None, ..first() }, false),
        // The labelling config is a part of the payload.
        (NewJob { label_config: Some("<View/>".into()), ..first() }, true),
    ];
    for (again, is_same) in cases {
        let db = store();
        let id = enqueue(&db, &first()).unwrap().id;
        let queued = enqueue(&db, &again).unwrap();
        assert_eq!((queued.merged, queued.id == id), (is_same, is_same), "{again:?}");
        assert_eq!(found(&db, id).merged, u32::from(is_same));
    }
}

#[test]
fn an_event_is_taken_for_the_same_until_its_job_has_ended_in_vain() {
    let error = || "e".to_owned();
    let cases = [
        (None, true),
        (Some(JobOutcome::Retry { error: error() }), true),
        (Some(JobOutcome::Interrupted), true),
        (Some(succeeded()), true),
        (Some(JobOutcome::Failed { error: error(), traceback: None }), false),
        (Some(JobOutcome::Cancelled { error: error() }), false),
        (Some(JobOutcome::Lost { error: error() }), false),
    ];
    for (outcome, is_same) in cases {
        let db = store();
        let all = || NewJob { policy: Policy::All, ..event("a", "1") };
        let first = enqueue(&db, &all()).unwrap();
        let run = claim(&db).unwrap().unwrap();
        if let Some(outcome) = &outcome {
            settle(&db, first.id, run.epoch, outcome).unwrap();
        }
        assert_eq!(enqueue(&db, &all()).unwrap().merged, is_same, "{outcome:?}");
    }
    let db = store();
    let all = || NewJob { policy: Policy::All, ..event("a", "1") };
    let first = enqueue(&db, &all()).unwrap();
    let run = claim(&db).unwrap().unwrap();
    begin_publishing(&db, first.id, run.epoch).unwrap();
    assert!(enqueue(&db, &all()).unwrap().merged, "while it is published");
}

#[test]
fn the_key_of_a_project_is_the_one_that_was_trained_last() {
    let db = store();
    for project in ["2.7", "2.8", "22.9", "2"] {
        enqueue(&db, &tasks(project, "1")).unwrap();
    }
    assert_eq!(project_key(&db, "2").unwrap(), Some("2.8".into()));
    assert_eq!(project_key(&db, "22").unwrap(), Some("22.9".into()));
    assert_eq!(project_key(&db, "3").unwrap(), None);
}

#[test]
fn jobs_are_listed_newest_first_for_all_or_for_one_project() {
    let db = store();
    let ids: Vec<_> = ["a", "b", "a"]
        .iter()
        .map(|project| enqueue(&db, &tasks(project, "1")).unwrap().id)
        .collect();
    let listed = |project: Option<&str>, limit| {
        let project = project.map(ProjectKey::from);
        list(&db, project.as_ref(), limit)
            .unwrap()
            .into_iter()
            .map(|job| job.id)
            .collect::<Vec<_>>()
    };
    assert_eq!(listed(None, 9), [ids[2], ids[1], ids[0]]);
    assert_eq!(listed(None, 2), [ids[2], ids[1]]);
    assert_eq!(listed(Some("a"), 9), [ids[2], ids[0]]);
    assert_eq!(listed(Some("c"), 9), []);
}

#[test]
fn a_row_keeps_the_outcome_of_a_job_and_a_new_run_clears_it() {
    let db = store();
    let id = enqueue(&db, &event("a", "1")).unwrap().id;
    let run = claim(&db).unwrap().unwrap();
    assert!(set_worker(&db, id, run.epoch, "boot 7 9").unwrap());
    assert!(!set_worker(&db, id, run.epoch + 1, "another's").unwrap());
    assert_eq!(orphans(&db).unwrap()[0].worker.as_deref(), Some("boot 7 9"));
    assert!(note(&db, id, run.epoch, Some("{}"), b"said").unwrap());
    assert_eq!(log(&db, id).unwrap(), b"said");
    assert_eq!(log(&db, JobId(7)).unwrap(), b"");
    settle(&db, id, run.epoch, &JobOutcome::Retry { error: "died".into() }).unwrap();
    let waiting = found(&db, id);
    assert_eq!((waiting.state, waiting.error.as_deref()), (JobState::Queued, Some("died")));
    assert_eq!((waiting.progress.as_deref(), waiting.ended_at), (Some("{}"), None));
    assert!(!set_worker(&db, id, run.epoch, "late").unwrap(), "it does not run");
    let run = claim(&db).unwrap().unwrap();
    let running = found(&db, id);
    assert_eq!((running.error, running.progress, running.traceback), (None, None, None));
    assert!(running.started_at.is_some());
    assert_eq!(log(&db, id).unwrap(), b"");
    assert_eq!(orphans(&db).unwrap()[0].worker, None, "its worker is gone");
    let failed =
        JobOutcome::Failed { error: "ValueError".into(), traceback: Some("line 3".into()) };
    settle(&db, id, run.epoch, &failed).unwrap();
    let ended = found(&db, id);
    assert_eq!((ended.state, ended.error.as_deref()), (JobState::Failed, Some("ValueError")));
    assert_eq!(ended.traceback.as_deref(), Some("line 3"));
    assert!(ended.ended_at.is_some());
    assert!(!settle(&db, id, run.epoch, &succeeded()).unwrap(), "once");
}

#[test]
fn a_version_that_is_not_served_is_a_success_with_an_error() {
    let db = store();
    let id = enqueue(&db, &event("a", "1")).unwrap().id;
    let run = claim(&db).unwrap().unwrap();
    let outcome =
        JobOutcome::Succeeded { version: Some(id.into()), error: Some("cannot be loaded".into()) };
    settle(&db, id, run.epoch, &outcome).unwrap();
    let job = found(&db, id);
    assert_eq!((job.state, job.version), (JobState::Succeeded, Some(id.into())));
    assert_eq!(job.error.as_deref(), Some("cannot be loaded"));
}

#[test]
fn payloads_are_kept_for_as_long_as_a_job_may_be_run() {
    let db = store();
    let payloads =
        || -> i64 { db.query_row("SELECT count(*) FROM payloads", [], |row| row.get(0)).unwrap() };
    let ids: Vec<_> = ["a", "b", "c"]
        .iter()
        .map(|project| enqueue(&db, &tasks(project, "1")).unwrap().id)
        .collect();
    let run = claim(&db).unwrap().unwrap();
    begin_publishing(&db, run.id, run.epoch).unwrap();
    claim(&db).unwrap();
    assert_eq!(cancel(&db, ids[2]).unwrap(), Cancel::Done);
    assert_eq!(payloads(), 2, "one is published, one runs, one is cancelled");
    settle(&db, run.id, run.epoch, &succeeded()).unwrap();
    assert_eq!(payloads(), 1);
}

#[test]
fn tables_are_made_once_and_those_of_a_later_server_are_left_alone() {
    let db = store();
    let id = enqueue(&db, &event("a", "1")).unwrap().id;
    schema::prepare(&db).unwrap();
    assert_eq!(found(&db, id).id, id);
    db.pragma_update(None, "user_version", 2).unwrap();
    let error = schema::prepare(&db).unwrap_err().to_string();
    assert_eq!(error, "the job store has version 2, this server knows 1");
    assert_eq!(JobState::parse("paused"), JobState::Lost, "what a later server may have written");
    for state in JobState::ALL {
        assert_eq!(JobState::parse(state.name()), state);
    }
}

/// The clock stands still except during waits.
#[test]
fn only_a_write_that_a_lock_delays_is_tried_again() {
    run_in_time(|| async {
        tokio::time::pause();
        let dir = tempfile::tempdir().unwrap();
        let store = JobStore::open(&dir.path().join("state.db")).unwrap();
        for (code, times) in [(rusqlite::ffi::SQLITE_BUSY, 3), (rusqlite::ffi::SQLITE_FULL, 1)] {
            let tried = Arc::new(AtomicU32::new(0));
            let counts = Arc::clone(&tried);
            let done = store
                .run_patiently(move |_| match counts.fetch_add(1, Ordering::Relaxed) {
                    0 | 1 => {
                        let error = rusqlite::ffi::Error::new(code);
                        Err(rusqlite::Error::SqliteFailure(error, None))
                    }
                    _ => Ok(()),
                })
                .await;
            assert_eq!(tried.load(Ordering::Relaxed), times, "{code}");
            assert_eq!(done.is_ok(), times > 1);
        }
    });
}
