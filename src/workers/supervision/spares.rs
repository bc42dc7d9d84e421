//! Spare workers, which have imported the script and replace one that died.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use tracing::warn;

use crate::workers::start::{StartedWorker, WorkerTemplate};
use crate::workers::supervision::backoff::{Backoff, WorkerLife};
use crate::workers::supervision::{ClassState, PrepareWorker};

/// Time between two checks for dead spares.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// Workers that get no calls yet.
pub(super) struct Spares {
    template: WorkerTemplate,
    wanted: usize,
    /// Loads models into spares, if they should.
    prepare: Option<PrepareWorker>,
    idle: Mutex<Vec<StartedWorker>>,
    taken: Notify,
}

impl std::fmt::Debug for Spares {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reserve").field("wanted", &self.wanted).finish_non_exhaustive()
    }
}

impl Spares {
    pub(super) fn new(
        template: WorkerTemplate,
        wanted: usize,
        prepare: Option<PrepareWorker>,
    ) -> Self {
        Self { template, wanted, prepare, idle: Mutex::default(), taken: Notify::new() }
    }

    /// Takes a spare that lives, if there is one.
    pub(super) fn take(&self) -> Option<StartedWorker> {
        let mut spares = self.idle();
        spares.retain(|spare| !spare.worker.is_closed());
        let taken = spares.pop();
        count(&spares);
        self.taken.notify_one();
        taken
    }

    /// Ends all spares and starts others: the modules that they have imported are out of date.
    pub(super) fn renew(&self) {
        self.end();
        self.taken.notify_one();
    }

    /// Ends all spares.
    pub(super) fn end(&self) {
        let ended = std::mem::take(&mut *self.idle());
        count(&[]);
        drop(ended);
    }

    /// Keeps as many spares as are wanted; never returns.
    pub(super) async fn keep_filled(&self, mut class: watch::Receiver<ClassState>) {
        // Workers that serve are started first.
        if self.wanted == 0
            || class.wait_for(|class| matches!(class, ClassState::Ready(_))).await.is_err()
        {
            return std::future::pending().await;
        }
        let mut backoff = Backoff::default();
        loop {
            self.idle().retain(|spare| !spare.worker.is_closed());
            if self.idle().len() >= self.wanted {
                let _ = timeout(CHECK_INTERVAL, self.taken.notified()).await;
                continue;
            }
            match self.template.start("spare".into()).await {
                Ok(started) => {
                    if let Some(prepare) = &self.prepare {
                        prepare(Arc::clone(&started.worker)).await;
                    }
                    backoff = Backoff::default();
                    let mut spares = self.idle();
                    spares.push(started);
                    count(&spares);
                }
                Err(error) => {
                    backoff.note(WorkerLife::NeverReady);
                    warn!("a spare worker could not start: {error}");
                    sleep(backoff.delay()).await;
                }
            }
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<StartedWorker>> {
        self.idle.lock()
    }
}

/// Updates the gauge in /metrics.
#[expect(clippy::cast_precision_loss, reason = "there are few workers")]
fn count(spares: &[StartedWorker]) {
    metrics::gauge!("label_studio_ml_workers_spare").set(spares.len() as f64);
}
