//! The server as a whole: its parts are put together, run until something asks them to end, and wound
//! up in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, anyhow};
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::sync::watch;
use tracing::{info, warn};

use super::{StartArgs, next_steps, seconds};
use crate::cli::signals::Signals;
use crate::cli::{listen, terminal};
use crate::http::metrics::{Counts, keep_up};
use crate::http::router::Front;
use crate::http::serve::serve;
use crate::http::state::Parts;
use crate::serving::keys::Keeper;
use crate::serving::models::Models;
use crate::serving::{Serving, prepare};
use crate::training::queue::Queue;
use crate::training::runner::train;
use crate::wire::protocol::{Configure, ImportFailure};
use crate::workers::process::Launch;
use crate::workers::supervision::{ClassState, Supervisor};

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
    let pool = args.workers.pool();
    let models = Arc::new(Models::new(args.workers.max_instances.try_into()?));
    let (class, known) = watch::channel(ClassState::Unknown);
    let queue = Arc::new(Queue::new(args.training.policy()));
    let care = args.workers.care();
    let serving = Arc::new(Serving::new(
        Arc::clone(&pool),
        Arc::clone(&models),
        known.clone(),
        care.rollout,
        args.workers.deadlines(),
    ));
    let asked_to_stop = Arc::new(AtomicBool::new(false));
    let app = Arc::new(Parts {
        serving: Arc::clone(&serving),
        queue: Arc::clone(&queue),
        options: Arc::new(
            args.network.options(configure.model_dir.clone(), args.workers.batch() > 0)?,
        ),
        metrics: PrometheusBuilder::new().install_recorder()?,
        counts: Counts::default(),
        stopping: Arc::clone(&asked_to_stop),
    });
    tokio::spawn(keep_up(app.metrics.clone()));
    let grace = seconds(args.workers.drain_timeout);
    let (stop, mut stopping) = watch::channel(false);
    let ending = Arc::clone(&serving);
    let http = tokio::spawn(serve(
        listener,
        Front::new(app),
        args.network.connections(
            DESCRIPTORS + DESCRIPTORS_A_WORKER * u64::from(args.workers.workers.number),
        ),
        async move {
            let _ = stopping.wait_for(|stop| *stop).await;
        },
        grace,
        move || ending.end(),
    ));
    next_steps::show(args, address)?;

    terminal::show_progress(queue.running());
    let options = args.training.options();
    let keeper = Keeper::shared(Arc::clone(&serving), options.in_worker);
    let (supervisor, fleet) =
        Supervisor::start(launch, &configure, &keeper, &pool, &prepare(&models), &class, care);
    serving.set_fleet(fleet);
    let kept = Arc::clone(&serving);
    let training = train(queue, serving, launch.clone(), configure, options, stop.subscribe());
    let mut training = tokio::spawn(training);

    let outcome = tokio::select! {
        // Its traceback is in the log.
        failure = import_failure(known) => Err(anyhow!(failure.message.clone())),
        Ok(Err(error)) = &mut training => Err(error.into()),
        name = signals.next() => {
            info!("{name}: stopping; what runs may end within {} s", grace.as_secs_f64());
            Ok(0)
        }
    };
    asked_to_stop.store(true, Ordering::Relaxed);
    let _ = stop.send(true);
    let trained = async {
        if !training.is_finished() {
            let _ = training.await;
        }
    };
    let wound_up = async {
        let _ = tokio::join!(trained, http);
        supervisor.stop().await;
        kept.flush_keys().await;
    };
    tokio::select! {
        () = wound_up => {}
        name = signals.next() => {
            warn!("{name} again: stopping at once");
            return Ok(130);
        }
    }
    outcome
}

/// Resolves if the very first import fails: then nothing was ever served, and the user is still
/// at the terminal.
async fn import_failure(mut class: watch::Receiver<ClassState>) -> Arc<ImportFailure> {
    match class.wait_for(|class| !matches!(class, ClassState::Unknown)).await.map(|c| c.clone()) {
        Ok(ClassState::Failed(failure)) => failure,
        _ => std::future::pending().await,
    }
}
