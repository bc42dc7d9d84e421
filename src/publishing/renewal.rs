//! Replaces the workers by new processes: module globals may hold what user code read from files before a
//! training of API v2 overwrote them, and only a new process reads them again.
//!
//! Start first: all new workers load beside the old ones, which answer meanwhile, and take over at one
//! moment. Stop first, for models of which the graphics card cannot hold a second copy: one worker ends
//! before its successor starts, which takes over alone; the others follow one by one. Either way no request
//! is refused: requests wait for a worker.

use std::sync::{Arc, OnceLock};

use tokio::time::timeout;
use tracing::{info, warn};

use super::SWITCH_TIMEOUT;
use crate::serving::model_workers::{PREPARE_TIMEOUT, load_on};
use crate::serving::registry::Registry;
use crate::serving::served_model::{Load, ServedModel};
use crate::workers::handle::{WorkerError, WorkerHandle};
use crate::workers::start::{StartError, StartedWorker};
use crate::workers::supervision::{Fleet, RolloutOrder};

/// Maximum number of starts of a worker whose process ends while it loads: the model may not be to blame.
const MAX_ATTEMPTS: u32 = 3;

/// Starts workers of a new version.
#[derive(Debug)]
pub(super) struct Renewer {
    registry: Arc<Registry>,
    rollout: RolloutOrder,
    /// Reaches the tasks that keep the workers.
    fleet: OnceLock<Fleet>,
}

/// Workers that are loaded and do not serve yet. Dropping them ends them; a slot that has no worker then
/// starts its own.
pub(super) struct Renewal<'a> {
    fleet: &'a Fleet,
    started: Vec<(usize, StartedWorker)>,
    /// Slots whose old worker serves until the new ones do.
    to_follow: Vec<usize>,
}

/// Slots whose old worker has ended, and which wait for a new one.
#[derive(Debug)]
pub(super) struct Followers(Vec<usize>);

/// Why a worker could not be started.
enum Failure {
    Model(String),
    Process(String),
}

impl Renewal<'_> {
    pub(super) fn workers(&self) -> impl Iterator<Item = &Arc<WorkerHandle>> {
        self.started.iter().map(|(_, started)| &started.worker)
    }
}

impl Drop for Renewal<'_> {
    fn drop(&mut self) {
        for (slot, started) in std::mem::take(&mut self.started) {
            drop(started);
            self.fleet.restart(slot);
        }
    }
}

impl Renewer {
    pub(super) fn new(registry: Arc<Registry>, rollout: RolloutOrder) -> Self {
        Self { registry, rollout, fleet: OnceLock::new() }
    }

    /// Sets the fleet that starts further workers; called once.
    pub(super) fn set_fleet(&self, fleet: Fleet) {
        let _ = self.fleet.set(fleet);
    }

    /// Starts workers and loads the models in use, `next` first. The error is the reason of a failure.
    pub(super) async fn start(
        &self,
        next: Option<&Arc<ServedModel>>,
    ) -> Result<Renewal<'_>, String> {
        let Some(fleet) = self.fleet.get() else { return Err("the server is starting".into()) };
        let pids: Vec<u32> =
            self.registry.workers.pool.workers().iter().map(|worker| worker.pid).collect();
        let stop_first = self.rollout.stops_first(&pids).await;
        let mut slots = fleet.slots();
        let mut renewal = Renewal { fleet, started: Vec::new(), to_follow: Vec::new() };
        if stop_first {
            if let Some(first) = slots.next() {
                renewal.to_follow = slots.collect();
                renewal.started.push((first, self.start_in_place(fleet, first, next).await?));
            }
        } else {
            for slot in slots {
                renewal.started.push((slot, self.start_loaded(fleet, slot, next).await?));
            }
        }
        Ok(renewal)
    }

    /// Makes the new workers serve; `switch` runs at the same moment. [`Self::follow`] replaces the
    /// remaining ones.
    pub(super) fn finish(&self, mut renewal: Renewal<'_>, switch: impl FnOnce()) -> Followers {
        let started = std::mem::take(&mut renewal.started);
        let seats: Vec<(usize, Arc<WorkerHandle>)> =
            started.iter().map(|(slot, started)| (*slot, Arc::clone(&started.worker))).collect();
        self.registry.workers.pool.replace_all(&seats, switch);
        renewal.fleet.renew_spares();
        for (slot, started) in started {
            info!(worker = started.worker.name, pid = started.worker.pid, "serves the new version");
            renewal.fleet.adopt(slot, started);
        }
        Followers(std::mem::take(&mut renewal.to_follow))
    }

    /// Replaces, one after the other, the workers that ended to make room.
    pub(super) async fn follow(&self, Followers(slots): Followers) {
        let Some(fleet) = self.fleet.get() else { return };
        for slot in slots {
            match self.start_in_place(fleet, slot, None).await {
                Ok(started) => {
                    self.registry.workers.pool.add(slot, Arc::clone(&started.worker));
                    fleet.adopt(slot, started);
                }
                Err(reason) => warn!("worker {} cannot be renewed yet: {reason}", slot + 1),
            }
        }
    }

    /// Ends the worker of a slot before another one is started.
    async fn start_in_place(
        &self,
        fleet: &Fleet,
        slot: usize,
        next: Option<&Arc<ServedModel>>,
    ) -> Result<StartedWorker, String> {
        fleet.vacate(slot).await;
        let started = self.start_loaded(fleet, slot, next).await;
        if started.is_err() {
            fleet.restart(slot);
        }
        started
    }

    async fn start_loaded(
        &self,
        fleet: &Fleet,
        slot: usize,
        next: Option<&Arc<ServedModel>>,
    ) -> Result<StartedWorker, String> {
        let mut attempt = 1;
        loop {
            match self.try_start_loaded(fleet, slot, next).await {
                Ok(started) => return Ok(started),
                Err(Failure::Process(reason)) if attempt < MAX_ATTEMPTS => {
                    warn!(worker = slot + 1, "the new worker {reason}; starting another");
                    attempt += 1;
                }
                Err(Failure::Process(reason)) => return Err(format!("its worker {reason}")),
                Err(Failure::Model(reason)) => return Err(reason),
            }
        }
    }

    async fn try_start_loaded(
        &self,
        fleet: &Fleet,
        slot: usize,
        next: Option<&Arc<ServedModel>>,
    ) -> Result<StartedWorker, Failure> {
        let mut started = fleet.start(slot).await.map_err(|error| match error {
            StartError::Import(_) => Failure::Model(error.to_string()),
            error => Failure::Process(format!("did not start: {error}")),
        })?;
        let worker = Arc::clone(&started.worker);
        let loaded = tokio::select! {
            loaded = self.load_all(&worker, next) => loaded,
            end = started.process.wait() => Err(Failure::Process(end)),
            () = worker.closed() => Err(Failure::Process("lost its channel to the server".into())),
        };
        match loaded {
            Ok(()) => Ok(started),
            Err(failure) => {
                worker.died("was not needed any more");
                Err(failure)
            }
        }
    }

    /// Loads `next`, which must succeed, and, for a limited time, the other models in use.
    async fn load_all(
        &self,
        worker: &WorkerHandle,
        next: Option<&Arc<ServedModel>>,
    ) -> Result<(), Failure> {
        if let Some(next) = next {
            let loaded = timeout(SWITCH_TIMEOUT, worker.load(&next.model, false)).await;
            match loaded.map_err(|_| {
                Failure::Model(format!("not loaded within {} s", SWITCH_TIMEOUT.as_secs()))
            })? {
                Ok(()) => next.set_loaded(),
                Err(WorkerError::Model(error)) => {
                    return Err(Failure::Model(format!("{}: {}", error.class, error.message)));
                }
                Err(error) => return Err(Failure::Process(error.to_string())),
            }
        }
        let project = next.map(|next| next.model.spec.project.as_str());
        let others = async {
            for model in self.registry.models.all() {
                let is_old = Some(model.model.spec.project.as_str()) == project;
                if !is_old && model.load_state() == Load::Loaded {
                    load_on(worker, &model, false).await;
                }
            }
        };
        if timeout(PREPARE_TIMEOUT, others).await.is_err() {
            warn!(worker = worker.name, "not all models are loaded yet; requests load the others");
        }
        Ok(())
    }
}
