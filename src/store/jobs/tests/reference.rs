//! For unit tests: a model of the job store in memory, as simple as possible.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::super::enqueue::{NewJob, Policy};
use super::super::transitions::JobOutcome;
use super::*;
use crate::ids::ProjectKey;

/// Time within which identical events count as one, in milliseconds.
const SAME_EVENT: i64 = 10_000;
/// Maximum number of runs of a job that may die; [`crate::training`] applies the same limit.
pub(super) const MOST_DEATHS: u32 = 2;
/// Maximum number of kills of the server before a job is given up.
const MOST_KILLS: u32 = 11;

/// How a run ends.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    Returned,
    Raised,
    Died,
    Drained,
    Cancelled,
}

/// A job as the model knows it.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) project: ProjectKey,
    pub(super) label_config: Option<String>,
    pub(super) action: Option<String>,
    pub(super) body: u8,
    pub(super) state: JobState,
    pub(super) epoch: u32,
    pub(super) merged: u32,
    pub(super) attempts: u32,
    pub(super) kills: u32,
    pub(super) deaths: u32,
    pub(super) created_at: i64,
    pub(super) enqueued_at: i64,
    pub(super) version: Option<VersionId>,
    pub(super) cancel_requested: bool,
}

impl Known {
    pub(super) fn is_open(&self) -> bool {
        !self.state.is_ended()
    }

    pub(super) fn is_run_by(&self, run: &Run) -> bool {
        self.epoch == run.epoch && matches!(self.state, JobState::Running | JobState::Publishing)
    }

    pub(super) fn goes_back(&mut self) {
        self.state = if self.cancel_requested { JobState::Cancelled } else { JobState::Queued };
    }
}

/// A run that has begun; it may have been overtaken since.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    pub(super) id: JobId,
    pub(super) epoch: u32,
    pub(super) attempts: u32,
}

pub(super) struct Model {
    pub(super) jobs: BTreeMap<JobId, Known>,
    pub(super) turns: HashMap<ProjectKey, usize>,
    pub(super) claims: usize,
    pub(super) now: i64,
    pub(super) newest_folder: JobId,
    /// Jobs whose result was renamed into place and is a version.
    pub(super) published: BTreeSet<JobId>,
}

impl Model {
    pub(super) fn enqueue(&mut self, job: &NewJob, body: u8) -> (JobId, bool) {
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
        let id = seconds.max(last.max(job.newest_folder).0 + 1);
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
        self.jobs.insert(JobId(id), known);
        (JobId(id), false)
    }

    pub(super) fn claim(&mut self) -> Option<(JobId, &Known)> {
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

    pub(super) fn end(&mut self, run: &Run, how: End) -> bool {
        let is_published = self.published.contains(&run.id);
        let known = self.jobs.get_mut(&run.id).unwrap();
        if !known.is_run_by(run) {
            return false;
        }
        match how {
            End::Returned => {
                known.state = JobState::Succeeded;
                known.version = is_published.then_some(run.id.into());
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
                // A job that was cancelled meanwhile has ended, and its last run counts.
                known.attempts += u32::from(known.cancel_requested);
                known.goes_back();
            }
        }
        true
    }

    pub(super) fn kill(&mut self) {
        for (id, known) in &mut self.jobs {
            if !matches!(known.state, JobState::Running | JobState::Publishing) {
                continue;
            }
            known.kills += 1;
            if self.published.contains(id) {
                known.state = JobState::Succeeded;
                known.version = Some((*id).into());
            } else if known.kills == MOST_KILLS {
                known.state = JobState::Lost;
            } else {
                known.attempts -= u32::from(!known.cancel_requested);
                known.goes_back();
            }
        }
    }
}

pub(super) fn outcome(how: End, run: &Run, is_published: bool) -> JobOutcome {
    let error = "e".to_owned();
    match how {
        End::Returned => {
            JobOutcome::Succeeded { version: is_published.then_some(run.id.into()), error: None }
        }
        End::Raised => JobOutcome::Failed { error, traceback: None },
        End::Cancelled => JobOutcome::Cancelled { error },
        End::Died if run.attempts < MOST_DEATHS => JobOutcome::Retry { error },
        End::Died => JobOutcome::Lost { error },
        End::Drained => JobOutcome::Interrupted,
    }
}
