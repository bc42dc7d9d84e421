//! Notes that a version is being put back, and what was there before, so that the next server can undo it if
//! this one is killed.
//!
//! `MODEL_DIR/.label-studio-ml/going-back.json` is written before the first live file changes. Its removal is
//! the moment from which the version counts.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::manifest::{Manifest, RawPath};
use crate::ids::{ProjectKey, VersionId};
use crate::store::durable_fs;
use crate::store::versions::{Choice, StoreError, Versions, at};

const FILE: &str = "going-back.json";

/// A version that is being put back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Journal {
    pub project: ProjectKey,
    pub to: VersionId,
    /// Paths that may change.
    pub paths: BTreeSet<RawPath>,
    /// What was there before.
    pub prior: Manifest,
    /// The choice of a version before, if there was one.
    pub choice: Option<Choice>,
}

impl Journal {
    /// The journal that a killed server left, if any.
    pub fn read(versions: &Versions) -> Result<Option<Self>, StoreError> {
        let path = path(versions);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(at(&path)(error)),
        }
    }

    pub fn write(&self, versions: &Versions) -> Result<(), StoreError> {
        let path = path(versions);
        let bytes = serde_json::to_vec(self)?;
        durable_fs::write_beside(&versions.own_dir(), &path, &bytes).map_err(at(&path))
    }

    /// What was done counts from now on.
    pub fn close(versions: &Versions) -> Result<(), StoreError> {
        let path = path(versions);
        fs::remove_file(&path).and_then(|()| durable_fs::sync_parent(&path)).map_err(at(&path))
    }
}

fn path(versions: &Versions) -> PathBuf {
    versions.own_dir().join(FILE)
}
