//! How a training of API v2 ends: with which version, under which name, and what is undone if it made no
//! version.

use std::fs;
use std::sync::LazyLock;

use super::*;
use crate::ids::VersionId;
use crate::publishing::testing::PublishingStage;
use crate::serving::testing::{class, raised};
use crate::serving::version_names::VERSION_KEY;
use crate::store::versions::{Begun, Versions};
use crate::testing::{run_in_time, until};
use crate::wire::api_version::ApiVersion::{V1, V2};
use crate::wire::keys::KeyRequest;
use crate::wire::protocol::{KeyOperation, KeyOutcome, ModelErrorKind, ToWorker};

static KEY: LazyLock<ProjectKey> = LazyLock::new(|| "2.1795430965".into());

fn report(result: &'static str) -> FitReport {
    FitReport {
        result: Bytes::from_static(result.as_bytes()),
        files: None,
        after: Snapshot::take(Path::new("/nowhere")),
        took: Duration::from_millis(1500),
        // This test starts no processes.
        in_worker: true,
    }
}

/// An operation on keys by user code, in a worker that trains or in another.
async fn ask(
    stage: &PublishingStage,
    trains: bool,
    ask: KeyOperation,
    key: &str,
    value: &str,
) -> KeyOutcome {
    let keeper = stage.publisher.key_keeper(trains);
    let question =
        KeyRequest { ask, project: "2".into(), key: key.into(), value: value.to_owned().into() };
    keeper.answer(question).await.0
}

async fn set(stage: &PublishingStage, key: &str, value: &str) {
    assert_eq!(ask(stage, true, KeyOperation::Set, key, value).await, KeyOutcome::Done);
}

async fn own_name(stage: &PublishingStage) -> Option<String> {
    stage.publisher.registry.own_name(&KEY).await.unwrap()
}

fn served(stage: &PublishingStage) -> Option<String> {
    stage.serving.version(&KEY)
}

fn versions(stage: &PublishingStage) -> Versions {
    Versions::open(stage.dir.path())
}

async fn model_of(stage: &PublishingStage) -> Arc<ServedModel> {
    stage.publisher.registry.resolve(&KEY, Some("<View/>")).await.unwrap()
}

async fn begin(stage: &PublishingStage, model: &Arc<ServedModel>, id: u64) -> V2Run {
    let job = Claimed {
        id: JobId(id),
        epoch: 1,
        project: KEY.clone(),
        label_config: None,
        action: Some("ANNOTATION_CREATED".into()),
        payload: Bytes::new(),
        attempts: 1,
        merged: 0,
    };
    V2Run::begin(&stage.publisher, &job, Arc::clone(model), stage.dir.path()).await.unwrap()
}

/// The next training after one that is over.
async fn again(stage: &PublishingStage, run: V2Run, id: u64) -> V2Run {
    let model = Arc::clone(&run.model);
    drop(run);
    begin(stage, &model, id).await
}

/// A project whose model is in use, and a training of it that has begun.
async fn begun() -> (PublishingStage, V2Run) {
    let stage = PublishingStage::new(class(V2));
    let model = model_of(&stage).await;
    let run = begin(&stage, &model, 17).await;
    (stage, run)
}

/// Publishes the result of a training; returns the name that is served then, and its record.
async fn serve(stage: &PublishingStage, run: &V2Run, report: FitReport) -> Option<Record> {
    let staging = run.stage(&stage.publisher, report).await.unwrap();
    let Staging::Staged(staged) = staging else { return None };
    run.serve(&stage.publisher, *staged).await.unwrap().finish(&stage.publisher).await;
    let begun = stage.dir.path().join(format!(".label-studio-ml/training/{}.json", *KEY));
    assert!(!begun.exists(), "the training is over");
    assert!(!stage.publisher.registry.models.gate.is_closed(&KEY));
    versions(stage).newest_record(&KEY).unwrap()
}

#[test]
fn a_training_that_returned_nothing_and_changed_nothing_makes_no_version() {
    run_in_time(|| async {
        for result in ["", "null", "{}", "[]", "\"\"", " {}\n"] {
            let (stage, run) = begun().await;
            assert!(serve(&stage, &run, report(result)).await.is_none(), "{result:?}");
            assert_eq!(served(&stage).as_deref(), Some(UNNAMED));
            assert!(versions(&stage).interrupted_trainings().is_empty(), "{result:?}");
            assert!(versions(&stage).newest_record(&KEY).unwrap().is_none());
        }
        for result in ["0", "false", "[0]", "{\"a\":1}", "\"a\""] {
            let (stage, run) = begun().await;
            let record = serve(&stage, &run, report(result)).await.unwrap();
            assert_eq!((record.id, record.result.get()), (VersionId(17), result));
        }
    });
}

#[test]
fn a_version_is_recorded_with_the_changes_that_made_it() {
    run_in_time(|| async {
        let (stage, run) = begun().await;
        assert_eq!(versions(&stage).interrupted_trainings().len(), 1, "it has begun");
        set(&stage, "weights", "1").await;
        let files = Some(vec!["model.pkl".to_owned()]);
        let record = serve(&stage, &run, FitReport { files, ..report("{\"n\":1}") }).await.unwrap();
        assert_eq!((record.own.as_str(), record.served.as_str()), ("0.0.1", "0.0.1+1"));
        assert_eq!(record.event, "ANNOTATION_CREATED");
        assert_eq!((record.keys, record.files), (vec!["weights".into()], vec!["model.pkl".into()]));
        assert!((record.time - 1.5).abs() < 1e-9);
        assert_eq!(served(&stage).as_deref(), Some("0.0.1+1"));
        assert!(run.model.is_replaced(), "the version before is served no more");
    });
}

#[test]
fn only_keys_that_the_training_changed_in_its_project_count() {
    run_in_time(|| async {
        // None of these changes was made by the training.
        let (stage, run) = begun().await;
        ask(&stage, false, KeyOperation::Set, "of_a_prediction", "1").await;
        for key in ["label_config", "parsed_label_config", "extra_params"] {
            ask(&stage, true, KeyOperation::Set, key, "1").await;
        }
        ask(&stage, true, KeyOperation::Delete, "never_there", "").await;
        ask(&stage, true, KeyOperation::Get, "never_there", "").await;
        let keeper = stage.publisher.key_keeper(true);
        let of_another = KeyRequest {
            ask: KeyOperation::Set,
            project: "22".into(),
            key: "weights".into(),
            value: Bytes::from_static(b"1"),
        };
        keeper.answer(of_another).await;
        assert!(serve(&stage, &run, report("null")).await.is_none());

        let run = again(&stage, run, 17).await;
        ask(&stage, true, KeyOperation::Set, "of_a_prediction", "1").await;
        assert!(serve(&stage, &run, report("null")).await.is_none(), "the same again");

        let run = again(&stage, run, 17).await;
        ask(&stage, true, KeyOperation::Delete, "of_a_prediction", "").await;
        let record = serve(&stage, &run, report("null")).await.unwrap();
        assert_eq!(record.keys, ["of_a_prediction"], "it is gone");
    });
}

#[test]
fn a_training_begins_with_no_keys_of_the_one_before() {
    run_in_time(|| async {
        let (stage, run) = begun().await;
        set(&stage, "weights", "1").await;
        let run = again(&stage, run, 18).await;
        assert!(serve(&stage, &run, report("null")).await.is_none());
    });
}

#[test]
fn predictions_carry_the_name_before_until_the_version_is_served() {
    run_in_time(|| async {
        let (stage, run) = begun().await;
        set(&stage, VERSION_KEY, "0.0.2").await;
        assert_eq!(served(&stage).as_deref(), Some("0.0.1"));
        let names = run.model.model.names();
        assert_eq!(
            (names.served.as_str(), names.own),
            ("0.0.1", vec!["0.0.1".into(), "0.0.2".into()])
        );
        let record = serve(&stage, &run, report("null")).await.unwrap();
        assert_eq!((record.own.as_str(), record.served.as_str()), ("0.0.2", "0.0.2"));
        assert_eq!(served(&stage).as_deref(), Some("0.0.2"));
        let (next, _) = stage.publisher.registry.models.resolve(&KEY, Some("<View/>"));
        assert_eq!(next.model.names().own, ["0.0.2"]);
        assert!(!Arc::ptr_eq(&next, &run.model));
    });
}

#[test]
fn a_version_that_cannot_be_loaded_gives_its_name_back() {
    run_in_time(|| async {
        for name_before in [None, Some("mine")] {
            let stage = PublishingStage::new(class(V2));
            let model = model_of(&stage).await;
            if let Some(name) = name_before {
                set(&stage, VERSION_KEY, name).await;
            }
            let heard = stage.add_worker(Box::new(|_| Err(raised(ModelErrorKind::Construct))));
            let run = begin(&stage, &model, 17).await;
            set(&stage, VERSION_KEY, "0.0.2").await;
            let staging = run.stage(&stage.publisher, report("1")).await.unwrap();
            let Staging::Refused(reason) = staging else { panic!("nobody could load it") };
            assert_eq!(reason, "KeyError: 'x'");
            assert_eq!(own_name(&stage).await.as_deref(), name_before);
            assert_eq!(served(&stage).as_deref(), Some(name_before.unwrap_or(UNNAMED)));
            assert_eq!(stage.serving.refused(), [(KEY.clone(), VersionId(17), reason)]);
            assert!(versions(&stage).interrupted_trainings().is_empty());
            assert!(versions(&stage).newest_record(&KEY).unwrap().is_none());
            assert!(!model.is_replaced(), "the version before stays");
            // A worker that loaded it late is to forget it.
            let told = heard.lock().clone();
            assert!(matches!(told[0], ToWorker::Load { .. }), "{told:?}");
            set(&stage, VERSION_KEY, "0.0.3").await;
            assert_eq!(
                served(&stage).as_deref(),
                Some("0.0.3"),
                "the model names its version again"
            );
        }
    });
}

#[test]
fn a_training_that_is_given_up_leaves_no_name_behind() {
    run_in_time(|| async {
        let (stage, run) = begun().await;
        set(&stage, VERSION_KEY, "0.0.2").await;
        run.abandon(&stage.publisher).await;
        assert_eq!(own_name(&stage).await, None, "it had none");
        assert_eq!(served(&stage).as_deref(), Some(UNNAMED));
        assert!(versions(&stage).interrupted_trainings().is_empty());
    });
}

#[test]
fn the_name_of_a_training_that_a_killed_server_left_is_taken_back() {
    run_in_time(|| async {
        for (api, left) in [(V1, Some("0.0.2")), (V2, Some("mine"))] {
            let stage = PublishingStage::new(class(api));
            let begun = Begun { project: KEY.clone(), id: JobId(17), own: Some("mine".into()) };
            versions(&stage).begin_training(&begun).unwrap();
            let keys = stage.publisher.registry.class.key_store().await.unwrap();
            keys.set("2", VERSION_KEY, "0.0.2".into()).await.unwrap();
            stage.publisher.give_up_interrupted().await.unwrap();
            assert_eq!(own_name(&stage).await.as_deref(), left, "{api}");
            assert_eq!(versions(&stage).interrupted_trainings().is_empty(), api == V2);
        }
    });
}

#[test]
fn a_project_whose_files_changed_is_held_back_until_the_version_is_served() {
    run_in_time(|| async {
        for files in [None, Some(Vec::new())] {
            let (stage, run) = begun().await;
            let is_held_back = files.is_some();
            let report = FitReport { files, ..report("1") };
            let staging = run.stage(&stage.publisher, report).await.unwrap();
            let Staging::Staged(staged) = staging else { panic!("there is a version") };
            assert_eq!(stage.publisher.registry.models.gate.is_closed(&KEY), is_held_back);
            assert!(
                versions(&stage).newest_record(&KEY).unwrap().is_none(),
                "nothing is served yet"
            );
            assert_eq!(served(&stage).as_deref(), Some(UNNAMED));
            drop(run.serve(&stage.publisher, *staged).await.unwrap());
            assert!(!stage.publisher.registry.models.gate.is_closed(&KEY));
            assert_eq!(versions(&stage).record_ids(&KEY).unwrap()[0], VersionId(17));
        }
    });
}

#[test]
fn a_version_that_cannot_be_written_down_is_not_served() {
    run_in_time(|| async {
        let (stage, run) = begun().await;
        let heard = stage.add_worker(Box::new(|_| Ok(())));
        let staging = run.stage(&stage.publisher, report("1")).await.unwrap();
        let Staging::Staged(staged) = staging else { panic!("there is a version") };
        let next = staged.next.clone().unwrap();
        fs::write(stage.dir.path().join(".label-studio-ml/versions"), "no folder").unwrap();
        assert!(run.serve(&stage.publisher, *staged).await.is_err());
        assert_eq!(served(&stage).as_deref(), Some(UNNAMED));
        assert!(!run.model.is_replaced());
        assert!(next.is_retired(), "a worker that loads it late is to forget it");
        let told = || heard.lock().iter().any(|told| matches!(told, ToWorker::Unload { .. }));
        until(told).await;
    });
}

#[test]
fn after_a_restart_the_newest_record_says_what_is_served() {
    run_in_time(|| async {
        let (stage, run) = begun().await;
        serve(&stage, &run, report("1")).await.unwrap();
        let stage_again = PublishingStage::new(class(V2));
        let record = versions(&stage).newest_record(&KEY).unwrap().unwrap();
        versions(&stage_again).write_record(&KEY, &record).unwrap();
        let model = stage_again.publisher.registry.resolve(&KEY, None).await.unwrap();
        assert_eq!(model.origin.version, Some(VersionId(17)));
        assert_eq!(model.model.names().served, "0.0.1+1");
        // The model itself has named its version since.
        set(&stage_again, VERSION_KEY, "0.0.9").await;
        assert_eq!(served(&stage_again).as_deref(), Some("0.0.9"));
    });
}

#[test]
fn workers_that_hold_the_model_are_told_how_predictions_are_marked() {
    run_in_time(|| async {
        let stage = PublishingStage::new(class(V2));
        let heard = stage.add_worker(Box::new(|_| Ok(())));
        let model = model_of(&stage).await;
        stage.serving.pool().workers()[0].load(&model.model, false).await.unwrap();
        let names = |served: &str, own: &[&str]| VersionNames {
            served: served.into(),
            own: own.iter().map(|&own| own.to_owned()).collect(),
        };
        // The name that it was told last.
        let is_told = |expected: VersionNames| {
            let heard = Arc::clone(&heard);
            until(move || {
                let heard = heard.lock();
                let last = heard.iter().rev().find_map(|told| match told {
                    ToWorker::Load { names, .. } | ToWorker::Name { names, .. } => Some(names),
                    _ => None,
                });
                last == Some(&expected)
            })
        };
        is_told(names("0.0.1", &["0.0.1"])).await;
        set(&stage, VERSION_KEY, "a").await;
        is_told(names("a", &["a"])).await;
        let run = begin(&stage, &model, 17).await;
        set(&stage, VERSION_KEY, "b").await;
        is_told(names("a", &["a", "b"])).await;
        run.abandon(&stage.publisher).await;
        is_told(names("a", &["a"])).await;
        let run = again(&stage, run, 18).await;
        serve(&stage, &run, report("1")).await.unwrap();
        is_told(names("a+1", &["a"])).await;
        let unloaded = ToWorker::Unload { model: model.model.spec.id };
        until(|| heard.lock().contains(&unloaded)).await;
    });
}

#[test]
fn workers_get_the_keys_that_models_keep() {
    run_in_time(|| async {
        let stage = PublishingStage::new(class(V2));
        let keeper = stage.publisher.key_keeper(false);
        let answer = |ask, key: &str, value: &'static [u8]| {
            let value = Bytes::from_static(value);
            keeper.answer(KeyRequest { ask, project: "2".into(), key: key.into(), value })
        };
        let nothing = Bytes::new;
        assert_eq!(answer(KeyOperation::Get, "a", b"").await, (KeyOutcome::NotKept, nothing()));
        stage.publisher.registry.class.key_store().await.unwrap();
        for (ask, key, value, outcome, told) in [
            (KeyOperation::Get, "a", &b""[..], KeyOutcome::Absent, ""),
            (KeyOperation::Has, "a", b"", KeyOutcome::Absent, ""),
            (KeyOperation::Set, "a", b"1", KeyOutcome::Done, ""),
            (KeyOperation::Get, "a", b"", KeyOutcome::Found, "1"),
            (KeyOperation::Has, "a", b"", KeyOutcome::Found, ""),
            (KeyOperation::Get, "b", b"", KeyOutcome::Absent, ""),
            (
                KeyOperation::Set,
                "a",
                b"\xff",
                KeyOutcome::Failed("the value is no text".into()),
                "",
            ),
            (KeyOperation::Get, "a", b"", KeyOutcome::Found, "1"),
            (KeyOperation::Delete, "a", b"", KeyOutcome::Done, ""),
            (KeyOperation::Has, "a", b"", KeyOutcome::Absent, ""),
        ] {
            let answered = answer(ask, key, value).await;
            assert_eq!(answered, (outcome, Bytes::from_static(told.as_bytes())), "{ask:?} {key}");
        }
    });
}
