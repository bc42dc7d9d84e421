//! A crowd of requests and real threads, in any order: each request is run once, and nobody sleeps
//! while something waits that could be run.

use std::collections::BTreeSet;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;

use proptest::prelude::*;

use super::*;

/// A thread that is not woken sleeps for so long, which is longer than the test lets it.
const PATIENCE: Duration = Duration::from_secs(600);
/// Milliseconds of work become seconds only if somebody sleeps.
const HANGS: Duration = Duration::from_secs(30);

/// How often the thread that reads the channel looks.
const LOOKS: Duration = Duration::from_millis(1);

/// What comes from the server.
#[derive(Debug, Clone, Copy)]
enum Step {
    Push(ModelId),
    Forget(ModelId),
    /// Nothing for so many microseconds.
    Pause(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..4u64).prop_map(Step::Push),
        1 => (0..4u64).prop_map(Step::Forget),
        2 => (0..3_000u64).prop_map(Step::Pause),
    ]
}

/// How making instances goes: every so many fail, each takes so many microseconds.
#[derive(Debug, Clone, Copy)]
struct Making {
    fails: usize,
    takes: u64,
}

/// A predict thread, as `runtime` runs it. Says what it ran.
fn take_work(dispatch: &Dispatch<usize>, by_thread: bool, making: Making) -> Vec<usize> {
    let thread = dispatch.register();
    let mut ran = Vec::new();
    loop {
        match dispatch.next(thread, PATIENCE) {
            Next::Item { model, item } => {
                if by_thread && !dispatch.holds(thread, model) {
                    let cost = Duration::from_micros(making.takes);
                    thread::sleep(cost);
                    if item % making.fails == 0 {
                        dispatch.not_made(model);
                    } else {
                        dispatch.made(thread, model, cost);
                    }
                }
                ran.push(item);
                dispatch.done(thread);
            }
            Next::Forget(_) | Next::Idle => {}
            Next::Closed => break,
        }
    }
    dispatch.leave(thread);
    ran
}

proptest! {
    // What hangs does so now and then, and each time for long: a smaller case is not worth looking for.
    #![proptest_config(ProptestConfig {
        cases: 48,
        max_shrink_iters: 0,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_request_is_run_once_and_nobody_sleeps_for_ever(
        by_thread: bool,
        threads in 1..5usize,
        fails in 2..9usize,
        takes in 0..2_000u64,
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let dispatch = Arc::new(Dispatch::new(by_thread));
        let making = Making { fails, takes };
        let (report, ended) = mpsc::channel();
        for _ in 0..threads {
            let (dispatch, report) = (Arc::clone(&dispatch), report.clone());
            thread::spawn(move || report.send(take_work(&dispatch, by_thread, making)));
        }
        let (done, over) = mpsc::channel::<()>();
        let watcher = thread::spawn({
            let dispatch = Arc::clone(&dispatch);
            move || while over.recv_timeout(LOOKS).is_err_and(|e| e == RecvTimeoutError::Timeout) {
                dispatch.hasten();
            }
        });
        let mut pushed = 0;
        for step in steps {
            match step {
                Step::Push(model) => {
                    dispatch.push(model, pushed);
                    pushed += 1;
                }
                Step::Forget(model) => dispatch.forget(model),
                Step::Pause(micros) => thread::sleep(Duration::from_micros(micros)),
            }
        }
        dispatch.close();
        let mut ran = Vec::new();
        for _ in 0..threads {
            let one = ended.recv_timeout(HANGS);
            prop_assert!(one.is_ok(), "a thread sleeps while something waits: {dispatch:?}");
            ran.extend(one.unwrap());
        }
        dispatch.wait_drained();
        drop(done);
        prop_assert!(watcher.join().is_ok());
        prop_assert_eq!(ran.len(), pushed);
        prop_assert_eq!(ran.into_iter().collect::<BTreeSet<_>>().len(), pushed);
    }
}
