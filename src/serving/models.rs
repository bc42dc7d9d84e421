//! The models in use: for each project its newest /setup, its version, and the instances that
//! workers are asked to hold.
//!
//! An instance is identified by (project, labelling config, version, connection), for API v2 by
//! the extra parameters too. A project keeps a few of them, so that two labelling configs in turn do
//! not reload at every request, and all projects together as many as the user wants; the surplus is
//! handed back to be unloaded.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};
use serde_json::Value;

use super::held_back::HeldBack;
use super::model_in_use::{Load, ModelInUse, Origin};
use super::version_names::ProjectNames;
use crate::store::versions::Version;
use crate::wire::protocol::{LabelStudioConnection, ModelId, ModelSpec, VersionNames, project_id};
use crate::workers::model::ForwardedRequest;

/// Instances of one project that are kept at a time.
const INSTANCES_PER_PROJECT: usize = 4;

/// What /setup says of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    pub label_config: Option<String>,
    pub connection: LabelStudioConnection,
    pub extra_params: Value,
}

/// What is known of the versions of a project.
#[derive(Debug, Default)]
enum Trained {
    /// The model folder was not read yet.
    #[default]
    Unread,
    Never,
    Newest(Version),
}

#[derive(Debug, Default)]
struct Project {
    setup: Option<Setup>,
    /// The request that brought it.
    request: Option<Arc<ForwardedRequest>>,
    trained: Trained,
    /// API v2: how the model names its version.
    names: Option<ProjectNames>,
    /// Most recently used first.
    models: Vec<Arc<ModelInUse>>,
    refused: Option<(u64, String)>,
    /// The extra parameters of /setup are where its models look for them.
    has_params: bool,
}

impl Project {
    fn last_loaded(&self) -> Option<&Arc<ModelInUse>> {
        self.models.iter().find(|model| model.load_state() == Load::Loaded)
    }

    fn version(&self) -> Option<&Version> {
        match &self.trained {
            Trained::Newest(version) => Some(version),
            Trained::Unread | Trained::Never => None,
        }
    }

    /// How predictions of a version are marked: API v1 by its number.
    fn names_of(&self, version: Option<&Version>) -> VersionNames {
        match &self.names {
            Some(names) => names.current(),
            None => VersionNames {
                served: version.map_or_else(|| "INITIAL".into(), |version| version.id.to_string()),
                own: Vec::new(),
            },
        }
    }

    fn origin(&self) -> Origin {
        let params = self.setup.as_ref().map(|setup| &setup.extra_params);
        Origin {
            version: self.version().map(|version| version.id),
            extra_params: params.filter(|_| self.names.is_some()).cloned(),
        }
    }
}

/// All projects seen since the start.
#[derive(Debug)]
pub struct Models {
    projects: Mutex<HashMap<String, Project>>,
    ids: AtomicU64,
    uses: AtomicU64,
    /// Instances of all projects that are kept at a time.
    most: usize,
    pub held_back: HeldBack,
}

impl Models {
    pub fn new(most: usize) -> Self {
        let (projects, ids, uses) = (Mutex::default(), AtomicU64::default(), AtomicU64::default());
        Self { projects, ids, uses, most, held_back: HeldBack::default() }
    }

    /// Keeps a /setup and the request that brought it; true if it says what the one before said.
    pub fn set_up(&self, project: &str, setup: Setup, request: Option<ForwardedRequest>) -> bool {
        let mut projects = self.table();
        let project = projects.entry(project.to_owned()).or_default();
        let known = project.setup.as_ref() == Some(&setup);
        project.setup = Some(setup);
        project.request = request.map(Arc::new);
        known
    }

    /// Whether these extra parameters of a project are where its models look for them.
    pub fn has_params(&self, project: &str, params: &Value) -> bool {
        self.table().get(project).is_some_and(|project| {
            project.has_params
                && project.setup.as_ref().is_some_and(|setup| setup.extra_params == *params)
        })
    }

    /// Notes whether they are.
    pub fn note_params(&self, project: &str, has_params: bool) {
        self.table().entry(project.to_owned()).or_default().has_params = has_params;
    }

    pub fn knows_version(&self, project: &str) -> bool {
        self.table().get(project).is_some_and(|p| !matches!(p.trained, Trained::Unread))
    }

    /// Notes what the model folder holds, and for API v2 what the version is called, unless
    /// training was faster.
    pub fn set_version_once(
        &self,
        project: &str,
        version: Option<Version>,
        names: Option<ProjectNames>,
    ) {
        let mut projects = self.table();
        let project = projects.entry(project.to_owned()).or_default();
        if matches!(project.trained, Trained::Unread) {
            project.trained = version.map_or(Trained::Never, Trained::Newest);
            project.names = names;
        }
    }

    pub fn in_use(&self, project: &str) -> bool {
        self.table().get(project).is_some_and(|project| !project.models.is_empty())
    }

    /// The model that answers for a project, and those that are no longer kept. A request without
    /// a labelling config means that of the newest /setup, else the one that was used last.
    pub fn resolve(
        &self,
        key: &str,
        label_config: Option<&str>,
    ) -> (Arc<ModelInUse>, Vec<Arc<ModelInUse>>) {
        let mut projects = self.table();
        let project = projects.entry(key.to_owned()).or_default();
        let of_setup = project.setup.as_ref().and_then(|setup| setup.label_config.as_deref());
        let of_last = || project.last_loaded()?.model.spec.label_config.as_deref();
        let label_config = label_config.or(of_setup).or_else(of_last);
        let connection = project.setup.as_ref().map(|setup| &setup.connection);
        let origin = project.origin();
        let now = self.uses.fetch_add(1, Ordering::Relaxed);
        let found = project.models.iter().position(|model| {
            let spec = &model.model.spec;
            spec.label_config.as_deref() == label_config
                && model.origin == origin
                && spec.connection.as_ref() == connection
        });
        if let Some(position) = found {
            project.models[..=position].rotate_right(1);
            project.models[0].note_use(now);
            return (Arc::clone(&project.models[0]), Vec::new());
        }
        let names = project.names_of(project.version());
        let spec = ModelSpec {
            id: self.next_id(),
            project: key.to_owned(),
            label_config: label_config.map(str::to_owned),
            version: names.served.clone(),
            connection: connection.cloned(),
        };
        let request = project.request.clone();
        let model = ModelInUse::new(spec, project.version(), origin, request, names);
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
        key: &str,
        version: &Version,
        trained: &ModelSpec,
    ) -> Option<Arc<ModelInUse>> {
        let projects = self.table();
        let project = projects.get(key).filter(|project| !project.models.is_empty())?;
        let mut spec = project.last_loaded().map_or(trained, |last| &last.model.spec).clone();
        spec.connection = project.setup.as_ref().map(|setup| setup.connection.clone());
        spec.id = self.next_id();
        spec.version = version.id.to_string();
        let origin = Origin { version: Some(version.id), ..project.origin() };
        let names = project.names_of(Some(version));
        Some(ModelInUse::new(spec, Some(version), origin, project.request.clone(), names))
    }

    /// Keeps the name of a project's version while a training decides about the next one.
    pub fn pin(&self, project: &str) {
        if let Some(names) = self.table().get_mut(project).and_then(|p| p.names.as_mut()) {
            names.pin();
        }
    }

    /// Nothing came of it: whatever the model calls its version counts again. Returns the models that
    /// are called otherwise now.
    pub fn unpin(&self, project: &str) -> Vec<Arc<ModelInUse>> {
        let mut projects = self.table();
        let Some(project) = projects.get_mut(project) else { return Vec::new() };
        let Some(names) = &mut project.names else { return Vec::new() };
        names.unpin();
        let current = names.current();
        renamed(&project.models, &current)
    }

    /// The name for a version that a training made, `own` being what the model calls it.
    pub fn next_name(&self, project: &str, own: &str, id: u64) -> String {
        match self.table().get(project).and_then(|project| project.names.as_ref()) {
            Some(names) => names.next(own, id),
            None => own.to_owned(),
        }
    }

    /// A model of a project with this id calls its version otherwise. Returns the models that are
    /// marked otherwise now.
    pub fn note_own_version(&self, id: &str, own: &str) -> Vec<Arc<ModelInUse>> {
        let mut changed = Vec::new();
        for (key, project) in self.table().iter_mut() {
            if project_id(key) == id
                && let Some(names) = &mut project.names
            {
                names.note_own(own);
                changed.extend(renamed(&project.models, &names.current()));
            }
        }
        changed
    }

    /// From now on a version of API v2 is served, which the model calls `own`; returns the models
    /// of older versions.
    pub fn switch_named(
        &self,
        project: &str,
        version: Version,
        own: String,
        served: String,
        next: Option<Arc<ModelInUse>>,
    ) -> Vec<Arc<ModelInUse>> {
        {
            let mut projects = self.table();
            let project = projects.entry(project.to_owned()).or_default();
            let names = project.names.get_or_insert_with(|| ProjectNames::new(own.clone(), None));
            names.publish(own, served);
        }
        self.switch(project, version, next)
    }

    /// From now on `version` is served; returns the models of older versions.
    pub fn switch(
        &self,
        project: &str,
        version: Version,
        next: Option<Arc<ModelInUse>>,
    ) -> Vec<Arc<ModelInUse>> {
        let mut projects = self.table();
        let project = projects.entry(project.to_owned()).or_default();
        project.trained = Trained::Newest(version);
        project.refused = None;
        let old = std::mem::replace(&mut project.models, next.into_iter().collect());
        for model in &old {
            model.replace();
        }
        old
    }

    /// A worker has loaded this version.
    pub fn note_tried(&self, project: &str, id: u64) {
        let mut projects = self.table();
        let Some(project) = projects.get_mut(project) else { return };
        if let Trained::Newest(version) = &mut project.trained
            && version.id == id
        {
            version.is_tried = true;
        }
        for model in project.models.iter().filter(|model| model.untried_version() == Some(id)) {
            model.mark_tried();
        }
    }

    /// Forgets the version of a project, which is read again from the model folder, and returns its
    /// models.
    pub fn forget_version(&self, project: &str) -> Vec<Arc<ModelInUse>> {
        let mut projects = self.table();
        let project = projects.entry(project.to_owned()).or_default();
        project.trained = Trained::Unread;
        let old = std::mem::take(&mut project.models);
        for model in &old {
            model.replace();
        }
        old
    }

    pub fn refuse_switch(&self, project: &str, version: u64, reason: String) {
        self.table().entry(project.to_owned()).or_default().refused = Some((version, reason));
    }

    pub fn refused(&self) -> Vec<(String, u64, String)> {
        let projects = self.table();
        let refused = projects.iter().filter_map(|(key, project)| {
            let (version, reason) = project.refused.as_ref()?;
            Some((key.clone(), *version, reason.clone()))
        });
        refused.collect()
    }

    pub fn served_version(&self, project: &str) -> Option<String> {
        let projects = self.table();
        let model = projects.get(project)?.models.first()?;
        Some(model.model.names().served)
    }

    pub fn projects(&self) -> Vec<String> {
        self.table().keys().cloned().collect()
    }

    /// The key `{id}.{created_at}` under which Label Studio set up the project with this id.
    pub fn project_key(&self, id: &str) -> Option<String> {
        let projects = self.table();
        let keys = projects.iter().filter(|(key, project)| {
            project.setup.is_some() && key.split_once('.').is_some_and(|(known, _)| known == id)
        });
        keys.map(|(key, _)| key.clone()).max()
    }

    /// Every model in use, for a worker that starts.
    pub fn all(&self) -> Vec<Arc<ModelInUse>> {
        let projects = self.table();
        projects.values().flat_map(|project| project.models.iter().map(Arc::clone)).collect()
    }

    /// Those that a new worker loads before anybody asks.
    pub fn to_load(&self) -> Vec<Arc<ModelInUse>> {
        let mut models = self.all();
        models.retain(|model| !self.held_back.has(&model.model.spec.project));
        models
    }

    fn next_id(&self) -> ModelId {
        ModelId(self.ids.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn table(&self) -> MutexGuard<'_, HashMap<String, Project>> {
        self.projects.lock()
    }
}

/// Marks models with other names; those that are marked otherwise now.
fn renamed(models: &[Arc<ModelInUse>], names: &VersionNames) -> Vec<Arc<ModelInUse>> {
    models.iter().filter(|model| model.model.rename(names.clone())).map(Arc::clone).collect()
}

/// Takes out the models that were used longest ago, until at most `most` are left.
fn longest_unused(projects: &mut HashMap<String, Project>, most: usize) -> Vec<Arc<ModelInUse>> {
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
