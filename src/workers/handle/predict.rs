//! Predictions: asking a worker for one, and what becomes of it when nobody wants it any more.

use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use crate::labelling::check::Mended;
use crate::wire::protocol::{FromWorker, ModelError, ModelErrorKind, RequestId, ToWorker};
use crate::workers::handle::{WorkerAnswer, WorkerError, WorkerHandle};
use crate::workers::model::{ForwardedRequest, LoadableModel};

/// How long a prediction may take to end once it was broken off; code in C does not notice.
const CANCEL_GRACE: Duration = Duration::from_secs(5);

/// How often a prediction is asked for whose model was unloaded meanwhile: there are no more requests
/// than threads that could have it unloaded.
const ASK_AGAIN: usize = 256;

/// What is to become of a prediction that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interruption {
    /// It is not to begin any more.
    Withdraw,
    /// It is to end.
    BreakOff,
}

/// Says how long a prediction is waited for.
pub trait Interruptions: Send {
    /// Resolves when something is to become of it; after `BreakOff` it is not asked again.
    fn next(&mut self) -> impl Future<Output = Interruption> + Send;
}

/// A prediction as the model made it.
#[derive(Debug)]
pub struct PredictionReply {
    pub body: Bytes,
    pub tasks: usize,
    /// What was changed in it while it was written.
    pub mended: Mended,
}

impl WorkerHandle {
    /// Predicts. What is broken off ends when the model does, or the process: until then it takes a thread.
    pub async fn predict(
        &self,
        model: &LoadableModel,
        force_reload: bool,
        http: ForwardedRequest,
        interruptions: &mut impl Interruptions,
    ) -> Result<PredictionReply, WorkerError> {
        let mut asked = self.ask_predict(model, force_reload, http.clone(), interruptions).await;
        // A switch of versions may unload the model between its introduction and its use; so may each
        // other request for it that ends after the switch.
        for _ in 0..ASK_AGAIN {
            let Err(WorkerError::Model(ModelError { kind: ModelErrorKind::Unloaded, .. })) = asked
            else {
                break;
            };
            self.known().remove(&model.spec.id);
            asked = self.ask_predict(model, force_reload, http.clone(), interruptions).await;
        }
        self.answered.fetch_add(1, Ordering::Relaxed);
        match asked? {
            WorkerAnswer { message: FromWorker::Predicted { tasks, mended, .. }, body } => {
                self.predicted().insert(model.spec.id);
                Ok(PredictionReply { body, tasks, mended })
            }
            other => Err(self.confused(&other)),
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
        let answer = self.answer(answer);
        tokio::pin!(answer);
        loop {
            tokio::select! {
                answered = &mut answer => return withdrawn(answered),
                interruption = interruptions.next() => match interruption {
                    // Only a dead worker cannot be told, and it ends the call itself.
                    Interruption::Withdraw => {
                        let _ = self.sender.send(&ToWorker::Withdraw { request }, Bytes::new()).await;
                    }
                    Interruption::BreakOff => return self.break_off(request, answer).await,
                },
            }
        }
    }

    /// Has a prediction end. A process that ends over it is another matter than a cancelled call.
    async fn break_off(
        &self,
        request: RequestId,
        mut answer: Pin<&mut impl Future<Output = Result<WorkerAnswer, WorkerError>>>,
    ) -> Result<WorkerAnswer, WorkerError> {
        // Only a dead worker cannot be told, and it ends the call itself.
        let _ = self.sender.send(&ToWorker::Cancel { request }, Bytes::new()).await;
        let end = if let Ok(end) = timeout(CANCEL_GRACE, answer.as_mut()).await {
            end
        } else {
            self.hung.fetch_add(1, Ordering::Relaxed);
            let end = answer.await;
            self.hung.fetch_sub(1, Ordering::Relaxed);
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

/// The end of a call that was perhaps taken back.
fn withdrawn(answered: Result<WorkerAnswer, WorkerError>) -> Result<WorkerAnswer, WorkerError> {
    match answered {
        Err(WorkerError::Model(ModelError { kind: ModelErrorKind::Cancelled, .. })) => {
            Err(WorkerError::Cancelled)
        }
        answered => answered,
    }
}
