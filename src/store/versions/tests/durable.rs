//! Which files are on the disk when a version counts, and which versions count although the disk fails.

use std::sync::LazyLock;
use std::time::Duration;

use super::super::layout::{RESULT, UNPROVEN};
use super::*;
use crate::os::sync_calls::Watch;

static PROJECT: LazyLock<ProjectKey> = LazyLock::new(|| "2.1795430965".into());

/// A job whose `fit` has written a file in a folder of its own.
fn trained(project: &ProjectKey) -> (tempfile::TempDir, Versions, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let versions = Versions::open(&dir.path().join("models"));
    let tasks = RawValue::from_string("[]".into()).unwrap();
    let folder =
        versions.begin(project, JobId(7), &Input::Tasks { json: &tasks, count: 0 }).unwrap();
    fs::create_dir(folder.join("checkpoints")).unwrap();
    fs::write(folder.join("checkpoints/1.pt"), "weights").unwrap();
    (dir, versions, folder)
}

fn publish(versions: &Versions, project: &ProjectKey) -> Result<Version, StoreError> {
    versions.publish(project, JobId(7), &Bytes::from_static(b"{}"), Duration::ZERO)
}

#[test]
fn a_version_counts_only_once_everything_in_it_is_on_the_disk() {
    let (dir, versions, _folder) = trained(&PROJECT);
    let watch = Watch::over(dir.path());
    publish(&versions, &PROJECT).unwrap();
    let synced = watch.take();
    let position = |path: &str| {
        let found = synced.iter().position(|synced| synced.path == Path::new(path));
        found.unwrap_or_else(|| panic!("{path} is not synced: {synced:?}"))
    };
    let named = synced.iter().rposition(|synced| synced.path.ends_with("7")).unwrap();
    assert!(synced[named].names.iter().any(|name| name == RESULT), "{synced:?}");
    assert_eq!(named, synced.len() - 1, "nothing is left to be synced");
    let staged = synced.iter().position(|synced| {
        synced.path.starts_with("models/.label-studio-ml/staging") && synced.bytes.is_some()
    });
    let staged = staged.unwrap();
    let folder = format!("models/{}/7", *PROJECT);
    let before = [
        format!("{folder}/checkpoints/1.pt"),
        format!("{folder}/checkpoints"),
        format!("{folder}/{TASKS}"),
        format!("{folder}/{TASKS_INFO}"),
        format!("{folder}/{UNPROVEN}"),
        folder,
        format!("models/{}", *PROJECT),
        "models".to_owned(),
    ];
    for path in before {
        let at = position(&path);
        assert!(at < staged, "{path} comes too late");
        assert!(!synced[at].names.iter().any(|name| name == RESULT), "{path} comes too late");
    }
}

#[test]
fn nothing_is_published_if_the_files_of_fit_cannot_be_synced() {
    for broken in ["1.pt", "checkpoints", UNPROVEN, PROJECT.as_str(), "models"] {
        let (dir, versions, _folder) = trained(&PROJECT);
        let watch = Watch::over(dir.path());
        watch.break_when(move |synced| synced.path.ends_with(broken));
        assert!(publish(&versions, &PROJECT).is_err(), "{broken}");
        assert!(!versions.is_published(&PROJECT, VersionId(7)).unwrap(), "{broken}");
        assert_eq!(versions.current(&PROJECT).unwrap(), None, "{broken}");
    }
}

#[test]
fn a_result_that_cannot_be_synced_is_not_a_version() {
    let (dir, versions, _folder) = trained(&PROJECT);
    let watch = Watch::over(dir.path());
    watch.break_when(|synced| synced.path.to_string_lossy().contains("/staging/"));
    assert!(publish(&versions, &PROJECT).is_err());
    assert!(!versions.is_published(&PROJECT, VersionId(7)).unwrap());
}

#[test]
fn a_version_that_readers_see_counts_though_it_may_not_be_on_the_disk_yet() {
    let (dir, versions, _folder) = trained(&PROJECT);
    let watch = Watch::over(dir.path());
    watch.break_when(|synced| synced.names.iter().any(|name| name == RESULT));
    let version = publish(&versions, &PROJECT).unwrap();
    assert_eq!(versions.current(&PROJECT).unwrap(), Some(version));
}

#[test]
fn a_job_without_a_project_needs_nothing_outside_of_the_model_folder() {
    let (dir, versions, _folder) = trained(&"".into());
    let watch = Watch::over(dir.path());
    watch.break_when(|synced| synced.path.as_os_str().is_empty());
    publish(&versions, &"".into()).unwrap();
    assert!(watch.take_paths().contains(&"models".to_owned()));
}

#[test]
fn a_record_and_a_choice_are_on_the_disk_when_they_are_made() {
    let (dir, versions, _folder) = trained(&PROJECT);
    publish(&versions, &PROJECT).unwrap();
    let watch = Watch::over(dir.path());
    let own = "models/.label-studio-ml";
    versions.choose(&PROJECT, VersionId(7)).unwrap();
    let synced = watch.take();
    let choice = synced.last().unwrap();
    assert_eq!(choice.path, Path::new(&format!("{own}/active")));
    assert_eq!(choice.names, [format!("{}.json", *PROJECT)]);
    assert!(synced.iter().any(|synced| synced.path == Path::new(own)), "{synced:?}");
    let record = Record {
        id: VersionId(8),
        own: String::new(),
        served: String::new(),
        event: String::new(),
        result: RawValue::from_string("null".into()).unwrap(),
        keys: Vec::new(),
        files: Vec::new(),
        time: 0.0,
        at: None,
        annotations: None,
    };
    versions.write_record(&PROJECT, &record).unwrap();
    let synced = watch.take();
    let written = synced.last().unwrap();
    assert_eq!(written.path, Path::new(&format!("{own}/versions/{}", *PROJECT)));
    assert_eq!(written.names, ["8.json"]);
    for made in [own.to_owned(), format!("{own}/versions")] {
        assert!(synced.iter().any(|synced| synced.path == Path::new(&made)), "{synced:?}");
    }
}

#[test]
fn without_a_server_too_a_version_counts_only_once_everything_in_it_is_on_the_disk() {
    let (dir, versions, folder) = trained(&PROJECT);
    let watch = Watch::over(dir.path());
    assert!(publish_result(&folder, RESULT, b"{}").unwrap().is_none());
    let synced = watch.take();
    let staged = synced.iter().position(|synced| synced.bytes.as_deref() == Some(b"{}")).unwrap();
    let before: Vec<_> = synced[..staged].iter().map(|synced| synced.path.clone()).collect();
    let job = Path::new("models").join(PROJECT.as_str()).join("7");
    for path in ["checkpoints/1.pt", "checkpoints", TASKS, TASKS_INFO, "", ".."] {
        let path = if path == ".." { job.parent().unwrap().to_owned() } else { job.join(path) };
        assert!(before.iter().any(|synced| synced.components().eq(path.components())), "{path:?}");
    }
    let [named] = &synced[staged + 1..] else { panic!("{synced:?}") };
    assert!(named.names.iter().any(|name| name == RESULT), "{named:?}");
    assert_eq!(versions.list(&PROJECT).unwrap(), [VersionId(7)]);
}

#[test]
fn without_a_server_too_nothing_is_published_that_the_disk_does_not_take() {
    for broken in ["1.pt", "checkpoints", PROJECT.as_str()] {
        let (dir, versions, folder) = trained(&PROJECT);
        let watch = Watch::over(dir.path());
        watch.break_when(move |synced| synced.path.ends_with(broken));
        assert!(publish_result(&folder, RESULT, b"{}").is_err(), "{broken}");
        assert!(!versions.is_published(&PROJECT, VersionId(7)).unwrap(), "{broken}");
    }
    let (dir, versions, folder) = trained(&PROJECT);
    let watch = Watch::over(dir.path());
    watch.break_when(|synced| synced.names.iter().any(|name| name == RESULT));
    assert!(
        publish_result(&folder, RESULT, b"{}").unwrap().is_some(),
        "it is there, but may be lost"
    );
    assert!(versions.is_published(&PROJECT, VersionId(7)).unwrap());
}
