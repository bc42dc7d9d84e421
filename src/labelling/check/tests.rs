//! What Label Studio 1.23.2 made of each mistake is the standard: its API for what it stores, its
//! editor in a browser for what it draws.

mod answers;
mod edges;
mod examples;
mod regions;
mod repeaters;
mod shapes;
mod tags;
mod tasks;
mod texts;
mod whole;

use serde_json::{Value, json};

use super::{AnswerContext, Cause, Checked, Mended, Rules, check};

/// What a test asks: a batch, whose tasks have no data.
fn asked(tasks: usize, mended: &Mended) -> AnswerContext<'_> {
    AnswerContext {
        tasks,
        version: Some("7"),
        mended,
        request: b"{}",
        is_interactive: false,
        uses_context: false,
    }
}

/// Checks the results of one answer for this number of tasks.
fn check_results(label_config: Option<&str>, tasks: usize, results: &str) -> Checked {
    let rules = label_config.map(|config| Rules::parse(config).unwrap());
    let body = format!(r#"{{"model_version":"7","results":{results}}}"#);
    check(body.as_bytes(), asked(tasks, &Mended::default()), rules.as_ref())
}

/// Checks the regions of one task with this data, with a context or without.
fn check_regions(config: &str, data: &Value, regions: &[Value], is_interactive: bool) -> Checked {
    let rules = Rules::parse(config).unwrap();
    let request = json!({"tasks": [{"id": 1, "data": data}], "project": "1.2"}).to_string();
    let body = json!({"results": [{"result": regions}]}).to_string();
    let mended = Mended::default();
    let asked = AnswerContext { request: request.as_bytes(), is_interactive, ..asked(1, &mended) };
    check(body.as_bytes(), asked, Some(&rules))
}

/// Causes of what was found in one region, with their paths in it.
fn found_in(config: &str, data: &Value, region: &Value) -> Vec<(Cause, String)> {
    let checked = check_regions(config, data, std::slice::from_ref(region), false);
    let inner = |path: &str| path.replacen("results[0].result[0].", "", 1);
    checked.findings.iter().map(|finding| (finding.cause, inner(&finding.path))).collect()
}

/// Causes and places of what was found.
fn causes(checked: &Checked) -> Vec<(Cause, &str)> {
    checked.findings.iter().map(|finding| (finding.cause, finding.path.as_str())).collect()
}
