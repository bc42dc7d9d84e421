//! `POST /predict`: tasks in, predictions out.
//!
//! The server reads only what it needs to find the model; the body goes to the worker as it came,
//! and the worker's answer to the client as it is.

use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::value::RawValue;

use super::body::{self, Fields};
use super::error::ApiError;
use super::state::App;
use crate::serving::PredictRequest;
use crate::workers::pool::Priority;

pub(super) async fn predict(
    State(app): State<App>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let bytes = body::read(&headers, body, app.options.max_body).await?;
    let fields = Fields::read(&bytes)?;
    fields.list("tasks")?;
    let request = PredictRequest {
        project: fields.project()?,
        label_config: fields.text("label_config")?.filter(|config| !config.is_empty()),
        priority: priority(fields.object("params")?)?,
        force_reload: fields.flag("force_reload", false)?,
        try_fetch: fields.flag("try_fetch", true)?,
        http: body::request(&uri, &headers, bytes.clone()),
    };
    let predicted = app.serving.predict(request).await?;
    Ok(([(CONTENT_TYPE, "application/json")], predicted.body).into_response())
}

/// A context means that a person waits in front of the labelling editor.
fn priority(params: Option<&RawValue>) -> Result<Priority, ApiError> {
    let Some(params) = params else {
        return Ok(Priority::Batch);
    };
    let params = Fields::read(params.get().as_bytes())?;
    Ok(if params.get("context").is_some() { Priority::Interactive } else { Priority::Batch })
}
