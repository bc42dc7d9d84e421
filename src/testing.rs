//! For unit tests: what hangs fails.
//!
//! A test that waits for ever tells nobody what is wrong, and holds up all the others. Code that
//! may sleep, block or spin runs on a thread of its own here, which is waited for until a deadline.

use std::panic::resume_unwind;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Longer than any test takes, on a machine that is busy with others.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Runs a test that may block, and fails if it does not come back.
pub(crate) fn in_time<T: Send + 'static>(test: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, ended) = channel();
    let running = thread::spawn(move || {
        let outcome = test();
        // The thread that waited for it may have given up.
        let _ = done.send(());
        outcome
    });
    let hangs = ended.recv_timeout(DEADLINE) == Err(RecvTimeoutError::Timeout);
    assert!(!hangs, "not done within {} s: something waits for ever", DEADLINE.as_secs());
    running.join().unwrap_or_else(|panic| resume_unwind(panic))
}

/// The same for a test that awaits something, in a runtime of its own.
pub(crate) fn run_in_time<F>(test: impl FnOnce() -> F + Send + 'static) -> F::Output
where
    F: Future<Output: Send + 'static>,
{
    in_time(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(test())
    })
}

/// Waits until something has come to pass.
pub(crate) async fn until(has_come: impl Fn() -> bool) {
    let began = Instant::now();
    while !has_come() {
        assert!(began.elapsed() < DEADLINE, "it does not come to pass");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// The same on a thread without a runtime.
pub(crate) fn block_until(has_come: impl Fn() -> bool) {
    let began = Instant::now();
    while !has_come() {
        assert!(began.elapsed() < DEADLINE, "it does not come to pass");
        thread::sleep(Duration::from_micros(200));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_on_the_other_thread_is_one_of_the_test() {
        let failed = std::panic::catch_unwind(|| in_time(|| assert_eq!(1, 2)));
        assert!(failed.is_err());
        assert_eq!(run_in_time(|| async { 7 }), 7);
    }
}
