//! Collects what `doctor` finds: groups of checks, printed as text or as JSON.

use serde::Serialize;

use crate::cli::say;
use crate::cli::terminal::printable;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum CheckLevel {
    Ok,
    Warning,
    Problem,
}

/// One thing that was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    pub(super) level: CheckLevel,
    /// What was found.
    pub(super) text: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) advice: Option<String>,
}

/// Checks of one concern.
#[derive(Debug, Serialize)]
pub(super) struct CheckGroup {
    pub(super) title: String,
    pub(super) checks: Vec<Check>,
}

impl CheckGroup {
    pub(super) fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), checks: Vec::new() }
    }

    pub(super) fn ok(&mut self, text: impl Into<String>) {
        self.add(CheckLevel::Ok, text, None);
    }

    pub(super) fn warning(&mut self, text: impl Into<String>, advice: impl Into<String>) {
        self.add(CheckLevel::Warning, text, Some(advice.into()));
    }

    pub(super) fn problem(&mut self, text: impl Into<String>, advice: impl Into<String>) {
        self.add(CheckLevel::Problem, text, Some(advice.into()));
    }

    /// An error of a layer below, whose message itself says what to do.
    pub(super) fn failed(&mut self, error: &impl std::fmt::Display) {
        self.add(CheckLevel::Problem, error.to_string(), None);
    }

    fn add(&mut self, level: CheckLevel, text: impl Into<String>, advice: Option<String>) {
        self.checks.push(Check { level, text: text.into(), advice });
    }
}

/// All groups; printed one after the other, or as one JSON document at the end.
#[derive(Debug, Serialize)]
pub(super) struct DoctorReport {
    status: CheckLevel,
    groups: Vec<CheckGroup>,
    #[serde(skip)]
    as_json: bool,
}

impl DoctorReport {
    pub(super) fn new(as_json: bool) -> Self {
        Self { status: CheckLevel::Ok, groups: Vec::new(), as_json }
    }

    pub(super) fn add(&mut self, group: CheckGroup) {
        if group.checks.is_empty() {
            return;
        }
        if !self.as_json {
            let gap = if self.groups.is_empty() { "" } else { "\n" };
            say(&format!("{gap}{}", in_words(&group)));
        }
        let worst = group.checks.iter().map(|check| check.level).max();
        self.status = self.status.max(worst.unwrap_or(CheckLevel::Ok));
        self.groups.push(group);
    }

    /// Prints the result; returns the exit status.
    pub(super) fn close(self) -> serde_json::Result<i32> {
        if self.as_json {
            say(&serde_json::to_string_pretty(&self)?);
        } else {
            say(&format!("\n{}", self.verdict()));
        }
        Ok(i32::from(self.status == CheckLevel::Problem))
    }

    fn verdict(&self) -> String {
        let count = |level| {
            let checks = self.groups.iter().flat_map(|group| &group.checks);
            checks.filter(|check| check.level == level).count()
        };
        let many = |count: usize, word: &str| match count {
            1 => format!("1 {word}"),
            _ => format!("{count} {word}s"),
        };
        let (problems, warnings) = (count(CheckLevel::Problem), count(CheckLevel::Warning));
        match (problems, warnings) {
            (0, 0) => "No problems found.".into(),
            (0, _) => format!("No problems, {}.", many(warnings, "warning")),
            _ => format!("{}, {}.", many(problems, "problem"), many(warnings, "warning")),
        }
    }
}

fn in_words(group: &CheckGroup) -> String {
    let mut lines = vec![group.title.clone()];
    for check in &group.checks {
        let level = match check.level {
            CheckLevel::Ok => "ok",
            CheckLevel::Warning => "warning",
            CheckLevel::Problem => "problem",
        };
        lines.push(format!("  {level:<8} {}", check.text));
        lines.extend(check.advice.iter().map(|advice| format!("           → {advice}")));
    }
    printable(&lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group() -> CheckGroup {
        let mut group = CheckGroup::new("Port");
        group.ok("it answers");
        group.warning("slow", "wait");
        group.problem("wrong", "correct it");
        group
    }

    #[test]
    fn what_a_client_sent_does_not_command_the_terminal() {
        let mut group = CheckGroup::new("Server");
        group.problem("the last prediction for project 1\u{1b}[2J failed", "correct it\u{7}");
        assert!(!in_words(&group).contains(['\u{1b}', '\u{7}']));
    }

    #[test]
    fn a_line_for_each_check_and_one_for_what_to_do() {
        assert_eq!(
            in_words(&group()),
            "Port\n  ok       it answers\n  warning  slow\n           → wait\n  problem  wrong\n           → correct it"
        );
    }

    #[test]
    fn only_problems_change_the_exit_status() {
        let mut report = DoctorReport::new(true);
        report.add(CheckGroup::new("empty"));
        assert_eq!(report.verdict(), "No problems found.");
        let mut warned = CheckGroup::new("Port");
        warned.warning("slow", "wait");
        report.add(warned);
        assert_eq!(
            (report.status, report.verdict().as_str()),
            (CheckLevel::Warning, "No problems, 1 warning.")
        );
        report.add(group());
        assert_eq!(
            (report.status, report.verdict().as_str()),
            (CheckLevel::Problem, "1 problem, 2 warnings.")
        );
        assert_eq!(report.close().unwrap(), 1);
    }
}
