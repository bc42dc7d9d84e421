//! What is seen of a long run: a bar in a terminal, failures as they come, and a summary.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Tally;
use crate::cli::note;
use crate::cli::offline::Offline;

/// Failures that are told one by one.
const MOST_TOLD: u64 = 20;
const BAR: &str = "predicting {bar:30} {human_pos} of {human_len} tasks  {per_sec}  {eta} left";

/// The progress of a run over so many tasks.
pub(super) struct Progress {
    bar: ProgressBar,
    pub(super) tally: Tally,
}

impl Progress {
    pub(super) fn new(tasks: u64) -> Self {
        // Hidden where standard error is no terminal.
        let bar = ProgressBar::with_draw_target(Some(tasks), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template(BAR) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(250));
        Self { bar, tally: Tally::default() }
    }

    pub(super) fn predicted(&mut self) {
        self.tally.predicted += 1;
        self.bar.inc(1);
    }

    pub(super) fn failed(&mut self, task: &str, reason: &str) {
        self.tally.failed += 1;
        self.bar.inc(1);
        if self.tally.failed <= MOST_TOLD {
            self.note(&format!("task {task}: {reason}"));
        } else if self.tally.failed == MOST_TOLD + 1 {
            self.note("further failures are only counted");
        }
    }

    /// It was predicted, and Label Studio did not take it.
    pub(super) fn not_imported(&mut self, task: &str, reason: &str) {
        self.tally.predicted -= 1;
        self.bar.dec(1);
        self.failed(task, reason);
    }

    /// Tasks that need nothing.
    pub(super) fn skipped(&self, tasks: usize) {
        self.bar.inc(tasks as u64);
    }

    /// Tells something above the bar.
    pub(super) fn note(&self, line: &str) {
        self.bar.suspend(|| note(line));
    }

    /// The end: what the model does that Label Studio would not show, once for each mistake.
    pub(super) fn end(self, offline: &Offline) -> Tally {
        self.bar.finish_and_clear();
        for mistake in offline.mistakes() {
            let answers = match mistake.answers {
                1 => "in 1 answer".to_owned(),
                answers => format!("in {answers} answers"),
            };
            note(&format!("warning ({answers}): {}", mistake.message));
        }
        self.tally
    }
}
