//! Mistakes in predictions, for the author of the model: each is logged once, and listed with a count in
//! `GET /diagnostics`.

use std::sync::atomic::{AtomicU64, Ordering};

use indexmap::IndexMap;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde::{Serialize, Serializer};
use tracing::{info, warn};

use crate::ids::ProjectKey;
use crate::labelling::check::{Cause, Checked, Finding};

/// Maximum number of different mistakes that are kept; by then the author has enough to go on.
const MAX_MISTAKES: usize = 1000;

/// Mistakes of the models that were served since the start.
#[derive(Debug, Default)]
pub struct Diagnostics {
    known: Mutex<IndexMap<Key, Mistake>>,
    answers: AtomicU64,
    with_findings: AtomicU64,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    project: ProjectKey,
    cause: Cause,
    subject: String,
}

/// One mistake of the model of a project.
#[derive(Debug, Clone, Serialize)]
pub struct Mistake {
    pub project: ProjectKey,
    pub cause: Cause,
    /// One sentence about the newest place, with how Label Studio treats it.
    pub message: String,
    /// Id of the task there, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// Path of that place in the answer.
    pub path: String,
    /// Name of the control tag, if it concerns one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub control: String,
    /// Number of answers in which it was found.
    pub answers: u64,
    #[serde(serialize_with = "to_milliseconds")]
    pub first_seen: Timestamp,
    #[serde(serialize_with = "to_milliseconds")]
    pub last_seen: Timestamp,
}

fn to_milliseconds<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{time:.3}"))
}

impl Diagnostics {
    /// Records the findings of the check of an answer.
    pub fn note(&self, project: &ProjectKey, checked: &Checked) {
        self.answers.fetch_add(1, Ordering::Relaxed);
        if checked.total == 0 && checked.notes.is_empty() {
            return;
        }
        if checked.total > 0 {
            self.with_findings.fetch_add(1, Ordering::Relaxed);
        }
        let now = Timestamp::now();
        let mut known = self.known.lock();
        for finding in checked.first_of_each() {
            let key = Key {
                project: project.to_owned(),
                cause: finding.cause,
                subject: finding.subject.clone(),
            };
            if let Some(mistake) = known.get_mut(&key) {
                mistake.answers += 1;
                mistake.last_seen = now;
                mistake.message = finding.sentence();
                mistake.task.clone_from(&finding.task);
                mistake.path.clone_from(&finding.path);
            } else if known.len() < MAX_MISTAKES {
                let mistake = Mistake::new(project, finding, now);
                if finding.cause.is_note() {
                    info!(project = project.as_str(), "{}", mistake.message);
                } else {
                    warn!(project = project.as_str(), "{}", mistake.message);
                }
                known.insert(key, mistake);
            }
        }
    }

    /// Mistakes in the order in which they were first seen.
    pub fn mistakes(&self) -> Vec<Mistake> {
        self.known.lock().values().cloned().collect()
    }

    /// Number of answers that were checked, and of those with findings.
    pub fn answers(&self) -> (u64, u64) {
        (self.answers.load(Ordering::Relaxed), self.with_findings.load(Ordering::Relaxed))
    }
}

impl Mistake {
    fn new(project: &ProjectKey, finding: &Finding, now: Timestamp) -> Self {
        Self {
            project: project.to_owned(),
            cause: finding.cause,
            message: finding.sentence(),
            task: finding.task.clone(),
            path: finding.path.clone(),
            control: finding.control().to_owned(),
            answers: 1,
            first_seen: now,
            last_seen: now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(path: &str, subject: &str) -> Finding {
        let problem = "is \"Bird\"".into();
        let (path, subject) = (path.into(), subject.into());
        Finding { cause: Cause::UnknownLabel, item: Some(0), task: None, path, subject, problem }
    }

    #[test]
    fn a_mistake_is_one_entry_however_often_it_is_made() {
        let diagnostics = Diagnostics::default();
        let findings = vec![finding("results[0]", "box"), finding("results[1]", "box")];
        diagnostics.note(&"1.2".into(), &Checked { findings, total: 2, notes: Vec::new() });
        for (project, path, subject) in [
            ("1.2", "results[7]", "box"),
            ("1.2", "results[0]", "kind"),
            ("3.4", "results[0]", "box"),
        ] {
            let findings = vec![finding(path, subject)];
            diagnostics.note(&project.into(), &Checked { findings, total: 1, notes: Vec::new() });
        }
        diagnostics.note(&"1.2".into(), &Checked::default());
        let seen: Vec<_> = diagnostics
            .mistakes()
            .into_iter()
            .map(|mistake| (mistake.project, mistake.control, mistake.path, mistake.answers))
            .collect();
        let expected = [
            ("1.2", "box", "results[7]", 2),
            ("1.2", "kind", "results[0]", 1),
            ("3.4", "box", "results[0]", 1),
        ];
        assert_eq!(
            seen,
            expected.map(|(p, c, path, n)| (p.into(), c.to_owned(), path.to_owned(), n))
        );
        assert_eq!(diagnostics.answers(), (5, 4));
    }
}
