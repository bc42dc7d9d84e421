//! `/versions`: the versions that can be served, and going back to one.
//!
//! Label Studio asks with `GET` and names no project; the original answers only `POST` with one.

use axum::Json;
use axum::body::{Body, HttpBody};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use serde::Serialize;

use super::body;
use super::error::{self, ApiError};
use super::fields::Fields;
use super::name::Name;
use super::state::App;
use crate::store::versions::StoreError;
use crate::wire::api_version::ApiVersion;

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
    let bytes = body::read(&app.options.body, &headers, body).await?;
    let fields = Fields::read(&bytes)?;
    if fields.get("project").is_none() {
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "No project provided"));
    }
    let project = fields.project()?;
    answer(&app, vec![project]).await
}

async fn answer(app: &App, projects: Vec<String>) -> Result<Json<Answer>, ApiError> {
    let (class, _) = app.serving.ready().await?;
    let mut versions = Vec::new();
    for project in projects {
        versions.extend(list(app, project).await?);
    }
    versions.sort_unstable_by_key(|(id, _)| std::cmp::Reverse(*id));
    versions.dedup();
    Ok(Json(Answer {
        model_dir: class.model_dir.display().to_string(),
        versions: versions.into_iter().map(|(_, name)| name).collect(),
    }))
}

/// Numbers and names of the versions of a project.
async fn list(app: &App, project: String) -> Result<Vec<(u64, String)>, ApiError> {
    let (class, versions) = app.serving.ready().await?;
    let listed = tokio::task::spawn_blocking(move || {
        if class.api == ApiVersion::V1 {
            let ids = versions.list(&project)?;
            return Ok::<_, StoreError>(ids.into_iter().map(|id| (id, id.to_string())).collect());
        }
        let mut named = Vec::new();
        for id in versions.record_ids(&project)? {
            named.extend(versions.record(&project, id)?.map(|record| (id, record.served)));
        }
        Ok(named)
    });
    let failed = |error: tokio::task::JoinError| {
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    };
    Ok(listed.await.map_err(failed)??)
}

#[derive(Serialize)]
pub(super) struct Activated {
    project: String,
    model_version: String,
}

/// Serves an earlier version until the next one is published. The project comes in the body, or in
/// the query; without one it is the project that has the version.
pub(super) async fn activate(
    State(app): State<App>,
    Name(version): Name,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Activated>, ApiError> {
    let unknown = || ApiError::new(StatusCode::NOT_FOUND, format!("there is no version {version}"));
    let id: u64 = version.parse().map_err(|_| unknown())?;
    let project = match error::query(&uri).remove("project") {
        Some(project) => Some(project),
        None => project_in(&app, &headers, body).await?,
    };
    // Only the owner of the model folder may change what is served after the next start.
    app.queue.store().await?;
    let project = match project {
        Some(project) => project,
        None => only_project_with(&app, id).await?.ok_or_else(unknown)?,
    };
    app.serving.activate(&project, id).await?;
    Ok(Json(Activated { project, model_version: version }))
}

async fn only_project_with(app: &App, id: u64) -> Result<Option<String>, ApiError> {
    let mut having = Vec::new();
    for project in app.serving.projects() {
        if list(app, project.clone()).await?.iter().any(|(known, _)| *known == id) {
            having.push(project);
        }
    }
    if having.len() > 1 {
        let detail = "is missing, and several projects have this version";
        return Err(ApiError::field("project", detail));
    }
    Ok(having.pop())
}

/// The project that the body names, if there is a body.
async fn project_in(
    app: &App,
    headers: &HeaderMap,
    body: Body,
) -> Result<Option<String>, ApiError> {
    if body.is_end_stream() {
        return Ok(None);
    }
    let bytes = body::read(&app.options.body, headers, body).await?;
    let fields = Fields::read(&bytes)?;
    match fields.get("project") {
        None => Ok(None),
        Some(_) => fields.project().map(Some),
    }
}
