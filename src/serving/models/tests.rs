//! Which model a request gets, and which ones are kept.

use bytes::Bytes;

use super::*;

const KEY: &str = "2.1795430965";

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
    Version { id, train_output: Bytes::from_static(b"{}"), is_tried: true }
}

#[test]
fn a_setup_is_known_until_something_in_it_changes() {
    let models = Models::new(100);
    assert!(!models.set_up(KEY, setup("<View/>", "a"), None));
    assert!(models.set_up(KEY, setup("<View/>", "a"), None));
    assert!(!models.set_up(KEY, setup("<View/>", "b"), None));
    assert!(!models.set_up(KEY, setup("<View></View>", "b"), None));
}

#[test]
fn requests_of_one_kind_share_a_model() {
    let models = Models::new(100);
    models.set_up(KEY, setup("<View/>", "a"), None);
    let (first, _) = models.resolve(KEY, None);
    let (same, _) = models.resolve(KEY, Some("<View/>"));
    assert_eq!(first.model.spec.id, same.model.spec.id);
    assert_eq!(first.model.spec.version, "INITIAL");
    models.set_up(KEY, setup("<View/>", "another token"), None);
    let (other, _) = models.resolve(KEY, None);
    assert_ne!(first.model.spec.id, other.model.spec.id);
    models.set_version_once("3.1", None, Some(ProjectNames::new("0.0.1".into(), None)));
    assert_eq!(models.resolve("3.1", None).0.model.spec.version, "0.0.1");
}

#[test]
fn without_a_config_the_last_one_known_is_meant() {
    let models = Models::new(100);
    assert_eq!(models.resolve(KEY, None).0.model.spec.label_config, None);
    let (with, _) = models.resolve(KEY, Some("<View/>"));
    with.set_loaded();
    models.resolve(KEY, Some("<broken"));
    assert_eq!(models.resolve(KEY, None).0.model.spec.id, with.model.spec.id);
    models.set_up(KEY, setup("<View></View>", "a"), None);
    let (of_setup, _) = models.resolve(KEY, None);
    assert_eq!(of_setup.model.spec.label_config.as_deref(), Some("<View></View>"));
}

#[test]
fn the_models_used_longest_ago_go() {
    let models = Models::new(100);
    let ids: Vec<ModelId> = (0..INSTANCES_PER_PROJECT)
        .map(|n| models.resolve(KEY, Some(&format!("<View a='{n}'/>"))).0.model.spec.id)
        .collect();
    models.resolve(KEY, Some("<View a='0'/>"));
    let (_, surplus) = models.resolve(KEY, Some("<View a='new'/>"));
    assert_eq!(surplus.iter().map(|m| m.model.spec.id).collect::<Vec<_>>(), [ids[1]]);
}

#[test]
fn all_projects_together_keep_so_many() {
    let models = Models::new(2);
    let id = |project: &str| models.resolve(project, None).0.model.spec.id;
    let (first, second) = (id("1.1"), id("2.1"));
    assert_eq!(id("1.1"), first);
    let (_, surplus) = models.resolve("3.1", None);
    assert_eq!(surplus.iter().map(|m| m.model.spec.id).collect::<Vec<_>>(), [second]);
    assert_eq!(id("1.1"), first);
}

#[test]
fn extra_params_make_another_instance_for_api_v2() {
    let models = Models::new(100);
    let with = |params: Value| Setup { extra_params: params, ..setup("<View/>", "a") };
    models.set_version_once(KEY, None, Some(ProjectNames::new("0.0.1".into(), None)));
    models.set_up(KEY, with(Value::Null), None);
    let (plain, _) = models.resolve(KEY, None);
    models.set_up(KEY, with("{\"a\": 1}".into()), None);
    assert_ne!(models.resolve(KEY, None).0.model.spec.id, plain.model.spec.id);
}

#[test]
fn a_model_that_names_its_version_renames_what_is_served() {
    let models = Models::new(100);
    models.set_version_once(KEY, None, Some(ProjectNames::new("0.0.1".into(), None)));
    let (model, _) = models.resolve(KEY, None);
    let other = models.note_own_version("22", "0.0.2");
    assert!(other.is_empty());
    assert_eq!(models.note_own_version("2", "0.0.2").len(), 1);
    assert_eq!(model.model.names().served, "0.0.2");
    assert_eq!(models.served_version(KEY).unwrap(), "0.0.2");
    models.pin(KEY);
    models.note_own_version("2", "0.0.3");
    assert_eq!(models.served_version(KEY).unwrap(), "0.0.2");
    assert_eq!(models.unpin(KEY).len(), 1);
    assert_eq!(models.served_version(KEY).unwrap(), "0.0.3");
}

#[test]
fn a_switch_replaces_all_models_of_the_project() {
    let models = Models::new(100);
    models.set_version_once(KEY, None, None);
    let (other, _) = models.resolve("3.1", None);
    assert!(models.prepare_switch(KEY, &version(7), &other.model.spec).is_none());
    let (old, _) = models.resolve(KEY, Some("<View/>"));
    let next = models.prepare_switch(KEY, &version(7), &old.model.spec).unwrap();
    assert_eq!(models.served_version(KEY).unwrap(), "INITIAL");
    let gone = models.switch(KEY, version(7), Some(Arc::clone(&next)));
    assert_eq!(gone[0].model.spec.id, old.model.spec.id);
    let (now, _) = models.resolve(KEY, Some("<View/>"));
    assert_eq!(now.model.spec.id, next.model.spec.id);
    assert_eq!(models.served_version(KEY).unwrap(), "7");
}

#[test]
fn a_broken_config_does_not_decide_about_a_new_version() {
    let models = Models::new(100);
    models.set_up(KEY, setup("<broken of setup", "a"), None);
    let (trained, _) = models.resolve(KEY, Some("<View/>"));
    models.resolve(KEY, Some("<broken"));
    let config = |models: &Models| {
        let next = models.prepare_switch(KEY, &version(7), &trained.model.spec).unwrap();
        next.model.spec.label_config.clone().unwrap()
    };
    assert_eq!(config(&models), "<View/>", "what it was trained with");
    models.resolve(KEY, Some("<View></View>")).0.set_loaded();
    assert_eq!(config(&models), "<View></View>", "what was served last");
}

#[test]
fn what_is_no_longer_kept_is_retired() {
    let models = Models::new(100);
    let (old, _) = models.resolve(KEY, None);
    assert!(!old.is_retired());
    models.switch(KEY, version(7), None);
    assert!(old.is_retired() && old.is_replaced());
}

#[test]
fn what_makes_room_may_still_answer_for_its_version() {
    let models = Models::new(1);
    let (old, _) = models.resolve(KEY, None);
    let (_, surplus) = models.resolve("22.1795430965", None);
    assert!(Arc::ptr_eq(&surplus[0], &old));
    assert!(old.is_retired() && !old.is_replaced());
}

#[test]
fn extra_parameters_are_kept_once_for_each_setup() {
    let models = Models::new(100);
    assert!(!models.has_params(KEY, &Value::Null));
    models.set_up(KEY, setup("<View/>", "a"), None);
    models.note_params(KEY, false);
    assert!(!models.has_params(KEY, &Value::Null), "it failed and is tried again");
    models.note_params(KEY, true);
    assert!(models.has_params(KEY, &Value::Null));
    assert!(!models.has_params(KEY, &"other".into()));
}

#[test]
fn a_constructor_that_ends_workers_is_not_tried_for_ever() {
    let models = Models::new(100);
    let (model, _) = models.resolve(KEY, None);
    model.begin_load();
    model.count_death();
    assert!(!model.is_deadly());
    assert_eq!(model.load_state(), Load::Idle);
    model.count_death();
    assert!(model.is_deadly());
    model.set_loaded();
    assert!(!model.is_deadly(), "its constructor works after all");
}

#[test]
fn a_refused_version_is_reported_until_a_better_one_is_served() {
    let models = Models::new(100);
    models.resolve(KEY, None);
    models.refuse_switch(KEY, 7, "KeyError: 'x'".into());
    assert_eq!(models.refused(), [(KEY.to_owned(), 7, "KeyError: 'x'".to_owned())]);
    models.switch(KEY, version(8), None);
    assert!(models.refused().is_empty());
}

#[test]
fn only_a_version_that_was_never_loaded_is_rejected() {
    let models = Models::new(100);
    let untried = |id| Version { is_tried: false, ..version(id) };
    models.set_version_once(KEY, Some(untried(7)), None);
    let (model, _) = models.resolve(KEY, Some("<View/>"));
    assert_eq!(model.reject(), Some(7));
    assert_eq!(model.reject(), None, "once");
    assert!(model.is_rejected());
    assert_eq!(models.forget_version(KEY).len(), 1);
    models.set_version_once(KEY, Some(untried(6)), None);
    let (older, _) = models.resolve(KEY, Some("<View/>"));
    models.note_tried(KEY, 6);
    assert_eq!(older.reject(), None);
    let (of_another_config, _) = models.resolve(KEY, Some("<View></View>"));
    assert_eq!(of_another_config.reject(), None);
}

#[test]
fn the_id_of_a_webhook_finds_the_key_of_a_setup() {
    let models = Models::new(100);
    models.set_up(KEY, setup("<View/>", "a"), None);
    models.set_up("22.1795430965", setup("<View/>", "a"), None);
    assert_eq!(models.project_key("2").as_deref(), Some(KEY));
    assert_eq!(models.project_key("3"), None);
}

#[test]
fn one_worker_that_holds_the_model_is_enough() {
    let models = Models::new(100);
    let (model, _) = models.resolve(KEY, None);
    assert!(model.begin_load().0);
    assert!(!model.begin_load().0, "it is being loaded already");
    model.set_loaded();
    model.set_failed(crate::wire::protocol::ModelError {
        kind: crate::wire::protocol::ModelErrorKind::Construct,
        class: "MemoryError".into(),
        message: String::new(),
        traceback: None,
        answer: None,
    });
    assert_eq!(model.load_state(), Load::Loaded);
}

#[test]
fn nothing_is_set_up_or_read_twice() {
    let models = Models::new(100);
    assert!(!models.knows_version(KEY) && !models.in_use(KEY));
    assert_eq!(models.served_version(KEY), None);
    models.set_up(KEY, setup("<View/>", "a"), None);
    assert!(!models.knows_version(KEY), "a setup says nothing of versions");
    models.set_version_once(KEY, Some(version(7)), None);
    assert!(models.knows_version(KEY));
    models.set_version_once(KEY, Some(version(6)), None);
    let (model, _) = models.resolve(KEY, None);
    assert_eq!((model.origin.version, model.model.spec.version.as_str()), (Some(7), "7"));
    assert!(models.in_use(KEY) && !models.in_use("3.1"));
    models.set_version_once("3.1", None, None);
    assert!(models.knows_version("3.1"), "that there is none");
    assert_eq!(models.resolve("3.1", None).0.model.spec.version, "INITIAL");
    models.forget_version(KEY);
    assert!(!models.knows_version(KEY));
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
        models.set_up(KEY, first(), None);
        assert!(!models.set_up(KEY, other.clone(), None), "{other:?}");
        assert!(models.set_up(KEY, other.clone(), None), "{other:?}");
    }
}

#[test]
fn a_project_keeps_so_many_models_and_the_one_before_is_used_again() {
    let models = Models::new(100);
    let resolve = |n: usize| models.resolve(KEY, Some(&format!("<View a='{n}'/>")));
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
        assert!(models.resolve(project, None).1.is_empty(), "there is room for it");
    }
    let gone = |project: &str| {
        let (_, surplus) = models.resolve(project, None);
        surplus.iter().map(|model| model.model.spec.project.clone()).collect::<Vec<_>>()
    };
    assert_eq!(gone("4.1"), ["2.1"]);
    assert_eq!(gone("5.1"), ["3.1"]);
    assert_eq!(gone("1.1"), [""; 0]);
    assert_eq!(gone("6.1"), ["4.1"]);
}

#[test]
fn the_successor_of_a_model_has_the_connection_of_the_newest_setup() {
    let models = Models::new(100);
    models.set_up(KEY, setup("<View/>", "old"), None);
    let (old, _) = models.resolve(KEY, None);
    models.set_up(KEY, setup("<View/>", "new"), None);
    let next = models.prepare_switch(KEY, &version(7), &old.model.spec).unwrap();
    let spec = &next.model.spec;
    assert_ne!(spec.id, old.model.spec.id);
    assert_eq!((spec.version.as_str(), next.origin.version), ("7", Some(7)));
    assert_eq!(spec.connection.as_ref().unwrap().access_token, "new");
    assert_eq!(next.model.names().served, "7");
    models.switch(KEY, version(7), Some(Arc::clone(&next)));
    assert!(Arc::ptr_eq(&models.resolve(KEY, None).0, &next), "requests find it");
}

#[test]
fn a_version_without_a_model_in_use_is_found_by_the_next_request() {
    let models = Models::new(100);
    models.set_version_once(KEY, None, Some(ProjectNames::new("0.0.1".into(), None)));
    let gone = models.switch_named(KEY, version(7), "0.0.1".into(), "0.0.1+7".into(), None);
    assert!(gone.is_empty());
    let (model, _) = models.resolve(KEY, None);
    assert_eq!((model.origin.version, model.model.names().served.as_str()), (Some(7), "0.0.1+7"));
    assert_eq!(models.next_name(KEY, "0.0.1", 8), "0.0.1+8");
    assert_eq!(models.next_name(KEY, "0.0.1+7", 8), "0.0.1+7+8");
    assert_eq!(models.next_name("3.1", "0.0.1", 8), "0.0.1", "nothing is known of it");
}

#[test]
fn what_was_tried_is_one_version() {
    let models = Models::new(100);
    let untried = |id| Version { is_tried: false, ..version(id) };
    models.set_version_once(KEY, Some(untried(7)), None);
    let (model, _) = models.resolve(KEY, Some("<View/>"));
    models.note_tried(KEY, 6);
    models.note_tried("3.1", 7);
    let (of_another_config, _) = models.resolve(KEY, Some("<View></View>"));
    for model in [&model, &of_another_config] {
        assert_eq!(model.untried_version(), Some(7));
    }
    models.note_tried(KEY, 7);
    assert_eq!(model.untried_version(), None);
    assert!(!model.is_rejected());
}

#[test]
fn a_new_worker_loads_nothing_of_a_project_that_is_held_back() {
    let models = Models::new(100);
    models.resolve(KEY, None);
    models.resolve("3.1", None);
    let hold = models.held_back.hold(KEY);
    let projects = || {
        let models = models.to_load();
        models.iter().map(|model| model.model.spec.project.clone()).collect::<Vec<_>>()
    };
    assert_eq!(projects(), ["3.1"]);
    assert_eq!(models.all().len(), 2);
    drop(hold);
    assert_eq!(projects().len(), 2);
}

#[test]
fn the_key_of_a_webhook_is_that_of_the_newest_setup_and_of_no_other_request() {
    let models = Models::new(100);
    models.resolve("2.9", None);
    assert_eq!(models.project_key("2"), None, "nobody has set it up");
    for key in ["2.3", "2.5", "2.4", "2"] {
        models.set_up(key, setup("<View/>", "a"), None);
    }
    assert_eq!(models.project_key("2").as_deref(), Some("2.5"));
    assert_eq!(models.project_key(""), None);
}

#[test]
fn a_load_begins_anew_only_where_the_one_before_has_ended() {
    let models = Models::new(100);
    let (model, _) = models.resolve(KEY, None);
    assert_eq!(model.load_state(), Load::Idle);
    model.give_up();
    assert_eq!(model.load_state(), Load::Idle);
    model.begin_load();
    assert_eq!(model.load_state(), Load::Pending);
    model.give_up();
    assert_eq!(model.load_state(), Load::Idle);
    model.begin_load();
    let error = crate::serving::testing::raised(crate::wire::protocol::ModelErrorKind::Construct);
    model.set_failed(error.clone());
    model.give_up();
    assert_eq!(model.load_state(), Load::Failed(error));
    assert!(model.begin_load().0);
    model.set_loaded();
    model.give_up();
    assert_eq!(model.load_state(), Load::Loaded);
    assert!(!model.has_ended_a_worker());
    model.count_death();
    assert!(model.has_ended_a_worker());
}

#[test]
fn models_are_made_with_the_request_of_the_newest_setup() {
    let models = Models::new(100);
    let request = |body: &'static str| ForwardedRequest {
        head: crate::wire::protocol::HttpHead::default(),
        body: Bytes::from_static(body.as_bytes()).into(),
        batch: None,
    };
    let body = |config| {
        let (model, _) = models.resolve(KEY, Some(config));
        model.model.setup.as_ref().map(|setup| setup.body.to_vec())
    };
    assert_eq!(body("<View a='0'/>"), None);
    for (config, setup_body) in [("<View a='1'/>", "1"), ("<View a='2'/>", "2")] {
        models.set_up(KEY, setup("<View/>", "a"), Some(request(setup_body)));
        assert_eq!(body(config).as_deref(), Some(setup_body.as_bytes()));
    }
    models.set_up(KEY, setup("<View/>", "a"), None);
    assert_eq!(body("<View a='3'/>"), None);
}

#[test]
fn a_version_that_is_forgotten_is_not_asked_for_again() {
    let models = Models::new(100);
    let (old, _) = models.resolve(KEY, None);
    let gone = models.forget_version(KEY);
    assert!(Arc::ptr_eq(&gone[0], &old));
    assert!(old.is_replaced() && old.is_retired());
}
