//! The workers of all slots, for the publication of a new version.
//!
//! In: orders of `publishing`, which starts further workers, loads the new version into them, and hands them
//! to the slots. Out: orders to the slots.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::workers::start::{StartError, StartedWorker, WorkerTemplate};
use crate::workers::supervision::slot::SlotOrder;
use crate::workers::supervision::spares::Spares;

/// Starts model workers, and passes orders to their slots.
#[derive(Debug)]
pub struct Fleet {
    pub(super) template: WorkerTemplate,
    pub(super) orders: Vec<mpsc::UnboundedSender<SlotOrder>>,
    pub(super) spares: Arc<Spares>,
}

impl Fleet {
    /// Numbers of the slots.
    pub fn slots(&self) -> std::ops::Range<usize> {
        0..self.orders.len()
    }

    /// Starts a further worker for a slot; it gets no calls yet.
    pub async fn start(&self, slot: usize) -> Result<StartedWorker, StartError> {
        self.template.start((slot + 1).to_string()).await
    }

    /// Replaces the spare workers: the modules that they have imported are out of date.
    pub fn renew_spares(&self) {
        self.spares.renew();
    }

    /// Hands a worker, which the pool has already, to its slot.
    pub fn adopt(&self, slot: usize, started: StartedWorker) {
        self.order(slot, SlotOrder::Adopt(Box::new(started)));
    }

    /// Tells a slot to end its worker after its calls, and waits for that.
    pub async fn vacate(&self, slot: usize) {
        let (done, ended) = oneshot::channel();
        self.order(slot, SlotOrder::Vacate(done));
        // A slot that has stopped has no worker either.
        let _ = ended.await;
    }

    /// Tells a vacated slot to start a worker.
    pub fn restart(&self, slot: usize) {
        self.order(slot, SlotOrder::Restart);
    }

    fn order(&self, slot: usize, order: SlotOrder) {
        // A slot that has stopped drops the order, and with it the process.
        let _ = self.orders[slot].send(order);
    }
}
