//! Requests that wait, get a worker, give up or are done, and workers that come and go, in any order: no
//! request waits while a worker is free, and one that gave up keeps none.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use super::worker;
use super::*;
use crate::testing::in_time;

const THREADS: usize = 2;
const SLOTS: usize = 3;
const BOUNDS: QueueBounds = QueueBounds { total: 6, per_project: 4 };

/// A step of a test.
#[derive(Debug, Clone, Copy)]
enum Step {
    Ask {
        is_person: bool,
        project: u8,
    },
    /// The client of a request that waits, or has just been given a worker, hangs up.
    GiveUp(usize),
    /// All waiting requests are polled.
    Look,
    Done(usize),
    Add {
        slot: usize,
        is_thread_safe: bool,
    },
    Leave(usize),
    Remove(usize),
    ReplaceAll,
}

fn step() -> impl Strategy<Value = Step> {
    let any_index = || 0..20usize;
    prop_oneof![
        6 => (any::<bool>(), 0..3u8).prop_map(|(is_person, project)| Step::Ask { is_person, project }),
        2 => any_index().prop_map(Step::GiveUp),
        3 => Just(Step::Look),
        4 => any_index().prop_map(Step::Done),
        2 => (0..SLOTS, any::<bool>()).prop_map(|(slot, is_thread_safe)| {
            Step::Add { slot, is_thread_safe }
        }),
        1 => any_index().prop_map(Step::Leave),
        1 => any_index().prop_map(Step::Remove),
        1 => Just(Step::ReplaceAll),
    ]
}

type Asking = Pin<Box<dyn Future<Output = Result<Permit, QueueFull>>>>;

struct Crowd {
    pool: Arc<Pool>,
    asking: Vec<Asking>,
    permits: Vec<Permit>,
    incarnations: u64,
}

impl Crowd {
    fn take(&mut self, step: Step) -> TestCaseResult {
        match step {
            Step::Ask { is_person, project } => {
                let pool = Arc::clone(&self.pool);
                let priority = if is_person { Priority::Interactive } else { Priority::Batch };
                let mut asking: Asking =
                    Box::pin(
                        async move { pool.acquire(priority, &project.to_string().into()).await },
                    );
                match look(&mut asking) {
                    Poll::Ready(Ok(permit)) => self.permits.push(permit),
                    Poll::Ready(Err(_)) => {
                        prop_assert!(self.pool.waiting() >= BOUNDS.per_project, "room is left");
                    }
                    Poll::Pending => self.asking.push(asking),
                }
            }
            Step::GiveUp(index) if !self.asking.is_empty() => {
                drop(self.asking.swap_remove(index % self.asking.len()));
            }
            Step::Look => self.look_all()?,
            Step::Done(index) if !self.permits.is_empty() => {
                drop(self.permits.swap_remove(index % self.permits.len()));
            }
            Step::Add { slot, is_thread_safe } => {
                let worker = self.new_worker(is_thread_safe);
                self.pool.add(slot, worker);
            }
            Step::Leave(index) => {
                if let Some(worker) = self.ready(index) {
                    self.pool.leave(&worker);
                }
            }
            Step::Remove(index) => {
                if let Some(worker) = self.ready(index) {
                    self.pool.remove(0, &worker, SlotState::Stopped);
                }
            }
            Step::ReplaceAll => {
                let workers: Vec<_> =
                    (0..SLOTS).map(|slot| (slot, self.new_worker(true))).collect();
                self.pool.replace_all(&workers, || {});
            }
            Step::GiveUp(_) | Step::Done(_) => {}
        }
        let state = self.pool.state();
        prop_assert!(state.free().next().is_none() || state.waiting() == 0, "{state:?}");
        prop_assert!(state.waiting() <= self.asking.len(), "{state:?}");
        prop_assert!(state.ready.iter().all(|seat| seat.in_flight <= seat.limit), "{state:?}");
        Ok(())
    }

    fn look_all(&mut self) -> TestCaseResult {
        for mut asking in std::mem::take(&mut self.asking) {
            match look(&mut asking) {
                Poll::Ready(Ok(permit)) => self.permits.push(permit),
                Poll::Ready(Err(full)) => prop_assert!(false, "refused after a while: {full:?}"),
                Poll::Pending => self.asking.push(asking),
            }
        }
        // Now every request that was given a worker has it.
        prop_assert_eq!(self.pool.waiting(), self.asking.len());
        let workers = self.pool.workers();
        let is_ready = |permit: &&Permit| {
            workers.iter().any(|worker| worker.incarnation == permit.worker().incarnation)
        };
        prop_assert_eq!(self.pool.in_flight(), self.permits.iter().filter(is_ready).count());
        Ok(())
    }

    fn new_worker(&mut self, is_thread_safe: bool) -> Arc<WorkerHandle> {
        self.incarnations += 1;
        worker(self.incarnations, is_thread_safe)
    }

    fn ready(&self, index: usize) -> Option<Arc<WorkerHandle>> {
        let workers = self.pool.workers();
        (!workers.is_empty()).then(|| Arc::clone(&workers[index % workers.len()]))
    }
}

fn look(asking: &mut Asking) -> Poll<Result<Permit, QueueFull>> {
    asking.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

fn play(steps: Vec<Step>) -> TestCaseResult {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _inside = runtime.enter();
    let pool = Pool::new(SLOTS, WorkerCapacity::of_threads(THREADS), BOUNDS);
    let mut crowd = Crowd { pool, asking: Vec::new(), permits: Vec::new(), incarnations: 0 };
    for step in steps {
        crowd.take(step)?;
    }
    crowd.look_all()?;
    crowd.asking.clear();
    crowd.permits.clear();
    let state = crowd.pool.state();
    prop_assert_eq!(state.waiting(), 0);
    prop_assert!(state.ready.iter().all(|seat| seat.in_flight == 0), "{:?}", state);
    prop_assert!(state.leaving.is_empty(), "{:?}", state);
    Ok(())
}

proptest! {
    #[test]
    fn nobody_waits_while_a_worker_is_free(steps in prop::collection::vec(step(), 1..80)) {
        in_time(move || play(steps))?;
    }
}
