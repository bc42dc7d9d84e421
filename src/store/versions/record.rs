//! Versions of models of API v2.
//!
//! Such a model overwrites its own files and keys, so a version is not a folder but a record of the training
//! that made it: `MODEL_DIR/.label-studio-ml/versions/<project>/<id>.json`. The newest one counts.

use std::fs;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{StoreError, Versions, at};
use crate::ids::{JobId, ProjectKey, VersionId};
use crate::store::{durable_fs, project_dir};

/// Our folder for running trainings.
const BEGUN: &str = "training";

/// The training that made a version, and the names of the version.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    pub id: VersionId,
    /// The model's own name for the version when this was written.
    pub own: String,
    /// The name in /setup and predictions as long as the model keeps its own name.
    pub served: String,
    pub event: String,
    /// The return value of `fit`.
    pub result: Box<RawValue>,
    /// Keys that `fit` set.
    pub keys: Vec<String>,
    /// Paths below MODEL_DIR that `fit` wrote or removed, as far as they were scanned.
    pub files: Vec<String>,
    /// Duration of the training in seconds.
    pub time: f64,
    /// When it became a version, in milliseconds since 1970; older servers noted nothing.
    #[serde(default)]
    pub at: Option<i64>,
    /// Number of annotations that its project had, as far as the event told it.
    #[serde(default)]
    pub annotations: Option<u64>,
}

impl Record {
    /// The state before all trainings, whose number is zero.
    pub fn untrained(own: String, served: String) -> Self {
        Self {
            id: VersionId::default(),
            own,
            served,
            event: String::new(),
            result: RawValue::NULL.to_owned(),
            keys: Vec::new(),
            files: Vec::new(),
            time: 0.0,
            at: None,
            annotations: None,
        }
    }
}

/// A training that has begun; the next server finds it if this one ends first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    pub project: ProjectKey,
    pub id: JobId,
    /// The model's own name for its version before.
    pub own: Option<String>,
}

impl Versions {
    /// Writes down the model's own name for its version before a training, which may rename it. The note
    /// survives a kill of the server, but maybe not a power cut; the training is repeated in either case.
    pub fn begin_training(&self, begun: &Begun) -> Result<(), StoreError> {
        let path = self.begun_path(&begun.project)?;
        let dir = path.parent().unwrap_or(&path);
        fs::create_dir_all(dir).map_err(at(dir))?;
        let draft = path.with_extension("draft");
        fs::write(&draft, serde_json::to_vec(begun)?).map_err(at(&draft))?;
        fs::rename(&draft, &path).map_err(at(&path))
    }

    /// Removes the note: the training has ended.
    pub fn end_training(&self, project: &ProjectKey) -> Result<(), StoreError> {
        let path = self.begun_path(project)?;
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(&path)(error)),
            _ => Ok(()),
        }
    }

    /// Trainings that began and made no version before the server ended.
    pub fn interrupted_trainings(&self) -> Vec<Begun> {
        let entries = fs::read_dir(self.own_dir().join(BEGUN)).into_iter().flatten().flatten();
        let read = |entry: fs::DirEntry| {
            let bytes = fs::read(entry.path()).ok()?;
            let begun: Begun = serde_json::from_slice(&bytes).ok()?;
            let made = self.record(&begun.project, begun.id.into()).ok()?.is_some();
            (!made).then_some(begun)
        };
        entries.filter_map(read).collect()
    }

    fn begun_path(&self, project: &ProjectKey) -> Result<PathBuf, StoreError> {
        let name = project_dir::name(project)?;
        Ok(self.own_dir().join(BEGUN).join(format!("{name}.json")))
    }

    /// Makes a record the newest one: all of it or, if killed, none.
    pub fn write_record(&self, project: &ProjectKey, record: &Record) -> Result<(), StoreError> {
        let dir = self.records_dir(project)?;
        let staging = self.own_dir();
        durable_fs::create_dirs(&dir).map_err(at(&dir))?;
        let target = dir.join(format!("{}.json", record.id));
        let bytes = serde_json::to_vec_pretty(record)?;
        durable_fs::write_atomic(&staging, &target, &bytes).map_err(at(&target))
    }

    /// Writes a record that does not become the newest one.
    pub fn rewrite_record(&self, project: &ProjectKey, record: &Record) -> Result<(), StoreError> {
        let path = self.record_path(project, record.id)?;
        let dir = self.records_dir(project)?;
        durable_fs::create_dirs(&dir).map_err(at(&dir))?;
        let bytes = serde_json::to_vec_pretty(record)?;
        durable_fs::write_beside(&self.own_dir(), &path, &bytes).map_err(at(&path))
    }

    /// The newest record of a project that can be read.
    pub fn newest_record(&self, project: &ProjectKey) -> Result<Option<Record>, StoreError> {
        for id in self.record_ids(project)? {
            match self.record(project, id) {
                Ok(record) => return Ok(record),
                Err(error) => {
                    tracing::error!(project = project.as_str(), version = %id, "record: {error}");
                }
            }
        }
        Ok(None)
    }

    /// One record of a project.
    pub fn record(
        &self,
        project: &ProjectKey,
        id: VersionId,
    ) -> Result<Option<Record>, StoreError> {
        let path = self.record_path(project, id)?;
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(at(&path)(error)),
        }
    }

    /// Ids of a project's records, newest first.
    pub fn record_ids(&self, project: &ProjectKey) -> Result<Vec<VersionId>, StoreError> {
        let dir = self.records_dir(project)?;
        // No version was recorded yet.
        let entries = fs::read_dir(&dir).into_iter().flatten().flatten();
        let mut ids: Vec<VersionId> = entries
            .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".json")?.parse().ok())
            .collect();
        ids.sort_unstable_by_key(|id| std::cmp::Reverse(*id));
        Ok(ids)
    }

    /// Removes all but the newest `keep` records of a project, and the one that is served.
    pub fn prune_records(
        &self,
        project: &ProjectKey,
        keep: usize,
    ) -> Result<Vec<VersionId>, StoreError> {
        let served = self.current_record(project)?.map(|record| record.id);
        let mut old: Vec<VersionId> = self.record_ids(project)?.into_iter().skip(keep).collect();
        old.retain(|id| Some(*id) != served);
        for id in &old {
            let path = self.record_path(project, *id)?;
            fs::remove_file(&path).map_err(at(&path))?;
        }
        Ok(old)
    }

    /// The name of a project's folders below the own folder.
    pub(in crate::store) fn own_name_of(project: &ProjectKey) -> Result<String, StoreError> {
        let name = project_dir::name(project)?;
        // The default project has a name of its own here: other keys never begin with a dot.
        Ok(if name.is_empty() { ".default".to_owned() } else { name })
    }

    /// The project that has such a folder.
    pub(in crate::store) fn project_of(name: &str) -> Option<ProjectKey> {
        if name == ".default" { Some(ProjectKey::default()) } else { project_dir::key(name) }
    }

    pub(super) fn record_path(
        &self,
        project: &ProjectKey,
        id: VersionId,
    ) -> Result<PathBuf, StoreError> {
        Ok(self.records_dir(project)?.join(format!("{id}.json")))
    }

    fn records_dir(&self, project: &ProjectKey) -> Result<PathBuf, StoreError> {
        Ok(self.own_dir().join("versions").join(Self::own_name_of(project)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: VersionId) -> Record {
        Record {
            id,
            own: "0.0.1".into(),
            served: format!("0.0.1+{id}"),
            event: "ANNOTATION_CREATED".into(),
            result: RawValue::from_string("{\"b\":1,\"a\":2}".into()).unwrap(),
            keys: vec!["prompt".into()],
            files: Vec::new(),
            time: 0.5,
            at: Some(1),
            annotations: None,
        }
    }

    #[test]
    fn the_newest_record_that_can_be_read_counts() {
        let dir = tempfile::tempdir().unwrap();
        let versions = Versions::open(dir.path());
        assert!(versions.newest_record(&"7.1".into()).unwrap().is_none());
        for id in [5, 12, 9] {
            versions.write_record(&"7.1".into(), &record(VersionId(id))).unwrap();
        }
        assert_eq!(versions.record_ids(&"7.1".into()).unwrap(), [12, 9, 5].map(VersionId));
        let newest = versions.newest_record(&"7.1".into()).unwrap().unwrap();
        assert_eq!((newest.id, newest.result.get()), (VersionId(12), "{\"b\":1,\"a\":2}"));
        fs::write(dir.path().join(".label-studio-ml/versions/7.1/12.json"), "{").unwrap();
        assert_eq!(versions.newest_record(&"7.1".into()).unwrap().unwrap().id, VersionId(9));
        assert!(versions.newest_record(&"8.1".into()).unwrap().is_none());
        assert_eq!(
            versions.prune_records(&"7.1".into(), 1).unwrap(),
            [VersionId(5)],
            "9 is served"
        );
    }

    #[test]
    fn a_training_that_made_no_version_is_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let versions = Versions::open(dir.path());
        assert!(versions.interrupted_trainings().is_empty());
        let begun = Begun { project: "7.1".into(), id: JobId(5), own: Some("0.0.1".into()) };
        versions.begin_training(&begun).unwrap();
        assert_eq!(versions.interrupted_trainings(), std::slice::from_ref(&begun));
        versions.write_record(&"7.1".into(), &record(VersionId(5))).unwrap();
        assert!(versions.interrupted_trainings().is_empty(), "it made its version");
        versions.begin_training(&Begun { id: JobId(6), ..begun }).unwrap();
        versions.end_training(&"7.1".into()).unwrap();
        versions.end_training(&"7.1".into()).unwrap();
        assert!(versions.interrupted_trainings().is_empty());
    }

    #[test]
    fn requests_without_a_project_have_records_too() {
        let dir = tempfile::tempdir().unwrap();
        let versions = Versions::open(dir.path());
        versions.write_record(&"".into(), &record(VersionId(5))).unwrap();
        assert_eq!(versions.record_ids(&"".into()).unwrap(), [5].map(VersionId));
    }
}
