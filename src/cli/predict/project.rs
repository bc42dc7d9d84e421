//! `predict --project ID`: fetches the tasks of a Label Studio project page by page and imports their
//! predictions.
//!
//! Label Studio itself asks for all tasks in one request, and gives up after 100 s. Here a run may be
//! interrupted at any point, and the same command continues it: Label Studio is asked which tasks already
//! have a prediction of this version; nothing is remembered here.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::value::RawValue;
use tokio::time::sleep;

use super::batches::{OfflinePredictor, TaskOutcome, TaskPrediction};
use super::progress::PredictProgress;
use super::{PredictArgs, Tally, stop};
use crate::cli::note;
use crate::cli::signals::Signals;
use crate::label_studio::ids::{ProjectId, TaskId};
use crate::label_studio::predictions::NewPrediction;
use crate::label_studio::projects::Project;
use crate::label_studio::tasks::{ProjectTask, TaskDetail};
use crate::label_studio::{LabelStudio, LabelStudioError};
use crate::wire::protocol::LabelStudioConnection;
use crate::workers::process::Launch;

/// Minimum number of tasks in a page: each page is a request to Label Studio.
const MIN_PAGE: usize = 100;
/// Predictions are imported once there are this many, or this many bytes of them, or after this time. In a
/// large project an import takes Label Studio seconds, however few predictions it has; a run that is killed
/// must predict again what was not imported.
const IMPORT_AT: usize = 1000;
const IMPORT_AT_BYTES: usize = 16 << 20;
const IMPORT_AFTER: Duration = Duration::from_secs(10);
/// An import that a killed run has sent continues in Label Studio; about half a millisecond per task of the
/// project was measured. Its predictions must be visible before anything else is imported.
const SETTLING: Duration = Duration::from_secs(1);
const SETTLING_PER_TASK: Duration = Duration::from_millis(2);
const LONGEST_SETTLING: Duration = Duration::from_secs(60);
/// Maximum number of times that an import without an answer is checked and sent.
const MAX_IMPORTS: u32 = 3;

pub(super) async fn predict(args: &PredictArgs, id: &str, launch: &Launch) -> Result<Tally> {
    let number = id.split('.').next().unwrap_or_default().parse().map(ProjectId);
    let id =
        number.with_context(|| format!("--project takes the number of a project, not `{id}`"))?;
    let (Some(url), Some(api_key)) = (&args.label_studio_url, &args.api_key) else {
        bail!(
            "--project needs --label-studio-url and --api-key, or LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY"
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
        let opened = offline.open(&project.key().into(), config, connection).await?;
        let version = opened.version.clone();
        note(&format!(
            "{}, model version {version}, project {id} {:?}, {} tasks",
            offline.class().class,
            project.title,
            project.task_number
        ));
        let predictor = args.predictor(&offline, opened);
        let page = MIN_PAGE.max(predictor.batch_size * args.at_once());
        let mut run = ProjectRun {
            label_studio: &label_studio,
            project: &project,
            predictor,
            at_once: args.at_once(),
            page: page.try_into()?,
            version,
            progress: PredictProgress::new(project.task_number),
            there: BTreeMap::new(),
            looked: Instant::now(),
            has_settled: false,
            sent: BTreeMap::new(),
            printed: HashSet::new(),
        };
        let interrupted = interrupted()?;
        let went_through = run.run(&interrupted).await?;
        let tally = run.progress.end(&offline);
        if !went_through {
            bail!("interrupted; run the same command again to continue");
        }
        Ok(tally)
    }
    .await;
    stop(offline).await;
    let tally = done?;
    note(&format!("{} tasks predicted and imported, {} failed", tally.predicted, tally.failed));
    Ok(tally)
}

/// Becomes true with the first signal; the second one exits the process at once.
fn interrupted() -> Result<Arc<AtomicBool>> {
    let mut signals = Signals::new()?;
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&interrupted);
    tokio::spawn(async move {
        signals.next().await;
        flag.store(true, Ordering::Relaxed);
        note("stopping once the running import has finished");
        signals.next().await;
        crate::cli::log::flush();
        std::process::exit(130);
    });
    Ok(interrupted)
}

/// Predictions that are still to be imported.
struct Unsent {
    predictions: Vec<NewPrediction>,
    bytes: usize,
    since: Instant,
}

impl Default for Unsent {
    fn default() -> Self {
        Self { predictions: Vec::new(), bytes: 0, since: Instant::now() }
    }
}

impl Unsent {
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

struct ProjectRun<'a> {
    label_studio: &'a LabelStudio,
    project: &'a Project,
    predictor: OfflinePredictor,
    at_once: usize,
    page: u32,
    /// The model version of all predictions that the run imports.
    version: String,
    progress: PredictProgress,
    /// Number of predictions of this version that each task had at the last look.
    there: BTreeMap<TaskId, u64>,
    looked: Instant,
    /// No import of an earlier run can still be running.
    has_settled: bool,
    /// Number of predictions that this run sent for each task.
    sent: BTreeMap<TaskId, u64>,
    /// Remarks that were printed.
    printed: HashSet<&'static str>,
}

impl ProjectRun<'_> {
    /// Goes through the tasks; false if it was interrupted.
    async fn run(&mut self, interrupted: &AtomicBool) -> Result<bool> {
        self.look().await?;
        if !self.there.is_empty() {
            let tasks = self.there.len();
            self.progress.note(&format!("{tasks} tasks already have predictions of this version"));
        }
        let mut waiting = Unsent::default();
        let mut last = TaskId(0);
        while !interrupted.load(Ordering::Relaxed) {
            let page =
                self.label_studio.tasks(self.project, last, self.page, TaskDetail::Full).await?;
            let Some(end) = page.tasks.last() else { break };
            last = end.id;
            let (todo, done): (Vec<ProjectTask>, Vec<ProjectTask>) =
                page.tasks.into_iter().partition(|task| !self.there.contains_key(&task.id));
            self.progress.skipped(done.len());
            let ids: Vec<TaskId> = todo.iter().map(|task| task.id).collect();
            let tasks: Vec<Box<RawValue>> = todo.into_iter().map(|task| task.json).collect();
            // The model predicts while Label Studio stores the predictions before.
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

    /// Asks which tasks have predictions of this version.
    async fn look(&mut self) -> Result<(), LabelStudioError> {
        self.there = self.label_studio.prediction_counts(self.project.id, &self.version).await?;
        self.looked = Instant::now();
        Ok(())
    }

    /// Waits until what was sent before is stored, and drops predictions for tasks that have one by then.
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

    /// Counts the outcomes of tasks; returns the predictions to import.
    fn note_outcomes(
        &mut self,
        outcomes: impl Iterator<Item = (TaskId, TaskOutcome)>,
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

    /// Gives a prediction the version of the run, by which the next run will find it.
    fn new_prediction(&mut self, task: TaskId, prediction: TaskPrediction) -> NewPrediction {
        let TaskPrediction { result, score, model_version } = prediction;
        let own = model_version.and_then(|own| serde_json::from_str::<String>(own.get()).ok());
        if own.is_some_and(|own| own != self.version) {
            self.remark("predictions that name another model version are imported under this one");
        }
        let score = score.and_then(|score| {
            // Label Studio also accepts a number in a string.
            score.get().trim_matches('"').parse::<f64>().ok()
        });
        let fits = score.filter(|score| (0.0..=1.0).contains(score));
        if fits != score {
            self.remark(
                "scores outside 0 to 1 are left out: Label Studio would refuse the predictions",
            );
        }
        NewPrediction { task, result, score: fits, model_version: self.version.clone() }
    }

    /// Prints a line, but only once.
    fn remark(&mut self, line: &'static str) {
        if self.printed.insert(line) {
            self.progress.note(line);
        }
    }

    /// Imports predictions. If no answer comes, checks what arrived before sending anything again.
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
        for _ in 1..MAX_IMPORTS {
            match self.send(&predictions).await? {
                None => return Ok(()),
                Some(error) => {
                    self.progress.note(&format!("{error}; checking what was imported"));
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

    /// Sends predictions once. Returns the error that leaves open whether they arrived.
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

    /// Imports task by task: one task that was deleted meanwhile makes Label Studio refuse all.
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

    /// Reports what was sent and is not there, or is there twice.
    async fn check(&mut self) -> Result<()> {
        if self.sent.is_empty() {
            return Ok(());
        }
        let there = self.label_studio.prediction_counts(self.project.id, &self.version).await?;
        for (task, sent) in &self.sent {
            let found = there.get(task).copied().unwrap_or_default();
            if found < *sent {
                let reason = "Label Studio dropped its prediction, which does not fit the labelling config \
                              (`label-studio-ml validate` says where)";
                self.progress.not_imported(&task.to_string(), reason);
            } else if found > *sent {
                self.progress.note(&format!(
                    "task {task} has {found} predictions of this version; this run sent {sent}"
                ));
            }
        }
        Ok(())
    }
}
