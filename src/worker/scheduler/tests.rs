//! Who takes which request. What would wait for ever fails instead.

mod crowd;

use std::thread;

use super::*;
use crate::testing::{block_until, in_time};

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
        scheduler.push(ModelId(1), "first", None);
        scheduler.push(ModelId(2), "second", None);
        assert_eq!(scheduler.next(b, SOON), item(ModelId(1), "first"));
        assert_eq!(scheduler.next(a, SOON), item(ModelId(2), "second"));
        assert_eq!(scheduler.next(a, NOW), NextStep::Idle);
    });
}

#[test]
fn a_request_goes_to_the_thread_that_holds_its_model() {
    in_time(|| {
        let scheduler = Scheduler::new(true);
        let (a, b) = (scheduler.register(), scheduler.register());
        scheduler.begin_making(ModelId(1));
        scheduler.made(a, ModelId(1), SOON);
        scheduler.push(ModelId(1), "held", None);
        scheduler.push(ModelId(2), "new", None);
        assert_eq!(scheduler.next(b, NOW), item(ModelId(2), "new"), "nobody holds the other one");
        assert_eq!(scheduler.next(b, NOW), NextStep::Idle, "the first one waits for its holder");
        assert_eq!(scheduler.next(a, NOW), item(ModelId(1), "held"));
    });
}

#[test]
fn everybody_waits_while_the_first_instance_is_made() {
    in_time(|| {
        let scheduler = Scheduler::new(true);
        let (a, b) = (scheduler.register(), scheduler.register());
        scheduler.begin_making(ModelId(1));
        scheduler.push(ModelId(1), "early", None);
        assert_eq!(scheduler.next(b, NOW), NextStep::Idle);
        scheduler.not_made(ModelId(1));
        assert_eq!(scheduler.next(b, NOW), item(ModelId(1), "early"), "somebody else may try");
        scheduler.begin_making(ModelId(1));
        scheduler.push(ModelId(1), "later", None);
        scheduler.made(b, ModelId(1), SOON);
        assert_eq!(scheduler.next(a, NOW), NextStep::Idle);
        assert_eq!(scheduler.next(b, NOW), item(ModelId(1), "later"));
    });
}

#[test]
fn a_further_instance_is_made_only_after_waiting_as_long_as_that_takes() {
    in_time(|| {
        let scheduler = Scheduler::new(true);
        let (a, b) = (scheduler.register(), scheduler.register());
        let cost = Duration::from_millis(60);
        scheduler.begin_making(ModelId(1));
        scheduler.made(a, ModelId(1), cost);
        let began = Instant::now();
        scheduler.push(ModelId(1), "patient", None);
        assert_eq!(scheduler.next(b, SOON), item(ModelId(1), "patient"));
        assert!(began.elapsed() >= cost);
    });
}

#[test]
fn a_holder_is_woken_from_its_sleep() {
    in_time(|| {
        let scheduler = Arc::new(Scheduler::new(true));
        let ids: Vec<PredictThreadId> = (0..3).map(|_| scheduler.register()).collect();
        scheduler.begin_making(ModelId(1));
        scheduler.made(ids[0], ModelId(1), SOON);
        let sleepers: Vec<_> = ids
            .iter()
            .map(|&id| {
                let scheduler = Arc::clone(&scheduler);
                thread::spawn(move || scheduler.next(id, Duration::from_millis(400)))
            })
            .collect();
        thread::sleep(Duration::from_millis(50));
        scheduler.push(ModelId(1), "wake up", None);
        let done: Vec<_> = sleepers.into_iter().map(|sleeper| sleeper.join().unwrap()).collect();
        assert_eq!(done, [item(ModelId(1), "wake up"), NextStep::Idle, NextStep::Idle]);
    });
}

#[test]
fn forgotten_models_are_dropped_where_they_are_held() {
    in_time(|| {
        let scheduler = Scheduler::<()>::new(true);
        let (a, b) = (scheduler.register(), scheduler.register());
        for thread in [a, b] {
            scheduler.begin_making(ModelId(1));
            scheduler.made(thread, ModelId(1), NOW);
        }
        scheduler.forget(ModelId(1));
        assert!(!scheduler.is_held(ModelId(1)));
        assert_eq!(scheduler.next(a, NOW), NextStep::Forget(vec![ModelId(1)]));
        assert_eq!(scheduler.next(b, NOW), NextStep::Forget(vec![ModelId(1)]));
        assert_eq!(scheduler.next(b, NOW), NextStep::Idle);
    });
}

#[test]
fn one_instance_is_no_surplus() {
    in_time(|| {
        let scheduler = Scheduler::<()>::new(true);
        let (a, b) = (scheduler.register(), scheduler.register());
        for thread in [a, b] {
            scheduler.begin_making(ModelId(1));
            scheduler.made(thread, ModelId(1), NOW);
        }
        assert_eq!(scheduler.surplus(a), [ModelId(1)]);
        assert!(scheduler.surplus(b).is_empty());
        assert!(scheduler.holds(b, ModelId(1)) && !scheduler.holds_any(a));
        scheduler.leave(b);
        assert!(!scheduler.is_held(ModelId(1)));
    });
}

#[test]
fn what_waits_is_done_before_the_end() {
    in_time(|| {
        let scheduler = Arc::new(Scheduler::new(false));
        let a = scheduler.register();
        scheduler.push(ModelId(1), "last", None);
        scheduler.close();
        let drained = {
            let scheduler = Arc::clone(&scheduler);
            thread::spawn(move || scheduler.wait_drained())
        };
        assert_eq!(scheduler.next(a, SOON), item(ModelId(1), "last"));
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
        scheduler.begin_making(ModelId(1));
        scheduler.forget(ModelId(1));
        scheduler.made(a, ModelId(1), NOW);
        assert!(!scheduler.is_held(ModelId(1)));
        assert_eq!(scheduler.next(a, NOW), NextStep::Forget(vec![ModelId(1)]));
    });
}

#[test]
fn patience_begins_when_the_first_instance_stands() {
    in_time(|| {
        let scheduler = Scheduler::new(true);
        let (a, b) = (scheduler.register(), scheduler.register());
        let cost = Duration::from_millis(60);
        scheduler.begin_making(ModelId(1));
        scheduler.push(ModelId(1), "early", None);
        thread::sleep(cost);
        scheduler.made(a, ModelId(1), cost);
        let began = Instant::now();
        assert_eq!(scheduler.next(b, SOON), item(ModelId(1), "early"));
        assert!(began.elapsed() >= cost / 2);
    });
}

#[test]
fn whoever_is_called_away_leaves_the_watch_to_another() {
    in_time(|| {
        let scheduler = Arc::new(Scheduler::new(true));
        let (busy, first, second) =
            (scheduler.register(), scheduler.register(), scheduler.register());
        scheduler.begin_making(ModelId(1));
        scheduler.made(busy, ModelId(1), Duration::from_millis(150));
        let sleepers: Vec<_> = [first, second]
            .map(|id| {
                let scheduler = Arc::clone(&scheduler);
                thread::spawn(move || scheduler.next(id, Duration::from_secs(5)))
            })
            .into();
        thread::sleep(Duration::from_millis(50));
        let began = Instant::now();
        scheduler.push(ModelId(1), "waits for a holder", None);
        thread::sleep(Duration::from_millis(20));
        scheduler.push(ModelId(2), "for anybody", None);
        let done: Vec<_> = sleepers.into_iter().map(|sleeper| sleeper.join().unwrap()).collect();
        assert!(done.contains(&item(ModelId(1), "waits for a holder")), "{done:?}");
        assert!(done.contains(&item(ModelId(2), "for anybody")), "{done:?}");
        assert!(began.elapsed() < Duration::from_secs(4));
    });
}

#[test]
fn who_takes_the_first_request_makes_the_instance_for_all() {
    in_time(|| {
        let scheduler = Scheduler::new(true);
        let (a, b) = (scheduler.register(), scheduler.register());
        scheduler.push(ModelId(1), "first", None);
        scheduler.push(ModelId(1), "second", None);
        assert_eq!(scheduler.next(a, SOON), item(ModelId(1), "first"));
        assert_eq!(scheduler.next(b, Duration::from_millis(20)), NextStep::Idle);
        scheduler.made(a, ModelId(1), SOON);
        scheduler.done(a);
        assert_eq!(scheduler.next(a, SOON), item(ModelId(1), "second"));
    });
}

#[test]
fn whoever_sleeps_while_the_last_is_taken_learns_of_the_end() {
    in_time(|| {
        let scheduler = Arc::new(Scheduler::new(true));
        let (busy, other) = (scheduler.register(), scheduler.register());
        scheduler.begin_making(ModelId(1));
        scheduler.made(busy, ModelId(1), SOON);
        scheduler.push(ModelId(1), "waits for its holder", None);
        scheduler.close();
        let sleeper = {
            let scheduler = Arc::clone(&scheduler);
            thread::spawn(move || scheduler.next(other, Duration::from_secs(600)))
        };
        block_until(|| scheduler.lock().idle.contains(&other));
        let began = Instant::now();
        assert_eq!(scheduler.next(busy, NOW), item(ModelId(1), "waits for its holder"));
        assert_eq!(sleeper.join().unwrap(), NextStep::Closed);
        assert!(began.elapsed() < Duration::from_secs(4));
    });
}

/// A thread that has just been given the item of a model, where calls have been short so far.
fn at_work(by_thread: bool) -> (Scheduler<&'static str>, PredictThreadId) {
    let scheduler = Scheduler::new(by_thread);
    let a = scheduler.register();
    scheduler.push(ModelId(1), "first", None);
    assert_eq!(scheduler.next(a, SOON), item(ModelId(1), "first"));
    scheduler.lock().pace = Some(SHORT / 2);
    (scheduler, a)
}

#[test]
fn whoever_is_soon_done_is_waited_for() {
    in_time(|| {
        let (scheduler, a) = at_work(false);
        let mut state = scheduler.lock();
        let since = state.running[0].since;
        assert!(state.is_soon_taken(ModelId(2), since + SHORT / 2));
        assert!(!state.is_soon_taken(ModelId(2), since + SHORT), "it takes longer than usual");
        state.pace = Some(SHORT);
        assert!(!state.is_soon_taken(ModelId(2), since), "calls are long");
        state.pace = None;
        assert!(!state.is_soon_taken(ModelId(2), since), "nothing is known of calls");
        drop(state);
        scheduler.done(a);
        assert!(scheduler.lock().pace.is_some());
        let (by_thread, _) = at_work(true);
        let state = by_thread.lock();
        let since = state.running[0].since;
        assert!(state.is_soon_taken(ModelId(1), since));
        assert!(
            !state.is_soon_taken(ModelId(2), since),
            "that thread may not hold the other model"
        );
    });
}

#[test]
fn what_waits_in_vain_is_given_to_others() {
    in_time(|| {
        let (scheduler, _) = at_work(false);
        // As long as the clock says that it has only just begun.
        scheduler.lock().running[0].since += Duration::from_secs(3600);
        let scheduler = Arc::new(scheduler);
        let b = scheduler.register();
        let other = {
            let scheduler = Arc::clone(&scheduler);
            thread::spawn(move || scheduler.next(b, Duration::from_secs(60)))
        };
        block_until(|| !scheduler.lock().idle.is_empty());
        scheduler.push(ModelId(1), "second", None);
        assert!(scheduler.any_waits());
        // Something was begun since the last look, which there was none of.
        scheduler.wake_stalled();
        thread::sleep(Duration::from_millis(20));
        assert!(!other.is_finished(), "nobody was woken for it");
        scheduler.wake_stalled();
        assert_eq!(other.join().unwrap(), item(ModelId(1), "second"));
        assert!(!scheduler.any_waits());
    });
}

/// One whose calls are short, with a wakeup, and a thread that has just done one.
fn of_short_calls(by_thread: bool) -> (Arc<Scheduler<&'static str>>, PredictThreadId) {
    let scheduler = Arc::new(Scheduler::new(by_thread));
    scheduler.allow_reading(Arc::new(Wakeup::new().unwrap()));
    let thread = scheduler.register();
    scheduler.begin_making(ModelId(1));
    scheduler.made(thread, ModelId(1), NOW);
    scheduler.push(ModelId(1), "first", None);
    assert!(!scheduler.hand_over_reading(), "nobody knows yet how long calls take");
    assert_eq!(scheduler.next(thread, SOON), item(ModelId(1), "first"));
    scheduler.done(thread);
    scheduler.push(ModelId(1), "second", None);
    assert!(scheduler.hand_over_reading(), "a thread is going to come for it");
    assert_eq!(scheduler.next(thread, SOON), item(ModelId(1), "second"));
    scheduler.done(thread);
    (scheduler, thread)
}

#[test]
fn a_thread_without_work_reads_where_calls_are_short() {
    in_time(|| {
        let (scheduler, a) = of_short_calls(false);
        let b = scheduler.register();
        assert!(matches!(scheduler.next(a, SOON), NextStep::Read(_)));
        assert_eq!(scheduler.next(b, NOW), NextStep::Idle, "one is enough");
        scheduler.push(ModelId(1), "read", Some(a));
        scheduler.push(ModelId(1), "read with it", Some(a));
        assert_eq!(scheduler.next(a, SOON), item(ModelId(1), "read"));
        assert_eq!(scheduler.next(b, SOON), item(ModelId(1), "read with it"));
        assert!(
            matches!(scheduler.next(b, SOON), NextStep::Read(_)),
            "the first one does not any more"
        );
    });
}

#[test]
fn the_fallback_reader_reads_when_no_thread_does() {
    in_time(|| {
        let (scheduler, thread) = of_short_calls(false);
        assert!(matches!(scheduler.next(thread, SOON), NextStep::Read(_)));
        let fallback_reader = thread::spawn({
            let scheduler = Arc::clone(&scheduler);
            move || scheduler.wait_for_reading()
        });
        // Long enough for it to go to sleep.
        thread::sleep(Duration::from_millis(30));
        assert!(!fallback_reader.is_finished());
        scheduler.push(ModelId(1), "long", Some(thread));
        assert_eq!(scheduler.next(thread, SOON), item(ModelId(1), "long"));
        fallback_reader.join().unwrap();
        assert!(!scheduler.lock().begin_reading(thread));
    });
}

#[test]
fn the_fallback_reader_reads_while_a_call_waits_for_an_answer() {
    in_time(|| {
        use crate::worker::key_client::Attention;

        let (scheduler, thread) = of_short_calls(false);
        assert!(matches!(scheduler.next(thread, SOON), NextStep::Read(_)));
        scheduler.push(ModelId(1), "asks", Some(thread));
        assert_eq!(scheduler.next(thread, SOON), item(ModelId(1), "asks"));
        scheduler.expect();
        // Returns at once, or never.
        scheduler.wait_for_reading();
        assert!(!scheduler.hand_over_reading());
        scheduler.expect_no_more();
        assert!(scheduler.hand_over_reading());
    });
}

#[test]
fn a_thread_that_reads_is_called_back() {
    in_time(|| {
        let (scheduler, thread) = of_short_calls(true);
        let wakeup = scheduler.lock().wakeup.clone().unwrap();
        let is_rung = || {
            let mut waited = [rustix::event::PollFd::new(&*wakeup, rustix::event::PollFlags::IN)];
            rustix::event::poll(&mut waited, Some(&rustix::event::Timespec::default())).unwrap() > 0
        };
        assert!(matches!(scheduler.next(thread, SOON), NextStep::Read(_)));
        scheduler.push(ModelId(1), "its own", Some(thread));
        assert!(!is_rung(), "it comes anyway");
        assert_eq!(scheduler.next(thread, SOON), item(ModelId(1), "its own"));
        scheduler.done(thread);
        assert!(matches!(scheduler.next(thread, SOON), NextStep::Read(_)));
        scheduler.push(ModelId(1), "somebody else's", None);
        assert!(is_rung());
        wakeup.clear();
        assert!(!is_rung());
        assert_eq!(scheduler.next(thread, SOON), item(ModelId(1), "somebody else's"));
        scheduler.done(thread);
        assert!(matches!(scheduler.next(thread, SOON), NextStep::Read(_)));
        scheduler.forget(ModelId(1));
        assert!(is_rung());
    });
}
