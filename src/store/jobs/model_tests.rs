//! The job store beside a model of it in memory: whatever happens, in whatever order, both know the
//! same jobs in the same states.
//!
//! The store is a real file, which is closed and opened again like that of a server that was killed.
//! Runs that were overtaken go on trying, as a worker does that outlives its server.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use super::enqueue::{NewJob, Policy, enqueue};
use super::read::{active, list, open_jobs};
use super::transitions::{
    Cancel, Outcome, begin_publishing, cancel, claim, note, orphans, recover, settle,
};
use super::*;

const START: i64 = 1_795_431_326_000;
/// Within so many milliseconds the same event is taken for one.
const SAME_EVENT: i64 = 10_000;
/// Runs that may die before a job is given up; what the training side decides by.
const MOST_DEATHS: u32 = 2;
/// Kills of the server before a job is given up.
const MOST_KILLS: u32 = 11;

/// What may happen.
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
    /// The clock goes on, or steps back.
    Clock(i32),
}

/// How a run ends.
#[derive(Debug, Clone, Copy)]
enum End {
    Returned,
    Raised,
    Died,
    Drained,
    Cancelled,
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

/// A job as the model knows it.
#[derive(Debug, Clone)]
struct Known {
    project: String,
    label_config: Option<String>,
    action: Option<String>,
    body: u8,
    state: JobState,
    epoch: u32,
    merged: u32,
    attempts: u32,
    kills: u32,
    deaths: u32,
    created_at: i64,
    enqueued_at: i64,
    version: Option<u64>,
    cancel_requested: bool,
}

impl Known {
    fn is_open(&self) -> bool {
        !self.state.is_ended()
    }

    fn is_run_by(&self, run: &Run) -> bool {
        self.epoch == run.epoch && matches!(self.state, JobState::Running | JobState::Publishing)
    }

    fn goes_back(&mut self) {
        self.state = if self.cancel_requested { JobState::Cancelled } else { JobState::Queued };
    }
}

/// A run that was begun; it may have been overtaken since.
#[derive(Debug, Clone, Copy)]
struct Run {
    id: JobId,
    epoch: u32,
    attempts: u32,
}

struct Model {
    jobs: BTreeMap<JobId, Known>,
    turns: HashMap<String, usize>,
    claims: usize,
    now: i64,
    newest_folder: u64,
    /// Jobs whose result was renamed into place: versions.
    published: BTreeSet<JobId>,
}

impl Model {
    fn enqueue(&mut self, job: &NewJob, body: u8) -> (JobId, bool) {
        let same_project = |known: &Known| known.project == job.project;
        let standing = match (&job.action, job.policy) {
            (None, _) => None,
            (Some(_), Policy::Latest) => self.jobs.iter_mut().find(|(_, known)| {
                same_project(known) && known.state == JobState::Queued && known.action.is_some()
            }),
            (Some(_), Policy::All) => self.jobs.iter_mut().rev().find(|(_, known)| {
                let ended_in_vain = [JobState::Failed, JobState::Cancelled, JobState::Lost];
                same_project(known)
                    && known.action == job.action
                    && known.body == body
                    && (job.now - SAME_EVENT..=job.now).contains(&known.created_at)
                    && !ended_in_vain.contains(&known.state)
            }),
        };
        if let Some((id, known)) = standing {
            known.merged += 1;
            if job.policy == Policy::Latest {
                known.action.clone_from(&job.action);
                known.label_config.clone_from(&job.label_config);
                known.body = body;
                known.enqueued_at = job.now;
            }
            return (*id, true);
        }
        let last = self.jobs.keys().next_back().copied().unwrap_or_default();
        let seconds = u64::try_from(job.now / 1000).unwrap();
        let id = seconds.max(last.max(job.newest_folder) + 1);
        let known = Known {
            project: job.project.clone(),
            label_config: job.label_config.clone(),
            action: job.action.clone(),
            body,
            state: JobState::Queued,
            epoch: 0,
            merged: 0,
            attempts: 0,
            kills: 0,
            deaths: 0,
            created_at: job.now,
            enqueued_at: job.now,
            version: None,
            cancel_requested: false,
        };
        self.jobs.insert(id, known);
        (id, false)
    }

    fn claim(&mut self) -> Option<(JobId, &Known)> {
        let turn = |known: &Known| self.turns.get(&known.project).copied().unwrap_or_default();
        let waiting = self.jobs.iter().filter(|(_, known)| known.state == JobState::Queued);
        let (_, id) = waiting.map(|(id, known)| (turn(known), *id)).min()?;
        let known = self.jobs.get_mut(&id)?;
        self.claims += 1;
        self.turns.insert(known.project.clone(), self.claims);
        known.state = JobState::Running;
        known.epoch += 1;
        known.attempts += 1;
        Some((id, known))
    }

    fn end(&mut self, run: &Run, how: End) -> bool {
        let is_published = self.published.contains(&run.id);
        let known = self.jobs.get_mut(&run.id).unwrap();
        if !known.is_run_by(run) {
            return false;
        }
        match how {
            End::Returned => {
                known.state = JobState::Succeeded;
                known.version = is_published.then_some(run.id);
            }
            End::Raised => known.state = JobState::Failed,
            End::Cancelled => known.state = JobState::Cancelled,
            End::Died => {
                known.deaths += 1;
                if known.deaths < MOST_DEATHS {
                    known.goes_back();
                } else {
                    known.state = JobState::Lost;
                }
            }
            End::Drained => {
                known.attempts -= 1;
                // What was cancelled meanwhile has ended, and its last run counts.
                known.attempts += u32::from(known.cancel_requested);
                known.goes_back();
            }
        }
        true
    }

    fn kill(&mut self) {
        for (id, known) in &mut self.jobs {
            if !matches!(known.state, JobState::Running | JobState::Publishing) {
                continue;
            }
            known.kills += 1;
            if self.published.contains(id) {
                known.state = JobState::Succeeded;
                known.version = Some(*id);
            } else if known.kills == MOST_KILLS {
                known.state = JobState::Lost;
            } else {
                known.attempts -= u32::from(!known.cancel_requested);
                known.goes_back();
            }
        }
    }
}

fn outcome(how: End, run: &Run, is_published: bool) -> Outcome {
    let error = "e".to_owned();
    match how {
        End::Returned => {
            Outcome::Succeeded { version: is_published.then_some(run.id), error: None }
        }
        End::Raised => Outcome::Failed { error, traceback: None },
        End::Cancelled => Outcome::Cancelled { error },
        End::Died if run.attempts < MOST_DEATHS => Outcome::Retry { error },
        End::Died => Outcome::Lost { error },
        End::Drained => Outcome::Interrupted,
    }
}

/// A store, its model, and everybody who ever ran a job of it.
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
            newest_folder: 0,
            published: BTreeSet::new(),
        };
        Self { runtime, dir, store, model, runs: Vec::new(), last_id: 0 }
    }

    fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> T {
        self.runtime.block_on(self.store.run(work)).unwrap()
    }

    /// The run that a step is about, if there is one.
    fn of(&self, run: usize) -> Option<Run> {
        (!self.runs.is_empty()).then(|| self.runs[self.runs.len() - 1 - run % self.runs.len()])
    }

    fn take(&mut self, step: &Step) -> TestCaseResult {
        match *step {
            Step::Enqueue { project, action, body, config, every, folder } => {
                // Now and then somebody puts a newer folder there by hand.
                if folder == 3 {
                    self.model.newest_folder = self.last_id + 2;
                }
                let job = NewJob {
                    project: project.to_string(),
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
                prop_assert!(claimed.attempts <= MOST_DEATHS, "tried once more, and no further");
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
        // Nobody takes back what is in place.
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
            0 => (7, Cancel::Unknown),
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

    /// The store knows what the model knows.
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
            // Whoever succeeded with a version published it, and nobody else did.
            if job.state.is_ended() {
                prop_assert_eq!(job.version.is_some(), published.contains(id));
            }
        }
        let open = known.values().filter(|known| known.is_open()).count();
        prop_assert_eq!(self.run(open_jobs), u64::try_from(open).unwrap());
        for project in ["0", "1", "2"] {
            let of_project = known.iter().filter(|(_, known)| known.project == project);
            let first = of_project
                .filter(|(_, known)| known.is_open())
                .map(|(id, known)| (known.state == JobState::Queued, *id))
                .min();
            let active = self.run(move |db| active(db, project));
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
