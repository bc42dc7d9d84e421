//! Predicts for many tasks: in batches, several at a time, and task by task where a batch fails, so that one
//! bad task does not cost the others their predictions.

use std::sync::Arc;

use anyhow::Result;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::task::JoinSet;

use crate::cli::offline::{Offline, Opened, is_about_config};
use crate::labelling::check::Finding;
use crate::serving::ServingError;

/// Asks a model for predictions.
#[derive(Clone)]
pub(super) struct OfflinePredictor {
    pub(super) offline: Arc<Offline>,
    pub(super) opened: Arc<Opened>,
    pub(super) batch_size: usize,
    /// A prediction that Label Studio would drop or hide is a failure.
    pub(super) strict: bool,
}

/// The predictions for one task, or why there are none.
pub(super) type TaskOutcome = Result<Vec<TaskPrediction>, String>;

/// A prediction, as far as Label Studio reads it.
#[derive(Debug, Deserialize)]
pub(super) struct TaskPrediction {
    pub(super) result: Box<RawValue>,
    #[serde(default)]
    pub(super) score: Option<Box<RawValue>>,
    #[serde(default)]
    pub(super) model_version: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct PredictAnswer<'a> {
    #[serde(borrow)]
    results: Vec<&'a RawValue>,
}

impl OfflinePredictor {
    /// Predicts for tasks; returns the outcomes in their order. `at_once`: number of batches at a time.
    pub(super) async fn predict(
        &self,
        tasks: Vec<Box<RawValue>>,
        at_once: usize,
    ) -> Vec<TaskOutcome> {
        let count = tasks.len();
        let mut batches = Vec::new();
        let mut tasks = tasks.into_iter().enumerate().peekable();
        while tasks.peek().is_some() {
            batches.push(tasks.by_ref().take(self.batch_size.max(1)).collect::<Vec<_>>());
        }
        let mut batches = batches.into_iter();
        let mut running = JoinSet::new();
        let mut outcomes: Vec<TaskOutcome> =
            (0..count).map(|_| Err("the prediction was interrupted".into())).collect();
        loop {
            while running.len() < at_once.max(1)
                && let Some(batch) = batches.next()
            {
                let predictor = self.clone();
                running.spawn(async move {
                    let (places, tasks): (Vec<usize>, Vec<Box<RawValue>>) =
                        batch.into_iter().unzip();
                    let outcomes = predictor.batch(&tasks).await;
                    places.into_iter().zip(outcomes).collect::<Vec<_>>()
                });
            }
            match running.join_next().await {
                Some(Ok(done)) => {
                    for (place, outcome) in done {
                        outcomes[place] = outcome;
                    }
                }
                // The tasks of a batch that was aborted keep their outcome "interrupted".
                Some(Err(_)) => {}
                None => return outcomes,
            }
        }
    }

    /// What to do about failures that have their reason in the missing labelling config.
    pub(super) fn advice(&self) -> Option<String> {
        self.offline.without_config(self.opened.label_config.as_deref())
    }

    async fn batch(&self, tasks: &[Box<RawValue>]) -> Vec<TaskOutcome> {
        let together = self.ask(tasks).await;
        match together {
            Ok(outcomes) => outcomes,
            Err(failure) if tasks.len() == 1 => vec![Err(failure)],
            Err(_) => {
                let mut outcomes = Vec::with_capacity(tasks.len());
                for task in tasks {
                    let alone = self.ask(std::slice::from_ref(task)).await;
                    outcomes.push(alone.and_then(|mut outcomes| {
                        outcomes.pop().unwrap_or_else(|| Err("the model returned no result".into()))
                    }));
                }
                outcomes
            }
        }
    }

    /// Calls the model once; fails unless every task has a result of its own.
    async fn ask(&self, tasks: &[Box<RawValue>]) -> Result<Vec<TaskOutcome>, String> {
        let borrowed: Vec<&RawValue> = tasks.iter().map(AsRef::as_ref).collect();
        let answered = self
            .offline
            .predict(&self.opened, &borrowed)
            .await
            .map_err(|error| self.in_words(error))?;
        let findings = &answered.checked.findings;
        if self.strict && answered.checked.total > findings.len() && tasks.len() > 1 {
            return Err("there are too many findings to tell their tasks apart".into());
        }
        if self.strict
            && let Some(whole) = findings.iter().find(|finding| finding.item.is_none())
        {
            return Err(whole.sentence());
        }
        let answer: PredictAnswer<'_> = serde_json::from_slice(&answered.body).map_err(|_| {
            sentence(findings).unwrap_or_else(|| "the model returned no results".into())
        })?;
        if answer.results.len() != tasks.len() {
            return Err(sentence(findings)
                .unwrap_or_else(|| "the model returned the wrong number of results".into()));
        }
        let outcome = |(item, result): (usize, &&RawValue)| {
            let own = findings.iter().find(|finding| finding.item == Some(item));
            match own {
                Some(finding) if self.strict => Err(finding.sentence()),
                own => {
                    predictions(result.get()).map_err(|error| own.map_or(error, Finding::sentence))
                }
            }
        };
        Ok(answer.results.iter().enumerate().map(outcome).collect())
    }

    /// Describes a failure, with the lines of the user's code from the traceback if there is one.
    fn in_words(&self, error: ServingError) -> String {
        match error {
            ServingError::Model(error) => {
                if let Some(advice) = self.advice().filter(|_| is_about_config(&error)) {
                    return advice;
                }
                let said = format!("{}: {}", error.class, error.message);
                match error.traceback {
                    Some(traceback) => format!("{said}\n{}", traceback.trim_end()),
                    None => said,
                }
            }
            other => other.to_string(),
        }
    }
}

fn sentence(findings: &[Finding]) -> Option<String> {
    findings.first().map(Finding::sentence)
}

/// Reads the predictions for one task: an object, or a list of objects.
fn predictions(item: &str) -> Result<Vec<TaskPrediction>, String> {
    let read: Result<Vec<TaskPrediction>, _> = if item.starts_with('[') {
        serde_json::from_str(item)
    } else {
        serde_json::from_str(item).map(|prediction| vec![prediction])
    };
    let predictions = read.map_err(|error| error.to_string())?;
    if predictions.iter().all(|prediction| prediction.result.get().starts_with('[')) {
        Ok(predictions)
    } else {
        Err("`result` is not a list of regions".into())
    }
}
