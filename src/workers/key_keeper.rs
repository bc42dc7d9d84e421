//! Answers the key requests of workers.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

use crate::wire::keys::{KeyAnswer, KeyRequest};
use crate::wire::protocol::{KeyOutcome, RequestId, ToWorker};
use crate::wire::server_end::MessageSender;

/// Keeps the keys of projects for the workers of a server.
pub trait KeyKeeper: std::fmt::Debug + Send + Sync {
    fn answer(&self, question: KeyRequest) -> Pin<Box<dyn Future<Output = KeyAnswer> + Send + '_>>;
}

/// Answers a worker without holding up its channel.
pub(super) fn answer_key(
    sender: &MessageSender,
    keeper: Option<&Arc<dyn KeyKeeper>>,
    request: RequestId,
    question: KeyRequest,
) {
    let (sender, keeper) = (sender.clone(), keeper.cloned());
    tokio::spawn(async move {
        let (outcome, value) = match &keeper {
            Some(keeper) => keeper.answer(question).await,
            None => (KeyOutcome::NotKept, Bytes::new()),
        };
        let message = ToWorker::KeyAnswer { request, outcome };
        if let Err(error) = sender.send(&message, value).await {
            let outcome = KeyOutcome::Failed(error.to_string());
            let _ = sender.send(&ToWorker::KeyAnswer { request, outcome }, Bytes::new()).await;
        }
    });
}
