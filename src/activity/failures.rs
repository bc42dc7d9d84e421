//! Requests that failed, for a person at a terminal: the same failure again and again is told once, and then
//! counted.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::sleep;
use tracing::{error, warn};

use super::after_what;

/// Time after which repetitions are told.
const PAUSE: Duration = Duration::from_secs(10);
/// Maximum number of different failures that are told in this time; further ones are only counted.
const MOST_DIFFERENT: usize = 20;
/// Maximum length of what repetitions are recognised by, in characters.
const KEY_LENGTH: usize = 200;

/// A request that failed.
#[derive(Debug, Clone, Copy)]
pub struct FailedRequest<'a> {
    /// `predicting task 17 of project 1`, `POST /nonsense`.
    pub what: &'a str,
    /// The same without what differs from request to request.
    pub kind: &'a str,
    pub why: &'a str,
    pub traceback: Option<&'a str>,
    /// The client's mistake, not one of the server or the model.
    pub is_refusal: bool,
}

/// Tells failures, and how often they were repeated.
#[derive(Debug, Clone, Default)]
pub struct FailureTally(Arc<Mutex<Failures>>);

#[derive(Debug, Default)]
struct Failures {
    known: Vec<Repeated>,
    /// Failures that found no place among the known ones.
    others: u64,
    is_followed: bool,
}

#[derive(Debug)]
struct Repeated {
    /// What failed and why, in one line.
    key: String,
    more: u64,
    is_refusal: bool,
}

impl FailureTally {
    pub fn note(&self, failed: FailedRequest<'_>) {
        let FailedRequest { what, kind, why, traceback, is_refusal } = failed;
        let mut failures = self.0.lock();
        let first_line = why.lines().next().unwrap_or_default();
        let key: String = format!("{kind}: {first_line}").chars().take(KEY_LENGTH).collect();
        if let Some(known) = failures.known.iter_mut().find(|known| known.key == key) {
            known.more += 1;
            return;
        }
        if !std::mem::replace(&mut failures.is_followed, true) {
            tokio::spawn(self.clone().follow());
        }
        if failures.known.len() >= MOST_DIFFERENT {
            failures.others += 1;
            return;
        }
        failures.known.push(Repeated { key, more: 0, is_refusal });
        drop(failures);
        if is_refusal {
            warn!("refused {what}: {why}");
        } else {
            error!("failed {what}{}", after_what(why, traceback));
        }
    }

    /// Tells what was repeated until a pause without failures.
    async fn follow(self) {
        loop {
            sleep(PAUSE).await;
            let mut failures = self.0.lock();
            failures.known.retain(|known| known.more > 0);
            if failures.known.is_empty() && failures.others == 0 {
                failures.is_followed = false;
                return;
            }
            for known in &mut failures.known {
                let again = times(std::mem::take(&mut known.more));
                let (shown, is_refusal) = (&known.key, known.is_refusal);
                if is_refusal {
                    warn!("refused {again}: {shown}");
                } else {
                    error!("failed {again}: {shown}");
                }
            }
            let others = std::mem::take(&mut failures.others);
            if others > 0 {
                warn!("failed {}, for other reasons", times(others));
            }
        }
    }
}

fn times(number: u64) -> String {
    if number == 1 { "once more".into() } else { format!("{number} more times") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(why: &str) -> FailedRequest<'_> {
        let (what, kind) = ("predicting task 17 of project 1", "predicting project 1");
        FailedRequest { what, kind, why, traceback: None, is_refusal: false }
    }

    fn waiting(tally: &FailureTally) -> Vec<u64> {
        tally.0.lock().known.iter().map(|known| known.more).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_repeats_is_counted_until_it_ends() {
        let tally = FailureTally::default();
        for _ in 0..3 {
            tally.note(failed("a"));
        }
        tally.note(failed("b"));
        assert_eq!(waiting(&tally), [2, 0]);
        sleep(PAUSE + Duration::from_secs(1)).await;
        assert_eq!(waiting(&tally), [0], "it was told, and `b` is forgotten");
        tally.note(failed("a"));
        assert_eq!(waiting(&tally), [1]);
        sleep(PAUSE * 3).await;
        assert!(waiting(&tally).is_empty() && !tally.0.lock().is_followed);
    }

    #[tokio::test(start_paused = true)]
    async fn many_different_failures_are_bounded() {
        let tally = FailureTally::default();
        for number in 0..1000 {
            tally.note(failed(&number.to_string()));
        }
        assert_eq!(waiting(&tally).len(), MOST_DIFFERENT);
        assert_eq!(tally.0.lock().others, 1000 - MOST_DIFFERENT as u64);
    }
}
