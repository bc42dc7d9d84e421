//! `POST /setup`: Label Studio sends the labelling config of a project and asks for its model version.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::Value;

use crate::http::error::{ApiError, RequestSubject};
use crate::http::extract::json_body::JsonBody;
use crate::http::state::App;
use crate::ids::ProjectKey;
use crate::serving::models::Setup;
use crate::wire::protocol::LabelStudioConnection;

#[derive(Serialize)]
pub(in crate::http) struct SetupAnswer {
    /// Never null: Label Studio refuses predictions without a version.
    model_version: String,
}

/// The answer while the program is still being imported: the version that is going to be served, or the
/// reason why it cannot be told.
pub(in crate::http) async fn early(
    app: &App,
    project: &ProjectKey,
) -> Result<Json<SetupAnswer>, ApiError> {
    match app.early_names.of(project).await {
        Some(model_version) => Ok(Json(SetupAnswer { model_version })),
        None => Err(ApiError::still_importing()),
    }
}

pub(in crate::http) async fn setup(
    State(app): State<App>,
    request: JsonBody,
) -> Result<Json<SetupAnswer>, ApiError> {
    let fields = request.fields()?;
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
    let request = request.forwarded_request();
    let (config, address) = (setup.label_config.clone(), setup.connection.hostname.clone());
    let set_up = app.serving.setup(&project, setup, request, force_reload, wait).await;
    let model_version =
        set_up.map_err(|error| ApiError::from(error).about(RequestSubject::setup(&project)))?;
    app.activity.connections.note(&project, config.as_deref(), &address);
    app.early_names.note_set_up(&project, &model_version).await;
    Ok(Json(SetupAnswer { model_version }))
}
