//! The models in use: for each project its newest /setup, its version, and the instances that
//! workers are asked to hold.
//!
//! An instance is identified by (project, labelling config, version, connection), for generation 2 by
//! the extra parameters too. A project keeps a few of them, so that two labelling configs in turn do
//! not reload at every request, and all projects together as many as the user wants; the surplus is
//! handed back to be unloaded.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::model_in_use::{Load, ModelInUse, Origin};
use super::version_names::ProjectNames;
use crate::store::versions::Version;
use crate::workers::protocol::{Connection, ModelSpec, VersionNames, project_id};
use crate::workers::worker::Request;

/// Instances of one project that are kept at a time.
const INSTANCES_PER_PROJECT: usize = 4;

/// What /setup says of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    pub label_config: Option<String>,
    pub connection: Connection,
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
    request: Option<Arc<Request>>,
    trained: Trained,
    /// Generation 2: how the model names its version.
    names: Option<ProjectNames>,
    /// Most recently used first.
    models: Vec<Arc<ModelInUse>>,
    refused: Option<(u64, String)>,
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

    /// How predictions of a version are marked: generation 1 by its number.
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
}

impl Models {
    pub fn new(most: usize) -> Self {
        let (projects, ids, uses) = (Mutex::default(), AtomicU64::default(), AtomicU64::default());
        Self { projects, ids, uses, most }
    }

    /// Keeps a /setup and the request that brought it; true if it says what the one before said.
    pub fn set_up(&self, project: &str, setup: Setup, request: Option<Request>) -> bool {
        let mut projects = self.table();
        let project = projects.entry(project.to_owned()).or_default();
        let known = project.setup.as_ref() == Some(&setup);
        project.setup = Some(setup);
        project.request = request.map(Arc::new);
        known
    }

    pub fn knows_version(&self, project: &str) -> bool {
        self.table().get(project).is_some_and(|p| !matches!(p.trained, Trained::Unread))
    }

    /// Notes what the model folder holds, and for generation 2 what the version is called, unless
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

    /// From now on a version of generation 2 is served, which the model calls `own`; returns the models
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
            model.retire();
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
            model.retire();
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

    fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn table(&self) -> MutexGuard<'_, HashMap<String, Project>> {
        self.projects.lock().unwrap_or_else(PoisonError::into_inner)
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
mod tests {
    use bytes::Bytes;

    use super::*;

    const KEY: &str = "2.1795430965";

    fn setup(label_config: &str, token: &str) -> Setup {
        Setup {
            label_config: Some(label_config.into()),
            connection: Connection {
                hostname: "http://127.0.0.1".into(),
                access_token: token.into(),
            },
            extra_params: Value::Null,
        }
    }

    fn version(id: u64) -> Version {
        Version { id, train_output: Bytes::from_static(b"{}"), is_tried: true }
    }

    #[test]
    fn a_setup_is_known_until_something_in_it_changes() {
        let models = Models::new(100);
        assert!(!models.set_up(KEY, setup("<View/>", "a"), None));
        assert!(models.set_up(KEY, setup("<View/>", "a"), None));
        assert!(!models.set_up(KEY, setup("<View/>", "b"), None));
        assert!(!models.set_up(KEY, setup("<View></View>", "b"), None));
    }

    #[test]
    fn requests_of_one_kind_share_a_model() {
        let models = Models::new(100);
        models.set_up(KEY, setup("<View/>", "a"), None);
        let (first, _) = models.resolve(KEY, None);
        let (same, _) = models.resolve(KEY, Some("<View/>"));
        assert_eq!(first.model.spec.id, same.model.spec.id);
        assert_eq!(first.model.spec.version, "INITIAL");
        models.set_up(KEY, setup("<View/>", "another token"), None);
        let (other, _) = models.resolve(KEY, None);
        assert_ne!(first.model.spec.id, other.model.spec.id);
        models.set_version_once("3.1", None, Some(ProjectNames::new("0.0.1".into(), None)));
        assert_eq!(models.resolve("3.1", None).0.model.spec.version, "0.0.1");
    }

    #[test]
    fn without_a_config_the_last_one_known_is_meant() {
        let models = Models::new(100);
        assert_eq!(models.resolve(KEY, None).0.model.spec.label_config, None);
        let (with, _) = models.resolve(KEY, Some("<View/>"));
        with.set_loaded();
        models.resolve(KEY, Some("<broken"));
        assert_eq!(models.resolve(KEY, None).0.model.spec.id, with.model.spec.id);
        models.set_up(KEY, setup("<View></View>", "a"), None);
        let (of_setup, _) = models.resolve(KEY, None);
        assert_eq!(of_setup.model.spec.label_config.as_deref(), Some("<View></View>"));
    }

    #[test]
    fn the_models_used_longest_ago_go() {
        let models = Models::new(100);
        let ids: Vec<u64> = (0..INSTANCES_PER_PROJECT)
            .map(|n| models.resolve(KEY, Some(&format!("<View a='{n}'/>"))).0.model.spec.id)
            .collect();
        models.resolve(KEY, Some("<View a='0'/>"));
        let (_, surplus) = models.resolve(KEY, Some("<View a='new'/>"));
        assert_eq!(surplus.iter().map(|m| m.model.spec.id).collect::<Vec<_>>(), [ids[1]]);
    }

    #[test]
    fn all_projects_together_keep_so_many() {
        let models = Models::new(2);
        let id = |project: &str| models.resolve(project, None).0.model.spec.id;
        let (first, second) = (id("1.1"), id("2.1"));
        assert_eq!(id("1.1"), first);
        let (_, surplus) = models.resolve("3.1", None);
        assert_eq!(surplus.iter().map(|m| m.model.spec.id).collect::<Vec<_>>(), [second]);
        assert_eq!(id("1.1"), first);
    }

    #[test]
    fn extra_params_make_another_instance_for_generation_2() {
        let models = Models::new(100);
        let with = |params: Value| Setup { extra_params: params, ..setup("<View/>", "a") };
        models.set_version_once(KEY, None, Some(ProjectNames::new("0.0.1".into(), None)));
        models.set_up(KEY, with(Value::Null), None);
        let (plain, _) = models.resolve(KEY, None);
        models.set_up(KEY, with("{\"a\": 1}".into()), None);
        assert_ne!(models.resolve(KEY, None).0.model.spec.id, plain.model.spec.id);
    }

    #[test]
    fn a_model_that_names_its_version_renames_what_is_served() {
        let models = Models::new(100);
        models.set_version_once(KEY, None, Some(ProjectNames::new("0.0.1".into(), None)));
        let (model, _) = models.resolve(KEY, None);
        let other = models.note_own_version("22", "0.0.2");
        assert!(other.is_empty());
        assert_eq!(models.note_own_version("2", "0.0.2").len(), 1);
        assert_eq!(model.model.names().served, "0.0.2");
        assert_eq!(models.served_version(KEY).unwrap(), "0.0.2");
        models.pin(KEY);
        models.note_own_version("2", "0.0.3");
        assert_eq!(models.served_version(KEY).unwrap(), "0.0.2");
        assert_eq!(models.unpin(KEY).len(), 1);
        assert_eq!(models.served_version(KEY).unwrap(), "0.0.3");
    }

    #[test]
    fn a_switch_replaces_all_models_of_the_project() {
        let models = Models::new(100);
        models.set_version_once(KEY, None, None);
        let (other, _) = models.resolve("3.1", None);
        assert!(models.prepare_switch(KEY, &version(7), &other.model.spec).is_none());
        let (old, _) = models.resolve(KEY, Some("<View/>"));
        let next = models.prepare_switch(KEY, &version(7), &old.model.spec).unwrap();
        assert_eq!(models.served_version(KEY).unwrap(), "INITIAL");
        let gone = models.switch(KEY, version(7), Some(Arc::clone(&next)));
        assert_eq!(gone[0].model.spec.id, old.model.spec.id);
        let (now, _) = models.resolve(KEY, Some("<View/>"));
        assert_eq!(now.model.spec.id, next.model.spec.id);
        assert_eq!(models.served_version(KEY).unwrap(), "7");
    }

    #[test]
    fn a_broken_config_does_not_decide_about_a_new_version() {
        let models = Models::new(100);
        models.set_up(KEY, setup("<broken of setup", "a"), None);
        let (trained, _) = models.resolve(KEY, Some("<View/>"));
        models.resolve(KEY, Some("<broken"));
        let config = |models: &Models| {
            let next = models.prepare_switch(KEY, &version(7), &trained.model.spec).unwrap();
            next.model.spec.label_config.clone().unwrap()
        };
        assert_eq!(config(&models), "<View/>", "what it was trained with");
        models.resolve(KEY, Some("<View></View>")).0.set_loaded();
        assert_eq!(config(&models), "<View></View>", "what was served last");
    }

    #[test]
    fn what_is_no_longer_kept_is_retired() {
        let models = Models::new(100);
        let (old, _) = models.resolve(KEY, None);
        assert!(!old.is_retired());
        models.switch(KEY, version(7), None);
        assert!(old.is_retired());
    }

    #[test]
    fn a_constructor_that_ends_workers_is_not_tried_for_ever() {
        let models = Models::new(100);
        let (model, _) = models.resolve(KEY, None);
        model.begin_load();
        model.count_death();
        assert!(!model.is_deadly());
        assert_eq!(model.load_state(), Load::Idle);
        model.count_death();
        assert!(model.is_deadly());
        model.set_loaded();
        assert!(!model.is_deadly(), "its constructor works after all");
    }

    #[test]
    fn a_refused_version_is_reported_until_a_better_one_is_served() {
        let models = Models::new(100);
        models.resolve(KEY, None);
        models.refuse_switch(KEY, 7, "KeyError: 'x'".into());
        assert_eq!(models.refused(), [(KEY.to_owned(), 7, "KeyError: 'x'".to_owned())]);
        models.switch(KEY, version(8), None);
        assert!(models.refused().is_empty());
    }

    #[test]
    fn only_a_version_that_was_never_loaded_is_rejected() {
        let models = Models::new(100);
        let untried = |id| Version { is_tried: false, ..version(id) };
        models.set_version_once(KEY, Some(untried(7)), None);
        let (model, _) = models.resolve(KEY, Some("<View/>"));
        assert_eq!(model.reject(), Some(7));
        assert_eq!(model.reject(), None, "once");
        assert!(model.is_rejected());
        assert_eq!(models.forget_version(KEY).len(), 1);
        models.set_version_once(KEY, Some(untried(6)), None);
        let (older, _) = models.resolve(KEY, Some("<View/>"));
        models.note_tried(KEY, 6);
        assert_eq!(older.reject(), None);
        let (of_another_config, _) = models.resolve(KEY, Some("<View></View>"));
        assert_eq!(of_another_config.reject(), None);
    }

    #[test]
    fn the_id_of_a_webhook_finds_the_key_of_a_setup() {
        let models = Models::new(100);
        models.set_up(KEY, setup("<View/>", "a"), None);
        models.set_up("22.1795430965", setup("<View/>", "a"), None);
        assert_eq!(models.project_key("2").as_deref(), Some(KEY));
        assert_eq!(models.project_key("3"), None);
    }

    #[test]
    fn one_worker_that_holds_the_model_is_enough() {
        let models = Models::new(100);
        let (model, _) = models.resolve(KEY, None);
        assert!(model.begin_load().0);
        assert!(!model.begin_load().0, "it is being loaded already");
        model.set_loaded();
        model.set_failed(crate::workers::protocol::ModelError {
            kind: crate::workers::protocol::ModelErrorKind::Construct,
            class: "MemoryError".into(),
            message: String::new(),
            traceback: None,
            answer: None,
        });
        assert_eq!(model.load_state(), Load::Loaded);
    }
}
