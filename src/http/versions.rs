//! `/versions`: the versions that can be served.
//!
//! Label Studio asks with `GET` and names no project; the original answers only `POST` with one.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use serde::Serialize;

use super::body::{self, Fields};
use super::error::{self, ApiError};
use super::state::App;

#[derive(Serialize)]
pub(super) struct Answer {
    model_dir: String,
    /// Newest first.
    versions: Vec<String>,
}

pub(super) async fn of_all(State(app): State<App>, uri: Uri) -> Result<Json<Answer>, ApiError> {
    let projects = match error::query(&uri).remove("project") {
        Some(project) => vec![project],
        None => app.serving.projects(),
    };
    answer(&app, projects).await
}

pub(super) async fn of_project(
    State(app): State<App>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Answer>, ApiError> {
    let bytes = body::read(&headers, body, app.options.max_body).await?;
    let fields = Fields::read(&bytes)?;
    if fields.get("project").is_none() {
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "No project provided"));
    }
    let project = fields.project()?;
    answer(&app, vec![project]).await
}

async fn answer(app: &App, projects: Vec<String>) -> Result<Json<Answer>, ApiError> {
    let (class, versions) = app.serving.ready().await?;
    let listed = tokio::task::spawn_blocking(move || {
        let mut ids = Vec::new();
        for project in projects {
            ids.extend(versions.list(&project)?);
        }
        ids.sort_unstable_by_key(|id| std::cmp::Reverse(*id));
        ids.dedup();
        Ok::<_, crate::store::versions::StoreError>(ids)
    })
    .await
    .map_err(|error| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))??;
    Ok(Json(Answer {
        model_dir: class.model_dir.display().to_string(),
        versions: listed.into_iter().map(|id| id.to_string()).collect(),
    }))
}
