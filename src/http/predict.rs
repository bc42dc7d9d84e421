//! `POST /predict`: tasks in, predictions out.
//!
//! The server reads only what it needs to find the model; the body goes to the worker as it came,
//! and the worker's answer to the client as it is. What Label Studio would drop or hide of it is
//! counted in a header; with `--strict` it is an error.

use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri};
use axum::response::{IntoResponse, Response};
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::body;
use super::error::ApiError;
use super::fields::Fields;
use super::state::App;
use crate::serving::{Answered, PredictRequest};
use crate::wire::protocol::Batchable;
use crate::workers::pool::Priority;

/// How many places of an answer Label Studio would drop or hide; absent if none.
const WARNINGS: HeaderName = HeaderName::from_static("x-prediction-warnings");

pub(super) async fn predict(
    State(app): State<App>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let bytes = body::read(&app.options.body, &headers, body).await?;
    let fields = body::aside(bytes.len(), || Fields::read(&bytes))?;
    let tasks = fields.list("tasks")?;
    let params = fields.object("params")?;
    let mut http = body::request(&uri, &headers, bytes.clone());
    let priority = priority(params)?;
    let force_reload = fields.flag("force_reload", false)?;
    // Of a click the context counts, and who waits for it should not wait for others.
    if app.options.batching && priority == Priority::Batch && !force_reload {
        http.batch = Some(Batchable {
            tasks: number_of(tasks)?,
            params: params.map(|params| params.get().to_owned()).unwrap_or_default(),
        });
    }
    let request = PredictRequest {
        project: fields.project()?,
        label_config: fields.config("label_config")?.filter(|config| !config.is_empty()),
        priority,
        force_reload,
        try_fetch: fields.flag("try_fetch", true)?,
        http,
    };
    let Answered { body, checked } = app.serving.predict(request).await?;
    if checked.total == 0 {
        return Ok(([(CONTENT_TYPE, "application/json")], body).into_response());
    }
    if app.options.strict {
        return Err(ApiError::findings(&checked));
    }
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (WARNINGS, HeaderValue::from(checked.total)),
    ];
    Ok((headers, body).into_response())
}

fn number_of(tasks: &RawValue) -> Result<usize, ApiError> {
    let tasks: Vec<IgnoredAny> = serde_json::from_str(tasks.get())
        .map_err(|error| ApiError::field("tasks", &format!("cannot be read: {error}")))?;
    Ok(tasks.len())
}

/// A context means that a person waits in front of the labelling editor.
pub(super) fn priority(params: Option<&RawValue>) -> Result<Priority, ApiError> {
    let Some(params) = params else {
        return Ok(Priority::Batch);
    };
    let params = Fields::read(params.get().as_bytes())?;
    Ok(if params.get("context").is_some() { Priority::Interactive } else { Priority::Batch })
}
