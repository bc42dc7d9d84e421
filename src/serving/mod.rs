//! Serving predictions: which model answers for a project, and on which worker.
//!
//! [`models`] holds what is in use, [`Serving`] brings requests and workers together. Nothing here
//! knows HTTP, nothing here runs Python.

pub mod error;
pub mod models;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{info, warn};

pub use error::ServingError;
use models::{Load, ModelInUse, Models, Setup};

use crate::store::versions::{StoreError, Version, Versions};
use crate::workers::pool::{Pool, Priority};
use crate::workers::protocol::{ClassInfo, ModelErrorKind};
use crate::workers::supervision::{Class, Prepare};
use crate::workers::worker::{Predicted, Worker, WorkerError};

/// How long a request waits for a worker: the time that Label Studio waits for predictions.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(100);
/// How long a request waits for the script to be imported, right after the start.
const IMPORT_TIMEOUT: Duration = Duration::from_secs(100);

/// How long a new worker loads models before it takes requests.
const PREPARE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a new version may take to load before the one before it stays.
const SWITCH_TIMEOUT: Duration = Duration::from_secs(300);
/// What /setup says before the class is known. Label Studio asks again before it predicts.
const UNKNOWN_VERSION: &str = "INITIAL";

/// One request for predictions.
#[derive(Debug)]
pub struct PredictRequest {
    pub project: String,
    /// The labelling config that came with the request; without one, that of /setup is used.
    pub label_config: Option<String>,
    pub priority: Priority,
    /// Make a new instance first.
    pub force_reload: bool,
    /// Make an instance if there is none yet; else that is an error.
    pub try_fetch: bool,
    /// The body of the HTTP request, unparsed.
    pub body: Bytes,
}

/// Brings requests, models and workers together.
#[derive(Debug)]
pub struct Serving {
    pool: Arc<Pool>,
    models: Arc<Models>,
    class: watch::Receiver<Class>,
    versions: OnceLock<Arc<Versions>>,
    /// One change of versions at a time.
    switching: tokio::sync::Mutex<()>,
}

impl Serving {
    pub fn new(pool: Arc<Pool>, models: Arc<Models>, class: watch::Receiver<Class>) -> Self {
        Self {
            pool,
            models,
            class,
            versions: OnceLock::new(),
            switching: tokio::sync::Mutex::default(),
        }
    }

    pub fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// The class, once a worker has imported it.
    pub fn class(&self) -> Option<Arc<ClassInfo>> {
        match &*self.class.borrow() {
            Class::Ready(class) => Some(Arc::clone(class)),
            Class::Unknown | Class::Failed(_) => None,
        }
    }

    /// Waits for the class, but not for longer than a client would.
    pub async fn ready(&self) -> Result<(Arc<ClassInfo>, Arc<Versions>), ServingError> {
        timeout(IMPORT_TIMEOUT, self.imported()).await.unwrap_or_else(|_| {
            Err(ServingError::NotReady("the script is still being imported".into()))
        })
    }

    /// Waits until the class is known: its generation says what MODEL_DIR is.
    pub async fn imported(&self) -> Result<(Arc<ClassInfo>, Arc<Versions>), ServingError> {
        let mut class = self.class.clone();
        let known = class
            .wait_for(|class| !matches!(class, Class::Unknown))
            .await
            .map(|class| class.clone());
        match known {
            Ok(Class::Ready(class)) => {
                let open = || Arc::new(Versions::open(&class.model_dir));
                let versions = Arc::clone(self.versions.get_or_init(open));
                Ok((class, versions))
            }
            Ok(Class::Failed(failure)) => Err(ServingError::NotReady(failure.message.clone())),
            Ok(Class::Unknown) | Err(_) => {
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
            let name = project.to_owned();
            let newest = on_disk(move || versions.current(&name)).await?;
            self.models.set_version_once(project, newest);
        }
        let (model, surplus) = self.models.resolve(project, label_config, class.generation);
        self.unload(&surplus).await;
        Ok(model)
    }

    /// Takes what /setup brought, loads the model ahead of the first prediction and waits for it at
    /// most `wait`: Label Studio gives up on /setup after 3 s and then shows the backend as broken,
    /// so a slow load goes on in the background. Returns the version to be served.
    pub async fn setup(
        self: &Arc<Self>,
        project: &str,
        setup: Setup,
        force_reload: bool,
        wait: Duration,
    ) -> Result<String, ServingError> {
        let known = self.models.set_up(project, setup);
        let deadline = Instant::now() + wait;
        let Ok(resolved) = timeout_at(deadline, self.resolve(project, None)).await else {
            // The script is still being imported, and nothing is known of its versions.
            return Ok(UNKNOWN_VERSION.into());
        };
        let model = resolved?;
        let version = model.model.spec.version.clone();
        if known && !force_reload && model.load_state() == Load::Loaded {
            return Ok(version);
        }
        if model.is_deadly() && known && !force_reload {
            return Err(ServingError::Deadly(project.to_owned()));
        }
        let (begun, mut load) = model.begin_load();
        if begun {
            tokio::spawn({
                let (serving, model) = (Arc::clone(self), Arc::clone(&model));
                async move { serving.load_everywhere(&model, force_reload).await }
            });
        }
        let loaded = timeout_at(deadline, load.wait_for(|load| *load != Load::Pending)).await;
        match loaded {
            Ok(Ok(load)) => match &*load {
                Load::Failed(error) => Err(ServingError::Model(error.clone())),
                Load::Loaded | Load::Pending | Load::Idle => Ok(version),
            },
            Ok(Err(_)) => Ok(version),
            Err(_) => {
                info!(project, "/setup answered before the model was loaded; loading goes on");
                Ok(version)
            }
        }
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

    pub async fn predict(&self, request: PredictRequest) -> Result<Predicted, ServingError> {
        if !request.try_fetch && !self.models.in_use(&request.project) {
            return Err(ServingError::NoModel(request.project));
        }
        let model = self.resolve(&request.project, request.label_config.as_deref()).await?;
        if model.is_deadly() && model.load_state() != Load::Loaded && !request.force_reload {
            return Err(ServingError::Deadly(request.project));
        }
        // Nobody waits for workers that cannot import the script.
        if let Some(reason) = self.pool.hopeless() {
            return Err(ServingError::NotReady(reason));
        }
        let permit = timeout(QUEUE_TIMEOUT, self.pool.acquire(request.priority, &request.project))
            .await
            .map_err(|_| ServingError::Busy(QUEUE_TIMEOUT))?;
        // A client that hangs up does not stop the model, so the thread stays taken until it ends.
        let running = tokio::spawn(async move {
            let worker = permit.worker();
            let predicted = worker.predict(&model.model, request.force_reload, request.body).await;
            if model.is_retired() {
                worker.unload(model.model.spec.id).await;
            }
            if let Err(WorkerError::Died { .. }) = predicted
                && model.load_state() != Load::Loaded
            {
                model.count_death();
            }
            let predicted = predicted?;
            model.set_loaded();
            explain_shape(&request.project, &predicted);
            Ok(predicted)
        });
        running.await.unwrap_or_else(|error| Err(ServingError::NotReady(error.to_string())))
    }

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
        if class.generation != 1 {
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
        let Ok((_, versions)) = self.ready().await else { return };
        for project in self.models.projects() {
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
    async fn load_next(
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
        let old = self.models.switch(project, version, next);
        self.unload(&old).await;
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
                let id = next.model.spec.version.parse();
                if error.kind == ModelErrorKind::Construct
                    && let (Ok((_, versions)), Ok(id)) = (self.ready().await, id)
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

/// Runs what may have to wait for a disk.
async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, ServingError> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(|error| ServingError::NotReady(error.to_string()))??)
}

/// What a new worker does before it takes requests: it loads the models in use. It takes requests
/// all the same when that takes long, and those that keep ending workers wait to be asked for.
pub fn prepare(models: &Arc<Models>) -> Prepare {
    let models = Arc::clone(models);
    Arc::new(move |worker| {
        let models = models.all();
        Box::pin(async move {
            let name = worker.name.clone();
            // On its own, so that it learns of the worker's death and whose load it was.
            let loading = tokio::spawn(async move {
                for model in models.iter().filter(|model| !model.is_deadly()) {
                    load_on(&worker, model, false).await;
                }
            });
            if timeout(PREPARE_TIMEOUT, loading).await.is_err() {
                warn!(worker = name, "not all models are loaded yet; loading goes on");
            }
        })
    })
}

/// Loads a model on one worker and notes how it went.
async fn load_on(worker: &Worker, model: &ModelInUse, renew: bool) {
    match worker.load(&model.model, renew).await {
        Ok(()) => model.set_loaded(),
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
        Err(WorkerError::Frame(error)) => warn!("the model cannot be loaded: {error}"),
    }
    if model.is_retired() {
        worker.unload(model.model.spec.id).await;
    }
}

/// Label Studio stores nothing, and says nothing, when the number of results is wrong.
fn explain_shape(project: &str, predicted: &Predicted) {
    match predicted.results {
        None => warn!(project, "predict returned no list: Label Studio will store no prediction"),
        Some(0) if predicted.tasks > 0 => {
            warn!(
                project,
                "predict returned an empty list for {} tasks: Label Studio will store no prediction",
                predicted.tasks
            );
        }
        Some(results) if results != predicted.tasks && results != 1 => {
            warn!(
                project,
                "predict returned {results} results for {} tasks: Label Studio will store no prediction",
                predicted.tasks
            );
        }
        Some(_) => {}
    }
}
