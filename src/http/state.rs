//! What the handlers of all routes share.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;

use super::admission::rules::Access;
use super::auth::Credentials;
use super::extract::body_limits::BodyLimits;
use super::request_metrics::RequestMetrics;
use super::webhook_token::WebhookToken;
use crate::activity::ActivityLog;
use crate::publishing::Publisher;
use crate::serving::Serving;
use crate::serving::early_names::EarlyNames;
use crate::training::queue::Queue;

/// The options of the command line that concern HTTP.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// Leave tracebacks of user code out of error answers.
    pub hide_tracebacks: bool,
    /// Requests may be answered together.
    pub batching: bool,
    /// Refuse predictions that Label Studio would drop or hide.
    pub strict: bool,
    /// MODEL_DIR where the user chose it; else the class decides once it is imported.
    pub model_dir: Option<PathBuf>,
    pub body: BodyLimits,
    /// Longest time that /setup waits for a model to load.
    pub setup_wait: Duration,
    /// User and password that every request must bring, unless the program says others.
    pub credentials: Option<Credentials>,
    /// Stands for user and password in the address of the webhook.
    pub webhook_token: Option<WebhookToken>,
}

/// The state of the server, as each handler gets it.
pub type App = Arc<AppState>;

/// The state of the server.
pub struct AppState {
    pub serving: Arc<Serving>,
    pub early_names: Arc<EarlyNames>,
    pub publisher: Arc<Publisher>,
    pub queue: Arc<Queue>,
    pub options: Arc<HttpOptions>,
    /// Who may send requests, and where they go.
    pub access: Access,
    pub metrics: PrometheusHandle,
    pub request_metrics: RequestMetrics,
    pub activity: Arc<ActivityLog>,
    /// The server was asked to end.
    pub stopping: Arc<AtomicBool>,
}
