//! The user's class, known once a worker has imported it, and what lies in its MODEL_DIR.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;
use tracing::warn;

use super::error::{ServingError, on_disk};
use crate::store::keys::KeyStore;
use crate::store::versions::Versions;
use crate::wire::protocol::ClassInfo;
use crate::workers::supervision::ClassState;

/// How long a request waits for the script to be imported, right after the start.
const IMPORT_TIMEOUT: Duration = Duration::from_secs(100);

/// The class and its folder, which only the import tells.
#[derive(Debug)]
pub struct ServedClass {
    class: watch::Receiver<ClassState>,
    versions: OnceLock<Arc<Versions>>,
    keys: OnceLock<Arc<KeyStore>>,
}

impl ServedClass {
    pub fn new(class: watch::Receiver<ClassState>) -> Self {
        Self { class, versions: OnceLock::new(), keys: OnceLock::new() }
    }

    /// The class, if a worker has imported it.
    pub fn now(&self) -> Option<Arc<ClassInfo>> {
        match &*self.class.borrow() {
            ClassState::Ready(class) => Some(Arc::clone(class)),
            ClassState::Unknown | ClassState::Failed(_) => None,
        }
    }

    /// Waits for the class, but not for longer than a client would.
    pub async fn ready(&self) -> Result<(Arc<ClassInfo>, Arc<Versions>), ServingError> {
        timeout(IMPORT_TIMEOUT, self.imported()).await.unwrap_or_else(|_| {
            Err(ServingError::NotReady("the script is still being imported".into()))
        })
    }

    /// Waits until the class is known: its API says what MODEL_DIR is.
    pub async fn imported(&self) -> Result<(Arc<ClassInfo>, Arc<Versions>), ServingError> {
        let mut class = self.class.clone();
        let known = class
            .wait_for(|class| !matches!(class, ClassState::Unknown))
            .await
            .map(|class| class.clone());
        match known {
            Ok(ClassState::Ready(class)) => {
                let open = || Arc::new(Versions::open(&class.model_dir));
                let versions = Arc::clone(self.versions.get_or_init(open));
                Ok((class, versions))
            }
            Ok(ClassState::Failed(failure)) => Err(ServingError::NotReady(failure.message.clone())),
            Ok(ClassState::Unknown) | Err(_) => {
                Err(ServingError::NotReady("the server is stopping".into()))
            }
        }
    }

    /// The versions below MODEL_DIR, if they were opened before.
    pub fn versions_now(&self) -> Option<Arc<Versions>> {
        self.versions.get().cloned()
    }

    /// The keys that models keep below MODEL_DIR; waits for the class.
    pub async fn key_store(&self) -> Result<Arc<KeyStore>, ServingError> {
        let (class, _) = self.imported().await?;
        if let Some(store) = self.keys.get() {
            return Ok(Arc::clone(store));
        }
        let model_dir = class.model_dir.clone();
        let opened = on_disk(move || Ok(KeyStore::open(&model_dir))).await??;
        // Two that open it at once see the same file.
        Ok(Arc::clone(self.keys.get_or_init(|| Arc::new(opened))))
    }

    /// The same, if they were opened before.
    pub fn key_store_now(&self) -> Option<Arc<KeyStore>> {
        self.keys.get().cloned()
    }

    /// Moves all keys into `cache.db` itself, since the server ends.
    pub async fn flush_keys(&self) {
        let Some(store) = self.key_store_now() else { return };
        let flushed = on_disk(move || Ok(store.flush())).await;
        if let Err(error) | Ok(Err(error)) = flushed.map(|flushed| flushed.map_err(Into::into)) {
            warn!("cache.db cannot be completed, keep cache.db-wal with it: {error}");
        }
    }
}
