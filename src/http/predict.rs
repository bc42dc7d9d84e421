//! `POST /predict`: tasks in, predictions out.
//!
//! The server reads only what it needs to find the model; the body goes to the worker as it came,
//! and the worker's answer to the client as it is.

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::body;
use super::error::ApiError;
use super::router::App;
use crate::serving::PredictRequest;
use crate::workers::pool::Priority;

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    tasks: Option<&'a RawValue>,
    #[serde(borrow)]
    project: Option<&'a RawValue>,
    #[serde(borrow)]
    label_config: Option<&'a RawValue>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(borrow)]
    force_reload: Option<&'a RawValue>,
    #[serde(borrow)]
    try_fetch: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Params<'a> {
    #[serde(borrow)]
    context: Option<&'a RawValue>,
}

pub(super) async fn predict(
    State(app): State<App>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let bytes = body::read(&headers, body, app.options.max_body).await?;
    let request: Request<'_> = body::scan(&bytes)?;
    body::list("tasks", request.tasks)?;
    let params = body::object("params", request.params)?;
    let request = PredictRequest {
        project: body::project(request.project)?,
        label_config: body::text("label_config", request.label_config)?,
        priority: priority(params)?,
        force_reload: body::flag("force_reload", request.force_reload, false)?,
        try_fetch: body::flag("try_fetch", request.try_fetch, true)?,
        body: bytes.clone(),
    };
    let predicted = app.serving.predict(request).await?;
    Ok(([(CONTENT_TYPE, "application/json")], predicted.body).into_response())
}

/// A context means that a person waits in front of the labelling editor.
fn priority(params: Option<&RawValue>) -> Result<Priority, ApiError> {
    let Some(params) = params else {
        return Ok(Priority::Batch);
    };
    let Params { context } = body::scan(params.get().as_bytes())?;
    Ok(if context.is_some() {
        Priority::Interactive
    } else {
        Priority::Batch
    })
}
