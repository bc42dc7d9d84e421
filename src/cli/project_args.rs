//! Options of every command that loads a model: the project folder, and how its model is created.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{ArgAction, Args};

use super::{kwargs, values};
use crate::project::find::{self, FoundProject};
use crate::wire::protocol::{Configure, WorkerRole};
use crate::workers::process;

#[derive(Debug, Args)]
pub(super) struct ProjectArgs {
    /// Project folder, or a model script such as path/to/script.py:ModelClass [default: this folder, `my_ml_backend`, or the only project in this folder]
    pub(super) name: Option<String>,
    /// Keyword arguments for the model class
    #[arg(long = "with", visible_alias = "kwargs", value_name = "KEY=VALUE", num_args = 1.., action = ArgAction::Append)]
    with: Vec<String>,
    /// Folder for trained models [default: the folder `models` of a project that `init` made; in other projects the project folder for API v1 and the working folder for API v2]
    #[arg(long, env = "MODEL_DIR", value_name = "DIR")]
    model_dir: Option<PathBuf>,
    /// Go on with the versions and stored keys that another class or project left in the folder for models
    #[arg(
        long,
        env = "LABEL_STUDIO_ML_TAKE_OVER",
        value_parser = clap::builder::FalseyValueParser::new(),
        hide_short_help = true
    )]
    pub(super) take_over: bool,
    /// Level of the log and of user code's root logger: DEBUG, INFO, WARNING, ERROR or CRITICAL
    /// [default: INFO for start, else ERROR]
    #[arg(long, value_name = "LEVEL", env = "LOG_LEVEL", value_parser = values::log_level)]
    pub(super) log_level: Option<String>,
    /// Folder in which the project folder is looked for
    #[arg(long, value_name = "DIR", default_value = ".", hide_short_help = true)]
    pub(super) root_dir: PathBuf,
    /// Hosts that files of tasks may come from, besides Label Studio: names, *.example.com, addresses,
    /// networks, each with an optional :PORT, or * [default: all but this machine and cloud metadata]
    #[arg(
        long,
        env = "LABEL_STUDIO_ML_ALLOW_HOSTS",
        value_name = "HOST[,HOST...]",
        hide_short_help = true
    )]
    allow_hosts: Option<String>,
}

impl ProjectArgs {
    /// The project, with absolute paths.
    pub(super) fn project(&self) -> Result<FoundProject> {
        let project = find::project(&self.root_dir, self.name.as_deref())?;
        project.absolute().context("the path of the project")
    }

    /// The configuration of workers that predict with the model of a project.
    pub(super) fn configure(&self, project: &FoundProject, threads: usize) -> Result<Configure> {
        let absolute = |path: &PathBuf| std::path::absolute(expand_user(path));
        Ok(Configure {
            role: WorkerRole::Predict,
            source: project.source.clone(),
            cwd: std::env::current_dir().context("the working folder")?,
            model_dir: self.model_dir.as_ref().map(absolute).transpose().context("--model-dir")?,
            init_kwargs: kwargs::gather(&project.folder, &self.with)?,
            threads,
            log_level: self.log_level.clone(),
            check: false,
            train_nice: None,
            fresh_instances: false,
            max_batch_size: 0,
            allow_hosts: self.allow_hosts.clone(),
            arguments: Vec::new(),
            secrets: process::secrets(),
        })
    }
}

/// Expands a leading `~`: no shell does that for `MODEL_DIR=~/models` in an environment file.
pub(super) fn expand_user(path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), std::env::home_dir()) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path.to_owned(),
    }
}
