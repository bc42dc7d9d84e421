//! Keeps what it takes to go back to a version of API v2, around a training.
//!
//! Nothing here may cost a training: what cannot be kept is logged, and the version is published without a way
//! back, which `/versions` says too.

use std::env::current_dir;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::OwnedMutexGuard;
use tokio::task::spawn_blocking;
use tracing::warn;

use super::{Publisher, PublishingError};
use crate::ids::{ProjectKey, VersionId};
use crate::serving::ServingError;
use crate::serving::error::on_disk;
use crate::serving::keys::OF_BASE_CLASS;
use crate::store::changes::{FilesOutside, Snapshot};
use crate::store::kept::manifest::{KeptKeys, Manifest};
use crate::store::kept::{FitChange, KeptVersions};
use crate::store::models_folder;

/// Said of versions that a model keeps in memory.
const IN_MEMORY: &str =
    "its training ran in the worker that predicts (--fit-in worker), whose memory is not kept";
/// Said of versions whose training returned something and wrote nothing.
const ELSEWHERE: &str =
    "its training changed no file below MODEL_DIR and no key, so what it learned lies elsewhere";

/// Why the files and keys of a training do not hold what it learned.
pub(super) fn elsewhere(in_worker: bool, changed_anything: bool) -> Option<&'static str> {
    match (in_worker, changed_anything) {
        (true, _) => Some(IN_MEMORY),
        (false, false) => Some(ELSEWHERE),
        (false, true) => None,
    }
}

/// The right to change the files of models: a training or an activation has it.
pub(super) type FilesGuard = OwnedMutexGuard<()>;

/// The files of a training.
pub(super) struct Scans {
    pub(super) before: Snapshot,
    pub(super) after: Snapshot,
}

impl Publisher {
    /// The kept versions below MODEL_DIR.
    pub(super) async fn kept(&self) -> Result<Arc<KeptVersions>, ServingError> {
        let (_, versions) = self.registry.class.imported().await?;
        let open = || Arc::new(KeptVersions::open(versions, *self.keep_bytes.lock()));
        Ok(Arc::clone(self.kept.get_or_init(open)))
    }

    /// The keys of a project that belong to its version.
    pub(super) async fn keys(&self, project: &ProjectKey) -> Result<KeptKeys, ServingError> {
        let mut keys = self.registry.class.key_store().await?.all(project.id()).await?;
        keys.retain(|key, _| !OF_BASE_CLASS.contains(&key.as_str()));
        Ok(keys)
    }

    /// The files in which a training may keep something outside MODEL_DIR, if that is the project's folder for
    /// models: relative paths and paths beside the script are what many models write to.
    pub(super) async fn files_outside(
        &self,
        model_dir: &Path,
    ) -> Result<FilesOutside, PublishingError> {
        let (class, _) = self.registry.class.imported().await?;
        let project = class.script.as_deref().and_then(Path::parent).map(Path::to_owned);
        let model_dir = model_dir.to_owned();
        let take = move || {
            let own = project
                .filter(|project| models_folder::of_project(project).as_ref() == Some(&model_dir));
            let folders: Vec<_> =
                own.into_iter().flat_map(|own| [Some(own), current_dir().ok()]).flatten().collect();
            FilesOutside::take(&model_dir, &folders)
        };
        Ok(spawn_blocking(take).await?)
    }

    /// Keeps the version that a training starts from; returns its id.
    pub(super) async fn keep_before(
        &self,
        project: &ProjectKey,
        files: Snapshot,
        guard: FilesGuard,
    ) -> Result<(VersionId, Snapshot, FilesGuard), PublishingError> {
        let (_, versions) = self.registry.class.imported().await?;
        let (kept, keys) = (self.kept().await?, self.keys(project).await?);
        let name = project.to_owned();
        // The guard goes along: even if nobody waits any more, no other may change the files meanwhile.
        let (from, sealed, files, guard) = spawn_blocking(move || {
            let from = versions.current_record(&name).map(|record| record.map(|of| of.id));
            let from = from.map(Option::unwrap_or_default);
            let sealed = match &from {
                Ok(from) => kept.seal(&name, *from, &files, || keys),
                Err(_) => Ok(()),
            };
            (from, sealed, files, guard)
        })
        .await?;
        if let Err(error) = sealed {
            warn!(
                project = project.as_str(),
                "the version before this training cannot be kept to go back to: {error}"
            );
        }
        Ok((from?, files, guard))
    }

    /// Notes what a training that made no version has changed.
    pub(super) async fn note_failed(
        &self,
        project: &ProjectKey,
        from: VersionId,
        before: Snapshot,
    ) -> Result<(), ServingError> {
        let (_, versions) = self.registry.class.imported().await?;
        let (kept, name) = (self.kept().await?, project.to_owned());
        on_disk(move || {
            let after = Snapshot::take(versions.model_dir());
            kept.note_failed(&name, from, &before, &after)
        })
        .await
    }

    /// Keeps the files of a version that is about to be published.
    pub(super) async fn keep_after(
        &self,
        project: &ProjectKey,
        from: VersionId,
        to: VersionId,
        scans: Scans,
        elsewhere: Option<&'static str>,
    ) -> Result<Manifest, PublishingError> {
        let (kept, name) = (self.kept().await?, project.to_owned());
        let taken = spawn_blocking(move || {
            let Scans { before, after } = &scans;
            kept.take(&name, &FitChange { from, to, before, after, elsewhere })
        });
        Ok(taken.await?.unwrap_or_else(|error| {
            // Whether older versions can be told from this one is not known.
            let beyond = VersionId(to.0 + 1);
            Manifest::lacking(beyond, [].into(), format!("it could not be kept: {error}"))
        }))
    }

    /// Writes down what was kept of a version, before it is published.
    pub(super) async fn note_kept(
        &self,
        project: &ProjectKey,
        id: VersionId,
        mut manifest: Manifest,
    ) -> Result<(), ServingError> {
        if manifest.lacks.is_none() {
            manifest.keys = self.keys(project).await?;
        }
        let (kept, name) = (self.kept().await?, project.to_owned());
        let written = on_disk(move || {
            kept.write(&name, id, &manifest)?;
            kept.obstacle(&name, id)
        });
        match written.await {
            Ok(None) => {}
            Ok(Some(reason)) => self.tell_once(project, &reason),
            Err(error) => self.tell_once(project, &error.to_string()),
        }
        Ok(())
    }

    fn tell_once(&self, project: &ProjectKey, reason: &str) {
        if self.told.lock().insert((project.clone(), reason.to_owned())) {
            warn!(
                project = project.as_str(),
                "one cannot go back to the version of this training: {reason}"
            );
        }
    }
}
