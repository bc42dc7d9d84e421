//! The seats of the workers in the pool, and the choice of the one that is taken next.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::ids::ProjectKey;
use crate::workers::fair_queue::{FairQueue, QueueBounds, QueueFull};
use crate::workers::handle::WorkerHandle;
use crate::workers::pool::{Permit, Priority, SlotState};

#[derive(Debug)]
pub(super) struct PoolState {
    pub(super) ready: Vec<Seat>,
    /// Workers that get no new calls, and still run some.
    pub(super) leaving: Vec<Seat>,
    pub(super) interactive: FairQueue<oneshot::Sender<Permit>>,
    pub(super) batch: FairQueue<oneshot::Sender<Permit>>,
    pub(super) slots: Vec<SlotState>,
    pub(super) restarts: u64,
    /// Number of pauses; during one, no call may begin.
    pub(super) pauses: usize,
}

#[derive(Debug)]
pub(super) struct Seat {
    pub(super) slot: usize,
    pub(super) worker: Arc<WorkerHandle>,
    pub(super) in_flight: usize,
    /// Maximum number of calls at once.
    pub(super) limit: usize,
}

impl PoolState {
    pub(super) fn new(slots: usize) -> Self {
        Self {
            ready: Vec::new(),
            leaving: Vec::new(),
            interactive: FairQueue::default(),
            batch: FairQueue::default(),
            slots: vec![SlotState::Starting; slots],
            restarts: 0,
            pauses: 0,
        }
    }

    pub(super) fn queue(&mut self, priority: Priority) -> &mut FairQueue<oneshot::Sender<Permit>> {
        match priority {
            Priority::Interactive => &mut self.interactive,
            Priority::Batch => &mut self.batch,
        }
    }

    pub(super) fn next_waiting(&mut self) -> Option<oneshot::Sender<Permit>> {
        self.interactive.next().or_else(|| self.batch.next())
    }

    pub(super) fn waiting(&self) -> usize {
        self.interactive.len() + self.batch.len()
    }

    pub(super) fn full(&self, bounds: QueueBounds, project: &ProjectKey) -> Option<QueueFull> {
        if self.waiting() >= bounds.total {
            return Some(QueueFull::Total(bounds.total));
        }
        let per_project = self.interactive.len_of(project) + self.batch.len_of(project);
        (per_project >= bounds.per_project).then_some(QueueFull::Project(bounds.per_project))
    }

    pub(super) fn least_busy(&self) -> Option<usize> {
        self.free().min_by_key(|(_, seat)| seat.in_flight).map(|(index, _)| index)
    }

    /// Rendezvous hashing: each project has its own order of the workers, stable when one goes.
    pub(super) fn preferred(&self, project: &ProjectKey) -> Option<usize> {
        let weight = |seat: &Seat| {
            let mut hasher = DefaultHasher::new();
            (project, seat.slot).hash(&mut hasher);
            hasher.finish()
        };
        self.free().max_by_key(|(_, seat)| weight(seat)).map(|(index, _)| index)
    }

    pub(super) fn free(&self) -> impl Iterator<Item = (usize, &Seat)> {
        let seats = if self.pauses > 0 { &[] } else { self.ready.as_slice() };
        seats.iter().enumerate().filter(|(_, seat)| seat.in_flight < seat.limit)
    }
}
