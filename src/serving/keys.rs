//! What models keep with `self.set`, for the workers that ask, and what follows from it.
//!
//! The key `model_version` is how a model of API v2 names its version, so a change of it renames
//! what is served before the one who set it goes on. What a training sets is noted: it is a part of
//! what the training did.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

use super::{Serving, ServingError, on_disk};
use crate::store::db::DbError;
use crate::store::keys::KeyStore;
use crate::wire::keys::{KeyAnswer, KeyRequest};
use crate::wire::protocol::{KeyOperation, KeyOutcome};
use crate::workers::key_keeper::KeyKeeper;

/// How a model of API v2 names its version.
pub(super) const VERSION_KEY: &str = "model_version";
/// Where the extra parameters of /setup are kept.
pub(super) const EXTRA_PARAMS_KEY: &str = "extra_params";
/// Keys that the base class sets by itself.
const OF_BASE_CLASS: [&str; 3] = ["label_config", "parsed_label_config", EXTRA_PARAMS_KEY];

/// Answers the questions of workers.
#[derive(Debug)]
pub struct Keeper {
    serving: Arc<Serving>,
    /// For workers that train.
    trains: bool,
}

/// What the training that runs has set so far.
#[derive(Debug, Default)]
pub(super) struct Watched {
    /// Id of the project, without its time of creation.
    project: String,
    keys: BTreeSet<String>,
}

impl Keeper {
    pub fn shared(serving: Arc<Serving>, trains: bool) -> Arc<dyn KeyKeeper> {
        Arc::new(Self { serving, trains })
    }

    async fn try_answer(&self, question: KeyRequest) -> Result<KeyAnswer, ServingError> {
        let Some(store) = self.serving.key_store_now() else {
            return Ok((KeyOutcome::NotKept, Bytes::new()));
        };
        let KeyRequest { ask, project, key, value } = question;
        let found = |value: Option<String>, told: bool| match value {
            Some(value) if told => (KeyOutcome::Found, Bytes::from(value)),
            Some(_) => (KeyOutcome::Found, Bytes::new()),
            None => (KeyOutcome::Absent, Bytes::new()),
        };
        match ask {
            KeyOperation::Get => Ok(found(store.get(&project, &key).await?, true)),
            KeyOperation::Has => Ok(found(store.get(&project, &key).await?, false)),
            KeyOperation::Set => {
                let Ok(value) = String::from_utf8(value.into()) else {
                    return Ok((KeyOutcome::Failed("the value is no text".into()), Bytes::new()));
                };
                let before = store.set(&project, &key, value.clone()).await?;
                if before.as_ref() != Some(&value) {
                    self.note_change(&project, &key);
                }
                // Also the same name again: whoever set it first is perhaps not yet heard.
                if key == VERSION_KEY {
                    self.serving.own_version_changed(&project, &value).await;
                }
                Ok((KeyOutcome::Done, Bytes::new()))
            }
            KeyOperation::Delete => {
                if store.delete(&project, &key).await?.is_some() {
                    self.note_change(&project, &key);
                }
                Ok((KeyOutcome::Done, Bytes::new()))
            }
        }
    }

    fn note_change(&self, project: &str, key: &str) {
        if self.trains {
            self.serving.watched(|watched| {
                if watched.project == project && !OF_BASE_CLASS.contains(&key) {
                    watched.keys.insert(key.to_owned());
                }
            });
        }
    }
}

impl KeyKeeper for Keeper {
    fn answer(&self, question: KeyRequest) -> Pin<Box<dyn Future<Output = KeyAnswer> + Send + '_>> {
        Box::pin(async move {
            let answer = self.try_answer(question).await;
            answer.unwrap_or_else(|error| (KeyOutcome::Failed(error.to_string()), Bytes::new()))
        })
    }
}

impl From<DbError> for ServingError {
    fn from(error: DbError) -> Self {
        Self::Keys(error)
    }
}

impl Serving {
    /// The values of models below MODEL_DIR; waits for the class, which says where that is.
    pub(super) async fn key_store(&self) -> Result<Arc<KeyStore>, ServingError> {
        let (class, _) = self.imported().await?;
        if let Some(store) = self.keys.get() {
            return Ok(Arc::clone(store));
        }
        let model_dir = class.model_dir.clone();
        let opened = on_disk(move || Ok(KeyStore::open(&model_dir))).await??;
        // Two that open it at once see the same file.
        Ok(Arc::clone(self.keys.get_or_init(|| Arc::new(opened))))
    }

    /// The same, if it is there already.
    fn key_store_now(&self) -> Option<Arc<KeyStore>> {
        self.keys.get().cloned()
    }

    /// The server ends: what models keep is in one file.
    pub async fn flush_keys(&self) {
        let Some(store) = self.key_store_now() else { return };
        let flushed = on_disk(move || Ok(store.flush())).await;
        if let Err(error) | Ok(Err(error)) = flushed.map(|flushed| flushed.map_err(Into::into)) {
            tracing::warn!("cache.db is complete only together with cache.db-wal: {error}");
        }
    }

    fn watched(&self, look: impl FnOnce(&mut Watched)) {
        look(&mut self.watched.lock());
    }

    /// Notes from now on what a training of this project sets.
    pub(super) fn watch_keys(&self, project: &str) {
        self.watched(|watched| {
            *watched = Watched { project: project.to_owned(), keys: BTreeSet::new() };
        });
    }

    /// What it has set since.
    pub(super) fn watched_keys(&self) -> Vec<String> {
        let mut keys = Vec::new();
        self.watched(|watched| keys.extend(std::mem::take(watched).keys));
        keys
    }

    /// A model names its version otherwise: whoever predicts with it hears of that first.
    pub(super) async fn own_version_changed(&self, project_id: &str, own: &str) {
        for model in self.models.note_own_version(project_id, own) {
            for worker in self.pool.workers() {
                worker.rename(&model.model).await;
            }
        }
    }
}
