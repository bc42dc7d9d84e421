//! Requests that pass through the user's app: which worker gets one, and how long it may take.
//!
//! They have places of their own in each worker, so they neither wait for predictions nor take a place from
//! one.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::time::{Instant, sleep};

use super::deadlines::Deadlines;
use super::error::ServingError;
use super::registry::Registry;
use crate::wire::http::{AppAnswer, AppRequest, MAX_APP_CALLS};
use crate::wire::shared_body::SharedBody;
use crate::workers::handle::{WorkerError, WorkerHandle};

/// Passes requests to the app of a worker.
#[derive(Debug)]
pub(super) struct AppCaller {
    registry: Arc<Registry>,
    deadlines: Deadlines,
    /// One for each request that the apps of all workers answer at a time.
    places: Arc<Semaphore>,
    /// Stops waiting for answers.
    ended: watch::Sender<bool>,
}

impl AppCaller {
    pub(super) fn new(registry: Arc<Registry>, deadlines: Deadlines) -> Self {
        let places = registry.workers.pool.slots().len().saturating_mul(MAX_APP_CALLS);
        let places = Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS)));
        Self { registry, deadlines, places, ended: watch::channel(false).0 }
    }

    pub(super) fn end(&self) {
        self.ended.send_replace(true);
    }

    pub(super) async fn ask(
        &self,
        asked: AppRequest,
        body: SharedBody,
    ) -> Result<(AppAnswer, Bytes), ServingError> {
        let mut ended = self.ended.subscribe();
        tokio::select! {
            answered = self.try_ask(asked, body) => answered,
            _ = ended.wait_for(|ended| *ended) => Err(ServingError::Stopping),
        }
    }

    async fn try_ask(
        &self,
        asked: AppRequest,
        body: SharedBody,
    ) -> Result<(AppAnswer, Bytes), ServingError> {
        let pool = &self.registry.workers.pool;
        let began = Instant::now();
        let free = async {
            // Never closed, so the place comes.
            let place = Arc::clone(&self.places).acquire_owned().await.ok();
            (place, self.least_busy().await)
        };
        let (place, worker) = tokio::select! {
            biased;
            free = free => free,
            reason = pool.until_all_failed() => return Err(ServingError::NotReady(reason)),
            () = sleep(self.deadlines.queue) => {
                return Err(ServingError::Busy(self.deadlines.queue));
            }
        };
        let (client, answer) = oneshot::channel();
        let mut waiting = self.deadlines.begin(client, false, began, ServingError::AppTooLong);
        let run = self.deadlines.run;
        // It runs to its end even if its client hangs up, as Label Studio does after a second.
        tokio::spawn(async move {
            let answered = worker.ask_app(asked, body, &mut waiting).await;
            drop(place);
            waiting.answer(answered.map_err(|error| match error {
                WorkerError::Cancelled => ServingError::AppTooLong(run),
                error => error.into(),
            }));
        });
        let given_up = |_| ServingError::NotReady("the request was given up".into());
        answer.await.map_err(given_up)?
    }

    /// The ready worker whose app answers the fewest requests, as soon as there is one.
    async fn least_busy(&self) -> Arc<WorkerHandle> {
        let pool = &self.registry.workers.pool;
        loop {
            let changed = pool.changed();
            // One that imported the program before it was changed may have none.
            let with_app = pool.workers().into_iter().filter(|worker| worker.class.app.is_some());
            if let Some(worker) = with_app.min_by_key(|worker| worker.app_requests()) {
                return worker;
            }
            changed.await;
        }
    }
}
