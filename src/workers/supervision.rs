//! Keeps the model workers alive: spawn, hello, import, load, ready; and again after a death.
//!
//! Every slot has one task ([`slot`]). A worker that dies answers for nothing any more: its open calls
//! end with the reason, and the slot starts anew, at once the first time and then at growing intervals
//! ([`backoff`]). One that is stuck is ended, one that is worn ([`wear`]) has a successor before it goes.
//! Spare workers ([`reserve`]) shorten the wait after a death.

mod backoff;
mod recycling;
mod slot;
mod spares;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::wire::protocol::{ClassInfo, Configure, ImportFailure};
use crate::workers::fleet::{Base, Fleet};
use crate::workers::gpu;
use crate::workers::handle::Worker;
use crate::workers::key_keeper::KeyKeeper;
use crate::workers::pool::Pool;
use crate::workers::process::Launch;
pub use recycling::Limits;
use slot::Slot;
pub(super) use spares::Reserve;

/// What the serving layer does with a worker before it takes requests: loading models.
pub type Prepare =
    Arc<dyn Fn(Arc<Worker>) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// What is known about the user's class.
#[derive(Debug, Clone, Default)]
pub enum Class {
    /// No worker has imported it yet.
    #[default]
    Unknown,
    Ready(Arc<ClassInfo>),
    Failed(Arc<ImportFailure>),
}

/// Whether the worker before answers while its successor is loaded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Rollout {
    StartFirst,
    StopFirst,
    /// Stop first where a graphics card lacks the memory that the old workers hold.
    #[default]
    Auto,
}

impl Rollout {
    /// Whether the workers of these pids must go first.
    pub async fn stops_first(self, pids: &[u32]) -> bool {
        match self {
            Self::StartFirst => false,
            Self::StopFirst => true,
            Self::Auto => gpu::is_too_full_for_another(pids).await,
        }
    }
}

/// How model workers are kept.
#[derive(Debug, Clone, Copy, Default)]
pub struct Care {
    pub limits: Limits,
    pub rollout: Rollout,
    /// Workers that wait for another one's death.
    pub spares: usize,
    /// Whether those hold models.
    pub loaded_spares: bool,
}

/// The tasks that keep the model workers alive.
#[derive(Debug)]
pub struct Supervisor {
    slots: Vec<JoinHandle<()>>,
    reserve: Arc<Reserve>,
    filling: JoinHandle<()>,
    stop: watch::Sender<bool>,
}

impl Supervisor {
    /// Starts a task for every slot of `pool`. `class` learns what the first import brings.
    pub fn start(
        launch: &Launch,
        configure: &Configure,
        keeper: &Arc<dyn KeyKeeper>,
        pool: &Arc<Pool>,
        prepare: &Prepare,
        class: &watch::Sender<Class>,
        care: Care,
    ) -> (Self, Fleet) {
        let (stop, stopped) = watch::channel(false);
        let base = Base {
            launch: launch.clone(),
            configure: configure.clone(),
            keeper: Arc::clone(keeper),
        };
        let loading = care.loaded_spares.then(|| Arc::clone(prepare));
        let reserve = Arc::new(Reserve::new(base.clone(), care.spares, loading));
        let (mut slots, mut orders) = (Vec::new(), Vec::new());
        for number in 0..pool.slots().len() {
            let (order, ordered) = mpsc::unbounded_channel();
            let slot = Slot {
                number,
                base: base.clone(),
                reserve: Arc::clone(&reserve),
                pool: Arc::clone(pool),
                prepare: Arc::clone(prepare),
                class: class.clone(),
                care,
                stop: stopped.clone(),
                orders: ordered,
            };
            slots.push(tokio::spawn(slot.keep()));
            orders.push(order);
        }
        let filled = Arc::clone(&reserve);
        let known = class.subscribe();
        let filling = tokio::spawn(async move { filled.keep_filled(known).await });
        let fleet = Fleet { base, orders, reserve: Arc::clone(&reserve) };
        (Self { slots, reserve, filling, stop }, fleet)
    }

    /// Asks all workers to end and waits until they are gone.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        self.filling.abort();
        let _ = self.filling.await;
        self.reserve.end();
        for slot in self.slots {
            let _ = slot.await;
        }
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A supervisor that is gone wants nothing to run on.
    let _ = stop.wait_for(|stop| *stop).await;
}
