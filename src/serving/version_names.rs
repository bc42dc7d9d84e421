//! How a project's version is called, for models of generation 2, which name their versions themselves.
//!
//! A version must change with every training, or Label Studio asks for no new predictions, and
//! predictions must carry what /setup tells, or it asks for them again and again. So where a training
//! leaves the model's own name as it was, the version that it made is told apart by its number. While a
//! training runs, or its outcome is brought into the workers, the name that was served stays.

use crate::workers::protocol::VersionNames;

/// The names of one project.
#[derive(Debug, Clone)]
pub struct ProjectNames {
    /// What the model calls its version now.
    own: String,
    /// The newest version that was published: what the model called it, and what it is served as.
    recorded: Option<(String, String)>,
    /// What is served while a training decides about the next name.
    pinned: Option<VersionNames>,
}

impl ProjectNames {
    pub fn new(own: String, recorded: Option<(String, String)>) -> Self {
        Self { own, recorded, pinned: None }
    }

    /// What predictions are marked with now.
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

    /// The model calls its version otherwise.
    pub fn note_own(&mut self, own: &str) {
        own.clone_into(&mut self.own);
        if let Some(pinned) = &mut self.pinned
            && !pinned.own.iter().any(|known| known == own)
        {
            pinned.own.push(own.to_owned());
        }
    }

    /// Keeps what is served, whatever the model calls its version from now on.
    pub fn pin(&mut self) {
        self.pinned = Some(self.current());
    }

    /// Whatever the model calls its version counts again.
    pub fn unpin(&mut self) {
        self.pinned = None;
    }

    /// The name for a version that a training made, `own` being what the model calls it.
    pub fn next(&self, own: &str, id: u64) -> String {
        let before = self.current();
        if own == before.served || before.own.first().is_some_and(|known| known == own) {
            return format!("{own}+{id}");
        }
        own.to_owned()
    }

    /// A version is served from now on.
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
        assert_eq!(names.next("0.0.3", 17), "0.0.3");
    }

    #[test]
    fn one_that_does_not_has_them_numbered() {
        let mut names = names("M-v1");
        assert_eq!(names.next("M-v1", 17), "M-v1+17");
        names.publish("M-v1".into(), "M-v1+17".into());
        let current = names.current();
        assert_eq!((current.served.as_str(), current.own), ("M-v1+17", vec!["M-v1".to_owned()]));
        assert_eq!(names.next("M-v1", 18), "M-v1+18");
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
        assert_eq!(names.next("0.0.2", 17), "0.0.2");
        assert_eq!(names.next("0.0.1", 17), "0.0.1+17", "its setup named it back");
        names.publish("0.0.2".into(), "0.0.2".into());
        assert_eq!(names.current().served, "0.0.2");
    }
}
