//! The server's view of a model that workers load, and of a request that they answer.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::wire::http::HttpHead;
use crate::wire::protocol::{Batchable, ModelSpec, VersionNames};
use crate::wire::shared_body::SharedBody;

/// A model that workers can be asked to load.
#[derive(Debug)]
pub struct LoadableModel {
    pub spec: ModelSpec,
    /// The return value of `fit` for this version, as JSON; empty for an untrained model.
    pub train_output: Bytes,
    /// The /setup request that user code may look at while an instance is made.
    pub setup: Option<Arc<ForwardedRequest>>,
    names: Mutex<VersionNames>,
}

/// An HTTP request that is passed on to a worker unchanged.
#[derive(Debug, Clone)]
pub struct ForwardedRequest {
    pub head: HttpHead,
    pub body: SharedBody,
    /// Set if it may be answered together with others.
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

    /// The current names of its version, with which predictions are marked.
    pub fn names(&self) -> VersionNames {
        self.names.lock().clone()
    }

    /// Changes the names; workers must be told, too. Returns whether they differ from those before.
    pub fn rename(&self, names: VersionNames) -> bool {
        let mut current = self.names.lock();
        let news = *current != names;
        *current = names;
        news
    }
}
