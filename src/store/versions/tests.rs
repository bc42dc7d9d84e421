//! The model folder: publishing, restarts, and folders that the original left.

#[cfg(target_os = "linux")]
mod durable;
mod files;

use std::sync::LazyLock;
use std::time::Duration;

use super::layout::RESULT;
use super::*;

static PROJECT: LazyLock<ProjectKey> = LazyLock::new(|| "2.1795430965".into());

fn store() -> (tempfile::TempDir, Versions) {
    let dir = tempfile::tempdir().unwrap();
    let versions = Versions::open(dir.path());
    (dir, versions)
}

fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).unwrap()
}

fn next_id(versions: &Versions, project: &ProjectKey) -> JobId {
    let newest = layout::job_folders(&versions.project_dir(project).unwrap()).into_iter().max();
    JobId(newest.map_or(1_795_431_325, |newest| newest.0) + 1)
}

fn train(versions: &Versions, project: &ProjectKey, output: &'static str) -> Version {
    let tasks = raw(r#"[{"id": 1}]"#);
    let id = next_id(versions, project);
    versions.begin(project, id, &Input::Tasks { json: &tasks, count: 1 }).unwrap();
    versions.publish(project, id, &Bytes::from(output), Duration::from_secs(2)).unwrap()
}

#[test]
fn a_published_version_is_served_after_a_restart() {
    let (dir, versions) = store();
    assert_eq!(versions.current(&PROJECT).unwrap(), None);
    let first = train(&versions, &PROJECT, r#"{"n":1}"#);
    let second = train(&versions, &PROJECT, r#"{"n":2}"#);
    assert!(second.id > first.id);
    let again = Versions::open(dir.path());
    assert_eq!(again.current(&PROJECT).unwrap(), Some(second.clone()));
    assert_eq!(again.list(&PROJECT).unwrap(), [second.id, first.id]);
    assert_eq!(again.current(&"3.1".into()).unwrap(), None);
}

#[test]
fn files_are_where_users_of_the_original_look_for_them() {
    let (dir, versions) = store();
    let version = train(&versions, &PROJECT, r#"{"model_file":"m.pkl"}"#);
    let folder = dir.path().join(PROJECT.as_str()).join(version.id.to_string());
    let read = |name: &str| -> serde_json::Value {
        serde_json::from_slice(&fs::read(folder.join(name)).unwrap()).unwrap()
    };
    assert_eq!(read("train_data.json"), serde_json::json!([{"id": 1}]));
    assert_eq!(read("train_data_info.json"), serde_json::json!({"count": 1}));
    insta::assert_json_snapshot!(read("job_result.json"), {
        ".workdir" => "[workdir]", ".version" => "[digits]", ".job_id" => "[digits]",
    });
    let event = raw(r#"{"project":{"id":2}}"#);
    let id = next_id(&versions, &PROJECT);
    let folder = versions
        .begin(&PROJECT, id, &Input::Event { action: "ANNOTATION_CREATED", data: &event })
        .unwrap();
    let event: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join("event.json")).unwrap()).unwrap();
    assert_eq!(event["event"], "ANNOTATION_CREATED");
    assert_eq!(event["job_id"], id.to_string());
    assert_eq!(event["data"]["project"]["id"], 2);
}

#[test]
fn a_job_that_did_not_succeed_is_not_a_version() {
    let (_dir, versions) = store();
    let done = train(&versions, &PROJECT, r#"{"n":1}"#);
    let tasks = raw("[]");
    let id = next_id(&versions, &PROJECT);
    versions.begin(&PROJECT, id, &Input::Tasks { json: &tasks, count: 0 }).unwrap();
    assert_eq!(versions.current(&PROJECT).unwrap(), Some(done));
}

#[test]
fn a_damaged_result_gives_way_to_the_version_before() {
    let (dir, versions) = store();
    let good = train(&versions, &PROJECT, r#"{"n":1}"#);
    let damaged = train(&versions, &PROJECT, r#"{"n":2}"#);
    let result = dir.path().join(PROJECT.as_str()).join(damaged.id.to_string()).join(RESULT);
    fs::write(result, br#"{"status": "ok", "train_out"#).unwrap();
    assert_eq!(versions.current(&PROJECT).unwrap(), Some(good));
}

#[test]
fn ids_go_on_from_the_newest_folder() {
    let (dir, versions) = store();
    let future = 99_999_999_999_u64;
    let folder = dir.path().join(PROJECT.as_str()).join(future.to_string());
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(EVENT), "{}").unwrap();
    assert_eq!(versions.newest_folder(&PROJECT).unwrap(), JobId(future));
    assert_eq!(versions.newest_folder(&"3.1".into()).unwrap(), JobId(0));
}

#[test]
fn folders_of_the_original_are_read() {
    let (dir, versions) = store();
    let write = |path: &str, text: &str| {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    // /train of the original
    write(
        "2.1795430965/1795431326/job_result.json",
        r#"{"status":"ok","train_output":{"n":1},"project":"2.1795430965","workdir":"/m/2.1795430965/1795431326","version":"1795431326","job_id":null,"time":0.1}"#,
    );
    let newest = versions.current(&PROJECT).unwrap().unwrap();
    assert_eq!(
        (newest.id, &newest.train_output[..]),
        (VersionId(1_795_431_326), br#"{"n":1}"#.as_slice())
    );
    // webhook jobs of the original, for this project and for another one
    write("1795431400/event.json", r#"{"event":"ANNOTATION_CREATED","data":{"project":{"id":2}}}"#);
    write("1795431400/job_result.json", r#"{"n":2}"#);
    write("1795431500/event.json", r#"{"event":"ANNOTATION_CREATED","data":{"project":{"id":9}}}"#);
    write("1795431500/job_result.json", r#"{"n":3}"#);
    let newest = versions.current(&PROJECT).unwrap().unwrap();
    assert_eq!(
        (newest.id, &newest.train_output[..]),
        (VersionId(1_795_431_400), br#"{"n":2}"#.as_slice())
    );
    assert_eq!(versions.list(&PROJECT).unwrap(), [1_795_431_400, 1_795_431_326].map(VersionId));
}

#[test]
fn a_hostile_project_key_stays_below_the_model_folder() {
    let (dir, versions) = store();
    train(&versions, &"../../etc/x".into(), "{}");
    let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(names.iter().any(|name| name == "%2E.%2F..%2Fetc%2Fx"), "{names:?}");
    assert!(!dir.path().parent().unwrap().join("etc").exists());
}

#[test]
fn files_of_a_killed_server_in_staging_are_swept() {
    let (dir, versions) = store();
    fs::create_dir_all(versions.staging()).unwrap();
    fs::write(versions.staging().join("half"), b"{").unwrap();
    let again = Versions::open(dir.path());
    assert!(again.staging().exists(), "only the owner of the folder may sweep");
    again.sweep();
    assert!(!again.staging().exists());
}

#[test]
fn a_folder_that_is_only_read_stays_as_it_is() {
    let (dir, versions) = store();
    assert_eq!(versions.current(&PROJECT).unwrap(), None);
    assert!(versions.list(&PROJECT).unwrap().is_empty());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn folders_of_projects_are_no_versions() {
    let (dir, versions) = store();
    let number = u64::MAX.to_string();
    train(&versions, &number.as_str().into(), "{}");
    let id = next_id(&versions, &"".into());
    assert!(id.0 < 100_000_000_000, "{id}");
    assert!(versions.list(&"".into()).unwrap().is_empty());
    assert!(dir.path().join(number).is_dir());
}

#[test]
fn a_version_without_a_project_is_not_another_projects() {
    let (_dir, versions) = store();
    let event = raw(r#"{"project":{"id":null}}"#);
    let id = next_id(&versions, &"".into());
    versions
        .begin(&"".into(), id, &Input::Event { action: "ANNOTATION_CREATED", data: &event })
        .unwrap();
    versions.publish(&"".into(), id, &Bytes::from_static(b"{}"), Duration::ZERO).unwrap();
    assert_eq!(versions.list(&"".into()).unwrap(), [id.into()]);
    assert!(versions.list(&PROJECT).unwrap().is_empty());
}

#[test]
fn a_refused_version_is_not_served_after_a_restart() {
    let (dir, versions) = store();
    let good = train(&versions, &PROJECT, r#"{"n":1}"#);
    let bad = train(&versions, &PROJECT, r#"{"n":2}"#);
    versions.refuse(&PROJECT, bad.id, "KeyError: 'x'");
    let again = Versions::open(dir.path());
    assert_eq!(again.current(&PROJECT).unwrap(), Some(good.clone()));
    assert_eq!(again.list(&PROJECT).unwrap(), [good.id]);
    assert!(next_id(&again, &PROJECT) > bad.id.into());
}

#[test]
fn a_chosen_version_is_served_until_a_newer_one_is_there() {
    let (dir, versions) = store();
    let first = train(&versions, &PROJECT, r#"{"n":1}"#);
    let second = train(&versions, &PROJECT, r#"{"n":2}"#);
    versions.choose(&PROJECT, first.id).unwrap();
    let again = Versions::open(dir.path());
    assert_eq!(again.current(&PROJECT).unwrap(), Some(first.clone()));
    versions.choose(&PROJECT, second.id).unwrap();
    assert_eq!(again.current(&PROJECT).unwrap(), Some(second));
    versions.choose(&PROJECT, first.id).unwrap();
    let third = train(&versions, &PROJECT, r#"{"n":3}"#);
    assert_eq!(again.current(&PROJECT).unwrap(), Some(third));
}

#[test]
fn a_refused_version_that_is_chosen_is_no_longer_refused() {
    let (_dir, versions) = store();
    let first = train(&versions, &"".into(), r#"{"n":1}"#);
    versions.refuse(&"".into(), first.id, "KeyError: 'x'");
    assert_eq!(versions.current(&"".into()).unwrap(), None);
    assert_eq!(versions.find(&"".into(), first.id).unwrap(), Some(first.clone()));
    versions.choose(&"".into(), first.id).unwrap();
    assert_eq!(versions.current(&"".into()).unwrap(), Some(first));
}

#[test]
fn files_of_a_failed_fit_can_be_discarded() {
    let (_dir, versions) = store();
    let tasks = raw("[]");
    let dir = versions.begin(&PROJECT, JobId(7), &Input::Tasks { json: &tasks, count: 0 }).unwrap();
    fs::create_dir(dir.join("checkpoints")).unwrap();
    fs::write(dir.join("checkpoints/1.pt"), "weights").unwrap();
    fs::write(dir.join("log.txt"), "loss").unwrap();
    versions.discard(&PROJECT, JobId(7)).unwrap();
    let mut left: Vec<_> = fs::read_dir(&dir).unwrap().map(|e| e.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, [TASKS, TASKS_INFO]);
    assert!(versions.discard(&PROJECT, JobId(8)).is_err());
}

#[test]
fn a_version_is_unproven_until_it_was_loaded() {
    let (dir, versions) = store();
    let version = train(&versions, &PROJECT, "{}");
    assert!(!version.is_proven);
    let again = Versions::open(dir.path());
    assert!(!again.current(&PROJECT).unwrap().unwrap().is_proven, "after a restart too");
    again.mark_proven(&PROJECT, version.id).unwrap();
    assert!(versions.find(&PROJECT, version.id).unwrap().unwrap().is_proven);
    again.mark_proven(&PROJECT, version.id).unwrap();
}

#[test]
fn old_versions_go_and_the_one_that_is_served_stays() {
    let (dir, versions) = store();
    let ids: Vec<VersionId> = (0..5).map(|_| train(&versions, &PROJECT, "{}").id).collect();
    let event = raw("{}");
    let failed = Input::Event { action: "ANNOTATION_CREATED", data: &event };
    let unfinished = next_id(&versions, &PROJECT);
    versions.begin(&PROJECT, unfinished, &failed).unwrap();
    let newest = train(&versions, &PROJECT, "{}").id;
    assert_eq!(versions.prune(&PROJECT, 2, Some(ids[0])).unwrap(), [ids[3], ids[2], ids[1]]);
    assert_eq!(versions.list(&PROJECT).unwrap(), [newest, ids[4], ids[0]]);
    assert!(
        dir.path().join(PROJECT.as_str()).join(unfinished.to_string()).is_dir(),
        "newer than the oldest kept"
    );
    assert_eq!(versions.prune(&PROJECT, 0, None).unwrap(), [ids[4], ids[0]]);
    assert_eq!(versions.list(&PROJECT).unwrap(), [newest]);
    assert!(!dir.path().join(PROJECT.as_str()).join(unfinished.to_string()).exists());
}

#[test]
fn a_second_run_of_a_job_begins_in_an_empty_folder() {
    let (_dir, versions) = store();
    let tasks = raw("[]");
    let begin =
        || versions.begin(&PROJECT, JobId(7), &Input::Tasks { json: &tasks, count: 0 }).unwrap();
    fs::write(begin().join("half-a-model.pt"), "weights").unwrap();
    assert!(!begin().join("half-a-model.pt").exists());
    assert!(!versions.is_published(&PROJECT, VersionId(7)).unwrap());
}
