//! `label-studio-ml predict`: predictions for a file of tasks, or for a whole project of Label Studio.

mod batches;
mod file;
mod progress;
mod project;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, bail};
use clap::Args;

use super::offline::{Offline, Opened};
use super::project_args::ProjectArgs;
use super::terminal;
use super::values::whole;
use crate::workers::process::Launch;
use batches::OfflinePredictor;

/// Heading of options about the way to Label Studio.
const LABEL_STUDIO: &str = "Label Studio";

#[derive(Debug, Args)]
#[command(after_help = "`label-studio-ml predict --help` shows all options.", after_long_help = "")]
pub(super) struct PredictArgs {
    /// File of tasks, as Label Studio imports or exports them: JSON, or one task a line
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// File for the tasks with their predictions, ready to be imported [default: standard output]
    #[arg(long, value_name = "FILE", requires = "input")]
    output: Option<PathBuf>,
    /// Labelling config for --input [default: `label_config.xml` in the project folder]
    #[arg(long, value_name = "FILE", requires = "input")]
    config: Option<PathBuf>,
    /// Project of Label Studio whose tasks are fetched and into which the predictions are imported; with
    /// --input: the project for which the model was trained
    #[arg(long, value_name = "ID")]
    project: Option<String>,
    /// Address of Label Studio
    #[arg(long, env = "LABEL_STUDIO_URL", value_name = "URL", help_heading = LABEL_STUDIO)]
    label_studio_url: Option<String>,
    /// Access token of Label Studio: a personal access token or a legacy token
    #[arg(long, env = "LABEL_STUDIO_API_KEY", value_name = "TOKEN", hide_env_values = true, help_heading = LABEL_STUDIO)]
    api_key: Option<String>,
    /// Number of tasks in one call of `predict`
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = whole::<usize>(1..=100_000))]
    batch_size: usize,
    /// Number of processes that predict
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole::<u16>(1..=256))]
    workers: u16,
    /// Number of batches that one process predicts at a time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole::<u16>(1..=256), hide_short_help = true)]
    threads: u16,
    /// Leave out predictions that Label Studio would drop or hide, and count them as failed
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    project_args: ProjectArgs,
}

/// How many tasks have predictions now, and how many failed.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    predicted: u64,
    failed: u64,
}

pub(super) fn run(args: &PredictArgs, launch: &Launch) -> Result<i32> {
    terminal::init_log(args.project_args.log_level.as_deref().unwrap_or("ERROR"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        match (&args.input, &args.project) {
            (Some(input), _) => file::predict(args, input, launch).await,
            (None, Some(project)) => project::predict(args, project, launch).await,
            (None, None) => {
                bail!("give a file of tasks with --input FILE, or a project with --project ID")
            }
        }
    });
    let tally = done?;
    Ok(i32::from(tally.failed > 0))
}

impl PredictArgs {
    async fn offline(&self, launch: &Launch) -> Result<Arc<Offline>> {
        let project = self.project_args.project()?;
        let configure = self.project_args.configure(&project, self.threads.into())?;
        Ok(Arc::new(
            Offline::start(&configure, self.workers, self.project_args.take_over, launch).await?,
        ))
    }

    fn predictor(&self, offline: &Arc<Offline>, opened: Opened) -> OfflinePredictor {
        OfflinePredictor {
            offline: Arc::clone(offline),
            opened: Arc::new(opened),
            batch_size: self.batch_size,
            strict: self.strict,
        }
    }

    /// Number of batches that are predicted at a time.
    fn at_once(&self) -> usize {
        usize::from(self.workers) * usize::from(self.threads)
    }
}

/// Ends the workers.
async fn stop(offline: Arc<Offline>) {
    // Tasks that still hold it have finished with it or were aborted; workers end with this process.
    if let Some(offline) = Arc::into_inner(offline) {
        offline.stop().await;
    }
}
