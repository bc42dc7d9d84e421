//! What `doctor` found out: groups of checks, as text or as JSON.

use serde::Serialize;

use crate::cli::say;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    Ok,
    Warning,
    Problem,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    pub(super) level: Level,
    /// What was seen.
    pub(super) text: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) advice: Option<String>,
}

/// Checks of one concern.
#[derive(Debug, Serialize)]
pub(super) struct Group {
    pub(super) title: String,
    pub(super) checks: Vec<Check>,
}

impl Group {
    pub(super) fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), checks: Vec::new() }
    }

    pub(super) fn ok(&mut self, text: impl Into<String>) {
        self.add(Level::Ok, text, None);
    }

    pub(super) fn warning(&mut self, text: impl Into<String>, advice: impl Into<String>) {
        self.add(Level::Warning, text, Some(advice.into()));
    }

    pub(super) fn problem(&mut self, text: impl Into<String>, advice: impl Into<String>) {
        self.add(Level::Problem, text, Some(advice.into()));
    }

    /// An error of a layer below, whose sentence says itself what to do.
    pub(super) fn failed(&mut self, error: &impl std::fmt::Display) {
        self.add(Level::Problem, error.to_string(), None);
    }

    fn add(&mut self, level: Level, text: impl Into<String>, advice: Option<String>) {
        self.checks.push(Check { level, text: text.into(), advice });
    }
}

/// All groups; shown as they come, unless JSON is wanted at the end.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    status: Level,
    groups: Vec<Group>,
    #[serde(skip)]
    as_json: bool,
}

impl Report {
    pub(super) fn new(as_json: bool) -> Self {
        Self { status: Level::Ok, groups: Vec::new(), as_json }
    }

    pub(super) fn add(&mut self, group: Group) {
        if group.checks.is_empty() {
            return;
        }
        if !self.as_json {
            let gap = if self.groups.is_empty() { "" } else { "\n" };
            say(&format!("{gap}{}", in_words(&group)));
        }
        let worst = group.checks.iter().map(|check| check.level).max();
        self.status = self.status.max(worst.unwrap_or(Level::Ok));
        self.groups.push(group);
    }

    /// Says how it went; returns the exit status.
    pub(super) fn close(self) -> serde_json::Result<i32> {
        if self.as_json {
            say(&serde_json::to_string_pretty(&self)?);
        } else {
            say(&format!("\n{}", self.verdict()));
        }
        Ok(i32::from(self.status == Level::Problem))
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
        let (problems, warnings) = (count(Level::Problem), count(Level::Warning));
        match (problems, warnings) {
            (0, 0) => "Nothing is wrong.".into(),
            (0, _) => format!("No problem, {}.", many(warnings, "warning")),
            _ => format!("{}, {}.", many(problems, "problem"), many(warnings, "warning")),
        }
    }
}

fn in_words(group: &Group) -> String {
    let mut lines = vec![group.title.clone()];
    for check in &group.checks {
        let level = match check.level {
            Level::Ok => "ok",
            Level::Warning => "warning",
            Level::Problem => "problem",
        };
        lines.push(format!("  {level:<8} {}", check.text));
        lines.extend(check.advice.iter().map(|advice| format!("           → {advice}")));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group() -> Group {
        let mut group = Group::new("Port");
        group.ok("it answers");
        group.warning("slow", "wait");
        group.problem("wrong", "mend it");
        group
    }

    #[test]
    fn a_line_for_each_check_and_one_for_what_to_do() {
        assert_eq!(
            in_words(&group()),
            "Port\n  ok       it answers\n  warning  slow\n           → wait\n  problem  wrong\n           → mend it"
        );
    }

    #[test]
    fn only_problems_change_the_exit_status() {
        let mut report = Report::new(true);
        report.add(Group::new("empty"));
        assert_eq!(report.verdict(), "Nothing is wrong.");
        let mut warned = Group::new("Port");
        warned.warning("slow", "wait");
        report.add(warned);
        assert_eq!(
            (report.status, report.verdict().as_str()),
            (Level::Warning, "No problem, 1 warning.")
        );
        report.add(group());
        assert_eq!(
            (report.status, report.verdict().as_str()),
            (Level::Problem, "1 problem, 2 warnings.")
        );
        assert_eq!(report.close().unwrap(), 1);
    }
}
