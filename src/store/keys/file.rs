//! The same file in processes of the user's own, where no server keeps it: each of them opens it.
//!
//! No connection of SQLite may be used, or closed, on the other side of a fork. So all of a process are
//! closed before it forks, and both sides open theirs when they need it next.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};

use rusqlite::Connection;

use super::{TABLE, delete, get, put};
use crate::os::fork;
use crate::store::db::{BUSY, DbError};

type Connections = BTreeMap<PathBuf, Connection>;

/// The connections of this process.
static OPEN: Mutex<Connections> = Mutex::new(BTreeMap::new());

thread_local! {
    /// Keeps other threads from opening one while this one forks.
    static FORKING: RefCell<Option<MutexGuard<'static, Connections>>> = const { RefCell::new(None) };
}

fn open() -> MutexGuard<'static, Connections> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

extern "C" fn before_fork() {
    let mut open = open();
    open.clear();
    FORKING.set(Some(open));
}

extern "C" fn after_fork() {
    FORKING.set(None);
}

/// A file of values that is opened when it is first used.
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

    fn run<T>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, DbError> {
        static WATCHED: Once = Once::new();
        // It fails only without memory.
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
            // What keeps the folder from being made shows when the file is opened.
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
        // While another thread is at work the connection stays, which does no harm.
        if let Ok(mut open) = OPEN.try_lock() {
            open.remove(&self.path);
        }
    }
}
