//! The server as a whole: HTTP and training on top of a model's workers, from the first request until
//! everything has ended in order.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Result;
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::network_args::NetworkArgs;
use super::{StartArgs, next_steps};
use crate::activity::ActivityLog;
use crate::cli::model_stack::{ModelStack, StackOptions};
use crate::cli::signals::Signals;
use crate::cli::{listen, offline, terminal};
use crate::http::Access;
use crate::http::connections::serve;
use crate::http::request_metrics::{RequestMetrics, keep_up};
use crate::http::router::HttpService;
use crate::http::state::{AppState, HttpOptions};
use crate::project::digest;
use crate::publishing::activation::undo_before_start;
use crate::serving::Serving;
use crate::serving::early_names::EarlyNames;
use crate::store::models_folder;
use crate::training::ownership::OwnershipError;
use crate::training::queue::Queue;
use crate::training::runner::{TrainingOptions, train};
use crate::wire::protocol::{ClassSource, Configure, ImportFailure};
use crate::workers::process::Launch;
use crate::workers::server_routes::ServerRoutes;
use crate::workers::supervision::ClassState;

/// Open files that the server needs besides connections: its own, and those of each worker.
const DESCRIPTORS: u64 = 256;
const DESCRIPTORS_A_WORKER: u64 = 16;

pub(super) async fn run(args: &StartArgs, configure: Configure, launch: &Launch) -> Result<i32> {
    let mut signals = Signals::new()?;
    let listener = listen::listen(&args.network.host, args.network.port).await?;
    let address = listener.local_addr()?;
    if let Some(because) = &args.workers.workers.because {
        info!("--workers auto: {}, since {because}", args.workers.workers.number);
    }
    let options = Arc::new(args.network.options(
        configure.model_dir.clone(),
        args.workers.batch() > 0,
        args.http_limits.body()?,
        args.waiting.setup_timeout,
    )?);
    undo_before_start(&model_folders(&configure)).await;
    let mut server = RunningServer::start(args, Arc::clone(&options), configure, launch, listener)?;
    next_steps::show(args, &options, address, &server.stack.serving);

    let outcome = server.run_until_asked_to_stop(&args.network, &mut signals).await;
    tokio::select! {
        () = server.wind_up() => outcome,
        name = signals.next() => {
            warn!("{name} again: stopping at once");
            Ok(130)
        }
    }
}

/// Everything that runs until the server ends.
struct RunningServer {
    stack: ModelStack,
    http: JoinHandle<()>,
    training: JoinHandle<Result<(), OwnershipError>>,
    /// Tells HTTP and training to end.
    stop: watch::Sender<bool>,
    /// What `/readyz` looks at.
    stopping: Arc<AtomicBool>,
    activity: Arc<ActivityLog>,
    /// How long running predictions may take once the server stops.
    drain_timeout: Duration,
}

impl RunningServer {
    fn start(
        args: &StartArgs,
        options: Arc<HttpOptions>,
        configure: Configure,
        launch: &Launch,
        listener: TcpListener,
    ) -> Result<Self> {
        // Before anything is counted.
        let metrics = PrometheusBuilder::new().install_recorder()?;
        let port = listener.local_addr().ok().map(|address| address.port());
        let training_options = TrainingOptions { port, ..args.training.options() };
        let routes: Arc<OnceLock<Arc<dyn ServerRoutes>>> = Arc::default();
        let stack_options = StackOptions {
            pool: args.workers.pool(args.waiting.bounds()),
            max_models: args.workers.max_instances,
            deadlines: args.waiting.deadlines(),
            care: args.workers.care(&args.replacing),
            fit_in_worker: training_options.in_worker,
            takes_over: args.project.take_over,
            routes: Arc::clone(&routes),
        };

        let stack = ModelStack::start(stack_options, &configure, launch);
        let early_names = Arc::new(early_names(&stack.serving, &configure));
        tokio::spawn({
            let early_names = Arc::clone(&early_names);
            async move { early_names.keep().await }
        });
        let queue = Arc::new(Queue::new(args.training.policy()));
        let stopping = Arc::new(AtomicBool::new(false));
        let activity = Arc::<ActivityLog>::default();
        let app = Arc::new(AppState {
            serving: Arc::clone(&stack.serving),
            access: Access::new(Arc::clone(&stack.serving), options.credentials.clone()),
            early_names,
            publisher: Arc::clone(&stack.publisher),
            queue: Arc::clone(&queue),
            options,
            metrics,
            request_metrics: RequestMetrics::default(),
            activity: Arc::clone(&activity),
            stopping: Arc::clone(&stopping),
        });
        tokio::spawn(keep_up(app.metrics.clone()));
        terminal::show_progress(queue.running());

        let (stop, mut stopped) = watch::channel(false);
        let drain_timeout = args.waiting.drain_timeout;
        let descriptors =
            DESCRIPTORS + DESCRIPTORS_A_WORKER * u64::from(args.workers.workers.number);
        let ending = Arc::clone(&stack.serving);
        let service = HttpService::new(app);
        // No worker has imported the program yet, so no view has asked.
        let _ = routes.set(Arc::new(service.clone()));
        let http = serve(
            listener,
            service,
            args.http_limits.connections(descriptors),
            async move {
                let _ = stopped.wait_for(|stop| *stop).await;
            },
            drain_timeout,
            move || ending.end(),
        );
        let training = train(
            queue,
            Arc::clone(&stack.publisher),
            launch.clone(),
            configure,
            training_options,
            stop.subscribe(),
        );
        Ok(Self {
            stack,
            http: tokio::spawn(http),
            training: tokio::spawn(training),
            stop,
            stopping,
            activity,
            drain_timeout,
        })
    }

    /// Resolves with the exit status at the first signal, or with the reason why the server cannot go on.
    async fn run_until_asked_to_stop(
        &mut self,
        network: &NetworkArgs,
        signals: &mut Signals,
    ) -> Result<i32> {
        let serving = Arc::clone(&self.stack.serving);
        let refusal = async {
            match serving.imported().await {
                Ok((class, _)) => network.refuse_other_password(class.basic_auth.as_ref()).err(),
                Err(_) => None,
            }
        };
        tokio::select! {
            // What fails because of the import has no other reason.
            biased;
            Some(refusal) = refusal => Err(refusal),
            failure = import_failure(self.stack.class.clone()) => Err(offline::not_imported(&failure.message)),
            Ok(Err(error)) = &mut self.training => Err(error.into()),
            name = signals.next() => {
                let seconds = self.drain_timeout.as_secs_f64();
                info!("{name}: stopping; running predictions have {seconds} s to finish");
                Ok(0)
            }
        }
    }

    /// Ends HTTP and training, then the workers.
    async fn wind_up(self) {
        self.stopping.store(true, Ordering::Relaxed);
        let _ = self.stop.send(true);
        let trained = async {
            // Polling a task again that has ended would panic.
            if !self.training.is_finished() {
                let _ = self.training.await;
            }
        };
        let _ = tokio::join!(trained, self.http);
        self.activity.predictions.flush();
        self.stack.stop().await;
    }
}

fn project_folder(configure: &Configure) -> &Path {
    let (ClassSource::Wsgi { path } | ClassSource::Script { path, .. }) = &configure.source;
    path.parent().unwrap_or(&configure.cwd)
}

/// The folders that may be MODEL_DIR: the user's choice, else the project's folder for models, else the project
/// folder or the working folder, by the API of the class.
fn model_folders(configure: &Configure) -> Vec<PathBuf> {
    match &configure.model_dir {
        Some(model_dir) => vec![model_dir.clone()],
        None => match models_folder::of_project(project_folder(configure)) {
            Some(own) => vec![own],
            None => vec![project_folder(configure).to_owned(), configure.cwd.clone()],
        },
    }
}

/// Names of versions for the time of the import.
fn early_names(serving: &Arc<Serving>, configure: &Configure) -> EarlyNames {
    let folder = project_folder(configure);
    let mut options = configure.arguments.clone();
    options.push(serde_json::Value::from(configure.init_kwargs.clone()).to_string());
    options.push(format!("{:?}", configure.source));
    EarlyNames::open(
        Arc::clone(serving.registry()),
        digest::of(folder, &options),
        &model_folders(configure),
    )
}

/// Resolves if the first import fails: nothing has been served then, and the user is still at the
/// terminal.
async fn import_failure(mut class: watch::Receiver<ClassState>) -> Arc<ImportFailure> {
    match class.wait_for(|class| !matches!(class, ClassState::Unknown)).await.map(|c| c.clone()) {
        Ok(ClassState::Failed(failure)) => failure,
        _ => std::future::pending().await,
    }
}
