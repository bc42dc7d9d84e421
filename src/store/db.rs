//! One SQLite file, and the one thread that uses it.
//!
//! In: closures over a transaction. Out: what they return, once it is on the disk. Closures that
//! wait at the same time share one commit, and so one flush: a storm of webhooks costs a few.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};
use thiserror::Error;
use tokio::sync::oneshot;

/// Most closures that share a commit.
const LARGEST_BATCH: usize = 256;
/// The write-ahead log is cut back to this size after a large transaction.
const LARGEST_LOG: i64 = 16 << 20;
/// How long another process that looks into the file may hold us up.
const BUSY: Duration = Duration::from_secs(10);

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
    /// Whether the disk has no room.
    pub fn is_full(&self) -> bool {
        self.code() == Some(ErrorCode::DiskFull)
    }

    /// Whether the disk takes no writing at all.
    pub fn is_read_only(&self) -> bool {
        self.code() == Some(ErrorCode::ReadOnly)
    }

    /// Whether another process holds the database up, so that the same may succeed soon.
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
/// What a closure met, and what takes its outcome to its caller.
type Done = (Option<DbError>, Deliver);
type Command = Box<dyn FnOnce(Result<&mut Transaction<'_>, DbError>) -> Done + Send>;

/// A database that is open.
#[derive(Debug)]
pub struct Db {
    commands: mpsc::Sender<Command>,
}

impl Db {
    /// Opens or makes the file. `prepare` brings its tables up to date.
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

    /// Makes a database that is gone with the process.
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

    /// Runs `work` in a transaction. What it did is undone if it fails; if it succeeds, it is on the
    /// disk when this returns.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, DbError> {
        let (reply, answer) = oneshot::channel();
        let command: Command = Box::new(move |transaction| {
            let outcome = transaction.and_then(|transaction| Ok(alone(transaction, work)?));
            let error = outcome.as_ref().err().cloned();
            let deliver: Deliver = Box::new(move |committed| {
                // A caller that went away does not want the answer any more.
                let _ = reply.send(committed.and(outcome));
            });
            (error, deliver)
        });
        self.commands.send(command).map_err(|_| DbError::Closed)?;
        answer.await.unwrap_or(Err(DbError::Closed))
    }
}

/// Runs one closure of a batch so that its failure undoes nothing but itself.
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
    // SQLite gives up the whole transaction when a disk is full or broken. What ran before is undone
    // then, and what comes after must not run outside of a transaction.
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
    // Freed pages go back to the disk: large payloads come and go. Works only on a new file.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    let mode: String = connection.query_row("PRAGMA journal_mode=WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        tracing::warn!(
            "{}: this disk allows no write-ahead log; queueing jobs is slower",
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

/// Renames a damaged database, so that somebody may still look at it.
fn set_aside(path: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let mut from = path.as_os_str().to_owned();
        from.push(suffix);
        let mut to = path.as_os_str().to_owned();
        to.push(format!(".damaged{suffix}"));
        // The log may not be there; what stays in the way shows in the next attempt to open.
        let _ = fs::rename(from, to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counter(dir: &Path) -> Db {
        Db::open(&dir.join("state.db"), |connection| {
            connection.execute_batch("CREATE TABLE IF NOT EXISTS n(value INTEGER)")
        })
        .unwrap()
    }

    async fn count(db: &Db) -> i64 {
        db.run(|tx| tx.query_row("SELECT count(*) FROM n", [], |row| row.get(0))).await.unwrap()
    }

    /// Inserts numbers, many at a time; how many were answered well.
    async fn insert(
        db: &Arc<Db>,
        numbers: i64,
        after: fn(&Connection, i64) -> rusqlite::Result<()>,
    ) -> i64 {
        let tasks: Vec<_> = (0..numbers)
            .map(|number| {
                let db = Arc::clone(db);
                tokio::spawn(async move {
                    let insert = move |tx: &Connection| {
                        tx.execute("INSERT INTO n VALUES (?1)", [number])?;
                        after(tx, number)
                    };
                    db.run(insert).await.is_ok()
                })
            })
            .collect();
        let mut good = 0;
        for task in tasks {
            good += i64::from(task.await.unwrap());
        }
        good
    }

    #[tokio::test]
    async fn what_fails_undoes_itself_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let db = Arc::new(counter(dir.path()));
        let fail_odd = |_: &Connection, number| {
            if number % 2 == 0 { Ok(()) } else { Err(rusqlite::Error::InvalidQuery) }
        };
        assert_eq!(insert(&db, 100, fail_odd).await, 50);
        assert_eq!(count(&db).await, 50);
    }

    #[tokio::test]
    async fn where_the_whole_transaction_is_given_up_nobody_of_the_batch_is_told_otherwise() {
        let dir = tempfile::tempdir().unwrap();
        let db = Arc::new(counter(dir.path()));
        // As a full disk makes it.
        let give_up = |tx: &Connection, number| {
            if number % 10 == 3 { tx.execute_batch("ROLLBACK") } else { Ok(()) }
        };
        let good = insert(&db, 50, give_up).await;
        assert_eq!(good, count(&db).await);
    }

    #[tokio::test]
    async fn what_was_answered_is_there_after_reopening() {
        let dir = tempfile::tempdir().unwrap();
        let db = counter(dir.path());
        db.run(|tx| tx.execute("INSERT INTO n VALUES (1)", [])).await.unwrap();
        // A copy of the files is what a killed process leaves behind.
        let copy = tempfile::tempdir().unwrap();
        for name in ["state.db", "state.db-wal"] {
            fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
        }
        assert_eq!(count(&counter(copy.path())).await, 1);
    }

    #[tokio::test]
    async fn a_damaged_file_is_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("state.db"), vec![7; 8192]).unwrap();
        let db = counter(dir.path());
        assert_eq!(count(&db).await, 0);
        assert!(dir.path().join("state.db.damaged").exists());
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn what_was_answered_is_on_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let db = counter(dir.path());
        count(&db).await;
        let watch = crate::store::sync_calls::Watch::over(dir.path());
        count(&db).await;
        assert_eq!(watch.take_paths(), [""; 0], "nothing was written");
        for number in 0..3 {
            db.run(move |tx| tx.execute("INSERT INTO n VALUES (?1)", [number])).await.unwrap();
            let paths = watch.take_paths();
            assert!(paths.first().is_some_and(|path| path == "state.db-wal"), "{paths:?}");
        }
    }

    #[tokio::test]
    async fn errors_are_told_apart_by_what_helps() {
        let dir = tempfile::tempdir().unwrap();
        let db = counter(dir.path());
        let kinds = |error: &DbError| (error.is_full(), error.is_read_only(), error.is_passing());
        let failed = |code| {
            move |_: &Connection| -> rusqlite::Result<()> {
                Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None))
            }
        };
        for (code, expected) in [
            (rusqlite::ffi::SQLITE_FULL, (true, false, false)),
            (rusqlite::ffi::SQLITE_READONLY, (false, true, false)),
            (rusqlite::ffi::SQLITE_BUSY, (false, false, true)),
            (rusqlite::ffi::SQLITE_LOCKED, (false, false, true)),
            (rusqlite::ffi::SQLITE_IOERR, (false, false, false)),
        ] {
            assert_eq!(kinds(&db.run(failed(code)).await.unwrap_err()), expected, "{code}");
        }
        assert_eq!(kinds(&DbError::Closed), (false, false, false));
        fs::create_dir(dir.path().join("folder")).unwrap();
        let unopened = Db::open(&dir.path().join("folder"), |_| Ok(())).unwrap_err();
        assert!(unopened.to_string().contains("folder: "), "{unopened}");
    }

    #[tokio::test]
    async fn a_disk_without_room_is_said_to_be_full_and_the_next_write_may_succeed() {
        let dir = tempfile::tempdir().unwrap();
        let db = counter(dir.path());
        let limit = |pages: u32| {
            move |tx: &Connection| {
                tx.pragma_update_and_check(None, "max_page_count", pages, |row| {
                    row.get::<_, u32>(0)
                })
            }
        };
        db.run(limit(1)).await.unwrap();
        let big = |tx: &Connection| {
            tx.execute_batch("CREATE TABLE big(body); INSERT INTO big VALUES (zeroblob(1000000))")
        };
        assert!(db.run(big).await.unwrap_err().is_full());
        db.run(limit(1_000_000)).await.unwrap();
        db.run(big).await.unwrap();
    }

    #[tokio::test]
    async fn a_database_in_memory_is_prepared_too() {
        let db = Db::in_memory(|connection| connection.execute_batch("CREATE TABLE n(value)"));
        assert_eq!(count(&db.unwrap()).await, 0);
        let refused = Db::in_memory(|_| Err(rusqlite::Error::InvalidQuery));
        assert!(matches!(refused, Err(DbError::Sqlite(_))));
    }

    #[test]
    fn what_is_damaged_is_set_aside_with_its_log_and_what_is_not_stays() {
        let dir = tempfile::tempdir().unwrap();
        let files = ["state.db", "state.db-wal", "state.db-shm"];
        for file in files {
            fs::write(dir.path().join(file), file).unwrap();
        }
        set_aside(&dir.path().join("state.db"));
        for (file, aside) in
            files.iter().zip(["state.db.damaged", "state.db.damaged-wal", "state.db.damaged-shm"])
        {
            assert!(!dir.path().join(file).exists());
            assert_eq!(fs::read_to_string(dir.path().join(aside)).unwrap(), *file);
        }
        let refuses = |_: &Connection| Err(rusqlite::Error::InvalidQuery);
        fs::create_dir(dir.path().join("kept")).unwrap();
        let path = dir.path().join("kept/state.db");
        counter(&dir.path().join("kept"));
        assert!(matches!(Db::open(&path, refuses), Err(DbError::Open { .. })));
        assert!(path.exists() && !path.with_extension("db.damaged").exists());
    }
}
