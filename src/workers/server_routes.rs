//! Answers workers whose user app asks for a route of the server.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::wire::http::{AppAnswer, AppRequest};
use crate::wire::protocol::{RequestId, ToWorker};
use crate::wire::server_end::MessageSender;
use crate::wire::shared_body::SharedBody;
use crate::workers::key_keeper::KeyKeeper;

/// The routes of the server.
pub trait ServerRoutes: std::fmt::Debug + Send + Sync {
    fn answer(
        &self,
        asked: AppRequest,
        body: SharedBody,
    ) -> Pin<Box<dyn Future<Output = (AppAnswer, Bytes)> + Send + '_>>;
}

/// Who answers the questions of workers.
#[derive(Debug, Clone)]
pub struct WorkerQuestions {
    pub keys: Arc<dyn KeyKeeper>,
    /// Set once the server has its routes.
    pub routes: Arc<OnceLock<Arc<dyn ServerRoutes>>>,
}

/// A request that the app of a worker answers.
#[derive(Debug)]
struct AppRequestState {
    body: SharedBody,
    /// Turns true when nobody waits for the answer any more.
    abandoned: watch::Sender<bool>,
    /// Number of routes of the server for which the app waits.
    routes: usize,
}

/// The requests that the app of a worker answers at the moment.
#[derive(Debug, Default)]
pub(super) struct OpenAppRequests {
    open: Mutex<HashMap<RequestId, AppRequestState>>,
}

impl OpenAppRequests {
    pub(super) fn len(&self) -> usize {
        self.open.lock().len()
    }

    /// Number of those that do not wait for the server, which may itself wait for workers.
    pub(super) fn running(&self) -> usize {
        self.open.lock().values().filter(|state| state.routes == 0).count()
    }

    fn note_route(&self, request: Option<RequestId>, begins: bool) {
        let mut open = self.open.lock();
        if let Some(state) = request.and_then(|request| open.get_mut(&request)) {
            state.routes = if begins { state.routes + 1 } else { state.routes.saturating_sub(1) };
        }
    }

    pub(super) fn open(&self, request: RequestId, body: SharedBody) {
        let abandoned = watch::channel(false).0;
        self.open.lock().insert(request, AppRequestState { body, abandoned, routes: 0 });
    }

    pub(super) fn abandon(&self, request: RequestId) {
        if let Some(state) = self.open.lock().get(&request) {
            state.abandoned.send_replace(true);
        }
    }

    pub(super) fn close(&self, request: RequestId) {
        self.open.lock().remove(&request);
    }

    fn body_of(&self, request: RequestId) -> SharedBody {
        self.open.lock().get(&request).map(|state| state.body.clone()).unwrap_or_default()
    }

    fn abandonment(&self, request: RequestId) -> Option<watch::Receiver<bool>> {
        self.open.lock().get(&request).map(|state| state.abandoned.subscribe())
    }
}

/// A view's request for a route of the server.
pub(super) struct RouteRequest {
    pub(super) request: RequestId,
    pub(super) on_behalf_of: Option<RequestId>,
    pub(super) asked: AppRequest,
    /// None: that of the request on whose behalf it is.
    pub(super) body: Option<Bytes>,
}

/// Answers a worker without holding up its channel.
pub(super) fn answer_route(
    sender: &MessageSender,
    questions: Option<&WorkerQuestions>,
    open: &Arc<OpenAppRequests>,
    route: RouteRequest,
) {
    let RouteRequest { request, on_behalf_of, asked, body } = route;
    let body = match (body, on_behalf_of) {
        (Some(body), _) => body.into(),
        (None, Some(of)) => open.body_of(of),
        (None, None) => SharedBody::default(),
    };
    // Events and trainings are taken even if the client has hung up, as Label Studio does after a second.
    let is_prediction = asked.head.target.split('?').next() == Some("/predict");
    let abandonment = on_behalf_of.filter(|_| is_prediction).and_then(|of| open.abandonment(of));
    open.note_route(on_behalf_of, true);
    let open = Arc::clone(open);
    let (sender, routes) = (sender.clone(), questions.and_then(|q| q.routes.get()).cloned());
    tokio::spawn(async move {
        let answering = async {
            match &routes {
                Some(routes) => routes.answer(asked, body).await,
                None => unavailable("the server does not answer requests of this process"),
            }
        };
        let (answer, body) = match abandonment {
            None => answering.await,
            Some(mut abandoned) => tokio::select! {
                answered = answering => answered,
                Ok(_) = abandoned.wait_for(|abandoned| *abandoned) => {
                    unavailable("nobody waits for the prediction any more")
                }
            },
        };
        open.note_route(on_behalf_of, false);
        if let Err(error) = sender.send(&ToWorker::RouteAnswer { request, answer }, body).await {
            let (answer, body) = unavailable(&format!("the answer cannot be sent: {error}"));
            let _ = sender.send(&ToWorker::RouteAnswer { request, answer }, body).await;
        }
    });
}

fn unavailable(detail: &str) -> (AppAnswer, Bytes) {
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    let body = serde_json::json!({"detail": detail}).to_string();
    (AppAnswer { status: 503, reason: None, headers }, body.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: RequestId = RequestId(1);

    #[test]
    fn a_request_that_waits_for_the_server_does_not_run() {
        let open = OpenAppRequests::default();
        open.open(FIRST, b"body".to_vec().into());
        open.open(RequestId(2), SharedBody::default());
        open.note_route(Some(FIRST), true);
        open.note_route(Some(FIRST), true);
        assert_eq!((open.len(), open.running()), (2, 1));
        open.note_route(Some(FIRST), false);
        assert_eq!(open.running(), 1);
        open.note_route(Some(FIRST), false);
        assert_eq!(open.running(), 2);
        // Of a thread that answers no request, and of a request that has ended.
        open.note_route(None, true);
        open.note_route(Some(RequestId(3)), true);
        assert_eq!(*open.body_of(FIRST), *b"body");
        open.close(FIRST);
        assert_eq!((open.len(), open.body_of(FIRST).len()), (1, 0));
    }

    #[tokio::test]
    async fn what_waits_for_a_request_learns_that_it_is_abandoned() {
        let open = OpenAppRequests::default();
        open.open(FIRST, SharedBody::default());
        let mut abandoned = open.abandonment(FIRST).unwrap();
        assert!(!*abandoned.borrow());
        open.abandon(FIRST);
        assert!(abandoned.wait_for(|abandoned| *abandoned).await.is_ok());
        assert!(*open.abandonment(FIRST).unwrap().borrow(), "also what comes later");
        assert!(open.abandonment(RequestId(2)).is_none());
    }
}
