//! Becoming the owner of a model folder: the lock, the job store, and the jobs of a server that was killed.
//!
//! Two servers on one folder would disturb each other's jobs. The second one only predicts while it waits for
//! the lock (a rolling update), and gives up after `--lock-wait`. If the folder is that of another model, it
//! gives up at once.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::time::{Instant, sleep};
use tracing::{error, info, warn};

use super::queue::{Ownership, Queue};
use crate::publishing::Publisher;
use crate::serving::ServingError;
use crate::serving::served_class::made_by;
use crate::store::db::DbError;
use crate::store::durable_fs;
use crate::store::jobs::{JobStore, read, transitions};
use crate::store::lock::{self, Holder, Lock, LockAttempt, named, with_pid};
use crate::store::maker;
use crate::store::own_folder::lock_file;
use crate::store::versions::{StoreError, Versions};
use crate::workers::orphan_process;

/// Time between two attempts to take the lock.
const LOCK_PAUSE: Duration = Duration::from_millis(100);
/// Time between two attempts to write a folder that cannot be written.
const UNUSABLE_PAUSE: Duration = Duration::from_secs(5);

/// The lock and the job store, which an owner holds as long as the server lives.
#[derive(Debug)]
pub struct Owner {
    pub store: Arc<JobStore>,
    pub versions: Arc<Versions>,
    _lock: Lock,
}

#[derive(Debug, Error)]
pub enum OwnershipError {
    #[error(
        "{folder}: {} did not let go of this model folder within {waited} s (--lock-wait), and one folder can \
         have one server; choose another --model-dir, or stop that server first",
        with_pid(*holder)
    )]
    Held { folder: String, holder: Option<Holder>, waited: u64 },
    #[error(
        "{folder}: {} uses this folder for the models of another class or project; choose another --model-dir",
        named(*holder)
    )]
    HeldByOther { folder: String, holder: Option<Holder> },
    /// There is no class, so nothing says where MODEL_DIR is.
    #[error(transparent)]
    NoClass(ServingError),
    #[error(transparent)]
    Serving(#[from] ServingError),
}

/// Why a folder cannot be owned.
#[derive(Debug, Error)]
enum Obstacle {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Db(#[from] DbError),
    #[error("{0}")]
    Versions(#[from] StoreError),
}

/// Waits until this server owns its model folder; meanwhile `queue` tells requests why it does not.
pub async fn own(
    publisher: &Publisher,
    queue: &Queue,
    lock_wait: Duration,
    port: Option<u16>,
) -> Result<Owner, OwnershipError> {
    let served = &publisher.registry().class;
    let (class, versions) = served.imported().await.map_err(|error| match error {
        ServingError::OthersModels(_) => OwnershipError::Serving(error),
        error => OwnershipError::NoClass(error),
    })?;
    let began = Instant::now();
    let mut waited = false;
    loop {
        match try_to_own(&versions, port).await {
            Ok(Ok((lock, store))) => {
                // The server before may have been that of another model.
                served.check_folder(&class).map_err(ServingError::OthersModels)?;
                maker::claim(versions.model_dir(), &made_by(&class));
                if let Err(error) = publisher.undo_activation().await {
                    // Predictions go on; the next training and the next activation try it again.
                    error!("an activation that was interrupted cannot be undone now: {error}");
                }
                publisher.give_up_interrupted().await?;
                if waited {
                    info!("this server owns the model folder now");
                    publisher.refresh().await;
                }
                let open = store.run(read::open_jobs).await.unwrap_or_default();
                queue.changed(open);
                queue.set_ownership(Ownership::Owner(Arc::clone(&store)));
                return Ok(Owner { store, versions, _lock: lock });
            }
            Ok(Err(holder)) => {
                let folder = versions.model_dir().display().to_string();
                if served.is_used_by_other(&class) {
                    return Err(OwnershipError::HeldByOther { folder, holder });
                }
                if !waited {
                    warn!(
                        "training is off: {} already uses {folder}; choose another --model-dir, or stop that \
                         server: this one stops in {} s (--lock-wait)",
                        named(holder),
                        lock_wait.as_secs()
                    );
                }
                waited = true;
                queue.set_ownership(Ownership::Held(holder));
                if began.elapsed() >= lock_wait {
                    let waited = lock_wait.as_secs();
                    return Err(OwnershipError::Held { folder, holder, waited });
                }
                sleep(LOCK_PAUSE).await;
            }
            Err(obstacle) => {
                let reason = obstacle.to_string();
                if !matches!(queue.ownership(), Ownership::Unusable(_)) {
                    warn!("the model folder cannot be written, so nothing is trained: {reason}");
                }
                queue.set_ownership(Ownership::Unusable(reason));
                sleep(UNUSABLE_PAUSE).await;
            }
        }
    }
}

/// Takes the lock and opens the store, or returns the holder of the lock.
async fn try_to_own(
    versions: &Arc<Versions>,
    port: Option<u16>,
) -> Result<Result<(Lock, Arc<JobStore>), Option<Holder>>, Obstacle> {
    let opened = tokio::task::spawn_blocking({
        let versions = Arc::clone(versions);
        move || open(&versions, port)
    });
    let (lock, store) = match opened.await.map_err(io::Error::other)?? {
        Ok(opened) => opened,
        Err(holder) => return Ok(Err(holder)),
    };
    recover(&store, versions).await?;
    Ok(Ok((lock, Arc::new(store))))
}

fn open(
    versions: &Versions,
    port: Option<u16>,
) -> Result<Result<(Lock, JobStore), Option<Holder>>, Obstacle> {
    let own = versions.own_dir();
    let said =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", own.display()));
    durable_fs::create_dirs(&own).map_err(said)?;
    let lock = match lock::take(&lock_file(versions.model_dir()), port).map_err(said)? {
        LockAttempt::Taken(lock) => lock,
        LockAttempt::Held(holder) => return Ok(Err(holder)),
    };
    versions.sweep();
    Ok(Ok((lock, JobStore::open(&own.join("state.db"))?)))
}

/// Settles the jobs that ran when the previous server ended.
async fn recover(store: &JobStore, versions: &Arc<Versions>) -> Result<(), Obstacle> {
    for orphan in store.run(transitions::orphans).await? {
        let (versions, left) = (Arc::clone(versions), orphan.clone());
        let looked = tokio::task::spawn_blocking(move || {
            if let Some(worker) = &left.worker {
                orphan_process::kill(worker);
            }
            versions.is_published(&left.project, left.id.into())
        });
        let is_published = looked.await.map_err(io::Error::other)??;
        let (id, project) = (orphan.id, orphan.project.clone());
        store.run(move |db| transitions::recover(db, &orphan, is_published)).await?;
        info!(
            project = project.as_str(),
            job = %id,
            is_published,
            "the previous server ended while this job ran"
        );
    }
    Ok(())
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::os::sync_calls::Watch;

    #[test]
    fn the_folder_of_the_job_store_is_on_the_disk_once_it_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let watch = Watch::over(dir.path());
        let own = dir.path().join("models/.label-studio-ml");
        durable_fs::create_dirs(&own).unwrap();
        let synced: Vec<_> =
            watch.take().into_iter().map(|synced| (synced.path, synced.names)).collect();
        let expected = [("", "models"), ("models", ".label-studio-ml")];
        assert_eq!(synced, expected.map(|(path, name)| (path.into(), vec![name.to_owned()])));
        durable_fs::create_dirs(&own).unwrap();
        assert_eq!(watch.take(), [], "nothing new is there");
        fs::remove_dir(&own).unwrap();
        watch.break_when(|synced| synced.path == Path::new("models"));
        assert!(durable_fs::create_dirs(&own).is_err(), "jobs in it may be lost");
    }
}
