//! What commands show on stderr: the log and, in a terminal, the progress of training below it.

mod log_line;

use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

use self::log_line::TerminalLine;
use super::log::{BARS, Unfailing, is_watched, write_block};
use crate::activity;
use crate::training::queue::Running;
use crate::training::report;
use crate::workers::output::job::JobOutput;

/// Number of steps of a bar.
const STEPS: u64 = 1_000;
const BAR: &str = "{spinner} training project {prefix} {bar:30} {elapsed} {wide_msg}";
/// How often the clock of a bar advances without a report.
const TICK: Duration = Duration::from_millis(250);

/// Rooms whose INFO lines are about the server itself: a terminal shows [`activity`] instead.
const QUIET: [&str; 4] = ["workers", "publishing", "training::runner", "training::report"];
/// Where each failed request is logged; a terminal shows those of [`activity::failures`].
const REQUESTS: &str = "label_studio_ml::http::finish";

pub(super) fn init_log(level: &str) {
    let level = match level {
        "DEBUG" | "NOTSET" => "debug",
        "WARNING" | "WARN" => "warn",
        // Nothing here is worse than an error, and a server must be able to say that it is broken.
        "ERROR" | "CRITICAL" | "FATAL" => "error",
        _ => "info",
    };
    let ours = directives(level, is_watched());
    // For developers: what other crates log.
    let more = std::env::var("RUST_LOG").ok().filter(|more| !more.is_empty());
    let with_more = more.and_then(|more| EnvFilter::try_new(format!("{ours},{more}")).ok());
    let filter = with_more.unwrap_or_else(|| EnvFilter::new(&ours));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Unfailing)
        .log_internal_errors(false)
        .with_ansi(has_colour());
    // A second server in one process keeps the first one's log.
    let _ = if is_watched() { log.event_format(TerminalLine).try_init() } else { log.try_init() };
}

/// What is logged at a level of ours. Other crates log warnings and errors only.
fn directives(level: &str, is_watched: bool) -> String {
    let ours = format!("warn,label_studio_ml={level},model={level}");
    let failures = activity::FAILURES_TARGET;
    match (is_watched, level) {
        // A person wants to see what happens, not how the server does it; and a failed request once.
        (true, "info") => {
            let quiet = QUIET.map(|target| format!(",label_studio_ml::{target}=warn")).concat();
            format!("{ours}{quiet},{REQUESTS}=off")
        }
        (true, "warn" | "error") => format!("{ours},{REQUESTS}=off"),
        _ => format!("{ours},{failures}=off"),
    }
}

/// Whether stderr shows colours: in a terminal, unless `NO_COLOR` is set (<https://no-color.org>).
pub(super) fn has_colour() -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    is_watched() && !unwanted && std::env::var_os("TERM").is_none_or(|name| name != "dumb")
}

/// Shows what a command waits for and for how long, until it is dropped.
#[must_use]
pub(super) struct WaitingLine(Option<ProgressBar>);

pub(super) fn show_waiting(text: &str) -> WaitingLine {
    if !has_colour() {
        // Such a terminal cannot take the line back.
        write_block(&format!("{text}\n"));
        return WaitingLine(None);
    }
    let line = BARS.add(ProgressBar::new_spinner());
    if let Ok(style) = ProgressStyle::with_template("{msg} {elapsed}") {
        line.set_style(style);
    }
    line.set_message(text.to_owned());
    line.enable_steady_tick(TICK);
    WaitingLine(Some(line))
}

impl Drop for WaitingLine {
    fn drop(&mut self) {
        if let Some(line) = &self.0 {
            line.finish_and_clear();
            BARS.remove(line);
        }
    }
}

/// Shows a bar for the running job if stderr is a terminal.
pub(super) fn show_progress(mut running: watch::Receiver<Option<Arc<Running>>>) {
    if !is_watched() {
        return;
    }
    tokio::spawn(async move {
        loop {
            let job = match running.wait_for(Option::is_some).await {
                Ok(job) => job.clone(),
                Err(_) => return,
            };
            let Some(job) = job else { continue };
            let bar = BARS.add(ProgressBar::new(STEPS));
            if let Ok(style) = ProgressStyle::with_template(BAR) {
                bar.set_style(style);
            }
            bar.set_prefix(job.output.project.shown_id());
            bar.enable_steady_tick(TICK);
            tokio::select! {
                () = follow(&job.output, &bar) => {}
                () = replaced(&mut running, &job) => {}
            }
            bar.finish_and_clear();
            BARS.remove(&bar);
        }
    });
}

/// Resolves once another job runs, or none.
async fn replaced(running: &mut watch::Receiver<Option<Arc<Running>>>, job: &Arc<Running>) {
    let other = |now: &Option<Arc<Running>>| now.as_ref().is_none_or(|now| !Arc::ptr_eq(now, job));
    let _ = running.wait_for(other).await;
}

/// Advances the bar with every report; never returns.
async fn follow(output: &JobOutput, bar: &ProgressBar) {
    let mut reports = output.reports();
    loop {
        if let Some(progress) = output.latest_progress() {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "a fraction is between 0 and 1"
            )]
            let position = progress.fraction.map(|fraction| (fraction * STEPS as f64) as u64);
            bar.set_position(position.unwrap_or_default());
            bar.set_message(report::in_words(&progress));
        }
        if reports.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// A text in which nothing moves the cursor or changes the terminal: clients and models wrote parts of it.
pub(super) fn printable(text: &str) -> String {
    let is_printable = |letter: char| !letter.is_control() || matches!(letter, '\n' | '\t');
    text.chars().map(|letter| if is_printable(letter) { letter } else { '\u{fffd}' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What of three kinds of lines is shown: of a request that failed in a file and in a terminal, and of the
    /// server itself.
    fn shown(level: &str, is_watched: bool) -> [bool; 3] {
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new(directives(level, is_watched)))
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            [
                tracing::enabled!(target: REQUESTS, tracing::Level::ERROR),
                tracing::enabled!(target: activity::FAILURES_TARGET, tracing::Level::ERROR),
                tracing::enabled!(target: "label_studio_ml::workers::supervision::slot", tracing::Level::INFO),
            ]
        })
    }

    #[test]
    fn a_failed_request_is_shown_once_everywhere() {
        for level in ["debug", "info", "warn", "error"] {
            for is_watched in [true, false] {
                let [in_file, in_terminal, _] = shown(level, is_watched);
                assert!(in_file != in_terminal, "{level} {is_watched}");
            }
        }
        assert_eq!(shown("info", true), [false, true, false]);
        assert_eq!(shown("info", false), [true, false, true]);
        assert_eq!(shown("debug", true), [true, false, true]);
    }
}
