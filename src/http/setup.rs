//! `POST /setup`: Label Studio tells the labelling config of a project and asks for the version.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::body;
use super::error::ApiError;
use super::router::App;
use crate::serving::models::Setup;
use crate::workers::protocol::Connection;

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    project: Option<&'a RawValue>,
    #[serde(borrow)]
    schema: Option<&'a RawValue>,
    #[serde(borrow)]
    hostname: Option<&'a RawValue>,
    #[serde(borrow)]
    access_token: Option<&'a RawValue>,
    #[serde(default)]
    extra_params: serde_json::Value,
    #[serde(borrow)]
    force_reload: Option<&'a RawValue>,
}

#[derive(Serialize)]
pub(super) struct Answer {
    /// Never null: Label Studio refuses predictions without a version.
    model_version: String,
}

pub(super) async fn setup(
    State(app): State<App>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Answer>, ApiError> {
    let bytes = body::read(&headers, body, app.options.max_body).await?;
    let request: Request<'_> = body::scan(&bytes)?;
    let project = body::project(request.project)?;
    let setup = Setup {
        label_config: body::text("schema", request.schema)?.filter(|schema| !schema.is_empty()),
        connection: Connection {
            hostname: body::text("hostname", request.hostname)?.unwrap_or_default(),
            access_token: body::text("access_token", request.access_token)?.unwrap_or_default(),
        },
        extra_params: request.extra_params,
    };
    let force_reload = body::flag("force_reload", request.force_reload, false)?;
    let wait = app.options.setup_wait;
    let model_version = app
        .serving
        .setup(&project, setup, force_reload, wait)
        .await?;
    Ok(Json(Answer { model_version }))
}
