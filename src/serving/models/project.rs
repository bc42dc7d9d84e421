//! The state of one project: its newest /setup, its version and the names of that, and the models that
//! workers hold for it.

use std::sync::Arc;

use serde_json::Value;

use crate::ids::VersionId;
use crate::serving::served_model::{Load, Origin, ServedModel};
use crate::serving::version_names::ProjectNames;
use crate::store::versions::Version;
use crate::wire::protocol::{LabelStudioConnection, VersionNames};
use crate::workers::model::ForwardedRequest;

/// The name of the version of a model of API v1 that was never trained.
pub const INITIAL: &str = "INITIAL";

/// The fields of a /setup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    pub label_config: Option<String>,
    pub connection: LabelStudioConnection,
    pub extra_params: Value,
}

/// Whether the version of a project is known, and which it is.
#[derive(Debug, Default)]
enum Trained {
    /// The model folder was not read yet.
    #[default]
    Unread,
    Never,
    Newest(Version),
}

/// The state of one project.
#[derive(Debug, Default)]
pub struct ProjectModels {
    setup: Option<Setup>,
    /// The request that brought it.
    pub(super) request: Option<Arc<ForwardedRequest>>,
    trained: Trained,
    /// API v2: the names that the model gives its version.
    names: Option<ProjectNames>,
    /// Most recently used first.
    pub(super) models: Vec<Arc<ServedModel>>,
    pub(super) refused: Option<(VersionId, String)>,
    /// Whether the extra parameters of /setup are stored where its models look for them.
    has_params: bool,
}

impl ProjectModels {
    /// Keeps a /setup and the request that brought it; true if it equals the one before.
    pub fn set_up(&mut self, setup: Setup, request: Option<ForwardedRequest>) -> bool {
        let known = self.setup.as_ref() == Some(&setup);
        self.setup = Some(setup);
        self.request = request.map(Arc::new);
        known
    }

    pub(super) fn is_set_up(&self) -> bool {
        self.setup.is_some()
    }

    /// Whether these extra parameters are stored where its models look for them.
    pub fn has_params(&self, params: &Value) -> bool {
        self.has_params && self.setup.as_ref().is_some_and(|setup| setup.extra_params == *params)
    }

    /// Records whether they are.
    pub fn note_params(&mut self, has_params: bool) {
        self.has_params = has_params;
    }

    pub fn knows_version(&self) -> bool {
        !matches!(self.trained, Trained::Unread)
    }

    /// Sets the version that was read from the model folder and, for API v2, its name, unless a training has
    /// set a newer one meanwhile.
    pub fn set_version_once(&mut self, version: Option<Version>, names: Option<ProjectNames>) {
        if !self.knows_version() {
            self.trained = version.map_or(Trained::Never, Trained::Newest);
            self.names = names;
        }
    }

    pub fn is_in_use(&self) -> bool {
        !self.models.is_empty()
    }

    /// The connection of the newest /setup.
    pub(super) fn connection(&self) -> Option<&LabelStudioConnection> {
        self.setup.as_ref().map(|setup| &setup.connection)
    }

    /// The labelling config that a request without one means: that of the newest /setup, else the one
    /// that was used last.
    pub(super) fn default_config(&self) -> Option<&str> {
        let of_setup = self.setup.as_ref().and_then(|setup| setup.label_config.as_deref());
        of_setup.or_else(|| self.last_loaded()?.model.spec.label_config.as_deref())
    }

    pub fn last_loaded(&self) -> Option<&Arc<ServedModel>> {
        self.models.iter().find(|model| model.load_state() == Load::Loaded)
    }

    pub(super) fn version(&self) -> Option<&Version> {
        match &self.trained {
            Trained::Newest(version) => Some(version),
            Trained::Unread | Trained::Never => None,
        }
    }

    /// The model version that predictions of a version carry: for API v1 its number.
    pub(super) fn names_of(&self, version: Option<&Version>) -> VersionNames {
        match &self.names {
            Some(names) => names.current(),
            None => VersionNames {
                served: version.map_or_else(|| INITIAL.into(), |version| version.id.to_string()),
                own: Vec::new(),
            },
        }
    }

    /// The identity of a model of a version.
    pub(super) fn origin(&self, version: Option<&Version>) -> Origin {
        let params = self.setup.as_ref().map(|setup| &setup.extra_params);
        Origin {
            version: version.map(|version| version.id),
            extra_params: params.filter(|_| self.names.is_some()).cloned(),
        }
    }

    /// The model that matches a request; it counts as most recently used from then on.
    pub(super) fn find(&mut self, label_config: Option<&str>) -> Option<Arc<ServedModel>> {
        let (connection, origin) = (self.connection(), self.origin(self.version()));
        let position = self.models.iter().position(|model| {
            let spec = &model.model.spec;
            spec.label_config.as_deref() == label_config
                && model.origin == origin
                && spec.connection.as_ref() == connection
        })?;
        self.models[..=position].rotate_right(1);
        self.models.first().map(Arc::clone)
    }

    /// Serves `version` from now on; returns the models of older versions.
    pub fn switch(
        &mut self,
        version: Version,
        next: Option<Arc<ServedModel>>,
    ) -> Vec<Arc<ServedModel>> {
        self.trained = Trained::Newest(version);
        self.refused = None;
        self.replace_models(next)
    }

    /// Serves a version of API v2 from now on, which the model calls `own`; returns the models of older
    /// versions.
    pub fn switch_named(
        &mut self,
        version: Version,
        own: String,
        served: String,
        next: Option<Arc<ServedModel>>,
    ) -> Vec<Arc<ServedModel>> {
        let names = self.names.get_or_insert_with(|| ProjectNames::new(own.clone(), None));
        names.publish(own, served);
        self.switch(version, next)
    }

    /// Forgets the version, which is read again from the model folder, and returns the models.
    pub fn forget_version(&mut self) -> Vec<Arc<ServedModel>> {
        self.trained = Trained::Unread;
        self.replace_models(None)
    }

    fn replace_models(&mut self, next: Option<Arc<ServedModel>>) -> Vec<Arc<ServedModel>> {
        let old = std::mem::replace(&mut self.models, next.into_iter().collect());
        for model in &old {
            model.replace();
        }
        old
    }

    /// A worker has loaded this version.
    pub fn mark_proven(&mut self, id: VersionId) {
        if let Trained::Newest(version) = &mut self.trained
            && version.id == id
        {
            version.is_proven = true;
        }
        for model in self.models.iter().filter(|model| model.unproven_version() == Some(id)) {
            model.mark_proven();
        }
    }

    /// A version that was published cannot be loaded.
    pub fn refuse(&mut self, version: VersionId, reason: String) {
        self.refused = Some((version, reason));
    }

    /// Keeps the served name until the training has decided about the next one.
    pub fn pin_name(&mut self) {
        if let Some(names) = &mut self.names {
            names.pin();
        }
    }

    /// Serves the model's own name again, since the training made no version. Returns the models whose
    /// served name changes.
    pub fn unpin_name(&mut self) -> Vec<Arc<ServedModel>> {
        self.change_names(ProjectNames::unpin)
    }

    /// Records that the model renamed its version. Returns the models whose served name changes.
    pub(super) fn note_own_name(&mut self, own: &str) -> Vec<Arc<ServedModel>> {
        self.change_names(|names| names.note_own(own))
    }

    fn change_names(&mut self, change: impl FnOnce(&mut ProjectNames)) -> Vec<Arc<ServedModel>> {
        let Some(names) = &mut self.names else { return Vec::new() };
        change(names);
        let now = names.current();
        self.models.iter().filter(|model| model.model.rename(now.clone())).map(Arc::clone).collect()
    }

    /// Whether a version that a training made must not be served as `own`, the name that the model gives it.
    pub fn is_name_taken(&self, own: &str) -> bool {
        self.names.as_ref().is_some_and(|names| names.is_taken(own))
    }

    /// API v2: the name that predictions carry now.
    pub fn served_name(&self) -> Option<String> {
        self.names.as_ref().map(|names| names.current().served)
    }

    /// The version that predictions carry; none while no model is in use.
    pub fn served_version(&self) -> Option<String> {
        Some(self.models.first()?.model.names().served)
    }
}
