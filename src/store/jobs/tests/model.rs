//! Compares the job store with a model of it in memory: after any sequence of operations, both know the same
//! jobs in the same states.
//!
//! The store is a real file, which is closed and opened again like that of a server that was killed.
//! Runs that were overtaken go on trying, like a worker that outlives its server.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use super::super::enqueue::{NewJob, Policy, enqueue};
use super::super::read::{active, list, open_jobs};
use super::super::transitions::{
    Cancel, begin_publishing, cancel, claim, note, orphans, recover, settle,
};
use super::reference::{End, MOST_DEATHS, Model, Run, outcome};
use super::*;

const START: i64 = 1_795_431_326_000;
/// A step of a test.
#[derive(Debug, Clone)]
enum Step {
    Enqueue {
        project: u8,
        action: Option<u8>,
        body: u8,
        /// The labelling config that came with it, if one did.
        config: Option<u8>,
        every: bool,
        folder: u8,
    },
    Claim,
    /// `fit` has returned. The server may be killed before it has renamed anything.
    Publish {
        run: usize,
        is_renamed: bool,
    },
    End {
        run: usize,
        how: End,
    },
    Say {
        run: usize,
    },
    Cancel {
        job: usize,
    },
    Kill,
    /// The clock advances, or steps back.
    Clock(i32),
}

fn step() -> impl Strategy<Value = Step> {
    let run = || 0..40usize;
    let end = prop::sample::select(vec![
        End::Returned,
        End::Raised,
        End::Died,
        End::Died,
        End::Drained,
        End::Cancelled,
    ]);
    let config = prop::option::of(0..2u8);
    let enqueue = (0..3u8, prop::option::of(0..2u8), 0..2u8, config, any::<bool>(), 0..4u8);
    prop_oneof![
        5 => enqueue.prop_map(|(project, action, body, config, every, folder)| {
            Step::Enqueue { project, action, body, config, every, folder }
        }),
        5 => Just(Step::Claim),
        3 => (run(), any::<bool>()).prop_map(|(run, is_renamed)| Step::Publish { run, is_renamed }),
        5 => (run(), end).prop_map(|(run, how)| Step::End { run, how }),
        1 => run().prop_map(|run| Step::Say { run }),
        2 => run().prop_map(|job| Step::Cancel { job }),
        1 => Just(Step::Kill),
        1 => (-20_000..20_000i32).prop_map(Step::Clock),
    ]
}

/// A store, its model, and all runs of its jobs so far.
struct Pair {
    runtime: tokio::runtime::Runtime,
    dir: tempfile::TempDir,
    store: JobStore,
    model: Model,
    runs: Vec<Run>,
    last_id: JobId,
}

impl Pair {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let store = JobStore::open(&dir.path().join("state.db")).unwrap();
        let model = Model {
            jobs: BTreeMap::new(),
            turns: HashMap::new(),
            claims: 0,
            now: START,
            newest_folder: JobId(0),
            published: BTreeSet::new(),
        };
        Self { runtime, dir, store, model, runs: Vec::new(), last_id: JobId(0) }
    }

    fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> T {
        self.runtime.block_on(self.store.run(work)).unwrap()
    }

    /// The run that a step concerns, if there is one.
    fn of(&self, run: usize) -> Option<Run> {
        (!self.runs.is_empty()).then(|| self.runs[self.runs.len() - 1 - run % self.runs.len()])
    }

    fn take(&mut self, step: &Step) -> TestCaseResult {
        match *step {
            Step::Enqueue { project, action, body, config, every, folder } => {
                // Sometimes a user puts a newer folder there by hand.
                if folder == 3 {
                    self.model.newest_folder = JobId(self.last_id.0 + 2);
                }
                let job = NewJob {
                    project: project.to_string().into(),
                    label_config: config.map(|config| format!("<View id='{config}'/>")),
                    action: action.map(|action| action.to_string()),
                    payload: Bytes::from(vec![body]),
                    policy: if every { Policy::All } else { Policy::Latest },
                    newest_folder: self.model.newest_folder,
                    now: self.model.now,
                };
                self.enqueue(job, body)
            }
            Step::Claim => self.claim(),
            Step::Publish { run, is_renamed } => self.publish(run, is_renamed),
            Step::End { run, how } => self.end(run, how),
            Step::Say { run } => self.say(run),
            Step::Cancel { job } => self.cancel(job),
            Step::Kill => self.kill(),
            Step::Clock(by) => {
                self.model.now += i64::from(by);
                Ok(())
            }
        }
    }

    fn enqueue(&mut self, job: NewJob, body: u8) -> TestCaseResult {
        let expected = self.model.enqueue(&job, body);
        let queued = self.run(move |db| enqueue(db, &job));
        prop_assert_eq!((queued.id, queued.merged), expected);
        if !queued.merged {
            prop_assert!(queued.id > self.last_id, "ids grow");
            self.last_id = queued.id;
        }
        Ok(())
    }

    fn claim(&mut self) -> TestCaseResult {
        let claimed = self.run(claim);
        let expected = self.model.claim();
        match (&claimed, expected) {
            (None, None) => {}
            (Some(claimed), Some((id, known))) => {
                prop_assert_eq!(claimed.id, id);
                prop_assert_eq!(&claimed.payload[..], &[known.body][..]);
                prop_assert_eq!(&claimed.action, &known.action);
                prop_assert_eq!(&claimed.label_config, &known.label_config);
                prop_assert_eq!(&claimed.project, &known.project);
                prop_assert_eq!(
                    (claimed.epoch, claimed.attempts, claimed.merged),
                    (known.epoch, known.attempts, known.merged)
                );
                prop_assert!(claimed.attempts <= MOST_DEATHS, "run more often than allowed");
                let run = Run { id, epoch: claimed.epoch, attempts: claimed.attempts };
                self.runs.push(run);
            }
            (claimed, expected) => prop_assert!(false, "{claimed:?} and not {expected:?}"),
        }
        Ok(())
    }

    fn publish(&mut self, run: usize, is_renamed: bool) -> TestCaseResult {
        let Some(run) = self.of(run) else { return Ok(()) };
        let may_publish = self.run(move |db| begin_publishing(db, run.id, run.epoch));
        let known = self.model.jobs.get_mut(&run.id).unwrap();
        let expected =
            known.is_run_by(&run) && known.state == JobState::Running && !known.cancel_requested;
        prop_assert_eq!(may_publish, expected);
        if may_publish {
            known.state = JobState::Publishing;
            if is_renamed {
                prop_assert!(self.model.published.insert(run.id), "published twice");
            }
        }
        Ok(())
    }

    fn end(&mut self, run: usize, how: End) -> TestCaseResult {
        let Some(run) = self.of(run) else { return Ok(()) };
        // A version that is in place is not removed.
        let is_published = self.model.published.contains(&run.id);
        let how = if is_published { End::Returned } else { how };
        let ended = outcome(how, &run, is_published);
        let settled = self.run(move |db| settle(db, run.id, run.epoch, &ended));
        prop_assert_eq!(settled, self.model.end(&run, how));
        Ok(())
    }

    fn say(&mut self, run: usize) -> TestCaseResult {
        let Some(run) = self.of(run) else { return Ok(()) };
        let noted = self.run(move |db| note(db, run.id, run.epoch, None, b"said"));
        prop_assert_eq!(noted, self.model.jobs[&run.id].epoch == run.epoch);
        Ok(())
    }

    fn cancel(&mut self, job: usize) -> TestCaseResult {
        let jobs = &mut self.model.jobs;
        let (id, expected) = match jobs.len() {
            0 => (JobId(7), Cancel::Unknown),
            count => {
                let (id, known) = jobs.iter_mut().nth(job % count).unwrap();
                let expected = match known.state {
                    JobState::Queued => {
                        (known.state, known.cancel_requested) = (JobState::Cancelled, true);
                        Cancel::Done
                    }
                    JobState::Running => {
                        known.cancel_requested = true;
                        Cancel::Running
                    }
                    state => Cancel::TooLate(state),
                };
                (*id, expected)
            }
        };
        prop_assert_eq!(self.run(move |db| cancel(db, id)), expected);
        Ok(())
    }

    fn kill(&mut self) -> TestCaseResult {
        self.store = JobStore::open(&self.dir.path().join("state.db")).unwrap();
        let published = self.model.published.clone();
        self.run(move |db| {
            for orphan in orphans(db)? {
                recover(db, &orphan, published.contains(&orphan.id))?;
            }
            Ok(())
        });
        self.model.kill();
        prop_assert!(self.run(orphans).is_empty());
        Ok(())
    }

    /// Checks that the store and the model agree.
    fn compare(&self) -> TestCaseResult {
        let jobs = self.run(|db| list(db, None, 1_000));
        let Model { jobs: known, published, .. } = &self.model;
        prop_assert_eq!(jobs.len(), known.len());
        for (job, (id, known)) in jobs.iter().zip(known.iter().rev()) {
            prop_assert_eq!(job.id, *id);
            prop_assert_eq!(&job.project, &known.project);
            prop_assert_eq!(&job.action, &known.action);
            prop_assert_eq!(job.state, known.state, "{:?}", known);
            prop_assert_eq!(
                (job.epoch, job.merged, job.attempts),
                (known.epoch, known.merged, known.attempts),
                "{:?}",
                known
            );
            prop_assert_eq!(
                (job.created_at, job.enqueued_at, job.version, job.cancel_requested),
                (known.created_at, known.enqueued_at, known.version, known.cancel_requested)
            );
            prop_assert_eq!(job.ended_at.is_some(), job.state.is_ended());
            if job.state.is_ended() && job.state != JobState::Succeeded {
                prop_assert!(job.error.is_some() && job.version.is_none(), "{:?}", job);
            }
            // Exactly the runs that succeeded with a version have published one.
            if job.state.is_ended() {
                prop_assert_eq!(job.version.is_some(), published.contains(id));
            }
        }
        let open = known.values().filter(|known| known.is_open()).count();
        prop_assert_eq!(self.run(open_jobs), u64::try_from(open).unwrap());
        for project in ["0", "1", "2"] {
            let of_project = known.iter().filter(|(_, known)| known.project == project.into());
            let first = of_project
                .filter(|(_, known)| known.is_open())
                .map(|(id, known)| (known.state == JobState::Queued, *id))
                .min();
            let active = self.run(move |db| active(db, &project.into()));
            prop_assert_eq!(active, first.map(|(_, id)| id));
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn the_store_and_the_model_of_it_agree(steps in prop::collection::vec(step(), 1..60)) {
        let mut pair = Pair::new();
        for step in &steps {
            pair.take(step)?;
            pair.compare()?;
        }
        // In the end every job that still waits can be run.
        pair.take(&Step::Kill)?;
        while pair.run(open_jobs) > 0 {
            pair.take(&Step::Claim)?;
            pair.take(&Step::Publish { run: 0, is_renamed: true })?;
            pair.take(&Step::End { run: 0, how: End::Returned })?;
            pair.compare()?;
        }
    }
}
