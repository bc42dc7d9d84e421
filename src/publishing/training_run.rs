//! One run of `fit`, from what it starts from to the version that it makes.
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

/// What `fit` made.
#[derive(Debug)]
pub struct Fitted {
    /// What it returned, as JSON.
    pub output: Bytes,
    /// It ran inside the worker that predicts, whose globals are as it left them.
    pub in_worker: bool,
}

/// What came of a training that ended well.
#[derive(Debug, Default)]
pub struct Publication {
    /// The version that it made; none if there is nothing new.
    pub version: Option<VersionId>,
    /// Why the version before is served all the same.
    pub problem: Option<String>,
}

impl TrainingRun {
    /// Notes what a job starts from, and finds the model that is trained.
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

    /// The folder that `fit` is told of.
    pub fn workdir(&self) -> &Path {
        match self {
            Self::V1(run) => &run.workdir,
            Self::V2(run) => &run.model_dir,
        }
    }

    /// Whether what `fit` made may be a version. As in the original, what it returned for a webhook of API
    /// v1 is kept only if it is a dict.
    pub fn may_publish(&self, fitted: &Fitted) -> bool {
        match self {
            Self::V1(run) => !run.is_event || fitted.output.first() == Some(&b'{'),
            Self::V2(_) => true,
        }
    }

    /// Makes what was trained the version that is served.
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

    /// Takes back what would stay of a training that failed.
    pub async fn abandon(&self, publisher: &Publisher) {
        match self {
            // Its folder shows what happened.
            Self::V1(_) => {}
            Self::V2(run) => run.abandon(publisher).await,
        }
    }
}
