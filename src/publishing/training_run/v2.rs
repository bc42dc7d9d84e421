//! A run of `fit` of API v2: its changes are found by comparing files and keys before and after.
//!
//! Such a model keeps what it learned in keys and files of its own, which its workers see at once. The
//! version is nevertheless switched only when its models are loaded; until then predictions carry the name
//! that was served before. New instances see changed keys; changed files, and the return value of `fit`,
//! need new processes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::{MutexGuard, watch};
use tokio::task::spawn_blocking;
use tracing::{info, warn};

use super::{Fitted, Publication};
use crate::failpoint;
use crate::ids::{JobId, ProjectKey, VersionId};
use crate::publishing::keeping::{FilesGuard, Scans, elsewhere};
use crate::publishing::prior_name::PriorName;
use crate::publishing::renewal::{Followers, Renewal};
use crate::publishing::{Publisher, PublishingError, stopped};
use crate::serving::ServingError;
use crate::serving::error::on_disk;
use crate::serving::models::ProjectModels;
use crate::serving::served_model::ServedModel;
use crate::serving::version_gate::GateGuard;
use crate::serving::version_names::UNNAMED;
use crate::store::changes::{FilesOutside, Snapshot};
use crate::store::jobs::{Claimed, now};
use crate::store::kept::manifest::Manifest;
use crate::store::versions::{Record, StoreError, Version};
use crate::wire::protocol::VersionNames;
use crate::workers::handle::WorkerHandle;

/// A training of API v2 that has begun.
#[derive(Debug)]
pub struct V2Run {
    project: ProjectKey,
    id: JobId,
    event: String,
    pub(super) model: Arc<ServedModel>,
    pub(super) model_dir: PathBuf,
    prior: PriorName,
    /// The files below MODEL_DIR before it.
    files: Snapshot,
    /// Those of other folders in which it may write.
    outside: Arc<FilesOutside>,
    /// The version that it started from.
    from: VersionId,
    /// Number of annotations of the project, as far as the event tells it.
    annotations: Option<u64>,
    /// Nobody else changes files meanwhile.
    _files: FilesGuard,
    began: Instant,
}

/// The changes and the result of `fit`.
#[derive(Debug)]
struct FitReport {
    /// The return value, as JSON.
    result: Bytes,
    /// Files below MODEL_DIR that it changed, if any.
    files: Option<Vec<String>>,
    /// All files after it.
    after: Snapshot,
    took: Duration,
    /// Whether it ran inside the worker that predicts, whose globals are then up to date.
    in_worker: bool,
}

/// How the publication goes on after `fit`.
enum Staging<'a> {
    /// It changed nothing, so there is no new version.
    Unchanged,
    /// The version before stays served, for this reason.
    Refused(String),
    Staged(Box<StagedVersion<'a>>),
}

/// A version that is loaded and not served yet.
struct StagedVersion<'a> {
    switching: MutexGuard<'a, ()>,
    report: FitReport,
    keys: Vec<String>,
    /// What was kept of its files.
    kept: Manifest,
    version: Version,
    next: Option<Arc<ServedModel>>,
    renewal: Option<Renewal<'a>>,
    gate: Option<GateGuard>,
}

/// A version that is served, but not yet by all workers.
struct PartlyServed<'a> {
    _switching: MutexGuard<'a, ()>,
    followers: Option<Followers>,
}

impl V2Run {
    pub(super) async fn begin(
        publisher: &Publisher,
        job: &Claimed,
        model: Arc<ServedModel>,
        model_dir: &Path,
    ) -> Result<Self, PublishingError> {
        let guard = Arc::clone(&publisher.files).lock_owned().await;
        // What is undone later would replace what this training makes.
        publisher.undo_activation().await?;
        let files = snapshot(model_dir).await?;
        let (from, files, guard) = publisher.keep_before(&job.project, files, guard).await?;
        failpoint::reached("keep-sealed");
        let outside = publisher.files_outside(model_dir).await?;
        let prior = PriorName::hold(&publisher.registry, &job.project, job.id).await?;
        publisher.key_watch.begin(job.project.id());
        Ok(Self {
            project: job.project.clone(),
            id: job.id,
            event: job.action.clone().unwrap_or_default(),
            model,
            model_dir: model_dir.to_owned(),
            prior,
            files,
            outside: Arc::new(outside),
            from,
            annotations: annotations_of(&job.payload),
            _files: guard,
            began: Instant::now(),
        })
    }

    /// Gives the model its name back, since the training made no version.
    pub(super) async fn abandon(&self, publisher: &Publisher) {
        self.prior.restore(&publisher.registry).await;
        let noted = publisher.note_failed(&self.project, self.from, self.files.clone());
        if let Err(error) = noted.await {
            warn!(project = self.project.as_str(), "what it changed is not noted: {error}");
        }
    }

    pub(super) async fn publish(
        &self,
        publisher: &Publisher,
        fitted: Fitted,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<Publication, PublishingError> {
        let staged = async { self.stage(publisher, self.report(fitted).await?).await };
        let staging = tokio::select! {
            staged = staged => staged?,
            () = stopped(stop) => return Err(PublishingError::Interrupted),
        };
        let staged = match staging {
            Staging::Staged(staged) => *staged,
            Staging::Unchanged => {
                let problem = format!(
                    "fit made nothing new, so there is no new version: it changed no file below MODEL_DIR, \
                     {}, set no key with self.set, and returned nothing; if it keeps what it learned elsewhere, \
                     return something that is not empty, such as the path",
                    self.model_dir.display()
                );
                return Ok(Publication { version: None, problem: Some(problem) });
            }
            Staging::Refused(reason) => {
                let problem = format!("trained, but the version before is served: {reason}");
                return Ok(Publication { version: None, problem: Some(problem) });
            }
        };
        let served = self.serve(publisher, staged).await?;
        tokio::select! {
            () = served.finish(publisher) => {}
            // The next server starts all of them from the new files.
            () = stopped(stop) => {}
        }
        Ok(Publication { version: Some(self.id.into()), problem: None })
    }

    async fn report(&self, fitted: Fitted) -> Result<FitReport, PublishingError> {
        let after = snapshot(&self.model_dir).await?;
        Ok(FitReport {
            result: fitted.output,
            files: self.files.changes(&after),
            after,
            took: self.began.elapsed(),
            in_worker: fitted.in_worker,
        })
    }

    /// Loads the changes of `fit`, if there are any. Requests are still served by the version before.
    async fn stage<'a>(
        &self,
        publisher: &'a Publisher,
        mut report: FitReport,
    ) -> Result<Staging<'a>, PublishingError> {
        let (project, models) = (&self.project, &publisher.registry.models);
        let switching = publisher.switching.lock().await;
        let keys = publisher.key_watch.take();
        let is_empty = is_empty(&report.result);
        let is_kept = report.files.is_some() || !keys.is_empty();
        if !is_kept && is_empty {
            let outside = Arc::clone(&self.outside);
            report.files = spawn_blocking(move || outside.changes()).await?;
            if report.files.is_none() {
                self.abandon(publisher).await;
                return Ok(Staging::Unchanged);
            }
        }
        let elsewhere = elsewhere(report.in_worker, is_kept);
        let scans = Scans { before: self.files.clone(), after: report.after.clone() };
        let kept =
            publisher.keep_after(project, self.from, self.id.into(), scans, elsewhere).await?;
        failpoint::reached("keep-taken");
        let gate = report.files.is_some().then(|| models.gate.close(project));
        let version = Version::recorded(self.id.into());
        let loaded = if !report.in_worker && (report.files.is_some() || !is_empty) {
            let next = models.prepare_switch(project, &version, &self.model.model.spec);
            publisher.renewer.start(next.as_ref()).await.map(|renewal| (next, Some(renewal)))
        } else {
            publisher.load_next(project, &version, &self.model).await.map(|next| (next, None))
        };
        match loaded {
            Ok((next, renewal)) => Ok(Staging::Staged(Box::new(StagedVersion {
                switching,
                report,
                keys,
                kept,
                version,
                next,
                renewal,
                gate,
            }))),
            Err(reason) => {
                warn!(
                    project = project.as_str(),
                    job = %self.id,
                    "trained, but the version before stays served: {reason}"
                );
                self.abandon(publisher).await;
                models.entry(project, |known| known.refuse(self.id.into(), reason.clone()));
                Ok(Staging::Refused(reason))
            }
        }
    }

    /// Serves a version that is loaded. Must not be dropped halfway: the version is on the disk before it is
    /// served.
    async fn serve<'a>(
        &self,
        publisher: &'a Publisher,
        staged: StagedVersion<'a>,
    ) -> Result<PartlyServed<'a>, PublishingError> {
        let (project, registry) = (&self.project, &publisher.registry);
        let StagedVersion { switching, report, keys, kept, version, next, renewal, gate } = staged;
        let (own, served) = match self.record(publisher, report, keys, kept).await {
            Ok(names) => names,
            Err(error) => {
                if renewal.is_none() {
                    publisher.discard(next.as_ref()).await;
                }
                return Err(error.into());
            }
        };
        let name = served.clone();
        let switch = |next| {
            let own = own.clone();
            let switch = |known: &mut ProjectModels| known.switch_named(version, own, name, next);
            registry.models.entry(project, switch)
        };
        let followers = if let Some(renewal) = renewal {
            rename(next.as_deref(), &own, &served, renewal.workers()).await;
            // The old models go with their workers.
            Some(publisher.renewer.finish(renewal, || drop(switch(next))))
        } else {
            rename(next.as_deref(), &own, &served, &registry.workers.pool.workers()).await;
            registry.workers.unload(&switch(next)).await;
            None
        };
        drop(gate);
        self.prior.release(registry).await;
        info!(
            project = project.as_str(),
            job = %self.id,
            model_version = served,
            "this version is served now"
        );
        Ok(PartlyServed { _switching: switching, followers })
    }

    /// Writes the record of the version; returns the model's own name for it, and the served name.
    async fn record(
        &self,
        publisher: &Publisher,
        report: FitReport,
        keys: Vec<String>,
        kept: Manifest,
    ) -> Result<(String, String), ServingError> {
        let (project, registry) = (&self.project, &publisher.registry);
        // Not earlier: the constructor may have named it.
        let own = registry.own_name(project).await?.unwrap_or_else(|| UNNAMED.into());
        publisher.note_kept(project, self.id.into(), kept).await?;
        failpoint::reached("keep-noted");
        let (before, is_taken) = registry.models.entry(project, |known| {
            (known.served_name().unwrap_or_else(|| UNNAMED.into()), known.is_name_taken(&own))
        });
        let result = serde_json::from_slice::<Box<RawValue>>(&report.result)
            .map_err(|error| ServingError::Store(error.into()))?;
        let mut record = Record {
            id: self.id.into(),
            own: own.clone(),
            served: String::new(),
            event: self.event.clone(),
            result,
            keys,
            files: report.files.unwrap_or_default(),
            time: report.took.as_secs_f64(),
            at: Some(now()),
            annotations: self.annotations,
        };
        let (_, versions) = registry.class.ready().await?;
        let (name, from, prior) =
            (project.to_owned(), self.from, self.prior.own().map(str::to_owned));
        let kept = publisher.kept().await?;
        let served = on_disk(move || {
            let record_before = versions.record(&name, from)?;
            let is_kept = || Ok::<_, StoreError>(kept.obstacle(&name, from)?.is_none());
            match record_before {
                // Its model has renamed it since.
                Some(of) if of.served != before => {
                    let of = Record { served: before.clone(), ..of };
                    versions.rewrite_record(&name, &of)?;
                }
                None if from == VersionId::default() && is_kept()? => {
                    let own = prior.unwrap_or_else(|| UNNAMED.into());
                    versions.rewrite_record(&name, &Record::untrained(own, before.clone()))?;
                }
                _ => {}
            }
            record.served = versions.new_name(&name, &own, &before, is_taken)?;
            versions.write_record(&name, &record)?;
            Ok((own, record.served))
        });
        served.await
    }
}

impl PartlyServed<'_> {
    /// Renews the workers that ended to make room for the first one of the version.
    async fn finish(self, publisher: &Publisher) {
        if let Some(followers) = self.followers {
            publisher.renewer.follow(followers).await;
        }
    }
}

/// Tells workers the name of a version whose model was loaded before it had one.
async fn rename(
    next: Option<&ServedModel>,
    own: &str,
    served: &str,
    workers: impl IntoIterator<Item = &Arc<WorkerHandle>>,
) {
    let Some(next) = next else { return };
    next.model.rename(VersionNames { served: served.to_owned(), own: vec![own.to_owned()] });
    for worker in workers {
        worker.rename(&next.model).await;
    }
}

/// Whether `fit` returned an empty value.
fn is_empty(result: &[u8]) -> bool {
    matches!(result.trim_ascii(), b"" | b"null" | b"{}" | b"[]" | b"\"\"")
}

/// Number of annotations of a project, as the event of Label Studio tells it.
fn annotations_of(payload: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Event {
        project: Option<Counted>,
    }
    #[derive(Deserialize)]
    struct Counted {
        total_annotations_number: Option<u64>,
    }
    serde_json::from_slice::<Event>(payload).ok()?.project?.total_annotations_number
}

async fn snapshot(model_dir: &Path) -> Result<Snapshot, PublishingError> {
    let folder = model_dir.to_owned();
    Ok(spawn_blocking(move || Snapshot::take(&folder)).await?)
}

#[cfg(test)]
mod tests;
