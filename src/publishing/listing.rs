//! The versions of a project as clients see them: their names, which is served, and whether one can go back.

use std::sync::Arc;

use tracing::error;

use super::Publisher;
use crate::ids::{JobId, ProjectKey, VersionId};
use crate::serving::ServingError;
use crate::serving::error::on_disk;
use crate::serving::models::{INITIAL, ProjectModels};
use crate::store::kept::KeptVersions;
use crate::store::versions::{Choice, StoreError, Version, Versions};
use crate::wire::api_version::ApiVersion;

/// One version. Times are in milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionDetail {
    /// None: nothing was trained so far.
    pub id: Option<VersionId>,
    pub name: String,
    pub is_served: bool,
    pub served_since: Option<i64>,
    pub trained_at: Option<i64>,
    pub job: Option<JobId>,
    pub annotations: Option<u64>,
    /// Why it cannot be activated.
    pub obstacle: Option<String>,
}

impl Publisher {
    /// The versions of a project, newest first. A project that was seen and never trained has one without an id.
    pub async fn versions_of(
        &self,
        project: &ProjectKey,
    ) -> Result<Vec<VersionDetail>, ServingError> {
        let (class, versions) = self.registry.class.ready().await?;
        let name = project.to_owned();
        let served = self.registry.models.served_version(project);
        let mut listed = match class.api {
            ApiVersion::V1 => on_disk(move || of_v1(&versions, &name, served)).await?,
            ApiVersion::V2 => {
                let (current, names) = self.registry.read_names(project, versions.clone()).await?;
                let known = self.registry.models.known(project, |known| known.served_name());
                let served = known.unwrap_or_else(|| names.current().served);
                let kept = self.kept().await?;
                on_disk(move || of_v2(&versions, &kept, &name, current.as_ref(), &served)).await?
            }
        };
        let is_seen = self
            .registry
            .models
            .known(project, |known: &mut ProjectModels| known.knows_version() || known.is_in_use());
        if listed.is_empty() && is_seen {
            let name = match class.api {
                ApiVersion::V1 => INITIAL.to_owned(),
                ApiVersion::V2 => {
                    let (_, versions) = self.registry.class.ready().await?;
                    let known = self.registry.models.known(project, |known| known.served_name());
                    match known {
                        Some(name) => name,
                        None => {
                            self.registry.read_names(project, versions).await?.1.current().served
                        }
                    }
                }
            };
            listed.push(VersionDetail::untrained(name));
        }
        Ok(listed)
    }
}

impl VersionDetail {
    fn untrained(name: String) -> Self {
        Self {
            id: None,
            name,
            is_served: true,
            served_since: None,
            trained_at: None,
            job: None,
            annotations: None,
            obstacle: None,
        }
    }
}

fn of_v1(
    versions: &Versions,
    project: &ProjectKey,
    served: Option<String>,
) -> Result<Vec<VersionDetail>, StoreError> {
    let served = match served {
        Some(served) => served.parse().ok(),
        None => versions.current(project)?.map(|version: Version| version.id),
    };
    let choice = versions.choice(project);
    let detail = |id: VersionId| {
        let trained_at = versions.published_at(project, id);
        VersionDetail {
            id: Some(id),
            name: id.to_string(),
            is_served: served == Some(id),
            served_since: since(served == Some(id), choice.as_ref(), id, trained_at),
            trained_at,
            job: versions.is_of_own_job(project, id).then(|| id.into()),
            annotations: versions.annotations(project, id),
            obstacle: versions.find(project, id).err().map(|error| error.to_string()),
        }
    };
    Ok(versions.list(project)?.into_iter().map(detail).collect())
}

fn of_v2(
    versions: &Arc<Versions>,
    kept: &KeptVersions,
    project: &ProjectKey,
    current: Option<&Version>,
    served: &str,
) -> Result<Vec<VersionDetail>, StoreError> {
    let choice = versions.choice(project);
    let mut listed = Vec::new();
    for id in versions.record_ids(project)? {
        let record = match versions.record(project, id) {
            Ok(Some(record)) => record,
            Ok(None) => continue,
            Err(error) => {
                // The others are not the worse for it.
                error!(project = project.as_str(), version = %id, "record: {error}");
                continue;
            }
        };
        let is_served = current.is_some_and(|current| current.id == id);
        let is_trained = id != VersionId::default();
        let trained_at = if is_trained { versions.recorded_at(project, &record) } else { None };
        let obstacle = if is_served {
            None
        } else {
            kept.obstacle(project, id).unwrap_or_else(|error| Some(error.to_string()))
        };
        listed.push(VersionDetail {
            id: Some(id),
            // Its model may have renamed it since it was published.
            name: if is_served { served.to_owned() } else { record.served },
            is_served,
            served_since: since(is_served, choice.as_ref(), id, trained_at),
            trained_at,
            job: is_trained.then(|| id.into()),
            annotations: record.annotations,
            obstacle,
        });
    }
    Ok(listed)
}

/// Since when a version is the one to serve.
fn since(
    is_served: bool,
    choice: Option<&Choice>,
    id: VersionId,
    trained_at: Option<i64>,
) -> Option<i64> {
    let chosen = choice.filter(|choice| choice.version == id).and_then(|choice| choice.at);
    is_served.then(|| chosen.max(trained_at)).flatten()
}
