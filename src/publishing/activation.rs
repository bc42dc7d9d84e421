//! Goes back to a version, or forward again.
//!
//! API v1: its folder is loaded beside the version that answers. API v2: its files and keys are put back, and all
//! workers are replaced. Predictions wait meanwhile, so each is made by one version. Before the first file is
//! touched a journal says what was there ([`crate::store::kept::journal`]); until it is removed the version
//! before counts, after a kill too.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::timeout;
use tracing::{error, info, warn};

use super::Publisher;
use super::renewal::Renewal;
use crate::failpoint;
use crate::ids::{ProjectKey, VersionId};
use crate::serving::ServingError;
use crate::serving::error::on_disk;
use crate::serving::keys::OF_BASE_CLASS;
use crate::serving::models::ProjectModels;
use crate::serving::served_model::ServedModel;
use crate::serving::version_names::{UNNAMED, VERSION_KEY};
use crate::store::kept::KeptVersions;
use crate::store::kept::journal::Journal;
use crate::store::kept::manifest::{KeptKeys, Manifest, RawPath};
use crate::store::keys::KeyStore;
use crate::store::lock::{self, LockAttempt};
use crate::store::own_folder::lock_file;
use crate::store::versions::{Record, StoreError, Version, Versions};
use crate::wire::api_version::ApiVersion;
use crate::wire::protocol::VersionNames;
use crate::workers::pool::SlotState;

/// How long predictions that run may take before files can be put back.
const LONGEST_CALL: Duration = Duration::from_secs(60);

/// A version of API v2 that is being put back.
struct Target {
    record: Record,
    kept: Manifest,
    paths: BTreeSet<RawPath>,
}

impl Publisher {
    /// Serves another version that is there, until the next one is published.
    pub async fn activate(
        self: &Arc<Self>,
        project: &ProjectKey,
        id: VersionId,
    ) -> Result<(), ServingError> {
        let (class, _) = self.registry.class.ready().await?;
        let (publisher, project) = (Arc::clone(self), project.to_owned());
        // A task of its own: a client that hangs up must not leave it halfway.
        let done = tokio::spawn(async move {
            match class.api {
                ApiVersion::V1 => publisher.activate_v1(&project, id).await,
                ApiVersion::V2 => publisher.activate_v2(&project, id).await,
            }
        });
        done.await.map_err(|error| ServingError::NotReady(error.to_string()))?
    }

    async fn activate_v1(&self, project: &ProjectKey, id: VersionId) -> Result<(), ServingError> {
        let (_, versions) = self.registry.class.ready().await?;
        let _one = self.switching.lock().await;
        let (disk, name) = (Arc::clone(&versions), project.to_owned());
        let version = on_disk(move || disk.find(&name, id))
            .await?
            .ok_or_else(|| ServingError::NoVersion { project: project.to_owned(), version: id })?;
        let model = self.registry.resolve(project, None).await?;
        let next = self
            .load_next(project, &version, &model)
            .await
            .map_err(|reason| ServingError::Unloadable { version: id.to_string(), reason })?;
        let name = project.to_owned();
        if let Err(error) = on_disk(move || versions.choose(&name, id)).await {
            self.discard(next.as_ref()).await;
            return Err(error);
        }
        self.take_over(project, version, next).await;
        Ok(())
    }

    async fn activate_v2(&self, project: &ProjectKey, id: VersionId) -> Result<(), ServingError> {
        let Ok(_files) = Arc::clone(&self.files).try_lock_owned() else {
            return Err(ServingError::TrainingRuns);
        };
        let _one = self.switching.lock().await;
        let (_, versions) = self.registry.class.ready().await?;
        let kept = self.kept().await?;
        let target = match target(&versions, &kept, project, id).await {
            // It is served already.
            Err(ServingError::NoWayBack { .. })
                if served(&versions, project).await? == Some(id) =>
            {
                return Ok(());
            }
            target => target?,
        };
        // An activation that was undone only in part is undone first.
        self.undo_activation().await?;
        let model = self.registry.resolve(project, None).await?;
        let pool = &self.registry.workers.pool;
        let pause = pool.pause();
        let workers = pool.slots();
        if timeout(LONGEST_CALL, pool.idle()).await.is_err() {
            let seconds = LONGEST_CALL.as_secs();
            let said = format!("predictions still run after {seconds} s; nothing was changed");
            return Err(ServingError::NotReady(said));
        }
        let models = &self.registry.models;
        models.known(project, ProjectModels::pin_name);
        let gate = models.gate.close(project);
        let placed = self.put_back(&versions, &kept, project, &target).await;
        let switched = match placed {
            Ok(()) => self.serve_put_back(&versions, project, &target, &model).await,
            Err(error) => Err(error),
        };
        let followers = match switched {
            Ok(followers) => followers,
            Err(error) => {
                self.return_to_prior(project, &workers).await;
                return Err(error);
            }
        };
        drop((gate, pause));
        self.has_gone_back.store(true, Ordering::Release);
        info!(
            project = project.as_str(),
            model_version = target.record.served,
            "this version is served again"
        );
        let (disk, name) = (Arc::clone(&kept), project.to_owned());
        let noted = on_disk(move || {
            disk.unseal(&name, id)?;
            disk.collect();
            Ok(())
        });
        if let Err(error) = noted.await {
            // Files are only kept twice then.
            warn!(project = project.as_str(), "kept versions: {error}");
        }
        self.renewer.follow(followers).await;
        Ok(())
    }

    /// Puts files and keys back, with a journal of what was there.
    async fn put_back(
        &self,
        versions: &Arc<Versions>,
        kept: &Arc<KeptVersions>,
        project: &ProjectKey,
        target: &Target,
    ) -> Result<(), ServingError> {
        let keys = self.keys(project).await?;
        let (disk, kept, name) = (Arc::clone(versions), Arc::clone(kept), project.to_owned());
        let (to, wanted, paths) = (target.record.id, target.kept.clone(), target.paths.clone());
        let placed = on_disk(move || {
            let others = kept.also_of(&name, &wanted, &paths)?;
            let served = disk.current_record(&name)?.map(|record| record.id).unwrap_or_default();
            let prior = kept.present(&name, served, &paths, keys)?;
            kept.check_saved(&prior, &wanted, &paths)?;
            let ready = kept.prepare(&wanted, &paths)?;
            let choice = disk.choice(&name);
            Journal { project: name, to, paths, prior, choice }.write(&disk)?;
            failpoint::reached("restore-journaled");
            ready.apply()?;
            Ok(others)
        });
        for other in placed.await? {
            warn!(
                project = project.as_str(),
                "files that are put back were changed by a later training of project {other}, which shares \
                 MODEL_DIR"
            );
        }
        failpoint::reached("restore-files");
        self.set_keys(project, target.kept.keys.clone()).await?;
        failpoint::reached("restore-keys");
        Ok(())
    }

    async fn set_keys(&self, project: &ProjectKey, keys: KeptKeys) -> Result<(), ServingError> {
        let own = keys.get(VERSION_KEY).cloned();
        let store = self.registry.class.key_store().await?;
        store.replace(project.id(), keys, &OF_BASE_CLASS).await?;
        self.registry.own_name_changed(project.id(), own.as_deref().unwrap_or(UNNAMED)).await;
        Ok(())
    }

    /// Starts workers from the files that were put back, and makes them serve.
    async fn serve_put_back(
        &self,
        versions: &Arc<Versions>,
        project: &ProjectKey,
        target: &Target,
        model: &ServedModel,
    ) -> Result<super::renewal::Followers, ServingError> {
        let id = target.record.id;
        let version = Version::recorded(id);
        let next = self.registry.models.prepare_switch(project, &version, &model.model.spec);
        let unloadable =
            |reason| ServingError::Unloadable { version: target.record.served.clone(), reason };
        let renewal = self.renewer.start(next.as_ref()).await.map_err(unloadable)?;
        failpoint::reached("restore-loaded");
        // Its constructor may have named it.
        let own = self.registry.own_name(project).await?.unwrap_or_else(|| UNNAMED.into());
        let record = Record { own: own.clone(), ..target.record.clone() };
        let served = record.served.clone();
        let (disk, name, has_other_name) =
            (Arc::clone(versions), project.to_owned(), own != target.record.own);
        on_disk(move || {
            if has_other_name {
                disk.rewrite_record(&name, &record)?;
            }
            disk.choose_record(&name, id)?;
            failpoint::reached("restore-chosen");
            Journal::close(&disk)?;
            failpoint::reached("restore-closed");
            Ok(())
        })
        .await?;
        rename(next.as_deref(), &own, &served, &renewal).await;
        let switch = |known: &mut ProjectModels| known.switch_named(version, own, served, next);
        let models = &self.registry.models;
        Ok(self.renewer.finish(renewal, || drop(models.entry(project, switch))))
    }

    /// Serves what was served before an activation that failed. `workers` ran before it.
    async fn return_to_prior(&self, project: &ProjectKey, workers: &[SlotState]) {
        match self.undo_files().await {
            Err(error) => error!(
                project = project.as_str(),
                "what was there before cannot be put back now, the next start tries again: {error}"
            ),
            // One that was started meanwhile may have read files of either version.
            Ok(Some(_)) if self.registry.workers.pool.slots() != workers => {
                self.renew_all(project).await;
            }
            Ok(_) => {}
        }
        let renamed = self.registry.models.known(project, ProjectModels::unpin_name);
        self.registry.workers.rename(&renamed).await;
    }

    /// Undoes an activation that a killed server left halfway, and replaces all workers, which may have read files
    /// of either version.
    pub async fn undo_activation(&self) -> Result<(), ServingError> {
        let _pause = self.registry.workers.pool.pause();
        if let Some(project) = self.undo_files().await? {
            self.renew_all(&project).await;
        }
        Ok(())
    }

    /// Puts back what the journal says was there, if there is one; returns its project.
    async fn undo_files(&self) -> Result<Option<ProjectKey>, ServingError> {
        let (class, versions) = self.registry.class.imported().await?;
        if class.api == ApiVersion::V1 {
            return Ok(None);
        }
        let disk = Arc::clone(&versions);
        let Some(journal) = on_disk(move || Journal::read(&disk)).await? else { return Ok(None) };
        let project = journal.project.clone();
        let kept = self.kept().await?;
        self.set_keys(&project, journal.prior.keys.clone()).await?;
        on_disk(move || undo(&versions, &kept, &journal)).await?;
        warn!(project = project.as_str(), "an activation did not end, and was undone");
        Ok(Some(project))
    }

    async fn renew_all(&self, project: &ProjectKey) {
        let old = self.registry.models.entry(project, ProjectModels::forget_version);
        self.registry.workers.unload(&old).await;
        match self.renewer.start(None).await {
            Ok(renewal) => {
                let followers = self.renewer.finish(renewal, || ());
                self.renewer.follow(followers).await;
            }
            Err(reason) => warn!(project = project.as_str(), "workers stay as they are: {reason}"),
        }
    }
}

async fn served(
    versions: &Arc<Versions>,
    project: &ProjectKey,
) -> Result<Option<VersionId>, ServingError> {
    let (disk, name) = (Arc::clone(versions), project.to_owned());
    on_disk(move || Ok(disk.current_record(&name)?.map(|record| record.id))).await
}

/// The version to go to.
async fn target(
    versions: &Arc<Versions>,
    kept: &Arc<KeptVersions>,
    project: &ProjectKey,
    id: VersionId,
) -> Result<Target, ServingError> {
    let (disk, kept, name) = (Arc::clone(versions), Arc::clone(kept), project.to_owned());
    let found = on_disk(move || {
        let Some(record) = disk.record(&name, id)? else { return Ok(None) };
        Ok(Some((kept.way_back(&name, id)?, record)))
    });
    let missing = || ServingError::NoVersion { project: project.to_owned(), version: id };
    match found.await?.ok_or_else(missing)? {
        (Ok((kept, paths)), record) => Ok(Target { record, kept, paths }),
        (Err(reason), record) => Err(ServingError::NoWayBack { version: record.served, reason }),
    }
}

/// Puts back what a journal says, but for the keys.
fn undo(versions: &Versions, kept: &KeptVersions, journal: &Journal) -> Result<(), StoreError> {
    kept.prepare(&journal.prior, &journal.paths)?.apply()?;
    versions.restore_choice(&journal.project, journal.choice)?;
    failpoint::reached("restore-undone");
    Journal::close(versions)
}

/// Undoes an activation that a killed server left halfway, before any worker reads the files. `folders` may be
/// the model folder.
pub async fn undo_before_start(folders: &[PathBuf]) {
    for folder in folders {
        let versions = Arc::new(Versions::open(folder));
        let Ok(Some(journal)) = Journal::read(&versions) else { continue };
        // Without it another server is at work here.
        let Ok(LockAttempt::Taken(_lock)) = lock::take(&lock_file(folder), None) else { continue };
        let project = journal.project.clone();
        warn!(
            project = project.as_str(),
            "the server before ended during an activation, which is undone"
        );
        if let Err(error) = undo_with_keys(&versions, journal).await {
            error!(project = project.as_str(), "the activation cannot be undone: {error}");
        }
    }
}

async fn undo_with_keys(versions: &Arc<Versions>, journal: Journal) -> Result<(), ServingError> {
    let folder = versions.model_dir().to_owned();
    let store = on_disk(move || Ok(KeyStore::open(&folder))).await??;
    let keys = journal.prior.keys.clone();
    store.replace(journal.project.id(), keys, &OF_BASE_CLASS).await?;
    let kept = KeptVersions::open(Arc::clone(versions), u64::MAX);
    let versions = Arc::clone(versions);
    on_disk(move || undo(&versions, &kept, &journal)).await
}

/// Tells the new workers the name of the version whose model they have loaded.
async fn rename(next: Option<&ServedModel>, own: &str, served: &str, renewal: &Renewal<'_>) {
    let Some(next) = next else { return };
    next.model.rename(VersionNames { served: served.to_owned(), own: vec![own.to_owned()] });
    for worker in renewal.workers() {
        worker.rename(&next.model).await;
    }
}
