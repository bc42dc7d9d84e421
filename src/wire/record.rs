//! The form in which a worker's Python code sends its lines: `\x1e project \x1f level \x1f text`.

use serde::{Deserialize, Serialize};

/// First byte of a record.
pub const RECORD: char = '\u{1e}';
/// Between the fields of a record.
pub const FIELD: char = '\u{1f}';

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Debug,
    Info,
    Warning,
    Error,
    /// The text is a progress report as JSON.
    Progress,
    /// The text is a job's id; what follows is no longer the job's.
    End,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Record<'a> {
    pub project: Option<&'a str>,
    pub level: Level,
    pub text: &'a str,
}

/// How far `fit` has got, as it says itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// 0 to 1, where it is known.
    pub fraction: Option<f64>,
    pub message: Option<String>,
    #[serde(default)]
    pub metrics: serde_json::Map<String, serde_json::Value>,
}

/// Makes a record, with its line end.
pub fn format(project: &str, level: &str, text: &str) -> String {
    format!("{RECORD}{project}{FIELD}{level}{FIELD}{text}\n")
}

pub fn parse(line: &str) -> Record<'_> {
    let record = line.strip_prefix(RECORD).and_then(|record| {
        let (project, rest) = record.split_once(FIELD)?;
        let (level, text) = rest.split_once(FIELD)?;
        Some((project, level, text))
    });
    let Some((project, level, text)) = record else {
        return Record { project: None, level: Level::Info, text: line };
    };
    let level = match level {
        "DEBUG" => Level::Debug,
        "WARNING" => Level::Warning,
        "ERROR" | "CRITICAL" => Level::Error,
        "PROGRESS" => Level::Progress,
        "END" => Level::End,
        _ => Level::Info,
    };
    Record { project: (!project.is_empty()).then_some(project), level, text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_names_project_and_level() {
        let line = format("2.17", "WARNING", "few labels\u{1f}!");
        assert_eq!(
            parse(line.trim_end()),
            Record { project: Some("2.17"), level: Level::Warning, text: "few labels\u{1f}!" }
        );
        assert_eq!(parse("\u{1e}\u{1f}INFO\u{1f}loaded").project, None);
    }

    #[test]
    fn other_output_is_taken_as_it_is() {
        for text in ["plain", "\u{1e}half a record", ""] {
            assert_eq!(parse(text), Record { project: None, level: Level::Info, text });
        }
    }
}
