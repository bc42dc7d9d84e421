//! Names of a project's version, for models of API v2, which name their versions themselves.
//!
//! The name must change with every training, or Label Studio does not ask for new predictions, and
//! predictions must carry the name that /setup returns, or it asks for them again and again. So if a
//! training leaves the model's own name as it was, its number is appended to the name. While a training
//! runs, or workers load its result, the served name stays.

use crate::wire::protocol::VersionNames;

/// The key under which a model of API v2 keeps the name of its version.
pub const VERSION_KEY: &str = "model_version";
/// The version of a model whose class does not name one, as in the original.
pub const UNNAMED: &str = "0.0.1";

/// The names of one project.
#[derive(Debug, Clone)]
pub struct ProjectNames {
    /// The name that the model gives its version now.
    own: String,
    /// The newest version that was published: the model's own name for it, and the served name.
    recorded: Option<(String, String)>,
    /// The served name until a training has decided about the next one.
    pinned: Option<VersionNames>,
}

impl ProjectNames {
    pub fn new(own: String, recorded: Option<(String, String)>) -> Self {
        Self { own, recorded, pinned: None }
    }

    /// The names that predictions carry now.
    pub fn current(&self) -> VersionNames {
        if let Some(pinned) = &self.pinned {
            return pinned.clone();
        }
        let served = match &self.recorded {
            Some((own, served)) if *own == self.own => served,
            _ => &self.own,
        };
        VersionNames { served: served.clone(), own: vec![self.own.clone()] }
    }

    /// Records that the model renamed its version.
    pub fn note_own(&mut self, own: &str) {
        own.clone_into(&mut self.own);
        if let Some(pinned) = &mut self.pinned
            && !pinned.own.iter().any(|known| known == own)
        {
            pinned.own.push(own.to_owned());
        }
    }

    /// Keeps the served name, even if the model renames its version.
    pub fn pin(&mut self) {
        self.pinned = Some(self.current());
    }

    /// Serves the model's own name again.
    pub fn unpin(&mut self) {
        self.pinned = None;
    }

    /// Whether a version that a training made must not be served as `own`, the name that the model gives it.
    pub fn is_taken(&self, own: &str) -> bool {
        let before = self.current();
        own == before.served || before.own.first().is_some_and(|known| known == own)
    }

    /// Serves a version from now on.
    pub fn publish(&mut self, own: String, served: String) {
        self.own.clone_from(&own);
        self.recorded = Some((own, served));
        self.pinned = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(own: &str) -> ProjectNames {
        ProjectNames::new(own.into(), None)
    }

    #[test]
    fn a_model_that_names_its_versions_is_left_alone() {
        let mut names = names("0.0.1");
        assert_eq!(names.current().served, "0.0.1");
        names.note_own("0.0.2");
        assert_eq!(names.current().served, "0.0.2");
        assert!(!names.is_taken("0.0.3"));
    }

    #[test]
    fn a_model_that_does_not_needs_other_names() {
        let mut names = names("M-v1");
        assert!(names.is_taken("M-v1"));
        names.publish("M-v1".into(), "M-v1+17".into());
        let current = names.current();
        assert_eq!((current.served.as_str(), current.own), ("M-v1+17", vec!["M-v1".to_owned()]));
        assert!(names.is_taken("M-v1"));
        names.note_own("M-v2");
        assert_eq!(names.current().served, "M-v2");
    }

    #[test]
    fn while_a_training_runs_the_name_stays() {
        let mut names = names("0.0.1");
        names.pin();
        names.note_own("0.0.2");
        let current = names.current();
        assert_eq!(current.served, "0.0.1");
        assert_eq!(current.own, ["0.0.1", "0.0.2"]);
        assert!(!names.is_taken("0.0.2"));
        assert!(names.is_taken("0.0.1"), "its setup named it back");
        names.publish("0.0.2".into(), "0.0.2".into());
        assert_eq!(names.current().served, "0.0.2");
    }

    #[test]
    fn a_name_that_was_served_or_that_the_model_had_before_does_not_name_the_next_version() {
        let mut names = names("M-v1");
        names.publish("M-v1".into(), "M-v1+17".into());
        // A model may call itself as it is served.
        let names_of = [("M-v1", true), ("M-v1+17", true), ("M-v2", false), ("M-v1+1", false)];
        for (own, is_taken) in names_of {
            assert_eq!(names.is_taken(own), is_taken, "{own}");
        }
        names.pin();
        names.note_own("M-v2");
        for (own, is_taken) in names_of {
            assert_eq!(names.is_taken(own), is_taken, "{own}, while a training runs");
        }
    }

    #[test]
    fn a_recorded_name_counts_only_while_the_model_keeps_its_own() {
        let recorded = || Some(("0.0.1".to_owned(), "0.0.1+17".to_owned()));
        for (own, served) in [("0.0.1", "0.0.1+17"), ("0.0.2", "0.0.2"), ("0.0.1+17", "0.0.1+17")] {
            let names = ProjectNames::new(own.into(), recorded());
            let current = names.current();
            assert_eq!((current.served.as_str(), current.own), (served, vec![own.to_owned()]));
        }
    }

    #[test]
    fn every_name_of_a_training_stands_for_the_one_that_is_served_once() {
        let mut names = names("0.0.1");
        names.pin();
        for own in ["0.0.2", "0.0.1", "0.0.2", "0.0.3"] {
            names.note_own(own);
        }
        let pinned = names.current();
        assert_eq!((pinned.served.as_str(), pinned.own.len()), ("0.0.1", 3));
        assert_eq!(pinned.own, ["0.0.1", "0.0.2", "0.0.3"]);
        names.unpin();
        let current = names.current();
        assert_eq!((current.served.as_str(), current.own), ("0.0.3", vec!["0.0.3".to_owned()]));
        names.note_own("0.0.4");
        assert_eq!(names.current().own, ["0.0.4"], "nothing is pinned any more");
    }

    #[test]
    fn a_published_version_is_served_at_once_and_under_no_name_of_the_training() {
        let mut names = names("0.0.1");
        names.pin();
        names.note_own("0.0.2");
        names.publish("0.0.3".into(), "0.0.3+17".into());
        let current = names.current();
        assert_eq!((current.served.as_str(), current.own), ("0.0.3+17", vec!["0.0.3".to_owned()]));
    }
}
