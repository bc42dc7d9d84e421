//! `predict --project ID`: the tasks of a project of Label Studio, page by page, and their predictions
//! back into it.
//!
//! Label Studio itself asks for all tasks in one request, and gives up after 100 s. Here a run may be
//! interrupted at any point, and the same command goes on with it: which tasks already carry a
//! prediction of this version is asked of Label Studio, never remembered here.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::value::RawValue;
use tokio::time::sleep;

use super::batches::{Outcome, Prediction, Predictor};
use super::progress::Progress;
use super::{PredictArgs, Tally, stop};
use crate::cli::note;
use crate::cli::signals::Signals;
use crate::label_studio::predictions::NewPrediction;
use crate::label_studio::projects::Project;
use crate::label_studio::tasks::{ProjectTask, TaskDetail};
use crate::label_studio::{LabelStudio, LabelStudioError};
use crate::wire::protocol::LabelStudioConnection;
use crate::workers::process::Launch;

/// Fewest tasks of a page: each is a request to Label Studio.
const SMALLEST_PAGE: usize = 100;
/// Predictions are imported when there are so many, or so many bytes of them, or after so long. An
/// import takes Label Studio seconds in a large project, however few predictions it brings; a run that
/// is killed has to make those again that were not imported.
const IMPORT_AT: usize = 1000;
const IMPORT_AT_BYTES: usize = 16 << 20;
const IMPORT_AFTER: Duration = Duration::from_secs(10);
/// An import that was sent when a run was killed goes on in Label Studio: about half a millisecond for
/// each task of the project was measured. What it brings must be seen before anything is imported.
const SETTLING: Duration = Duration::from_secs(1);
const SETTLING_PER_TASK: Duration = Duration::from_millis(2);
const LONGEST_SETTLING: Duration = Duration::from_secs(60);
/// Imports of which no answer came are checked and sent again so often.
const MOST_IMPORTS: u32 = 3;

pub(super) async fn predict(args: &PredictArgs, id: &str, launch: &Launch) -> Result<Tally> {
    let number = id.split('.').next().unwrap_or_default().parse();
    let id: u64 =
        number.with_context(|| format!("--project takes the number of a project, not `{id}`"))?;
    let (Some(url), Some(api_key)) = (&args.label_studio_url, &args.api_key) else {
        bail!(
            "name Label Studio with --label-studio-url and --api-key, or with LABEL_STUDIO_URL and \
             LABEL_STUDIO_API_KEY"
        );
    };
    let label_studio = LabelStudio::connect(url, api_key).await?;
    let project = label_studio.project(id).await?;
    let offline = args.offline(launch).await?;
    let done: Result<Tally> = async {
        let connection = LabelStudioConnection {
            hostname: label_studio.url().to_owned(),
            access_token: api_key.clone(),
        };
        let config = Some(project.label_config.clone());
        let opened = offline.open(&project.key(), config, connection).await?;
        let version = opened.version.clone();
        note(&format!(
            "{} of model version {version}, project {id} {:?}, {} tasks",
            offline.class().class,
            project.title,
            project.task_number
        ));
        let predictor = args.predictor(&offline, opened)?;
        let page = SMALLEST_PAGE.max(predictor.batch_size * args.at_once());
        let mut run = Run {
            label_studio: &label_studio,
            project: &project,
            predictor,
            at_once: args.at_once(),
            page: page.try_into()?,
            version,
            progress: Progress::new(project.task_number),
            there: BTreeMap::new(),
            looked: Instant::now(),
            has_settled: false,
            sent: BTreeMap::new(),
            told: HashSet::new(),
        };
        let interrupted = interrupted()?;
        let went_through = run.run(&interrupted).await?;
        let tally = run.progress.end(&offline);
        if !went_through {
            bail!("interrupted; the same command goes on where this one stopped");
        }
        Ok(tally)
    }
    .await;
    stop(offline).await;
    let tally = done?;
    note(&format!("{} tasks predicted and imported, {} failed", tally.predicted, tally.failed));
    Ok(tally)
}

/// Becomes true with the first signal; the second one ends the process at once.
fn interrupted() -> Result<Arc<AtomicBool>> {
    let mut signals = Signals::new()?;
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&interrupted);
    tokio::spawn(async move {
        signals.next().await;
        flag.store(true, Ordering::Relaxed);
        note("stopping after what is being imported");
        signals.next().await;
        crate::cli::log::flush();
        std::process::exit(130);
    });
    Ok(interrupted)
}

/// Predictions that were made and not imported.
struct Waiting {
    predictions: Vec<NewPrediction>,
    bytes: usize,
    since: Instant,
}

impl Default for Waiting {
    fn default() -> Self {
        Self { predictions: Vec::new(), bytes: 0, since: Instant::now() }
    }
}

impl Waiting {
    fn add(&mut self, predictions: Vec<NewPrediction>) {
        self.bytes += predictions.iter().map(|made| made.result.get().len()).sum::<usize>();
        self.predictions.extend(predictions);
    }

    fn is_due(&self) -> bool {
        self.predictions.len() >= IMPORT_AT
            || self.bytes >= IMPORT_AT_BYTES
            || self.since.elapsed() >= IMPORT_AFTER
    }

    fn take(&mut self) -> Vec<NewPrediction> {
        std::mem::take(self).predictions
    }
}

struct Run<'a> {
    label_studio: &'a LabelStudio,
    project: &'a Project,
    predictor: Predictor,
    at_once: usize,
    page: u32,
    /// The version under which all predictions of the run are filed.
    version: String,
    progress: Progress,
    /// Predictions of this version that tasks had when that was last looked at.
    there: BTreeMap<u64, u64>,
    looked: Instant,
    /// No import of an earlier run can be under way any more.
    has_settled: bool,
    /// Predictions of each task that Label Studio was given in this run.
    sent: BTreeMap<u64, u64>,
    /// Remarks that were made.
    told: HashSet<&'static str>,
}

impl Run<'_> {
    /// Goes through the tasks; false if it was interrupted.
    async fn run(&mut self, interrupted: &AtomicBool) -> Result<bool> {
        self.look().await?;
        if !self.there.is_empty() {
            let tasks = self.there.len();
            self.progress.note(&format!("{tasks} tasks already carry predictions of this version"));
        }
        let mut waiting = Waiting::default();
        let mut last = 0;
        while !interrupted.load(Ordering::Relaxed) {
            let page =
                self.label_studio.tasks(self.project, last, self.page, TaskDetail::Full).await?;
            let Some(end) = page.tasks.last() else { break };
            last = end.id;
            let (todo, done): (Vec<ProjectTask>, Vec<ProjectTask>) =
                page.tasks.into_iter().partition(|task| !self.there.contains_key(&task.id));
            self.progress.skipped(done.len());
            let ids: Vec<u64> = todo.iter().map(|task| task.id).collect();
            let tasks: Vec<Box<RawValue>> = todo.into_iter().map(|task| task.json).collect();
            // The model works while Label Studio stores what it said before.
            let predictor = self.predictor.clone();
            let at_once = self.at_once;
            let due = if waiting.is_due() { waiting.take() } else { Vec::new() };
            let (imported, outcomes) =
                tokio::join!(self.import(due), predictor.predict(tasks, at_once));
            imported?;
            waiting.add(self.note_outcomes(ids.into_iter().zip(outcomes)));
        }
        self.import(waiting.take()).await?;
        self.check().await?;
        Ok(!interrupted.load(Ordering::Relaxed))
    }

    /// Sees which tasks carry predictions of this version.
    async fn look(&mut self) -> Result<(), LabelStudioError> {
        self.there = self.label_studio.prediction_counts(self.project.id, &self.version).await?;
        self.looked = Instant::now();
        Ok(())
    }

    /// Waits until what was sent before has been stored, and drops predictions for tasks that have one
    /// by then.
    async fn settle(
        &mut self,
        predictions: &mut Vec<NewPrediction>,
    ) -> Result<(), LabelStudioError> {
        let tasks = u32::try_from(self.project.task_number).unwrap_or(u32::MAX);
        let needed = SETTLING_PER_TASK.saturating_mul(tasks).saturating_add(SETTLING);
        sleep(needed.min(LONGEST_SETTLING).saturating_sub(self.looked.elapsed())).await;
        self.look().await?;
        predictions.retain(|prediction| !self.there.contains_key(&prediction.task));
        Ok(())
    }

    /// Counts what came of tasks; returns what is to be imported.
    fn note_outcomes(
        &mut self,
        outcomes: impl Iterator<Item = (u64, Outcome)>,
    ) -> Vec<NewPrediction> {
        let mut predictions = Vec::new();
        for (task, outcome) in outcomes {
            match outcome {
                Ok(made) => {
                    self.progress.predicted();
                    for prediction in made {
                        predictions.push(self.new_prediction(task, prediction));
                    }
                }
                Err(reason) => self.progress.failed(&task.to_string(), &reason),
            }
        }
        predictions
    }

    /// A prediction under the version of the run, by which the next run will find it.
    fn new_prediction(&mut self, task: u64, prediction: Prediction) -> NewPrediction {
        let Prediction { result, score, model_version } = prediction;
        let own = model_version.and_then(|own| serde_json::from_str::<String>(own.get()).ok());
        if own.is_some_and(|own| own != self.version) {
            self.remark(
                "predictions that name another version are filed under this one all the same",
            );
        }
        let score = score.and_then(|score| {
            // Label Studio takes a number in a text, too.
            score.get().trim_matches('"').parse::<f64>().ok()
        });
        let fits = score.filter(|score| (0.0..=1.0).contains(score));
        if fits != score {
            self.remark(
                "scores outside 0 to 1 are left out: Label Studio imports no prediction that has one",
            );
        }
        NewPrediction { task, result, score: fits, model_version: self.version.clone() }
    }

    /// Says something once.
    fn remark(&mut self, line: &'static str) {
        if self.told.insert(line) {
            self.progress.note(line);
        }
    }

    /// Brings predictions in. Where no answer comes, what is there is looked at before anything is sent
    /// again.
    async fn import(&mut self, mut predictions: Vec<NewPrediction>) -> Result<()> {
        if predictions.is_empty() {
            return Ok(());
        }
        if !self.has_settled {
            self.settle(&mut predictions).await?;
            self.has_settled = true;
        }
        for prediction in &predictions {
            *self.sent.entry(prediction.task).or_default() += 1;
        }
        for _ in 1..MOST_IMPORTS {
            match self.send(&predictions).await? {
                None => return Ok(()),
                Some(error) => {
                    self.progress.note(&format!("{error}; looking what was imported"));
                    self.looked = Instant::now();
                    self.settle(&mut predictions).await?;
                }
            }
        }
        match self.send(&predictions).await? {
            None => Ok(()),
            Some(error) => Err(error.into()),
        }
    }

    /// Sends predictions once. Returns why nobody knows whether they arrived.
    async fn send(&mut self, predictions: &[NewPrediction]) -> Result<Option<LabelStudioError>> {
        if predictions.is_empty() {
            return Ok(None);
        }
        match self.label_studio.import_predictions(self.project.id, predictions).await {
            Ok(_) => Ok(None),
            Err(error) if error.is_refusal() => {
                self.import_each(predictions, &error).await?;
                Ok(None)
            }
            Err(error) => Ok(Some(error)),
        }
    }

    /// One task that was deleted meanwhile makes Label Studio refuse all.
    async fn import_each(
        &mut self,
        predictions: &[NewPrediction],
        refused: &LabelStudioError,
    ) -> Result<()> {
        let by_task: Vec<&[NewPrediction]> =
            predictions.chunk_by(|one, other| one.task == other.task).collect();
        for of_task in &by_task {
            let [first, ..] = of_task else { continue };
            let answer = if by_task.len() == 1 {
                Err(refused.to_string())
            } else {
                match self.label_studio.import_predictions(self.project.id, of_task).await {
                    Ok(_) => Ok(()),
                    Err(error) if error.is_refusal() => Err(error.to_string()),
                    Err(error) => return Err(error.into()),
                }
            };
            if let Err(reason) = answer {
                self.sent.remove(&first.task);
                self.progress.not_imported(&first.task.to_string(), &reason);
            }
        }
        Ok(())
    }

    /// Whether all that was sent is there, and nothing twice.
    async fn check(&mut self) -> Result<()> {
        if self.sent.is_empty() {
            return Ok(());
        }
        let there = self.label_studio.prediction_counts(self.project.id, &self.version).await?;
        for (task, sent) in &self.sent {
            let found = there.get(task).copied().unwrap_or_default();
            if found < *sent {
                let reason = "Label Studio left out its prediction: it does not fit the labelling \
                              config (`label-studio-ml validate` says where)";
                self.progress.not_imported(&task.to_string(), reason);
            } else if found > *sent {
                self.progress.note(&format!(
                    "task {task} has {found} predictions of this version, {sent} were sent now"
                ));
            }
        }
        Ok(())
    }
}
