//! `label-studio-ml start`: the server, from the command line to its end.

use std::fmt::Write;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use clap::{Args, ValueEnum};
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::sync::watch;
use tracing::{info, warn};

use super::addresses::{Surroundings, in_a_line};
use super::project_args::ProjectArgs;
use super::signals::Signals;
use super::{listen, password, terminal};
use crate::http::auth::Credentials;
use crate::http::router::router;
use crate::http::serve::serve;
use crate::http::state::{App, HttpOptions};
use crate::serving::keys::Keeper;
use crate::serving::models::Models;
use crate::serving::{Rollout, Serving, prepare};
use crate::store::jobs::enqueue::Policy;
use crate::training::queue::Queue;
use crate::training::runner::{TrainingOptions, train};
use crate::workers::pool::Pool;
use crate::workers::process::Launch;
use crate::workers::protocol::{Configure, ImportFailure};
use crate::workers::supervision::{Class, Supervisor};

pub(super) const DEFAULT_PORT: u16 = 9090;

#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools)] // they are switches of a command line
pub(super) struct StartArgs {
    #[command(flatten)]
    project: ProjectArgs,
    #[arg(short, long, env = "PORT", default_value_t = DEFAULT_PORT)]
    port: u16,
    /// Address to listen on
    #[arg(long, default_value = "0.0.0.0")]
    host: String,
    /// Serve in this process, one request at a time, for `breakpoint()`; log everything, and begin anew
    /// when a file of the project changes
    #[arg(short, long)]
    debug: bool,
    /// Construct the model class once before serving, and stop if that fails
    #[arg(long)]
    check: bool,
    /// Processes that answer predictions
    #[arg(long, env = "WORKERS", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: u16,
    /// Predictions that one process answers at a time
    #[arg(long, env = "THREADS", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
    /// Answer with an error, which names each place, where Label Studio would drop or hide predictions
    #[arg(long, conflicts_with = "debug")]
    strict: bool,
    /// Leave tracebacks of user code out of error answers
    #[arg(long)]
    hide_tracebacks: bool,
    /// Largest request body in MiB
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    max_body: usize,
    /// Longest time in seconds that /setup waits for a model to load
    #[arg(long, value_name = "S", default_value_t = 2.0)]
    setup_timeout: f64,
    /// Longest time in seconds that running predictions may take when the server stops
    #[arg(long, value_name = "S", default_value_t = 10.0)]
    drain_timeout: f64,
    /// Longest time in seconds that training may go on when the server stops; then it goes back to the
    /// queue, and is done again after the next start
    #[arg(long, value_name = "S", default_value_t = 0.0)]
    train_drain_timeout: f64,
    /// What becomes of webhook events while others of their project wait: `latest` trains once with
    /// the newest, `all` on each in order [default: latest for API v1, all for API v2]
    #[arg(long, value_enum)]
    training_queue: Option<TrainingQueue>,
    /// Versions of each project that are kept [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    keep_versions: Option<u32>,
    /// How long in seconds the training worker stays for the next job
    #[arg(long, value_name = "S", default_value_t = 30.0)]
    train_linger: f64,
    /// Niceness of training: predictions come first
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(i32).range(0..=19))]
    train_nice: i32,
    /// Models that are kept loaded at a time, one for each project and labelling config
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..))]
    max_instances: u32,
    /// Make an instance of the model for every request (API v2), as the original does
    #[arg(long)]
    fresh_instances: bool,
    /// Whether new workers are loaded before the old ones end, when a training of API v2 wrote files;
    /// auto: not if a graphics card has no room for both
    #[arg(long, value_enum, default_value_t = RolloutChoice::Auto)]
    rollout: RolloutChoice,
    /// Where fit runs: in a process of its own, or inside the worker that predicts, for models that
    /// keep everything in memory (needs --workers 1)
    #[arg(long, value_enum, default_value_t = FitIn::Process)]
    fit_in: FitIn,
    /// User that every request must name [default: `$BASIC_AUTH_USER`, `$ML_SERVER_BASIC_AUTH_USER`]
    #[arg(long, value_name = "USER")]
    basic_auth_user: Option<String>,
    /// Password that every request must bring [default: `$BASIC_AUTH_PASS`, `$ML_SERVER_BASIC_AUTH_PASS`]
    #[arg(long, value_name = "PASSWORD")]
    basic_auth_pass: Option<String>,
    /// How long in seconds to wait for another server to let go of the model folder
    #[arg(long, value_name = "S", default_value_t = 60.0)]
    lock_wait: f64,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum TrainingQueue {
    Latest,
    All,
}

impl From<TrainingQueue> for Policy {
    fn from(chosen: TrainingQueue) -> Self {
        match chosen {
            TrainingQueue::Latest => Self::Latest,
            TrainingQueue::All => Self::All,
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RolloutChoice {
    StartFirst,
    StopFirst,
    Auto,
}

impl From<RolloutChoice> for Rollout {
    fn from(chosen: RolloutChoice) -> Self {
        match chosen {
            RolloutChoice::StartFirst => Self::StartFirst,
            RolloutChoice::StopFirst => Self::StopFirst,
            RolloutChoice::Auto => Self::Auto,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FitIn {
    Process,
    Worker,
}

pub(super) fn run(args: &StartArgs, launch: &Launch) -> Result<i32> {
    let log_level = match &args.project.log_level {
        _ if args.debug => Some("DEBUG".to_owned()),
        level => level.as_ref().map(|level| level.to_uppercase()),
    };
    terminal::init_log(log_level.as_deref().unwrap_or("INFO"));
    if args.fit_in == FitIn::Worker && args.workers != 1 {
        bail!("--fit-in worker needs --workers 1: several workers would not learn of each other");
    }
    // Before anything is served.
    credentials(args)?;
    let project = args.project.folder()?;
    let configure = configure(args, &project, log_level)?;
    if args.debug {
        return Err(debug(args, &project, &configure, launch));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let status = runtime.block_on(run_server(args, configure, launch));
    // What blocks in the background must not hold up the end.
    runtime.shutdown_timeout(Duration::from_secs(1));
    status
}

fn credentials(args: &StartArgs) -> Result<Option<Credentials>> {
    let found = password::find(args.basic_auth_user.as_deref(), args.basic_auth_pass.as_deref())?;
    Ok(found.map(|(user, password)| Credentials::new(&user, &password)))
}

/// Becomes a Python process that serves the project; returns why that failed.
fn debug(
    args: &StartArgs,
    project: &Path,
    configure: &Configure,
    launch: &Launch,
) -> anyhow::Error {
    let mut command = std::process::Command::new(&launch.python);
    command.args(["-m", "label_studio_ml._debug", "--host", &args.host]);
    command.arg("--port").arg(args.port.to_string()).arg("--project").arg(project);
    command.arg("--kwargs").arg(serde_json::Value::from(configure.init_kwargs.clone()).to_string());
    if args.check {
        command.arg("--check");
    }
    if let Some(model_dir) = &configure.model_dir {
        command.env("MODEL_DIR", model_dir);
    }
    for (name, value) in [("USER", &args.basic_auth_user), ("PASS", &args.basic_auth_pass)] {
        if let Some(value) = value {
            command.env(format!("BASIC_AUTH_{name}"), value);
        }
    }
    if let Some(level) = &configure.log_level {
        command.env("LOG_LEVEL", level);
    }
    anyhow!(command.exec()).context("the Python process")
}

fn configure(args: &StartArgs, project: &Path, log_level: Option<String>) -> Result<Configure> {
    Ok(Configure {
        log_level,
        check: args.check,
        train_nice: args.train_nice,
        fresh_instances: args.fresh_instances,
        ..args.project.configure(project, args.threads.into())?
    })
}

/// Seconds of the command line, within what a clock can count.
fn seconds(given: f64) -> Duration {
    Duration::try_from_secs_f64(given.clamp(0.0, 86_400.0)).unwrap_or_default()
}

async fn run_server(args: &StartArgs, configure: Configure, launch: &Launch) -> Result<i32> {
    let mut signals = Signals::new()?;
    let listener = listen::listen(&args.host, args.port).await?;
    let address = listener.local_addr()?;

    let pool = Pool::new(args.workers.into(), args.threads.into());
    let models = Arc::new(Models::new(args.max_instances.try_into()?));
    let (class, known) = watch::channel(Class::Unknown);
    let queue = Arc::new(Queue::new(args.training_queue.map(Policy::from)));
    let rollout = args.rollout.into();
    let serving = Serving::new(Arc::clone(&pool), Arc::clone(&models), known.clone(), rollout);
    let serving = Arc::new(serving);
    let app = App {
        serving: Arc::clone(&serving),
        queue: Arc::clone(&queue),
        options: Arc::new(HttpOptions {
            hide_tracebacks: args.hide_tracebacks,
            strict: args.strict,
            model_dir: configure.model_dir.clone(),
            max_body: args.max_body << 20,
            setup_wait: seconds(args.setup_timeout),
            credentials: credentials(args)?,
        }),
        metrics: PrometheusBuilder::new().install_recorder()?,
    };
    let grace = seconds(args.drain_timeout);
    let (stop, mut stopping) = watch::channel(false);
    let http = tokio::spawn(serve(
        listener,
        router(app),
        async move {
            let _ = stopping.wait_for(|stop| *stop).await;
        },
        grace,
    ));
    show_next_steps(args, address);

    terminal::show_progress(queue.running());
    let keeper = Keeper::shared(Arc::clone(&serving), args.fit_in == FitIn::Worker);
    let (supervisor, fleet) =
        Supervisor::start(launch, &configure, &keeper, &pool, &prepare(&models), &class);
    serving.set_fleet(fleet);
    let options = TrainingOptions {
        lock_wait: seconds(args.lock_wait),
        linger: seconds(args.train_linger),
        drain: seconds(args.train_drain_timeout),
        keep_versions: args.keep_versions.and_then(|keep| usize::try_from(keep).ok()),
        in_worker: args.fit_in == FitIn::Worker,
    };
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

/// Says under which addresses Label Studio reaches the server, and what to do with them.
fn show_next_steps(args: &StartArgs, address: SocketAddr) {
    let surroundings = Surroundings::look();
    let (ip, port) = (address.ip(), address.port());
    info!("listening on http://{address}");
    info!(
        "paste into Label Studio, Settings → Model → Connect model: {}",
        in_a_line(&surroundings.to_paste(ip, port))
    );
    if let Some(note) = surroundings.note(ip, port) {
        info!("{note}");
    }
    let mut command = String::from("label-studio-ml doctor");
    if let Some(name) = &args.project.name {
        let _ = write!(command, " {name}");
    }
    if args.project.root_dir != Path::new(".") {
        let _ = write!(command, " --root-dir {}", args.project.root_dir.display());
    }
    if port != DEFAULT_PORT {
        let _ = write!(command, " --port {port}");
    }
    info!("something does not work? {command}");
}

/// Resolves if the very first import fails: then nothing was ever served, and the user is still
/// at the terminal.
async fn import_failure(mut class: watch::Receiver<Class>) -> Arc<ImportFailure> {
    match class.wait_for(|class| !matches!(class, Class::Unknown)).await.map(|c| c.clone()) {
        Ok(Class::Failed(failure)) => failure,
        _ => std::future::pending().await,
    }
}
