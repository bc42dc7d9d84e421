//! Answers workers whose user app asks for a route of the server.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::wire::protocol::{RequestId, ToWorker};
use crate::wire::server_end::MessageSender;
use crate::wire::shared_body::SharedBody;
use crate::wire::user_app::{AppAnswer, AppRequest};
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

    pub(super) fn open(&self, request: RequestId, body: SharedBody) {
        let abandoned = watch::channel(false).0;
        self.open.lock().insert(request, AppRequestState { body, abandoned });
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
    open: &OpenAppRequests,
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
