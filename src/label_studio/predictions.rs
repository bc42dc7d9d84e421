//! Which tasks carry predictions of a model version, and bringing new ones in.
//!
//! Label Studio can filter by a part of the version's name only, and shows the versions of a task as one
//! text, cut off and joined by commas. Where that could mislead, the predictions themselves are read, of
//! the tasks that pass the filter.

use std::collections::BTreeMap;

use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::projects::missing_project;
use super::query::{after, all_of, version_contains};
use super::tasks::Rows;
use super::{LabelStudio, LabelStudioError};

/// Tasks that are looked at per request: only their ids and versions come.
const NAMES_PAGE: &str = "1000";
/// The same where whole predictions come.
const WHOLE_PAGE: &str = "100";
/// Label Studio cuts the list of a task's versions off here.
const CUT: usize = 500;

/// One prediction to import. Label Studio wants `score` between 0 and 1, or null.
#[derive(Debug, Clone, Serialize)]
pub struct NewPrediction {
    pub task: u64,
    pub result: Box<RawValue>,
    pub score: Option<f64>,
    pub model_version: String,
}

#[derive(Deserialize)]
struct Imported {
    created: u64,
}

#[derive(Deserialize)]
struct Named {
    id: u64,
    #[serde(default)]
    predictions_model_versions: String,
}

#[derive(Deserialize)]
struct Whole {
    id: u64,
    #[serde(default)]
    predictions: Vec<Prediction>,
}

#[derive(Deserialize)]
struct Prediction {
    #[serde(default)]
    model_version: Option<String>,
}

impl LabelStudio {
    /// Imports predictions; returns how many Label Studio kept. It refuses the whole call if a task is
    /// not in the project, but leaves out silently what does not fit the labelling config, and scores
    /// outside 0 to 1. It does not replace: the same again makes a second one.
    pub async fn import_predictions(
        &self,
        project: u64,
        predictions: &[NewPrediction],
    ) -> Result<u64, LabelStudioError> {
        let path = format!("/api/projects/{project}/import/predictions");
        let answer = self.change::<Imported>(Method::POST, &path, &predictions).await;
        Ok(answer.map_err(|error| missing_project(error, project))?.created)
    }

    /// The tasks of a project that carry predictions of exactly this version, and how many each.
    pub async fn prediction_counts(
        &self,
        project: u64,
        model_version: &str,
    ) -> Result<BTreeMap<u64, u64>, LabelStudioError> {
        let versions = self.model_versions(project).await?;
        let total = versions.get(model_version).copied().unwrap_or_default();
        // Predictions without a version are listed as "null" too.
        if total == 0 && model_version != "null" {
            return Ok(BTreeMap::new());
        }
        if versions.keys().all(|version| is_plain(version)) {
            let tasks = self.named(project, model_version).await?;
            // As many tasks as predictions: one each, and none was overlooked.
            if tasks.len() as u64 == total {
                return Ok(tasks.into_iter().map(|task| (task, 1)).collect());
            }
        }
        self.counted(project, model_version).await
    }

    /// Tasks in whose list of versions this one stands. A list that was cut off may hide it.
    async fn named(&self, project: u64, version: &str) -> Result<Vec<u64>, LabelStudioError> {
        let mut found = Vec::new();
        let fields = [("include", "id,predictions_model_versions"), ("page_size", NAMES_PAGE)];
        let mut last = 0;
        loop {
            let page: Vec<Named> = self.with_version(project, version, last, &fields).await?;
            let Some(end) = page.last() else { return Ok(found) };
            last = end.id;
            let names = |task: &Named| names(&task.predictions_model_versions, version);
            found.extend(page.iter().filter(|task| names(task)).map(|task| task.id));
        }
    }

    /// Counts the predictions of this version of each task.
    async fn counted(
        &self,
        project: u64,
        version: &str,
    ) -> Result<BTreeMap<u64, u64>, LabelStudioError> {
        let mut counts = BTreeMap::new();
        let fields = [("include", "id,predictions"), ("fields", "all"), ("page_size", WHOLE_PAGE)];
        let mut last = 0;
        loop {
            let page: Vec<Whole> = self.with_version(project, version, last, &fields).await?;
            let Some(end) = page.last() else { return Ok(counts) };
            last = end.id;
            for task in page {
                let same = |p: &&Prediction| p.model_version.as_deref() == Some(version);
                match task.predictions.iter().filter(same).count() as u64 {
                    0 => {}
                    count => drop(counts.insert(task.id, count)),
                }
            }
        }
    }

    /// The next tasks with a prediction whose version contains this text. They all have predictions, so
    /// this look never makes Label Studio fetch some.
    async fn with_version<T: serde::de::DeserializeOwned>(
        &self,
        project: u64,
        version: &str,
        last: u64,
        fields: &[(&str, &str)],
    ) -> Result<Vec<T>, LabelStudioError> {
        let id = project.to_string();
        let query = all_of(&[after(last), version_contains(version)]);
        let mut parameters =
            vec![("project", id.as_str()), ("resolve_uri", "false"), ("query", &query)];
        parameters.extend_from_slice(fields);
        let answer = self.get::<Rows<T>>("/api/tasks/", &parameters).await;
        Ok(answer.map_err(|error| missing_project(error, project))?.tasks)
    }
}

/// Whether a version's name is told apart from others in a list that is joined by commas, without quotes.
fn is_plain(version: &str) -> bool {
    !version.is_empty()
        && version.trim() == version
        && !version.contains([',', '"', '\\'])
        && !version.chars().any(char::is_control)
}

/// Whether a version stands in a list of plain ones. The last of a list that was cut may be a part only.
fn names(list: &str, version: &str) -> bool {
    let complete = if list.chars().count() < CUT {
        list
    } else {
        list.rsplit_once(',').map_or("", |(complete, _)| complete)
    };
    complete.split(',').any(|name| name.trim() == version)
}

#[cfg(test)]
mod tests;
