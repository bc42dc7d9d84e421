//! The webhooks of a project: the addresses to which Label Studio sends events, such as a new annotation.

use std::collections::BTreeMap;
use std::fmt;

use reqwest::Method;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::ids::{ProjectId, WebhookId};
use super::projects::missing_project;
use super::{LabelStudio, LabelStudioError};

#[derive(Clone, Deserialize)]
pub struct Webhook {
    pub id: WebhookId,
    /// None for a webhook of the whole organisation.
    #[serde(default)]
    pub project: Option<ProjectId>,
    pub url: String,
    #[serde(default)]
    pub send_payload: bool,
    #[serde(default)]
    pub send_for_all_actions: bool,
    #[serde(default)]
    pub is_active: bool,
    #[serde(default)]
    pub actions: Vec<String>,
    /// May contain a password.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
}

impl Webhook {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub fn sends(&self, action: &str) -> bool {
        self.send_for_all_actions || self.actions.iter().any(|sent| sent == action)
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("id", &self.id)
            .field("project", &self.project)
            .field("url", &self.url)
            .field("is_active", &self.is_active)
            .field("headers", &self.headers.keys())
            .finish_non_exhaustive()
    }
}

/// The fields to set. A field that is left out keeps its value; in a new webhook it gets the default.
#[derive(Clone, Default, Serialize)]
pub struct WebhookFields {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headers: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub send_payload: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub send_for_all_actions: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actions: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_active: Option<bool>,
}

#[derive(Serialize)]
struct NewWebhook<'a> {
    project: ProjectId,
    #[serde(flatten)]
    fields: &'a WebhookFields,
}

impl LabelStudio {
    /// The webhooks of a project, without those of the whole organisation.
    pub async fn webhooks(&self, project: ProjectId) -> Result<Vec<Webhook>, LabelStudioError> {
        let answer: Result<Vec<Webhook>, _> =
            self.get("/api/webhooks/", &[("project", &project.to_string())]).await;
        let mut webhooks = answer.map_err(|error| missing_project(error, project))?;
        webhooks.retain(|webhook| webhook.project == Some(project));
        Ok(webhooks)
    }

    pub async fn create_webhook(
        &self,
        project: ProjectId,
        fields: &WebhookFields,
    ) -> Result<Webhook, LabelStudioError> {
        self.change(Method::POST, "/api/webhooks/", &NewWebhook { project, fields }).await
    }

    /// Why Label Studio sends no events to an address, if it refuses that one. Nothing is made: the actions
    /// of the request are none, and Label Studio looks at the address before them.
    pub async fn refused_address(&self, url: &str) -> Option<LabelStudioError> {
        #[derive(Serialize)]
        struct NoWebhook<'a> {
            url: &'a str,
            actions: &'static str,
            headers: &'static str,
        }
        let asked = NoWebhook { url, actions: "none", headers: "none" };
        let answer: Result<IgnoredAny, _> =
            self.change(Method::POST, "/api/webhooks/", &asked).await;
        answer.err().filter(|error| matches!(error, LabelStudioError::PrivateAddress { .. }))
    }

    pub async fn update_webhook(
        &self,
        id: WebhookId,
        fields: &WebhookFields,
    ) -> Result<Webhook, LabelStudioError> {
        self.change(Method::PATCH, &format!("/api/webhooks/{id}/"), fields).await
    }
}
