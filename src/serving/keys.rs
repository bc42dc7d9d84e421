//! Answers workers that read or write keys (`self.get`, `self.set`), and acts on the keys that matter here.
//!
//! A model of API v2 names its version by the key `model_version`: a change of it renames the served
//! version before the user code that set it goes on.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::error::ServingError;
use super::registry::Registry;
use super::version_names::VERSION_KEY;
use crate::wire::keys::{KeyAnswer, KeyRequest};
use crate::wire::protocol::{KeyOperation, KeyOutcome};
use crate::workers::key_keeper::KeyKeeper;

/// Where the extra parameters of /setup are kept.
pub(super) const EXTRA_PARAMS_KEY: &str = "extra_params";
/// Keys that the base class itself sets: they belong to the project, not to a version.
pub const OF_BASE_CLASS: [&str; 3] = ["label_config", "parsed_label_config", EXTRA_PARAMS_KEY];

/// Answers the key requests of workers.
#[derive(Debug)]
pub struct Keeper {
    registry: Arc<Registry>,
    /// For workers that train.
    watch: Option<Arc<KeyWatch>>,
}

/// Records which keys the running training changes: they are part of its result.
#[derive(Debug, Default)]
pub struct KeyWatch(Mutex<Watched>);

#[derive(Debug, Default)]
struct Watched {
    /// Id of the project, without its time of creation.
    project: String,
    keys: BTreeSet<String>,
}

impl KeyWatch {
    /// Starts to record which keys of the project with this id change.
    pub fn begin(&self, project_id: &str) {
        *self.0.lock() = Watched { project: project_id.to_owned(), keys: BTreeSet::new() };
    }

    /// The keys that changed since; ends the recording.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock()).keys.into_iter().collect()
    }

    fn note(&self, project_id: &str, key: &str) {
        let mut watched = self.0.lock();
        if watched.project == project_id && !OF_BASE_CLASS.contains(&key) {
            watched.keys.insert(key.to_owned());
        }
    }
}

impl Keeper {
    /// `watch` is for workers that train: it records what they change.
    pub fn shared(registry: &Arc<Registry>, watch: Option<Arc<KeyWatch>>) -> Arc<dyn KeyKeeper> {
        Arc::new(Self { registry: Arc::clone(registry), watch })
    }

    async fn try_answer(&self, question: KeyRequest) -> Result<KeyAnswer, ServingError> {
        let Some(store) = self.registry.class.key_store_now() else {
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
                // Even if the name is the same: another thread may have set it just now, and workers may not
                // know it yet.
                if key == VERSION_KEY {
                    self.registry.own_name_changed(&project, &value).await;
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
        if let Some(watch) = &self.watch {
            watch.note(project, key);
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
