//! The models in use, of all projects.
//!
//! An instance is identified by (project, labelling config, version, connection), for API v2 by
//! the extra parameters too. A project keeps a few of them, so that two labelling configs in turn do
//! not reload at every request, and all projects together as many as the user wants; the surplus is
//! handed back to be unloaded.

mod project;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

pub use project::{INITIAL, ProjectModels, Setup};

use super::served_model::ServedModel;
use super::version_gate::VersionGate;
use crate::ids::{ProjectKey, VersionId};
use crate::store::versions::Version;
use crate::wire::protocol::{ModelId, ModelSpec};

/// Maximum number of instances of one project that are kept.
const INSTANCES_PER_PROJECT: usize = 4;

/// All projects seen since the start.
#[derive(Debug)]
pub struct Models {
    projects: Mutex<HashMap<ProjectKey, ProjectModels>>,
    ids: AtomicU64,
    uses: AtomicU64,
    /// Maximum number of instances of all projects that are kept.
    most: usize,
    pub gate: VersionGate,
}

impl Models {
    pub fn new(most: usize) -> Self {
        let (projects, ids, uses) = (Mutex::default(), AtomicU64::default(), AtomicU64::default());
        Self { projects, ids, uses, most, gate: VersionGate::default() }
    }

    /// Reads or changes the entry of a project, which is made if there is none.
    pub fn entry<T>(&self, key: &ProjectKey, change: impl FnOnce(&mut ProjectModels) -> T) -> T {
        change(self.projects.lock().entry(key.to_owned()).or_default())
    }

    /// Reads or changes the entry of a project, if there is one.
    pub fn known<T: Default>(
        &self,
        key: &ProjectKey,
        look: impl FnOnce(&mut ProjectModels) -> T,
    ) -> T {
        self.projects.lock().get_mut(key).map(look).unwrap_or_default()
    }

    /// The model that answers for a project, and those that are no longer kept. A request without
    /// a labelling config means that of the newest /setup, else the one that was used last.
    pub fn resolve(
        &self,
        key: &ProjectKey,
        label_config: Option<&str>,
    ) -> (Arc<ServedModel>, Vec<Arc<ServedModel>>) {
        let mut projects = self.projects.lock();
        let project = projects.entry(key.to_owned()).or_default();
        let label_config = label_config.or(project.default_config()).map(str::to_owned);
        let now = self.uses.fetch_add(1, Ordering::Relaxed);
        if let Some(model) = project.find(label_config.as_deref()) {
            model.note_use(now);
            return (model, Vec::new());
        }
        let version = project.version();
        let names = project.names_of(version);
        let spec = ModelSpec {
            id: self.next_id(),
            project: key.to_owned(),
            label_config,
            version: names.served.clone(),
            connection: project.connection().cloned(),
        };
        let (origin, request) = (project.origin(version), project.request.clone());
        let model = ServedModel::new(spec, version, origin, request, names);
        model.note_use(now);
        project.models.insert(0, Arc::clone(&model));
        let mut surplus = project.models.split_off(project.models.len().min(INSTANCES_PER_PROJECT));
        surplus.extend(longest_unused(&mut projects, self.most));
        for model in &surplus {
            model.retire();
        }
        (model, surplus)
    }

    /// The successor of the model in use, to be loaded before it is switched to; none if no model of
    /// the project is in use. It has the labelling config that was served last, else the one that
    /// it was trained with: a request with a broken config must not decide.
    pub fn prepare_switch(
        &self,
        key: &ProjectKey,
        version: &Version,
        trained: &ModelSpec,
    ) -> Option<Arc<ServedModel>> {
        let projects = self.projects.lock();
        let project = projects.get(key).filter(|project| project.is_in_use())?;
        let mut spec = project.last_loaded().map_or(trained, |last| &last.model.spec).clone();
        spec.connection = project.connection().cloned();
        spec.id = self.next_id();
        spec.version = version.id.to_string();
        let (origin, names) = (project.origin(Some(version)), project.names_of(Some(version)));
        Some(ServedModel::new(spec, Some(version), origin, project.request.clone(), names))
    }

    /// Records that a model of a project with this id renamed its version. Returns the models whose served
    /// name changes.
    pub fn note_own_name(&self, id: &str, own: &str) -> Vec<Arc<ServedModel>> {
        let mut projects = self.projects.lock();
        let of_id = projects.iter_mut().filter(|(key, _)| key.id() == id);
        of_id.flat_map(|(_, project)| project.note_own_name(own)).collect()
    }

    /// Versions that cannot be loaded: project, version, reason.
    pub fn refused(&self) -> Vec<(ProjectKey, VersionId, String)> {
        let projects = self.projects.lock();
        let refused = projects.iter().filter_map(|(key, project)| {
            let (version, reason) = project.refused.as_ref()?;
            Some((key.clone(), *version, reason.clone()))
        });
        refused.collect()
    }

    pub fn served_version(&self, project: &ProjectKey) -> Option<String> {
        self.known(project, |known| known.served_version())
    }

    pub fn projects(&self) -> Vec<ProjectKey> {
        self.projects.lock().keys().cloned().collect()
    }

    /// The key `{id}.{created_at}` under which Label Studio set up the project with this id.
    pub fn project_key(&self, id: &str) -> Option<ProjectKey> {
        let projects = self.projects.lock();
        let keys = projects.iter().filter(|(key, project)| {
            project.is_set_up()
                && key.as_str().split_once('.').is_some_and(|(known, _)| known == id)
        });
        keys.map(|(key, _)| key.clone()).max()
    }

    /// Every model in use, for a worker that starts.
    pub fn all(&self) -> Vec<Arc<ServedModel>> {
        let projects = self.projects.lock();
        projects.values().flat_map(|project| project.models.iter().map(Arc::clone)).collect()
    }

    /// The models that a new worker loads before it takes requests.
    pub fn to_load(&self) -> Vec<Arc<ServedModel>> {
        let mut models = self.all();
        models.retain(|model| !self.gate.is_closed(&model.model.spec.project));
        models
    }

    fn next_id(&self) -> ModelId {
        ModelId(self.ids.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

/// Removes and returns the least recently used models, until at most `most` are left.
fn longest_unused(
    projects: &mut HashMap<ProjectKey, ProjectModels>,
    most: usize,
) -> Vec<Arc<ServedModel>> {
    let mut uses: Vec<u64> =
        projects.values().flat_map(|project| &project.models).map(|m| m.last_use()).collect();
    if uses.len() <= most {
        return Vec::new();
    }
    let surplus = uses.len() - most;
    let (_, last, _) = uses.select_nth_unstable(surplus - 1);
    let last = *last;
    let mut gone = Vec::new();
    for project in projects.values_mut() {
        let (old, kept) = project.models.drain(..).partition(|m| m.last_use() <= last);
        project.models = kept;
        gone.extend::<Vec<_>>(old);
    }
    gone
}

#[cfg(test)]
mod tests;
