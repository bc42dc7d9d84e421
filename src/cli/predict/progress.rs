//! What a long run shows: a bar in a terminal, failures as they happen, and a summary.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Tally;
use crate::cli::note;
use crate::cli::offline::Offline;

/// Maximum number of failures that are shown one by one.
const MAX_SHOWN: u64 = 20;
const BAR: &str = "predicting {bar:30} {human_pos} of {human_len} tasks  {per_sec}  {eta} left";

/// Counts and shows what has become of the tasks of a run.
pub(super) struct PredictProgress {
    bar: ProgressBar,
    pub(super) tally: Tally,
}

impl PredictProgress {
    pub(super) fn new(tasks: u64) -> Self {
        // Hidden where stderr is not a terminal.
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
        if self.tally.failed <= MAX_SHOWN {
            self.note(&format!("task {task}: {reason}"));
        } else if self.tally.failed == MAX_SHOWN + 1 {
            self.note("further failures are counted but not shown");
        }
    }

    /// A task that was predicted but whose prediction Label Studio did not import.
    pub(super) fn not_imported(&mut self, task: &str, reason: &str) {
        self.tally.predicted -= 1;
        self.bar.dec(1);
        self.failed(task, reason);
    }

    /// Tasks that already have a prediction.
    pub(super) fn skipped(&self, tasks: usize) {
        self.bar.inc(tasks as u64);
    }

    /// Prints a line above the bar.
    pub(super) fn note(&self, line: &str) {
        self.bar.suspend(|| note(line));
    }

    /// Ends the bar and prints each mistake in the predictions once.
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
