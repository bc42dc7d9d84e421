//! Who gets a worker, and when.

use std::time::Duration;

use tokio::net::UnixStream;
use tokio::time::timeout;

use super::*;
use crate::workers::channel;
use crate::workers::output::job::CurrentJob;
use crate::workers::protocol::ClassInfo;

fn worker(incarnation: u64, thread_safe: bool) -> Arc<Worker> {
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

async fn must_wait(future: impl Future<Output = Permit>) {
    assert!(timeout(Duration::from_millis(20), future).await.is_err());
}

#[tokio::test]
async fn calls_spread_over_workers_and_are_bounded() {
    let pool = Pool::new(2, 1);
    pool.add(0, worker(1, true));
    pool.add(1, worker(2, true));
    let first = pool.acquire(Priority::Batch, "p").await;
    let second = pool.acquire(Priority::Batch, "p").await;
    assert_ne!(first.worker().incarnation, second.worker().incarnation);
    must_wait(pool.acquire(Priority::Batch, "p")).await;
    drop(first);
    let third = pool.acquire(Priority::Batch, "p").await;
    assert_eq!(third.worker().incarnation, 1);
    assert_eq!(pool.in_flight(), 2);
}

#[tokio::test]
async fn a_person_goes_before_a_batch() {
    let pool = Pool::new(1, 1);
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
    let pool = Pool::new(1, 1);
    must_wait(pool.acquire(Priority::Interactive, "p")).await;
    pool.add(0, worker(1, true));
    let _permit =
        timeout(Duration::from_secs(5), pool.acquire(Priority::Batch, "p")).await.unwrap();
    assert_eq!(pool.in_flight(), 1);
}

#[tokio::test]
async fn a_class_that_is_not_thread_safe_is_called_once_at_a_time() {
    let pool = Pool::new(1, 8);
    pool.add(0, worker(1, false));
    let _permit = pool.acquire(Priority::Batch, "p").await;
    must_wait(pool.acquire(Priority::Batch, "p")).await;
}

#[tokio::test]
async fn a_removed_worker_gets_no_calls() {
    let pool = Pool::new(1, 1);
    let gone = worker(1, true);
    pool.add(0, Arc::clone(&gone));
    let permit = pool.acquire(Priority::Batch, "p").await;
    pool.remove(0, &gone, SlotState::Starting);
    drop(permit);
    must_wait(pool.acquire(Priority::Batch, "p")).await;
    pool.add(0, worker(2, true));
    assert_eq!(pool.acquire(Priority::Batch, "p").await.worker().incarnation, 2);
}

#[tokio::test]
async fn a_project_stays_with_its_worker() {
    let pool = Pool::new(3, 8);
    for incarnation in 1..=3 {
        let slot = usize::try_from(incarnation).unwrap() - 1;
        pool.add(slot, worker(incarnation, true));
    }
    let chosen = pool.acquire(Priority::Interactive, "12.1795430965").await.worker().incarnation;
    for _ in 0..20 {
        let permit = pool.acquire(Priority::Interactive, "12.1795430965").await;
        assert_eq!(permit.worker().incarnation, chosen);
    }
}

#[tokio::test]
async fn whoever_asks_after_a_replacement_gets_a_new_worker() {
    let pool = Pool::new(2, 1);
    pool.add(0, worker(1, true));
    pool.add(1, worker(2, true));
    let before = pool.acquire(Priority::Batch, "p").await;
    let old = Arc::clone(before.worker());
    let mut switched = false;
    pool.replace_all(&[(0, worker(3, true)), (1, worker(4, true))], || switched = true);
    assert!(switched);
    let after = pool.acquire(Priority::Batch, "p").await;
    assert!(after.worker().incarnation > 2);
    let mut unused = Box::pin(pool.unused(&old));
    assert!(timeout(Duration::from_millis(20), &mut unused).await.is_err(), "it still runs a call");
    drop(before);
    timeout(Duration::from_secs(5), unused).await.unwrap();
}
