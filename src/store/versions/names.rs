//! Names for versions of API v2 that no other version of the project has, or ever had.
//!
//! A model that does not name its versions has them numbered, `0.0.1+4`. The number of the last one is kept in
//! `MODEL_DIR/.label-studio-ml/names/<project>.json`, since Label Studio remembers names of versions that are
//! gone here.

use std::collections::BTreeSet;
use std::fs;
use std::io;

use serde::{Deserialize, Serialize};

use super::{StoreError, Versions, at};
use crate::ids::ProjectKey;
use crate::store::durable_fs;

/// Maximum number of names of models' own that are remembered.
const MAX_NAMES: usize = 1_000;
/// Older servers appended the number of the job, which is a time.
const LEAST_JOB: u64 = 1_000_000_000;

#[derive(Debug, Default, Serialize, Deserialize)]
struct UsedNames {
    /// The number that was given last.
    last: u64,
    /// Names without a number, oldest first.
    own: Vec<String>,
}

impl Versions {
    /// A new name for a version that its model calls `own`: that name, unless it `must_differ` or was used
    /// before. Never returned again, even if no version gets it.
    pub fn new_name(
        &self,
        project: &ProjectKey,
        own: &str,
        served: &str,
        must_differ: bool,
    ) -> Result<String, StoreError> {
        let (mut used, mut taken) = self.used_names(project)?;
        taken.insert(served.to_owned());
        taken.extend(used.own.iter().cloned());
        // Numbers up to the last one were given already, whichever name they followed.
        let was_given = number_in(own).is_some_and(|number| number <= used.last);
        let mut name = own.to_owned();
        if must_differ || was_given || taken.contains(own) {
            while name == own || taken.contains(&name) {
                used.last += 1;
                name = format!("{own}+{}", used.last);
            }
        } else {
            used.own.push(name.clone());
        }
        // The name before may be the model's own, and come back later.
        if !used.own.iter().any(|known| known == served) && number_in(served).is_none() {
            used.own.push(served.to_owned());
        }
        let surplus = used.own.len().saturating_sub(MAX_NAMES);
        used.own.drain(..surplus);
        let dir = self.own_dir().join("names");
        durable_fs::create_dirs(&dir).map_err(at(&dir))?;
        let path = dir.join(format!("{}.json", Self::own_name_of(project)?));
        let bytes = serde_json::to_vec(&used)?;
        durable_fs::write_beside(&self.own_dir(), &path, &bytes).map_err(at(&path))?;
        Ok(name)
    }

    fn used_names(
        &self,
        project: &ProjectKey,
    ) -> Result<(UsedNames, BTreeSet<String>), StoreError> {
        let path = self.own_dir().join("names");
        let path = path.join(format!("{}.json", Self::own_name_of(project)?));
        let mut used: UsedNames = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => UsedNames::default(),
            Err(error) => return Err(at(&path)(error)),
        };
        let mut taken = BTreeSet::new();
        for id in self.record_ids(project)? {
            // One that cannot be read has no name that could be mistaken.
            let Ok(Some(record)) = self.record(project, id) else { continue };
            if let Some(number) = number_in(&record.served) {
                used.last = used.last.max(number);
            }
            taken.insert(record.served);
        }
        Ok((used, taken))
    }
}

/// The number that a server appended to a name.
fn number_in(name: &str) -> Option<u64> {
    let number: u64 = name.rsplit_once('+')?.1.parse().ok()?;
    (number < LEAST_JOB).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::VersionId;

    fn name(versions: &Versions, own: &str, served: &str, must_differ: bool) -> String {
        versions.new_name(&"7.1".into(), own, served, must_differ).unwrap()
    }

    #[test]
    fn numbers_go_on_after_everything_else_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let versions = Versions::open(dir.path());
        assert_eq!(name(&versions, "0.0.1", "0.0.1", true), "0.0.1+1");
        assert_eq!(name(&versions, "0.0.1", "0.0.1+1", true), "0.0.1+2");
        let again = Versions::open(dir.path());
        assert_eq!(name(&again, "M", "0.0.1+2", true), "M+3", "whatever the model calls itself");
        assert_eq!(versions.new_name(&"8.1".into(), "M", "M", true).unwrap(), "M+1");
    }

    #[test]
    fn a_name_of_the_model_is_used_once() {
        let dir = tempfile::tempdir().unwrap();
        let versions = Versions::open(dir.path());
        assert_eq!(name(&versions, "a", "0.0.1", false), "a");
        assert_eq!(name(&versions, "b", "a", false), "b");
        assert_eq!(name(&versions, "a", "b", false), "a+1");
        assert_eq!(name(&versions, "0.0.1", "a+1", false), "0.0.1+2");
        assert_eq!(name(&versions, "a+1", "0.0.1+2", false), "a+1+3", "one was called so");
        assert_eq!(name(&versions, "b+4", "a+1+3", false), "b+4");
        assert_eq!(name(&versions, "b", "b+4", false), "b+5");
    }

    #[test]
    fn a_lost_counter_begins_after_the_versions_that_are_there() {
        let dir = tempfile::tempdir().unwrap();
        let versions = Versions::open(dir.path());
        for (id, served) in [(5, "0.0.1+1796038517"), (6, "0.0.1+4")] {
            let json = format!(
                "{{\"id\": {id}, \"own\": \"0.0.1\", \"served\": {served:?}, \"event\": \"\", \
                 \"result\": null, \"keys\": [], \"files\": [], \"time\": 0.5}}"
            );
            let record = serde_json::from_str(&json).unwrap();
            versions.write_record(&"7.1".into(), &record).unwrap();
        }
        assert_eq!(versions.record_ids(&"7.1".into()).unwrap(), [VersionId(6), VersionId(5)]);
        assert_eq!(name(&versions, "0.0.1", "0.0.1+4", true), "0.0.1+5");
    }
}
