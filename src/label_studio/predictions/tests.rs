use serde_json::json;

use super::super::testing::FakeLabelStudio;
use super::*;

const PROJECT: ProjectId = ProjectId(1);
const VERSIONS: &str = "/api/projects/1/model-versions/";

#[test]
fn a_version_is_found_in_a_list_only_as_a_whole() {
    assert!(has_version("v1,v10", "v1") && has_version("v10, v1", "v1") && has_version("v1", "v1"));
    assert!(!has_version("v10", "v1") && !has_version("", "v1") && !has_version("V1", "v1"));
    let cut = format!("{},v1", "x".repeat(MAX_LIST - 3));
    assert!(!has_version(&cut, "v1"), "it may be the rest of v10, cut off");
    assert!(has_version(&format!("v1,{}", "x".repeat(MAX_LIST)), "v1"));
}

#[test]
fn names_that_a_list_would_hide_are_not_plain() {
    assert!(is_plain("v1") && is_plain("1795588832+3") && is_plain("é 2"));
    for version in ["", "a,b", " v", "v ", "say \"x\"", "a\\b", "a\nb"] {
        assert!(!is_plain(version), "{version}");
    }
}

fn lists_page(rows: &[(u64, &str)]) -> String {
    let rows: Vec<_> = rows
        .iter()
        .map(|(id, versions)| json!({"id": id, "predictions_model_versions": versions}))
        .collect();
    json!({"tasks": rows, "total": rows.len()}).to_string()
}

fn predictions_page(rows: &[(u64, &[&str])]) -> String {
    let rows: Vec<_> = rows
        .iter()
        .map(|(id, versions)| {
            let predictions: Vec<_> =
                versions.iter().map(|v| json!({"model_version": v, "result": []})).collect();
            json!({"id": id, "predictions": predictions})
        })
        .collect();
    json!({"tasks": rows}).to_string()
}

#[tokio::test]
async fn no_task_is_read_for_a_version_without_predictions() {
    let fake = FakeLabelStudio::new().await;
    fake.on(VERSIONS, &[(200, r#"{"v1": 0, "v2": 3, "null": 0}"#)]);
    let client = fake.connect().await.unwrap();
    assert!(client.prediction_counts(PROJECT, "v1").await.unwrap().is_empty());
    assert!(client.prediction_counts(PROJECT, "v3").await.unwrap().is_empty());
    assert!(fake.seen("/api/tasks").is_empty());
}

#[tokio::test]
async fn one_prediction_each_is_found_in_version_lists() {
    let fake = FakeLabelStudio::new().await;
    fake.on(VERSIONS, &[(200, r#"{"v1": 2, "v10": 1}"#)]);
    let page = lists_page(&[(3, "v1,v10"), (5, "v10"), (8, "v1")]);
    fake.on("/api/tasks/", &[(200, &page), (200, r#"{"tasks": []}"#)]);
    let client = fake.connect().await.unwrap();
    let counts = client.prediction_counts(PROJECT, "v1").await.unwrap();
    assert_eq!(counts, BTreeMap::from([(TaskId(3), 1), (TaskId(8), 1)]));
    let asked = fake.seen("/api/tasks/");
    assert_eq!(asked.len(), 2);
    assert!(asked[1].line.contains("%22value%22%3A8%7D"), "{}", asked[1].line);
    assert!(asked.iter().all(|seen| !seen.line.contains("fields=all")));
}

#[tokio::test]
async fn two_predictions_of_one_task_are_counted() {
    let fake = FakeLabelStudio::new().await;
    fake.on(VERSIONS, &[(200, r#"{"v1": 3}"#)]);
    let lists = lists_page(&[(3, "v1"), (8, "v1")]);
    let predictions = predictions_page(&[(3, &["v1", "V1"]), (8, &["v1", "v1"]), (9, &["V1"])]);
    let end = r#"{"tasks": []}"#;
    fake.on("/api/tasks/", &[(200, &lists), (200, end), (200, &predictions), (200, end)]);
    let client = fake.connect().await.unwrap();
    let counts = client.prediction_counts(PROJECT, "v1").await.unwrap();
    assert_eq!(counts, BTreeMap::from([(TaskId(3), 1), (TaskId(8), 2)]));
}

#[tokio::test]
async fn a_version_with_a_comma_makes_it_read_predictions() {
    let fake = FakeLabelStudio::new().await;
    fake.on(VERSIONS, &[(200, r#"{"v1": 1, "a,v1": 1}"#)]);
    let predictions = predictions_page(&[(3, &["a,v1"]), (8, &["v1"])]);
    fake.on("/api/tasks/", &[(200, &predictions), (200, r#"{"tasks": []}"#)]);
    let client = fake.connect().await.unwrap();
    assert_eq!(
        client.prediction_counts(PROJECT, "v1").await.unwrap(),
        BTreeMap::from([(TaskId(8), 1)])
    );
}

#[tokio::test]
async fn every_call_reports_an_unknown_project() {
    let fake = FakeLabelStudio::new().await;
    let client = fake.connect().await.unwrap();
    let missing = ProjectId(7);
    let sentence = "there is no project 7 in the organisation of the API key";
    for error in [
        client.project(missing).await.unwrap_err(),
        client.prediction_counts(missing, "v").await.unwrap_err(),
        client.import_predictions(missing, &[]).await.unwrap_err(),
        client.backends(missing).await.unwrap_err(),
    ] {
        assert!(error.to_string().contains(sentence), "{error}");
    }
}
