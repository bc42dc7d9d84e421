//! New processes in the place of the workers: what a training of generation 2 wrote into files is read
//! by module globals too, which only a new process has afresh.
//!
//! Start first: all new workers are loaded beside the old ones, which answer meanwhile, and take over at
//! one moment. Stop first, for models of which the graphics card holds no second copy: one worker ends
//! before its successor starts, which takes over alone; the others follow one by one. Either way nobody
//! is refused: requests wait for a worker.

use std::sync::Arc;

use tokio::time::timeout;
use tracing::{info, warn};

use super::model_in_use::{Load, ModelInUse};
use super::rollout::SWITCH_TIMEOUT;
use super::{Serving, load_on};
use crate::workers::fleet::{Fleet, Started};
use crate::workers::gpu;
use crate::workers::worker::{Worker, WorkerError};

/// Whether the old workers answer while the new ones are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rollout {
    StartFirst,
    StopFirst,
    /// Stop first where a graphics card lacks the memory that the old workers hold.
    Auto,
}

/// Workers that are loaded and serve nobody yet. Dropping them ends them.
pub(super) struct Renewal {
    started: Vec<(usize, Started)>,
    /// Slots whose old worker goes on until the new ones serve.
    to_follow: Vec<usize>,
}

impl Renewal {
    pub(super) fn workers(&self) -> impl Iterator<Item = &Arc<Worker>> {
        self.started.iter().map(|(_, started)| &started.worker)
    }
}

impl Serving {
    /// Starts workers and loads what is in use, `next` above all; why that failed, if it did.
    pub(super) async fn start_renewal(
        &self,
        next: Option<&Arc<ModelInUse>>,
    ) -> Result<Renewal, String> {
        let Some(fleet) = self.fleet.get() else { return Err("the server is starting".into()) };
        let pids: Vec<u32> = self.pool.workers().iter().map(|worker| worker.pid).collect();
        let stop_first = match self.rollout {
            Rollout::StartFirst => false,
            Rollout::StopFirst => true,
            Rollout::Auto => gpu::is_too_full_for_another(&pids).await,
        };
        let mut slots = fleet.slots();
        if stop_first {
            let first = slots.next().into_iter();
            let mut renewal = Renewal { started: Vec::new(), to_follow: slots.collect() };
            for slot in first {
                fleet.vacate(slot).await;
                match self.start_loaded(fleet, slot, next).await {
                    Ok(started) => renewal.started.push((slot, started)),
                    Err(reason) => {
                        fleet.restart(slot);
                        return Err(reason);
                    }
                }
            }
            return Ok(renewal);
        }
        let mut renewal = Renewal { started: Vec::new(), to_follow: Vec::new() };
        for slot in slots {
            renewal.started.push((slot, self.start_loaded(fleet, slot, next).await?));
        }
        Ok(renewal)
    }

    /// Has new workers serve from now on; `switch` happens at the same moment.
    pub(super) async fn finish_renewal(&self, renewal: Renewal, switch: impl FnOnce()) {
        let Some(fleet) = self.fleet.get() else { return switch() };
        let seats: Vec<(usize, Arc<Worker>)> = renewal
            .started
            .iter()
            .map(|(slot, started)| (*slot, Arc::clone(&started.worker)))
            .collect();
        self.pool.replace_all(&seats, switch);
        for (slot, started) in renewal.started {
            info!(worker = started.worker.name, pid = started.worker.pid, "serves the new version");
            fleet.adopt(slot, started);
        }
        for slot in renewal.to_follow {
            fleet.vacate(slot).await;
            match self.start_loaded(fleet, slot, None).await {
                Ok(started) => {
                    self.pool.add(slot, Arc::clone(&started.worker));
                    fleet.adopt(slot, started);
                }
                Err(reason) => {
                    warn!("worker {} does not follow yet: {reason}", slot + 1);
                    fleet.restart(slot);
                }
            }
        }
    }

    async fn start_loaded(
        &self,
        fleet: &Fleet,
        slot: usize,
        next: Option<&Arc<ModelInUse>>,
    ) -> Result<Started, String> {
        let started = fleet.start(slot).await.map_err(|error| error.to_string())?;
        let worker = &started.worker;
        if let Some(next) = next {
            match timeout(SWITCH_TIMEOUT, worker.load(&next.model, false)).await {
                Ok(Ok(())) => next.set_loaded(),
                Ok(Err(WorkerError::Model(error))) => {
                    return Err(format!("{}: {}", error.class, error.message));
                }
                Ok(Err(error)) => return Err(error.to_string()),
                Err(_) => return Err(format!("not loaded within {} s", SWITCH_TIMEOUT.as_secs())),
            }
        }
        let project = next.map(|next| next.model.spec.project.as_str());
        for model in self.models.all() {
            let is_old = Some(model.model.spec.project.as_str()) == project;
            if !is_old && model.load_state() == Load::Loaded {
                load_on(worker, &model, false).await;
            }
        }
        Ok(started)
    }
}
