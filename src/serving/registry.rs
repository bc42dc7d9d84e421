//! Decides which model answers for a project, from the content of the model folder, and rejects versions
//! that cannot be loaded.
//!
//! A version that no worker has ever loaded, because the server ended first, is rejected when its first
//! load fails; one that was loaded before stays, since the failure then has another cause.

use std::sync::Arc;

use tokio::sync::watch;
use tracing::warn;

use super::error::{ServingError, on_disk};
use super::model_workers::ModelWorkers;
use super::models::{Models, ProjectModels};
use super::served_class::ServedClass;
use super::served_model::ServedModel;
use super::version_names::{ProjectNames, UNNAMED, VERSION_KEY};
use crate::ids::ProjectKey;
use crate::store::versions::{Version, Versions};
use crate::wire::api_version::ApiVersion;
use crate::wire::protocol::{ModelError, ModelErrorKind};
use crate::workers::pool::Pool;
use crate::workers::supervision::ClassState;

/// The class, the models of its projects, and the workers that hold them.
#[derive(Debug)]
pub struct Registry {
    pub class: ServedClass,
    pub models: Arc<Models>,
    pub workers: ModelWorkers,
}

impl Registry {
    pub fn new(pool: Arc<Pool>, models: Arc<Models>, class: watch::Receiver<ClassState>) -> Self {
        Self { class: ServedClass::new(class), models, workers: ModelWorkers { pool } }
    }

    /// The model that answers for a project now, and from which a training starts.
    pub async fn resolve(
        &self,
        project: &ProjectKey,
        label_config: Option<&str>,
    ) -> Result<Arc<ServedModel>, ServingError> {
        let (class, versions) = self.class.ready().await?;
        if !self.models.known(project, |known| known.knows_version()) {
            let (newest, names) = match class.api {
                ApiVersion::V1 => {
                    let name = project.to_owned();
                    (on_disk(move || versions.current(&name)).await?, None)
                }
                ApiVersion::V2 => {
                    let (newest, names) = self.read_names(project, versions).await?;
                    (newest, Some(names))
                }
            };
            self.models.entry(project, |known| known.set_version_once(newest, names));
        }
        let (model, surplus) = self.models.resolve(project, label_config);
        self.workers.unload(&surplus).await;
        Ok(model)
    }

    /// The version of a project of API v2 that is served, and the names of its versions.
    pub async fn read_names(
        &self,
        project: &ProjectKey,
        versions: Arc<Versions>,
    ) -> Result<(Option<Version>, ProjectNames), ServingError> {
        let own = self.own_name(project).await?.unwrap_or_else(|| UNNAMED.into());
        let name = project.to_owned();
        let record = on_disk(move || versions.current_record(&name)).await?;
        let version = record.as_ref().map(|record| Version::recorded(record.id));
        let recorded = record.map(|record| (record.own, record.served));
        Ok((version, ProjectNames::new(own, recorded)))
    }

    /// The name that the model of a project gives its version, if it has named it.
    pub async fn own_name(&self, project: &ProjectKey) -> Result<Option<String>, ServingError> {
        Ok(self.class.key_store().await?.get(project.id(), VERSION_KEY).await?)
    }

    /// Tells workers that a model renamed its version, before a prediction carries the name.
    pub async fn own_name_changed(&self, project_id: &str, own: &str) {
        self.workers.rename(&self.models.note_own_name(project_id, own)).await;
    }

    /// Rejects the version if `error` shows that it cannot be loaded; true if another one is served now.
    pub(super) async fn is_to_blame(&self, model: &ServedModel, error: &ModelError) -> bool {
        if error.kind != ModelErrorKind::Construct {
            return false;
        }
        self.reject(model, &format!("{}: {}", error.class, error.message)).await
            // Another request was faster.
            || model.is_rejected()
    }

    /// Rejects the version and serves another one, unless a worker has loaded it before. False if it is not
    /// rejected, or was rejected before.
    pub(super) async fn reject(&self, model: &ServedModel, reason: &str) -> bool {
        let (Some(id), Ok((_, versions))) = (model.reject(), self.class.ready().await) else {
            return false;
        };
        let project = &model.model.spec.project;
        warn!(
            project = project.as_str(),
            version = %id,
            "this version cannot be loaded, another one is served: {reason}"
        );
        let (name, said) = (project.to_owned(), reason.to_owned());
        // If it cannot be recorded, the next server finds out again.
        let _ = on_disk(move || {
            versions.refuse(&name, id, &said);
            Ok(())
        })
        .await;
        let old = self.models.entry(project, ProjectModels::forget_version);
        self.workers.unload(&old).await;
        self.models.entry(project, |known| known.refuse(id, reason.to_owned()));
        true
    }

    /// Records that a worker has loaded the version of a model: later failures do not reject it.
    pub fn note_proven(&self, model: &ServedModel) {
        let Some(id) = model.unproven_version() else { return };
        let project = model.model.spec.project.clone();
        self.models.known(&project, |known| known.mark_proven(id));
        if let Some(versions) = self.class.versions_now() {
            tokio::task::spawn_blocking(move || {
                if let Err(error) = versions.mark_proven(&project, id) {
                    warn!(
                        project = project.as_str(),
                        version = %id,
                        "cannot record that the version was loaded: {error}"
                    );
                }
            });
        }
    }
}
