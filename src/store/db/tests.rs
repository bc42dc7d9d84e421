//! Transactions that share a commit, and how they end when the file is broken, full or locked.

use super::*;
use crate::testing::run_in_time;

fn counter(dir: &Path) -> Db {
    Db::open(&dir.join("state.db"), |connection| {
        connection.execute_batch("CREATE TABLE IF NOT EXISTS n(value INTEGER)")
    })
    .unwrap()
}

async fn count(db: &Db) -> i64 {
    db.run(|tx| tx.query_row("SELECT count(*) FROM n", [], |row| row.get(0))).await.unwrap()
}

/// Inserts numbers, many at a time; returns how many of the calls succeeded.
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

#[test]
fn what_fails_undoes_itself_and_nothing_else() {
    run_in_time(|| async {
        let dir = tempfile::tempdir().unwrap();
        let db = Arc::new(counter(dir.path()));
        let fail_odd = |_: &Connection, number| {
            if number % 2 == 0 { Ok(()) } else { Err(rusqlite::Error::InvalidQuery) }
        };
        assert_eq!(insert(&db, 100, fail_odd).await, 50);
        assert_eq!(count(&db).await, 50);
    });
}

#[test]
fn where_the_whole_transaction_is_given_up_nobody_of_the_batch_is_told_otherwise() {
    run_in_time(|| async {
        let dir = tempfile::tempdir().unwrap();
        let db = Arc::new(counter(dir.path()));
        // As SQLite does on a full disk.
        let give_up = |tx: &Connection, number| {
            if number % 10 == 3 { tx.execute_batch("ROLLBACK") } else { Ok(()) }
        };
        let good = insert(&db, 50, give_up).await;
        assert_eq!(good, count(&db).await);
    });
}

#[test]
fn a_committed_row_is_there_after_reopening() {
    run_in_time(|| async {
        let dir = tempfile::tempdir().unwrap();
        let db = counter(dir.path());
        db.run(|tx| tx.execute("INSERT INTO n VALUES (1)", [])).await.unwrap();
        // A copy of the files is what a killed process leaves behind.
        let copy = tempfile::tempdir().unwrap();
        for name in ["state.db", "state.db-wal"] {
            fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
        }
        assert_eq!(count(&counter(copy.path())).await, 1);
    });
}

#[test]
fn a_damaged_file_is_set_aside() {
    run_in_time(|| async {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("state.db"), vec![7; 8192]).unwrap();
        let db = counter(dir.path());
        assert_eq!(count(&db).await, 0);
        assert!(dir.path().join("state.db.damaged").exists());
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_committed_row_is_on_the_disk() {
    run_in_time(|| async {
        let dir = tempfile::tempdir().unwrap();
        let db = counter(dir.path());
        count(&db).await;
        let watch = crate::os::sync_calls::Watch::over(dir.path());
        count(&db).await;
        assert_eq!(watch.take_paths(), [""; 0], "nothing was written");
        for number in 0..3 {
            db.run(move |tx| tx.execute("INSERT INTO n VALUES (?1)", [number])).await.unwrap();
            let paths = watch.take_paths();
            assert!(paths.first().is_some_and(|path| path == "state.db-wal"), "{paths:?}");
        }
    });
}

#[test]
fn errors_are_told_apart_by_their_remedy() {
    run_in_time(|| async {
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
    });
}

#[test]
fn a_disk_without_room_is_said_to_be_full_and_the_next_write_may_succeed() {
    run_in_time(|| async {
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
    });
}

#[test]
fn a_database_in_memory_is_prepared_too() {
    run_in_time(|| async {
        let db = Db::in_memory(|connection| connection.execute_batch("CREATE TABLE n(value)"));
        assert_eq!(count(&db.unwrap()).await, 0);
        let refused = Db::in_memory(|_| Err(rusqlite::Error::InvalidQuery));
        assert!(matches!(refused, Err(DbError::Sqlite(_))));
    });
}

#[test]
fn a_damaged_file_is_set_aside_with_its_log_and_a_sound_one_stays() {
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

#[test]
fn a_file_is_opened_so_that_nothing_is_lost_and_room_is_given_back() {
    run_in_time(|| async {
        let dir = tempfile::tempdir().unwrap();
        let db = counter(dir.path());
        for (pragma, expected) in [
            ("auto_vacuum", 2),
            ("synchronous", 2),
            ("journal_size_limit", 16 << 20),
            ("busy_timeout", 10_000),
        ] {
            let ask = move |tx: &Connection| {
                tx.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get::<_, i64>(0))
            };
            assert_eq!(db.run(ask).await.unwrap(), expected, "{pragma}");
        }
        let mode = |tx: &Connection| tx.query_row("PRAGMA journal_mode", [], |row| row.get(0));
        assert_eq!(db.run(mode).await.map(|mode: String| mode).unwrap(), "wal");
    });
}

#[test]
fn a_file_that_another_process_holds_up_is_said_to_be_so() {
    run_in_time(|| async {
        let dir = tempfile::tempdir().unwrap();
        let db = counter(dir.path());
        db.run(|tx| tx.pragma_update(None, "busy_timeout", 0)).await.unwrap();
        let other = Connection::open(dir.path().join("state.db")).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        assert!(db.run(|_| Ok(())).await.unwrap_err().is_passing());
        other.execute_batch("ROLLBACK").unwrap();
        db.run(|_| Ok(())).await.unwrap();
    });
}

#[cfg(target_os = "linux")]
#[test]
fn those_that_wait_at_the_same_time_share_a_flush() {
    run_in_time(|| async {
        let dir = tempfile::tempdir().unwrap();
        let db = Arc::new(counter(dir.path()));
        let watch = crate::os::sync_calls::Watch::over(dir.path());
        assert_eq!(insert(&db, 100, |_, _| Ok(())).await, 100);
        let flushes = watch.take_paths().len();
        assert!((1..50).contains(&flushes), "{flushes}");
    });
}
