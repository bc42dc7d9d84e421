//! `POST /predict`: tasks in, predictions out.
//!
//! The server reads only the fields by which it finds the model; the body goes to the worker as it came,
//! and the worker's answer to the client as it is. A header counts what Label Studio would drop or hide of
//! it; with `--strict` that is an error.

use std::time::Instant;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::http::error::{ApiError, RequestSubject};
use crate::http::extract::fields::Fields;
use crate::http::extract::json_body::JsonBody;
use crate::http::state::App;
use crate::serving::{PredictAnswer, PredictRequest};
use crate::wire::protocol::Batchable;
use crate::workers::pool::Priority;

/// Number of places of an answer that Label Studio would drop or hide; absent if none.
const WARNINGS: HeaderName = HeaderName::from_static("x-prediction-warnings");

pub(in crate::http) async fn predict(
    State(app): State<App>,
    request: JsonBody,
) -> Result<Response, ApiError> {
    let fields = request.fields()?;
    let tasks = fields.list("tasks")?;
    let params = fields.object("params")?;
    let mut http = request.forwarded_request();
    let priority = priority(params)?;
    let force_reload = fields.flag("force_reload", false)?;
    // A person who waits for the answer to a click should not wait for the tasks of others.
    if app.options.batching && priority == Priority::Batch && !force_reload {
        http.batch = Some(Batchable {
            tasks: number_of(tasks)?,
            params: params.map(|params| params.get().to_owned()).unwrap_or_default(),
        });
    }
    let project = fields.project()?;
    let predict = PredictRequest {
        project: project.clone(),
        label_config: fields.config("label_config")?.filter(|config| !config.is_empty()),
        priority,
        force_reload,
        try_fetch: fields.flag("try_fetch", true)?,
        http,
    };
    let asked = Instant::now();
    let failed = |error| ApiError::from(error).about(RequestSubject::prediction(&project, tasks));
    let answered = app.serving.predict(predict).await.map_err(failed)?;
    let PredictAnswer { body, tasks, checked } = answered;
    app.activity.predictions.note(&project, tasks, asked.elapsed());
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
pub(in crate::http) fn priority(params: Option<&RawValue>) -> Result<Priority, ApiError> {
    let Some(params) = params else {
        return Ok(Priority::Batch);
    };
    let params = Fields::read(params.get().as_bytes())?;
    Ok(if params.get("context").is_some() { Priority::Interactive } else { Priority::Batch })
}
