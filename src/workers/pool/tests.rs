//! Which request gets a worker, and when.

mod crowd;

use std::time::Duration;

use tokio::net::UnixStream;
use tokio::time::timeout;

use super::*;
use crate::testing::{run_in_time, until};
use crate::wire::api_version::ApiVersion;
use crate::wire::protocol::ClassInfo;
use crate::wire::server_end;
use crate::workers::handle::Incarnation;
use crate::workers::output::job::CurrentJob;

pub(super) fn worker(incarnation: u64, thread_safe: bool) -> Arc<WorkerHandle> {
    let (stream, _) = UnixStream::pair().unwrap();
    let (sender, _) = server_end::open(stream);
    let class = ClassInfo {
        class: "Model".into(),
        api: ApiVersion::V1,
        reason: String::new(),
        model_dir: "/models".into(),
        script: None,
        thread_safe,
        train_events: Vec::new(),
        wants_every_event: false,
        uses_context: false,
        reads_config: false,
        basic_auth: None,
        app: None,
        inspection: None,
    };
    let of = (incarnation.to_string(), CurrentJob::default());
    Arc::new(WorkerHandle::new(Incarnation(incarnation), of, 1, class, sender, None))
}

const BOUNDS: QueueBounds = QueueBounds { total: 3, per_project: 2 };

async fn must_wait(future: impl Future<Output = Result<Permit, QueueFull>>) {
    assert!(timeout(Duration::from_millis(20), future).await.is_err());
}

#[test]
fn during_a_pause_calls_end_and_none_begins() {
    run_in_time(|| async {
        let pool = Pool::new(1, WorkerCapacity::of_threads(2), BOUNDS);
        pool.add(0, worker(1, true));
        let running = pool.acquire(Priority::Batch, &"p".into()).await.unwrap();
        let (pause, other) = (pool.pause(), pool.pause());
        must_wait(pool.acquire(Priority::Interactive, &"p".into())).await;
        assert!(timeout(Duration::from_millis(20), pool.idle()).await.is_err());
        drop(running);
        pool.idle().await;
        let waiting = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move { pool.acquire(Priority::Batch, &"p".into()).await }
        });
        until(|| pool.waiting() == 1).await;
        pool.replace_all(&[(0, worker(2, true))], || ());
        drop(pause);
        assert_eq!(pool.waiting(), 1, "the other pause goes on");
        drop(other);
        let permit = waiting.await.unwrap().unwrap();
        assert_eq!(permit.worker().incarnation, Incarnation(2));
    });
}

#[test]
fn calls_spread_over_workers_and_are_bounded() {
    run_in_time(|| async {
        let pool = Pool::new(2, WorkerCapacity::of_threads(1), BOUNDS);
        pool.add(0, worker(1, true));
        pool.add(1, worker(2, true));
        let first = pool.acquire(Priority::Batch, &"p".into()).await.unwrap();
        let second = pool.acquire(Priority::Batch, &"p".into()).await.unwrap();
        assert_ne!(first.worker().incarnation, second.worker().incarnation);
        must_wait(pool.acquire(Priority::Batch, &"p".into())).await;
        drop(first);
        let third = pool.acquire(Priority::Batch, &"p".into()).await.unwrap();
        assert_eq!(third.worker().incarnation, Incarnation(1));
        assert_eq!(pool.in_flight(), 2);
    });
}

#[test]
fn a_person_goes_before_a_batch() {
    run_in_time(|| async {
        let pool = Pool::new(1, WorkerCapacity::of_threads(1), BOUNDS);
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut waiting = Vec::new();
        for (name, priority) in [("batch", Priority::Batch), ("person", Priority::Interactive)] {
            let (pool, order) = (Arc::clone(&pool), Arc::clone(&order));
            waiting.push(tokio::spawn(async move {
                let _permit = pool.acquire(priority, &"p".into()).await;
                order.lock().push(name);
            }));
            tokio::task::yield_now().await;
        }
        assert_eq!(pool.waiting(), 2);
        pool.add(0, worker(1, true));
        for task in waiting {
            task.await.unwrap();
        }
        assert_eq!(*order.lock(), ["person", "batch"]);
    });
}

#[test]
fn a_place_in_line_that_was_given_up_costs_nobody_anything() {
    run_in_time(|| async {
        let pool = Pool::new(1, WorkerCapacity::of_threads(1), BOUNDS);
        must_wait(pool.acquire(Priority::Interactive, &"p".into())).await;
        pool.add(0, worker(1, true));
        let _permit = timeout(Duration::from_secs(5), pool.acquire(Priority::Batch, &"p".into()))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(pool.in_flight(), 1);
    });
}

#[test]
fn a_class_that_is_not_thread_safe_is_called_once_at_a_time() {
    run_in_time(|| async {
        let pool = Pool::new(1, WorkerCapacity::of_threads(8), BOUNDS);
        pool.add(0, worker(1, false));
        let _permit = pool.acquire(Priority::Batch, &"p".into()).await.unwrap();
        must_wait(pool.acquire(Priority::Batch, &"p".into())).await;
    });
}

#[test]
fn a_removed_worker_gets_no_calls() {
    run_in_time(|| async {
        let pool = Pool::new(1, WorkerCapacity::of_threads(1), BOUNDS);
        let gone = worker(1, true);
        pool.add(0, Arc::clone(&gone));
        let permit = pool.acquire(Priority::Batch, &"p".into()).await.unwrap();
        pool.remove(0, &gone, SlotState::Starting);
        drop(permit);
        must_wait(pool.acquire(Priority::Batch, &"p".into())).await;
        pool.add(0, worker(2, true));
        assert_eq!(
            pool.acquire(Priority::Batch, &"p".into()).await.unwrap().worker().incarnation,
            Incarnation(2)
        );
    });
}

#[test]
fn a_project_stays_with_its_worker() {
    run_in_time(|| async {
        let pool = Pool::new(3, WorkerCapacity::of_threads(8), BOUNDS);
        for incarnation in 1..=3 {
            let slot = usize::try_from(incarnation).unwrap() - 1;
            pool.add(slot, worker(incarnation, true));
        }
        let chosen = pool
            .acquire(Priority::Interactive, &"12.1795430965".into())
            .await
            .unwrap()
            .worker()
            .incarnation;
        for _ in 0..20 {
            let permit =
                pool.acquire(Priority::Interactive, &"12.1795430965".into()).await.unwrap();
            assert_eq!(permit.worker().incarnation, chosen);
        }
    });
}

#[test]
fn projects_are_spread_over_the_workers_and_stay_when_another_one_goes() {
    run_in_time(|| async {
        let pool = Pool::new(3, WorkerCapacity::of_threads(8), BOUNDS);
        let workers = [worker(1, true), worker(2, true), worker(3, true)];
        for (slot, worker) in workers.iter().enumerate() {
            pool.add(slot, Arc::clone(worker));
        }
        let projects: Vec<ProjectKey> =
            (0..60).map(|number| format!("{number}.17").into()).collect();
        let mut chosen = Vec::new();
        for project in &projects {
            let permit = pool.acquire(Priority::Interactive, project).await.unwrap();
            chosen.push(permit.worker().incarnation.0);
        }
        for incarnation in 1..=3 {
            let share = chosen.iter().filter(|chosen| **chosen == incarnation).count();
            assert!((5..=40).contains(&share), "{chosen:?}");
        }
        pool.leave(&workers[2]);
        for (project, before) in projects.iter().zip(chosen).filter(|(_, before)| *before < 3) {
            let permit = pool.acquire(Priority::Interactive, project).await.unwrap();
            assert_eq!(permit.worker().incarnation.0, before);
        }
    });
}

#[test]
fn a_request_after_a_replacement_gets_a_new_worker() {
    run_in_time(|| async {
        let pool = Pool::new(2, WorkerCapacity::of_threads(1), BOUNDS);
        pool.add(0, worker(1, true));
        pool.add(1, worker(2, true));
        let before = pool.acquire(Priority::Batch, &"p".into()).await.unwrap();
        let old = Arc::clone(before.worker());
        let mut switched = false;
        pool.replace_all(&[(0, worker(3, true)), (1, worker(4, true))], || switched = true);
        assert!(switched);
        let after = pool.acquire(Priority::Batch, &"p".into()).await.unwrap();
        assert!(after.worker().incarnation.0 > 2);
        let mut unused = Box::pin(pool.unused(&old));
        assert!(
            timeout(Duration::from_millis(20), &mut unused).await.is_err(),
            "it still runs a call"
        );
        drop(before);
        timeout(Duration::from_secs(5), unused).await.unwrap();
    });
}

#[test]
fn the_line_is_bounded_and_a_place_that_was_given_up_is_free_again() {
    run_in_time(|| async {
        let pool = Pool::new(1, WorkerCapacity::of_threads(1), BOUNDS);
        let wait = |project: &'static str| {
            let pool = Arc::clone(&pool);
            tokio::spawn(
                async move { pool.acquire(Priority::Batch, &project.into()).await.map(drop) },
            )
        };
        let waiting = [wait("a"), wait("a"), wait("b")];
        until(|| pool.waiting() == 3).await;
        let refused =
            async |project: &str| pool.acquire(Priority::Interactive, &project.into()).await;
        assert_eq!(refused("c").await.unwrap_err(), QueueFull::Total(3));
        waiting[2].abort();
        until(|| pool.waiting() < 3).await;
        assert_eq!(refused("a").await.unwrap_err(), QueueFull::Project(2));
        must_wait(refused("c")).await;
        pool.add(0, worker(1, true));
        let [first, second, _] = waiting;
        for task in [first, second] {
            task.await.unwrap().unwrap();
        }
        assert_eq!((pool.waiting(), pool.in_flight()), (0, 0));
    });
}

/// The priority of a request, and its project.
type Asked = (Priority, &'static str);
type Waits = &'static [Asked];

#[test]
fn waiting_requests_of_any_priority_count_against_the_bounds() {
    use Priority::{Batch, Interactive};
    let total = Err(QueueFull::Total(3));
    let per_project = Err(QueueFull::Project(2));
    let cases: [(Waits, Asked, Result<(), QueueFull>); 10] = [
        (&[], (Batch, "a"), Ok(())),
        (&[(Batch, "a")], (Batch, "a"), Ok(())),
        (&[(Interactive, "a")], (Batch, "a"), Ok(())),
        (&[(Interactive, "a"), (Interactive, "a")], (Interactive, "a"), per_project),
        (&[(Interactive, "a"), (Interactive, "a")], (Batch, "a"), per_project),
        (&[(Batch, "a"), (Batch, "a")], (Interactive, "a"), per_project),
        (&[(Interactive, "a"), (Batch, "a")], (Interactive, "a"), per_project),
        (&[(Interactive, "a"), (Interactive, "a")], (Interactive, "b"), Ok(())),
        (&[(Interactive, "a"), (Batch, "b"), (Interactive, "c")], (Interactive, "d"), total),
        (&[(Interactive, "a"), (Batch, "a"), (Interactive, "c")], (Batch, "a"), total),
    ];
    for (waiting, (priority, project), expected) in cases {
        run_in_time(move || async move {
            let pool = Pool::new(1, WorkerCapacity::of_threads(1), BOUNDS);
            let mut line = Vec::new();
            for &(priority, project) in waiting {
                let pool = &pool;
                let mut asking =
                    Box::pin(async move { pool.acquire(priority, &project.into()).await });
                assert!(timeout(Duration::ZERO, &mut asking).await.is_err());
                line.push(asking);
            }
            assert_eq!(pool.waiting(), waiting.len());
            let asked = timeout(Duration::ZERO, pool.acquire(priority, &project.into())).await;
            match expected {
                Ok(()) => assert!(asked.is_err(), "{waiting:?}: it waits"),
                Err(full) => assert_eq!(asked.unwrap().unwrap_err(), full, "{waiting:?}"),
            }
        });
    }
}

#[test]
fn a_worker_has_as_many_calls_as_it_has_places() {
    run_in_time(|| async {
        for (thread_safe, places) in [(true, 3), (false, 2)] {
            let pool = Pool::new(1, WorkerCapacity { thread_safe: 3, not_thread_safe: 2 }, BOUNDS);
            pool.add(0, worker(1, thread_safe));
            let mut permits = Vec::new();
            for _ in 0..places {
                permits.push(pool.acquire(Priority::Batch, &"p".into()).await.unwrap());
            }
            assert_eq!(pool.in_flight(), places);
            must_wait(pool.acquire(Priority::Batch, &"p".into())).await;
        }
    });
}

#[test]
fn a_person_whose_worker_is_busy_gets_another_and_a_batch_the_least_busy() {
    run_in_time(|| async {
        let pool = Pool::new(2, WorkerCapacity::of_threads(2), BOUNDS);
        pool.add(0, worker(1, true));
        pool.add(1, worker(2, true));
        let of = |permit: &Permit| permit.worker().incarnation;
        let first = pool.acquire(Priority::Interactive, &"p".into()).await.unwrap();
        let second = pool.acquire(Priority::Interactive, &"p".into()).await.unwrap();
        assert_eq!(of(&first), of(&second), "it has a thread free");
        let third = pool.acquire(Priority::Interactive, &"p".into()).await.unwrap();
        assert_ne!(of(&third), of(&first));
        drop((first, second));
        let batch = pool.acquire(Priority::Batch, &"p".into()).await.unwrap();
        assert_ne!(of(&batch), of(&third));
    });
}

#[test]
fn a_worker_that_leaves_ends_its_calls_and_gets_no_other() {
    run_in_time(|| async {
        let pool = Pool::new(1, WorkerCapacity::of_threads(2), BOUNDS);
        let (leaving, idle) = (worker(1, true), worker(2, true));
        pool.add(0, Arc::clone(&leaving));
        let project = "p".into();
        let [first, second] = [(); 2].map(|()| pool.acquire(Priority::Batch, &project));
        let (first, second) = (first.await.unwrap(), second.await.unwrap());
        pool.leave(&leaving);
        assert_eq!((pool.workers().len(), pool.in_flight()), (0, 0));
        must_wait(pool.acquire(Priority::Batch, &"p".into())).await;
        let mut unused = Box::pin(pool.unused(&leaving));
        drop(first);
        assert!(timeout(Duration::from_millis(20), &mut unused).await.is_err(), "one still runs");
        drop(second);
        // At once, and not at the next check.
        tokio::time::pause();
        let began = tokio::time::Instant::now();
        unused.await;
        assert_eq!(began.elapsed(), Duration::ZERO);
        pool.add(0, Arc::clone(&idle));
        assert_eq!(pool.slots(), [SlotState::Ready { pid: 1 }]);
        pool.leave(&idle);
        pool.unused(&idle).await;
    });
}

#[test]
fn nobody_waits_for_the_calls_of_a_worker_that_is_gone() {
    run_in_time(|| async {
        let pool = Pool::new(1, WorkerCapacity::of_threads(1), BOUNDS);
        let gone = worker(1, true);
        pool.add(0, Arc::clone(&gone));
        let _permit = pool.acquire(Priority::Batch, &"p".into()).await.unwrap();
        pool.leave(&gone);
        let died = SlotState::Died { reason: "died".into() };
        pool.remove(0, &gone, died.clone());
        pool.unused(&gone).await;
        assert_eq!((pool.slots(), pool.workers().len()), (vec![died], 0));
    });
}

#[test]
fn a_waiting_request_gets_one_of_the_new_workers() {
    run_in_time(|| async {
        let pool = Pool::new(1, WorkerCapacity::of_threads(1), BOUNDS);
        pool.add(0, worker(1, true));
        let _before = pool.acquire(Priority::Batch, &"p".into()).await.unwrap();
        let waiting = {
            let pool = Arc::clone(&pool);
            tokio::spawn(async move {
                pool.acquire(Priority::Batch, &"p".into()).await.unwrap().worker().incarnation.0
            })
        };
        until(|| pool.waiting() == 1).await;
        pool.set_slot(0, SlotState::Starting);
        pool.replace_all(&[(0, worker(2, true))], || {});
        assert_eq!(waiting.await.unwrap(), 2);
        assert_eq!(pool.slots(), [SlotState::Ready { pid: 1 }]);
    });
}

#[test]
fn the_pool_has_failed_only_once_every_slot_has() {
    let failed = |reason: &str| SlotState::Failed { reason: reason.into() };
    let died = || SlotState::Died { reason: "died".into() };
    let cases = [
        (vec![failed("a"), failed("b")], Some("b")),
        (vec![failed("a"), died()], None),
        (vec![SlotState::Starting, failed("b")], None),
        (vec![failed("a"), SlotState::Ready { pid: 1 }], None),
        (vec![failed("a"), SlotState::Stopped], None),
        (Vec::new(), None),
    ];
    for (slots, reason) in cases {
        let pool = Pool::new(slots.len(), WorkerCapacity::of_threads(1), BOUNDS);
        for (slot, state) in slots.iter().enumerate() {
            pool.set_slot(slot, state.clone());
        }
        assert_eq!(pool.all_failed().as_deref(), reason, "{slots:?}");
    }
    run_in_time(move || async move {
        let pool = Pool::new(1, WorkerCapacity::of_threads(1), BOUNDS);
        for hopeful in [SlotState::Starting, SlotState::Ready { pid: 1 }, SlotState::Stopped] {
            pool.set_slot(0, hopeful.clone());
            pool.mark_failed(0);
            assert_eq!(pool.slots(), [hopeful]);
        }
        let all_failed = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move { pool.until_all_failed().await }
        });
        tokio::task::yield_now().await;
        pool.set_slot(0, SlotState::Died { reason: "died".into() });
        tokio::task::yield_now().await;
        assert!(!all_failed.is_finished());
        pool.mark_failed(0);
        assert_eq!(all_failed.await.unwrap(), "died");
        assert_eq!(pool.restarts(), 0);
        pool.count_restart();
        assert_eq!(pool.restarts(), 1);
    });
}
