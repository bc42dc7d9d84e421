//! Keeps the model workers alive.
//!
//! In: how workers are launched and configured, and orders of the [`fleet`]. Out: workers in the pool. Every
//! slot has a task ([`slot`]), which starts a worker and another one after its death: at once the first time,
//! then at growing intervals ([`backoff`]). The open calls of a dead worker end with the reason. A worker
//! that is stuck is killed, one that has reached a limit ([`recycling`]) has a successor before it goes.
//! Spare workers ([`spares`]) shorten the wait after a death.

mod backoff;
mod fleet;
mod recycling;
mod slot;
mod spares;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::wire::protocol::{ClassInfo, Configure, ImportFailure};
use crate::workers::gpu;
use crate::workers::handle::WorkerHandle;
use crate::workers::pool::Pool;
use crate::workers::process::Launch;
use crate::workers::server_routes::WorkerQuestions;
use crate::workers::start::WorkerTemplate;
pub use fleet::Fleet;
pub use recycling::WorkerLimits;
use slot::{SlotOrders, WorkerSlot};
use spares::Spares;

/// Loads models into a worker before it gets requests.
pub type PrepareWorker =
    Arc<dyn Fn(Arc<WorkerHandle>) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// Whether the user's class is known.
#[derive(Debug, Clone, Default)]
pub enum ClassState {
    /// No worker has imported it yet.
    #[default]
    Unknown,
    Ready(Arc<ClassInfo>),
    Failed(Arc<ImportFailure>),
}

/// Whether a worker answers while its successor loads models.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RolloutOrder {
    StartFirst,
    StopFirst,
    /// Stop first if a graphics card has less memory free than the old workers hold.
    #[default]
    Auto,
}

impl RolloutOrder {
    /// Whether the workers of these pids must end first.
    pub async fn stops_first(self, pids: &[u32]) -> bool {
        match self {
            Self::StartFirst => false,
            Self::StopFirst => true,
            Self::Auto => gpu::is_too_full_for_another(pids).await,
        }
    }
}

/// How model workers are kept alive.
#[derive(Debug, Clone, Copy, Default)]
pub struct SupervisionPolicy {
    pub limits: WorkerLimits,
    pub rollout: RolloutOrder,
    /// Number of spare workers.
    pub spares: usize,
    /// Whether spare workers load models.
    pub loaded_spares: bool,
}

/// The tasks that keep the model workers alive.
#[derive(Debug)]
pub struct Supervisor {
    slots: Vec<JoinHandle<()>>,
    spares: Arc<Spares>,
    filling: JoinHandle<()>,
    stop: watch::Sender<bool>,
}

impl Supervisor {
    /// Starts a task for every slot of `pool`. The first import sets `class`.
    pub fn start(
        launch: &Launch,
        configure: &Configure,
        questions: &WorkerQuestions,
        pool: &Arc<Pool>,
        prepare: &PrepareWorker,
        class: &watch::Sender<ClassState>,
        policy: SupervisionPolicy,
    ) -> (Self, Fleet) {
        let (stop, stopped) = watch::channel(false);
        let template = WorkerTemplate {
            launch: launch.clone(),
            configure: configure.clone(),
            questions: questions.clone(),
        };
        let loading = policy.loaded_spares.then(|| Arc::clone(prepare));
        let spares = Arc::new(Spares::new(template.clone(), policy.spares, loading));
        let (mut slots, mut orders) = (Vec::new(), Vec::new());
        for number in 0..pool.slots().len() {
            let (order, ordered) = SlotOrders::new();
            let slot = WorkerSlot {
                number,
                template: template.clone(),
                spares: Arc::clone(&spares),
                pool: Arc::clone(pool),
                prepare: Arc::clone(prepare),
                class: class.clone(),
                policy,
                stop: stopped.clone(),
                orders: ordered,
            };
            slots.push(tokio::spawn(slot.keep()));
            orders.push(order);
        }
        let filled = Arc::clone(&spares);
        let known = class.subscribe();
        let filling = tokio::spawn(async move { filled.keep_filled(known).await });
        let fleet = Fleet { template, orders, spares: Arc::clone(&spares) };
        (Self { slots, spares, filling, stop }, fleet)
    }

    /// Asks all workers to end and waits until they are gone.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        self.filling.abort();
        let _ = self.filling.await;
        self.spares.end();
        for slot in self.slots {
            let _ = slot.await;
        }
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // Without a supervisor everything stops.
    let _ = stop.wait_for(|stop| *stop).await;
}
