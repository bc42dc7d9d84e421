//! Starting worker processes, and handing them to the tasks that keep them alive.
//!
//! Whoever brings a new version into the workers has the [`Fleet`] start further ones, and hands them to
//! the slots of [`crate::workers::supervision`] when they are to serve.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::workers::start::{StartError, StartedWorker, WorkerTemplate};
use crate::workers::supervision::spares::Spares;

/// What model workers are started with, and the way to the tasks that keep them.
#[derive(Debug)]
pub struct Fleet {
    pub(super) template: WorkerTemplate,
    pub(super) orders: Vec<mpsc::UnboundedSender<SlotOrder>>,
    pub(super) spares: Arc<Spares>,
}

/// What a slot is told.
#[derive(Debug)]
pub(super) enum SlotOrder {
    /// Keep this worker from now on, which the pool has already; the one before ends when it is unused.
    Adopt(Box<StartedWorker>),
    /// End the worker when it is unused, say so, and wait for another one.
    Vacate(oneshot::Sender<()>),
    /// Start a worker of your own.
    Restart,
}

impl Fleet {
    /// Numbers of the slots.
    pub fn slots(&self) -> std::ops::Range<usize> {
        0..self.orders.len()
    }

    /// Starts a further worker for a slot; it serves nobody yet.
    pub async fn start(&self, slot: usize) -> Result<StartedWorker, StartError> {
        self.template.start((slot + 1).to_string()).await
    }

    /// Has spare workers started anew: what they have imported is out of date.
    pub fn renew_spares(&self) {
        self.spares.renew();
    }

    /// Hands a worker, which the pool has already, to its slot.
    pub fn adopt(&self, slot: usize, started: StartedWorker) {
        self.order(slot, SlotOrder::Adopt(Box::new(started)));
    }

    /// Has a slot end its worker once nobody uses it, and waits for that.
    pub async fn vacate(&self, slot: usize) {
        let (done, ended) = oneshot::channel();
        self.order(slot, SlotOrder::Vacate(done));
        // A slot that was stopped has no worker either.
        let _ = ended.await;
    }

    /// Has a slot that was vacated start a worker of its own.
    pub fn restart(&self, slot: usize) {
        self.order(slot, SlotOrder::Restart);
    }

    fn order(&self, slot: usize, order: SlotOrder) {
        // A slot that was stopped drops what it is given, and with it the process.
        let _ = self.orders[slot].send(order);
    }
}
