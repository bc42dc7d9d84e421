//! Counts the predictions of a model version in a project, and imports new ones.
//!
//! Label Studio can filter by a part of a version's name only, and lists the versions of a task in one text,
//! which is joined by commas and cut off. Where that is ambiguous, the predictions of the tasks that pass the
//! filter are read.

use std::collections::BTreeMap;

use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::ids::{ProjectId, TaskId};
use super::projects::missing_project;
use super::query::{all_of, id_above, version_contains};
use super::tasks::TaskList;
use super::{LabelStudio, LabelStudioError};

/// Tasks per request for ids and version lists.
const LISTS_PAGE: &str = "1000";
/// Tasks per request for whole predictions.
const FULL_PAGE: &str = "100";
/// Length at which Label Studio cuts off the version list of a task, in characters.
const MAX_LIST: usize = 500;

/// One prediction to import. Label Studio wants `score` between 0 and 1, or null.
#[derive(Debug, Clone, Serialize)]
pub struct NewPrediction {
    pub task: TaskId,
    pub result: Box<RawValue>,
    pub score: Option<f64>,
    pub model_version: String,
}

#[derive(Deserialize)]
struct ImportAnswer {
    created: u64,
}

#[derive(Deserialize)]
struct ListedTask {
    id: TaskId,
    #[serde(default)]
    predictions_model_versions: String,
}

#[derive(Deserialize)]
struct FullTask {
    id: TaskId,
    #[serde(default)]
    predictions: Vec<PredictionVersion>,
}

#[derive(Deserialize)]
struct PredictionVersion {
    #[serde(default)]
    model_version: Option<String>,
}

impl LabelStudio {
    /// Imports predictions; returns how many Label Studio stored. It refuses all of them if a task is not in
    /// the project, but silently leaves out a prediction that does not fit the labelling config or whose
    /// score is not between 0 and 1. It adds a prediction even if the task has the same one already.
    pub async fn import_predictions(
        &self,
        project: ProjectId,
        predictions: &[NewPrediction],
    ) -> Result<u64, LabelStudioError> {
        let path = format!("/api/projects/{project}/import/predictions");
        let answer = self.change::<ImportAnswer>(Method::POST, &path, &predictions).await;
        Ok(answer.map_err(|error| missing_project(error, project))?.created)
    }

    /// The ids of tasks with predictions of exactly this model version, with the number of these.
    pub async fn prediction_counts(
        &self,
        project: ProjectId,
        model_version: &str,
    ) -> Result<BTreeMap<TaskId, u64>, LabelStudioError> {
        let versions = self.model_versions(project).await?;
        let total = versions.get(model_version).copied().unwrap_or_default();
        // Predictions without a version are counted as "null" too.
        if total == 0 && model_version != "null" {
            return Ok(BTreeMap::new());
        }
        if versions.keys().all(|version| is_plain(version)) {
            let tasks = self.tasks_listing(project, model_version).await?;
            // As many tasks as predictions: each task has one, and none was missed.
            if tasks.len() as u64 == total {
                return Ok(tasks.into_iter().map(|task| (task, 1)).collect());
            }
        }
        self.count_by_task(project, model_version).await
    }

    /// The ids of tasks whose version list contains this version. A list that was cut off may hide it.
    async fn tasks_listing(
        &self,
        project: ProjectId,
        version: &str,
    ) -> Result<Vec<TaskId>, LabelStudioError> {
        let mut found = Vec::new();
        let fields = [("include", "id,predictions_model_versions"), ("page_size", LISTS_PAGE)];
        let mut last = TaskId(0);
        loop {
            let page: Vec<ListedTask> =
                self.tasks_with_version(project, version, last, &fields).await?;
            let Some(end) = page.last() else { return Ok(found) };
            last = end.id;
            let lists = |task: &&ListedTask| has_version(&task.predictions_model_versions, version);
            found.extend(page.iter().filter(lists).map(|task| task.id));
        }
    }

    /// Counts the predictions of this version in each task.
    async fn count_by_task(
        &self,
        project: ProjectId,
        version: &str,
    ) -> Result<BTreeMap<TaskId, u64>, LabelStudioError> {
        let mut counts = BTreeMap::new();
        let fields = [("include", "id,predictions"), ("fields", "all"), ("page_size", FULL_PAGE)];
        let mut last = TaskId(0);
        loop {
            let page: Vec<FullTask> =
                self.tasks_with_version(project, version, last, &fields).await?;
            let Some(end) = page.last() else { return Ok(counts) };
            last = end.id;
            for task in page {
                let same = |p: &&PredictionVersion| p.model_version.as_deref() == Some(version);
                match task.predictions.iter().filter(same).count() as u64 {
                    0 => {}
                    count => drop(counts.insert(task.id, count)),
                }
            }
        }
    }

    /// The next tasks with a prediction whose version contains this text. They have predictions, so this
    /// request never makes Label Studio fetch any.
    async fn tasks_with_version<T: serde::de::DeserializeOwned>(
        &self,
        project: ProjectId,
        version: &str,
        last: TaskId,
        fields: &[(&str, &str)],
    ) -> Result<Vec<T>, LabelStudioError> {
        let id = project.to_string();
        let query = all_of(&[id_above(last), version_contains(version)]);
        let mut parameters =
            vec![("project", id.as_str()), ("resolve_uri", "false"), ("query", &query)];
        parameters.extend_from_slice(fields);
        let answer = self.get::<TaskList<T>>("/api/tasks/", &parameters).await;
        Ok(answer.map_err(|error| missing_project(error, project))?.tasks)
    }
}

/// Whether a version can be recognised in a list that is joined by commas, without quotes.
fn is_plain(version: &str) -> bool {
    !version.is_empty()
        && version.trim() == version
        && !version.contains([',', '"', '\\'])
        && !version.chars().any(char::is_control)
}

/// Whether a list of plain versions contains this one. The last version of a list that was cut off may be
/// incomplete.
fn has_version(list: &str, version: &str) -> bool {
    let complete = if list.chars().count() < MAX_LIST {
        list
    } else {
        list.rsplit_once(',').map_or("", |(complete, _)| complete)
    };
    complete.split(',').any(|name| name.trim() == version)
}

#[cfg(test)]
mod tests;
