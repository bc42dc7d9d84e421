//! Values that user code keeps for its projects with `self.set`, in `MODEL_DIR/cache.db`.
//!
//! The file has the original's schema and holds all values, so a return to the original loses nothing. If it
//! cannot be written, values are kept in memory as long as the server lives.

mod file;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use super::db::{self, Db, DbError};
use super::durable_fs;
pub use file::KeyFile;

const FILE: &str = "cache.db";

const TABLE: &str = "CREATE TABLE IF NOT EXISTS cache (
    project_id TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (project_id, key)
)";

/// Keys that a model sets without learning anything: what /setup brought, and the name of its version.
const NAME_OF_VERSION: &str = "model_version";
const OF_SETUP: [&str; 4] =
    ["label_config", "parsed_label_config", "extra_params", NAME_OF_VERSION];

/// Whether a model has kept something in a MODEL_DIR that it may have learned.
pub fn holds_learned(model_dir: &Path) -> bool {
    let look = || {
        let file =
            Connection::open_with_flags(model_dir.join(FILE), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        file.busy_timeout(db::BUSY)?;
        let mut rows =
            file.prepare("SELECT 1 FROM cache WHERE key NOT IN (?1, ?2, ?3, ?4) LIMIT 1")?;
        rows.exists(OF_SETUP)
    };
    // Of a file that cannot be read nothing is served.
    look().unwrap_or(false)
}

/// Removes the names that a model gave its versions, which another model must not show as its own.
pub fn forget_names(model_dir: &Path) -> rusqlite::Result<()> {
    let file = model_dir.join(FILE);
    if !file.is_file() {
        return Ok(());
    }
    let file = Connection::open(file)?;
    file.busy_timeout(db::BUSY)?;
    file.execute_batch(TABLE)?;
    file.execute("DELETE FROM cache WHERE key = ?1", [NAME_OF_VERSION]).map(drop)
}

/// The values of all projects below one MODEL_DIR.
#[derive(Debug)]
pub struct KeyStore {
    db: Db,
    /// None for values that are only in memory.
    path: Option<PathBuf>,
}

/// Maximum number of attempts to open a file that another process has locked.
const ATTEMPTS: u32 = 3;

impl KeyStore {
    pub fn open(model_dir: &Path) -> Result<Self, DbError> {
        let path = model_dir.join(FILE);
        // If the folder cannot be made, opening the file fails with the reason.
        let _ = durable_fs::create_dirs(model_dir);
        let writable = |connection: &Connection| {
            connection.execute_batch(TABLE)?;
            // A read-only file can be opened, too; only a write shows the difference.
            connection.execute("DELETE FROM cache WHERE 0", []).map(|_| ())
        };
        let mut opened = Db::open(&path, writable);
        for _ in 1..ATTEMPTS {
            if opened.as_ref().is_err_and(DbError::is_passing) {
                opened = Db::open(&path, writable);
            }
        }
        let error = match opened {
            Ok(db) => return Ok(Self { db, path: Some(path) }),
            Err(error) => error,
        };
        tracing::warn!(
            "{error}; values that models keep with self.set last only until the server ends"
        );
        let db = Db::in_memory(|connection| {
            connection.execute_batch(TABLE)?;
            copy(&path, connection)
        })?;
        Ok(Self { db, path: None })
    }

    /// Moves all values into the file itself, so that a copy of it alone has them.
    pub fn flush(&self) -> Result<(), DbError> {
        if let Some(path) = &self.path {
            let connection = Connection::open(path)?;
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        }
        Ok(())
    }

    pub async fn get(&self, project: &str, key: &str) -> Result<Option<String>, DbError> {
        let (project, key) = (project.to_owned(), key.to_owned());
        self.db.run(move |db| get(db, &project, &key)).await
    }

    /// Stores a value, which is on the disk when this returns; returns the value before.
    pub async fn set(
        &self,
        project: &str,
        key: &str,
        value: String,
    ) -> Result<Option<String>, DbError> {
        let (project, key) = (project.to_owned(), key.to_owned());
        self.db
            .run(move |db| {
                let before = get(db, &project, &key)?;
                if before.as_ref() != Some(&value) {
                    put(db, &project, &key, &value)?;
                }
                Ok(before)
            })
            .await
    }

    /// All values of a project.
    pub async fn all(&self, project: &str) -> Result<BTreeMap<String, String>, DbError> {
        let project = project.to_owned();
        self.db
            .run(move |db| {
                db.prepare_cached("SELECT key, value FROM cache WHERE project_id = ?1")?
                    .query_map([&project], |row| Ok((row.get(0)?, row.get(1)?)))?
                    .collect()
            })
            .await
    }

    /// Makes these the values of a project, all at once; keys in `untouched` stay as they are.
    pub async fn replace(
        &self,
        project: &str,
        values: BTreeMap<String, String>,
        untouched: &'static [&'static str],
    ) -> Result<(), DbError> {
        let project = project.to_owned();
        self.db
            .run(move |db| {
                let mut known = db.prepare_cached("SELECT key FROM cache WHERE project_id = ?1")?;
                let known: Vec<String> =
                    known.query_map([&project], |row| row.get(0))?.collect::<Result<_, _>>()?;
                let is_untouched = |key: &str| untouched.contains(&key);
                for key in known.iter().filter(|key| !is_untouched(key)) {
                    if !values.contains_key(key) {
                        delete(db, &project, key)?;
                    }
                }
                for (key, value) in values.iter().filter(|(key, _)| !is_untouched(key)) {
                    put(db, &project, key, value)?;
                }
                Ok(())
            })
            .await
    }

    /// Deletes a value; returns the value before.
    pub async fn delete(&self, project: &str, key: &str) -> Result<Option<String>, DbError> {
        let (project, key) = (project.to_owned(), key.to_owned());
        self.db
            .run(move |db| {
                let before = get(db, &project, &key)?;
                delete(db, &project, &key)?;
                Ok(before)
            })
            .await
    }
}

fn get(db: &Connection, project: &str, key: &str) -> rusqlite::Result<Option<String>> {
    db.prepare_cached("SELECT value FROM cache WHERE project_id = ?1 AND key = ?2")?
        .query_row(params![project, key], |row| row.get(0))
        .optional()
}

fn put(db: &Connection, project: &str, key: &str, value: &str) -> rusqlite::Result<()> {
    db.prepare_cached("REPLACE INTO cache (project_id, key, value) VALUES (?1, ?2, ?3)")?
        .execute(params![project, key, value])
        .map(|_| ())
}

fn delete(db: &Connection, project: &str, key: &str) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM cache WHERE project_id = ?1 AND key = ?2")?
        .execute(params![project, key])
        .map(|_| ())
}

/// Copies the values of a file that can only be read.
fn copy(path: &Path, into: &Connection) -> rusqlite::Result<()> {
    let Ok(from) = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY) else {
        return Ok(());
    };
    let Ok(mut rows) = from.prepare("SELECT project_id, key, value FROM cache") else {
        return Ok(());
    };
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        let (project, key, value): (String, String, String) =
            (row.get(0)?, row.get(1)?, row.get(2)?);
        into.execute("INSERT INTO cache VALUES (?1, ?2, ?3)", params![project, key, value])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[tokio::test]
    async fn values_are_there_after_reopening_in_the_form_of_the_original() {
        let dir = tempfile::tempdir().unwrap();
        let keys = KeyStore::open(dir.path()).unwrap();
        assert_eq!(keys.get("7", "model_version").await.unwrap(), None);
        assert_eq!(keys.set("7", "model_version", "0.0.1".into()).await.unwrap(), None);
        let before = keys.set("7", "model_version", "0.0.2".into()).await.unwrap();
        assert_eq!(before.as_deref(), Some("0.0.1"));
        keys.set("8", "prompt", "é".into()).await.unwrap();
        assert_eq!(keys.delete("8", "prompt").await.unwrap().as_deref(), Some("é"));
        keys.flush().unwrap();
        let copy = dir.path().join("copy.db");
        fs::copy(dir.path().join("cache.db"), &copy).unwrap();
        let file = Connection::open(copy).unwrap();
        let row: (String, String, String) = file
            .query_row("SELECT project_id, key, value FROM cache", [], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .unwrap();
        assert_eq!(row, ("7".into(), "model_version".into(), "0.0.2".into()));
    }

    #[tokio::test]
    async fn all_values_of_a_project_are_replaced_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let keys = KeyStore::open(dir.path()).unwrap();
        for (project, key) in [("7", "a"), ("7", "b"), ("7", "extra_params"), ("77", "a")] {
            keys.set(project, key, "old".into()).await.unwrap();
        }
        let wanted: BTreeMap<_, _> =
            ["b", "c", "extra_params"].map(|key| (key.to_owned(), "new".to_owned())).into();
        keys.replace("7", wanted, &["extra_params"]).await.unwrap();
        let expected = [("b", "new"), ("c", "new"), ("extra_params", "old")];
        let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(keys.all("7").await.unwrap(), expected.into());
        assert_eq!(keys.get("77", "a").await.unwrap().as_deref(), Some("old"));
    }

    #[tokio::test]
    async fn without_a_place_to_write_values_are_kept_in_memory() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        let keys = KeyStore::open(&dir.path().join("file")).unwrap();
        keys.set("7", "a", "b".into()).await.unwrap();
        assert_eq!(keys.get("7", "a").await.unwrap().as_deref(), Some("b"));
    }
}
