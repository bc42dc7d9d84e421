//! Edge cases: which folders are versions and of which project, which are removed, and file modes.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::super::layout::RESULT;
use super::*;

fn folder(files: &[(&str, &str)]) -> (tempfile::TempDir, Versions) {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let versions = Versions::open(dir.path());
    (dir, versions)
}

fn record(id: u64) -> Record {
    Record {
        id: VersionId(id),
        own: "0.0.1".into(),
        served: format!("0.0.1+{id}"),
        event: String::new(),
        result: RawValue::from_string("null".into()).unwrap(),
        keys: Vec::new(),
        files: Vec::new(),
        time: 0.0,
        at: None,
        annotations: None,
    }
}

#[test]
fn a_result_counts_as_wrapped_only_with_workdir_and_version() {
    let cases = [
        (r#"{"train_output":{"n":1},"workdir":"/m","version":"5"}"#, r#"{"n":1}"#),
        (r#"{"workdir":"/m","version":"5"}"#, "null"),
        (r#"{"train_output":1,"version":"5"}"#, r#"{"train_output":1,"version":"5"}"#),
        (r#"{"train_output":1,"workdir":"/m"}"#, r#"{"train_output":1,"workdir":"/m"}"#),
        (r#"{"n":1}"#, r#"{"n":1}"#),
    ];
    for (stored, output) in cases {
        let (_dir, versions) = folder(&[("7.1/5/job_result.json", stored)]);
        let version = versions.find(&"7.1".into(), VersionId(5)).unwrap().unwrap();
        assert_eq!(version.train_output, output, "{stored}");
        assert_eq!(versions.result(&"7.1".into(), VersionId(5)).unwrap().unwrap().get(), stored);
        assert!(versions.result(&"7.1".into(), VersionId(6)).unwrap().is_none());
        assert!(versions.find(&"7.1".into(), VersionId(6)).unwrap().is_none());
    }
}

#[test]
fn a_result_that_is_not_an_object_is_an_error_and_an_older_version_is_served() {
    for stored in ["[1]", "null", "7", "true", "\"text\"", " [] ", "{"] {
        let (_dir, versions) =
            folder(&[("7.1/5/job_result.json", "{\"n\":1}"), ("7.1/6/job_result.json", stored)]);
        let error = versions.find(&"7.1".into(), VersionId(6)).unwrap_err();
        let is_json = serde_json::from_str::<serde_json::Value>(stored).is_ok();
        assert_eq!(error.to_string().ends_with("it must be a JSON object"), is_json, "{error}");
        let served = versions.current(&"7.1".into()).unwrap().unwrap();
        assert_eq!((served.id, &served.train_output[..]), (VersionId(5), &b"{\"n\":1}"[..]));
    }
}

#[test]
fn webhook_jobs_of_the_original_belong_to_the_project_of_their_event() {
    let wrapped = r#"{"train_output":1,"workdir":"/m","version":"5"}"#;
    let cases = [
        (Some(r#"{"data":{"project":{"id":7}}}"#), "{}", &["7.1", "7"][..]),
        (Some(r#"{"data":{"project":{"id":7}}}"#), wrapped, &["7.1", "7"]),
        // No project is named: for all projects, if it is the original's at all.
        (Some(r#"{"data":{}}"#), "{}", &["7.1", "7", "77.1"]),
        (Some(r#"{"data":{"project":{}}}"#), "{}", &["7.1", "7", "77.1"]),
        (Some("{}"), wrapped, &[]),
        (None, "{}", &[]),
    ];
    for (event, result, owners) in cases {
        let mut files = vec![("5/job_result.json", result)];
        files.extend(event.map(|event| ("5/event.json", event)));
        let (_dir, versions) = folder(&files);
        for project in ["7.1", "7", "77.1"] {
            let expected: &[VersionId] =
                if owners.contains(&project) { &[VersionId(5)] } else { &[] };
            assert_eq!(
                versions.list(&project.into()).unwrap(),
                expected,
                "{project}: {event:?} {result}"
            );
        }
        assert_eq!(
            versions.list(&"".into()).unwrap(),
            [5].map(VersionId),
            "no project has the model folder as its own"
        );
    }
}

#[test]
fn of_two_folders_with_one_id_that_of_the_project_itself_counts() {
    let (_dir, versions) = folder(&[
        ("7.1/5/job_result.json", "{\"own\":1}"),
        ("5/event.json", r#"{"data":{"project":{"id":7}}}"#),
        ("5/job_result.json", "{\"shared\":1}"),
    ]);
    assert_eq!(versions.list(&"7.1".into()).unwrap(), [5].map(VersionId));
    assert_eq!(
        versions.find(&"7.1".into(), VersionId(5)).unwrap().unwrap().train_output,
        "{\"own\":1}"
    );
}

#[test]
fn only_folders_with_digits_for_a_name_and_a_file_of_a_job_are_those_of_jobs() {
    let last = (i64::MAX - 1).to_string();
    let late = i64::MAX.to_string();
    let (_dir, versions) = folder(&[
        ("7.1/1/job_result.json", "{}"),
        ("7.1/2/event.json", "{}"),
        ("7.1/3/train_data.json", "[]"),
        ("7.1/4/weights.pt", ""),
        ("7.1/5a/job_result.json", "{}"),
        ("7.1/+6/job_result.json", "{}"),
        ("7.1/-7/job_result.json", "{}"),
        (&format!("7.1/{late}/job_result.json"), "{}"),
        (&format!("8.1/{last}/event.json"), "{}"),
    ]);
    let mut ids = layout::job_folders(&versions.project_dir(&"7.1".into()).unwrap());
    ids.sort_unstable();
    assert_eq!(ids, [1, 2, 3].map(VersionId));
    assert_eq!(versions.list(&"7.1".into()).unwrap(), [1].map(VersionId));
    assert_eq!(versions.newest_folder(&"8.1".into()).unwrap(), JobId(i64::MAX.cast_unsigned() - 1));
}

#[test]
fn ids_go_on_from_records_too_and_from_the_folders_of_the_first_scan() {
    let (dir, versions) = folder(&[("7.1/5/event.json", "{}")]);
    versions.write_record(&"7.1".into(), &record(9)).unwrap();
    assert_eq!(versions.newest_folder(&"7.1".into()).unwrap(), JobId(9));
    fs::create_dir_all(dir.path().join("7.1/50")).unwrap();
    fs::write(dir.path().join("7.1/50/event.json"), "{}").unwrap();
    assert_eq!(
        versions.newest_folder(&"7.1".into()).unwrap(),
        JobId(9),
        "looked up once for each project"
    );
    assert_eq!(Versions::open(dir.path()).newest_folder(&"7.1".into()).unwrap(), JobId(50));
}

#[test]
fn a_job_has_made_its_version_by_a_result_or_a_record() {
    let (_dir, versions) = folder(&[
        ("7.1/1/job_result.json", "{}"),
        ("7.1/2/event.json", "{}"),
        ("3/event.json", ""),
    ]);
    versions.write_record(&"7.1".into(), &record(4)).unwrap();
    let made: Vec<_> =
        (1..=5).map(|id| versions.is_published(&"7.1".into(), VersionId(id)).unwrap()).collect();
    assert_eq!(made, [true, false, false, true, false]);
}

#[test]
fn projects_are_known_by_folders_with_jobs_and_by_records() {
    let (dir, versions) = folder(&[
        ("7.1/1/job_result.json", "{}"),
        ("empty/notes.txt", ""),
        ("%2Eodd/1/job_result.json", "{}"),
        (".hidden/1/job_result.json", "{}"),
        ("b/2/event.json", "{}"),
    ]);
    for project in ["9.1", "7.1"] {
        versions.write_record(&project.into(), &record(4)).unwrap();
    }
    fs::create_dir_all(dir.path().join(".label-studio-ml/versions/none")).unwrap();
    assert_eq!(versions.projects(), [".odd", "7.1", "9.1", "b"].map(ProjectKey::from));
}

#[test]
fn only_the_owner_reads_data_of_label_studio_and_everybody_reads_results() {
    let (_dir, versions) = folder(&[]);
    let data =
        RawValue::from_string(r#"{"action":"X","project":{"id":2},"b":[1.50]}"#.into()).unwrap();
    let event = Input::Event { action: "ANNOTATION_CREATED", data: &data };
    let dir = versions.begin(&"7.1".into(), JobId(5), &event).unwrap();
    let mode = |name: &str| fs::metadata(dir.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(EVENT), 0o600);
    let stored: serde_json::Value =
        serde_json::from_slice(&fs::read(dir.join(EVENT)).unwrap()).unwrap();
    assert_eq!(stored["data"], serde_json::json!({"project": {"id": 2}, "b": [1.5]}));
    versions.publish(&"7.1".into(), JobId(5), &Bytes::from_static(b"{}"), Duration::ZERO).unwrap();
    assert_eq!(mode(RESULT), 0o644);
    let tasks = RawValue::from_string("[1,2]".into()).unwrap();
    let dir =
        versions.begin(&"7.1".into(), JobId(6), &Input::Tasks { json: &tasks, count: 2 }).unwrap();
    let mode = |name: &str| fs::metadata(dir.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(TASKS), mode(TASKS_INFO)), (0o600, 0o600));
}

#[test]
fn a_result_that_is_not_json_is_not_published() {
    let (_dir, versions) = folder(&[("7.1/5/event.json", "{}")]);
    let published =
        versions.publish(&"7.1".into(), JobId(5), &Bytes::from_static(b"{"), Duration::ZERO);
    assert!(matches!(published, Err(StoreError::Json(_))));
    assert!(!versions.is_published(&"7.1".into(), VersionId(5)).unwrap());
}

#[test]
fn the_served_version_is_the_chosen_one_or_one_before_it() {
    let files: Vec<String> = (1..=4).map(|id| format!("7.1/{id}/job_result.json")).collect();
    let files: Vec<_> = files.iter().map(|path| (path.as_str(), "{}")).collect();
    let (dir, versions) = folder(&files);
    let current = || versions.current(&"7.1".into()).unwrap().map(|version| version.id.0);
    assert_eq!(current(), Some(4));
    versions.choose(&"7.1".into(), VersionId(3)).unwrap();
    assert_eq!(current(), Some(3));
    versions.refuse(&"7.1".into(), VersionId(3), "KeyError");
    assert_eq!(current(), Some(2), "and not the newest, which somebody has left");
    fs::write(dir.path().join("7.1/2/job_result.json"), "{").unwrap();
    assert_eq!(current(), Some(1));
    versions.choose(&"7.1".into(), VersionId(4)).unwrap();
    assert_eq!(current(), Some(4));
    fs::write(dir.path().join(".label-studio-ml/active/7.1.json"), "{").unwrap();
    assert_eq!(current(), Some(4), "a choice that cannot be read is none");
}

#[test]
fn the_choice_of_requests_without_a_project_is_not_another_projects() {
    let (_dir, versions) =
        folder(&[("1/event.json", "{}"), ("1/job_result.json", "{}"), ("2/job_result.json", "{}")]);
    versions.choose(&"".into(), VersionId(1)).unwrap();
    let current =
        |project: &str| versions.current(&project.into()).unwrap().map(|version| version.id.0);
    assert_eq!((current(""), current("%")), (Some(1), Some(1)));
    versions.choose(&"%".into(), VersionId(1)).unwrap();
    versions.choose(&"".into(), VersionId(2)).unwrap();
    assert_eq!((current(""), current("%")), (Some(2), Some(1)));
}

#[test]
fn refusals_concern_one_version_and_choosing_it_takes_them_back() {
    let (dir, versions) =
        folder(&[("7.1/1/job_result.json", "{}"), ("7.1/2/job_result.json", "{}")]);
    versions.refuse(&"7.1".into(), VersionId(2), "KeyError: 'x'");
    assert_eq!(fs::read_to_string(dir.path().join("7.1/2/refused.txt")).unwrap(), "KeyError: 'x'");
    assert_eq!(versions.list(&"7.1".into()).unwrap(), [1].map(VersionId));
    versions.choose(&"7.1".into(), VersionId(2)).unwrap();
    assert_eq!(versions.list(&"7.1".into()).unwrap(), [2, 1].map(VersionId));
}

#[test]
fn pruning_keeps_the_newest_and_folders_that_are_not_the_projects_own() {
    let (dir, versions) = folder(&[
        ("7.1/1/job_result.json", "{}"),
        ("7.1/2/event.json", "{}"),
        ("7.1/3/job_result.json", "{}"),
        ("7.1/4/job_result.json", "{}"),
        ("7.1/0/notes.txt", "of nobody"),
        ("8.1/1/job_result.json", "{}"),
        ("2/event.json", r#"{"data":{"project":{"id":7}}}"#),
        ("2/job_result.json", "{}"),
    ]);
    assert_eq!(versions.prune(&"7.1".into(), 5, None).unwrap(), [], "there are no more than that");
    assert_eq!(versions.prune(&"7.1".into(), 2, None).unwrap(), [1].map(VersionId));
    assert!(!dir.path().join("7.1/2").exists(), "an older job that made no version");
    for kept in ["7.1/3", "7.1/4", "7.1/0", "8.1/1", "2"] {
        assert!(dir.path().join(kept).is_dir(), "{kept}");
    }
    assert_eq!(versions.prune(&"7.1".into(), 1, Some(VersionId(3))).unwrap(), [], "it is served");
    assert_eq!(versions.prune(&"9.1".into(), 1, None).unwrap(), []);
}

#[test]
fn records_are_pruned_from_the_oldest_and_other_files_are_none() {
    let (dir, versions) = folder(&[]);
    for id in [3, 10, 7] {
        versions.write_record(&"7.1".into(), &record(id)).unwrap();
    }
    let records = dir.path().join(".label-studio-ml/versions/7.1");
    fs::write(records.join("notes.txt"), "").unwrap();
    fs::write(records.join("a.json"), "").unwrap();
    assert_eq!(versions.record_ids(&"7.1".into()).unwrap(), [10, 7, 3].map(VersionId));
    assert_eq!(versions.prune_records(&"7.1".into(), 3).unwrap(), []);
    assert_eq!(versions.prune_records(&"7.1".into(), 2).unwrap(), [3].map(VersionId));
    assert_eq!(versions.record_ids(&"7.1".into()).unwrap(), [10, 7].map(VersionId));
    assert!(versions.record(&"7.1".into(), VersionId(3)).unwrap().is_none());
    assert_eq!(versions.record(&"7.1".into(), VersionId(7)).unwrap().unwrap().served, "0.0.1+7");
}
