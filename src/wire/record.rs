//! The form in which a worker's Python code sends its lines: `\x1e project \x1f level \x1f text`.

use serde::{Deserialize, Serialize};

/// First character of a record.
pub const RECORD_MARK: char = '\u{1e}';
/// Separates the fields of a record.
pub const FIELD_MARK: char = '\u{1f}';

/// What a line of output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputKind {
    Debug,
    Info,
    Warning,
    Error,
    /// The text is a progress report as JSON.
    Progress,
    /// The text is a job's id; the output of that job ends here.
    End,
}

#[derive(Debug, PartialEq, Eq)]
pub struct OutputRecord<'a> {
    pub project: Option<&'a str>,
    pub level: OutputKind,
    pub text: &'a str,
}

/// How far `fit` is, as it reports itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FitProgress {
    /// 0 to 1, if known.
    pub fraction: Option<f64>,
    pub message: Option<String>,
    #[serde(default)]
    pub metrics: serde_json::Map<String, serde_json::Value>,
}

/// Makes a record, with its line end.
pub fn format(project: &str, level: &str, text: &str) -> String {
    format!("{RECORD_MARK}{project}{FIELD_MARK}{level}{FIELD_MARK}{text}\n")
}

pub fn parse(line: &str) -> OutputRecord<'_> {
    let record = line.strip_prefix(RECORD_MARK).and_then(|record| {
        let (project, rest) = record.split_once(FIELD_MARK)?;
        let (level, text) = rest.split_once(FIELD_MARK)?;
        Some((project, level, text))
    });
    let Some((project, level, text)) = record else {
        return OutputRecord { project: None, level: OutputKind::Info, text: line };
    };
    let level = match level {
        "DEBUG" => OutputKind::Debug,
        "WARNING" => OutputKind::Warning,
        "ERROR" | "CRITICAL" => OutputKind::Error,
        "PROGRESS" => OutputKind::Progress,
        "END" => OutputKind::End,
        _ => OutputKind::Info,
    };
    OutputRecord { project: (!project.is_empty()).then_some(project), level, text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_names_project_and_level() {
        let line = format("2.17", "WARNING", "few labels\u{1f}!");
        assert_eq!(
            parse(line.trim_end()),
            OutputRecord {
                project: Some("2.17"),
                level: OutputKind::Warning,
                text: "few labels\u{1f}!"
            }
        );
        assert_eq!(parse("\u{1e}\u{1f}INFO\u{1f}loaded").project, None);
    }

    #[test]
    fn other_output_is_taken_as_it_is() {
        for text in ["plain", "\u{1e}half a record", ""] {
            assert_eq!(parse(text), OutputRecord { project: None, level: OutputKind::Info, text });
        }
    }
}
