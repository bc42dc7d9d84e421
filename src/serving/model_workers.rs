//! Loads, renames and unloads models on all workers.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::warn;

use super::models::Models;
use super::served_model::ServedModel;
use crate::workers::handle::{WorkerError, WorkerHandle};
use crate::workers::pool::Pool;
use crate::workers::supervision::PrepareWorker;

/// How long a new worker loads models before it takes requests.
pub const PREPARE_TIMEOUT: Duration = Duration::from_secs(10);

/// All workers that are ready.
#[derive(Debug)]
pub struct ModelWorkers {
    pub pool: Arc<Pool>,
}

impl ModelWorkers {
    /// Loads a model on every ready worker. A worker that becomes ready later loads it then.
    pub async fn load(&self, model: &Arc<ServedModel>, renew: bool) {
        let mut tasks = JoinSet::new();
        for worker in self.pool.workers() {
            let model = Arc::clone(model);
            tasks.spawn(async move { load_on(&worker, &model, renew).await });
        }
        while tasks.join_next().await.is_some() {}
        // If no worker made it, the next request for it starts over.
        model.give_up();
    }

    pub async fn unload(&self, models: &[Arc<ServedModel>]) {
        for model in models {
            for worker in self.pool.workers() {
                worker.unload(model.model.spec.id).await;
            }
        }
    }

    /// Tells workers the model versions that predictions of these models carry from now on.
    pub async fn rename(&self, models: &[Arc<ServedModel>]) {
        for model in models {
            for worker in self.pool.workers() {
                worker.rename(&model.model).await;
            }
        }
    }
}

/// Loads the models in use into a new worker, before it takes requests. If that takes long, the worker
/// takes requests meanwhile; models that keep ending workers are loaded only when a request needs them.
pub fn prepare(models: &Arc<Models>) -> PrepareWorker {
    let models = Arc::clone(models);
    Arc::new(move |worker| {
        let models = models.to_load();
        Box::pin(async move {
            let name = worker.name.clone();
            // A task of its own: it sees the death of the worker, and knows which model was being loaded.
            let loading = tokio::spawn(async move {
                // A spare may hold some that were in use when it was started.
                worker.keep_only(|id| models.iter().any(|model| model.model.spec.id == id)).await;
                for model in models.iter().filter(|model| !model.is_crash_looping()) {
                    load_on(&worker, model, false).await;
                    // A load that had not begun is not to blame.
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
pub async fn load_on(worker: &WorkerHandle, model: &ServedModel, renew: bool) {
    match worker.load(&model.model, renew).await {
        Ok(()) => {
            // It may have been renamed before the worker counted as one that serves it.
            worker.rename(&model.model).await;
            model.set_loaded();
        }
        Err(WorkerError::Model(error)) => {
            warn!(
                project = model.model.spec.project.as_str(),
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
