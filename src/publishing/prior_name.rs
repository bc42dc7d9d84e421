//! The name that a project's version has before a training of API v2, which may rename it.
//!
//! The served name stays until the outcome of the training is known. If the training made no version, the
//! model gets its own name back, even after the server was killed.

use tracing::warn;

use crate::ids::{JobId, ProjectKey};
use crate::serving::ServingError;
use crate::serving::error::on_disk;
use crate::serving::models::ProjectModels;
use crate::serving::registry::Registry;
use crate::serving::version_names::{UNNAMED, VERSION_KEY};
use crate::store::versions::Begun;

/// The name that the model of a project gave its version before a training.
#[derive(Debug)]
pub(super) struct PriorName {
    project: ProjectKey,
    own: Option<String>,
}

impl PriorName {
    /// The name that was noted for a training which ended with a killed server.
    pub(super) fn of(begun: Begun) -> Self {
        Self { project: begun.project, own: begun.own }
    }

    /// Writes the name down, and keeps serving it.
    pub(super) async fn hold(
        registry: &Registry,
        project: &ProjectKey,
        id: JobId,
    ) -> Result<Self, ServingError> {
        let own = registry.own_name(project).await?;
        let (_, versions) = registry.class.ready().await?;
        let begun = Begun { project: project.to_owned(), id, own: own.clone() };
        on_disk(move || versions.begin_training(&begun)).await?;
        registry.models.known(project, ProjectModels::pin_name);
        Ok(Self { project: project.to_owned(), own })
    }

    /// The name, if the model had given one.
    pub(super) fn own(&self) -> Option<&str> {
        self.own.as_deref()
    }

    /// Undoes the rename of a training that made no version.
    pub(super) async fn restore(&self, registry: &Registry) {
        let project = &self.project;
        if let Err(error) = self.restore_own(registry).await {
            warn!(project = project.as_str(), "cannot restore the name of the version: {error}");
        }
        let renamed = registry.models.known(project, ProjectModels::unpin_name);
        registry.workers.rename(&renamed).await;
        self.release(registry).await;
    }

    async fn restore_own(&self, registry: &Registry) -> Result<(), ServingError> {
        let store = registry.class.key_store().await?;
        let id = self.project.id();
        match &self.own {
            Some(own) => store.set(id, VERSION_KEY, own.clone()).await?,
            None => store.delete(id, VERSION_KEY).await?,
        };
        registry.own_name_changed(id, self.own.as_deref().unwrap_or(UNNAMED)).await;
        Ok(())
    }

    /// Forgets the name: the training is over.
    pub(super) async fn release(&self, registry: &Registry) {
        let Ok((_, versions)) = registry.class.ready().await else { return };
        let project = self.project.clone();
        if let Err(error) = on_disk(move || versions.end_training(&project)).await {
            warn!(
                project = self.project.as_str(),
                "cannot remove the record of the running training: {error}"
            );
        }
    }
}
