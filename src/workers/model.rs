//! A model as the server asks workers for it, and a request as user code may see it.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::wire::protocol::{Batchable, HttpHead, ModelSpec, VersionNames};
use crate::wire::shared_body::Payload;

/// A model that workers can be asked to load.
#[derive(Debug)]
pub struct Model {
    pub spec: ModelSpec,
    /// What `fit` returned when this version was made, as JSON; empty for an untrained model.
    pub train_output: Bytes,
    /// The /setup that user code sees while an instance is made.
    pub setup: Option<Arc<Request>>,
    names: Mutex<VersionNames>,
}

/// A request over HTTP, as it came.
#[derive(Debug, Clone)]
pub struct Request {
    pub head: HttpHead,
    pub body: Payload,
    /// It may be answered together with others.
    pub batch: Option<Batchable>,
}

impl Model {
    pub fn new(
        spec: ModelSpec,
        train_output: Bytes,
        setup: Option<Arc<Request>>,
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
