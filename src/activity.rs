//! What the server was used for: one line of the log for each thing that happened.
//!
//! In: what handlers, the runner of trainings and the publisher did. Out: lines whose first word says what
//! happened (`connected`, `predicted`, `trained`, `failed`, …). A terminal shows them without their fields
//! (`cli/terminal/log_line`), so the text alone must be enough. What may happen many times a second is
//! counted and told together.

pub mod connections;
pub mod failures;
pub mod predictions;

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use tracing::{error, info, warn};

use connections::ConnectionLog;
use failures::FailureTally;
use predictions::PredictionTally;

use crate::ids::{JobId, ProjectKey};

/// The target of these lines in the log.
pub const TARGET: &str = "label_studio_ml::activity";
/// The target of [`failures`], for terminals only: elsewhere each failed request has a line of its own.
pub const FAILURES_TARGET: &str = "label_studio_ml::activity::failures";

/// What lets events of Label Studio pass a server with a password.
pub const WEBHOOK_TOKEN_REMEDY: &str = "set LABEL_STUDIO_ML_WEBHOOK_TOKEN to the output of `openssl rand -hex \
    16`, and paste the address that `start` then shows into Label Studio";
/// Shortest time between two hints about refused events.
const HINT_PAUSE: Duration = Duration::from_secs(60);

/// What is counted before it is told.
#[derive(Debug, Default)]
pub struct ActivityLog {
    pub connections: ConnectionLog,
    pub predictions: PredictionTally,
    pub failures: FailureTally,
    refused_events: Mutex<Option<Instant>>,
}

impl ActivityLog {
    /// An event was refused because Label Studio sends no password with it. Says what helps, once a minute.
    pub fn event_refused(&self) {
        let mut told = self.refused_events.lock();
        if told.is_some_and(|told| told.elapsed() < HINT_PAUSE) {
            return;
        }
        *told = Some(Instant::now());
        drop(told);
        warn!(
            "refused an event, so nothing is trained: Label Studio sends no password with its events; \
             {WEBHOOK_TOKEN_REMEDY}"
        );
    }
}

/// A training made a version, which is served now.
pub fn trained(project: &ProjectKey, job: JobId, seconds: f64, version: &str) {
    let (key, id) = (project.as_str(), project.shown_id());
    info!(project = key, job = %job, model_version = version,
        "trained project {id} in {seconds:.1} s → version {version}");
}

/// A training went well, and predictions are made as before.
pub fn trained_in_vain(project: &ProjectKey, job: JobId, seconds: f64, reason: &str) {
    let (key, id) = (project.as_str(), project.shown_id());
    warn!(project = key, job = %job, "trained project {id} in {seconds:.1} s; {reason}");
}

/// A training failed, for good or until it is tried again.
pub fn training_failed(project: &ProjectKey, job: JobId, why: &str, traceback: Option<&str>) {
    let (key, id) = (project.as_str(), project.shown_id());
    let why = after_what(why, traceback);
    error!(project = key, job = %job, "failed training project {id}{why}");
}

/// A worker ended with a training, which runs again.
pub fn training_repeated(project: &ProjectKey, job: JobId, why: &str) {
    let (key, id) = (project.as_str(), project.shown_id());
    warn!(project = key, job = %job, "failed training project {id}, which is tried again: {why}");
}

/// A training was cancelled, or was not worth beginning.
pub fn training_ended(project: &ProjectKey, job: JobId, why: &str) {
    let (key, id) = (project.as_str(), project.shown_id());
    info!(project = key, job = %job, "cancelled training of project {id}: {why}");
}

/// A training is runnable and gets almost no processor time.
pub fn training_starves(project: &ProjectKey, job: JobId) {
    let (key, id) = (project.as_str(), project.shown_id());
    info!(project = key, job = %job,
        "waiting for processor time to train project {id}: training runs only when the CPU is otherwise idle \
         (--train-nice changes that)");
}

/// A person chose the version that is served.
pub fn activated(project: &ProjectKey, version: &str) {
    let (key, id) = (project.as_str(), project.shown_id());
    info!(project = key, model_version = version, "activated version {version} of project {id}");
}

/// The frames of a traceback without the message at its end, for a place that tells the message later.
pub fn frames<'a>(traceback: &'a str, message: &str) -> &'a str {
    match traceback.trim_end().strip_suffix(message.trim_end()) {
        // Python writes the module in front of the class.
        Some(rest) => rest.rfind('\n').map_or("", |end| &rest[..end]),
        None => traceback.trim_end(),
    }
}

/// Why something failed, as the end of a line. With a traceback the message stands last, where a person
/// looks for it, and only there.
fn after_what(why: &str, traceback: Option<&str>) -> String {
    match traceback.map(str::trim_end).filter(|traceback| !traceback.is_empty()) {
        Some(traceback) if traceback.ends_with(why.trim_end()) => format!("\n{traceback}"),
        Some(traceback) => format!("\n{traceback}\n{why}"),
        None => format!(": {why}"),
    }
}

/// `1 task`, `2 tasks`.
fn counted(number: u64, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_what_stands_before_the_message() {
        let traceback = "Traceback:\n  File \"m.py\"\nm.Odd: no\nlabels\n";
        assert_eq!(frames(traceback, "Odd: no\nlabels"), "Traceback:\n  File \"m.py\"");
        assert_eq!(frames(traceback, "Even"), traceback.trim_end());
        assert_eq!(frames("Odd: no", "Odd: no"), "");
    }

    #[test]
    fn the_message_stands_last_and_once() {
        let traceback = "Traceback (most recent call last):\n  File \"m.py\"\nm.Odd: no labels\n";
        assert_eq!(
            after_what("Odd: no labels", Some(traceback)),
            "\nTraceback (most recent call last):\n  File \"m.py\"\nm.Odd: no labels"
        );
        assert_eq!(
            after_what("Odd: no labels; give some", Some(traceback)),
            "\nTraceback (most recent call last):\n  File \"m.py\"\nm.Odd: no labels\nOdd: no labels; give some"
        );
        assert_eq!(after_what("the worker died", None), ": the worker died");
        assert_eq!(after_what("the worker died", Some("")), ": the worker died");
    }
}
