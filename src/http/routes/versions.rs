//! `/versions`: the model versions that can be served, and going back to one.
//!
//! Label Studio asks with `GET` and names no project; the original answers only `POST` with one.

use axum::Json;
use axum::extract::{OptionalFromRequest, Request, State};
use serde::Serialize;

use crate::activity;
use crate::http::error::{ApiError, ErrorCode};
use crate::http::extract::json_body::JsonBody;
use crate::http::extract::path_name::PathName;
use crate::http::extract::query::Query;
use crate::http::state::App;
use crate::ids::{ProjectKey, VersionId};
use crate::store::versions::StoreError;
use crate::wire::api_version::ApiVersion;

#[derive(Serialize)]
pub(in crate::http) struct VersionsAnswer {
    model_dir: String,
    /// Newest first.
    versions: Vec<String>,
}

pub(in crate::http) async fn of_all(
    State(app): State<App>,
    Query(mut query): Query,
) -> Result<Json<VersionsAnswer>, ApiError> {
    let projects = match query.remove("project") {
        Some(project) => vec![project.into()],
        None => app.serving.projects(),
    };
    answer(&app, projects).await
}

pub(in crate::http) async fn of_project(
    State(app): State<App>,
    request: JsonBody,
) -> Result<Json<VersionsAnswer>, ApiError> {
    let fields = request.fields()?;
    if fields.get("project").is_none() {
        return Err(ApiError::new(ErrorCode::NoProject, "No project provided"));
    }
    let project = fields.project()?;
    answer(&app, vec![project]).await
}

async fn answer(app: &App, projects: Vec<ProjectKey>) -> Result<Json<VersionsAnswer>, ApiError> {
    let (class, _) = app.serving.ready().await?;
    let mut versions = Vec::new();
    for project in projects {
        versions.extend(list(app, project).await?);
    }
    versions.sort_unstable_by_key(|(id, _)| std::cmp::Reverse(*id));
    versions.dedup();
    Ok(Json(VersionsAnswer {
        model_dir: class.model_dir.display().to_string(),
        versions: versions.into_iter().map(|(_, name)| name).collect(),
    }))
}

/// Ids and names of the versions of a project.
async fn list(app: &App, project: ProjectKey) -> Result<Vec<(VersionId, String)>, ApiError> {
    let (class, versions) = app.serving.ready().await?;
    // A model of API v2 may have renamed its newest version since that was published.
    let served = app.serving.version(&project).filter(|_| class.api == ApiVersion::V2);
    let listed = tokio::task::spawn_blocking(move || {
        if class.api == ApiVersion::V1 {
            let ids = versions.list(&project)?;
            return Ok::<_, StoreError>(ids.into_iter().map(|id| (id, id.to_string())).collect());
        }
        let mut named = Vec::new();
        for id in versions.record_ids(&project)? {
            named.extend(versions.record(&project, id)?.map(|record| (id, record.served)));
        }
        if let (Some((_, newest)), Some(served)) = (named.first_mut(), served) {
            *newest = served;
        }
        Ok(named)
    });
    Ok(listed.await??)
}

#[derive(Serialize)]
pub(in crate::http) struct Activated {
    project: ProjectKey,
    model_version: String,
}

/// Serves an earlier version until the next one is published. The project comes in the query, or in the
/// body; without one it is the project that has the version.
pub(in crate::http) async fn activate(
    State(app): State<App>,
    PathName(version): PathName,
    Query(mut query): Query,
    request: Request,
) -> Result<Json<Activated>, ApiError> {
    let unknown =
        || ApiError::new(ErrorCode::UnknownVersion, format!("there is no version {version}"));
    let id: VersionId = version.parse().map_err(|_| unknown())?;
    let project = match query.remove("project") {
        Some(project) => Some(project.into()),
        None => project_in_body(&app, request).await?,
    };
    // Only the owner of the model folder may change what is served after the next start.
    app.queue.store().await?;
    let project = match project {
        Some(project) => project,
        None => only_project_with(&app, id).await?.ok_or_else(unknown)?,
    };
    app.publisher.activate(&project, id).await?;
    activity::activated(&project, &version);
    Ok(Json(Activated { project, model_version: version }))
}

async fn only_project_with(app: &App, id: VersionId) -> Result<Option<ProjectKey>, ApiError> {
    let mut having = Vec::new();
    for project in app.serving.projects() {
        if list(app, project.clone()).await?.iter().any(|(known, _)| *known == id) {
            having.push(project);
        }
    }
    if having.len() > 1 {
        return Err(ApiError::missing("project", ", and several projects have this version"));
    }
    Ok(having.pop())
}

/// The project that the body names, if there is a body.
async fn project_in_body(app: &App, request: Request) -> Result<Option<ProjectKey>, ApiError> {
    let body = <JsonBody as OptionalFromRequest<App>>::from_request(request, app).await?;
    let Some(body) = body else {
        return Ok(None);
    };
    let fields = body.fields()?;
    match fields.get("project") {
        None => Ok(None),
        Some(_) => fields.project().map(Some),
    }
}
