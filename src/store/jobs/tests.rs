mod model;
mod reference;
mod rows;

use proptest::prelude::*;
use rusqlite::Connection;

use super::enqueue::{NewJob, Policy, Queued, enqueue};
use super::read::{JobLookup, active, job, list, open_jobs, project_key};
use super::transitions::{
    Cancel, JobOutcome, begin_publishing, cancel, claim, note, orphans, recover, settle,
};
use super::*;

pub(super) const NOW: i64 = 1_795_431_326_000;

pub(super) fn store() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    schema::prepare(&connection).unwrap();
    connection
}

pub(super) fn event(project: &str, body: &'static str) -> NewJob {
    NewJob {
        project: project.into(),
        label_config: None,
        action: Some("ANNOTATION_CREATED".into()),
        payload: Bytes::from_static(body.as_bytes()),
        policy: Policy::Latest,
        newest_folder: JobId(0),
        now: NOW,
    }
}

pub(super) fn tasks(project: &str, body: &'static str) -> NewJob {
    NewJob { action: None, ..event(project, body) }
}

pub(super) fn found(connection: &Connection, id: JobId) -> Job {
    match job(connection, id).unwrap() {
        JobLookup::Job(job) => *job,
        other => panic!("{other:?}"),
    }
}

pub(super) fn succeeded() -> JobOutcome {
    JobOutcome::Succeeded { version: None, error: None }
}

#[test]
fn waiting_events_of_a_project_become_one_job_with_the_newest_payload() {
    let db = store();
    let first = enqueue(&db, &event("a", "1")).unwrap();
    assert_eq!(first, Queued { id: JobId(1_795_431_326), merged: false });
    assert_eq!(enqueue(&db, &event("a", "2")).unwrap(), Queued { id: first.id, merged: true });
    assert!(!enqueue(&db, &event("b", "3")).unwrap().merged);
    let claimed = claim(&db).unwrap().unwrap();
    assert_eq!((claimed.id, claimed.merged, &claimed.payload[..]), (first.id, 1, &b"2"[..]));
    // one runs, so the next event waits as a job of its own
    let waiting = enqueue(&db, &event("a", "4")).unwrap();
    assert!(!waiting.merged);
    assert_eq!(enqueue(&db, &event("a", "5")).unwrap(), Queued { id: waiting.id, merged: true });
    assert_eq!(active(&db, &"a".into()).unwrap(), Some(first.id));
    assert!(settle(&db, first.id, claimed.epoch, &succeeded()).unwrap());
    assert_eq!(active(&db, &"a".into()).unwrap(), Some(waiting.id));
}

#[test]
fn jobs_with_data_of_their_own_are_never_merged() {
    let db = store();
    let ids: Vec<_> = [tasks("a", "1"), event("a", "2"), tasks("a", "1"), event("a", "3")]
        .iter()
        .map(|job| enqueue(&db, job).unwrap().id)
        .collect();
    assert_eq!(ids[3], ids[1]);
    assert_eq!(open_jobs(&db).unwrap(), 3);
    let mut payloads = Vec::new();
    while let Some(claimed) = claim(&db).unwrap() {
        payloads.push(claimed.payload);
        settle(&db, claimed.id, claimed.epoch, &succeeded()).unwrap();
    }
    assert_eq!(payloads, ["1", "3", "1"]);
}

#[test]
fn where_every_event_counts_only_the_same_one_is_merged() {
    let db = store();
    let all = |body, now| NewJob { policy: Policy::All, now, ..event("a", body) };
    let first = enqueue(&db, &all("1", NOW)).unwrap();
    assert!(!enqueue(&db, &all("2", NOW)).unwrap().merged);
    assert_eq!(enqueue(&db, &all("1", NOW + 9_000)).unwrap().id, first.id);
    assert!(!enqueue(&db, &all("1", NOW + 11_000)).unwrap().merged);
    assert_eq!(open_jobs(&db).unwrap(), 3);
}

#[test]
fn an_event_that_failed_can_be_sent_again_at_once() {
    let db = store();
    let all = || NewJob { policy: Policy::All, ..event("a", "1") };
    let first = enqueue(&db, &all()).unwrap();
    let run = claim(&db).unwrap().unwrap();
    assert!(enqueue(&db, &all()).unwrap().merged, "while it runs");
    let failed = JobOutcome::Failed { error: "ValueError".into(), traceback: None };
    settle(&db, first.id, run.epoch, &failed).unwrap();
    let again = enqueue(&db, &all()).unwrap();
    assert!(!again.merged && again.id > first.id);
}

#[test]
fn a_job_with_a_cancel_request_does_not_go_back_to_the_queue() {
    for outcome in [JobOutcome::Interrupted, JobOutcome::Retry { error: "died".into() }] {
        let db = store();
        let id = enqueue(&db, &event("a", "1")).unwrap().id;
        let run = claim(&db).unwrap().unwrap();
        assert_eq!(cancel(&db, id).unwrap(), Cancel::Running);
        settle(&db, id, run.epoch, &outcome).unwrap();
        assert_eq!(found(&db, id).state, JobState::Cancelled);
        let next = enqueue(&db, &event("a", "2")).unwrap();
        assert!(!next.merged, "nothing new is cancelled with it");
    }
}

#[test]
fn projects_have_their_turn_and_order_is_kept_within_each() {
    let db = store();
    for (project, body) in [("a", "a1"), ("a", "a2"), ("a", "a3"), ("b", "b1"), ("b", "b2")] {
        enqueue(&db, &tasks(project, body)).unwrap();
    }
    let mut order = Vec::new();
    while let Some(claimed) = claim(&db).unwrap() {
        order.push(claimed.payload);
        settle(&db, claimed.id, claimed.epoch, &succeeded()).unwrap();
    }
    assert_eq!(order, ["a1", "b1", "a2", "b2", "a3"]);
}

#[test]
fn ids_grow_whatever_the_clock_and_the_folders_say() {
    let db = store();
    let id = |now, newest_folder| {
        let newest_folder = JobId(newest_folder);
        enqueue(&db, &NewJob { newest_folder, now, ..tasks("a", "1") }).unwrap().id.0
    };
    let first = id(NOW, 0);
    assert_eq!(id(NOW, 0), first + 1);
    assert_eq!(id(NOW - 5_000_000, 0), first + 2);
    assert_eq!(id(NOW, first + 100), first + 101);
}

#[test]
fn a_run_that_was_overtaken_changes_nothing() {
    let db = store();
    let id = enqueue(&db, &event("a", "1")).unwrap().id;
    let old = claim(&db).unwrap().unwrap();
    assert!(settle(&db, id, old.epoch, &JobOutcome::Retry { error: "died".into() }).unwrap());
    let new = claim(&db).unwrap().unwrap();
    assert_eq!((new.id, new.attempts, new.epoch), (id, 2, old.epoch + 1));
    assert!(!begin_publishing(&db, id, old.epoch).unwrap());
    assert!(!settle(&db, id, old.epoch, &succeeded()).unwrap());
    assert!(!note(&db, id, old.epoch, None, b"late").unwrap());
    assert_eq!(found(&db, id).state, JobState::Running);
    assert!(begin_publishing(&db, id, new.epoch).unwrap());
    assert!(!begin_publishing(&db, id, new.epoch).unwrap(), "once");
}

#[test]
fn an_interrupted_run_does_not_count() {
    let db = store();
    let id = enqueue(&db, &event("a", "1")).unwrap().id;
    let run = claim(&db).unwrap().unwrap();
    settle(&db, id, run.epoch, &JobOutcome::Interrupted).unwrap();
    assert_eq!(claim(&db).unwrap().unwrap().attempts, 1);
}

#[test]
fn a_cancelled_job_is_not_published() {
    let db = store();
    let waiting = enqueue(&db, &tasks("a", "1")).unwrap().id;
    assert_eq!(cancel(&db, waiting).unwrap(), Cancel::Done);
    assert_eq!(cancel(&db, waiting).unwrap(), Cancel::TooLate(JobState::Cancelled));
    assert_eq!(cancel(&db, JobId(1)).unwrap(), Cancel::Unknown);
    assert!(claim(&db).unwrap().is_none());

    let id = enqueue(&db, &tasks("a", "2")).unwrap().id;
    let run = claim(&db).unwrap().unwrap();
    assert_eq!(cancel(&db, id).unwrap(), Cancel::Running);
    assert!(!begin_publishing(&db, id, run.epoch).unwrap());
    settle(&db, id, run.epoch, &JobOutcome::Cancelled { error: "cancelled".into() }).unwrap();
    assert_eq!(found(&db, id).state, JobState::Cancelled);
}

#[test]
fn orphans_of_a_killed_server_are_settled_once() {
    let db = store();
    let ids: Vec<_> =
        ["p", "q", "r"].iter().map(|p| enqueue(&db, &tasks(p, "1")).unwrap().id).collect();
    let runs: Vec<_> = ids.iter().map(|_| claim(&db).unwrap().unwrap()).collect();
    assert!(begin_publishing(&db, ids[0], runs[0].epoch).unwrap());
    cancel(&db, ids[1]).unwrap();
    let left = orphans(&db).unwrap();
    assert_eq!(left.iter().map(|orphan| orphan.id).collect::<Vec<_>>(), ids);
    for orphan in &left {
        recover(&db, orphan, orphan.id == ids[0]).unwrap();
    }
    assert!(orphans(&db).unwrap().is_empty());
    assert_eq!(found(&db, ids[0]).version, Some(ids[0].into()));
    assert_eq!(found(&db, ids[1]).state, JobState::Cancelled);
    assert_eq!(found(&db, ids[2]).state, JobState::Queued);
}

#[test]
fn a_job_that_keeps_killing_the_server_is_not_begun_for_ever() {
    let db = store();
    let id = enqueue(&db, &tasks("a", "1")).unwrap().id;
    let mut runs = 0;
    while claim(&db).unwrap().is_some() {
        runs += 1;
        for orphan in orphans(&db).unwrap() {
            recover(&db, &orphan, false).unwrap();
        }
    }
    assert_eq!(runs, 11);
    let job = found(&db, id);
    assert_eq!(job.state, JobState::Lost);
    assert_eq!(job.error.unwrap(), "the server was killed 11 times while this job ran");
}

#[test]
fn old_jobs_go_and_it_is_known_that_they_were_there() {
    let db = store();
    let ids: Vec<_> = (0..1_005).map(|_| enqueue(&db, &tasks("a", "1")).unwrap().id).collect();
    while let Some(claimed) = claim(&db).unwrap() {
        settle(&db, claimed.id, claimed.epoch, &succeeded()).unwrap();
    }
    assert_eq!(job(&db, ids[0]).unwrap(), JobLookup::Gone);
    assert_eq!(job(&db, ids[4]).unwrap(), JobLookup::Gone);
    assert!(matches!(job(&db, ids[5]).unwrap(), JobLookup::Job(_)));
    assert_eq!(job(&db, JobId(7)).unwrap(), JobLookup::Unknown);
    assert_eq!(list(&db, Some(&"a".into()), 3).unwrap()[0].id, ids[1_004]);
}

#[test]
fn a_project_is_found_by_its_id() {
    let db = store();
    enqueue(&db, &tasks("2.1795430965", "1")).unwrap();
    assert_eq!(project_key(&db, "2").unwrap().unwrap(), "2.1795430965".into());
    assert_eq!(project_key(&db, "").unwrap(), None);
    assert_eq!(project_key(&db, "%").unwrap(), None);
}

/// An operation on the queue.
#[derive(Debug, Clone)]
enum Step {
    Event(u8),
    Tasks(u8),
    Claim,
    Publish,
    Settle(u8),
    Cancel(u8),
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..3u8).prop_map(Step::Event),
        (0..3u8).prop_map(Step::Tasks),
        Just(Step::Claim),
        Just(Step::Publish),
        (0..4u8).prop_map(Step::Settle),
        any::<u8>().prop_map(Step::Cancel),
        Just(Step::Crash),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// After any sequence of operations, each job is published at most once, never after it was cancelled,
    /// and every job that was accepted waits, runs, or has ended with a reason.
    #[test]
    fn nothing_is_lost_and_nothing_is_published_twice(
        steps in proptest::collection::vec(step(), 1..60)
    ) {
        let db = store();
        let mut accepted = Vec::new();
        let mut cancelled = Vec::new();
        let mut running: Option<Claimed> = None;
        let mut publications: Vec<JobId> = Vec::new();
        for step in steps {
            match step {
                Step::Event(project) => {
                    accepted.push(enqueue(&db, &event(&project.to_string(), "{}")).unwrap().id);
                }
                Step::Tasks(project) => {
                    accepted.push(enqueue(&db, &tasks(&project.to_string(), "{}")).unwrap().id);
                }
                Step::Claim => {
                    if running.is_none() {
                        running = claim(&db).unwrap();
                    }
                }
                Step::Publish => {
                    if let Some(run) = &running
                        && begin_publishing(&db, run.id, run.epoch).unwrap()
                    {
                        publications.push(run.id);
                    }
                }
                Step::Settle(how) => {
                    let Some(run) = running.take() else { continue };
                    let published = publications.last() == Some(&run.id);
                    let error = "e".to_owned();
                    let outcome = match how {
                        0 | 1 if !published => JobOutcome::Failed { error, traceback: None },
                        2 if !published => JobOutcome::Retry { error },
                        3 if !published => JobOutcome::Interrupted,
                        _ => JobOutcome::Succeeded {
                            version: published.then_some(run.id.into()),
                            error: None,
                        },
                    };
                    prop_assert!(settle(&db, run.id, run.epoch, &outcome).unwrap());
                }
                Step::Cancel(which) => {
                    let Some(id) = accepted.get(usize::from(which)) else { continue };
                    if matches!(cancel(&db, *id).unwrap(), Cancel::Done | Cancel::Running) {
                        cancelled.push((*id, publications.len()));
                    }
                }
                Step::Crash => {
                    running = None;
                    for orphan in orphans(&db).unwrap() {
                        let published = orphan.state == JobState::Publishing;
                        recover(&db, &orphan, published).unwrap();
                    }
                }
            }
        }
        let mut once = publications.clone();
        once.dedup();
        once.sort_unstable();
        once.dedup();
        prop_assert_eq!(once.len(), publications.len());
        for (id, before) in cancelled {
            prop_assert!(!publications[before..].contains(&id));
        }
        for id in accepted {
            let job = found(&db, id);
            let runs = running.as_ref().is_some_and(|run| run.id == id);
            prop_assert_eq!(
                matches!(job.state, JobState::Running | JobState::Publishing), runs
            );
            if job.state.is_ended() && job.state != JobState::Succeeded {
                prop_assert!(job.error.is_some());
            }
        }
    }
}
