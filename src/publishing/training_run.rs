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
    /// Why the version before is served nevertheless.
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

    /// Whether the result of `fit` may become a version. As in the original, the return value for a webhook
    /// of API v1 is kept only if it is a dict.
    pub fn may_publish(&self, fitted: &Fitted) -> bool {
        match self {
            Self::V1(run) => !run.is_event || fitted.output.first() == Some(&b'{'),
            Self::V2(_) => true,
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
