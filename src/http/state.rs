//! What the handlers of all routes share.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;

use super::auth::Credentials;
use super::body::BodyLimits;
use super::metrics::Counts;
use super::token::WebhookToken;
use crate::serving::Serving;
use crate::training::queue::Queue;

/// What the user chose that concerns HTTP.
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
    /// What every request must bring.
    pub credentials: Option<Credentials>,
    /// What stands for them in the address of the webhook.
    pub webhook_token: Option<WebhookToken>,
}

/// What the handlers share, as each of them gets it.
pub type App = Arc<Parts>;

/// What the handlers share.
pub struct Parts {
    pub serving: Arc<Serving>,
    pub queue: Arc<Queue>,
    pub options: Arc<HttpOptions>,
    pub metrics: PrometheusHandle,
    /// What is counted of requests.
    pub counts: Counts,
    /// The server was asked to end.
    pub stopping: Arc<AtomicBool>,
}
