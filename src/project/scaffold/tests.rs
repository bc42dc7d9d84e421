//! What a project folder contains, and which files survive writing into one.

use super::*;
use crate::wire::api_version::ApiVersion;

fn script_folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("model.py", "class M: ...\n");
    write("helpers.py", "");
    write("nets/__init__.py", "");
    write("nets/__pycache__/x.pyc", "");
    write("unrelated.py", "");
    write("requirements.txt", "numpy\nlabel-studio-ml>=1.0.9\n");
    write("requirements-test.txt", "pytest\n");
    write("start.sh", "#!/bin/sh\n");
    dir
}

fn plan(scripts: &Path, folder: &Path) -> ScaffoldPlan {
    ScaffoldPlan {
        folder: folder.to_owned(),
        script: scripts.join("model.py"),
        class: "MyEchoModel".into(),
        api: ApiVersion::V1,
        companions: vec!["helpers.py".into(), "nets".into(), "start.sh".into()],
        requirements: "numpy>=1\n".into(),
        has_tests: false,
        force: false,
    }
}

fn files(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_folder_contains_what_the_model_needs() {
    let scripts = script_folder();
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("deep/my_ml_backend");
    let report = create(&plan(scripts.path(), &folder)).unwrap();
    insta::assert_json_snapshot!("folder", files(&folder));
    assert_eq!(files(&folder.join("nets")), ["__init__.py"]);
    assert_eq!(
        report.commented_out,
        [("requirements.txt".to_owned(), "label-studio-ml>=1.0.9".to_owned())]
    );
    assert_eq!(files(&root.path().join("deep")), ["my_ml_backend"]);
}

#[test]
fn wsgi_names_script_and_class() {
    let scripts = script_folder();
    let mut plan = plan(scripts.path(), Path::new("p"));
    insta::assert_snapshot!("wsgi_v1", wsgi(&plan));
    plan.api = ApiVersion::V2;
    plan.script = scripts.path().join("my-model.py");
    insta::assert_snapshot!("wsgi_v2", wsgi(&plan));
}

#[test]
fn an_existing_folder_is_left_alone_without_force() {
    let scripts = script_folder();
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("p");
    fs::create_dir(&folder).unwrap();
    let error = create(&plan(scripts.path(), &folder)).unwrap_err();
    assert!(error.to_string().ends_with("exists already; use --force to write into it"));
    assert!(files(&folder).is_empty());
}

#[test]
fn force_keeps_trained_models() {
    let scripts = script_folder();
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("p");
    fs::create_dir_all(folder.join("2.179/1795431326")).unwrap();
    fs::write(folder.join("model.py"), "old").unwrap();
    create(&ScaffoldPlan { force: true, ..plan(scripts.path(), &folder) }).unwrap();
    assert!(folder.join("2.179/1795431326").is_dir());
    assert_eq!(fs::read_to_string(folder.join("model.py")).unwrap(), "class M: ...\n");
}

#[test]
fn a_project_can_be_made_where_its_script_lies() {
    let scripts = script_folder();
    let folder = scripts.path().to_owned();
    create(&ScaffoldPlan { force: true, ..plan(scripts.path(), &folder) }).unwrap();
    assert_eq!(fs::read_to_string(folder.join("model.py")).unwrap(), "class M: ...\n");
    assert!(folder.join(WSGI).is_file());
}
