//! Reads and writes the same file in processes without a server, each of which opens it itself.
//!
//! A connection of SQLite must not be used or closed on the other side of a fork. So a process closes all
//! connections before it forks, and parent and child open new ones when they next need them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, Once};

use rusqlite::Connection;

use super::{TABLE, delete, get, put};
use crate::os::fork;
use crate::store::db::{BUSY, DbError};

type Connections = BTreeMap<PathBuf, Connection>;

/// The connections of this process. A mutex of the standard library, since a child of a fork can unlock it
/// even if other threads of the parent were waiting for it.
static OPEN: Mutex<Connections> = Mutex::new(BTreeMap::new());

thread_local! {
    /// Keeps other threads from opening a connection while this thread forks.
    static FORKING: RefCell<Option<MutexGuard<'static, Connections>>> = const { RefCell::new(None) };
}

fn open() -> MutexGuard<'static, Connections> {
    fork::lock(&OPEN)
}

extern "C" fn before_fork() {
    let mut open = open();
    open.clear();
    FORKING.set(Some(open));
}

extern "C" fn after_fork() {
    FORKING.set(None);
}

/// A file of values; opened at its first use.
#[derive(Debug)]
pub struct KeyFile {
    path: PathBuf,
}

impl KeyFile {
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub fn get(&self, project: &str, key: &str) -> Result<Option<String>, DbError> {
        self.run(|db| get(db, project, key))
    }

    pub fn set(&self, project: &str, key: &str, value: &str) -> Result<(), DbError> {
        self.run(|db| put(db, project, key, value))
    }

    pub fn delete(&self, project: &str, key: &str) -> Result<(), DbError> {
        self.run(|db| delete(db, project, key))
    }

    fn run<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, DbError> {
        static WATCHED: Once = Once::new();
        // Registering fails only for lack of memory.
        WATCHED.call_once(|| drop(fork::around_forks(before_fork, after_fork)));
        let mut open = open();
        if !open.contains_key(&self.path) {
            let connection = self.connect().map_err(|error| DbError::Open {
                path: self.path.clone(),
                reason: Arc::new(error),
            })?;
            open.insert(self.path.clone(), connection);
        }
        Ok(work(&open[&self.path])?)
    }

    fn connect(&self) -> rusqlite::Result<Connection> {
        if let Some(folder) = self.path.parent() {
            // If this fails, opening the file fails with the reason.
            let _ = fs::create_dir_all(folder);
        }
        let connection = Connection::open(&self.path)?;
        connection.busy_timeout(BUSY)?;
        connection.execute_batch(TABLE)?;
        Ok(connection)
    }
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        // If another thread uses a connection at the moment, this one stays open, which does no harm.
        if let Ok(mut open) = OPEN.try_lock() {
            open.remove(&self.path);
        }
    }
}
