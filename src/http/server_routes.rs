//! Answers requests of the user's app for the server's own routes.
//!
//! A view stands in the app for each of these routes. It asks here, so that predictions keep their queue,
//! deadlines and checks, and trainings their jobs, whatever the app puts around its views.

use std::pin::Pin;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{Method, StatusCode, Uri};
use bytes::Bytes;
use http_body_util::{BodyExt, Collected};

use super::router::HttpService;
use super::user_app::{self, FromUserApp};
use crate::wire::http::{AppAnswer, AppRequest};
use crate::wire::shared_body::SharedBody;
use crate::workers::server_routes::ServerRoutes;

impl ServerRoutes for HttpService {
    fn answer(
        &self,
        asked: AppRequest,
        body: SharedBody,
    ) -> Pin<Box<dyn Future<Output = (AppAnswer, Bytes)> + Send + '_>> {
        Box::pin(async move {
            let Some(request) = request(&asked, body) else {
                let status = StatusCode::BAD_REQUEST.as_u16();
                return (AppAnswer { status, ..AppAnswer::default() }, Bytes::new());
            };
            let response = self.answer(request).await;
            let answer = user_app::answer(&response);
            // Bodies of the server's own answers are in memory.
            let body = response.into_body().collect().await.map(Collected::to_bytes);
            (answer, body.unwrap_or_default())
        })
    }
}

impl std::fmt::Debug for HttpService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HttpService")
    }
}

fn request(asked: &AppRequest, body: SharedBody) -> Option<Request> {
    let mut request = Request::new(Body::empty());
    *request.method_mut() = Method::from_bytes(asked.method.as_bytes()).ok()?;
    *request.uri_mut() = Uri::try_from(asked.head.target.as_str()).ok()?;
    *request.headers_mut() = user_app::headers(&asked.head.headers);
    request.extensions_mut().insert(FromUserApp);
    request.extensions_mut().insert(body);
    Some(request)
}
