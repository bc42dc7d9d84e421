//! The version of a project's models, and its name.

use std::sync::Arc;

use super::{KEY, setup, version};
use crate::ids::VersionId;
use crate::serving::models::Models;
use crate::serving::models::project::ProjectModels;
use crate::serving::version_names::ProjectNames;
use crate::store::versions::Version;

#[test]
fn a_model_that_names_its_version_renames_the_served_version() {
    let models = Models::new(100);
    models.entry(&KEY, |known| {
        known.set_version_once(None, Some(ProjectNames::new("0.0.1".into(), None)));
    });
    let (model, _) = models.resolve(&KEY, None);
    let other = models.note_own_name("22", "0.0.2");
    assert!(other.is_empty());
    assert_eq!(models.note_own_name("2", "0.0.2").len(), 1);
    assert_eq!(model.model.names().served, "0.0.2");
    assert_eq!(models.served_version(&KEY).unwrap(), "0.0.2");
    models.entry(&KEY, ProjectModels::pin_name);
    models.note_own_name("2", "0.0.3");
    assert_eq!(models.served_version(&KEY).unwrap(), "0.0.2");
    assert_eq!(models.entry(&KEY, ProjectModels::unpin_name).len(), 1);
    assert_eq!(models.served_version(&KEY).unwrap(), "0.0.3");
}

#[test]
fn a_switch_replaces_all_models_of_the_project() {
    let models = Models::new(100);
    models.entry(&KEY, |known| known.set_version_once(None, None));
    let (other, _) = models.resolve(&"3.1".into(), None);
    assert!(models.prepare_switch(&KEY, &version(7), &other.model.spec).is_none());
    let (old, _) = models.resolve(&KEY, Some("<View/>"));
    let next = models.prepare_switch(&KEY, &version(7), &old.model.spec).unwrap();
    assert_eq!(models.served_version(&KEY).unwrap(), "INITIAL");
    let gone = models.entry(&KEY, |known| known.switch(version(7), Some(Arc::clone(&next))));
    assert_eq!(gone[0].model.spec.id, old.model.spec.id);
    let (now, _) = models.resolve(&KEY, Some("<View/>"));
    assert_eq!(now.model.spec.id, next.model.spec.id);
    assert_eq!(models.served_version(&KEY).unwrap(), "7");
}

#[test]
fn a_broken_config_does_not_decide_about_a_new_version() {
    let models = Models::new(100);
    models.entry(&KEY, |known| known.set_up(setup("<broken of setup", "a"), None));
    let (trained, _) = models.resolve(&KEY, Some("<View/>"));
    models.resolve(&KEY, Some("<broken"));
    let config = |models: &Models| {
        let next = models.prepare_switch(&KEY, &version(7), &trained.model.spec).unwrap();
        next.model.spec.label_config.clone().unwrap()
    };
    assert_eq!(config(&models), "<View/>", "that of the training");
    models.resolve(&KEY, Some("<View></View>")).0.set_loaded();
    assert_eq!(config(&models), "<View></View>", "that of the last request");
}

#[test]
fn a_model_that_is_no_longer_kept_is_retired() {
    let models = Models::new(100);
    let (old, _) = models.resolve(&KEY, None);
    assert!(!old.is_retired());
    models.entry(&KEY, |known| known.switch(version(7), None));
    assert!(old.is_retired() && old.is_replaced());
}

#[test]
fn a_model_that_makes_room_may_still_answer_for_its_version() {
    let models = Models::new(1);
    let (old, _) = models.resolve(&KEY, None);
    let (_, surplus) = models.resolve(&"22.1795430965".into(), None);
    assert!(Arc::ptr_eq(&surplus[0], &old));
    assert!(old.is_retired() && !old.is_replaced());
}

#[test]
fn a_refused_version_is_reported_until_a_better_one_is_served() {
    let models = Models::new(100);
    models.resolve(&KEY, None);
    models.entry(&KEY, |known| known.refuse(VersionId(7), "KeyError: 'x'".into()));
    assert_eq!(models.refused(), [(KEY.clone(), VersionId(7), "KeyError: 'x'".to_owned())]);
    models.entry(&KEY, |known| known.switch(version(8), None));
    assert!(models.refused().is_empty());
}

#[test]
fn only_a_version_that_was_never_loaded_is_rejected() {
    let models = Models::new(100);
    let unproven = |id| Version { is_proven: false, ..version(id) };
    models.entry(&KEY, |known| known.set_version_once(Some(unproven(7)), None));
    let (model, _) = models.resolve(&KEY, Some("<View/>"));
    assert_eq!(model.reject(), Some(VersionId(7)));
    assert_eq!(model.reject(), None, "once");
    assert!(model.is_rejected());
    assert_eq!(models.entry(&KEY, ProjectModels::forget_version).len(), 1);
    models.entry(&KEY, |known| known.set_version_once(Some(unproven(6)), None));
    let (older, _) = models.resolve(&KEY, Some("<View/>"));
    models.entry(&KEY, |known| known.mark_proven(VersionId(6)));
    assert_eq!(older.reject(), None);
    let (of_another_config, _) = models.resolve(&KEY, Some("<View></View>"));
    assert_eq!(of_another_config.reject(), None);
}

#[test]
fn nothing_is_set_up_or_read_twice() {
    let models = Models::new(100);
    assert!(
        !models.entry(&KEY, |known| known.knows_version())
            && !models.entry(&KEY, |known| known.is_in_use())
    );
    assert_eq!(models.served_version(&KEY), None);
    models.entry(&KEY, |known| known.set_up(setup("<View/>", "a"), None));
    assert!(!models.entry(&KEY, |known| known.knows_version()), "a setup says nothing of versions");
    models.entry(&KEY, |known| known.set_version_once(Some(version(7)), None));
    assert!(models.entry(&KEY, |known| known.knows_version()));
    models.entry(&KEY, |known| known.set_version_once(Some(version(6)), None));
    let (model, _) = models.resolve(&KEY, None);
    assert_eq!(
        (model.origin.version, model.model.spec.version.as_str()),
        (Some(VersionId(7)), "7")
    );
    assert!(
        models.entry(&KEY, |known| known.is_in_use())
            && !models.entry(&"3.1".into(), |known| known.is_in_use())
    );
    models.entry(&"3.1".into(), |known| known.set_version_once(None, None));
    assert!(models.entry(&"3.1".into(), |known| known.knows_version()), "that there is none");
    assert_eq!(models.resolve(&"3.1".into(), None).0.model.spec.version, "INITIAL");
    models.entry(&KEY, ProjectModels::forget_version);
    assert!(!models.entry(&KEY, |known| known.knows_version()));
}

#[test]
fn the_successor_of_a_model_has_the_connection_of_the_newest_setup() {
    let models = Models::new(100);
    models.entry(&KEY, |known| known.set_up(setup("<View/>", "old"), None));
    let (old, _) = models.resolve(&KEY, None);
    models.entry(&KEY, |known| known.set_up(setup("<View/>", "new"), None));
    let next = models.prepare_switch(&KEY, &version(7), &old.model.spec).unwrap();
    let spec = &next.model.spec;
    assert_ne!(spec.id, old.model.spec.id);
    assert_eq!((spec.version.as_str(), next.origin.version), ("7", Some(VersionId(7))));
    assert_eq!(spec.connection.as_ref().unwrap().access_token, "new");
    assert_eq!(next.model.names().served, "7");
    models.entry(&KEY, |known| known.switch(version(7), Some(Arc::clone(&next))));
    assert!(Arc::ptr_eq(&models.resolve(&KEY, None).0, &next), "requests find it");
}

#[test]
fn a_version_without_a_model_in_use_is_found_by_the_next_request() {
    let models = Models::new(100);
    models.entry(&KEY, |known| {
        known.set_version_once(None, Some(ProjectNames::new("0.0.1".into(), None)));
    });
    let gone = models.entry(&KEY, |known| {
        known.switch_named(version(7), "0.0.1".into(), "0.0.1+7".into(), None)
    });
    assert!(gone.is_empty());
    let (model, _) = models.resolve(&KEY, None);
    assert_eq!(
        (model.origin.version, model.model.names().served.as_str()),
        (Some(VersionId(7)), "0.0.1+7")
    );
    for (own, is_taken) in [("0.0.1", true), ("0.0.1+7", true), ("0.0.2", false)] {
        assert_eq!(models.entry(&KEY, |known| known.is_name_taken(own)), is_taken, "{own}");
    }
    let is_taken = models.entry(&"3.1".into(), |known| known.is_name_taken("0.0.1"));
    assert!(!is_taken, "nothing is known of it");
}

#[test]
fn only_the_version_that_was_loaded_is_proven() {
    let models = Models::new(100);
    let unproven = |id| Version { is_proven: false, ..version(id) };
    models.entry(&KEY, |known| known.set_version_once(Some(unproven(7)), None));
    let (model, _) = models.resolve(&KEY, Some("<View/>"));
    models.entry(&KEY, |known| known.mark_proven(VersionId(6)));
    models.entry(&"3.1".into(), |known| known.mark_proven(VersionId(7)));
    let (of_another_config, _) = models.resolve(&KEY, Some("<View></View>"));
    for model in [&model, &of_another_config] {
        assert_eq!(model.unproven_version(), Some(VersionId(7)));
    }
    models.entry(&KEY, |known| known.mark_proven(VersionId(7)));
    assert_eq!(model.unproven_version(), None);
    assert!(!model.is_rejected());
}

#[test]
fn a_version_that_is_forgotten_is_not_asked_for_again() {
    let models = Models::new(100);
    let (old, _) = models.resolve(&KEY, None);
    let gone = models.entry(&KEY, ProjectModels::forget_version);
    assert!(Arc::ptr_eq(&gone[0], &old));
    assert!(old.is_replaced() && old.is_retired());
}
