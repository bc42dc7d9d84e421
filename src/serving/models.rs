//! The models in use: for each project its newest /setup, its version, and the instances that
//! workers are asked to hold.
//!
//! An instance is identified by (project, labelling config, version, connection). A project keeps
//! a few of them, so that two labelling configs in turn do not reload at every request; the
//! surplus is handed back to be unloaded.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::model_in_use::{Load, ModelInUse};
use crate::store::versions::Version;
use crate::workers::protocol::{Connection, ModelSpec};

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
    trained: Trained,
    /// Most recently used first.
    models: Vec<Arc<ModelInUse>>,
    refused: Option<(u64, String)>,
}

impl Project {
    fn last_loaded(&self) -> Option<&Arc<ModelInUse>> {
        self.models.iter().find(|model| model.load_state() == Load::Loaded)
    }
}

/// All projects seen since the start.
#[derive(Debug, Default)]
pub struct Models {
    projects: Mutex<HashMap<String, Project>>,
    ids: AtomicU64,
}

impl Models {
    /// Keeps a /setup; true if it says what the one before said.
    pub fn set_up(&self, project: &str, setup: Setup) -> bool {
        let mut projects = self.table();
        let project = projects.entry(project.to_owned()).or_default();
        let known = project.setup.as_ref() == Some(&setup);
        project.setup = Some(setup);
        known
    }

    pub fn knows_version(&self, project: &str) -> bool {
        self.table().get(project).is_some_and(|p| !matches!(p.trained, Trained::Unread))
    }

    /// Notes what the model folder holds, unless training was faster.
    pub fn set_version_once(&self, project: &str, version: Option<Version>) {
        let mut projects = self.table();
        let project = projects.entry(project.to_owned()).or_default();
        if matches!(project.trained, Trained::Unread) {
            project.trained = version.map_or(Trained::Never, Trained::Newest);
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
        generation: u8,
    ) -> (Arc<ModelInUse>, Vec<Arc<ModelInUse>>) {
        let mut projects = self.table();
        let project = projects.entry(key.to_owned()).or_default();
        let of_setup = project.setup.as_ref().and_then(|setup| setup.label_config.as_deref());
        let of_last = || project.last_loaded()?.model.spec.label_config.as_deref();
        let label_config = label_config.or(of_setup).or_else(of_last);
        let connection = project.setup.as_ref().map(|setup| &setup.connection);
        let version = match &project.trained {
            Trained::Newest(version) => Some(version),
            Trained::Unread | Trained::Never => None,
        };
        let name = version_name(version, generation);
        let found = project.models.iter().position(|model| {
            let spec = &model.model.spec;
            spec.label_config.as_deref() == label_config
                && spec.version == name
                && spec.connection.as_ref() == connection
        });
        if let Some(position) = found {
            project.models[..=position].rotate_right(1);
            return (Arc::clone(&project.models[0]), Vec::new());
        }
        let spec = ModelSpec {
            id: self.next_id(),
            project: key.to_owned(),
            label_config: label_config.map(str::to_owned),
            version: name,
            connection: connection.cloned(),
        };
        let model = ModelInUse::new(spec, version);
        project.models.insert(0, Arc::clone(&model));
        let surplus = project.models.split_off(project.models.len().min(INSTANCES_PER_PROJECT));
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
        Some(ModelInUse::new(spec, Some(version)))
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
        Some(model.model.spec.version.clone())
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

/// The version of an untrained model is what the original says for its generation.
fn version_name(version: Option<&Version>, generation: u8) -> String {
    match (version, generation) {
        (Some(version), _) => version.id.to_string(),
        (None, 1) => "INITIAL".into(),
        (None, _) => "0.0.1".into(),
    }
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
        let models = Models::default();
        assert!(!models.set_up(KEY, setup("<View/>", "a")));
        assert!(models.set_up(KEY, setup("<View/>", "a")));
        assert!(!models.set_up(KEY, setup("<View/>", "b")));
        assert!(!models.set_up(KEY, setup("<View></View>", "b")));
    }

    #[test]
    fn requests_of_one_kind_share_a_model() {
        let models = Models::default();
        models.set_up(KEY, setup("<View/>", "a"));
        let (first, _) = models.resolve(KEY, None, 1);
        let (same, _) = models.resolve(KEY, Some("<View/>"), 1);
        assert_eq!(first.model.spec.id, same.model.spec.id);
        assert_eq!(first.model.spec.version, "INITIAL");
        models.set_up(KEY, setup("<View/>", "another token"));
        let (other, _) = models.resolve(KEY, None, 1);
        assert_ne!(first.model.spec.id, other.model.spec.id);
        assert_eq!(models.resolve("3.1", None, 2).0.model.spec.version, "0.0.1");
    }

    #[test]
    fn without_a_config_the_last_one_known_is_meant() {
        let models = Models::default();
        assert_eq!(models.resolve(KEY, None, 1).0.model.spec.label_config, None);
        let (with, _) = models.resolve(KEY, Some("<View/>"), 1);
        with.set_loaded();
        models.resolve(KEY, Some("<broken"), 1);
        assert_eq!(models.resolve(KEY, None, 1).0.model.spec.id, with.model.spec.id);
        models.set_up(KEY, setup("<View></View>", "a"));
        let (of_setup, _) = models.resolve(KEY, None, 1);
        assert_eq!(of_setup.model.spec.label_config.as_deref(), Some("<View></View>"));
    }

    #[test]
    fn the_models_used_longest_ago_go() {
        let models = Models::default();
        let ids: Vec<u64> = (0..INSTANCES_PER_PROJECT)
            .map(|n| models.resolve(KEY, Some(&format!("<View a='{n}'/>")), 1).0.model.spec.id)
            .collect();
        models.resolve(KEY, Some("<View a='0'/>"), 1);
        let (_, surplus) = models.resolve(KEY, Some("<View a='new'/>"), 1);
        assert_eq!(surplus.iter().map(|m| m.model.spec.id).collect::<Vec<_>>(), [ids[1]]);
    }

    #[test]
    fn a_switch_replaces_all_models_of_the_project() {
        let models = Models::default();
        models.set_version_once(KEY, None);
        let (other, _) = models.resolve("3.1", None, 1);
        assert!(models.prepare_switch(KEY, &version(7), &other.model.spec).is_none());
        let (old, _) = models.resolve(KEY, Some("<View/>"), 1);
        let next = models.prepare_switch(KEY, &version(7), &old.model.spec).unwrap();
        assert_eq!(models.served_version(KEY).unwrap(), "INITIAL");
        let gone = models.switch(KEY, version(7), Some(Arc::clone(&next)));
        assert_eq!(gone[0].model.spec.id, old.model.spec.id);
        let (now, _) = models.resolve(KEY, Some("<View/>"), 1);
        assert_eq!(now.model.spec.id, next.model.spec.id);
        assert_eq!(models.served_version(KEY).unwrap(), "7");
    }

    #[test]
    fn a_broken_config_does_not_decide_about_a_new_version() {
        let models = Models::default();
        models.set_up(KEY, setup("<broken of setup", "a"));
        let (trained, _) = models.resolve(KEY, Some("<View/>"), 1);
        models.resolve(KEY, Some("<broken"), 1);
        let config = |models: &Models| {
            let next = models.prepare_switch(KEY, &version(7), &trained.model.spec).unwrap();
            next.model.spec.label_config.clone().unwrap()
        };
        assert_eq!(config(&models), "<View/>", "what it was trained with");
        models.resolve(KEY, Some("<View></View>"), 1).0.set_loaded();
        assert_eq!(config(&models), "<View></View>", "what was served last");
    }

    #[test]
    fn what_is_no_longer_kept_is_retired() {
        let models = Models::default();
        let (old, _) = models.resolve(KEY, None, 1);
        assert!(!old.is_retired());
        models.switch(KEY, version(7), None);
        assert!(old.is_retired());
    }

    #[test]
    fn a_constructor_that_ends_workers_is_not_tried_for_ever() {
        let models = Models::default();
        let (model, _) = models.resolve(KEY, None, 1);
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
        let models = Models::default();
        models.resolve(KEY, None, 1);
        models.refuse_switch(KEY, 7, "KeyError: 'x'".into());
        assert_eq!(models.refused(), [(KEY.to_owned(), 7, "KeyError: 'x'".to_owned())]);
        models.switch(KEY, version(8), None);
        assert!(models.refused().is_empty());
    }

    #[test]
    fn only_a_version_that_was_never_loaded_is_rejected() {
        let models = Models::default();
        let untried = |id| Version { is_tried: false, ..version(id) };
        models.set_version_once(KEY, Some(untried(7)));
        let (model, _) = models.resolve(KEY, Some("<View/>"), 1);
        assert_eq!(model.reject(), Some(7));
        assert_eq!(model.reject(), None, "once");
        assert!(model.is_rejected());
        assert_eq!(models.forget_version(KEY).len(), 1);
        models.set_version_once(KEY, Some(untried(6)));
        let (older, _) = models.resolve(KEY, Some("<View/>"), 1);
        models.note_tried(KEY, 6);
        assert_eq!(older.reject(), None);
        let (of_another_config, _) = models.resolve(KEY, Some("<View></View>"), 1);
        assert_eq!(of_another_config.reject(), None);
    }

    #[test]
    fn the_id_of_a_webhook_finds_the_key_of_a_setup() {
        let models = Models::default();
        models.set_up(KEY, setup("<View/>", "a"));
        models.set_up("22.1795430965", setup("<View/>", "a"));
        assert_eq!(models.project_key("2").as_deref(), Some(KEY));
        assert_eq!(models.project_key("3"), None);
    }

    #[test]
    fn one_worker_that_holds_the_model_is_enough() {
        let models = Models::default();
        let (model, _) = models.resolve(KEY, None, 1);
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
