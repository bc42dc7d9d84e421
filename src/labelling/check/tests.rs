//! What Label Studio 1.23.2 made of each mistake is the standard: its API for what it stores, its
//! editor in a browser for what it draws.

mod answers;
mod edges;
mod regions;
mod shapes;
mod tags;
mod whole;

use super::{AnswerContext, Cause, Checked, Mended, Rules, check};

/// Checks the results of one answer for this number of tasks.
fn check_results(label_config: Option<&str>, tasks: usize, results: &str) -> Checked {
    let rules = label_config.map(|config| Rules::parse(config).unwrap());
    let body = format!(r#"{{"model_version":"7","results":{results}}}"#);
    let asked = AnswerContext { tasks, version: "7", mended: &Mended::default() };
    check(body.as_bytes(), asked, rules.as_ref())
}

/// Causes and places of what was found.
fn causes(checked: &Checked) -> Vec<(Cause, &str)> {
    checked.findings.iter().map(|finding| (finding.cause, finding.path.as_str())).collect()
}
