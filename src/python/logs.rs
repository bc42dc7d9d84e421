//! Writes what user code prints and logs to the worker's own stdout and stderr, as records that name the
//! project (see [`crate::workers::output`]).
//!
//! Called by the streams in `_worker/log_streams.py`. The thread that prints a line tells to which project
//! the line belongs.

use std::cell::RefCell;
use std::collections::HashMap;

use pyo3::prelude::*;
use pyo3::types::PyString;

use super::progress;
use super::streams::write;
use crate::wire::record;

/// Maximum length of a line, in bytes; a longer one is divided.
const LONGEST: usize = 16 << 10;

thread_local! {
    static PROJECT: RefCell<String> = const { RefCell::new(String::new()) };
    /// Text of this thread after the last end of a line, for each stream.
    static PARTIAL: RefCell<HashMap<i32, String>> = RefCell::new(HashMap::new());
}

/// Makes lines of this thread belong to a project until it is dropped.
#[must_use]
pub(super) struct ProjectScope(String);

pub(super) fn enter(project: &str) -> ProjectScope {
    PROJECT.with_borrow_mut(|current| {
        // A key from the network must not begin a record of its own.
        let project = project.chars().filter(|c| !c.is_control()).collect();
        let before = std::mem::replace(current, project);
        ProjectScope(before)
    })
}

impl Drop for ProjectScope {
    fn drop(&mut self) {
        PROJECT.with_borrow_mut(|current| std::mem::swap(current, &mut self.0));
    }
}

/// Takes text that user code wrote to `sys.stdout` (1) or `sys.stderr` (2), and passes on whole lines.
#[pyfunction]
pub(super) fn log_text(stream: i32, text: &Bound<'_, PyString>) -> PyResult<()> {
    let (py, text) = (text.py(), text.to_string_lossy());
    let mut records = String::new();
    PARTIAL.with_borrow_mut(|partial| {
        let rest = partial.entry(stream).or_default();
        for line in complete_lines(rest, &text) {
            records.push_str(&record("INFO", &line));
        }
        if let Some(report) = progress::of_bar(rest) {
            records.push_str(&report);
        }
    });
    py.detach(|| write(stream, &records))?;
    Ok(())
}

/// Writes to both streams that a job is over, after the unfinished lines of its thread.
pub(super) fn end_job(job: &str) {
    for stream in [1, 2] {
        let rest = PARTIAL.with_borrow_mut(|partial| partial.remove(&stream)).unwrap_or_default();
        let mut records = String::new();
        if !rest.is_empty() {
            records.push_str(&record("INFO", &rest));
        }
        records.push_str(&record("END", job));
        // If user code closed the stream, the server does not wait long for it.
        let _ = write(stream, &records);
    }
}

/// Takes one record of `logging`.
#[pyfunction]
pub(super) fn log_line(level: &str, text: &Bound<'_, PyString>) -> PyResult<()> {
    let (py, text) = (text.py(), text.to_string_lossy());
    let records: String = text.lines().map(|line| record(level, line)).collect();
    py.detach(|| write(2, &records))?;
    Ok(())
}

/// Adds `text` to what was left over, and takes out the complete lines. A carriage return starts the line
/// anew, as on a terminal, so only the last state of a progress bar stays.
fn complete_lines(partial: &mut String, text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for piece in text.split_inclusive('\n') {
        let (body, ended) = match piece.strip_suffix('\n') {
            Some(body) => (body.strip_suffix('\r').unwrap_or(body), true),
            None => (piece, false),
        };
        match body.rsplit_once('\r') {
            Some((_, last)) => last.clone_into(partial),
            None => partial.push_str(body),
        }
        if ended || partial.len() >= LONGEST {
            lines.push(std::mem::take(partial));
        }
    }
    lines
}

fn record(level: &str, line: &str) -> String {
    PROJECT.with_borrow(|project| record::format(project, level, line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_put_together_from_pieces() {
        let mut partial = String::new();
        assert!(complete_lines(&mut partial, "load").is_empty());
        assert_eq!(complete_lines(&mut partial, "ed\nnext\r\nla"), ["loaded", "next"]);
        assert_eq!(complete_lines(&mut partial, "st\n\n"), ["last", ""]);
    }

    #[test]
    fn of_a_progress_bar_the_last_state_stays() {
        let mut partial = String::new();
        assert!(complete_lines(&mut partial, "\r 10%").is_empty());
        assert!(complete_lines(&mut partial, "\r 50%\r100%").is_empty());
        assert_eq!(complete_lines(&mut partial, "\n"), ["100%"]);
    }

    #[test]
    fn a_record_names_the_project_of_its_thread() {
        assert_eq!(record("INFO", "a"), "\u{1e}\u{1f}INFO\u{1f}a\n");
        let outer = enter("1.2");
        {
            let _inner = enter("3.4");
            assert_eq!(record("INFO", "b"), "\u{1e}3.4\u{1f}INFO\u{1f}b\n");
        }
        assert_eq!(record("ERROR", "c"), "\u{1e}1.2\u{1f}ERROR\u{1f}c\n");
        drop(outer);
        assert_eq!(record("INFO", "d"), "\u{1e}\u{1f}INFO\u{1f}d\n");
    }
}
