//! The tables, and the migration of older ones.

use rusqlite::Connection;

/// Version of the tables, kept in the file itself.
const VERSION: i64 = 1;

const TABLES: &str = "
    CREATE TABLE jobs (
        id INTEGER PRIMARY KEY,
        project TEXT NOT NULL,
        action TEXT,
        label_config TEXT,
        payload_hash INTEGER NOT NULL,
        state TEXT NOT NULL,
        epoch INTEGER NOT NULL DEFAULT 0,
        merged INTEGER NOT NULL DEFAULT 0,
        attempts INTEGER NOT NULL DEFAULT 0,
        interruptions INTEGER NOT NULL DEFAULT 0,
        cancel_requested INTEGER NOT NULL DEFAULT 0,
        created_at INTEGER NOT NULL,
        enqueued_at INTEGER NOT NULL,
        started_at INTEGER,
        ended_at INTEGER,
        worker TEXT,
        version INTEGER,
        error TEXT,
        traceback TEXT,
        progress TEXT,
        log BLOB
    ) STRICT;
    -- Apart, since a row is written anew with every change.
    CREATE TABLE payloads (job INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
    CREATE INDEX jobs_by_state ON jobs(state, project, id);
    CREATE INDEX jobs_by_project ON jobs(project, id);
    -- Ids of jobs whose rows were removed.
    CREATE TABLE gone (id INTEGER PRIMARY KEY) STRICT;
    -- The order in which projects had their turn.
    CREATE TABLE turns (project TEXT PRIMARY KEY, turn INTEGER NOT NULL) STRICT;
";

pub(super) fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    match found {
        0 => connection
            .execute_batch(&format!("BEGIN; {TABLES} PRAGMA user_version = {VERSION}; COMMIT")),
        VERSION => Ok(()),
        later => {
            let said = format!("the job store has version {later}, this server knows {VERSION}");
            Err(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_MISMATCH),
                Some(said),
            ))
        }
    }
}
