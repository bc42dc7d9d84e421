//! Asks a worker for a prediction, and cancels it.

use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use crate::labelling::check::Mended;
use crate::wire::protocol::{FromWorker, ModelError, ModelErrorKind, RequestId, ToWorker};
use crate::workers::handle::{AnswerReceiver, WorkerAnswer, WorkerError, WorkerHandle};
use crate::workers::model::{ForwardedRequest, LoadableModel};

/// How long a prediction may take to end after it was cancelled; code in C does not notice.
const CANCEL_GRACE: Duration = Duration::from_secs(5);

/// Maximum number of times that a prediction is asked for again because its model was unloaded meanwhile.
const MAX_RETRIES: usize = 256;

/// How a prediction that was asked for is interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interruption {
    /// It must not begin; if it has begun it goes on.
    Withdraw,
    /// It must end.
    BreakOff,
}

/// Decides when a prediction is interrupted.
pub trait Interruptions: Send {
    /// Waits for the next interruption. Not called again after `BreakOff`.
    fn next(&mut self) -> impl Future<Output = Interruption> + Send;
}

/// A prediction as the model made it.
#[derive(Debug)]
pub struct PredictionReply {
    pub body: Bytes,
    pub tasks: usize,
    /// The corrections that the worker made while writing it.
    pub mended: Mended,
}

impl WorkerHandle {
    /// Predicts. A call that was cancelled keeps its thread until the model, or the process, ends it.
    pub async fn predict(
        &self,
        model: &LoadableModel,
        force_reload: bool,
        http: ForwardedRequest,
        interruptions: &mut impl Interruptions,
    ) -> Result<PredictionReply, WorkerError> {
        let mut asked = self.ask_predict(model, force_reload, http.clone(), interruptions).await;
        // When versions are switched, the model may be unloaded between its introduction and its use; each
        // other request for it that ends after the switch may unload it again.
        for _ in 0..MAX_RETRIES {
            let Err(WorkerError::Model(ModelError { kind: ModelErrorKind::Unloaded, .. })) = asked
            else {
                break;
            };
            self.known().remove(&model.spec.id);
            asked = self.ask_predict(model, force_reload, http.clone(), interruptions).await;
        }
        self.answered.fetch_add(1, Ordering::Relaxed);
        match asked? {
            (FromWorker::Predicted { tasks, mended, .. }, body) => {
                self.predicted().insert(model.spec.id);
                Ok(PredictionReply { body, tasks, mended })
            }
            (other, _) => Err(self.confused(&other)),
        }
    }

    async fn ask_predict(
        &self,
        model: &LoadableModel,
        force_reload: bool,
        http: ForwardedRequest,
        interruptions: &mut impl Interruptions,
    ) -> Result<WorkerAnswer, WorkerError> {
        self.introduce(model).await?;
        let (request, answer) = self.open_call()?;
        let ForwardedRequest { head: http, body, batch } = http;
        let model = model.spec.id;
        let message = ToWorker::Predict { request, model, force_reload, http, batch };
        self.sender.send(&message, body).await?;
        self.interruptible(request, answer, interruptions).await
    }

    /// Waits for the answer to a call, and interrupts the call as it is told to.
    pub(super) async fn interruptible(
        &self,
        request: RequestId,
        answer: AnswerReceiver,
        interruptions: &mut impl Interruptions,
    ) -> Result<WorkerAnswer, WorkerError> {
        let answer = self.answer(answer);
        tokio::pin!(answer);
        loop {
            tokio::select! {
                answered = &mut answer => return withdrawn(answered),
                interruption = interruptions.next() => match interruption {
                    // Sending fails only if the worker is gone, which ends the call.
                    Interruption::Withdraw => {
                        self.app_requests.abandon(request);
                        let _ = self.sender.send(&ToWorker::Withdraw { request }, Bytes::new()).await;
                    }
                    Interruption::BreakOff => return self.break_off(request, answer).await,
                },
            }
        }
    }

    /// Breaks a prediction off. The death of its process is not a cancelled call.
    async fn break_off(
        &self,
        request: RequestId,
        mut answer: Pin<&mut impl Future<Output = Result<WorkerAnswer, WorkerError>>>,
    ) -> Result<WorkerAnswer, WorkerError> {
        self.app_requests.abandon(request);
        // Sending fails only if the worker is gone, which ends the call.
        let _ = self.sender.send(&ToWorker::Cancel { request }, Bytes::new()).await;
        let end = if let Ok(end) = timeout(CANCEL_GRACE, answer.as_mut()).await {
            end
        } else {
            self.stuck_calls.fetch_add(1, Ordering::Relaxed);
            let end = answer.await;
            self.stuck_calls.fetch_sub(1, Ordering::Relaxed);
            end
        };
        match end {
            Err(WorkerError::Died { worker, pid, reason }) => {
                Err(WorkerError::Died { worker, pid, reason })
            }
            _ => Err(WorkerError::Cancelled),
        }
    }
}

/// Turns the answer of a prediction that was withdrawn before it began into `Cancelled`.
fn withdrawn(answered: Result<WorkerAnswer, WorkerError>) -> Result<WorkerAnswer, WorkerError> {
    match answered {
        Err(WorkerError::Model(ModelError { kind: ModelErrorKind::Cancelled, .. })) => {
            Err(WorkerError::Cancelled)
        }
        answered => answered,
    }
}
