//! One SQLite file, and the one thread that uses it.
//!
//! In: closures over a transaction. Out: their return values, once the changes are on the disk. Closures
//! that wait at the same time share one commit, and so one flush: a storm of webhooks costs a few.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};
use thiserror::Error;
use tokio::sync::oneshot;

/// Maximum number of closures that share a commit.
const LARGEST_BATCH: usize = 256;
/// The write-ahead log is truncated to this size after a large transaction, in bytes.
const LARGEST_LOG: i64 = 16 << 20;
/// How long an operation waits for another process that has locked the file.
pub(super) const BUSY: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Error)]
pub enum DbError {
    #[error("{}: {reason}", path.display())]
    Open { path: PathBuf, reason: Arc<rusqlite::Error> },
    #[error("{0}")]
    Sqlite(Arc<rusqlite::Error>),
    #[error("the database is closed")]
    Closed,
}

impl DbError {
    /// Whether the disk is full.
    pub fn is_full(&self) -> bool {
        self.code() == Some(ErrorCode::DiskFull)
    }

    /// Whether the disk cannot be written at all.
    pub fn is_read_only(&self) -> bool {
        self.code() == Some(ErrorCode::ReadOnly)
    }

    /// Whether another process has locked the database, so that a retry may succeed soon.
    pub fn is_passing(&self) -> bool {
        matches!(self.code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
    }

    fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Open { reason, .. } | Self::Sqlite(reason) => reason.sqlite_error_code(),
            Self::Closed => None,
        }
    }
}

impl From<rusqlite::Error> for DbError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(Arc::new(error))
    }
}

type Deliver = Box<dyn FnOnce(Result<(), DbError>)>;
/// The outcome of a closure, and the function that sends it to its caller.
type Done = (Option<DbError>, Deliver);
type Command = Box<dyn FnOnce(Result<&mut Transaction<'_>, DbError>) -> Done + Send>;

/// An open database.
#[derive(Debug)]
pub struct Db {
    commands: mpsc::Sender<Command>,
}

impl Db {
    /// Opens or makes the file. `prepare` makes or migrates its tables.
    pub fn open(
        path: &Path,
        prepare: impl Fn(&Connection) -> rusqlite::Result<()>,
    ) -> Result<Self, DbError> {
        let open = || {
            let connection = connect(path)?;
            prepare(&connection)?;
            Ok(connection)
        };
        let opened = match open() {
            Err(error) if is_damaged(&error) => {
                tracing::error!("{}: {error}; it is set aside and begun anew", path.display());
                set_aside(path);
                open()
            }
            opened => opened,
        };
        let opened = opened
            .map_err(|error| DbError::Open { path: path.to_owned(), reason: Arc::new(error) })?;
        Self::serve(opened)
    }

    /// Makes a database in memory.
    pub fn in_memory(
        prepare: impl Fn(&Connection) -> rusqlite::Result<()>,
    ) -> Result<Self, DbError> {
        let connection = Connection::open_in_memory()?;
        prepare(&connection)?;
        Self::serve(connection)
    }

    fn serve(connection: Connection) -> Result<Self, DbError> {
        let (commands, waiting) = mpsc::channel();
        thread::Builder::new()
            .name("database".into())
            .spawn(move || serve(connection, &waiting))
            .map_err(|_| DbError::Closed)?;
        Ok(Self { commands })
    }

    /// Runs `work` in a transaction. Its changes are undone if it fails; if it succeeds, they are on the disk
    /// when this returns.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, DbError> {
        let (reply, answer) = oneshot::channel();
        let command: Command = Box::new(move |transaction| {
            let outcome = transaction.and_then(|transaction| Ok(alone(transaction, work)?));
            let error = outcome.as_ref().err().cloned();
            let deliver: Deliver = Box::new(move |committed| {
                // A caller that went away does not need the answer.
                let _ = reply.send(committed.and(outcome));
            });
            (error, deliver)
        });
        self.commands.send(command).map_err(|_| DbError::Closed)?;
        answer.await.unwrap_or(Err(DbError::Closed))
    }
}

/// Runs one closure of a batch, so that its failure undoes only its own changes.
fn alone<T>(
    transaction: &mut Transaction<'_>,
    work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let savepoint = transaction.savepoint()?;
    let value = work(&savepoint)?;
    savepoint.commit()?;
    Ok(value)
}

fn serve(mut connection: Connection, waiting: &mpsc::Receiver<Command>) {
    while let Ok(first) = waiting.recv() {
        let mut batch = vec![first];
        batch.extend(waiting.try_iter().take(LARGEST_BATCH - 1));
        commit(&mut connection, batch);
    }
}

fn commit(connection: &mut Connection, batch: Vec<Command>) {
    let mut transaction = match connection.transaction_with_behavior(TransactionBehavior::Immediate)
    {
        Ok(transaction) => transaction,
        Err(error) => {
            let error = DbError::from(error);
            for command in batch {
                let (_, deliver) = command(Err(error.clone()));
                deliver(Ok(()));
            }
            return;
        }
    };
    // SQLite rolls back the whole transaction when a disk is full or broken. The earlier closures are
    // undone then, and the later ones must not run outside of a transaction.
    let mut given_up = None;
    let mut delivers = Vec::with_capacity(batch.len());
    for command in batch {
        let (error, deliver) = command(match &given_up {
            None => Ok(&mut transaction),
            Some(error) => Err(DbError::clone(error)),
        });
        if given_up.is_none() && transaction.is_autocommit() {
            given_up = Some(error.unwrap_or(DbError::Closed));
        }
        delivers.push(deliver);
    }
    let committed = match given_up {
        None => transaction.commit().map_err(DbError::from),
        Some(error) => Err(error),
    };
    for deliver in delivers {
        deliver(committed.clone());
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    // Gives freed pages back to the disk, since large payloads come and go. Works only on a new file.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    let mode: String = connection.query_row("PRAGMA journal_mode=WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        tracing::warn!(
            "{}: this disk does not support a write-ahead log; queueing jobs is slower",
            path.display()
        );
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "journal_size_limit", LARGEST_LOG)?;
    let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if found == "ok" {
        return Ok(connection);
    }
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    Err(rusqlite::Error::SqliteFailure(code, Some(found)))
}

fn is_damaged(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Renames a damaged database, so that an operator can still inspect it.
fn set_aside(path: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let mut from = path.as_os_str().to_owned();
        from.push(suffix);
        let mut to = path.as_os_str().to_owned();
        to.push(format!(".damaged{suffix}"));
        // The log may not exist; a file that cannot be renamed makes the next attempt to open fail.
        let _ = fs::rename(from, to);
    }
}

#[cfg(test)]
mod tests;
