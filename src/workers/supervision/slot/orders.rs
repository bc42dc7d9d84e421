//! Orders to a slot.

use tokio::sync::{mpsc, oneshot};

use crate::workers::start::StartedWorker;
use crate::workers::supervision::slot::phase::SlotEvent;

/// An order of the [fleet](crate::workers::supervision::fleet).
#[derive(Debug)]
pub(in crate::workers::supervision) enum SlotOrder {
    /// Keep this worker from now on, which the pool has already; the one before ends when it is unused.
    Adopt(Box<StartedWorker>),
    /// End the worker when it is unused, say so, and wait for another one.
    Vacate(oneshot::Sender<()>),
    /// Start a worker again.
    Restart,
}

/// The orders of one slot, as events.
#[derive(Debug)]
pub(in crate::workers::supervision) struct SlotOrders {
    queue: mpsc::UnboundedReceiver<SlotOrder>,
    /// The task that waits for the slot to be empty.
    vacating: Option<oneshot::Sender<()>>,
}

impl SlotOrders {
    pub(in crate::workers::supervision) fn new() -> (mpsc::UnboundedSender<SlotOrder>, Self) {
        let (sender, queue) = mpsc::unbounded_channel();
        (sender, Self { queue, vacating: None })
    }

    /// The next order.
    pub(super) async fn next(&mut self) -> SlotEvent<Box<StartedWorker>> {
        match self.queue.recv().await {
            Some(SlotOrder::Adopt(next)) => SlotEvent::Adopt(next),
            Some(SlotOrder::Vacate(done)) => {
                self.vacating = Some(done);
                SlotEvent::Vacate
            }
            Some(SlotOrder::Restart) => SlotEvent::Restart,
            // The fleet is gone, so there are no more orders.
            None => std::future::pending().await,
        }
    }

    /// The next order for a slot that has a worker, or will have one: it need not be restarted.
    pub(super) async fn next_for_worker(&mut self) -> SlotEvent<Box<StartedWorker>> {
        loop {
            match self.next().await {
                SlotEvent::Restart => {}
                order => return order,
            }
        }
    }

    pub(super) fn tell_vacated(&mut self) {
        if let Some(done) = self.vacating.take() {
            // The fleet may not wait any more.
            let _ = done.send(());
        }
    }
}
