//! One run of `fit`, from its input to the version that it makes.
//!
//! A run of API v1 returns what it learned; one of API v2 leaves it in files and keys of its own.

mod v1;
mod v2;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use self::v1::V1Run;
use self::v2::V2Run;
use super::{Publisher, PublishingError};
use crate::ids::VersionId;
use crate::serving::served_model::ServedModel;
use crate::store::jobs::Claimed;
use crate::wire::api_version::ApiVersion;

/// A training that has begun.
#[derive(Debug)]
pub enum TrainingRun {
    V1(V1Run),
    V2(Box<V2Run>),
}

/// The result of `fit`.
#[derive(Debug)]
pub struct Fitted {
    /// The return value, as JSON.
    pub output: Bytes,
    /// Whether it ran inside the worker that predicts, whose globals are then up to date.
    pub in_worker: bool,
}

/// The outcome of a training that succeeded.
#[derive(Debug, Default)]
pub struct Publication {
    /// The version that it made; none if there is nothing new.
    pub version: Option<VersionId>,
    /// Why the version before is served.
    pub problem: Option<String>,
}

impl TrainingRun {
    /// Writes down the input of a job, and finds the model that is trained.
    pub async fn begin(publisher: &Publisher, job: &Claimed) -> Result<Self, PublishingError> {
        let model = publisher.registry.resolve(&job.project, job.label_config.as_deref()).await?;
        let (class, versions) = publisher.registry.class.imported().await?;
        Ok(match class.api {
            ApiVersion::V1 => Self::V1(V1Run::begin(versions, job, model).await?),
            ApiVersion::V2 => {
                Self::V2(Box::new(V2Run::begin(publisher, job, model, &class.model_dir).await?))
            }
        })
    }

    pub fn model(&self) -> &Arc<ServedModel> {
        match self {
            Self::V1(run) => &run.model,
            Self::V2(run) => &run.model,
        }
    }

    /// The folder that `fit` gets as `workdir`.
    pub fn workdir(&self) -> &Path {
        match self {
            Self::V1(run) => &run.workdir,
            Self::V2(run) => &run.model_dir,
        }
    }

    /// Why the result of `fit` cannot become a version; none if it can. As in the original, the return value
    /// for a webhook of API v1 is kept only if it is a dict.
    pub fn unpublishable(&self, fitted: &Fitted) -> Option<String> {
        match self {
            Self::V1(run) if run.is_event && fitted.output.first() != Some(&b'{') => {
                let returned = python_name(&fitted.output);
                Some(format!(
                    "fit returned {returned}, not a dict, so there is no new version: later instances get the \
                     dict that it returns as self.train_output"
                ))
            }
            Self::V1(_) | Self::V2(_) => None,
        }
    }

    /// Makes the result the version that is served.
    pub async fn publish(
        &self,
        publisher: &Publisher,
        fitted: Fitted,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<Publication, PublishingError> {
        match self {
            Self::V1(run) => run.publish(publisher, fitted.output, stop).await,
            Self::V2(run) => run.publish(publisher, fitted, stop).await,
        }
    }

    /// Undoes what a failed training would leave behind.
    pub async fn abandon(&self, publisher: &Publisher) {
        match self {
            // The folder stays: it shows what happened.
            Self::V1(_) => {}
            Self::V2(run) => run.abandon(publisher).await,
        }
    }
}

/// What a Python user calls a value that is JSON.
fn python_name(json: &[u8]) -> &'static str {
    match json.first() {
        None | Some(b'n') => "None",
        Some(b't' | b'f') => "a bool",
        Some(b'"') => "a str",
        Some(b'[') => "a list",
        Some(b'{') => "a dict",
        Some(_) => "a number",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_the_names_that_python_users_know() {
        for (json, name) in [
            ("null", "None"),
            ("", "None"),
            ("true", "a bool"),
            ("\"a\"", "a str"),
            ("[1]", "a list"),
            ("{}", "a dict"),
            ("-1.5", "a number"),
        ] {
            assert_eq!(python_name(json.as_bytes()), name, "{json}");
        }
    }
}
