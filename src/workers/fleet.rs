//! Starting worker processes, and handing them to the tasks that keep them alive.
//!
//! Whoever brings a new version into the workers has the [`Fleet`] start further ones, and hands them to
//! the slots of [`crate::workers::supervision`] when they are to serve.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{mpsc, oneshot};

use crate::wire::protocol::Configure;
use crate::workers::handle::{StartError, Worker, greet};
use crate::workers::key_keeper::KeyKeeper;
use crate::workers::output::job::CurrentJob;
use crate::workers::output::{self, Origin};
use crate::workers::process::{Launch, Process, Spawned};
use crate::workers::supervision::Reserve;

static INCARNATIONS: AtomicU64 = AtomicU64::new(1);

/// A process that imported its class. Dropping it ends the process.
#[derive(Debug)]
pub struct Started {
    pub process: Process,
    pub worker: Arc<Worker>,
}

/// Starts a worker and goes through the import; the output of the process goes to the log.
pub async fn start_worker(
    launch: &Launch,
    configure: Configure,
    origin: Origin,
    keeper: Option<&Arc<dyn KeyKeeper>>,
) -> Result<Started, StartError> {
    let Spawned { mut process, channel, stdout, stderr } =
        launch.spawn().map_err(crate::wire::frame::FrameError::from)?;
    if let Some(pipe) = stdout {
        tokio::spawn(output::log(pipe, origin.clone()));
    }
    if let Some(pipe) = stderr {
        tokio::spawn(output::log(pipe, origin.clone()));
    }
    let (sender, mut receiver) = crate::wire::server_end::open(channel);
    let greeted = greet(&sender, &mut receiver, configure, keeper).await;
    let class = match greeted {
        // The channel of a dead process is closed before its death is known.
        Err(StartError::Closed) => {
            let end = process.end(crate::workers::STOP_GRACE).await;
            return Err(StartError::Ended(end));
        }
        class => class?,
    };
    let incarnation = INCARNATIONS.fetch_add(1, Ordering::Relaxed);
    let of = (origin.worker, origin.job);
    let worker =
        Arc::new(Worker::new(incarnation, of, process.pid, class, sender, keeper.cloned()));
    tokio::spawn({
        let worker = Arc::clone(&worker);
        async move { worker.receive(receiver).await }
    });
    Ok(Started { process, worker })
}

/// What model workers are started with, and the way to the tasks that keep them.
#[derive(Debug)]
pub struct Fleet {
    pub(super) base: Base,
    pub(super) orders: Vec<mpsc::UnboundedSender<Order>>,
    pub(super) reserve: Arc<Reserve>,
}

/// What every model worker is started with.
#[derive(Debug, Clone)]
pub(super) struct Base {
    pub(super) launch: Launch,
    pub(super) configure: Configure,
    pub(super) keeper: Arc<dyn KeyKeeper>,
}

/// What a slot is told.
#[derive(Debug)]
pub(super) enum Order {
    /// Keep this worker from now on, which the pool has already; the one before ends when it is unused.
    Adopt(Box<Started>),
    /// End the worker when it is unused, say so, and wait for another one.
    Vacate(oneshot::Sender<()>),
    /// Start a worker of your own.
    Restart,
}

impl Base {
    pub(super) async fn start(&self, name: String) -> Result<Started, StartError> {
        let origin = Origin { worker: name, job: CurrentJob::default() };
        start_worker(&self.launch, self.configure.clone(), origin, Some(&self.keeper)).await
    }
}

impl Fleet {
    /// Numbers of the slots.
    pub fn slots(&self) -> std::ops::Range<usize> {
        0..self.orders.len()
    }

    /// Starts a further worker for a slot; it serves nobody yet.
    pub async fn start(&self, slot: usize) -> Result<Started, StartError> {
        self.base.start((slot + 1).to_string()).await
    }

    /// Has spare workers started anew: what they have imported is out of date.
    pub fn renew_spares(&self) {
        self.reserve.renew();
    }

    /// Hands a worker, which the pool has already, to its slot.
    pub fn adopt(&self, slot: usize, started: Started) {
        self.order(slot, Order::Adopt(Box::new(started)));
    }

    /// Has a slot end its worker once nobody uses it, and waits for that.
    pub async fn vacate(&self, slot: usize) {
        let (done, ended) = oneshot::channel();
        self.order(slot, Order::Vacate(done));
        // A slot that was stopped has no worker either.
        let _ = ended.await;
    }

    /// Has a slot that was vacated start a worker of its own.
    pub fn restart(&self, slot: usize) {
        self.order(slot, Order::Restart);
    }

    fn order(&self, slot: usize, order: Order) {
        // A slot that was stopped drops what it is given, and with it the process.
        let _ = self.orders[slot].send(order);
    }
}
