//! Serving predictions: which model answers for a project, and on which worker.
//!
//! [`registry`] knows the models in use and their workers; [`predict`] has a model answer, [`setup`] loads
//! it ahead of the first prediction. Nothing here knows HTTP, nothing here runs Python.

mod app;
pub mod deadlines;
pub mod diagnostics;
pub mod early_names;
pub mod error;
pub mod failures;
pub mod keys;
pub mod model_workers;
pub mod models;
mod predict;
pub mod registry;
pub mod served_class;
pub mod served_model;
mod setup;
#[cfg(test)]
pub(crate) mod testing;
pub mod version_gate;
pub mod version_names;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

use app::AppCaller;
use deadlines::Deadlines;
use diagnostics::Diagnostics;
pub use error::ServingError;
use failures::FailedPredictions;
pub use model_workers::prepare;
use models::{Models, Setup};
use predict::Predictor;
pub use predict::{PredictAnswer, PredictRequest};
use registry::Registry;

use crate::ids::{ProjectKey, VersionId};
use crate::store::versions::Versions;
use crate::wire::http::{AppAnswer, AppRequest};
use crate::wire::protocol::ClassInfo;
use crate::wire::shared_body::SharedBody;
use crate::workers::model::ForwardedRequest;
use crate::workers::pool::Pool;
use crate::workers::supervision::ClassState;

/// What requests are answered with: the models, and how long a prediction may take.
#[derive(Debug)]
pub struct Serving {
    registry: Arc<Registry>,
    predictor: Predictor,
    app: AppCaller,
}

impl Serving {
    pub fn new(
        pool: Arc<Pool>,
        models: Arc<Models>,
        class: watch::Receiver<ClassState>,
        deadlines: Deadlines,
    ) -> Self {
        let registry = Arc::new(Registry::new(pool, models, class));
        Self {
            predictor: Predictor::new(Arc::clone(&registry), deadlines),
            app: AppCaller::new(Arc::clone(&registry), deadlines),
            registry,
        }
    }

    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    pub fn pool(&self) -> &Arc<Pool> {
        &self.registry.workers.pool
    }

    pub async fn predict(&self, request: PredictRequest) -> Result<PredictAnswer, ServingError> {
        self.predictor.predict(request).await
    }

    /// Makes the user's app in a worker answer a request.
    pub async fn ask_app(
        &self,
        asked: AppRequest,
        body: SharedBody,
    ) -> Result<(AppAnswer, Bytes), ServingError> {
        self.app.ask(asked, body).await
    }

    /// Loads the model of a project ahead of the first prediction, waits for it at most `wait`, and returns
    /// the version that is served.
    pub async fn setup(
        &self,
        project: &ProjectKey,
        setup: Setup,
        request: ForwardedRequest,
        force_reload: bool,
        wait: Duration,
    ) -> Result<String, ServingError> {
        setup::set_up(&self.registry, project, setup, request, force_reload, wait).await
    }

    /// Answers every request that still waits for a worker or runs there with an error, and every later one.
    pub fn end(&self) {
        self.predictor.end();
        self.app.end();
    }

    /// What is wrong with predictions that were made.
    pub fn diagnostics(&self) -> &Diagnostics {
        self.predictor.diagnostics()
    }

    /// Predictions that failed.
    pub fn failures(&self) -> &FailedPredictions {
        self.predictor.failures()
    }

    /// The class, once a worker has imported it.
    pub fn class(&self) -> Option<Arc<ClassInfo>> {
        self.registry.class.now()
    }

    /// Waits for the class, but not for longer than a client would.
    pub async fn ready(&self) -> Result<(Arc<ClassInfo>, Arc<Versions>), ServingError> {
        self.registry.class.ready().await
    }

    /// Waits until the class is known.
    pub async fn imported(&self) -> Result<(Arc<ClassInfo>, Arc<Versions>), ServingError> {
        self.registry.class.imported().await
    }

    /// Brings what models keep into one file, since the server ends.
    pub async fn flush_keys(&self) {
        self.registry.class.flush_keys().await;
    }

    /// The version that is served for a project; none while nothing is known of it.
    pub fn version(&self, project: &ProjectKey) -> Option<String> {
        self.registry.models.served_version(project)
    }

    /// Versions that were published and could not be loaded: project, version, reason.
    pub fn refused(&self) -> Vec<(ProjectKey, VersionId, String)> {
        self.registry.models.refused()
    }

    /// Projects seen since the start.
    pub fn projects(&self) -> Vec<ProjectKey> {
        self.registry.models.projects()
    }

    /// The project key of /setup and /predict for the id that a webhook names.
    pub fn project_key(&self, id: &str) -> Option<ProjectKey> {
        self.registry.models.project_key(id)
    }
}
