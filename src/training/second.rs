//! A run of `fit` of API v2: what it changed is found out by looking before and after.

use std::path::{Path, PathBuf};
use std::time::Instant;

use bytes::Bytes;

use super::error::TrainingError;
use crate::serving::Serving;
use crate::serving::model_in_use::ModelInUse;
use crate::serving::trained::{Ahead, Before, Done};
use crate::store::changes::Snapshot;
use crate::store::jobs::Claimed;

/// What is known of a run before it begins.
#[derive(Debug)]
pub(super) struct Run {
    before: Before,
    model_dir: PathBuf,
    files: Snapshot,
    began: Instant,
}

impl Run {
    pub(super) async fn begin(
        serving: &Serving,
        job: &Claimed,
        model_dir: &Path,
    ) -> Result<Self, TrainingError> {
        let files = look(model_dir).await?;
        let before = serving.begin_training(&job.project, job.id).await?;
        Ok(Self { before, model_dir: model_dir.to_owned(), files, began: Instant::now() })
    }

    pub(super) async fn give_up(self, serving: &Serving, project: &str) {
        serving.give_up_training(project, &self.before).await;
    }

    /// Loads what the run did, if it did anything.
    pub(super) async fn load<'a>(
        &self,
        serving: &'a Serving,
        job: &Claimed,
        model: &ModelInUse,
        result: Bytes,
        in_worker: bool,
    ) -> Result<Ahead<'a>, TrainingError> {
        let after = look(&self.model_dir).await?;
        let done = Done {
            id: job.id,
            event: job.action.clone().unwrap_or_default(),
            result,
            files: self.files.changes(&after, &self.model_dir),
            took: self.began.elapsed(),
            in_worker,
        };
        Ok(serving.load_trained(&job.project, model, &self.before, done).await?)
    }
}

async fn look(model_dir: &Path) -> Result<Snapshot, TrainingError> {
    let folder = model_dir.to_owned();
    Ok(tokio::task::spawn_blocking(move || Snapshot::take(&folder)).await?)
}
