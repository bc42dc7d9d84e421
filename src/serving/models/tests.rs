//! Which model a request gets, and which ones are kept.

mod versions;

use std::sync::LazyLock;

use bytes::Bytes;
use serde_json::Value;

use super::*;
use crate::serving::version_names::ProjectNames;
use crate::wire::protocol::LabelStudioConnection;
use crate::workers::model::ForwardedRequest;

static KEY: LazyLock<ProjectKey> = LazyLock::new(|| "2.1795430965".into());

fn setup(label_config: &str, token: &str) -> Setup {
    Setup {
        label_config: Some(label_config.into()),
        connection: LabelStudioConnection {
            hostname: "http://127.0.0.1".into(),
            access_token: token.into(),
        },
        extra_params: Value::Null,
    }
}

fn version(id: u64) -> Version {
    Version { id: VersionId(id), train_output: Bytes::from_static(b"{}"), is_proven: true }
}

#[test]
fn a_setup_is_known_until_something_in_it_changes() {
    let models = Models::new(100);
    assert!(!models.entry(&KEY, |known| known.set_up(setup("<View/>", "a"), None)));
    assert!(models.entry(&KEY, |known| known.set_up(setup("<View/>", "a"), None)));
    assert!(!models.entry(&KEY, |known| known.set_up(setup("<View/>", "b"), None)));
    assert!(!models.entry(&KEY, |known| known.set_up(setup("<View></View>", "b"), None)));
}

#[test]
fn requests_of_one_kind_share_a_model() {
    let models = Models::new(100);
    models.entry(&KEY, |known| known.set_up(setup("<View/>", "a"), None));
    let (first, _) = models.resolve(&KEY, None);
    let (same, _) = models.resolve(&KEY, Some("<View/>"));
    assert_eq!(first.model.spec.id, same.model.spec.id);
    assert_eq!(first.model.spec.version, "INITIAL");
    models.entry(&KEY, |known| known.set_up(setup("<View/>", "another token"), None));
    let (other, _) = models.resolve(&KEY, None);
    assert_ne!(first.model.spec.id, other.model.spec.id);
    models.entry(&"3.1".into(), |known| {
        known.set_version_once(None, Some(ProjectNames::new("0.0.1".into(), None)));
    });
    assert_eq!(models.resolve(&"3.1".into(), None).0.model.spec.version, "0.0.1");
}

#[test]
fn without_a_config_the_last_one_known_is_meant() {
    let models = Models::new(100);
    assert_eq!(models.resolve(&KEY, None).0.model.spec.label_config, None);
    let (with, _) = models.resolve(&KEY, Some("<View/>"));
    with.set_loaded();
    models.resolve(&KEY, Some("<broken"));
    assert_eq!(models.resolve(&KEY, None).0.model.spec.id, with.model.spec.id);
    models.entry(&KEY, |known| known.set_up(setup("<View></View>", "a"), None));
    let (of_setup, _) = models.resolve(&KEY, None);
    assert_eq!(of_setup.model.spec.label_config.as_deref(), Some("<View></View>"));
}

#[test]
fn the_models_used_longest_ago_go() {
    let models = Models::new(100);
    let ids: Vec<ModelId> = (0..INSTANCES_PER_PROJECT)
        .map(|n| models.resolve(&KEY, Some(&format!("<View a='{n}'/>"))).0.model.spec.id)
        .collect();
    models.resolve(&KEY, Some("<View a='0'/>"));
    let (_, surplus) = models.resolve(&KEY, Some("<View a='new'/>"));
    assert_eq!(surplus.iter().map(|m| m.model.spec.id).collect::<Vec<_>>(), [ids[1]]);
}

#[test]
fn all_projects_together_keep_so_many() {
    let models = Models::new(2);
    let id = |project: &str| models.resolve(&project.into(), None).0.model.spec.id;
    let (first, second) = (id("1.1"), id("2.1"));
    assert_eq!(id("1.1"), first);
    let (_, surplus) = models.resolve(&"3.1".into(), None);
    assert_eq!(surplus.iter().map(|m| m.model.spec.id).collect::<Vec<_>>(), [second]);
    assert_eq!(id("1.1"), first);
}

#[test]
fn extra_params_make_another_instance_for_api_v2() {
    let models = Models::new(100);
    let with = |params: Value| Setup { extra_params: params, ..setup("<View/>", "a") };
    models.entry(&KEY, |known| {
        known.set_version_once(None, Some(ProjectNames::new("0.0.1".into(), None)));
    });
    models.entry(&KEY, |known| known.set_up(with(Value::Null), None));
    let (plain, _) = models.resolve(&KEY, None);
    models.entry(&KEY, |known| known.set_up(with("{\"a\": 1}".into()), None));
    assert_ne!(models.resolve(&KEY, None).0.model.spec.id, plain.model.spec.id);
}

#[test]
fn extra_parameters_are_kept_once_for_each_setup() {
    let models = Models::new(100);
    assert!(!models.entry(&KEY, |known| known.has_params(&Value::Null)));
    models.entry(&KEY, |known| known.set_up(setup("<View/>", "a"), None));
    models.entry(&KEY, |known| known.note_params(false));
    assert!(
        !models.entry(&KEY, |known| known.has_params(&Value::Null)),
        "it failed and is tried again"
    );
    models.entry(&KEY, |known| known.note_params(true));
    assert!(models.entry(&KEY, |known| known.has_params(&Value::Null)));
    assert!(!models.entry(&KEY, |known| known.has_params(&"other".into())));
}

#[test]
fn the_id_of_a_webhook_finds_the_key_of_a_setup() {
    let models = Models::new(100);
    models.entry(&KEY, |known| known.set_up(setup("<View/>", "a"), None));
    models.entry(&"22.1795430965".into(), |known| known.set_up(setup("<View/>", "a"), None));
    assert_eq!(models.project_key("2"), Some(KEY.clone()));
    assert_eq!(models.project_key("3"), None);
}

#[test]
fn a_setup_differs_by_config_address_token_and_parameters() {
    let first = || setup("<View/>", "a");
    let other_host =
        LabelStudioConnection { hostname: "http://other".into(), access_token: "a".into() };
    for other in [
        setup("<View></View>", "a"),
        setup("<View/>", "b"),
        Setup { label_config: None, ..first() },
        Setup { connection: other_host, ..first() },
        Setup { extra_params: "x".into(), ..first() },
    ] {
        let models = Models::new(100);
        models.entry(&KEY, |known| known.set_up(first(), None));
        assert!(!models.entry(&KEY, |known| known.set_up(other.clone(), None)), "{other:?}");
        assert!(models.entry(&KEY, |known| known.set_up(other.clone(), None)), "{other:?}");
    }
}

#[test]
fn a_project_keeps_so_many_models_and_the_one_before_is_used_again() {
    let models = Models::new(100);
    let resolve = |n: usize| models.resolve(&KEY, Some(&format!("<View a='{n}'/>")));
    let first = resolve(0).0;
    for n in 1..INSTANCES_PER_PROJECT {
        assert!(resolve(n).1.is_empty(), "there is room for it");
    }
    assert!(Arc::ptr_eq(&resolve(0).0, &first));
    let (_, surplus) = resolve(INSTANCES_PER_PROJECT);
    assert_eq!(surplus.len(), 1);
    assert!(surplus[0].is_retired() && !first.is_retired());
    assert!(Arc::ptr_eq(&resolve(0).0, &first));
    assert_eq!(models.all().len(), INSTANCES_PER_PROJECT);
}

#[test]
fn of_all_projects_those_go_that_were_used_longest_ago() {
    let models = Models::new(3);
    for project in ["1.1", "2.1", "3.1", "1.1"] {
        assert!(models.resolve(&project.into(), None).1.is_empty(), "there is room for it");
    }
    let gone = |project: &str| {
        let (_, surplus) = models.resolve(&project.into(), None);
        surplus.iter().map(|model| model.model.spec.project.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(gone("4.1"), ["2.1"]);
    assert_eq!(gone("5.1"), ["3.1"]);
    assert_eq!(gone("1.1"), [""; 0]);
    assert_eq!(gone("6.1"), ["4.1"]);
}

#[test]
fn a_new_worker_loads_nothing_of_a_project_that_is_held_back() {
    let models = Models::new(100);
    models.resolve(&KEY, None);
    models.resolve(&"3.1".into(), None);
    let guard = models.gate.close(&KEY);
    let projects = || {
        let models = models.to_load();
        models.iter().map(|model| model.model.spec.project.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(projects(), ["3.1"]);
    assert_eq!(models.all().len(), 2);
    drop(guard);
    assert_eq!(projects().len(), 2);
}

#[test]
fn the_key_of_a_webhook_is_that_of_the_newest_setup_and_of_no_other_request() {
    let models = Models::new(100);
    models.resolve(&"2.9".into(), None);
    assert_eq!(models.project_key("2"), None, "no /setup has named it");
    for key in ["2.3", "2.5", "2.4", "2"] {
        models.entry(&key.into(), |known| known.set_up(setup("<View/>", "a"), None));
    }
    assert_eq!(models.project_key("2"), Some("2.5".into()));
    assert_eq!(models.project_key(""), None);
}

#[test]
fn models_are_made_with_the_request_of_the_newest_setup() {
    let models = Models::new(100);
    let request = |body: &'static str| ForwardedRequest {
        head: crate::wire::http::HttpHead::default(),
        body: Bytes::from_static(body.as_bytes()).into(),
        batch: None,
    };
    let body = |config| {
        let (model, _) = models.resolve(&KEY, Some(config));
        model.model.setup.as_ref().map(|setup| setup.body.to_vec())
    };
    assert_eq!(body("<View a='0'/>"), None);
    for (config, setup_body) in [("<View a='1'/>", "1"), ("<View a='2'/>", "2")] {
        models.entry(&KEY, |known| known.set_up(setup("<View/>", "a"), Some(request(setup_body))));
        assert_eq!(body(config).as_deref(), Some(setup_body.as_bytes()));
    }
    models.entry(&KEY, |known| known.set_up(setup("<View/>", "a"), None));
    assert_eq!(body("<View a='3'/>"), None);
}
