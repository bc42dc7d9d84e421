//! The one place where a model's workers and the serving of predictions are put together.
//!
//! In: how workers are started and kept, and how long requests may wait. Out: a [`ModelStack`], which
//! `predict` and `validate` ask themselves; `start` puts HTTP and training on top of it.

use std::sync::{Arc, OnceLock};

use tokio::sync::watch;

use crate::publishing::Publisher;
use crate::serving::deadlines::Deadlines;
use crate::serving::models::Models;
use crate::serving::{Serving, prepare};
use crate::wire::protocol::Configure;
use crate::workers::pool::Pool;
use crate::workers::process::Launch;
use crate::workers::server_routes::{ServerRoutes, WorkerQuestions};
use crate::workers::supervision::{ClassState, SupervisionPolicy, Supervisor};

/// How a stack differs from command to command.
pub(super) struct StackOptions {
    pub(super) pool: Arc<Pool>,
    /// Maximum number of models that stay loaded.
    pub(super) max_models: usize,
    pub(super) deadlines: Deadlines,
    pub(super) care: SupervisionPolicy,
    /// The workers that predict also run `fit`, so the keys that they set belong to a training.
    pub(super) fit_in_worker: bool,
    /// The class goes on with what another model learned in the same MODEL_DIR.
    pub(super) takes_over: bool,
    /// The routes of the server, for user apps; set once there are some.
    pub(super) routes: Arc<OnceLock<Arc<dyn ServerRoutes>>>,
}

/// The workers of one model and the serving of predictions by them.
pub(super) struct ModelStack {
    pub(super) serving: Arc<Serving>,
    pub(super) publisher: Arc<Publisher>,
    /// What the first import of the script brings.
    pub(super) class: watch::Receiver<ClassState>,
    supervisor: Supervisor,
}

impl ModelStack {
    /// Starts the workers; returns at once.
    pub(super) fn start(options: StackOptions, configure: &Configure, launch: &Launch) -> Self {
        let StackOptions { pool, max_models, deadlines, care, fit_in_worker, takes_over, routes } =
            options;
        let models = Arc::new(Models::new(max_models));
        let (found, class) = watch::channel(ClassState::Unknown);
        let serving = Arc::new(Serving::new(
            Arc::clone(&pool),
            Arc::clone(&models),
            class.clone(),
            deadlines,
        ));
        if takes_over {
            serving.registry().class.take_over();
        }
        let publisher = Arc::new(Publisher::new(Arc::clone(serving.registry()), care.rollout));
        let keys = publisher.key_keeper(fit_in_worker);
        let questions = WorkerQuestions { keys, routes };
        let (supervisor, fleet) = Supervisor::start(
            launch,
            configure,
            &questions,
            &pool,
            &prepare(&models),
            &found,
            care,
        );
        publisher.set_fleet(fleet);
        Self { serving, publisher, class, supervisor }
    }

    /// Ends the workers; what models keep is on the disk afterwards.
    pub(super) async fn stop(self) {
        self.supervisor.stop().await;
        self.serving.flush_keys().await;
    }
}
