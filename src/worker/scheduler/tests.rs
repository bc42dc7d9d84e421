//! The choice of the thread that takes a request. A test that would wait for ever fails instead.

mod crowd;

use std::thread;

use super::state::SHORT;
use super::*;
use crate::testing::{block_until, in_time};

const M1: ModelId = ModelId(1);
const M2: ModelId = ModelId(2);
const NOW: Duration = Duration::ZERO;
const SOON: Duration = Duration::from_secs(5);

fn item<T>(model: ModelId, item: T) -> NextStep<T> {
    NextStep::Item { model, item }
}

#[test]
fn shared_instances_are_used_by_any_thread_in_order() {
    in_time(|| {
        let scheduler = Scheduler::new(false);
        let (a, b) = (scheduler.register(), scheduler.register());
        scheduler.push(M1, "first", None);
        scheduler.push(M2, "second", None);
        assert_eq!(scheduler.next(b, SOON), item(M1, "first"));
        assert_eq!(scheduler.next(a, SOON), item(M2, "second"));
        assert_eq!(scheduler.next(a, NOW), NextStep::Idle);
    });
}

#[test]
fn a_request_goes_to_the_thread_that_holds_its_model() {
    in_time(|| {
        let scheduler = Scheduler::new(true);
        let (a, b) = (scheduler.register(), scheduler.register());
        scheduler.begin_making(M1);
        scheduler.made(a, M1, SOON);
        scheduler.push(M1, "held", None);
        scheduler.push(M2, "new", None);
        assert_eq!(scheduler.next(b, NOW), item(M2, "new"), "nobody holds the other one");
        assert_eq!(scheduler.next(b, NOW), NextStep::Idle, "the first one waits for its holder");
        assert_eq!(scheduler.next(a, NOW), item(M1, "held"));
    });
}

#[test]
fn everybody_waits_while_the_first_instance_is_made() {
    in_time(|| {
        let scheduler = Scheduler::new(true);
        let (a, b) = (scheduler.register(), scheduler.register());
        scheduler.begin_making(M1);
        scheduler.push(M1, "early", None);
        assert_eq!(scheduler.next(b, NOW), NextStep::Idle);
        scheduler.not_made(M1);
        assert_eq!(scheduler.next(b, NOW), item(M1, "early"), "somebody else may try");
        scheduler.begin_making(M1);
        scheduler.push(M1, "later", None);
        scheduler.made(b, M1, SOON);
        assert_eq!(scheduler.next(a, NOW), NextStep::Idle);
        assert_eq!(scheduler.next(b, NOW), item(M1, "later"));
    });
}

#[test]
fn a_further_instance_is_made_only_after_waiting_as_long_as_that_takes() {
    in_time(|| {
        let scheduler = Scheduler::new(true);
        let (a, b) = (scheduler.register(), scheduler.register());
        let cost = Duration::from_millis(60);
        scheduler.begin_making(M1);
        scheduler.made(a, M1, cost);
        let began = Instant::now();
        scheduler.push(M1, "patient", None);
        assert_eq!(scheduler.next(b, SOON), item(M1, "patient"));
        assert!(began.elapsed() >= cost);
    });
}

#[test]
fn a_holder_is_woken_from_its_sleep() {
    in_time(|| {
        let scheduler = Arc::new(Scheduler::new(true));
        let ids: Vec<PredictThreadId> = (0..3).map(|_| scheduler.register()).collect();
        scheduler.begin_making(M1);
        scheduler.made(ids[0], M1, SOON);
        let sleepers: Vec<_> = ids
            .iter()
            .map(|&id| {
                let scheduler = Arc::clone(&scheduler);
                thread::spawn(move || scheduler.next(id, Duration::from_millis(400)))
            })
            .collect();
        thread::sleep(Duration::from_millis(50));
        scheduler.push(M1, "wake up", None);
        let done: Vec<_> = sleepers.into_iter().map(|sleeper| sleeper.join().unwrap()).collect();
        assert_eq!(done, [item(M1, "wake up"), NextStep::Idle, NextStep::Idle]);
    });
}

#[test]
fn forgotten_models_are_dropped_where_they_are_held() {
    in_time(|| {
        let scheduler = Scheduler::<()>::new(true);
        let (a, b) = (scheduler.register(), scheduler.register());
        for thread in [a, b] {
            scheduler.begin_making(M1);
            scheduler.made(thread, M1, NOW);
        }
        scheduler.forget(M1);
        assert!(!scheduler.is_held(M1));
        assert_eq!(scheduler.next(a, NOW), NextStep::Forget(vec![M1]));
        assert_eq!(scheduler.next(b, NOW), NextStep::Forget(vec![M1]));
        assert_eq!(scheduler.next(b, NOW), NextStep::Idle);
    });
}

#[test]
fn one_instance_is_not_surplus() {
    in_time(|| {
        let scheduler = Scheduler::<()>::new(true);
        let (a, b) = (scheduler.register(), scheduler.register());
        for thread in [a, b] {
            scheduler.begin_making(M1);
            scheduler.made(thread, M1, NOW);
        }
        assert_eq!(scheduler.surplus(a), [M1]);
        assert!(scheduler.surplus(b).is_empty());
        assert!(scheduler.holds(b, M1) && !scheduler.holds_any(a));
        scheduler.leave(b);
        assert!(!scheduler.is_held(M1));
    });
}

#[test]
fn waiting_items_are_done_before_the_end() {
    in_time(|| {
        let scheduler = Arc::new(Scheduler::new(false));
        let a = scheduler.register();
        scheduler.push(M1, "last", None);
        scheduler.close();
        let drained = {
            let scheduler = Arc::clone(&scheduler);
            thread::spawn(move || scheduler.wait_drained())
        };
        assert_eq!(scheduler.next(a, SOON), item(M1, "last"));
        thread::sleep(Duration::from_millis(20));
        assert!(!drained.is_finished());
        scheduler.done(a);
        drained.join().unwrap();
        assert_eq!(scheduler.next(a, SOON), NextStep::Closed);
    });
}

#[test]
fn an_instance_that_was_forgotten_while_it_was_made_is_dropped() {
    in_time(|| {
        let scheduler = Scheduler::<()>::new(true);
        let a = scheduler.register();
        scheduler.begin_making(M1);
        scheduler.forget(M1);
        scheduler.made(a, M1, NOW);
        assert!(!scheduler.is_held(M1));
        assert_eq!(scheduler.next(a, NOW), NextStep::Forget(vec![M1]));
    });
}

#[test]
fn patience_begins_when_the_first_instance_stands() {
    in_time(|| {
        let scheduler = Scheduler::new(true);
        let (a, b) = (scheduler.register(), scheduler.register());
        let cost = Duration::from_millis(60);
        scheduler.begin_making(M1);
        scheduler.push(M1, "early", None);
        thread::sleep(cost);
        scheduler.made(a, M1, cost);
        let began = Instant::now();
        assert_eq!(scheduler.next(b, SOON), item(M1, "early"));
        assert!(began.elapsed() >= cost / 2);
    });
}

#[test]
fn a_thread_that_is_called_away_leaves_the_watch_to_another() {
    in_time(|| {
        let scheduler = Arc::new(Scheduler::new(true));
        let (busy, first, second) =
            (scheduler.register(), scheduler.register(), scheduler.register());
        scheduler.begin_making(M1);
        scheduler.made(busy, M1, Duration::from_millis(150));
        let sleepers: Vec<_> = [first, second]
            .map(|id| {
                let scheduler = Arc::clone(&scheduler);
                thread::spawn(move || scheduler.next(id, Duration::from_secs(5)))
            })
            .into();
        thread::sleep(Duration::from_millis(50));
        let began = Instant::now();
        scheduler.push(M1, "waits for a holder", None);
        thread::sleep(Duration::from_millis(20));
        scheduler.push(M2, "for anybody", None);
        let done: Vec<_> = sleepers.into_iter().map(|sleeper| sleeper.join().unwrap()).collect();
        assert!(done.contains(&item(M1, "waits for a holder")), "{done:?}");
        assert!(done.contains(&item(M2, "for anybody")), "{done:?}");
        assert!(began.elapsed() < Duration::from_secs(4));
    });
}

#[test]
fn the_thread_that_takes_the_first_request_makes_the_instance_for_all() {
    in_time(|| {
        let scheduler = Scheduler::new(true);
        let (a, b) = (scheduler.register(), scheduler.register());
        scheduler.push(M1, "first", None);
        scheduler.push(M1, "second", None);
        assert_eq!(scheduler.next(a, SOON), item(M1, "first"));
        assert_eq!(scheduler.next(b, Duration::from_millis(20)), NextStep::Idle);
        scheduler.made(a, M1, SOON);
        scheduler.done(a);
        assert_eq!(scheduler.next(a, SOON), item(M1, "second"));
    });
}

#[test]
fn a_thread_that_sleeps_while_the_last_item_is_taken_learns_of_the_end() {
    in_time(|| {
        let scheduler = Arc::new(Scheduler::new(true));
        let (busy, other) = (scheduler.register(), scheduler.register());
        scheduler.begin_making(M1);
        scheduler.made(busy, M1, SOON);
        scheduler.push(M1, "waits for its holder", None);
        scheduler.close();
        let sleeper = {
            let scheduler = Arc::clone(&scheduler);
            thread::spawn(move || scheduler.next(other, Duration::from_secs(600)))
        };
        block_until(|| scheduler.lock().idle.contains(&other));
        let began = Instant::now();
        assert_eq!(scheduler.next(busy, NOW), item(M1, "waits for its holder"));
        assert_eq!(sleeper.join().unwrap(), NextStep::Closed);
        assert!(began.elapsed() < Duration::from_secs(4));
    });
}

/// A thread that has just been given the item of a model, where calls have been short so far.
fn at_work(by_thread: bool) -> (Scheduler<&'static str>, PredictThreadId) {
    let scheduler = Scheduler::new(by_thread);
    let a = scheduler.register();
    scheduler.push(M1, "first", None);
    assert_eq!(scheduler.next(a, SOON), item(M1, "first"));
    scheduler.lock().pace = Some(SHORT / 2);
    (scheduler, a)
}

#[test]
fn an_item_waits_for_a_thread_that_is_soon_done() {
    in_time(|| {
        let (scheduler, a) = at_work(false);
        let mut state = scheduler.lock();
        let since = state.running[0].since;
        assert!(state.is_soon_taken(M2, since + SHORT / 2));
        assert!(!state.is_soon_taken(M2, since + SHORT), "it takes longer than usual");
        state.pace = Some(SHORT);
        assert!(!state.is_soon_taken(M2, since), "calls are long");
        state.pace = None;
        assert!(!state.is_soon_taken(M2, since), "nothing is known of calls");
        drop(state);
        scheduler.done(a);
        assert!(scheduler.lock().pace.is_some());
        let (by_thread, _) = at_work(true);
        let state = by_thread.lock();
        let since = state.running[0].since;
        assert!(state.is_soon_taken(M1, since));
        assert!(!state.is_soon_taken(M2, since), "that thread may not hold the other model");
    });
}

#[test]
fn an_item_that_waits_in_vain_is_given_to_other_threads() {
    in_time(|| {
        let (scheduler, _) = at_work(false);
        // By the clock, the running item has only just begun, throughout the test.
        scheduler.lock().running[0].since += Duration::from_secs(3600);
        let scheduler = Arc::new(scheduler);
        let b = scheduler.register();
        let other = {
            let scheduler = Arc::clone(&scheduler);
            thread::spawn(move || scheduler.next(b, Duration::from_secs(60)))
        };
        block_until(|| !scheduler.lock().idle.is_empty());
        scheduler.push(M1, "second", None);
        assert!(scheduler.any_waits());
        // The first check only counts the items that were begun so far.
        scheduler.wake_stalled();
        thread::sleep(Duration::from_millis(20));
        assert!(!other.is_finished(), "no thread was woken for it");
        scheduler.wake_stalled();
        assert_eq!(other.join().unwrap(), item(M1, "second"));
        assert!(!scheduler.any_waits());
    });
}
