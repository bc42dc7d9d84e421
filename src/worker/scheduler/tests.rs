//! Who takes which request. What would wait for ever fails instead.

mod crowd;

use std::thread;

use super::*;
use crate::testing::{block_until, in_time};

const NOW: Duration = Duration::ZERO;
const SOON: Duration = Duration::from_secs(5);

fn item<T>(model: ModelId, item: T) -> Next<T> {
    Next::Item { model, item }
}

#[test]
fn shared_instances_are_used_by_any_thread_in_order() {
    in_time(|| {
        let dispatch = Dispatch::new(false);
        let (a, b) = (dispatch.register(), dispatch.register());
        dispatch.push(1, "first", None);
        dispatch.push(2, "second", None);
        assert_eq!(dispatch.next(b, SOON), item(1, "first"));
        assert_eq!(dispatch.next(a, SOON), item(2, "second"));
        assert_eq!(dispatch.next(a, NOW), Next::Idle);
    });
}

#[test]
fn a_request_goes_to_the_thread_that_holds_its_model() {
    in_time(|| {
        let dispatch = Dispatch::new(true);
        let (a, b) = (dispatch.register(), dispatch.register());
        dispatch.begin_making(1);
        dispatch.made(a, 1, SOON);
        dispatch.push(1, "held", None);
        dispatch.push(2, "new", None);
        assert_eq!(dispatch.next(b, NOW), item(2, "new"), "nobody holds the other one");
        assert_eq!(dispatch.next(b, NOW), Next::Idle, "the first one waits for its holder");
        assert_eq!(dispatch.next(a, NOW), item(1, "held"));
    });
}

#[test]
fn everybody_waits_while_the_first_instance_is_made() {
    in_time(|| {
        let dispatch = Dispatch::new(true);
        let (a, b) = (dispatch.register(), dispatch.register());
        dispatch.begin_making(1);
        dispatch.push(1, "early", None);
        assert_eq!(dispatch.next(b, NOW), Next::Idle);
        dispatch.not_made(1);
        assert_eq!(dispatch.next(b, NOW), item(1, "early"), "somebody else may try");
        dispatch.begin_making(1);
        dispatch.push(1, "later", None);
        dispatch.made(b, 1, SOON);
        assert_eq!(dispatch.next(a, NOW), Next::Idle);
        assert_eq!(dispatch.next(b, NOW), item(1, "later"));
    });
}

#[test]
fn a_further_instance_is_made_only_after_waiting_as_long_as_that_takes() {
    in_time(|| {
        let dispatch = Dispatch::new(true);
        let (a, b) = (dispatch.register(), dispatch.register());
        let cost = Duration::from_millis(60);
        dispatch.begin_making(1);
        dispatch.made(a, 1, cost);
        let began = Instant::now();
        dispatch.push(1, "patient", None);
        assert_eq!(dispatch.next(b, SOON), item(1, "patient"));
        assert!(began.elapsed() >= cost);
    });
}

#[test]
fn a_holder_is_woken_from_its_sleep() {
    in_time(|| {
        let dispatch = Arc::new(Dispatch::new(true));
        let ids: Vec<ThreadId> = (0..3).map(|_| dispatch.register()).collect();
        dispatch.begin_making(1);
        dispatch.made(ids[0], 1, SOON);
        let sleepers: Vec<_> = ids
            .iter()
            .map(|&id| {
                let dispatch = Arc::clone(&dispatch);
                thread::spawn(move || dispatch.next(id, Duration::from_millis(400)))
            })
            .collect();
        thread::sleep(Duration::from_millis(50));
        dispatch.push(1, "wake up", None);
        let done: Vec<_> = sleepers.into_iter().map(|sleeper| sleeper.join().unwrap()).collect();
        assert_eq!(done, [item(1, "wake up"), Next::Idle, Next::Idle]);
    });
}

#[test]
fn forgotten_models_are_dropped_where_they_are_held() {
    in_time(|| {
        let dispatch = Dispatch::<()>::new(true);
        let (a, b) = (dispatch.register(), dispatch.register());
        for thread in [a, b] {
            dispatch.begin_making(1);
            dispatch.made(thread, 1, NOW);
        }
        dispatch.forget(1);
        assert!(!dispatch.is_held(1));
        assert_eq!(dispatch.next(a, NOW), Next::Forget(vec![1]));
        assert_eq!(dispatch.next(b, NOW), Next::Forget(vec![1]));
        assert_eq!(dispatch.next(b, NOW), Next::Idle);
    });
}

#[test]
fn one_instance_is_no_surplus() {
    in_time(|| {
        let dispatch = Dispatch::<()>::new(true);
        let (a, b) = (dispatch.register(), dispatch.register());
        for thread in [a, b] {
            dispatch.begin_making(1);
            dispatch.made(thread, 1, NOW);
        }
        assert_eq!(dispatch.surplus(a), [1]);
        assert!(dispatch.surplus(b).is_empty());
        assert!(dispatch.holds(b, 1) && !dispatch.holds_any(a));
        dispatch.leave(b);
        assert!(!dispatch.is_held(1));
    });
}

#[test]
fn what_waits_is_done_before_the_end() {
    in_time(|| {
        let dispatch = Arc::new(Dispatch::new(false));
        let a = dispatch.register();
        dispatch.push(1, "last", None);
        dispatch.close();
        let drained = {
            let dispatch = Arc::clone(&dispatch);
            thread::spawn(move || dispatch.wait_drained())
        };
        assert_eq!(dispatch.next(a, SOON), item(1, "last"));
        thread::sleep(Duration::from_millis(20));
        assert!(!drained.is_finished());
        dispatch.done(a);
        drained.join().unwrap();
        assert_eq!(dispatch.next(a, SOON), Next::Closed);
    });
}

#[test]
fn an_instance_that_was_forgotten_while_it_was_made_is_dropped() {
    in_time(|| {
        let dispatch = Dispatch::<()>::new(true);
        let a = dispatch.register();
        dispatch.begin_making(1);
        dispatch.forget(1);
        dispatch.made(a, 1, NOW);
        assert!(!dispatch.is_held(1));
        assert_eq!(dispatch.next(a, NOW), Next::Forget(vec![1]));
    });
}

#[test]
fn patience_begins_when_the_first_instance_stands() {
    in_time(|| {
        let dispatch = Dispatch::new(true);
        let (a, b) = (dispatch.register(), dispatch.register());
        let cost = Duration::from_millis(60);
        dispatch.begin_making(1);
        dispatch.push(1, "early", None);
        thread::sleep(cost);
        dispatch.made(a, 1, cost);
        let began = Instant::now();
        assert_eq!(dispatch.next(b, SOON), item(1, "early"));
        assert!(began.elapsed() >= cost / 2);
    });
}

#[test]
fn whoever_is_called_away_leaves_the_watch_to_another() {
    in_time(|| {
        let dispatch = Arc::new(Dispatch::new(true));
        let (busy, first, second) = (dispatch.register(), dispatch.register(), dispatch.register());
        dispatch.begin_making(1);
        dispatch.made(busy, 1, Duration::from_millis(150));
        let sleepers: Vec<_> = [first, second]
            .map(|id| {
                let dispatch = Arc::clone(&dispatch);
                thread::spawn(move || dispatch.next(id, Duration::from_secs(5)))
            })
            .into();
        thread::sleep(Duration::from_millis(50));
        let began = Instant::now();
        dispatch.push(1, "waits for a holder", None);
        thread::sleep(Duration::from_millis(20));
        dispatch.push(2, "for anybody", None);
        let done: Vec<_> = sleepers.into_iter().map(|sleeper| sleeper.join().unwrap()).collect();
        assert!(done.contains(&item(1, "waits for a holder")), "{done:?}");
        assert!(done.contains(&item(2, "for anybody")), "{done:?}");
        assert!(began.elapsed() < Duration::from_secs(4));
    });
}

#[test]
fn who_takes_the_first_request_makes_the_instance_for_all() {
    in_time(|| {
        let dispatch = Dispatch::new(true);
        let (a, b) = (dispatch.register(), dispatch.register());
        dispatch.push(1, "first", None);
        dispatch.push(1, "second", None);
        assert_eq!(dispatch.next(a, SOON), item(1, "first"));
        assert_eq!(dispatch.next(b, Duration::from_millis(20)), Next::Idle);
        dispatch.made(a, 1, SOON);
        dispatch.done(a);
        assert_eq!(dispatch.next(a, SOON), item(1, "second"));
    });
}

#[test]
fn whoever_sleeps_while_the_last_is_taken_learns_of_the_end() {
    in_time(|| {
        let dispatch = Arc::new(Dispatch::new(true));
        let (busy, other) = (dispatch.register(), dispatch.register());
        dispatch.begin_making(1);
        dispatch.made(busy, 1, SOON);
        dispatch.push(1, "waits for its holder", None);
        dispatch.close();
        let sleeper = {
            let dispatch = Arc::clone(&dispatch);
            thread::spawn(move || dispatch.next(other, Duration::from_secs(600)))
        };
        block_until(|| dispatch.lock().idle.contains(&other));
        let began = Instant::now();
        assert_eq!(dispatch.next(busy, NOW), item(1, "waits for its holder"));
        assert_eq!(sleeper.join().unwrap(), Next::Closed);
        assert!(began.elapsed() < Duration::from_secs(4));
    });
}

/// A thread that has just been given the item of a model, where calls have been short so far.
fn at_work(by_thread: bool) -> (Dispatch<&'static str>, ThreadId) {
    let dispatch = Dispatch::new(by_thread);
    let a = dispatch.register();
    dispatch.push(1, "first", None);
    assert_eq!(dispatch.next(a, SOON), item(1, "first"));
    dispatch.lock().pace = Some(SHORT / 2);
    (dispatch, a)
}

#[test]
fn whoever_is_soon_done_is_waited_for() {
    in_time(|| {
        let (dispatch, a) = at_work(false);
        let mut state = dispatch.lock();
        let since = state.running[0].since;
        assert!(state.is_soon_taken(2, since + SHORT / 2));
        assert!(!state.is_soon_taken(2, since + SHORT), "it takes longer than usual");
        state.pace = Some(SHORT);
        assert!(!state.is_soon_taken(2, since), "calls are long");
        state.pace = None;
        assert!(!state.is_soon_taken(2, since), "nothing is known of calls");
        drop(state);
        dispatch.done(a);
        assert!(dispatch.lock().pace.is_some());
        let (by_thread, _) = at_work(true);
        let state = by_thread.lock();
        let since = state.running[0].since;
        assert!(state.is_soon_taken(1, since));
        assert!(!state.is_soon_taken(2, since), "that thread may not hold the other model");
    });
}

#[test]
fn what_waits_in_vain_is_given_to_others() {
    in_time(|| {
        let (dispatch, _) = at_work(false);
        // As long as the clock says that it has only just begun.
        dispatch.lock().running[0].since += Duration::from_secs(3600);
        let dispatch = Arc::new(dispatch);
        let b = dispatch.register();
        let other = {
            let dispatch = Arc::clone(&dispatch);
            thread::spawn(move || dispatch.next(b, Duration::from_secs(60)))
        };
        block_until(|| !dispatch.lock().idle.is_empty());
        dispatch.push(1, "second", None);
        assert!(dispatch.any_waits());
        // Something was begun since the last look, which there was none of.
        dispatch.hasten();
        thread::sleep(Duration::from_millis(20));
        assert!(!other.is_finished(), "nobody was woken for it");
        dispatch.hasten();
        assert_eq!(other.join().unwrap(), item(1, "second"));
        assert!(!dispatch.any_waits());
    });
}

/// One whose calls are short, with a wakeup, and a thread that has just done one.
fn of_short_calls(by_thread: bool) -> (Arc<Dispatch<&'static str>>, ThreadId) {
    let dispatch = Arc::new(Dispatch::new(by_thread));
    dispatch.let_read(Arc::new(Wakeup::new().unwrap()));
    let thread = dispatch.register();
    dispatch.begin_making(1);
    dispatch.made(thread, 1, NOW);
    dispatch.push(1, "first", None);
    assert!(!dispatch.hand_over(), "nobody knows yet how long calls take");
    assert_eq!(dispatch.next(thread, SOON), item(1, "first"));
    dispatch.done(thread);
    dispatch.push(1, "second", None);
    assert!(dispatch.hand_over(), "a thread is going to come for it");
    assert_eq!(dispatch.next(thread, SOON), item(1, "second"));
    dispatch.done(thread);
    (dispatch, thread)
}

#[test]
fn a_thread_without_work_reads_where_calls_are_short() {
    in_time(|| {
        let (dispatch, a) = of_short_calls(false);
        let b = dispatch.register();
        assert!(matches!(dispatch.next(a, SOON), Next::Read(_)));
        assert_eq!(dispatch.next(b, NOW), Next::Idle, "one is enough");
        dispatch.push(1, "read", Some(a));
        dispatch.push(1, "read with it", Some(a));
        assert_eq!(dispatch.next(a, SOON), item(1, "read"));
        assert_eq!(dispatch.next(b, SOON), item(1, "read with it"));
        assert!(matches!(dispatch.next(b, SOON), Next::Read(_)), "the first one does not any more");
    });
}

#[test]
fn the_lookout_reads_when_no_thread_does() {
    in_time(|| {
        let (dispatch, thread) = of_short_calls(false);
        assert!(matches!(dispatch.next(thread, SOON), Next::Read(_)));
        let lookout = thread::spawn({
            let dispatch = Arc::clone(&dispatch);
            move || dispatch.look()
        });
        // Long enough for it to go to sleep.
        thread::sleep(Duration::from_millis(30));
        assert!(!lookout.is_finished());
        dispatch.push(1, "long", Some(thread));
        assert_eq!(dispatch.next(thread, SOON), item(1, "long"));
        lookout.join().unwrap();
        assert!(!dispatch.lock().begin_reading(thread));
    });
}

#[test]
fn the_lookout_reads_while_a_call_waits_for_an_answer() {
    in_time(|| {
        use crate::worker::key_client::Attention;

        let (dispatch, thread) = of_short_calls(false);
        assert!(matches!(dispatch.next(thread, SOON), Next::Read(_)));
        dispatch.push(1, "asks", Some(thread));
        assert_eq!(dispatch.next(thread, SOON), item(1, "asks"));
        dispatch.expect();
        // Returns at once, or never.
        dispatch.look();
        assert!(!dispatch.hand_over());
        dispatch.expect_no_more();
        assert!(dispatch.hand_over());
    });
}

#[test]
fn a_thread_that_reads_is_called_back() {
    in_time(|| {
        let (dispatch, thread) = of_short_calls(true);
        let wakeup = dispatch.lock().wakeup.clone().unwrap();
        let is_rung = || {
            let mut waited = [rustix::event::PollFd::new(&*wakeup, rustix::event::PollFlags::IN)];
            rustix::event::poll(&mut waited, Some(&rustix::event::Timespec::default())).unwrap() > 0
        };
        assert!(matches!(dispatch.next(thread, SOON), Next::Read(_)));
        dispatch.push(1, "its own", Some(thread));
        assert!(!is_rung(), "it comes anyway");
        assert_eq!(dispatch.next(thread, SOON), item(1, "its own"));
        dispatch.done(thread);
        assert!(matches!(dispatch.next(thread, SOON), Next::Read(_)));
        dispatch.push(1, "somebody else's", None);
        assert!(is_rung());
        wakeup.clear();
        assert!(!is_rung());
        assert_eq!(dispatch.next(thread, SOON), item(1, "somebody else's"));
        dispatch.done(thread);
        assert!(matches!(dispatch.next(thread, SOON), Next::Read(_)));
        dispatch.forget(1);
        assert!(is_rung());
    });
}
