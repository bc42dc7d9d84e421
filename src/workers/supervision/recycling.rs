//! Decides when a worker that serves is replaced or killed.
//!
//! A worker is healthy while its process runs, sends heartbeats, and its interpreter lets other threads in.
//! If only the process runs it is stuck and cannot answer any more, so it is killed. One that has reached a
//! limit of use is replaced.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use crate::os::memory;
use crate::workers::handle::{Incarnation, WorkerHandle};
use crate::workers::heartbeat::{Silence, ticks};

/// How long an interpreter is held by one thread before that is logged.
const STUCK: Duration = Duration::from_secs(5);
/// Largest part by which a limit is reduced, at random, so that not all workers go at once.
const JITTER: f64 = 0.1;

/// Limits of one worker. None: without limit.
#[derive(Debug, Clone, Copy, Default)]
pub struct WorkerLimits {
    /// How long one thread may hold the interpreter, except while loading.
    pub stuck: Option<Duration>,
    /// Maximum number of predictions.
    pub requests: Option<u64>,
    pub age: Option<Duration>,
    /// Resident memory in bytes.
    pub memory: Option<u64>,
}

/// How a worker is recycled, and why.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Recycle {
    /// It is killed: it cannot answer any more.
    Kill(String),
    /// Another one takes its place, and it serves until then.
    Replace(String),
    /// Another one takes its place, and it gets no calls from now on: some do not end.
    DrainAndReplace(String),
}

/// Waits until a worker must go.
pub(super) async fn watch(worker: &WorkerHandle, limits: &WorkerLimits) -> Recycle {
    judge_until(worker, limits, |_| true).await
}

/// Waits until a worker that is being replaced is stuck, and returns the reason.
pub(super) async fn until_stuck(worker: &WorkerHandle, limits: &WorkerLimits) -> String {
    let recycle = judge_until(worker, limits, |recycle| matches!(recycle, Recycle::Kill(_)));
    match recycle.await {
        Recycle::Kill(reason) | Recycle::Replace(reason) | Recycle::DrainAndReplace(reason) => {
            reason
        }
    }
}

/// Judges a worker once a second, until the outcome is one that `counts`.
async fn judge_until(
    worker: &WorkerHandle,
    limits: &WorkerLimits,
    counts: impl Fn(&Recycle) -> bool,
) -> Recycle {
    let limits = limits.shortened_by(jitter(worker.incarnation));
    let began = Instant::now();
    let mut ticks = ticks();
    let (mut told, mut silence) = (false, Silence::default());
    loop {
        ticks.tick().await;
        let kept = Duration::from_millis(worker.heartbeat.interpreter_ms());
        if kept >= STUCK && !told {
            let (name, pid, seconds) = (&worker.name, worker.pid, kept.as_secs());
            warn!(
                worker = name,
                pid, "the interpreter has been kept by one thread for {seconds} s"
            );
        }
        told = kept >= STUCK;
        let memory = limits.memory.and_then(|_| memory::resident(worker.pid));
        let seen = WorkerVitals {
            silent: silence.tick(&worker.heartbeat),
            kept: if worker.heartbeat.is_loading() { Duration::ZERO } else { kept },
            stuck_calls: worker.stuck_calls(),
            answered: worker.answered(),
            age: began.elapsed(),
            memory,
        };
        if let Some(recycle) = limits.judge(&seen).filter(&counts) {
            return recycle;
        }
    }
}

/// A number from 0 to [`JITTER`], different for every worker.
fn jitter(incarnation: Incarnation) -> f64 {
    let hash = RandomState::new().hash_one(incarnation) % 1000;
    JITTER * f64::from(u32::try_from(hash).unwrap_or_default()) / 1000.0
}

/// The measurements by which a worker is judged.
#[derive(Debug, Clone, Copy, Default)]
struct WorkerVitals {
    silent: Duration,
    kept: Duration,
    stuck_calls: usize,
    answered: u64,
    age: Duration,
    memory: Option<u64>,
}

impl WorkerLimits {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a tenth more or less does not matter"
    )]
    fn shortened_by(self, part: f64) -> Self {
        let rest = 1.0 - part;
        Self {
            requests: self.requests.map(|most| ((most as f64 * rest) as u64).max(1)),
            age: self.age.map(|age| age.mul_f64(rest)),
            ..self
        }
    }

    fn judge(&self, seen: &WorkerVitals) -> Option<Recycle> {
        if let Some(stuck) = self.stuck {
            let seconds = stuck.as_secs_f64();
            if seen.silent >= stuck {
                let reason = format!("gave no sign of life for {seconds} s and was ended");
                return Some(Recycle::Kill(reason));
            }
            if seen.kept >= stuck {
                let reason = format!(
                    "let nobody into its interpreter for {seconds} s (--gil-timeout) and was ended"
                );
                return Some(Recycle::Kill(reason));
            }
        }
        let mib = |bytes: u64| bytes >> 20;
        if let (Some(most), Some(memory)) = (self.memory, seen.memory) {
            // Even while it works: it takes the memory of the machine from the others.
            if memory > most.saturating_add(most / 2) {
                let reason = format!(
                    "grew to {} MiB, over 1.5 × {} MiB (--max-worker-rss), and was ended",
                    mib(memory),
                    mib(most)
                );
                return Some(Recycle::Kill(reason));
            }
            if memory > most {
                let (memory, most) = (mib(memory), mib(most));
                let reason = format!("holds {memory} MiB, over {most} MiB (--max-worker-rss)");
                return Some(Recycle::Replace(reason));
            }
        }
        if seen.stuck_calls > 0 {
            let reason = "runs a prediction that was cancelled and does not end".into();
            return Some(Recycle::DrainAndReplace(reason));
        }
        if self.requests.is_some_and(|most| seen.answered >= most) {
            let answered = seen.answered;
            return Some(Recycle::Replace(format!(
                "answered {answered} predictions (--max-requests)"
            )));
        }
        if self.age.is_some_and(|most| seen.age >= most) {
            let seconds = seen.age.as_secs();
            return Some(Recycle::Replace(format!("is {seconds} s old (--max-worker-age)")));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: WorkerLimits = WorkerLimits {
        stuck: Some(Duration::from_secs(60)),
        requests: Some(100),
        age: Some(Duration::from_secs(1000)),
        memory: Some(100 << 20),
    };

    fn judged(seen: &WorkerVitals) -> Option<String> {
        LIMITS.judge(seen).map(|recycle| match recycle {
            Recycle::Kill(reason) => format!("kill: {reason}"),
            Recycle::Replace(reason) => format!("replace: {reason}"),
            Recycle::DrainAndReplace(reason) => format!("drain: {reason}"),
        })
    }

    #[test]
    fn every_limit_is_named() {
        let seconds = Duration::from_secs;
        let cases = [
            (
                WorkerVitals { silent: seconds(60), ..WorkerVitals::default() },
                "kill: gave no sign of life for 60 s",
            ),
            (
                WorkerVitals { kept: seconds(61), ..WorkerVitals::default() },
                "kill: let nobody into its interpreter",
            ),
            (
                WorkerVitals { memory: Some(151 << 20), ..WorkerVitals::default() },
                "kill: grew to 151 MiB",
            ),
            (
                WorkerVitals { memory: Some(101 << 20), ..WorkerVitals::default() },
                "replace: holds 101 MiB",
            ),
            (
                WorkerVitals { stuck_calls: 1, ..WorkerVitals::default() },
                "drain: runs a prediction",
            ),
            (
                WorkerVitals { answered: 100, ..WorkerVitals::default() },
                "replace: answered 100 predictions",
            ),
            (
                WorkerVitals { age: seconds(1000), ..WorkerVitals::default() },
                "replace: is 1000 s old",
            ),
        ];
        for (seen, expected) in cases {
            let said = judged(&seen).unwrap();
            assert!(said.starts_with(expected), "{said}");
        }
        let fine = WorkerVitals {
            silent: seconds(59),
            kept: seconds(59),
            answered: 99,
            ..WorkerVitals::default()
        };
        assert_eq!(judged(&fine), None);
        let worst = WorkerVitals {
            silent: seconds(99),
            stuck_calls: 1,
            answered: 100,
            ..WorkerVitals::default()
        };
        assert!(judged(&worst).unwrap().starts_with("kill"), "the most urgent reason comes first");
    }

    #[test]
    fn limits_are_shortened_and_never_nothing() {
        for part in [0.0, 0.05, JITTER] {
            let shortened = LIMITS.shortened_by(part);
            assert!((90..=100).contains(&shortened.requests.unwrap()));
            let one = WorkerLimits { requests: Some(1), ..WorkerLimits::default() };
            assert_eq!(one.shortened_by(part).requests, Some(1));
        }
        assert!((0..100).map(Incarnation).map(jitter).all(|part| (0.0..=JITTER).contains(&part)));
    }
}
