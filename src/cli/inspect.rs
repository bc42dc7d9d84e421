//! Inspects a script: a process of its own imports it, reports which class it defines, and ends.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::wire::protocol::{ClassInfo, ClassSource, Configure, ImportFailure, WorkerRole};
use crate::workers::output::OutputOrigin;
use crate::workers::output::job::CurrentJob;
use crate::workers::process::{self, Launch};
use crate::workers::start::{StartError, StartedWorker, start_worker};

/// The script cannot be imported; the first line says why.
#[derive(Debug, Error)]
#[error("{}\n{}", .0.message, .0.traceback.as_deref().unwrap_or_default())]
pub(super) struct NotImported(pub(super) ImportFailure);

/// Imports what `source` names; returns the class in it. `who` names the process in the log.
pub(super) async fn inspect(
    source: ClassSource,
    init_kwargs: Map<String, Value>,
    model_dir: Option<PathBuf>,
    who: &str,
    launch: &Launch,
) -> Result<ClassInfo> {
    let configure = Configure {
        role: WorkerRole::Inspect,
        source,
        cwd: std::env::current_dir().context("the working folder")?,
        model_dir,
        init_kwargs,
        threads: 1,
        log_level: Some("WARNING".into()),
        train_nice: None,
        check: false,
        fresh_instances: false,
        max_batch_size: 0,
        allow_hosts: None,
        arguments: Vec::new(),
        secrets: process::secrets(),
    };
    let origin = OutputOrigin { worker: who.into(), job: CurrentJob::default() };
    match start_worker(launch, configure, origin, None).await {
        Ok(StartedWorker { mut process, worker }) => {
            worker.shut_down().await;
            process.end(crate::workers::STOP_GRACE).await;
            Ok(worker.class.clone())
        }
        Err(StartError::Import(failure)) => Err(NotImported(failure).into()),
        Err(other) => Err(other.into()),
    }
}
