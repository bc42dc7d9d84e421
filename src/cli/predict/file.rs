//! `predict --input FILE --output FILE`: adds predictions to the tasks of a file, in the form that Label
//! Studio imports.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::batches::{TaskOutcome, TaskPrediction};
use super::progress::PredictProgress;
use super::{PredictArgs, Tally, stop};
use crate::cli::offline::label_config;
use crate::cli::task_file::{self, FileTask};
use crate::cli::{note, say};
use crate::wire::protocol::LabelStudioConnection;
use crate::workers::process::Launch;

/// Number of batches between two updates of the progress bar, per batch that runs at a time.
const BATCHES_AT_A_TIME: usize = 4;

#[derive(Deserialize)]
struct SourceTask<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
    #[serde(borrow)]
    data: &'a RawValue,
    #[serde(borrow)]
    meta: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct PredictedTask<'a> {
    id: &'a RawValue,
    data: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    meta: Option<&'a RawValue>,
    predictions: Vec<WrittenPrediction<'a>>,
}

#[derive(Serialize)]
struct WrittenPrediction<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    model_version: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<&'a RawValue>,
    result: &'a RawValue,
}

impl<'a> From<&'a TaskPrediction> for WrittenPrediction<'a> {
    fn from(prediction: &'a TaskPrediction) -> Self {
        Self {
            model_version: prediction.model_version.as_deref(),
            score: prediction.score.as_deref(),
            result: &prediction.result,
        }
    }
}

pub(super) async fn predict(args: &PredictArgs, input: &Path, launch: &Launch) -> Result<Tally> {
    let tasks = task_file::read(input)?;
    let config = label_config(args.config.as_deref(), &args.project_args.project()?.folder)?;
    let offline = args.offline(launch).await?;
    let done: Result<Tally> = async {
        let project = offline.project_key(args.project.as_deref()).await?;
        let connection = LabelStudioConnection {
            hostname: args.label_studio_url.clone().unwrap_or_default(),
            access_token: args.api_key.clone().unwrap_or_default(),
        };
        let opened = offline.open(&project, config, connection).await?;
        note(&format!(
            "{}, model version {}, {} tasks",
            offline.class().class,
            opened.version,
            tasks.len()
        ));
        let predictor = args.predictor(&offline, opened);
        let mut progress = PredictProgress::new(tasks.len() as u64);
        let mut outcomes = Vec::with_capacity(tasks.len());
        let stretch = predictor.batch_size * args.at_once() * BATCHES_AT_A_TIME;
        for tasks in tasks.chunks(stretch) {
            let asked = tasks.iter().map(|task| task.json.clone()).collect();
            for (task, outcome) in tasks.iter().zip(predictor.predict(asked, args.at_once()).await)
            {
                match &outcome {
                    Ok(_) => progress.predicted(),
                    Err(reason) => progress.failed(&task.id, reason),
                }
                outcomes.push(outcome);
            }
        }
        write(args.output.as_deref(), &tasks, &outcomes)?;
        Ok(progress.end(&offline))
    }
    .await;
    stop(offline).await;
    let tally = done?;
    let place = args.output.as_deref().map(|path| format!(" in {}", path.display()));
    note(&format!(
        "{} tasks predicted{}, {} failed",
        tally.predicted,
        place.unwrap_or_default(),
        tally.failed
    ));
    Ok(tally)
}

/// Writes the whole file or, if the disk is full, nothing.
fn write(output: Option<&Path>, tasks: &[FileTask], outcomes: &[TaskOutcome]) -> Result<()> {
    let mut written = Vec::with_capacity(tasks.len());
    for (task, outcome) in tasks.iter().zip(outcomes) {
        let SourceTask { id, data, meta } = serde_json::from_str(task.json.get())?;
        let predictions = outcome.iter().flatten().map(WrittenPrediction::from).collect();
        written.push(PredictedTask { id, data, meta, predictions });
    }
    let Some(path) = output else {
        say(&serde_json::to_string(&written)?);
        return Ok(());
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let shown = || path.display().to_string();
    let mut draft = tempfile::Builder::new()
        .permissions(permissions())
        .tempfile_in(folder)
        .with_context(shown)?;
    let mut buffered = std::io::BufWriter::new(draft.as_file_mut());
    serde_json::to_writer(&mut buffered, &written).with_context(shown)?;
    buffered.write_all(b"\n").and_then(|()| buffered.flush()).with_context(shown)?;
    drop(buffered);
    draft.persist(path).with_context(shown)?;
    Ok(())
}

/// The permissions of any new file; the user's umask still applies.
fn permissions() -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o666)
}
