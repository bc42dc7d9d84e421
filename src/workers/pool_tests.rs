//! Who gets a worker, and when.

use std::time::Duration;

use tokio::net::UnixStream;
use tokio::time::timeout;

use super::*;
use crate::workers::channel;
use crate::workers::output::job::CurrentJob;
use crate::workers::protocol::ClassInfo;

pub(super) fn worker(incarnation: u64, thread_safe: bool) -> Arc<Worker> {
    let (stream, _) = UnixStream::pair().unwrap();
    let (sender, _) = channel::open(stream);
    let class = ClassInfo {
        class: "Model".into(),
        generation: 1,
        reason: String::new(),
        model_dir: "/models".into(),
        thread_safe,
        train_events: Vec::new(),
        wants_every_event: false,
        inspection: None,
    };
    let of = (incarnation.to_string(), CurrentJob::default());
    Arc::new(Worker::new(incarnation, of, 1, class, sender, None))
}

const BOUNDS: Bounds = Bounds { in_all: 3, of_project: 2 };

async fn must_wait(future: impl Future<Output = Result<Permit, Full>>) {
    assert!(timeout(Duration::from_millis(20), future).await.is_err());
}

#[tokio::test]
async fn calls_spread_over_workers_and_are_bounded() {
    let pool = Pool::new(2, Places::of_threads(1), BOUNDS);
    pool.add(0, worker(1, true));
    pool.add(1, worker(2, true));
    let first = pool.acquire(Priority::Batch, "p").await.unwrap();
    let second = pool.acquire(Priority::Batch, "p").await.unwrap();
    assert_ne!(first.worker().incarnation, second.worker().incarnation);
    must_wait(pool.acquire(Priority::Batch, "p")).await;
    drop(first);
    let third = pool.acquire(Priority::Batch, "p").await.unwrap();
    assert_eq!(third.worker().incarnation, 1);
    assert_eq!(pool.in_flight(), 2);
}

#[tokio::test]
async fn a_person_goes_before_a_batch() {
    let pool = Pool::new(1, Places::of_threads(1), BOUNDS);
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut waiting = Vec::new();
    for (name, priority) in [("batch", Priority::Batch), ("person", Priority::Interactive)] {
        let (pool, order) = (Arc::clone(&pool), Arc::clone(&order));
        waiting.push(tokio::spawn(async move {
            let _permit = pool.acquire(priority, "p").await;
            order.lock().unwrap().push(name);
        }));
        tokio::task::yield_now().await;
    }
    assert_eq!(pool.waiting(), 2);
    pool.add(0, worker(1, true));
    for task in waiting {
        task.await.unwrap();
    }
    assert_eq!(*order.lock().unwrap(), ["person", "batch"]);
}

#[tokio::test]
async fn a_place_in_line_that_was_given_up_costs_nobody_anything() {
    let pool = Pool::new(1, Places::of_threads(1), BOUNDS);
    must_wait(pool.acquire(Priority::Interactive, "p")).await;
    pool.add(0, worker(1, true));
    let _permit =
        timeout(Duration::from_secs(5), pool.acquire(Priority::Batch, "p")).await.unwrap().unwrap();
    assert_eq!(pool.in_flight(), 1);
}

#[tokio::test]
async fn a_class_that_is_not_thread_safe_is_called_once_at_a_time() {
    let pool = Pool::new(1, Places::of_threads(8), BOUNDS);
    pool.add(0, worker(1, false));
    let _permit = pool.acquire(Priority::Batch, "p").await.unwrap();
    must_wait(pool.acquire(Priority::Batch, "p")).await;
}

#[tokio::test]
async fn a_removed_worker_gets_no_calls() {
    let pool = Pool::new(1, Places::of_threads(1), BOUNDS);
    let gone = worker(1, true);
    pool.add(0, Arc::clone(&gone));
    let permit = pool.acquire(Priority::Batch, "p").await.unwrap();
    pool.remove(0, &gone, SlotState::Starting);
    drop(permit);
    must_wait(pool.acquire(Priority::Batch, "p")).await;
    pool.add(0, worker(2, true));
    assert_eq!(pool.acquire(Priority::Batch, "p").await.unwrap().worker().incarnation, 2);
}

#[tokio::test]
async fn a_project_stays_with_its_worker() {
    let pool = Pool::new(3, Places::of_threads(8), BOUNDS);
    for incarnation in 1..=3 {
        let slot = usize::try_from(incarnation).unwrap() - 1;
        pool.add(slot, worker(incarnation, true));
    }
    let chosen =
        pool.acquire(Priority::Interactive, "12.1795430965").await.unwrap().worker().incarnation;
    for _ in 0..20 {
        let permit = pool.acquire(Priority::Interactive, "12.1795430965").await.unwrap();
        assert_eq!(permit.worker().incarnation, chosen);
    }
}

#[tokio::test]
async fn whoever_asks_after_a_replacement_gets_a_new_worker() {
    let pool = Pool::new(2, Places::of_threads(1), BOUNDS);
    pool.add(0, worker(1, true));
    pool.add(1, worker(2, true));
    let before = pool.acquire(Priority::Batch, "p").await.unwrap();
    let old = Arc::clone(before.worker());
    let mut switched = false;
    pool.replace_all(&[(0, worker(3, true)), (1, worker(4, true))], || switched = true);
    assert!(switched);
    let after = pool.acquire(Priority::Batch, "p").await.unwrap();
    assert!(after.worker().incarnation > 2);
    let mut unused = Box::pin(pool.unused(&old));
    assert!(timeout(Duration::from_millis(20), &mut unused).await.is_err(), "it still runs a call");
    drop(before);
    timeout(Duration::from_secs(5), unused).await.unwrap();
}

#[tokio::test]
async fn the_line_is_bounded_and_a_place_that_was_given_up_is_free_again() {
    let pool = Pool::new(1, Places::of_threads(1), BOUNDS);
    let wait = |project: &'static str| {
        let pool = Arc::clone(&pool);
        tokio::spawn(async move { pool.acquire(Priority::Batch, project).await.map(drop) })
    };
    let waiting = [wait("a"), wait("a"), wait("b")];
    while pool.waiting() < 3 {
        tokio::task::yield_now().await;
    }
    let refused = |project| pool.acquire(Priority::Interactive, project);
    assert_eq!(refused("c").await.unwrap_err(), Full::InAll(3));
    waiting[2].abort();
    while pool.waiting() == 3 {
        tokio::task::yield_now().await;
    }
    assert_eq!(refused("a").await.unwrap_err(), Full::OfProject(2));
    must_wait(refused("c")).await;
    pool.add(0, worker(1, true));
    let [first, second, _] = waiting;
    for task in [first, second] {
        task.await.unwrap().unwrap();
    }
    assert_eq!((pool.waiting(), pool.in_flight()), (0, 0));
}
