//! The heartbeats of a worker, which it sends every second and by which a stuck one is recognised.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

/// Time between two checks for a heartbeat.
pub(super) const TICK: Duration = Duration::from_secs(1);

/// The newest heartbeat of one worker.
#[derive(Debug, Default)]
pub struct Heartbeat {
    interpreter_ms: AtomicU64,
    loading: AtomicBool,
    heard: AtomicU64,
}

impl Heartbeat {
    pub(super) fn note(&self, interpreter_ms: u64, loading: bool) {
        self.interpreter_ms.store(interpreter_ms, Ordering::Relaxed);
        self.loading.store(loading, Ordering::Relaxed);
        self.heard.fetch_add(1, Ordering::Relaxed);
    }

    /// How long the interpreter has kept the last check waiting, in milliseconds.
    pub fn interpreter_ms(&self) -> u64 {
        self.interpreter_ms.load(Ordering::Relaxed)
    }

    /// Whether instances of models are being made or trained, which may hold the interpreter for long.
    pub fn is_loading(&self) -> bool {
        self.loading.load(Ordering::Relaxed)
    }

    /// Waits until no heartbeat has come for `limit`.
    pub async fn silent_for(&self, limit: Duration) {
        let (mut ticks, mut silence) = (ticks(), Silence::default());
        while silence.tick(self) < limit {
            ticks.tick().await;
        }
    }
}

/// Ticks once every [`TICK`], and never several times at once after a pause.
pub(super) fn ticks() -> Interval {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// How long no heartbeat has come, counted in ticks, since a server that was suspended receives none either.
#[derive(Debug, Default)]
pub(super) struct Silence {
    /// None before the first tick.
    heard: Option<u64>,
    lasts: Duration,
}

impl Silence {
    /// To be called once every [`TICK`].
    pub(super) fn tick(&mut self, heartbeat: &Heartbeat) -> Duration {
        let heard = Some(heartbeat.heard.load(Ordering::Relaxed));
        self.lasts = if heard == self.heard { self.lasts + TICK } else { Duration::ZERO };
        self.heard = heard;
        self.lasts
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::time::{Instant, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn silence_begins_anew_with_every_heartbeat() {
        let heartbeat = Arc::new(Heartbeat::default());
        let speaker = Arc::clone(&heartbeat);
        tokio::spawn(async move {
            for _ in 0..20 {
                sleep(Duration::from_secs(3)).await;
                speaker.note(0, false);
            }
        });
        let began = Instant::now();
        heartbeat.silent_for(Duration::from_secs(10)).await;
        let seconds = began.elapsed().as_secs();
        assert!((69..=72).contains(&seconds), "{seconds}");
    }
}
