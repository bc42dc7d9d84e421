//! The user's class, known once a worker has imported it, and what lies in its MODEL_DIR.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{OnceCell, watch};
use tokio::time::timeout;
use tracing::warn;

use super::error::{ServingError, on_disk};
use crate::store::keys::KeyStore;
use crate::store::maker::{self, Maker, OthersModels};
use crate::store::versions::Versions;
use crate::wire::protocol::ClassInfo;
use crate::workers::supervision::ClassState;

/// How long a request waits for the script to be imported, right after the start.
const IMPORT_TIMEOUT: Duration = Duration::from_secs(100);

/// The class and its folder, which only the import tells.
#[derive(Debug)]
pub struct ServedClass {
    class: watch::Receiver<ClassState>,
    versions: OnceCell<Result<Arc<Versions>, Box<OthersModels>>>,
    /// The user lets the class go on with what another model learned.
    takes_over: AtomicBool,
    keys: OnceLock<Arc<KeyStore>>,
}

impl ServedClass {
    pub fn new(class: watch::Receiver<ClassState>) -> Self {
        let takes_over = AtomicBool::new(false);
        Self { class, versions: OnceCell::new(), takes_over, keys: OnceLock::new() }
    }

    /// Lets the class serve what another model learned in the same MODEL_DIR.
    pub fn take_over(&self) {
        self.takes_over.store(true, Ordering::Relaxed);
    }

    /// Fails if MODEL_DIR holds what another model learned, unless the class may take that over.
    pub fn check_folder(&self, class: &ClassInfo) -> Result<(), Box<OthersModels>> {
        if self.takes_over.load(Ordering::Relaxed) {
            return Ok(());
        }
        maker::check(&class.model_dir, &made_by(class))
    }

    /// Whether another model uses MODEL_DIR, which the class may not take over.
    pub fn is_used_by_other(&self, class: &ClassInfo) -> bool {
        !self.takes_over.load(Ordering::Relaxed)
            && maker::is_used_by_other(&class.model_dir, &made_by(class))
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

    /// Waits until the class is known: its API says what MODEL_DIR is. Nothing is served from a folder that
    /// belongs to another model.
    pub async fn imported(&self) -> Result<(Arc<ClassInfo>, Arc<Versions>), ServingError> {
        let mut class = self.class.clone();
        let known = class
            .wait_for(|class| !matches!(class, ClassState::Unknown))
            .await
            .map(|class| class.clone());
        match known {
            Ok(ClassState::Ready(class)) => {
                let versions = self.versions.get_or_init(|| self.open(&class)).await.clone();
                Ok((class, versions.map_err(ServingError::OthersModels)?))
            }
            Ok(ClassState::Failed(failure)) => Err(ServingError::NotReady(failure.message.clone())),
            Ok(ClassState::Unknown) | Err(_) => {
                Err(ServingError::NotReady("the server is stopping".into()))
            }
        }
    }

    async fn open(&self, class: &Arc<ClassInfo>) -> Result<Arc<Versions>, Box<OthersModels>> {
        let (folder, asking) = (class.model_dir.clone(), made_by(class));
        if !self.takes_over.load(Ordering::Relaxed) {
            let checked = tokio::task::spawn_blocking(move || maker::check(&folder, &asking));
            // A thread that cannot be had leaves it to the owner of the folder, who checks again.
            checked.await.unwrap_or(Ok(()))?;
        }
        Ok(Arc::new(Versions::open(&class.model_dir)))
    }

    /// The versions below MODEL_DIR, if they were opened before.
    pub fn versions_now(&self) -> Option<Arc<Versions>> {
        self.versions.get()?.as_ref().ok().cloned()
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

/// The class as the maker of what is in its MODEL_DIR.
pub fn made_by(class: &ClassInfo) -> Maker {
    Maker::new(&class.class, class.script.as_deref())
}
