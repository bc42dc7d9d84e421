//! Putting jobs into the queue.

use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, params};

use crate::ids::{JobId, ProjectKey};

/// Time within which identical events count as one, in milliseconds: Label Studio keeps the webhooks of
/// deleted backends, so one event may come several times.
const SAME_EVENT_MS: i64 = 10_000;

/// How webhook events are queued while others wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Waiting events of a project become one job with the newest payload: the model learns from
    /// the whole project.
    Latest,
    /// Every event is trained on, in order: the model learns from the event itself.
    All,
}

/// A job to enqueue.
#[derive(Debug, Clone)]
pub struct NewJob {
    pub project: ProjectKey,
    pub label_config: Option<String>,
    /// Action of the webhook event; none for /train.
    pub action: Option<String>,
    pub payload: Bytes,
    pub policy: Policy,
    /// The newest job folder of the project; new ids are greater.
    pub newest_folder: JobId,
    /// Milliseconds since 1970.
    pub now: i64,
}

/// The job of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queued {
    /// The id of that job.
    pub id: JobId,
    /// Whether it existed already.
    pub merged: bool,
}

pub fn enqueue(connection: &Connection, job: &NewJob) -> rusqlite::Result<Queued> {
    let hash = hash(&job.payload);
    if job.action.is_some() {
        let standing = match job.policy {
            Policy::Latest => merge(connection, job, hash)?,
            Policy::All => same_event(connection, job, hash)?,
        };
        if let Some(id) = standing {
            return Ok(Queued { id, merged: true });
        }
    }
    let id = next_id(connection, job)?;
    connection
        .prepare_cached(
            "INSERT INTO jobs(id, project, action, label_config, payload_hash, state, created_at,
                              enqueued_at)
             VALUES (?1, ?2, ?3, ?4, ?5, 'queued', ?6, ?6)",
        )?
        .execute(params![id, job.project, job.action, job.label_config, hash, job.now])?;
    put_payload(connection, id, &job.payload)?;
    Ok(Queued { id, merged: false })
}

fn put_payload(connection: &Connection, id: JobId, body: &[u8]) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO payloads VALUES (?1, ?2)")?
        .execute(params![id, body])?;
    Ok(())
}

/// Replaces the payload of the waiting event of the project, if there is one.
fn merge(connection: &Connection, job: &NewJob, hash: i64) -> rusqlite::Result<Option<JobId>> {
    let standing: Option<JobId> = connection
        .prepare_cached(
            "UPDATE jobs SET action = ?2, label_config = ?3, payload_hash = ?4,
                             merged = merged + 1, enqueued_at = ?5
             WHERE id = (SELECT min(id) FROM jobs
                         WHERE project = ?1 AND state = 'queued' AND action IS NOT NULL)
             RETURNING id",
        )?
        .query_row(params![job.project, job.action, job.label_config, hash, job.now], |row| {
            row.get(0)
        })
        .optional()?;
    if let Some(id) = standing {
        put_payload(connection, id, &job.payload)?;
    }
    Ok(standing)
}

/// The job of an identical event that came shortly before, unless that failed or was cancelled.
fn same_event(connection: &Connection, job: &NewJob, hash: i64) -> rusqlite::Result<Option<JobId>> {
    connection
        .prepare_cached(
            "UPDATE jobs SET merged = merged + 1
             WHERE id = (SELECT max(id) FROM jobs
                         WHERE project = ?1 AND action = ?2 AND payload_hash = ?3
                           AND created_at BETWEEN ?4 AND ?5
                           AND state NOT IN ('failed', 'cancelled', 'lost'))
             RETURNING id",
        )?
        .query_row(
            params![job.project, job.action, hash, job.now - SAME_EVENT_MS, job.now],
            |row| row.get(0),
        )
        .optional()
}

/// The time in seconds, unless that is taken or the clock stepped back.
fn next_id(connection: &Connection, job: &NewJob) -> rusqlite::Result<JobId> {
    let last: Option<JobId> = connection
        .prepare_cached(
            "SELECT max(coalesce((SELECT max(id) FROM jobs), 0),
                        coalesce((SELECT max(id) FROM gone), 0))",
        )?
        .query_row([], |row| row.get(0))?;
    let seconds = u64::try_from(job.now / 1000).unwrap_or_default();
    let after = last.unwrap_or_default().max(job.newest_folder).0.saturating_add(1);
    Ok(JobId(seconds.max(after)))
}

fn hash(payload: &Bytes) -> i64 {
    let mut hasher = DefaultHasher::new();
    payload.hash(&mut hasher);
    hasher.finish().cast_signed()
}
