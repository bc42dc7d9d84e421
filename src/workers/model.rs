//! A model as the server asks workers for it, and a request as user code may see it.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::wire::protocol::{Batchable, HttpHead, ModelSpec, VersionNames};
use crate::wire::shared_body::SharedBody;

/// A model that workers can be asked to load.
#[derive(Debug)]
pub struct LoadableModel {
    pub spec: ModelSpec,
    /// What `fit` returned when this version was made, as JSON; empty for an untrained model.
    pub train_output: Bytes,
    /// The /setup that user code sees while an instance is made.
    pub setup: Option<Arc<ForwardedRequest>>,
    names: Mutex<VersionNames>,
}

/// A request over HTTP, as it came.
#[derive(Debug, Clone)]
pub struct ForwardedRequest {
    pub head: HttpHead,
    pub body: SharedBody,
    /// It may be answered together with others.
    pub batch: Option<Batchable>,
}

impl LoadableModel {
    pub fn new(
        spec: ModelSpec,
        train_output: Bytes,
        setup: Option<Arc<ForwardedRequest>>,
        names: VersionNames,
    ) -> Self {
        Self { spec, train_output, setup, names: Mutex::new(names) }
    }

    /// How predictions are marked at the moment.
    pub fn names(&self) -> VersionNames {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Marks predictions otherwise from now on; workers must be told, too. False if that is no change.
    pub fn rename(&self, names: VersionNames) -> bool {
        let mut current = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let news = *current != names;
        *current = names;
        news
    }
}
