//! Serving predictions: which model answers for a project, and on which worker.
//!
//! [`models`] holds what is in use, [`Serving`] brings requests and workers together. Nothing here
//! knows HTTP, nothing here runs Python.

pub mod deadlines;
pub mod diagnostics;
pub mod error;
mod held_back;
pub mod keys;
pub mod model_in_use;
pub mod models;
mod predict;
mod renewal;
mod rollout;
mod setup;
#[cfg(test)]
pub(crate) mod testing;
pub mod trained;
pub mod version_names;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::warn;

use deadlines::Deadlines;
use diagnostics::Diagnostics;
pub use error::ServingError;
use keys::Watched;
use model_in_use::ModelInUse;
use models::Models;
pub use predict::{Answered, PredictRequest};

use crate::store::keys::KeyStore;
use crate::store::versions::{StoreError, Versions};
use crate::wire::api_version::ApiVersion;
use crate::wire::protocol::ClassInfo;
use crate::workers::handle::{WorkerError, WorkerHandle};
use crate::workers::pool::Pool;
use crate::workers::supervision::{ClassState, Fleet, PrepareWorker, RolloutOrder};

/// How long a request waits for the script to be imported, right after the start.
const IMPORT_TIMEOUT: Duration = Duration::from_secs(100);

/// How long a new worker loads models before it takes requests.
const PREPARE_TIMEOUT: Duration = Duration::from_secs(10);
/// Versions in a row that may turn out not to load while one request waits.
const MOST_REJECTED: u32 = 3;

/// Brings requests, models and workers together.
#[derive(Debug)]
pub struct Serving {
    pool: Arc<Pool>,
    models: Arc<Models>,
    class: watch::Receiver<ClassState>,
    versions: OnceLock<Arc<Versions>>,
    keys: OnceLock<Arc<KeyStore>>,
    /// What the training that runs has set.
    watched: Mutex<Watched>,
    /// The way to the tasks that keep the workers.
    fleet: OnceLock<Fleet>,
    rollout: RolloutOrder,
    deadlines: Deadlines,
    diagnostics: Diagnostics,
    /// Says that predictions which still run are not waited for any more.
    ended: watch::Sender<bool>,
    /// One change of versions at a time.
    switching: tokio::sync::Mutex<()>,
}

impl Serving {
    pub fn new(
        pool: Arc<Pool>,
        models: Arc<Models>,
        class: watch::Receiver<ClassState>,
        rollout: RolloutOrder,
        deadlines: Deadlines,
    ) -> Self {
        Self {
            pool,
            models,
            class,
            versions: OnceLock::new(),
            keys: OnceLock::new(),
            watched: Mutex::default(),
            fleet: OnceLock::new(),
            rollout,
            deadlines,
            diagnostics: Diagnostics::default(),
            ended: watch::channel(false).0,
            switching: tokio::sync::Mutex::default(),
        }
    }

    pub fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// Has every prediction that still waits or runs answered with an error, and every later one.
    pub fn end(&self) {
        self.ended.send_replace(true);
    }

    /// What is wrong with predictions that were made.
    pub fn diagnostics(&self) -> &Diagnostics {
        &self.diagnostics
    }

    /// Says how further workers are started; once.
    pub fn set_fleet(&self, fleet: Fleet) {
        let _ = self.fleet.set(fleet);
    }

    /// The class, once a worker has imported it.
    pub fn class(&self) -> Option<Arc<ClassInfo>> {
        match &*self.class.borrow() {
            ClassState::Ready(class) => Some(Arc::clone(class)),
            ClassState::Unknown | ClassState::Failed(_) => None,
        }
    }

    /// Waits for the class, but not for longer than a client would.
    pub async fn ready(&self) -> Result<(Arc<ClassInfo>, Arc<Versions>), ServingError> {
        timeout(IMPORT_TIMEOUT, self.imported()).await.unwrap_or_else(|_| {
            Err(ServingError::NotReady("the script is still being imported".into()))
        })
    }

    /// Waits until the class is known: its API says what MODEL_DIR is.
    pub async fn imported(&self) -> Result<(Arc<ClassInfo>, Arc<Versions>), ServingError> {
        let mut class = self.class.clone();
        let known = class
            .wait_for(|class| !matches!(class, ClassState::Unknown))
            .await
            .map(|class| class.clone());
        match known {
            Ok(ClassState::Ready(class)) => {
                let open = || Arc::new(Versions::open(&class.model_dir));
                let versions = Arc::clone(self.versions.get_or_init(open));
                Ok((class, versions))
            }
            Ok(ClassState::Failed(failure)) => Err(ServingError::NotReady(failure.message.clone())),
            Ok(ClassState::Unknown) | Err(_) => {
                Err(ServingError::NotReady("the server is stopping".into()))
            }
        }
    }

    /// The model that answers for a project now, and that a training starts from.
    pub async fn resolve(
        &self,
        project: &str,
        label_config: Option<&str>,
    ) -> Result<Arc<ModelInUse>, ServingError> {
        let (class, versions) = self.ready().await?;
        if !self.models.knows_version(project) {
            if class.api == ApiVersion::V1 {
                let name = project.to_owned();
                let newest = on_disk(move || versions.current(&name)).await?;
                self.models.set_version_once(project, newest, None);
            } else {
                let (newest, names) = self.read_names(project, &versions).await?;
                self.models.set_version_once(project, newest, Some(names));
            }
        }
        let (model, surplus) = self.models.resolve(project, label_config);
        self.unload(&surplus).await;
        Ok(model)
    }

    /// Loads a model on every ready worker. A worker that becomes ready later loads it then.
    async fn load_everywhere(&self, model: &Arc<ModelInUse>, renew: bool) {
        let mut tasks = tokio::task::JoinSet::new();
        for worker in self.pool.workers() {
            let model = Arc::clone(model);
            tasks.spawn(async move { load_on(&worker, &model, renew).await });
        }
        while tasks.join_next().await.is_some() {}
        // Where no worker made it, the next request for it begins anew.
        model.give_up();
    }

    async fn unload(&self, models: &[Arc<ModelInUse>]) {
        for model in models {
            for worker in self.pool.workers() {
                worker.unload(model.model.spec.id).await;
            }
        }
    }

    /// Version that is served for a project; none while nothing is known of it.
    pub fn version(&self, project: &str) -> Option<String> {
        self.models.served_version(project)
    }

    /// Versions that were published and could not be loaded: project, version, reason.
    pub fn refused(&self) -> Vec<(String, u64, String)> {
        self.models.refused()
    }

    /// Projects seen since the start.
    pub fn projects(&self) -> Vec<String> {
        self.models.projects()
    }

    /// The project key of /setup and /predict for the id that a webhook names.
    pub fn project_key(&self, id: &str) -> Option<String> {
        self.models.project_key(id)
    }
}

fn no_version_left() -> ServingError {
    ServingError::NotReady("version after version of the model turned out not to load".into())
}

/// Runs what may have to wait for a disk.
async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, ServingError> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(|error| ServingError::NotReady(error.to_string()))??)
}

/// What a new worker does before it takes requests: it loads the models in use. It takes requests
/// all the same when that takes long, and those that keep ending workers wait to be asked for.
pub fn prepare(models: &Arc<Models>) -> PrepareWorker {
    let models = Arc::clone(models);
    Arc::new(move |worker| {
        let models = models.to_load();
        Box::pin(async move {
            let name = worker.name.clone();
            // On its own, so that it learns of the worker's death and whose load it was.
            let loading = tokio::spawn(async move {
                // A spare may hold some that were in use when it was started.
                worker.keep_only(|id| models.iter().any(|model| model.model.spec.id == id)).await;
                for model in models.iter().filter(|model| !model.is_deadly()) {
                    load_on(&worker, model, false).await;
                    // What was not even begun is not to blame.
                    if worker.is_closed() {
                        break;
                    }
                }
            });
            if timeout(PREPARE_TIMEOUT, loading).await.is_err() {
                warn!(worker = name, "not all models are loaded yet; loading goes on");
            }
        })
    })
}

/// Loads a model on one worker and notes how it went.
async fn load_on(worker: &WorkerHandle, model: &ModelInUse, renew: bool) {
    match worker.load(&model.model, renew).await {
        Ok(()) => {
            // It may have been renamed while the worker was not known to serve it.
            worker.rename(&model.model).await;
            model.set_loaded();
        }
        Err(WorkerError::Model(error)) => {
            warn!(
                project = model.model.spec.project,
                version = model.model.spec.version,
                "the model cannot be loaded: {}: {}",
                error.class,
                error.message
            );
            model.set_failed(error);
        }
        Err(WorkerError::Died { .. }) => model.count_death(),
        Err(error @ (WorkerError::Frame(_) | WorkerError::Cancelled)) => {
            warn!("the model cannot be loaded: {error}");
        }
    }
    if model.is_retired() {
        worker.unload(model.model.spec.id).await;
    }
}
