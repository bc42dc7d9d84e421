//! What a training of API v2 brings: a name for what it made, and models that know of it.
//!
//! Such a model keeps what it learned in keys and files of its own, which its workers see at once. The
//! version is switched all the same only when its models are loaded, so until then the name that was
//! served before stays, and predictions carry it. What changed only in keys is seen by new instances;
//! files, and what `fit` returned, need new processes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::value::RawValue;
use tokio::sync::MutexGuard;
use tracing::{info, warn};

use super::held_back::Hold;
use super::keys::VERSION_KEY;
use super::model_in_use::ModelInUse;
use super::renewal::{Renewal, ToFollow};
use super::version_names::ProjectNames;
use super::{Serving, ServingError, on_disk};
use crate::store::versions::{Begun, Record, Version, Versions};
use crate::wire::api_version::ApiVersion;
use crate::wire::protocol::{VersionNames, project_id};
use crate::workers::handle::WorkerHandle;

/// What a model whose class names no version is called, as in the original.
const INITIAL: &str = "0.0.1";

/// How the model called its version before a training.
#[derive(Debug)]
pub struct Before {
    own: Option<String>,
}

/// What a training did.
#[derive(Debug)]
pub struct Done {
    /// Digits; the number of the job.
    pub id: u64,
    pub event: String,
    /// What `fit` returned, as JSON.
    pub result: Bytes,
    /// Files below MODEL_DIR that it changed, if it changed any.
    pub files: Option<Vec<String>>,
    pub took: Duration,
    /// It ran inside the worker that predicts, whose globals are as it left them.
    pub in_worker: bool,
}

/// What lies ahead after a training.
pub enum Ahead<'a> {
    /// It changed nothing, so there is no new version.
    Nothing,
    /// The version before stays, for this reason.
    Refused(String),
    Version(Box<Loaded<'a>>),
}

/// A version that is loaded, and serves nobody yet.
pub struct Loaded<'a> {
    one: MutexGuard<'a, ()>,
    done: Done,
    keys: Vec<String>,
    version: Version,
    next: Option<Arc<ModelInUse>>,
    renewal: Option<Renewal<'a>>,
    held_back: Option<Hold>,
}

/// What may still be done once a version is served.
pub struct Behind<'a> {
    _one: MutexGuard<'a, ()>,
    to_follow: Option<ToFollow>,
}

impl Serving {
    /// How versions of a project are called, and its newest one.
    pub(super) async fn read_names(
        &self,
        project: &str,
        versions: &Arc<Versions>,
    ) -> Result<(Option<Version>, ProjectNames), ServingError> {
        let own = self.own_version(project).await?.unwrap_or_else(|| INITIAL.into());
        let (disk, name) = (Arc::clone(versions), project.to_owned());
        let record = on_disk(move || disk.newest_record(&name)).await?;
        let version = record.as_ref().map(|record| version(record.id));
        let recorded = record.map(|record| (record.own, record.served));
        Ok((version, ProjectNames::new(own, recorded)))
    }

    async fn own_version(&self, project: &str) -> Result<Option<String>, ServingError> {
        Ok(self.key_store().await?.get(project_id(project), VERSION_KEY).await?)
    }

    /// A training begins: the name that is served stays until it is known what came of it.
    pub async fn begin_training(&self, project: &str, id: u64) -> Result<Before, ServingError> {
        let own = self.own_version(project).await?;
        let (_, versions) = self.ready().await?;
        let begun = Begun { project: project.to_owned(), id, own: own.clone() };
        on_disk(move || versions.begin_training(&begun)).await?;
        self.models.pin(project);
        self.watch_keys(project_id(project));
        Ok(Before { own })
    }

    /// A training failed, so its name for the version is taken back.
    pub async fn give_up_training(&self, project: &str, before: &Before) {
        if let Err(error) = self.restore_name(project, before).await {
            warn!(project, "the name of the version cannot be restored: {error}");
        }
        for model in self.models.unpin(project) {
            for worker in self.pool.workers() {
                worker.rename(&model.model).await;
            }
        }
        self.end_training(project).await;
    }

    /// Takes back the names of trainings that a server which is gone did not finish.
    pub async fn give_up_interrupted(&self) -> Result<(), ServingError> {
        let (class, versions) = self.imported().await?;
        if class.api == ApiVersion::V1 {
            return Ok(());
        }
        for begun in on_disk(move || Ok(versions.interrupted_trainings())).await? {
            let before = Before { own: begun.own };
            self.give_up_training(&begun.project, &before).await;
        }
        Ok(())
    }

    async fn end_training(&self, project: &str) {
        let Ok((_, versions)) = self.ready().await else { return };
        let name = project.to_owned();
        if let Err(error) = on_disk(move || versions.end_training(&name)).await {
            warn!(project, "that the training ended is not noted: {error}");
        }
    }

    async fn restore_name(&self, project: &str, before: &Before) -> Result<(), ServingError> {
        let store = self.key_store().await?;
        let id = project_id(project);
        match &before.own {
            Some(own) => store.set(id, VERSION_KEY, own.clone()).await?,
            None => store.delete(id, VERSION_KEY).await?,
        };
        let own = before.own.as_deref().unwrap_or(INITIAL);
        self.own_version_changed(id, own).await;
        Ok(())
    }

    /// A training ended: loads what it did, if it did anything. Nothing is served otherwise than before.
    pub async fn load_trained(
        &self,
        project: &str,
        trained: &ModelInUse,
        before: &Before,
        done: Done,
    ) -> Result<Ahead<'_>, ServingError> {
        let one = self.switching.lock().await;
        let keys = self.watched_keys();
        let is_empty = is_empty(&done.result);
        if keys.is_empty() && done.files.is_none() && is_empty {
            self.give_up_training(project, before).await;
            return Ok(Ahead::Nothing);
        }
        let held_back = done.files.is_some().then(|| self.models.held_back.hold(project));
        let version = version(done.id);
        let loaded = if !done.in_worker && (done.files.is_some() || !is_empty) {
            let next = self.models.prepare_switch(project, &version, &trained.model.spec);
            self.start_renewal(next.as_ref()).await.map(|renewal| (next, Some(renewal)))
        } else {
            self.load_next(project, &version, trained).await.map(|next| (next, None))
        };
        match loaded {
            Ok((next, renewal)) => Ok(Ahead::Version(Box::new(Loaded {
                one,
                done,
                keys,
                version,
                next,
                renewal,
                held_back,
            }))),
            Err(reason) => {
                let job = done.id;
                warn!(project, job, "not served, the version before stays: {reason}");
                self.give_up_training(project, before).await;
                self.models.refuse_switch(project, job, reason.clone());
                Ok(Ahead::Refused(reason))
            }
        }
    }

    /// Serves a version that is loaded. Once begun it must go on to its end: the version is on the
    /// disk before it is served.
    pub async fn serve_trained<'a>(
        &'a self,
        project: &str,
        loaded: Loaded<'a>,
    ) -> Result<Behind<'a>, ServingError> {
        let Loaded { one, done, keys, version, next, renewal, held_back } = loaded;
        let id = version.id;
        let (own, served) = match self.record(project, done, keys).await {
            Ok(names) => names,
            Err(error) => {
                if let (None, Some(next)) = (&renewal, &next) {
                    next.retire();
                    self.unload(std::slice::from_ref(next)).await;
                }
                return Err(error);
            }
        };
        let name = served.clone();
        let switch = |next| self.models.switch_named(project, version, own.clone(), name, next);
        let to_follow = if let Some(renewal) = renewal {
            rename(next.as_deref(), &own, &served, renewal.workers()).await;
            // The old models go with their workers.
            Some(self.finish_renewal(renewal, || drop(switch(next))))
        } else {
            rename(next.as_deref(), &own, &served, &self.pool.workers()).await;
            self.unload(&switch(next)).await;
            None
        };
        drop(held_back);
        self.end_training(project).await;
        info!(project, job = id, model_version = served, "this version is served now");
        Ok(Behind { _one: one, to_follow })
    }

    /// Renews the workers that made room for the first one of a version.
    pub async fn let_follow(&self, behind: Behind<'_>) {
        if let Some(to_follow) = behind.to_follow {
            self.follow(to_follow).await;
        }
    }

    /// Writes down what made the version; how the model calls it, and how it is served.
    async fn record(
        &self,
        project: &str,
        done: Done,
        keys: Vec<String>,
    ) -> Result<(String, String), ServingError> {
        // Only now: making an instance may have named it.
        let own = self.own_version(project).await?.unwrap_or_else(|| INITIAL.into());
        let served = self.models.next_name(project, &own, done.id);
        let result = serde_json::from_slice::<Box<RawValue>>(&done.result)
            .map_err(|error| ServingError::Store(error.into()))?;
        let record = Record {
            id: done.id,
            own: own.clone(),
            served: served.clone(),
            event: done.event,
            result,
            keys,
            files: done.files.unwrap_or_default(),
            time: done.took.as_secs_f64(),
        };
        let (_, versions) = self.ready().await?;
        let name = project.to_owned();
        on_disk(move || versions.write_record(&name, &record)).await?;
        Ok((own, served))
    }
}

/// Has a model that was loaded before its version had a name mark predictions with it.
async fn rename(
    next: Option<&ModelInUse>,
    own: &str,
    served: &str,
    workers: impl IntoIterator<Item = &Arc<WorkerHandle>>,
) {
    let Some(next) = next else { return };
    next.model.rename(VersionNames { served: served.to_owned(), own: vec![own.to_owned()] });
    for worker in workers {
        worker.rename(&next.model).await;
    }
}

/// A version of API v2 has no folder, and whatever is wrong with it shows at once.
fn version(id: u64) -> Version {
    Version { id, train_output: Bytes::new(), is_tried: true }
}

/// Whether `fit` returned nothing to speak of.
fn is_empty(result: &[u8]) -> bool {
    matches!(result.trim_ascii(), b"" | b"null" | b"{}" | b"[]" | b"\"\"")
}

#[cfg(test)]
mod tests;
