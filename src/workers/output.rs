//! Logs the output of user code.
//!
//! In: the stdout and stderr pipes of a worker. Text that Python code writes comes as [`record`]s from the
//! streams that `src/python` puts in place of `sys.stdout` and `sys.stderr`; other output (C libraries,
//! subprocesses) is taken line by line. Out: lines in the server's log, and in the log of the job that runs.
//! A flood is cut in the server's log, which says how many lines were left out.

pub mod job;
mod lines;
pub mod tqdm;

use std::time::{Duration, Instant};

use tokio::io::AsyncRead;
use tokio::time::timeout;
use tracing::{debug, error, info, warn};

use crate::ids::JobId;
use crate::wire::record::{self, OutputKind, OutputRecord};
use job::{CurrentJob, JobOutput};
use lines::{Lines, OutputPiece};

const WINDOW: Duration = Duration::from_secs(1);
const LINES_PER_WINDOW: u32 = 2_000;

/// Where output comes from.
#[derive(Debug, Clone)]
pub struct OutputOrigin {
    /// `1`, `2`, … for model workers, `train` for a training worker.
    pub worker: String,
    /// The job that a training worker runs; lines of subprocesses count as its project's.
    pub job: CurrentJob,
}

/// Logs everything that comes out of one pipe until it is closed.
pub async fn log(pipe: impl AsyncRead + Unpin, origin: OutputOrigin) {
    let mut lines = Lines::new(pipe);
    let mut window = LogWindow::new();
    loop {
        // The reader keeps what it has read, so its future can be dropped and made again.
        let Ok(piece) = timeout(WINDOW, lines.next()).await else {
            window.end(&origin);
            continue;
        };
        let job = origin.job.get();
        match piece {
            None => break,
            Some(OutputPiece::Overwritten(text)) => {
                if let (Some(job), Some(progress)) = (&job, tqdm::parse(&text)) {
                    job.progress(progress);
                }
            }
            Some(OutputPiece::Line(text)) => take(&text, job.as_deref(), &mut window, &origin),
        }
    }
    window.end(&origin);
    if let Some(job) = origin.job.get() {
        job.stream_ended();
    }
}

fn take(line: &str, job: Option<&JobOutput>, window: &mut LogWindow, origin: &OutputOrigin) {
    let OutputRecord { project, level, text } = record::parse(line);
    if let Some(job) = job {
        match level {
            OutputKind::Progress => return job.report(text),
            OutputKind::End => return job.fit_ended(text),
            _ => job.line(text),
        }
        if let Some(progress) = tqdm::parse(text) {
            job.progress(progress);
        }
    }
    if window.admit(origin) {
        let id = job.map(|job| job.id);
        emit(level, text, &origin.worker, project.or(job.map(|job| job.project.as_str())), id);
    }
}

fn emit(level: OutputKind, text: &str, worker: &str, project: Option<&str>, job: Option<JobId>) {
    let job = job.map(|job| job.0);
    match level {
        OutputKind::Debug => debug!(target: "model", worker, project, job, "{text}"),
        OutputKind::Info => info!(target: "model", worker, project, job, "{text}"),
        OutputKind::Warning => warn!(target: "model", worker, project, job, "{text}"),
        OutputKind::Error => error!(target: "model", worker, project, job, "{text}"),
        OutputKind::Progress | OutputKind::End => {}
    }
}

/// Counts lines in windows of a second.
struct LogWindow {
    began: Instant,
    lines: u32,
    skipped: u32,
}

impl LogWindow {
    fn new() -> Self {
        Self { began: Instant::now(), lines: 0, skipped: 0 }
    }

    /// Whether a line is logged.
    fn admit(&mut self, origin: &OutputOrigin) -> bool {
        if self.began.elapsed() >= WINDOW {
            self.end(origin);
        }
        self.lines += 1;
        if self.lines > LINES_PER_WINDOW {
            self.skipped += 1;
            return false;
        }
        true
    }

    /// Begins a new window; logs the number of lines left out in this one.
    fn end(&mut self, origin: &OutputOrigin) {
        if self.skipped > 0 {
            let (worker, skipped) = (origin.worker.as_str(), self.skipped);
            warn!(target: "model", worker, "{skipped} lines of output left out: over {LINES_PER_WINDOW} in a second");
        }
        *self = Self::new();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn origin() -> OutputOrigin {
        OutputOrigin { worker: "train".into(), job: CurrentJob::default() }
    }

    #[test]
    fn a_flood_is_cut() {
        let origin = origin();
        let mut window = LogWindow::new();
        let admitted = (0..LINES_PER_WINDOW * 2).filter(|_| window.admit(&origin)).count();
        assert_eq!(admitted, LINES_PER_WINDOW as usize);
        assert_eq!(window.skipped, LINES_PER_WINDOW);
    }

    #[tokio::test]
    async fn a_job_gets_its_lines_and_its_progress() {
        let origin = origin();
        let job = Arc::new(JobOutput::new(JobId(7), "2.17".into()));
        origin.job.set(Some(Arc::clone(&job)));
        let text = "plain\n\
            \u{1e}2.17\u{1f}WARNING\u{1f}few labels\n\
            \u{1e}\u{1f}PROGRESS\u{1f}{\"fraction\":0.25,\"message\":\"epoch 1\",\"metrics\":{}}\n\
            \r 40%|####      | 4/10 [00:01<00:02, 3.0it/s]\r 50%|#####     | 5/10 [00:01<00:02, 3.0it/s]";
        log(text.as_bytes(), origin.clone()).await;
        let tail = String::from_utf8(job.tail()).unwrap();
        assert!(tail.starts_with("plain\nfew labels\n 50%|"), "{tail}");
        assert_eq!(job.latest_progress().unwrap().fraction, Some(0.5));
    }
}
