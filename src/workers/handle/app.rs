//! Passes requests to the user's app in a worker.

use bytes::Bytes;

use crate::wire::http::{AppAnswer, AppRequest};
use crate::wire::protocol::{FromWorker, RequestId, ToWorker};
use crate::wire::shared_body::SharedBody;
use crate::workers::handle::{Interruptions, WorkerError, WorkerHandle};

/// Notes that the app answers a request, until it is dropped.
struct OpenAppRequest<'a> {
    worker: &'a WorkerHandle,
    request: RequestId,
}

impl Drop for OpenAppRequest<'_> {
    fn drop(&mut self) {
        self.worker.app_requests.close(self.request);
    }
}

impl WorkerHandle {
    /// Number of requests that the app answers at the moment.
    pub fn app_requests(&self) -> usize {
        self.app_requests.len()
    }

    /// Number of those that do not wait for the server.
    pub fn running_app_requests(&self) -> usize {
        self.app_requests.running()
    }

    pub async fn ask_app(
        &self,
        asked: AppRequest,
        body: SharedBody,
        interruptions: &mut impl Interruptions,
    ) -> Result<(AppAnswer, Bytes), WorkerError> {
        let (request, answer) = self.open_call()?;
        self.app_requests.open(request, body.clone());
        let _open = OpenAppRequest { worker: self, request };
        self.sender.send(&ToWorker::AppRequest { request, asked }, body).await?;
        match self.interruptible(request, answer, interruptions).await? {
            (FromWorker::AppAnswered { answer, .. }, body) => Ok((answer, body)),
            (other, _) => Err(self.confused(&other)),
        }
    }
}
