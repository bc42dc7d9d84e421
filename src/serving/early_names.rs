//! The version that is going to be served for a project, told while the program is still being imported.
//!
//! Label Studio leaves out tasks that have a prediction of the version that /setup names, so a name that is
//! not served costs each task a second prediction. What decides about the name lies in the model folder;
//! which folder that is, and which API the class has, a note of the last server tells, as long as neither
//! the program nor its options have changed. Where anything is in doubt there is no name.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use tracing::debug;

use super::error::on_disk;
use super::models::{INITIAL, ProjectModels};
use super::registry::Registry;
use super::version_names::{ProjectNames, UNNAMED, VERSION_KEY};
use crate::ids::ProjectKey;
use crate::store::keys::KeyStore;
use crate::store::ready_note::{self, MAX_PROJECTS, ReadyNote};
use crate::store::versions::{StoreError, Versions};
use crate::wire::api_version::ApiVersion;

/// Tells names early, and keeps the note by which the next server does.
#[derive(Debug)]
pub struct EarlyNames {
    registry: Arc<Registry>,
    /// Digest of the program; without one no note is kept.
    program: Option<String>,
    /// The note of the last server, and its model folder.
    found: Option<(PathBuf, ReadyNote)>,
    kept: Mutex<Option<ReadyNote>>,
}

impl EarlyNames {
    /// Looks for the note of the last server in the folders that may be the model folder.
    pub fn open(registry: Arc<Registry>, program: Option<String>, folders: &[PathBuf]) -> Self {
        let found = program.as_deref().and_then(|program| {
            let read =
                |folder: &PathBuf| Some((folder.clone(), ready_note::read(folder, program)?));
            folders.iter().find_map(read)
        });
        Self { registry, program, found, kept: Mutex::default() }
    }

    /// The name that /setup would answer after the import; none if that is in doubt.
    pub async fn of(&self, project: &ProjectKey) -> Option<String> {
        let (folder, note) = self.found.as_ref().filter(|(_, note)| !note.has_gate)?;
        let versions = Versions::open(folder);
        match ApiVersion::try_from(note.api).ok()? {
            ApiVersion::V1 => {
                let name = project.clone();
                let current = on_disk(move || versions.current(&name)).await.ok()?;
                // A version that no worker has loaded may turn out to be unusable.
                match current {
                    None => Some(INITIAL.to_owned()),
                    Some(version) => version.is_proven.then(|| version.id.to_string()),
                }
            }
            ApiVersion::V2 => {
                let name = project.clone();
                let look = move || -> Result<_, StoreError> {
                    // A killed training may have renamed the version, which is undone after the import.
                    let interrupted = versions.interrupted_trainings();
                    let is_interrupted = interrupted.iter().any(|begun| begun.project == name);
                    Ok((is_interrupted, versions.current_record(&name)?))
                };
                let (is_interrupted, record) = on_disk(look).await.ok()?;
                if is_interrupted {
                    return None;
                }
                let own = own_name(folder, project).await?;
                if own.is_none() && record.is_none() && !note.unnamed.contains(project) {
                    // Its model may name its version when it is loaded for the first time.
                    return None;
                }
                let recorded = record.map(|record| (record.own, record.served));
                let own = own.unwrap_or_else(|| UNNAMED.to_owned());
                Some(ProjectNames::new(own, recorded).current().served)
            }
        }
    }

    /// Keeps the note for the next server, once the program is imported.
    pub async fn keep(&self) {
        let Some(program) = &self.program else { return };
        let Ok((class, versions)) = self.registry.class.imported().await else { return };
        let folder = versions.model_dir();
        let before = self.found.as_ref().filter(|(of, _)| of == folder);
        let note = ReadyNote {
            program: program.clone(),
            class: class.class.clone(),
            api: class.api.into(),
            has_gate: class.basic_auth.is_some()
                || class.app.as_ref().is_some_and(|app| app.sees_all),
            unnamed: before.map(|(_, note)| note.unnamed.clone()).unwrap_or_default(),
        };
        *self.kept.lock() = Some(note.clone());
        write(folder, note).await;
    }

    /// Notes that a project was set up, if its model did not name its version.
    pub async fn note_set_up(&self, project: &ProjectKey, served: &str) {
        let is_loaded = self
            .registry
            .models
            .known(project, |known: &mut ProjectModels| known.last_loaded().is_some());
        if served != UNNAMED || !is_loaded {
            return;
        }
        let note = {
            let mut kept = self.kept.lock();
            let Some(note) = kept.as_mut() else { return };
            let is_new = note.api == u8::from(ApiVersion::V2)
                && note.unnamed.len() < MAX_PROJECTS
                && note.unnamed.insert(project.clone());
            if !is_new {
                return;
            }
            note.clone()
        };
        if let Some(versions) = self.registry.class.versions_now() {
            write(versions.model_dir(), note).await;
        }
    }
}

async fn write(folder: &Path, note: ReadyNote) {
    let folder = folder.to_owned();
    let written = move || ready_note::write(&folder, &note).map_err(|error| (folder, error));
    if let Ok(Err((folder, error))) = tokio::task::spawn_blocking(written).await {
        debug!("{}: no note of the program is kept: {error}", folder.display());
    }
}

/// The name that the model of a project gave its version; None if that cannot be told.
async fn own_name(folder: &Path, project: &ProjectKey) -> Option<Option<String>> {
    let folder = folder.to_owned();
    let opened = on_disk(move || Ok(KeyStore::open(&folder))).await.ok()?.ok()?;
    opened.get(project.id(), VERSION_KEY).await.ok()
}
