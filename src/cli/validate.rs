//! `label-studio-ml validate`: checks whether Label Studio would show what the model predicts. Out:
//! predictions and findings as tables, and an exit status for scripts.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;
use serde_json::value::RawValue;

use super::offline::{Offline, Opened, is_about_config, label_config};
use super::project_args::ProjectArgs;
use super::task_file::{self, FileTask};
use super::{note, say, terminal};
use crate::labelling::check::Finding;
use crate::serving::{PredictAnswer, ServingError};
use crate::wire::protocol::{LabelStudioConnection, ModelError};
use crate::workers::process::Launch;

/// Exit status if Label Studio would drop or hide something, or the model fails.
const FOUND: i32 = 1;
/// Width of the tables if standard output is not a terminal, in columns.
const WIDTH: u16 = 120;
/// Maximum number of characters of a value that are shown.
const MAX_VALUE_CHARS: usize = 60;

#[derive(Debug, Args)]
#[command(
    after_help = "`label-studio-ml validate --help` shows all options.",
    after_long_help = ""
)]
pub(super) struct ValidateArgs {
    /// File of tasks to predict for: JSON, or one task a line
    #[arg(long, value_name = "FILE")]
    task: PathBuf,
    /// Labelling config [default: `label_config.xml` in the project folder]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Project for which the model was trained [default: the only one that was]
    #[arg(long, value_name = "ID")]
    project: Option<String>,
    #[command(flatten)]
    project_args: ProjectArgs,
}

pub(super) fn run(args: &ValidateArgs, launch: &Launch) -> Result<i32> {
    // The command prints the findings itself; the log would repeat them.
    terminal::init_log(args.project_args.log_level.as_deref().unwrap_or("ERROR"));
    let tasks = task_file::read(&args.task)?;
    let found = args.project_args.project()?;
    let config = label_config(args.config.as_deref(), &found.folder)?;
    let configure = args.project_args.configure(&found, 1)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let offline = Offline::start(&configure, 1, args.project_args.take_over, launch).await?;
        let done = validate(&offline, args, config, &tasks).await;
        offline.stop().await;
        done
    })
}

async fn validate(
    offline: &Offline,
    args: &ValidateArgs,
    config: Option<String>,
    tasks: &[FileTask],
) -> Result<i32> {
    let project = offline.project_key(args.project.as_deref()).await?;
    let connection = LabelStudioConnection { hostname: String::new(), access_token: String::new() };
    let opened = offline.open(&project, config, connection).await?;
    say(&heading(offline, &opened, tasks.len()));
    let asked: Vec<&RawValue> = tasks.iter().map(|task| task.json.as_ref()).collect();
    let PredictAnswer { body, checked, .. } = match offline.predict(&opened, &asked).await {
        Ok(answered) => answered,
        Err(ServingError::Model(error)) => {
            tell_failure(offline, &opened, &asked, error).await;
            return Ok(FOUND);
        }
        Err(error) => {
            note(&format!("error: {error}"));
            return Ok(FOUND);
        }
    };
    let answer: Value = serde_json::from_slice(&body)?;
    say(&predictions(&answer["results"], tasks).to_string());
    if checked.total == 0 {
        say("Label Studio can show all of these predictions.");
        return Ok(0);
    }
    say(&findings(&checked.findings, tasks).to_string());
    let kept = checked.findings.len();
    let more =
        if checked.total > kept { format!(", the first {kept} shown") } else { String::new() };
    let findings = if checked.total == 1 { "finding" } else { "findings" };
    say(&format!("{} {findings}{more}.", checked.total));
    Ok(FOUND)
}

/// Tells why the model failed: where, for which task, and last what to do.
async fn tell_failure(
    offline: &Offline,
    opened: &Opened,
    asked: &[&RawValue],
    mut error: ModelError,
) {
    let advice = offline.without_config(opened.label_config.as_deref());
    if advice.is_none() || !is_about_config(&error) {
        if error.task.is_none() && asked.len() > 1 {
            error = first_failure(offline, opened, asked).await.unwrap_or(error);
        }
        say(error.traceback.as_deref().unwrap_or_default());
        let task = error.task.map(|task| format!("task {task}: ")).unwrap_or_default();
        note(&format!("error: {task}predict failed: {}: {}", error.class, error.message));
    }
    if let Some(advice) = advice {
        note(&format!("error: {advice}"));
    }
}

/// The error of the first task that fails on its own, which names it.
async fn first_failure(
    offline: &Offline,
    opened: &Opened,
    asked: &[&RawValue],
) -> Option<ModelError> {
    for &task in asked {
        if let Err(ServingError::Model(error)) = offline.predict(opened, &[task]).await {
            return Some(error);
        }
    }
    None
}

fn heading(offline: &Offline, opened: &Opened, tasks: usize) -> String {
    let class = offline.class();
    let config = match opened.label_config {
        Some(_) => "",
        None => ", without a labelling config (--config FILE), so regions are not checked",
    };
    let project = match opened.project.as_str() {
        "" => String::new(),
        project => format!(" of project {project}"),
    };
    format!(
        "{} ({}), model version {}{project}, {tasks} tasks{config}",
        class.class, class.api, opened.version
    )
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    let width = terminal_size::terminal_size().map_or(WIDTH, |(width, _)| width.0);
    table
        .load_style(presets::UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(width)
        .set_header(header);
    table
}

/// One row per region; a prediction without regions has a row too.
fn predictions(results: &Value, tasks: &[FileTask]) -> Table {
    let mut table = table(&["task", "from_name → to_name", "type", "value", "score", "version"]);
    for (index, item) in results.as_array().into_iter().flatten().enumerate() {
        let task = tasks.get(index).map_or("?", |task| task.id.as_str());
        let of_item = match item {
            Value::Array(predictions) => predictions.as_slice(),
            prediction => std::slice::from_ref(prediction),
        };
        if of_item.is_empty() {
            table.add_row([task, "no prediction", "", "", "", ""]);
        }
        for prediction in of_item {
            let (score, version) =
                (plain(&prediction["score"]), plain(&prediction["model_version"]));
            let regions = prediction["result"].as_array().map(Vec::as_slice).unwrap_or_default();
            if regions.is_empty() {
                table.add_row([task, "no region", "", "", &score, &version]);
            }
            for region in regions {
                let names = match region["type"].as_str() {
                    Some("relation") => {
                        format!("{} → {}", plain(&region["from_id"]), plain(&region["to_id"]))
                    }
                    _ => format!("{} → {}", plain(&region["from_name"]), plain(&region["to_name"])),
                };
                let kind = plain(&region["type"]);
                table.add_row([task, &names, &kind, &value(&region["value"]), &score, &version]);
            }
        }
    }
    table
}

fn findings(findings: &[Finding], tasks: &[FileTask]) -> Table {
    let mut table = table(&["task", "finding"]);
    for finding in findings {
        let task = finding.item.and_then(|item| tasks.get(item));
        table.add_row([task.map_or("all", |task| task.id.as_str()), &finding.without_task()]);
    }
    table
}

/// A value without quotes; empty for null.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => shortened(text),
        other => shortened(&other.to_string()),
    }
}

/// `x 10, y 20, rectanglelabels Cat`.
fn value(value: &Value) -> String {
    let Value::Object(members) = value else { return plain(value) };
    let shown = |value: &Value| match value {
        Value::Array(items) if items.iter().all(Value::is_string) => {
            let texts: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            shortened(&texts.join(", "))
        }
        other => plain(other),
    };
    let members: Vec<String> =
        members.iter().map(|(key, value)| format!("{key} {}", shown(value))).collect();
    members.join(", ")
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= MAX_VALUE_CHARS {
        return text.to_owned();
    }
    text.chars().take(MAX_VALUE_CHARS).chain(['…']).collect()
}
