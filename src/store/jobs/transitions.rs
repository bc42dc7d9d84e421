//! Changes the state of jobs.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{Claimed, JobState, now};
use crate::ids::{JobId, ProjectKey, VersionId};

/// Maximum number of ended jobs that are kept for queries.
const JOBS_KEPT: i64 = 1_000;
/// Maximum number of freed pages that are given back to the disk after a job.
const PAGES_FREED: u32 = 16_384;
/// Maximum number of server deaths during a job: after that it is not run again, since it may be their cause.
const MAX_INTERRUPTIONS: u32 = 10;

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub enum JobOutcome {
    /// With the version that it made, and the reason if that is not served.
    Succeeded {
        version: Option<VersionId>,
        error: Option<String>,
    },
    Failed {
        error: String,
        traceback: Option<String>,
    },
    Cancelled {
        error: String,
    },
    /// The worker died with it.
    Lost {
        error: String,
    },
    /// It goes back to the queue, and this run does not count.
    Interrupted,
    /// It goes back to the queue; the worker died, and it may be tried again.
    Retry {
        error: String,
    },
}

/// The effect of a request to cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancel {
    /// The job waited, and is cancelled now.
    Done,
    /// It runs; its runner must be told.
    Running,
    /// It is being published or has ended, so nothing changes.
    TooLate(JobState),
    Unknown,
}

/// A job that was running when its server ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    pub id: JobId,
    pub project: ProjectKey,
    pub state: JobState,
    pub epoch: u32,
    /// Its worker process, as `workers::orphan_process` identifies it.
    pub worker: Option<String>,
    interruptions: u32,
}

/// Claims the next job: the oldest of the project whose last turn is longest ago.
pub fn claim(connection: &Connection) -> rusqlite::Result<Option<Claimed>> {
    let claimed = connection
        .prepare_cached(
            "UPDATE jobs SET state = 'running', epoch = epoch + 1, attempts = attempts + 1,
                             started_at = ?1, ended_at = NULL, worker = NULL, error = NULL,
                             traceback = NULL, progress = NULL, log = NULL
             WHERE id = (SELECT jobs.id FROM jobs LEFT JOIN turns USING (project)
                         WHERE state = 'queued' ORDER BY coalesce(turn, 0), jobs.id LIMIT 1)
             RETURNING id, project, label_config, action, epoch, merged, attempts,
                       (SELECT body FROM payloads WHERE job = jobs.id)",
        )?
        .query_row([now()], |row| {
            Ok(Claimed {
                id: row.get(0)?,
                project: row.get(1)?,
                label_config: row.get(2)?,
                action: row.get(3)?,
                epoch: row.get(4)?,
                merged: row.get(5)?,
                attempts: row.get(6)?,
                payload: row.get::<_, Vec<u8>>(7)?.into(),
            })
        })
        .optional()?;
    if let Some(claimed) = &claimed {
        connection
            .prepare_cached(
                "INSERT INTO turns VALUES (?1, (SELECT coalesce(max(turn), 0) + 1 FROM turns))
                 ON CONFLICT(project) DO UPDATE SET turn = excluded.turn",
            )?
            .execute([&claimed.project])?;
    }
    Ok(claimed)
}

/// Records which process runs a job, so that the next server finds it after a crash.
pub fn set_worker(
    connection: &Connection,
    id: JobId,
    epoch: u32,
    worker: &str,
) -> rusqlite::Result<bool> {
    let rows = connection.execute(
        "UPDATE jobs SET worker = ?3 WHERE id = ?1 AND epoch = ?2 AND state = 'running'",
        params![id, epoch, worker],
    )?;
    Ok(rows > 0)
}

/// Begins publishing, after which the job cannot be cancelled. False if it was cancelled, or if another
/// run overtook this one.
pub fn begin_publishing(connection: &Connection, id: JobId, epoch: u32) -> rusqlite::Result<bool> {
    let rows = connection.execute(
        "UPDATE jobs SET state = 'publishing'
         WHERE id = ?1 AND epoch = ?2 AND state = 'running' AND NOT cancel_requested",
        params![id, epoch],
    )?;
    Ok(rows > 0)
}

/// Stores the progress and the output of a running job so far.
pub fn note(
    connection: &Connection,
    id: JobId,
    epoch: u32,
    progress: Option<&str>,
    log: &[u8],
) -> rusqlite::Result<bool> {
    let rows = connection
        .prepare_cached("UPDATE jobs SET progress = ?3, log = ?4 WHERE id = ?1 AND epoch = ?2")?
        .execute(params![id, epoch, progress, log])?;
    Ok(rows > 0)
}

/// Ends a run. A job with a cancel request does not go back to the queue. False if another run overtook
/// this one.
pub fn settle(
    connection: &Connection,
    id: JobId,
    epoch: u32,
    outcome: &JobOutcome,
) -> rusqlite::Result<bool> {
    let cancelled = JobOutcome::Cancelled { error: "cancelled".into() };
    let outcome = match outcome {
        JobOutcome::Interrupted | JobOutcome::Retry { .. }
            if is_to_be_cancelled(connection, id)? =>
        {
            &cancelled
        }
        outcome => outcome,
    };
    let (state, version, error, traceback) = match outcome {
        JobOutcome::Succeeded { version, error } => {
            (JobState::Succeeded, *version, error.as_ref(), None)
        }
        JobOutcome::Failed { error, traceback } => {
            (JobState::Failed, None, Some(error), traceback.as_ref())
        }
        JobOutcome::Cancelled { error } => (JobState::Cancelled, None, Some(error), None),
        JobOutcome::Lost { error } => (JobState::Lost, None, Some(error), None),
        JobOutcome::Interrupted => (JobState::Queued, None, None, None),
        JobOutcome::Retry { error } => (JobState::Queued, None, Some(error), None),
    };
    let uncounted = u32::from(*outcome == JobOutcome::Interrupted);
    let ended_at = state.is_ended().then(now);
    let settled = connection.execute(
        "UPDATE jobs SET state = ?3, version = ?4, error = ?5, traceback = ?6, ended_at = ?7,
                         attempts = attempts - ?8, worker = NULL
         WHERE id = ?1 AND epoch = ?2 AND state IN ('running', 'publishing')",
        params![id, epoch, state.name(), version, error, traceback, ended_at, uncounted],
    )?;
    tidy(connection)?;
    Ok(settled > 0)
}

fn is_to_be_cancelled(connection: &Connection, id: JobId) -> rusqlite::Result<bool> {
    connection.prepare_cached("SELECT 1 FROM jobs WHERE id = ?1 AND cancel_requested")?.exists([id])
}

pub fn cancel(connection: &Connection, id: JobId) -> rusqlite::Result<Cancel> {
    let waited = connection.execute(
        "UPDATE jobs SET state = 'cancelled', ended_at = ?2, cancel_requested = 1,
                         error = 'cancelled while it waited'
         WHERE id = ?1 AND state = 'queued'",
        params![id, now()],
    )?;
    if waited > 0 {
        tidy(connection)?;
        return Ok(Cancel::Done);
    }
    let runs = connection.execute(
        "UPDATE jobs SET cancel_requested = 1 WHERE id = ?1 AND state = 'running'",
        [id],
    )?;
    if runs > 0 {
        return Ok(Cancel::Running);
    }
    let state = connection
        .query_row("SELECT state FROM jobs WHERE id = ?1", [id], |row| row.get::<_, String>(0))
        .optional()?;
    Ok(state.map_or(Cancel::Unknown, |name| Cancel::TooLate(JobState::parse(&name))))
}

/// The jobs that were running when their server ended.
pub fn orphans(connection: &Connection) -> rusqlite::Result<Vec<Orphan>> {
    let read = |row: &Row<'_>| {
        Ok(Orphan {
            id: row.get(0)?,
            project: row.get(1)?,
            state: JobState::parse(&row.get::<_, String>(2)?),
            epoch: row.get(3)?,
            worker: row.get(4)?,
            interruptions: row.get(5)?,
        })
    };
    connection
        .prepare(
            "SELECT id, project, state, epoch, worker, interruptions
             FROM jobs WHERE state IN ('running', 'publishing') ORDER BY id",
        )?
        .query_map([], read)?
        .collect()
}

/// Settles an orphan: if it was published it has succeeded, if its cancellation was requested it is
/// cancelled; otherwise it is run again, up to a limit.
pub fn recover(
    connection: &Connection,
    orphan: &Orphan,
    is_published: bool,
) -> rusqlite::Result<()> {
    let outcome = if is_published {
        JobOutcome::Succeeded { version: Some(orphan.id.into()), error: None }
    } else if orphan.interruptions >= MAX_INTERRUPTIONS {
        let times = orphan.interruptions + 1;
        JobOutcome::Lost {
            error: format!("the server was killed {times} times while this job ran"),
        }
    } else {
        JobOutcome::Interrupted
    };
    connection.execute(
        "UPDATE jobs SET interruptions = interruptions + 1 WHERE id = ?1 AND epoch = ?2",
        params![orphan.id, orphan.epoch],
    )?;
    settle(connection, orphan.id, orphan.epoch, &outcome)?;
    Ok(())
}

/// Removes the payloads of ended jobs and the oldest ended jobs, and gives freed space back to the disk.
fn tidy(connection: &Connection) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "DELETE FROM payloads WHERE job NOT IN
                 (SELECT id FROM jobs WHERE state IN ('queued', 'running', 'publishing'))",
        )?
        .execute([])?;
    let removed: Vec<JobId> = connection
        .prepare_cached(
            "DELETE FROM jobs WHERE id IN
                 (SELECT id FROM jobs WHERE state NOT IN ('queued', 'running', 'publishing')
                  ORDER BY ended_at DESC, id DESC LIMIT -1 OFFSET ?1)
             RETURNING id",
        )?
        .query_map([JOBS_KEPT], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for id in removed {
        connection.prepare_cached("INSERT INTO gone VALUES (?1)")?.execute([id])?;
    }
    connection.pragma(None, "incremental_vacuum", PAGES_FREED, |_| Ok(()))
}
