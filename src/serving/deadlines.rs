//! How long a prediction may wait, and how long it may run.
//!
//! Two clocks. The first runs while a request waits for a worker, or in a worker for the call that answers
//! it. The second runs during a prediction, and is strict only once the client has hung up: while a client
//! is connected, a slow model may take its time.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};
use tracing::info;

use super::error::ServingError;
use crate::ids::ProjectKey;
use crate::workers::handle::{Interruption, Interruptions};

/// The deadlines that the user chose.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// How long a request waits for a worker.
    pub queue: Duration,
    /// How long a prediction may run after its client hung up.
    pub abandoned: Duration,
    /// How long any prediction may run.
    pub run: Duration,
}

/// A client that waits for a `T`.
pub(super) type Client<T> = oneshot::Sender<Result<T, ServingError>>;

/// The deadlines of one prediction, or of one request to the user's app.
pub(super) struct CallClock<T> {
    deadlines: Deadlines,
    began: Instant,
    stage: CallStage,
    /// None once the client has its answer.
    client: Option<Client<T>>,
    too_long: fn(Duration) -> ServingError,
    /// What is asked for, and the project; empty for a request to the user's app, which knows none.
    what: &'static str,
    project: String,
    is_broken_off: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum CallStage {
    /// It may wait in the worker to be batched, but must begin by then.
    Gathers(Instant),
    Runs,
    /// Its client is gone.
    Abandoned,
}

impl Deadlines {
    /// For a call that a worker gets now. Where it may have to wait there, the first clock has run since
    /// `asked`. `too_long` is the error of one that has run for as long as it may.
    pub(super) fn begin<T>(
        self,
        client: Client<T>,
        gathers: bool,
        asked: Instant,
        too_long: fn(Duration) -> ServingError,
    ) -> CallClock<T> {
        let stage = if gathers { CallStage::Gathers(asked + self.queue) } else { CallStage::Runs };
        let (began, client) = (Instant::now(), Some(client));
        CallClock {
            deadlines: self,
            began,
            stage,
            client,
            too_long,
            what: "request to the app",
            project: String::new(),
            is_broken_off: false,
        }
    }
}

impl<T> CallClock<T> {
    pub(super) fn answer(&mut self, answer: Result<T, ServingError>) {
        if let Some(client) = self.client.take() {
            // A client that hung up does not need the answer.
            let _ = client.send(answer);
        }
    }

    /// Makes the log say that the call is a prediction of a project.
    pub(super) fn predicts(self, project: &ProjectKey) -> Self {
        Self { what: "prediction", project: project.as_str().to_owned(), ..self }
    }

    /// Logs why a call that was cancelled did not begin. Why one was broken off is in the log by then.
    pub(super) fn tell_withdrawn(&self) {
        if !self.is_broken_off {
            let reason = match self.stage {
                CallStage::Abandoned => "its client hung up before it began",
                CallStage::Gathers(_) | CallStage::Runs => "no worker began it in time",
            };
            info!(project = self.project, "a prediction is not made: {reason}");
        }
    }

    fn tell_broken_off(&self) {
        let (ran, Deadlines { abandoned, run, .. }) = (self.began.elapsed(), self.deadlines);
        let reason = if self.stage == CallStage::Abandoned && abandoned < run {
            format!("its client hung up, and it ran on past --predict-timeout ({abandoned:?})")
        } else {
            format!("it ran past --predict-hard-timeout ({run:?})")
        };
        let seconds = ran.as_secs_f64();
        info!(
            project = self.project,
            "a {} is cancelled after {seconds:.1} s: {reason}", self.what
        );
    }

    /// Resolves when the client is gone.
    async fn gone(client: &mut Option<Client<T>>) {
        match client {
            Some(client) => client.closed().await,
            None => std::future::pending().await,
        }
    }
}

impl<T: Send> Interruptions for CallClock<T> {
    async fn next(&mut self) -> Interruption {
        let Self { deadlines, began, stage, client, too_long, .. } = self;
        let until = match *stage {
            CallStage::Gathers(until) => until,
            CallStage::Runs => *began + deadlines.run,
            CallStage::Abandoned => *began + deadlines.abandoned.min(deadlines.run),
        };
        tokio::select! {
            () = sleep_until(until) => {
                if let CallStage::Gathers(_) = *stage {
                    *stage = CallStage::Runs;
                    return Interruption::Withdraw;
                }
            }
            () = Self::gone(client), if *stage != CallStage::Abandoned => {
                *stage = CallStage::Abandoned;
                return Interruption::Withdraw;
            }
        }
        // The client gets its answer without waiting for the worker to cancel.
        let too_long = too_long(deadlines.run);
        self.answer(Err(too_long));
        self.is_broken_off = true;
        self.tell_broken_off();
        Interruption::BreakOff
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    const DEADLINES: Deadlines = Deadlines {
        queue: Duration::from_secs(5),
        abandoned: Duration::from_secs(10),
        run: Duration::from_secs(60),
    };

    /// How a prediction ends whose client leaves after `client` seconds, and after how many seconds. If it
    /// gathers, its request came two seconds earlier.
    async fn ends(gathers: bool, client: u64) -> Vec<(Interruption, u64)> {
        let began = Instant::now();
        let (sender, receiver) = oneshot::channel::<Result<(), _>>();
        let asked = began.checked_sub(Duration::from_secs(2)).unwrap();
        let mut waiting = DEADLINES.begin(sender, gathers, asked, ServingError::TooLong);
        tokio::spawn(async move {
            sleep_until(began + Duration::from_secs(client)).await;
            drop(receiver);
        });
        let mut verdicts = Vec::new();
        loop {
            let verdict = timeout(Duration::from_secs(1000), waiting.next()).await.unwrap();
            verdicts.push((verdict, began.elapsed().as_secs()));
            if verdict == Interruption::BreakOff {
                return verdicts;
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_prediction_may_run_on_while_somebody_waits() {
        for (client, ends_after) in [(0, 10), (5, 10), (30, 30)] {
            // It does not begin without a client.
            let expected = [(Interruption::Withdraw, client), (Interruption::BreakOff, ends_after)];
            assert_eq!(ends(false, client).await, expected, "{client}");
        }
        assert_eq!(ends(false, 90).await, [(Interruption::BreakOff, 60)]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_gathers_is_not_to_begin_late() {
        let (withdraw, end) = (Interruption::Withdraw, Interruption::BreakOff);
        assert_eq!(ends(true, 1).await, [(withdraw, 1), (end, 10)]);
        assert_eq!(ends(true, 30).await, [(withdraw, 3), (withdraw, 30), (end, 30)]);
        assert_eq!(ends(true, 90).await, [(withdraw, 3), (end, 60)]);
    }
}
