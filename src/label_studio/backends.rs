//! The ML backends of a project, as Label Studio sees them.

use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::ids::{BackendId, ProjectId};
use super::projects::missing_project;
use super::{LabelStudio, LabelStudioError};

/// Longer than other requests: Label Studio asks the ML backends before it answers, and waits some seconds
/// for each that is silent.
const TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Deserialize)]
pub struct Backend {
    pub id: BackendId,
    pub url: String,
    #[serde(default)]
    pub title: String,
    #[serde(default)]
    pub state: BackendState,
    #[serde(default)]
    pub error_message: Option<String>,
    #[serde(default)]
    pub model_version: Option<String>,
    #[serde(default)]
    pub auth_method: Option<String>,
    #[serde(default)]
    pub basic_auth_user: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum BackendState {
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
    /// Whether Label Studio sends a user and a password to this ML backend.
    pub fn has_password(&self) -> bool {
        self.auth_method.as_deref() == Some("BASIC_AUTH")
    }
}

impl LabelStudio {
    /// The ML backends of a project, in the order in which they were added. Label Studio asks each for
    /// /health and /setup before it answers.
    pub async fn backends(&self, project: ProjectId) -> Result<Vec<Backend>, LabelStudioError> {
        let id = project.to_string();
        let answer: Result<Vec<Backend>, _> =
            self.get_within(TIMEOUT, "/api/ml/", &[("project", &id)]).await;
        let mut backends = answer.map_err(|error| missing_project(error, project))?;
        backends.sort_by_key(|backend| backend.id);
        Ok(backends)
    }

    /// Why Label Studio cannot use an ML backend, in Label Studio's words; none if it can. It stores the
    /// reason only where /setup failed, so this call makes it ask the backend for its versions.
    pub async fn backend_failure(
        &self,
        backend: BackendId,
    ) -> Result<Option<String>, LabelStudioError> {
        let path = format!("/api/ml/{backend}/versions");
        let answer: Result<IgnoredAny, _> = self.get_within(TIMEOUT, &path, &[]).await;
        match answer {
            Ok(_) => Ok(None),
            Err(LabelStudioError::Status { detail, .. }) => Ok(Some(detail)),
            // Label Studio passes the status of the backend on as its own.
            Err(LabelStudioError::UnknownToken(_) | LabelStudioError::AccessTokenExpired) => {
                Ok(Some("401 Unauthorized".into()))
            }
            Err(LabelStudioError::Forbidden { .. }) => Ok(Some("403 Forbidden".into())),
            Err(error) => Err(error),
        }
    }
}
