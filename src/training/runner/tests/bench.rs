//! A server that trains, with the real queue, model folder and serving layer: only `fit` is scripted.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::scripted::{ScriptedTrainer, Told};
use crate::ids::{JobId, ProjectKey, VersionId};
use crate::publishing::testing::PublishingStage;
use crate::serving::testing::{Heard, Loads, class};
use crate::store::jobs::{Job, JobStore};
use crate::store::versions::Versions;
use crate::testing::DEADLINE;
use crate::training::error::TrainingError;
use crate::training::ownership::{Owner, own};
use crate::training::queue::{Queue, Request};
use crate::training::runner::{Runner, TrainingOptions};
use crate::wire::api_version::ApiVersion;
use crate::wire::protocol::{ClassInfo, FitJob};
use crate::workers::output::job::JobOutput;

pub(super) static PROJECT: LazyLock<ProjectKey> = LazyLock::new(|| "2.1795430965".into());
pub(super) const OPTIONS: TrainingOptions = TrainingOptions {
    lock_wait: Duration::ZERO,
    linger: Duration::from_secs(600),
    drain: Duration::ZERO,
    keep_versions: None,
    keep_bytes: 1 << 30,
    in_worker: false,
    port: None,
};

pub(super) type Fitted = Result<&'static str, TrainingError>;

/// A server that trains, without its runner.
pub(super) struct Bench {
    pub(super) stage: PublishingStage,
    pub(super) queue: Arc<Queue>,
    owner: Option<Owner>,
    pub(super) store: Arc<JobStore>,
    pub(super) versions: Arc<Versions>,
}

/// The same with its runner.
pub(super) struct Runs {
    pub(super) bench: Bench,
    told: Arc<Mutex<Vec<Told>>>,
    pub(super) stop: watch::Sender<bool>,
    running: JoinHandle<()>,
}

impl Bench {
    pub(super) async fn new(api: ApiVersion) -> Self {
        Self::of(class(api)).await
    }

    pub(super) async fn of(class: ClassInfo) -> Self {
        let stage = PublishingStage::new(class);
        let queue = Arc::new(Queue::new(None));
        let owner = own(&stage.publisher, &queue, Duration::ZERO, None).await.unwrap();
        let (store, versions) = (Arc::clone(&owner.store), Arc::clone(&owner.versions));
        Self { stage, queue, owner: Some(owner), store, versions }
    }

    pub(super) fn run<F>(
        mut self,
        options: TrainingOptions,
        fit: impl Fn(FitJob, Arc<JobOutput>) -> F + Send + Sync + 'static,
    ) -> Runs
    where
        F: Future<Output = Fitted> + Send + 'static,
    {
        let (scripted, told) = ScriptedTrainer::new(
            options.in_worker,
            Box::new(move |job, output| {
                let fitted = fit(job, output);
                Box::pin(
                    async move { fitted.await.map(|json| Bytes::from_static(json.as_bytes())) },
                )
            }),
        );
        let runner = Runner {
            queue: Arc::clone(&self.queue),
            publisher: Arc::clone(&self.stage.publisher),
            owner: self.owner.take().unwrap(),
            trainer: scripted,
            options,
        };
        let (stop, stopped) = watch::channel(false);
        let running = tokio::spawn(runner.run(stopped));
        Runs { bench: self, told, stop, running }
    }

    /// Runs jobs whose `fit` returns the same every time.
    pub(super) fn run_returning(self, options: TrainingOptions, json: &'static str) -> Runs {
        self.run(options, move |_, _| async move { Ok(json) })
    }
}

impl Runs {
    pub(super) async fn add(&self, action: Option<&str>, body: &'static str) -> JobId {
        let request = Request {
            project: PROJECT.clone(),
            label_config: Some("<View/>".into()),
            action: action.map(str::to_owned),
            payload: Bytes::from_static(body.as_bytes()),
            api: self.bench.stage.class.api,
        };
        self.bench.queue.add(request, &self.bench.versions).await.unwrap().id
    }

    pub(super) async fn event(&self) -> JobId {
        self.add(Some("ANNOTATION_CREATED"), "{}").await
    }

    pub(super) async fn tasks(&self) -> JobId {
        self.add(None, r#"{"annotations": [1, 2, 3]}"#).await
    }

    pub(super) async fn ended(&self, id: JobId) -> Job {
        let job = self.bench.queue.ended(id, DEADLINE).await.unwrap();
        assert!(job.state.is_ended(), "{job:?}");
        job
    }

    pub(super) async fn job(&self, id: JobId) -> Job {
        self.bench.queue.job(id).await.unwrap()
    }

    /// Runs an event to its end.
    pub(super) async fn train(&self) -> Job {
        let id = self.event().await;
        self.ended(id).await
    }

    /// Ends the server.
    pub(super) async fn end(&mut self) {
        self.stop.send_replace(true);
        timeout(DEADLINE, &mut self.running).await.unwrap().unwrap();
    }

    pub(super) fn told(&self) -> Vec<Told> {
        self.told.lock().clone()
    }

    /// The calls that the trainer got, except for the beginnings of runs.
    pub(super) fn told_of_ends(&self) -> Vec<Told> {
        let mut told = self.told();
        told.retain(|told| !matches!(told, Told::PrepareWorker | Told::Fit { .. }));
        told
    }

    pub(super) fn served(&self) -> Option<String> {
        self.bench.stage.serving.version(&PROJECT)
    }

    pub(super) fn folder(&self, id: JobId) -> std::path::PathBuf {
        self.bench.stage.dir.path().join(PROJECT.as_str()).join(id.to_string())
    }

    /// The versions that exist, of either API, newest first.
    pub(super) fn versions(&self) -> Vec<VersionId> {
        let mut versions = self.bench.versions.list(&PROJECT).unwrap();
        versions.extend(self.bench.versions.record_ids(&PROJECT).unwrap());
        versions
    }

    pub(super) fn add_worker(&self, loads: Loads) -> Heard {
        self.bench.stage.add_worker(loads)
    }
}
