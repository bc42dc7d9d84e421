//! How long a prediction may wait, and how long it may run.
//!
//! Two clocks. The first runs while a request waits for a worker. The second, for a prediction that
//! runs, is strict only once nobody waits any more: while its client is connected a slow model may
//! take its time.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// What the user chose.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// How long a request waits for a worker.
    pub queue: Duration,
    /// How long a prediction may run whose client hung up.
    pub abandoned: Duration,
    /// How long any prediction may run.
    pub run: Duration,
}

impl Deadlines {
    /// Resolves when a prediction that begins now is to be broken off; `gone` does when its client is.
    pub(super) async fn passed(self, gone: impl Future<Output = ()>) {
        let began = Instant::now();
        tokio::select! {
            () = sleep_until(began + self.run) => return,
            () = gone => {}
        }
        sleep_until(began + self.abandoned.min(self.run)).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    const DEADLINES: Deadlines = Deadlines {
        queue: Duration::ZERO,
        abandoned: Duration::from_secs(10),
        run: Duration::from_secs(60),
    };

    /// After how many seconds a prediction is broken off whose client leaves after `client`.
    async fn broken_off_after(client: u64) -> u64 {
        let began = Instant::now();
        let gone = sleep_until(began + Duration::from_secs(client));
        timeout(Duration::from_secs(1000), DEADLINES.passed(gone)).await.unwrap();
        began.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn a_prediction_may_run_on_while_somebody_waits() {
        assert_eq!(broken_off_after(0).await, 10);
        assert_eq!(broken_off_after(5).await, 10);
        assert_eq!(broken_off_after(30).await, 30);
        assert_eq!(broken_off_after(90).await, 60);
    }
}
