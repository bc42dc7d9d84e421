//! How a training becomes the version that is served.
//!
//! In: what a run of `fit` made ([`training_run`]). Out: a version on the disk that answers from then on, or
//! the version before, with the reason. What API v1 and API v2 have in common is here; [`training_run`] has the
//! two ways to it. The version before answers until the new one is loaded.

pub mod activation;
mod keeping;
pub mod listing;
mod prior_name;
mod renewal;
#[cfg(test)]
pub(crate) mod testing;
pub mod training_run;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use thiserror::Error;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinError;
use tokio::time::timeout;
use tracing::{info, warn};

use prior_name::PriorName;
use renewal::Renewer;

use crate::ids::ProjectKey;
use crate::serving::ServingError;
use crate::serving::error::on_disk;
use crate::serving::keys::{Keeper, KeyWatch};
use crate::serving::models::ProjectModels;
use crate::serving::registry::Registry;
use crate::serving::served_model::{Load, ServedModel};
use crate::store::kept::KeptVersions;
use crate::store::versions::{StoreError, Version};
use crate::wire::api_version::ApiVersion;
use crate::wire::protocol::ModelErrorKind;
use crate::workers::key_keeper::KeyKeeper;
use crate::workers::supervision::Fleet;
use crate::workers::supervision::RolloutOrder;

/// How long a new version may take to load before the one before it stays.
const SWITCH_TIMEOUT: Duration = Duration::from_secs(300);

/// Maximum number of bytes that kept versions take, unless it is said.
pub const DEFAULT_KEEP_BYTES: u64 = 2048 << 20;

/// Why a training could not be published.
#[derive(Debug, Error)]
pub enum PublishingError {
    #[error(transparent)]
    Serving(#[from] ServingError),
    #[error("model folder: {0}")]
    Versions(#[from] StoreError),
    #[error("the payload of the job cannot be read: {0}")]
    Payload(#[from] serde_json::Error),
    #[error("a thread of the server ended early: {0}")]
    Thread(#[from] JoinError),
    /// The server stops; the next one runs the job again.
    #[error("interrupted")]
    Interrupted,
}

/// Changes which version of a project is served.
#[derive(Debug)]
pub struct Publisher {
    registry: Arc<Registry>,
    renewer: Renewer,
    key_watch: Arc<KeyWatch>,
    /// One change of versions at a time.
    switching: Mutex<()>,
    /// API v2: one training or activation changes files at a time.
    files: Arc<Mutex<()>>,
    has_gone_back: AtomicBool,
    kept: OnceLock<Arc<KeptVersions>>,
    keep_bytes: parking_lot::Mutex<u64>,
    /// Reasons for which versions were not kept, and which the log has told.
    told: parking_lot::Mutex<HashSet<(ProjectKey, String)>>,
}

impl Publisher {
    pub fn new(registry: Arc<Registry>, rollout: RolloutOrder) -> Self {
        let renewer = Renewer::new(Arc::clone(&registry), rollout);
        Self {
            registry,
            renewer,
            key_watch: Arc::default(),
            switching: Mutex::default(),
            files: Arc::default(),
            has_gone_back: AtomicBool::default(),
            kept: OnceLock::new(),
            keep_bytes: parking_lot::Mutex::new(DEFAULT_KEEP_BYTES),
            told: parking_lot::Mutex::default(),
        }
    }

    /// Says how further workers are started; once.
    pub fn set_fleet(&self, fleet: Fleet) {
        self.renewer.set_fleet(fleet);
    }

    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// Answers the questions of workers about what models keep; `trains`: what they set is a part of the
    /// training that runs.
    pub fn key_keeper(&self, trains: bool) -> Arc<dyn KeyKeeper> {
        Keeper::shared(&self.registry, trains.then(|| Arc::clone(&self.key_watch)))
    }

    /// Says how many bytes the kept versions may take; before the first training.
    pub fn set_keep_bytes(&self, bytes: u64) {
        *self.keep_bytes.lock() = bytes;
    }

    /// Whether an earlier version was put back since this was asked last: what a process has read before is out
    /// of date.
    pub fn take_gone_back(&self) -> bool {
        self.has_gone_back.swap(false, Ordering::AcqRel)
    }

    /// Serves what another server has published meanwhile.
    pub async fn refresh(&self) {
        let Ok((class, versions)) = self.registry.class.ready().await else { return };
        let models = &self.registry.models;
        for project in models.projects() {
            if class.api != ApiVersion::V1 {
                // Read again, names and all, by the next request.
                let old = models.entry(&project, ProjectModels::forget_version);
                self.registry.workers.unload(&old).await;
                continue;
            }
            let (disk, name) = (Arc::clone(&versions), project.clone());
            let Ok(Some(version)) = on_disk(move || disk.current(&name)).await else { continue };
            if !models.known(&project, |known| known.knows_version())
                || models.served_version(&project) == Some(version.id.to_string())
            {
                continue;
            }
            if let Ok(model) = self.registry.resolve(&project, None).await {
                // A reason not to is in the log and in /health.
                let _ = self.switch(&project, version, &model).await;
            }
        }
    }

    /// Takes back the names of trainings that a server which is gone did not finish.
    pub async fn give_up_interrupted(&self) -> Result<(), ServingError> {
        let (class, versions) = self.registry.class.imported().await?;
        if class.api == ApiVersion::V1 {
            return Ok(());
        }
        for begun in on_disk(move || Ok(versions.interrupted_trainings())).await? {
            PriorName::of(begun).restore(&self.registry).await;
        }
        Ok(())
    }

    /// Removes all versions of a project but the newest `keep` and the one that is served.
    pub async fn prune(&self, project: &ProjectKey, keep: usize) {
        let Ok((_, versions)) = self.registry.class.ready().await else { return };
        let name = project.to_owned();
        let served = self.registry.models.served_version(project);
        let served = served.and_then(|version| version.parse().ok());
        let Ok(kept) = self.kept().await else { return };
        let pruned = on_disk(move || {
            let gone = versions.prune_records(&name, keep)?;
            kept.forget(&name, &gone)?;
            versions.prune(&name, keep, served)
        });
        match pruned.await {
            Ok(removed) if removed.is_empty() => {}
            Ok(removed) => info!(project = project.as_str(), "removed old versions: {removed:?}"),
            Err(error) => {
                warn!(project = project.as_str(), "old versions could not be removed: {error}");
            }
        }
    }

    /// Serves a newly published version of API v1. The old one answers until the new one is loaded; if no
    /// worker can load it, the old one stays and the reason is kept for /health.
    async fn switch(
        &self,
        project: &ProjectKey,
        version: Version,
        trained: &ServedModel,
    ) -> Result<(), String> {
        let _one = self.switching.lock().await;
        let id = version.id;
        match self.load_next(project, &version, trained).await {
            Ok(next) => {
                self.take_over(project, version, next).await;
                Ok(())
            }
            Err(reason) => {
                warn!(
                    project = project.as_str(),
                    version = %id,
                    "this version cannot be loaded, the one before stays: {reason}"
                );
                self.registry.models.entry(project, |known| known.refuse(id, reason.clone()));
                Err(reason)
            }
        }
    }

    async fn take_over(
        &self,
        project: &ProjectKey,
        version: Version,
        next: Option<Arc<ServedModel>>,
    ) {
        let id = version.id;
        let switch = |known: &mut ProjectModels| known.switch(version, next.clone());
        let old = self.registry.models.entry(project, switch);
        self.registry.workers.unload(&old).await;
        if let Some(next) = next {
            self.registry.note_proven(&next);
        }
        info!(project = project.as_str(), version = %id, "this version is served now");
    }

    /// The successor of the model in use, loaded; none if no model is in use.
    async fn load_next(
        &self,
        project: &ProjectKey,
        version: &Version,
        trained: &ServedModel,
    ) -> Result<Option<Arc<ServedModel>>, String> {
        let next = self.registry.models.prepare_switch(project, version, &trained.model.spec);
        if let Some(next) = &next
            && let Err(reason) = self.try_load(project, next).await
        {
            self.discard(Some(next)).await;
            return Err(reason);
        }
        Ok(next)
    }

    /// Loads a new version; why it cannot be served, if it cannot. A version whose constructor raises
    /// is not served after a restart either.
    async fn try_load(&self, project: &ProjectKey, next: &Arc<ServedModel>) -> Result<(), String> {
        next.begin_load();
        let in_time =
            timeout(SWITCH_TIMEOUT, self.registry.workers.load(next, false)).await.is_ok();
        match next.load_state() {
            Load::Loaded => Ok(()),
            Load::Failed(error) => {
                let reason = format!("{}: {}", error.class, error.message);
                if error.kind == ModelErrorKind::Construct
                    && let Ok((class, versions)) = self.registry.class.ready().await
                    && let Some(id) = next.origin.version.filter(|_| class.api == ApiVersion::V1)
                {
                    versions.refuse(project, id, &reason);
                }
                Err(reason)
            }
            _ if next.has_ended_a_worker() => Err("loading it ended the worker".into()),
            _ if !in_time => Err(format!("not loaded within {} s", SWITCH_TIMEOUT.as_secs())),
            // No worker is there to load it; the next one will.
            Load::Idle | Load::Pending => Ok(()),
        }
    }

    /// Forgets a model that is not served after all; a load that still goes on is forgotten when it ends.
    async fn discard(&self, next: Option<&Arc<ServedModel>>) {
        let Some(next) = next else { return };
        next.retire();
        self.registry.workers.unload(std::slice::from_ref(next)).await;
    }
}

/// Resolves when the server stops.
pub async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A server that is gone wants nothing to run on.
    let _ = stop.wait_for(|stop| *stop).await;
}
