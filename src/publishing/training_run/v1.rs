//! A run of `fit` of API v1: its return value is the version, in a folder of the job.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use serde_json::value::RawValue;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use super::Publication;
use crate::ids::{JobId, ProjectKey};
use crate::publishing::{Publisher, PublishingError, stopped};
use crate::serving::served_model::ServedModel;
use crate::store::jobs::Claimed;
use crate::store::versions::{Input, Versions};

/// A training of API v1 that has begun.
#[derive(Debug)]
pub struct V1Run {
    project: ProjectKey,
    id: JobId,
    pub(super) is_event: bool,
    pub(super) model: Arc<ServedModel>,
    pub(super) workdir: PathBuf,
    versions: Arc<Versions>,
    began: Instant,
}

impl V1Run {
    pub(super) async fn begin(
        versions: Arc<Versions>,
        job: &Claimed,
        model: Arc<ServedModel>,
    ) -> Result<Self, PublishingError> {
        let began = Instant::now();
        let (disk, from) = (Arc::clone(&versions), job.clone());
        let workdir = spawn_blocking(move || make_folder(&disk, &from)).await??;
        let is_event = job.action.is_some();
        Ok(Self {
            project: job.project.clone(),
            id: job.id,
            is_event,
            model,
            workdir,
            versions,
            began,
        })
    }

    pub(super) async fn publish(
        &self,
        publisher: &Publisher,
        output: Bytes,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<Publication, PublishingError> {
        let (versions, project, id) = (Arc::clone(&self.versions), self.project.clone(), self.id);
        let took = self.began.elapsed();
        let version =
            spawn_blocking(move || versions.publish(&project, id, &output, took)).await??;
        let switched = tokio::select! {
            switched = publisher.switch(&self.project, version, &self.model) => switched,
            // The next server serves it.
            () = stopped(stop) => Ok(()),
        };
        let problem = switched.err().map(|reason| {
            format!("published, but it cannot be loaded, so the version before is served: {reason}")
        });
        Ok(Publication { version: Some(id.into()), problem })
    }
}

/// Makes the folder of a job and writes its input there.
fn make_folder(versions: &Versions, job: &Claimed) -> Result<PathBuf, PublishingError> {
    let Some(action) = &job.action else {
        let fields: HashMap<Cow<'_, str>, &RawValue> = serde_json::from_slice(&job.payload)?;
        let missing = || <serde_json::Error as serde::de::Error>::missing_field("annotations");
        let annotations = fields.get("annotations").ok_or_else(missing)?;
        let count = serde_json::from_str::<Vec<&RawValue>>(annotations.get())?.len();
        let input = Input::Tasks { json: annotations, count };
        return Ok(versions.begin(&job.project, job.id, &input)?);
    };
    let data = serde_json::from_slice(&job.payload)?;
    Ok(versions.begin(&job.project, job.id, &Input::Event { action, data })?)
}
