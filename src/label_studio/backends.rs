//! The ML backends of a project, as Label Studio sees them.

use serde::{Deserialize, Serialize};

use super::projects::missing_project;
use super::{LabelStudio, LabelStudioError};

#[derive(Debug, Clone, Deserialize)]
pub struct Backend {
    pub id: u64,
    pub url: String,
    #[serde(default)]
    pub title: String,
    /// CO connected, DI disconnected, ER error, TR training, PR predicting.
    #[serde(default)]
    pub state: State,
    #[serde(default)]
    pub error_message: Option<String>,
    #[serde(default)]
    pub model_version: Option<String>,
    #[serde(default)]
    pub auth_method: Option<String>,
    #[serde(default)]
    pub basic_auth_user: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum State {
    #[serde(rename = "CO")]
    Connected,
    #[serde(rename = "DI")]
    Disconnected,
    #[serde(rename = "ER")]
    Error,
    #[serde(rename = "TR")]
    Training,
    #[serde(rename = "PR")]
    Predicting,
    #[default]
    #[serde(other)]
    Unknown,
}

impl Backend {
    /// Whether Label Studio sends a user and a password to it.
    pub fn has_password(&self) -> bool {
        self.auth_method.as_deref() == Some("BASIC_AUTH")
    }
}

impl LabelStudio {
    /// The ML backends of a project, in the order in which they were added. To answer, Label Studio asks
    /// each for /health and /setup.
    pub async fn backends(&self, project: u64) -> Result<Vec<Backend>, LabelStudioError> {
        let answer: Result<Vec<Backend>, _> =
            self.get("/api/ml/", &[("project", &project.to_string())]).await;
        let mut backends = answer.map_err(|error| missing_project(error, project))?;
        backends.sort_by_key(|backend| backend.id);
        Ok(backends)
    }
}
