//! Which version is served: a newly published one, one that somebody goes back to, and what happens
//! to one that cannot be loaded.
//!
//! The version before answers until the new one is loaded. A version that no worker has ever loaded,
//! because the server ended first, is rejected when its first load fails; one that was loaded before
//! stays, since then something else is the reason.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tracing::{info, warn};

use super::model_in_use::{Load, ModelInUse};
use super::{Serving, ServingError, on_disk};
use crate::store::versions::Version;
use crate::wire::api_version::ApiVersion;
use crate::wire::protocol::ModelErrorKind;

/// How long a new version may take to load before the one before it stays.
pub(super) const SWITCH_TIMEOUT: Duration = Duration::from_secs(300);

impl Serving {
    /// Serves a newly published version. The old one answers until the new one is loaded; if no
    /// worker can load it, the old one stays and the reason is kept for /health.
    pub async fn switch(
        &self,
        project: &str,
        version: Version,
        trained: &ModelInUse,
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
                    project,
                    version = id,
                    "this version cannot be loaded, the one before stays: {reason}"
                );
                self.models.refuse_switch(project, id, reason.clone());
                Err(reason)
            }
        }
    }

    /// Serves another version that is there, until the next one is published.
    pub async fn activate(&self, project: &str, id: u64) -> Result<(), ServingError> {
        let (class, versions) = self.ready().await?;
        if class.api != ApiVersion::V1 {
            return Err(ServingError::NoWayBack);
        }
        let _one = self.switching.lock().await;
        let (disk, name) = (Arc::clone(&versions), project.to_owned());
        let version = on_disk(move || disk.find(&name, id))
            .await?
            .ok_or_else(|| ServingError::NoVersion { project: project.to_owned(), version: id })?;
        let model = self.resolve(project, None).await?;
        let next = self
            .load_next(project, &version, &model)
            .await
            .map_err(|reason| ServingError::Unloadable { version: id, reason })?;
        let name = project.to_owned();
        let chosen = on_disk(move || versions.choose(&name, id)).await;
        if let (Err(_), Some(next)) = (&chosen, &next) {
            next.retire();
            self.unload(std::slice::from_ref(next)).await;
        }
        chosen?;
        self.take_over(project, version, next).await;
        Ok(())
    }

    /// Serves what another server has published meanwhile.
    pub async fn refresh(&self) {
        let Ok((class, versions)) = self.ready().await else { return };
        for project in self.models.projects() {
            if class.api != ApiVersion::V1 {
                // Read again, names and all, by the next request.
                let old = self.models.forget_version(&project);
                self.unload(&old).await;
                continue;
            }
            let (disk, name) = (Arc::clone(&versions), project.clone());
            let Ok(Some(version)) = on_disk(move || disk.current(&name)).await else { continue };
            if !self.models.knows_version(&project)
                || self.version(&project) == Some(version.id.to_string())
            {
                continue;
            }
            if let Ok(model) = self.resolve(&project, None).await {
                // A reason not to is in the log and in /health.
                let _ = self.switch(&project, version, &model).await;
            }
        }
    }

    /// The successor of the model in use, loaded; none if no model is in use.
    pub(super) async fn load_next(
        &self,
        project: &str,
        version: &Version,
        trained: &ModelInUse,
    ) -> Result<Option<Arc<ModelInUse>>, String> {
        let next = self.models.prepare_switch(project, version, &trained.model.spec);
        let Some(next) = next else { return Ok(None) };
        if let Err(reason) = self.try_load(project, &next).await {
            // A load that still goes on is to be forgotten when it ends.
            next.retire();
            self.unload(&[next]).await;
            return Err(reason);
        }
        Ok(Some(next))
    }

    async fn take_over(&self, project: &str, version: Version, next: Option<Arc<ModelInUse>>) {
        let id = version.id;
        let old = self.models.switch(project, version, next.clone());
        self.unload(&old).await;
        if let Some(next) = next {
            self.note_tried(&next);
        }
        info!(project, version = id, "this version is served now");
    }

    /// Loads a new version; why it cannot be served, if it cannot. A version whose constructor raises
    /// is not served after a restart either.
    async fn try_load(&self, project: &str, next: &Arc<ModelInUse>) -> Result<(), String> {
        next.begin_load();
        let in_time = timeout(SWITCH_TIMEOUT, self.load_everywhere(next, false)).await.is_ok();
        match next.load_state() {
            Load::Loaded => Ok(()),
            Load::Failed(error) => {
                let reason = format!("{}: {}", error.class, error.message);
                if error.kind == ModelErrorKind::Construct
                    && let Ok((class, versions)) = self.ready().await
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

    /// Serves another version from now on, if nothing ever showed that this one can be loaded. False
    /// if it is not rejected, or was before.
    pub(super) async fn reject(&self, model: &ModelInUse, reason: &str) -> bool {
        let (Some(id), Ok((_, versions))) = (model.reject(), self.ready().await) else {
            return false;
        };
        let project = model.model.spec.project.as_str();
        warn!(
            project,
            version = id,
            "this version cannot be loaded, another one is served: {reason}"
        );
        let (name, said) = (project.to_owned(), reason.to_owned());
        // What cannot be noted is found out again.
        let _ = on_disk(move || {
            versions.refuse(&name, id, &said);
            Ok(())
        })
        .await;
        let old = self.models.forget_version(project);
        self.unload(&old).await;
        self.models.refuse_switch(project, id, reason.to_owned());
        true
    }

    /// A worker has loaded the version of a model: from now on no failure speaks against it.
    pub(super) fn note_tried(&self, model: &ModelInUse) {
        let Some(id) = model.untried_version() else { return };
        let project = model.model.spec.project.clone();
        self.models.note_tried(&project, id);
        if let Some(versions) = self.versions.get().cloned() {
            tokio::task::spawn_blocking(move || {
                if let Err(error) = versions.note_tried(&project, id) {
                    warn!(project, version = id, "that it can be loaded is not noted: {error}");
                }
            });
        }
    }
}
