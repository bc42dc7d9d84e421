//! Queries jobs.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{Job, JobState};
use crate::ids::{JobId, ProjectKey};

const COLUMNS: &str = "id, project, action, state, epoch, merged, attempts, created_at,
    enqueued_at, started_at, ended_at, version, error, traceback, progress, cancel_requested";

/// The result of a look-up by id.
#[derive(Debug, Clone, PartialEq)]
pub enum JobLookup {
    Job(Box<Job>),
    /// The job existed, but is no longer kept.
    Gone,
    Unknown,
}

pub fn job(connection: &Connection, id: JobId) -> rusqlite::Result<JobLookup> {
    let found = connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM jobs WHERE id = ?1"))?
        .query_row([id], read)
        .optional()?;
    if let Some(job) = found {
        return Ok(JobLookup::Job(Box::new(job)));
    }
    let gone = connection.prepare_cached("SELECT 1 FROM gone WHERE id = ?1")?.exists([id])?;
    Ok(if gone { JobLookup::Gone } else { JobLookup::Unknown })
}

/// Jobs, newest first; of all projects, or of one.
pub fn list(
    connection: &Connection,
    project: Option<&ProjectKey>,
    limit: u32,
) -> rusqlite::Result<Vec<Job>> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM jobs WHERE ?1 IS NULL OR project = ?1
             ORDER BY id DESC LIMIT ?2"
        ))?
        .query_map(params![project, limit], read)?
        .collect()
}

/// The end of the output of a job.
pub fn log(connection: &Connection, id: JobId) -> rusqlite::Result<Vec<u8>> {
    let log: Option<Option<Vec<u8>>> = connection
        .query_row("SELECT log FROM jobs WHERE id = ?1", [id], |row| row.get(0))
        .optional()?;
    Ok(log.flatten().unwrap_or_default())
}

/// The running job of a project, or else the next one.
pub fn active(connection: &Connection, project: &ProjectKey) -> rusqlite::Result<Option<JobId>> {
    connection
        .prepare_cached(
            "SELECT id FROM jobs
             WHERE project = ?1 AND state IN ('queued', 'running', 'publishing')
             ORDER BY state = 'queued', id LIMIT 1",
        )?
        .query_row([project], |row| row.get(0))
        .optional()
}

/// Number of jobs that wait or run.
pub fn open_jobs(connection: &Connection) -> rusqlite::Result<u64> {
    connection
        .prepare_cached(
            "SELECT count(*) FROM jobs WHERE state IN ('queued', 'running', 'publishing')",
        )?
        .query_row([], |row| row.get(0))
}

/// The key `{id}.{created_at}` under which a project with this id was trained last.
pub fn project_key(connection: &Connection, id: &str) -> rusqlite::Result<Option<ProjectKey>> {
    connection
        .prepare_cached(
            "SELECT project FROM jobs WHERE substr(project, 1, length(?1) + 1) = ?1 || '.'
             ORDER BY id DESC LIMIT 1",
        )?
        .query_row([id], |row| row.get(0))
        .optional()
}

fn read(row: &Row<'_>) -> rusqlite::Result<Job> {
    Ok(Job {
        id: row.get(0)?,
        project: row.get(1)?,
        action: row.get(2)?,
        state: JobState::parse(&row.get::<_, String>(3)?),
        epoch: row.get(4)?,
        merged: row.get(5)?,
        attempts: row.get(6)?,
        created_at: row.get(7)?,
        enqueued_at: row.get(8)?,
        started_at: row.get(9)?,
        ended_at: row.get(10)?,
        version: row.get(11)?,
        error: row.get(12)?,
        traceback: row.get(13)?,
        progress: row.get(14)?,
        cancel_requested: row.get(15)?,
    })
}
