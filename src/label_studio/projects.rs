//! The projects of Label Studio.

use std::collections::BTreeMap;

use jiff::Timestamp;
use reqwest::StatusCode;
use serde::Deserialize;

use super::ids::ProjectId;
use super::{LabelStudio, LabelStudioError};

#[derive(Debug, Clone, Deserialize)]
pub struct Project {
    pub id: ProjectId,
    #[serde(default)]
    pub title: String,
    pub label_config: String,
    pub created_at: Timestamp,
    #[serde(default)]
    pub task_number: u64,
    /// Title of the ML backend, or model version of the predictions, that annotators see.
    #[serde(default)]
    pub model_version: Option<String>,
    /// Whether reading tasks makes Label Studio fetch missing predictions from its ML backend.
    #[serde(default)]
    pub evaluate_predictions_automatically: bool,
    /// Whether annotators see predictions at all.
    #[serde(default = "yes")]
    pub show_collab_predictions: bool,
}

fn yes() -> bool {
    true
}

impl Project {
    /// The name of the project in requests to ML backends: its id and the second of its creation.
    pub fn key(&self) -> String {
        format!("{}.{}", self.id, self.created_at.as_second())
    }
}

impl LabelStudio {
    pub async fn project(&self, id: ProjectId) -> Result<Project, LabelStudioError> {
        let answer = self.get(&format!("/api/projects/{id}"), &[]).await;
        answer.map_err(|error| missing_project(error, id))
    }

    /// How many predictions of each model version a project has.
    pub async fn model_versions(
        &self,
        project: ProjectId,
    ) -> Result<BTreeMap<String, u64>, LabelStudioError> {
        let path = format!("/api/projects/{project}/model-versions/");
        let answer = self.get(&path, &[]).await;
        answer.map_err(|error| missing_project(error, project))
    }
}

/// Label Studio answers 404 also for a project of another organisation.
pub(super) fn missing_project(error: LabelStudioError, project: ProjectId) -> LabelStudioError {
    match error {
        LabelStudioError::Status { status: StatusCode::NOT_FOUND, .. } => {
            LabelStudioError::NoProject(project)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_holds_the_whole_seconds_of_the_creation() {
        let project: Project = serde_json::from_str(
            r#"{"id": 2, "label_config": "<View/>", "created_at": "2026-11-25T07:40:32.997502+01:00"}"#,
        )
        .unwrap();
        assert_eq!(project.key(), "2.1795588832");
    }
}
