//! `label-studio-ml start`: runs the server.

mod descriptors;
mod http_limit_args;
mod network_args;
mod next_steps;
mod server;
mod training_args;
mod waiting_args;
mod worker_args;
mod worker_count;

use std::os::unix::process::CommandExt;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use clap::Args;

use http_limit_args::HttpLimitArgs;
pub(super) use network_args::DEFAULT_PORT;
use network_args::NetworkArgs;
use training_args::TrainingArgs;
use waiting_args::WaitingArgs;
use worker_args::{ReplacingArgs, WorkerArgs};

use super::addresses::{Address, Surroundings};
use super::arguments::PassedOn;
use super::project_args::ProjectArgs;
use super::terminal;
use crate::project::find::FoundProject;
use crate::wire::protocol::{ClassSource, Configure};
use crate::workers::process::Launch;

/// Heading of options about what answers say.
const ANSWERS: &str = "Answers";

/// In the order in which `--help` shows them: what most users need comes first.
#[derive(Debug, Args)]
#[command(after_help = "`label-studio-ml start --help` shows all options.", after_long_help = "")]
pub(super) struct StartArgs {
    /// Serve in this process, one request at a time, for `breakpoint()`; log everything, and restart when a
    /// file of the project changes
    #[arg(short, long)]
    debug: bool,
    /// Construct the model class once before serving, and exit if that fails
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    project: ProjectArgs,
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    workers: WorkerArgs,
    #[command(flatten)]
    training: TrainingArgs,
    #[command(flatten)]
    waiting: WaitingArgs,
    #[command(flatten)]
    replacing: ReplacingArgs,
    #[command(flatten)]
    http_limits: HttpLimitArgs,
}

pub(super) fn run(args: &StartArgs, passed_on: &PassedOn, launch: &Launch) -> Result<i32> {
    let log_level = match &args.project.log_level {
        _ if args.debug => Some("DEBUG".to_owned()),
        level => level.clone(),
    };
    terminal::init_log(log_level.as_deref().unwrap_or("INFO"));
    if args.training.is_in_worker() && args.workers.workers.number != 1 {
        bail!("--fit-in worker needs --workers 1: workers do not share what they learn");
    }
    // A wrong password or token ends the command before anything is served.
    args.network.credentials()?;
    let has_token = args.network.webhook_token()?.is_some();
    if args.debug && has_token {
        tracing::warn!("--webhook-token has no effect with --debug");
    }
    let project = args.project.project()?;
    let mut configure = configure(args, &project, log_level)?;
    configure.arguments.clone_from(&passed_on.all);
    if !passed_on.own.is_empty() {
        tracing::info!("{} reads {}", project.file().display(), passed_on.own.join(", "));
    }
    if args.debug {
        return Err(debug(args, &project, &configure, launch));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(server_threads())
        .enable_all()
        .build()?;
    let status = runtime.block_on(server::run(args, configure, launch));
    // Blocking work in the background must not delay the end.
    runtime.shutdown_timeout(Duration::from_secs(1));
    status
}

/// Number of threads that serve: one per four cores. Threads that wake each other for a request cost more
/// than they save, and one thread keeps several workers busy.
fn server_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(4))
}

/// Replaces this process by a Python process that serves the project; returns only if that fails.
fn debug(
    args: &StartArgs,
    project: &FoundProject,
    configure: &Configure,
    launch: &Launch,
) -> anyhow::Error {
    let mut command = std::process::Command::new(&launch.python);
    command.args(["-m", "label_studio_ml._inprocess.debug", "--host", &args.network.host]);
    command.arg("--port").arg(args.network.port.to_string());
    command.arg("--project").arg(&project.folder);
    if let ClassSource::Script { path, class } = &project.source {
        command.arg("--script").arg(path);
        if let Some(class) = class {
            command.arg("--class").arg(class);
        }
    }
    command.arg("--kwargs").arg(serde_json::Value::from(configure.init_kwargs.clone()).to_string());
    if args.check {
        command.arg("--check");
    }
    command.args(addresses_to_paste(&args.network));
    if let Some(model_dir) = &configure.model_dir {
        command.env("MODEL_DIR", model_dir);
    }
    if args.project.take_over {
        command.env("LABEL_STUDIO_ML_TAKE_OVER", "1");
    }
    if let Some(hosts) = &configure.allow_hosts {
        command.env("LABEL_STUDIO_ML_ALLOW_HOSTS", hosts);
    }
    for (name, value) in args.network.given_credentials() {
        command.env(name, value);
    }
    if let Some(level) = &configure.log_level {
        command.env("LOG_LEVEL", level);
    }
    let arguments = serde_json::Value::from(configure.arguments.clone());
    command.arg("--arguments").arg(arguments.to_string());
    anyhow!(command.exec()).context("the Python process")
}

/// Arguments of the Python process: the addresses that Label Studio can reach it at, each with the place of Label
/// Studio.
fn addresses_to_paste(network: &NetworkArgs) -> Vec<String> {
    // Port 0 is a port that only the Python process learns, and prints.
    if network.port == 0 {
        return Vec::new();
    }
    let Ok(bound) = network.host.parse() else {
        return vec![format!("--paste=http://{}:{}", network.host, network.port)];
    };
    let addresses = Surroundings::look().to_paste(bound, network.port, None);
    let argument =
        |address: Address| format!("--paste={:<30} Label Studio {}", address.url, address.place);
    addresses.into_iter().map(argument).collect()
}

fn configure(
    args: &StartArgs,
    project: &FoundProject,
    log_level: Option<String>,
) -> Result<Configure> {
    let mut configure = args.project.configure(project, args.workers.threads())?;
    // The program finds them in the environment, however they were given.
    let given = args.network.given_credentials();
    configure.secrets.0.extend(given.map(|(name, value)| (name.to_owned(), value.to_owned())));
    Ok(Configure {
        log_level,
        check: args.check,
        train_nice: args.training.niceness(),
        fresh_instances: args.workers.fresh_instances,
        max_batch_size: args.workers.batch(),
        ..configure
    })
}
