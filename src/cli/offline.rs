//! A project's model without a server: the same workers and serving as under `start`, for commands that
//! predict and end.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;
use serde_json::value::RawValue;

use super::model_stack::{ModelStack, StackOptions};
use super::note;
use crate::ids::ProjectKey;
use crate::serving::deadlines::Deadlines;
use crate::serving::diagnostics::Mistake;
use crate::serving::models::Setup;
use crate::serving::{PredictAnswer, PredictRequest, ServingError};
use crate::wire::http::HttpHead;
use crate::wire::protocol::{ClassInfo, Configure, LabelStudioConnection, ModelError};
use crate::workers::fair_queue::QueueBounds;
use crate::workers::model::ForwardedRequest;
use crate::workers::pool::{Pool, Priority, WorkerCapacity};
use crate::workers::process::Launch;
use crate::workers::supervision::SupervisionPolicy;

/// How long a model may take to be loaded.
const LOAD_TIMEOUT: Duration = Duration::from_secs(3600);
/// The user waits at the terminal and can end the command.
const NO_HURRY: Duration = Duration::from_secs(365 * 24 * 3600);
/// Maximum number of models that stay loaded; a command works with one.
const MAX_MODELS: usize = 4;

/// Workers that have imported the class.
pub(super) struct Offline {
    stack: ModelStack,
    class: Arc<ClassInfo>,
}

/// A project whose model is loaded.
#[derive(Debug, Clone)]
pub(super) struct Opened {
    pub(super) project: ProjectKey,
    pub(super) label_config: Option<String>,
    /// The version that predictions carry.
    pub(super) version: String,
}

impl Offline {
    /// Starts workers and waits until the class is imported.
    pub(super) async fn start(
        configure: &Configure,
        workers: u16,
        takes_over: bool,
        launch: &Launch,
    ) -> Result<Self> {
        // The commands themselves bound how much they ask for at a time, and wait as long as it takes.
        let bounds = QueueBounds { total: usize::MAX, per_project: usize::MAX };
        let options = StackOptions {
            pool: Pool::new(workers.into(), WorkerCapacity::of_threads(configure.threads), bounds),
            max_models: MAX_MODELS,
            deadlines: Deadlines { queue: NO_HURRY, abandoned: NO_HURRY, run: NO_HURRY },
            care: SupervisionPolicy::default(),
            fit_in_worker: false,
            takes_over,
            routes: Arc::default(),
        };
        let stack = ModelStack::start(options, configure, launch);
        match stack.serving.imported().await {
            Ok((class, _)) => Ok(Self { stack, class }),
            Err(error) => {
                stack.stop().await;
                Err(match error {
                    ServingError::NotReady(reason) => not_imported(&reason),
                    other => other.into(),
                })
            }
        }
    }

    pub(super) fn class(&self) -> &ClassInfo {
        &self.class
    }

    /// The key of the project that `asked` names by its key or id. If nothing is asked for: the only trained
    /// project, or an empty key where there is none or several.
    pub(super) async fn project_key(&self, asked: Option<&str>) -> Result<ProjectKey> {
        let (_, versions) = self.stack.serving.imported().await?;
        let trained = tokio::task::spawn_blocking(move || versions.projects()).await?;
        match asked {
            Some(key) if key.contains('.') => Ok(key.into()),
            Some(id) => {
                let mut same: Vec<_> = trained.into_iter().filter(|key| key.id() == id).collect();
                match same.len() {
                    0 => Ok(id.into()),
                    1 => Ok(same.remove(0)),
                    _ => {
                        bail!("several projects have the id {id}: give one of {}", same.join(", "))
                    }
                }
            }
            None => Ok(match trained.as_slice() {
                [only] => only.clone(),
                _ => ProjectKey::default(),
            }),
        }
    }

    /// Loads the model of a project, as /setup does.
    pub(super) async fn open(
        &self,
        project: &ProjectKey,
        label_config: Option<String>,
        connection: LabelStudioConnection,
    ) -> Result<Opened> {
        let body = serde_json::to_vec(&serde_json::json!({
            "project": project,
            "schema": label_config,
            "hostname": connection.hostname,
            "access_token": connection.access_token,
            "extra_params": null,
        }))?;
        let setup =
            Setup { label_config: label_config.clone(), connection, extra_params: Value::Null };
        let request = request("/setup", body);
        let loaded = self.stack.serving.setup(project, setup, request, false, LOAD_TIMEOUT).await;
        let version = match loaded {
            Ok(version) => version,
            Err(ServingError::Model(error)) => {
                return Err(self.not_loaded(&error, label_config.as_deref()));
            }
            Err(error) => return Err(error).context("the model cannot be loaded"),
        };
        Ok(Opened { project: project.to_owned(), label_config, version })
    }

    /// Why a model cannot be loaded; the traceback is printed.
    fn not_loaded(&self, error: &ModelError, label_config: Option<&str>) -> anyhow::Error {
        if let Some(advice) = self.without_config(label_config) {
            if !is_about_config(error) {
                tell_traceback(error);
                note(&format!("error: {}: {}", error.class, error.message));
            }
            return anyhow!(advice);
        }
        tell_traceback(error);
        let place = place(error).map(|place| format!(" ({place})")).unwrap_or_default();
        anyhow!("the model cannot be loaded: {}: {}{place}", error.class, error.message)
    }

    /// What to do about a failure of a model that reads the labelling config, where there is none.
    pub(super) fn without_config(&self, label_config: Option<&str>) -> Option<String> {
        (label_config.is_none() && self.class.reads_config).then(|| {
            format!(
                "{} reads the labelling config, and there is none: give --config FILE, or put label_config.xml \
                 into the project folder",
                self.class.class
            )
        })
    }

    /// Predicts for tasks, which are JSON objects as Label Studio sends them.
    pub(super) async fn predict(
        &self,
        opened: &Opened,
        tasks: &[&RawValue],
    ) -> Result<PredictAnswer, ServingError> {
        #[derive(serde::Serialize)]
        struct PredictBody<'a> {
            tasks: &'a [&'a RawValue],
            project: &'a ProjectKey,
            label_config: Option<&'a str>,
            params: PredictParams,
        }
        #[derive(serde::Serialize, Default)]
        struct PredictParams {
            login: Option<String>,
            password: Option<String>,
            context: Option<String>,
        }
        let body = PredictBody {
            tasks,
            project: &opened.project,
            label_config: opened.label_config.as_deref(),
            params: PredictParams::default(),
        };
        // Writing JSON that was read cannot fail.
        let body = serde_json::to_vec(&body).unwrap_or_default();
        let request = PredictRequest {
            project: opened.project.clone(),
            label_config: opened.label_config.clone(),
            priority: Priority::Batch,
            force_reload: false,
            try_fetch: true,
            http: request("/predict", body),
        };
        self.stack.serving.predict(request).await
    }

    /// Mistakes in the predictions so far.
    pub(super) fn mistakes(&self) -> Vec<Mistake> {
        self.stack.serving.diagnostics().mistakes()
    }

    /// Ends the workers; what models keep is on the disk afterwards.
    pub(super) async fn stop(self) {
        self.stack.stop().await;
    }
}

fn request(target: &str, body: Vec<u8>) -> ForwardedRequest {
    let headers = "content-type: application/json\n".to_owned();
    ForwardedRequest {
        head: HttpHead { target: target.to_owned(), headers },
        body: body.into(),
        batch: None,
    }
}

/// Whether an exception says itself that there is no labelling config; then its traceback tells no more.
pub(super) fn is_about_config(error: &ModelError) -> bool {
    error.message.contains("it got no labelling config")
}

/// Prints the traceback of a model, so that the reason is what the user reads last.
pub(super) fn tell_traceback(error: &ModelError) {
    if let Some(traceback) = &error.traceback {
        note(traceback.trim_end());
    }
}

/// File and line of the model's own code that an exception comes from: of the innermost place that is not in an
/// installed package.
pub(super) fn place(error: &ModelError) -> Option<String> {
    let frames = error.traceback.as_deref()?.lines().filter_map(|line| {
        let (file, rest) = line.trim_start().strip_prefix("File \"")?.split_once("\", line ")?;
        let number = rest.split(',').next()?;
        Some((file, number))
    });
    let mut own =
        frames.filter(|(file, _)| !file.contains("/site-packages/") && !file.starts_with('<'));
    own.next_back().map(|(file, number)| format!("{file}, line {number}"))
}

/// The error of a command whose class cannot be imported, in one line: it is the last one, and messages of
/// packages have many. The log has the traceback.
pub(super) fn not_imported(reason: &str) -> anyhow::Error {
    anyhow!(reason.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The labelling config of a command: the given file, else `label_config.xml` in the project folder if
/// that exists.
pub(super) fn label_config(named: Option<&Path>, project: &Path) -> Result<Option<String>> {
    let beside = project.join("label_config.xml");
    let path = match named {
        Some(path) => path,
        None if beside.is_file() => &beside,
        None => return Ok(None),
    };
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    crate::labelling::config::parse(&text, crate::labelling::config::Dialect::Sdk)
        .map_err(|error| anyhow!("{}: {error}", path.display()))?;
    Ok(Some(text))
}
