//! `/versions`: the model versions that can be served, and going back to one.
//!
//! Label Studio asks with `GET` and names no project; the original answers only `POST` with one.

use axum::Json;
use axum::extract::{OptionalFromRequest, Request, State};
use jiff::Timestamp;
use serde::Serialize;

use crate::activity;
use crate::http::error::{ApiError, ErrorCode};
use crate::http::extract::json_body::JsonBody;
use crate::http::extract::path_name::PathName;
use crate::http::extract::query::Query;
use crate::http::state::App;
use crate::ids::{JobId, ProjectKey};
use crate::publishing::listing::VersionDetail;
use crate::serving::ServingError;
use crate::wire::api_version::ApiVersion;

/// Maximum number of versions that an error names.
const MAX_NAMED: usize = 10;

#[derive(Serialize)]
pub(in crate::http) struct VersionsAnswer {
    model_dir: String,
    /// The names of all versions that were trained, newest first.
    versions: Vec<String>,
    details: Vec<VersionView>,
}

/// A version as clients see it. Times are RFC 3339 in UTC; what is not known is null.
#[derive(Serialize)]
struct VersionView {
    project: ProjectKey,
    version: String,
    is_served: bool,
    served_since: Option<String>,
    trained_at: Option<String>,
    job: Option<JobId>,
    annotations: Option<u64>,
    can_be_activated: bool,
    reason: Option<String>,
}

impl VersionView {
    fn new(project: ProjectKey, detail: VersionDetail) -> Self {
        let time = |milliseconds| {
            Timestamp::from_millisecond(milliseconds).ok().map(|time| format!("{time:.0}"))
        };
        Self {
            project,
            version: detail.name,
            is_served: detail.is_served,
            served_since: detail.served_since.and_then(time),
            trained_at: detail.trained_at.and_then(time),
            job: detail.job,
            annotations: detail.annotations,
            can_be_activated: detail.obstacle.is_none(),
            reason: detail.obstacle,
        }
    }
}

pub(in crate::http) async fn of_all(
    State(app): State<App>,
    Query(mut query): Query,
) -> Result<Json<VersionsAnswer>, ApiError> {
    let projects = match query.remove("project") {
        Some(project) => vec![project.into()],
        None => projects(&app).await?,
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

/// Projects that have versions, and those that were seen since the start.
async fn projects(app: &App) -> Result<Vec<ProjectKey>, ApiError> {
    let (_, versions) = app.serving.ready().await?;
    let mut projects = tokio::task::spawn_blocking(move || versions.projects()).await?;
    projects.extend(app.serving.projects());
    projects.sort();
    projects.dedup();
    Ok(projects)
}

async fn answer(app: &App, projects: Vec<ProjectKey>) -> Result<Json<VersionsAnswer>, ApiError> {
    let (class, _) = app.serving.ready().await?;
    let mut found = Vec::new();
    for project in projects {
        let details = app.publisher.versions_of(&project).await?;
        found.extend(details.into_iter().map(|detail| (project.clone(), detail)));
    }
    found.sort_by_key(|(_, detail)| std::cmp::Reverse(detail.id));
    let trained = found.iter().filter(|(_, detail)| detail.id.is_some());
    let mut names: Vec<String> = Vec::new();
    for (_, detail) in trained {
        // Two projects may have versions of one name.
        if !names.contains(&detail.name) {
            names.push(detail.name.clone());
        }
    }
    let views = found.into_iter().map(|(project, detail)| VersionView::new(project, detail));
    Ok(Json(VersionsAnswer {
        model_dir: class.model_dir.display().to_string(),
        versions: names,
        details: views.collect(),
    }))
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
    let project = match query.remove("project") {
        Some(project) => Some(project.into()),
        None => project_in_body(&app, request).await?,
    };
    // Only the owner of the model folder may change what is served after the next start.
    app.queue.store().await?;
    let project = match project {
        Some(project) => project,
        None => only_project_with(&app, &version).await?,
    };
    let (class, _) = app.serving.ready().await?;
    let listed = app.publisher.versions_of(&project).await?;
    let named = listed.iter().find(|detail| detail.name == version);
    let id = match named {
        // Served, and never trained.
        Some(VersionDetail { id: None, .. }) => None,
        Some(detail) => detail.id,
        // One that was refused is not listed, and may be loadable now.
        None if class.api == ApiVersion::V1 => {
            Some(version.parse().map_err(|_| unknown(&project, &version, &listed))?)
        }
        None => return Err(unknown(&project, &version, &listed)),
    };
    if let Some(id) = id {
        app.publisher.activate(&project, id).await.map_err(|error| match error {
            ServingError::NoVersion { .. } => unknown(&project, &version, &listed),
            error => error.into(),
        })?;
    }
    activity::activated(&project, &version);
    Ok(Json(Activated { project, model_version: version }))
}

fn unknown(project: &ProjectKey, version: &str, listed: &[VersionDetail]) -> ApiError {
    let mut names: Vec<&str> = listed.iter().map(|detail| detail.name.as_str()).collect();
    let more = names.len().saturating_sub(MAX_NAMED);
    names.truncate(MAX_NAMED);
    let there = match names.len() {
        0 => "it has none".to_owned(),
        _ if more > 0 => format!("it has {}, and {more} more", names.join(", ")),
        _ => format!("it has {}", names.join(", ")),
    };
    let detail = format!("project {project:?} has no version {version:?}: {there}");
    ApiError::new(ErrorCode::UnknownVersion, detail)
}

async fn only_project_with(app: &App, version: &str) -> Result<ProjectKey, ApiError> {
    let mut having = Vec::new();
    for project in projects(app).await? {
        let listed = app.publisher.versions_of(&project).await?;
        if listed.iter().any(|detail| detail.name == version) {
            having.push(project);
        }
    }
    if having.len() > 1 {
        return Err(ApiError::missing("project", ", and several projects have this version"));
    }
    having.pop().ok_or_else(|| {
        let said = format!("no project has a version {version:?}; GET /versions lists them");
        ApiError::new(ErrorCode::UnknownVersion, said)
    })
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
