//! What user code prints, brought into the server's log line by line.
//!
//! In: the stdout and stderr pipes of a worker. Text that Python code writes comes as records,
//! `\x1e project \x1f level \x1f text`, from the streams that `src/python` puts in place of
//! `sys.stdout` and `sys.stderr`; whatever else arrives (C libraries, subprocesses) is taken line
//! by line. A flood is cut, and it is said how much was left out.

use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::time::timeout;
use tracing::{debug, error, info, warn};

/// First byte of a record.
pub const RECORD: char = '\u{1e}';
/// Between the fields of a record.
pub const FIELD: char = '\u{1f}';

const LONGEST_LINE: usize = 64 << 10;
const WINDOW: Duration = Duration::from_secs(1);
const LINES_PER_WINDOW: u32 = 2_000;

/// Whose output it is.
#[derive(Debug, Clone)]
pub struct Origin {
    /// `1`, `2`, … for model workers, `train` for a training worker.
    pub worker: String,
    /// Job of a training worker.
    pub job: Option<String>,
    /// Project of a training worker; lines of subprocesses are then its project's too.
    pub project: Option<String>,
}

/// Level of one printed line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Debug,
    Info,
    Warning,
    Error,
}

#[derive(Debug, PartialEq, Eq)]
struct Line<'a> {
    project: Option<&'a str>,
    level: Level,
    text: &'a str,
}

fn parse(line: &str) -> Line<'_> {
    let record = line.strip_prefix(RECORD).and_then(|record| {
        let (project, rest) = record.split_once(FIELD)?;
        let (level, text) = rest.split_once(FIELD)?;
        Some((project, level, text))
    });
    let Some((project, level, text)) = record else {
        return Line { project: None, level: Level::Info, text: line };
    };
    let level = match level {
        "DEBUG" => Level::Debug,
        "WARNING" => Level::Warning,
        "ERROR" | "CRITICAL" => Level::Error,
        _ => Level::Info,
    };
    Line { project: (!project.is_empty()).then_some(project), level, text }
}

/// Logs everything that comes out of one pipe until it is closed.
pub async fn log(pipe: impl AsyncRead + Unpin, origin: Origin) {
    let mut reader = BufReader::new(pipe);
    let mut window = Window::new();
    let mut line = Vec::new();
    loop {
        // Between two chunks the reader holds nothing but `line`, so it can be left and resumed.
        let Ok(read) = timeout(WINDOW, read_line(&mut reader, &mut line)).await else {
            window.end(&origin);
            continue;
        };
        match read {
            Ok(false) | Err(_) => break,
            Ok(true) => {}
        }
        if window.admit(&origin) {
            emit(&String::from_utf8_lossy(&line), &origin);
        }
        line.clear();
    }
    window.end(&origin);
}

fn emit(line: &str, origin: &Origin) {
    let Line { project, level, text } = parse(line);
    let project = project.or(origin.project.as_deref());
    let worker = origin.worker.as_str();
    let job = origin.job.as_deref();
    match level {
        Level::Debug => debug!(target: "model", worker, project, job, "{text}"),
        Level::Info => info!(target: "model", worker, project, job, "{text}"),
        Level::Warning => warn!(target: "model", worker, project, job, "{text}"),
        Level::Error => error!(target: "model", worker, project, job, "{text}"),
    }
}

/// Reads up to a line feed, keeping at most [`LONGEST_LINE`] bytes; false at the end.
async fn read_line(
    reader: &mut (impl AsyncBufReadExt + Unpin),
    line: &mut Vec<u8>,
) -> std::io::Result<bool> {
    loop {
        let chunk = reader.fill_buf().await?;
        if chunk.is_empty() {
            return Ok(!line.is_empty());
        }
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let taken = end.unwrap_or(chunk.len());
        let room = LONGEST_LINE.saturating_sub(line.len()).min(taken);
        line.extend_from_slice(&chunk[..room]);
        reader.consume(end.map_or(taken, |end| end + 1));
        if end.is_some() {
            while line.last().is_some_and(|byte| *byte == b'\r') {
                line.pop();
            }
            return Ok(true);
        }
    }
}

/// Counts lines in windows of a second.
struct Window {
    began: Instant,
    lines: u32,
    skipped: u32,
}

impl Window {
    fn new() -> Self {
        Self { began: Instant::now(), lines: 0, skipped: 0 }
    }

    /// Whether a line is logged.
    fn admit(&mut self, origin: &Origin) -> bool {
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

    /// Begins a new window, saying what was left out in this one.
    fn end(&mut self, origin: &Origin) {
        if self.skipped > 0 {
            let (worker, skipped) = (origin.worker.as_str(), self.skipped);
            warn!(target: "model", worker, "{skipped} lines of output left out: over {LINES_PER_WINDOW} in a second");
        }
        *self = Self::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_names_project_and_level() {
        let line = parse("\u{1e}2.17\u{1f}WARNING\u{1f}few labels\u{1f}!");
        assert_eq!(
            line,
            Line { project: Some("2.17"), level: Level::Warning, text: "few labels\u{1f}!" }
        );
        assert_eq!(parse("\u{1e}\u{1f}INFO\u{1f}loaded").project, None);
    }

    #[test]
    fn other_output_is_taken_as_it_is() {
        for text in ["plain", "\u{1e}half a record", ""] {
            assert_eq!(parse(text), Line { project: None, level: Level::Info, text });
        }
    }

    #[tokio::test]
    async fn an_endless_line_is_cut_and_the_next_one_is_whole() {
        let mut input = vec![b'x'; 3 * LONGEST_LINE];
        input.extend_from_slice(b"\r\nnext\nlast");
        let mut reader = BufReader::new(&input[..]);
        let mut lengths = Vec::new();
        let mut line = Vec::new();
        while read_line(&mut reader, &mut line).await.unwrap() {
            lengths.push(line.len());
            line.clear();
        }
        assert_eq!(lengths, [LONGEST_LINE, 4, 4]);
    }

    #[test]
    fn a_flood_is_cut() {
        let origin = Origin { worker: "1".into(), job: None, project: None };
        let mut window = Window::new();
        let admitted = (0..LINES_PER_WINDOW * 2).filter(|_| window.admit(&origin)).count();
        assert_eq!(admitted, LINES_PER_WINDOW as usize);
        assert_eq!(window.skipped, LINES_PER_WINDOW);
    }
}
