//! Runs training jobs, each in a process of its own that ends with it: GPU memory comes back, and
//! whatever `fit` does to its process does not touch a prediction.
//!
//! In: jobs of [`super::queue`]. Out: a published version below MODEL_DIR that is served from then
//! on, or a line in the log that says why not; then the version before stays.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::value::RawValue;
use thiserror::Error;
use tokio::time::timeout;
use tracing::{error, info, warn};

use super::queue::{Job, Queue, Work};
use crate::serving::models::ModelInUse;
use crate::serving::{Serving, ServingError};
use crate::store::versions::{Input, StoreError, Version, Versions};
use crate::workers::output::Origin;
use crate::workers::process::Launch;
use crate::workers::protocol::{Configure, FitJob, Role};
use crate::workers::supervision::start_worker;
use crate::workers::worker::{StartError, WorkerError};

/// How long an answer may lag behind the end of its process.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Why a job made no version.
#[derive(Debug, Error)]
pub enum TrainingError {
    #[error(transparent)]
    Serving(#[from] ServingError),
    #[error("the training worker could not start: {0}")]
    Start(#[from] StartError),
    #[error("{0}")]
    Worker(#[from] WorkerError),
    #[error("the training worker {0}")]
    Died(String),
    #[error("model folder: {0}")]
    Store(#[from] StoreError),
    #[error("the payload of the job cannot be read: {0}")]
    Payload(#[from] serde_json::Error),
    #[error("fit returned no dict")]
    NoDict,
    #[error("a thread of the server ended early: {0}")]
    Thread(#[from] tokio::task::JoinError),
}

/// Runs the jobs of one queue.
#[derive(Debug)]
pub struct Runner {
    pub queue: Arc<Queue>,
    pub serving: Arc<Serving>,
    pub launch: Launch,
    /// How model workers are configured; training workers differ in their role.
    pub configure: Configure,
}

impl Runner {
    /// Takes job after job; never returns.
    pub async fn run(self) {
        loop {
            let job = self.queue.next().await;
            let (project, id) = (job.project.clone(), job.id);
            let began = Instant::now();
            info!(project, job = id, merged = job.merged, "training begins");
            match self.run_one(job, began).await {
                Ok((version, trained)) => {
                    info!(project, job = id, "trained in {:.1} s", began.elapsed().as_secs_f64());
                    metrics::counter!("label_studio_ml_jobs_total", "state" => "succeeded")
                        .increment(1);
                    self.serving.switch(&project, version, &trained).await;
                }
                Err(TrainingError::NoDict) => {
                    info!(project, job = id, "fit returned no dict: the version stays");
                }
                Err(failure) => {
                    metrics::counter!("label_studio_ml_jobs_total", "state" => "failed")
                        .increment(1);
                    error!(project, job = id, "training failed: {failure}{}", traceback(&failure));
                }
            }
            self.queue.done();
        }
    }

    async fn run_one(
        &self,
        job: Job,
        began: Instant,
    ) -> Result<(Version, Arc<ModelInUse>), TrainingError> {
        let (class, versions) = self.serving.ready().await?;
        let model = self.serving.resolve(&job.project, job.label_config.as_deref()).await?;
        let (event, body) = match &job.work {
            Work::Tasks(body) => (None, body.clone()),
            Work::Event { action, body } => (Some(action.clone()), body.clone()),
        };
        let is_event = event.is_some();
        let (project, id) = (job.project.clone(), job.id);
        let workdir = {
            let versions = Arc::clone(&versions);
            tokio::task::spawn_blocking(move || begin(&versions, &job)).await??
        };
        let fit = FitJob { id: id.to_string(), workdir, event };

        let configure = Configure {
            role: Role::Train,
            // A folder for all: the class decided where it is when it was first imported.
            model_dir: Some(class.model_dir.clone()),
            threads: 1,
            check: false,
            ..self.configure.clone()
        };
        let origin = Origin {
            worker: "train".into(),
            job: Some(fit.id.clone()),
            project: Some(project.clone()),
        };
        let (mut process, worker) = start_worker(&self.launch, configure, origin).await?;
        let fitted = worker.fit(&model.model, fit, body);
        tokio::pin!(fitted);
        let output: Result<Bytes, TrainingError> = tokio::select! {
            // An answer that is there counts, whatever became of its worker afterwards.
            biased;
            output = &mut fitted => output.map_err(TrainingError::from),
            () = worker.closed() => Err(TrainingError::Died(process.end(LAST_WORDS).await)),
            // The answer may still be on its way; what was answered counts.
            end = process.wait() => match timeout(LAST_WORDS, &mut fitted).await {
                Ok(output) => output.map_err(TrainingError::from),
                Err(_) => Err(TrainingError::Died(end)),
            },
        };
        worker.shut_down().await;
        tokio::spawn(async move {
            let end = process.end(Duration::from_secs(30)).await;
            if !end.ends_with("status 0") {
                warn!("the training worker {end} after its job");
            }
        });
        let output = output?;
        // As in the original: what a webhook's fit returns is kept only if it is a dict.
        if is_event && output.first() != Some(&b'{') {
            return Err(TrainingError::NoDict);
        }
        let took = began.elapsed();
        let published =
            tokio::task::spawn_blocking(move || versions.publish(&project, id, &output, took));
        Ok((published.await??, Arc::clone(&model)))
    }
}

/// Makes the folder of a job and writes down what it starts from.
fn begin(versions: &Versions, job: &Job) -> Result<PathBuf, TrainingError> {
    Ok(match &job.work {
        Work::Tasks(body) => {
            let fields: HashMap<Cow<'_, str>, &RawValue> = serde_json::from_slice(body)?;
            let annotations = fields["annotations"];
            let count = serde_json::from_str::<Vec<&RawValue>>(annotations.get())?.len();
            versions.begin(&job.project, job.id, &Input::Tasks { json: annotations, count })?
        }
        Work::Event { action, body } => {
            let data = serde_json::from_slice(body)?;
            versions.begin(&job.project, job.id, &Input::Event { action, data })?
        }
    })
}

fn traceback(failure: &TrainingError) -> String {
    match failure {
        TrainingError::Worker(WorkerError::Model(error)) => {
            error.traceback.as_ref().map(|text| format!("\n{text}")).unwrap_or_default()
        }
        TrainingError::Start(StartError::Import(failure)) => {
            failure.traceback.as_ref().map(|text| format!("\n{text}")).unwrap_or_default()
        }
        _ => String::new(),
    }
}
