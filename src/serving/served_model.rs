//! A model that requests are sent to, and the state of its instance: loaded or not, crash-looping, retired.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use serde_json::Value;
use tokio::sync::watch;

use crate::ids::VersionId;
use crate::labelling::check::Rules;
use crate::store::versions::Version;
use crate::wire::protocol::{ModelError, ModelSpec, VersionNames};
use crate::workers::model::{ForwardedRequest, LoadableModel};

/// Whether the instance of a model is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Load {
    /// No request has asked for it yet.
    Idle,
    /// Workers are making it, or no worker is ready yet to make it.
    Pending,
    Loaded,
    Failed(ModelError),
}

/// The identity of a model within its project, besides the arguments of its constructor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The training that made it.
    pub version: Option<VersionId>,
    /// API v2: the extra parameters of /setup.
    pub extra_params: Option<Value>,
}

/// A model that requests are sent to.
#[derive(Debug)]
pub struct ServedModel {
    pub model: LoadableModel,
    pub origin: Origin,
    /// Grows with every use of any model.
    last_use: AtomicU64,
    load: watch::Sender<Load>,
    /// No longer kept: workers that load it late must drop it again.
    retired: AtomicBool,
    /// Another version is served in its place.
    replaced: AtomicBool,
    /// Number of workers that died while they made the instance.
    deaths: AtomicU32,
    /// Whether no worker has ever loaded its version, which may then be the cause of a failure.
    unproven: AtomicBool,
    rejected: AtomicBool,
    /// The predictions that its labelling config allows; made at the first answer.
    rules: OnceLock<Option<Rules>>,
}

/// Number of workers that a constructor may end before new workers no longer load the model unasked.
const MAX_DEATHS: u32 = 2;

impl ServedModel {
    pub(super) fn new(
        spec: ModelSpec,
        version: Option<&Version>,
        origin: Origin,
        setup: Option<Arc<ForwardedRequest>>,
        names: VersionNames,
    ) -> Arc<Self> {
        let train_output = version.map(|version| version.train_output.clone()).unwrap_or_default();
        Arc::new(Self {
            model: LoadableModel::new(spec, train_output, setup, names),
            origin,
            last_use: AtomicU64::default(),
            load: watch::channel(Load::Idle).0,
            retired: AtomicBool::new(false),
            replaced: AtomicBool::new(false),
            deaths: AtomicU32::new(0),
            unproven: AtomicBool::new(version.is_some_and(|version| !version.is_proven)),
            rejected: AtomicBool::new(false),
            rules: OnceLock::new(),
        })
    }

    /// The version, if no worker has ever loaded it.
    pub fn unproven_version(&self) -> Option<VersionId> {
        self.origin.version.filter(|_| self.unproven.load(Ordering::Relaxed))
    }

    /// The predictions that its labelling config allows; none if the config cannot be read.
    pub fn rules(&self) -> Option<&Rules> {
        let label_config =
            self.model.spec.label_config.as_deref().filter(|config| !config.is_empty());
        self.rules.get_or_init(|| Rules::parse(label_config?).ok()).as_ref()
    }

    pub(super) fn note_use(&self, now: u64) {
        self.last_use.store(now, Ordering::Relaxed);
    }

    pub(super) fn last_use(&self) -> u64 {
        self.last_use.load(Ordering::Relaxed)
    }

    /// Rejects the version if no worker has ever loaded it, and returns it; once.
    pub fn reject(&self) -> Option<VersionId> {
        let version = self.unproven_version();
        let first = version.is_some() && !self.rejected.swap(true, Ordering::Relaxed);
        version.filter(|_| first)
    }

    pub(super) fn mark_proven(&self) {
        self.unproven.store(false, Ordering::Relaxed);
    }

    pub fn is_rejected(&self) -> bool {
        self.rejected.load(Ordering::Relaxed)
    }

    pub fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Relaxed)
    }

    /// Makes workers drop it after every use from now on.
    pub fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
    }

    /// Records that another version is served in its place.
    pub fn replace(&self) {
        self.replaced.store(true, Ordering::Relaxed);
        self.retire();
    }

    pub fn is_replaced(&self) -> bool {
        self.replaced.load(Ordering::Relaxed)
    }

    /// Records that a worker died while it made the instance; the constructor may be the cause.
    pub fn count_death(&self) {
        self.deaths.fetch_add(1, Ordering::Relaxed);
        self.give_up();
    }

    pub fn has_ended_a_worker(&self) -> bool {
        self.deaths.load(Ordering::Relaxed) > 0
    }

    /// Whether the constructor keeps ending workers, with the models of all other projects in them.
    pub fn is_crash_looping(&self) -> bool {
        self.deaths.load(Ordering::Relaxed) >= MAX_DEATHS
    }

    /// Records that no worker makes the instance any more.
    pub fn give_up(&self) {
        self.load.send_if_modified(|load| {
            let pending = *load == Load::Pending;
            if pending {
                *load = Load::Idle;
            }
            pending
        });
    }

    pub fn load_state(&self) -> Load {
        self.load.borrow().clone()
    }

    /// Records that the instance is loaded, so its constructor did not end the workers that died before.
    pub fn set_loaded(&self) {
        self.deaths.store(0, Ordering::Relaxed);
        self.load.send_if_modified(|load| {
            let news = *load != Load::Loaded;
            *load = Load::Loaded;
            news
        });
    }

    /// One worker that holds an instance is enough for the model to count as loaded.
    pub fn set_failed(&self, error: ModelError) {
        self.load.send_if_modified(|load| {
            let news = *load != Load::Loaded;
            if news {
                *load = Load::Failed(error);
            }
            news
        });
    }

    /// Marks the model as being loaded; false if it was already. The receiver learns how it goes.
    pub fn begin_load(&self) -> (bool, watch::Receiver<Load>) {
        let began = self.load.send_if_modified(|load| {
            let news = *load != Load::Pending;
            *load = Load::Pending;
            news
        });
        (began, self.load.subscribe())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::protocol::{ModelErrorKind, ModelId};

    fn model() -> Arc<ServedModel> {
        let spec = ModelSpec {
            id: ModelId(1),
            project: "2.1795430965".into(),
            label_config: None,
            version: "INITIAL".into(),
            connection: None,
        };
        let origin = Origin { version: None, extra_params: None };
        ServedModel::new(spec, None, origin, None, VersionNames::default())
    }

    fn raised() -> ModelError {
        ModelError {
            kind: ModelErrorKind::Construct,
            class: "MemoryError".into(),
            message: String::new(),
            traceback: None,
            task: None,
            answer: None,
        }
    }

    #[test]
    fn a_constructor_that_ends_workers_is_not_tried_for_ever() {
        let model = model();
        model.begin_load();
        model.count_death();
        assert!(!model.is_crash_looping());
        assert_eq!(model.load_state(), Load::Idle);
        model.count_death();
        assert!(model.is_crash_looping());
        model.set_loaded();
        assert!(!model.is_crash_looping(), "its constructor works after all");
    }

    #[test]
    fn one_worker_that_holds_the_model_is_enough() {
        let model = model();
        assert!(model.begin_load().0);
        assert!(!model.begin_load().0, "it is being loaded already");
        model.set_loaded();
        model.set_failed(raised());
        assert_eq!(model.load_state(), Load::Loaded);
    }

    #[test]
    fn a_load_begins_anew_only_where_the_one_before_has_ended() {
        let model = model();
        assert_eq!(model.load_state(), Load::Idle);
        model.give_up();
        assert_eq!(model.load_state(), Load::Idle);
        model.begin_load();
        assert_eq!(model.load_state(), Load::Pending);
        model.give_up();
        assert_eq!(model.load_state(), Load::Idle);
        model.begin_load();
        let error = raised();
        model.set_failed(error.clone());
        model.give_up();
        assert_eq!(model.load_state(), Load::Failed(error));
        assert!(model.begin_load().0);
        model.set_loaded();
        model.give_up();
        assert_eq!(model.load_state(), Load::Loaded);
        assert!(!model.has_ended_a_worker());
        model.count_death();
        assert!(model.has_ended_a_worker());
    }
}
