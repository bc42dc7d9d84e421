//! `label-studio-ml jobs`: lists the training jobs of a running server, shows one, or what it printed.

mod job_log;

use std::fmt;
use std::str::FromStr;

use anyhow::{Result, bail};
use clap::Args;
use reqwest::Method;
use serde_json::Value;

use super::remote::table::{PlainTable, between, local_time, one_line, text};
use super::remote::{self, RemoteServer, ServerArgs, in_path};
use super::values::whole;

/// The word before a job whose output is wanted.
const LOG: &str = "log";

#[derive(Debug, Args)]
pub(super) struct JobsArgs {
    /// Nothing for a list, the number of a job for its details, or `log` and a number for what the job printed;
    /// then the project folder or script whose server is asked
    #[arg(value_name = "[log] [JOB] [NAME]", num_args = 0..=3)]
    what: Vec<String>,
    /// Print what a running job goes on to print, until it ends
    #[arg(short, long)]
    follow: bool,
    /// Only the jobs of this project of Label Studio, by its key as listed
    #[arg(long, value_name = "KEY")]
    project: Option<String>,
    /// Number of jobs that are listed, the newest ones
    #[arg(long, value_name = "NUMBER", default_value = "20", value_parser = whole::<u32>(1..=1000))]
    limit: u32,
    #[command(flatten)]
    server: ServerArgs,
}

/// The number of a job, as the user writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct JobNumber(String);

impl FromStr for JobNumber {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number
            .then(|| Self(text.to_owned()))
            .ok_or_else(|| "a job is a number, as `label-studio-ml jobs` lists it".to_owned())
    }
}

impl fmt::Display for JobNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the user wants to see.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    List,
    Details(JobNumber),
    Log(JobNumber),
}

/// Tells a number from the name of a project.
fn wanted(words: &[String]) -> Result<(Wanted, Option<String>)> {
    let (is_log, words) = match words.split_first() {
        Some((first, rest)) if first == LOG => (true, rest),
        _ => (false, words),
    };
    let (job, names) = match words.split_first() {
        Some((first, rest)) if first.parse::<JobNumber>().is_ok() => (first.parse().ok(), rest),
        _ => (None, words),
    };
    if names.len() > 1 {
        bail!("{:?} is one name too many: jobs takes [log] [JOB] [NAME]", names[1]);
    }
    let wanted = match job {
        Some(job) if is_log => Wanted::Log(job),
        Some(job) => Wanted::Details(job),
        None if is_log => bail!("say which job: label-studio-ml jobs log JOB"),
        None => Wanted::List,
    };
    Ok((wanted, names.first().cloned()))
}

pub(super) fn run(args: &JobsArgs) -> Result<i32> {
    let (wanted, name) = wanted(&args.what)?;
    if args.follow && !matches!(wanted, Wanted::Log(_)) {
        bail!("--follow is for the output of a job: label-studio-ml jobs log JOB --follow");
    }
    remote::run(&args.server, name.as_deref(), async |server| match &wanted {
        Wanted::List => list(server, args).await,
        Wanted::Details(job) => details(server, job).await,
        Wanted::Log(job) => job_log::print(server, job, args.follow).await,
    })
}

async fn list(server: &RemoteServer, args: &JobsArgs) -> Result<i32> {
    let of = args.project.as_ref().map(|key| format!("&project={}", in_path(key)));
    let path = format!("/jobs?limit={}{}", args.limit, of.unwrap_or_default());
    match server.ask(Method::GET, &path, None).await? {
        Ok(answer) => {
            server
                .print(&answer, || shown(answer["jobs"].as_array().map_or(&[], Vec::as_slice)))?;
            Ok(0)
        }
        Err(refusal) => Ok(RemoteServer::refuse(&refusal.detail)),
    }
}

fn shown(jobs: &[Value]) -> String {
    if jobs.is_empty() {
        return "No training jobs yet.".into();
    }
    let heading = ["JOB", "STATUS", "PROJECT", "EVENT", "STARTED", "TOOK", "VERSION"];
    let mut table = PlainTable::new(&heading);
    for job in jobs {
        let event = if job["event"].is_null() { "/train".to_owned() } else { text(&job["event"]) };
        let cells = vec![
            text(&job["job"]),
            text(&job["job_status"]),
            text(&job["project"]),
            event,
            local_time(&job["started_at"]),
            between(&job["started_at"], &job["ended_at"]),
            text(&job["model_version"]),
        ];
        let error = job["error"].as_str().map(one_line);
        table.add(cells, error.or_else(|| progress(&job["progress"])));
    }
    table.lines()
}

/// The progress of a running job.
fn progress(progress: &Value) -> Option<String> {
    let percent = progress["fraction"].as_f64().map(|part| format!("{:.0} %", part * 100.0));
    let message = progress["message"].as_str().map(one_line);
    let parts: Vec<String> = percent.into_iter().chain(message).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

async fn details(server: &RemoteServer, job: &JobNumber) -> Result<i32> {
    match server.ask(Method::GET, &format!("/jobs/{job}"), None).await? {
        Ok(answer) => {
            server.print(&answer, || described(&answer))?;
            Ok(0)
        }
        Err(refusal) => Ok(RemoteServer::refuse(&refusal.detail)),
    }
}

fn described(job: &Value) -> String {
    let event = if job["event"].is_null() { "/train".to_owned() } else { text(&job["event"]) };
    let merged = job["merged"].as_u64().filter(|merged| *merged > 0);
    let rows = [
        ("Job", text(&job["job"])),
        ("Status", text(&job["job_status"])),
        ("Project", text(&job["project"])),
        ("Event", event),
        ("Also for", merged.map(|merged| format!("{merged} more events")).unwrap_or_default()),
        ("Queued", local_time(&job["enqueued_at"])),
        ("Started", local_time(&job["started_at"])),
        ("Ended", local_time(&job["ended_at"])),
        ("Took", between(&job["started_at"], &job["ended_at"])),
        ("Progress", progress(&job["progress"]).unwrap_or_default()),
        ("Version", text(&job["model_version"])),
        ("Error", job["error"].as_str().map(one_line).unwrap_or_default()),
    ];
    let told = rows.iter().filter(|(_, value)| !value.is_empty());
    let mut lines: Vec<String> = told.map(|(name, value)| format!("{name:<9} {value}")).collect();
    if let Some(traceback) = job["traceback"].as_str() {
        lines.push(format!("\n{}", traceback.trim_end()));
    }
    let number = text(&job["job"]);
    lines.push(format!("\nWhat it printed: label-studio-ml jobs log {number}"));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn words_say_what_is_wanted() {
        let of = |line: &str| {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            wanted(&words).map_err(|error| error.to_string())
        };
        let job = || JobNumber("17".into());
        assert_eq!(of(""), Ok((Wanted::List, None)));
        assert_eq!(of("my_backend"), Ok((Wanted::List, Some("my_backend".into()))));
        assert_eq!(of("17"), Ok((Wanted::Details(job()), None)));
        assert_eq!(of("log 17 ."), Ok((Wanted::Log(job()), Some(".".into()))));
        assert_eq!(of("./log"), Ok((Wanted::List, Some("./log".into()))));
        assert!(of("log").unwrap_err().contains("say which job"));
        assert!(of("log x").unwrap_err().contains("say which job"));
        assert!(of("17 a b").unwrap_err().contains("\"b\" is one name too many"));
    }

    #[test]
    fn a_failed_job_has_its_reason_below() {
        let jobs = [
            json!({"job": "18", "job_status": "started", "project": "2.17", "event": "ANNOTATION_CREATED",
                   "started_at": null, "ended_at": null, "model_version": null, "error": null,
                   "progress": {"fraction": 0.4, "message": "epoch 2", "metrics": {}}}),
            json!({"job": "17", "job_status": "failed", "project": "2.17", "event": null,
                   "started_at": null, "ended_at": null, "model_version": null,
                   "error": "KeyError: 'x'\nmore", "progress": null}),
        ];
        assert_eq!(
            shown(&jobs),
            "JOB  STATUS   PROJECT  EVENT\n\
             18   started  2.17     ANNOTATION_CREATED\n      40 %, epoch 2\n\
             17   failed   2.17     /train\n      KeyError: 'x'"
        );
        assert_eq!(shown(&[]), "No training jobs yet.");
    }
}
