//! Deadlines for unit tests, so that a test that hangs fails.
//!
//! A test that waits for ever does not say what is wrong, and delays all others. Here code that may sleep,
//! block or spin runs on its own thread, and the test waits for that thread until a deadline.

use std::panic::resume_unwind;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Longer than any test takes, also on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Runs a test that may block; fails if it does not return in time.
pub(crate) fn in_time<T: Send + 'static>(test: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, ended) = channel();
    let running = thread::spawn(move || {
        let outcome = test();
        // The thread that waits may have given up.
        let _ = done.send(());
        outcome
    });
    let hangs = ended.recv_timeout(DEADLINE) == Err(RecvTimeoutError::Timeout);
    assert!(!hangs, "not done within {} s: something hangs", DEADLINE.as_secs());
    running.join().unwrap_or_else(|panic| resume_unwind(panic))
}

/// Runs an async test in its own runtime; fails if it does not return in time.
pub(crate) fn run_in_time<F>(test: impl FnOnce() -> F + Send + 'static) -> F::Output
where
    F: Future<Output: Send + 'static>,
{
    in_time(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(test())
    })
}

/// Waits until a condition is true; fails if that takes too long.
pub(crate) async fn until(condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < DEADLINE, "the condition is still not true");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// As `until`, on a thread without a runtime.
pub(crate) fn block_until(condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < DEADLINE, "the condition is still not true");
        thread::sleep(Duration::from_micros(200));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_on_the_other_thread_fails_the_test() {
        let failed = std::panic::catch_unwind(|| in_time(|| assert_eq!(1, 2)));
        assert!(failed.is_err());
        assert_eq!(run_in_time(|| async { 7 }), 7);
    }
}
