//! `predict --input FILE --output FILE`: adds predictions to the tasks of a file, in the form that Label
//! Studio imports.

use std::borrow::Cow;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use indexmap::IndexMap;
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

/// The members of a task as they stand in the file, so that numbers and text come out unchanged.
type Members<'a> = IndexMap<Cow<'a, str>, &'a RawValue>;

#[derive(Serialize)]
struct PredictedTask<'a> {
    #[serde(flatten)]
    members: Members<'a>,
    predictions: Vec<OutputPrediction<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum OutputPrediction<'a> {
    Kept(&'a RawValue),
    New(WrittenPrediction<'a>),
}

#[derive(Deserialize)]
struct KeptPrediction<'a> {
    #[serde(borrow)]
    model_version: Option<&'a RawValue>,
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
    let mut advice = None;
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
        let tally = progress.end(&offline);
        // What most probably helps is what the user reads last.
        if tally.failed > 0 {
            advice = predictor.advice();
        }
        Ok(tally)
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
    if let Some(advice) = advice {
        note(&format!("error: {advice}"));
    }
    Ok(tally)
}

/// Writes the whole file or, if the disk is full, nothing.
fn write(output: Option<&Path>, tasks: &[FileTask], outcomes: &[TaskOutcome]) -> Result<()> {
    let mut written = Vec::with_capacity(tasks.len());
    for (task, outcome) in tasks.iter().zip(outcomes) {
        written.push(predicted_task(task, outcome)?);
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

/// Adds predictions to a task. Its annotations, earlier predictions and all other members stay; an earlier
/// prediction of the same version is replaced. Ids, which some exports have as `predictions`, are left out:
/// Label Studio refuses to import them.
fn predicted_task<'a>(task: &'a FileTask, outcome: &'a TaskOutcome) -> Result<PredictedTask<'a>> {
    let mut members: Members<'_> = serde_json::from_str(task.json.get())?;
    let earlier: Vec<&RawValue> = members
        .shift_remove("predictions")
        .and_then(|list| serde_json::from_str(list.get()).ok())
        .unwrap_or_default();
    let new: Vec<WrittenPrediction<'_>> =
        outcome.iter().flatten().map(WrittenPrediction::from).collect();
    let versions: Vec<serde_json::Value> =
        new.iter().filter_map(|one| value(one.model_version)).collect();
    let kept = earlier.into_iter().filter(|one| {
        serde_json::from_str(one.get()).is_ok_and(|KeptPrediction { model_version }| {
            value(model_version).is_none_or(|version| !versions.contains(&version))
        })
    });
    let predictions =
        kept.map(OutputPrediction::Kept).chain(new.into_iter().map(OutputPrediction::New));
    Ok(PredictedTask { predictions: predictions.collect(), members })
}

fn value(raw: Option<&RawValue>) -> Option<serde_json::Value> {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok())
}

/// The permissions of any new file; the user's umask still applies.
fn permissions() -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o666)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    fn written(task: &str, outcome: &TaskOutcome) -> String {
        let task = FileTask { id: "7".into(), json: raw(task) };
        serde_json::to_string(&predicted_task(&task, outcome).unwrap()).unwrap()
    }

    fn predicted(version: &str) -> Vec<TaskPrediction> {
        let model_version = Some(raw(version));
        vec![TaskPrediction { model_version, score: None, result: raw("[]") }]
    }

    #[test]
    fn everything_but_the_predictions_stays_as_it_stands_in_the_file() {
        let members = r#"{"id":7,"data":{"n":1.00,"big":12345678901234567890123},"meta":null,"annotations":[{"result":[],"lead_time":2.50}],"drafts":[],"x":"\u00e4""#;
        let expected =
            format!(r#"{members},"predictions":[{{"model_version":"a","result":[]}}]}}"#);
        assert_eq!(written(&format!("{members}}}"), &Ok(predicted(r#""a""#))), expected);
    }

    #[test]
    fn an_earlier_prediction_stays_unless_it_is_of_the_same_version() {
        let task = r#"{"id":7,"predictions":[{"model_version":"a","result":[1]},{"model_version":"b"},{"result":[2]},5,null],"data":{}}"#;
        let kept_a = r#"{"model_version":"a","result":[1]}"#;
        let others = r#"{"model_version":"b"},{"result":[2]}"#;
        let new = |version: &str| format!(r#"{{"model_version":"{version}","result":[]}}"#);
        let expect =
            |predictions: &str| format!(r#"{{"id":7,"data":{{}},"predictions":[{predictions}]}}"#);
        assert_eq!(
            written(task, &Ok(predicted(r#""a""#))),
            expect(&format!("{others},{}", new("a")))
        );
        assert_eq!(
            written(task, &Ok(predicted(r#""\u0061""#))),
            expect(&format!(r#"{others},{{"model_version":"\u0061","result":[]}}"#))
        );
        let both = format!("{kept_a},{others}");
        assert_eq!(
            written(task, &Ok(predicted(r#""c""#))),
            expect(&format!("{both},{}", new("c")))
        );
        assert_eq!(written(task, &Err("failed".into())), expect(&both));
    }

    #[test]
    fn what_is_not_a_list_of_predictions_is_left_out() {
        for predictions in ["[1, 2]", "null", "{}", "\"none\""] {
            let task = format!(r#"{{"data":{{}},"predictions":{predictions}}}"#);
            let expected = r#"{"data":{},"predictions":[{"model_version":"a","result":[]}]}"#;
            assert_eq!(written(&task, &Ok(predicted(r#""a""#))), expected);
        }
    }
}
