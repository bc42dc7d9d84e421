//! `POST /setup`: Label Studio tells the labelling config of a project and asks for the version.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use serde::Serialize;
use serde_json::Value;

use super::body;
use super::error::ApiError;
use super::fields::Fields;
use super::state::App;
use crate::serving::models::Setup;
use crate::wire::protocol::LabelStudioConnection;

#[derive(Serialize)]
pub(super) struct Answer {
    /// Never null: Label Studio refuses predictions without a version.
    model_version: String,
}

pub(super) async fn setup(
    State(app): State<App>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Answer>, ApiError> {
    let bytes = body::read(&app.options.body, &headers, body).await?;
    let fields = Fields::read(&bytes)?;
    let project = fields.project()?;
    let extra_params = fields.get("extra_params").map(|raw| serde_json::from_str(raw.get()));
    let setup = Setup {
        label_config: fields.config("schema")?,
        connection: LabelStudioConnection {
            hostname: fields.text("hostname")?.unwrap_or_default(),
            access_token: fields.text("access_token")?.unwrap_or_default(),
        },
        extra_params: extra_params.and_then(Result::ok).unwrap_or(Value::Null),
    };
    let force_reload = fields.flag("force_reload", false)?;
    let wait = app.options.setup_wait;
    let request = body::request(&uri, &headers, bytes.clone());
    let model_version = app.serving.setup(&project, setup, request, force_reload, wait).await?;
    Ok(Json(Answer { model_version }))
}
