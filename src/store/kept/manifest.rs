//! What was kept of one version: a list of the files below MODEL_DIR as they were, and the keys of the project.
//!
//! `MODEL_DIR/.label-studio-ml/kept/<project>/<id>.json`. Contents lie in `kept/.blobs`, where versions share
//! those that did not change between them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::ids::VersionId;
use crate::store::changes::FileStamp;

/// Keys of a project and their values.
pub type KeptKeys = BTreeMap<String, String>;

/// The state of one version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The oldest version that one can go back to from this one: all that changed since then was noted.
    pub since: VersionId,
    /// Paths that a training of the project has changed up to this version. Others are never touched.
    pub trained: BTreeSet<RawPath>,
    /// A later training has begun, so files that are found now may be its work.
    pub is_sealed: bool,
    /// That training has not ended yet; after a restart of the server: it was killed.
    #[serde(default)]
    pub is_open: bool,
    /// Why nothing was kept.
    pub lacks: Option<String>,
    #[serde(with = "pairs")]
    pub files: BTreeMap<RawPath, KeptFile>,
    pub keys: KeptKeys,
}

/// A file, folder or link of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptFile {
    pub stamp: FileStamp,
    #[serde(flatten)]
    pub content: KeptContent,
}

/// Where the content is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeptContent {
    Folder,
    /// The target of a symbolic link.
    Link(RawPath),
    /// The name of a blob.
    Blob(String),
    /// Why it was not kept.
    Lacks(String),
}

impl Manifest {
    /// A version of which nothing was kept.
    pub fn lacking(
        since: VersionId,
        trained: BTreeSet<RawPath>,
        reason: impl Into<String>,
    ) -> Self {
        Self { since, trained, lacks: Some(reason.into()), ..Self::default() }
    }

    /// The names of the blobs that it needs.
    pub fn blobs(&self) -> impl Iterator<Item = &str> {
        self.files.values().filter_map(|file| match &file.content {
            KeptContent::Blob(name) => Some(name.as_str()),
            KeptContent::Folder | KeptContent::Link(_) | KeptContent::Lacks(_) => None,
        })
    }

    /// Paths whose state here is not the one of `stamps`.
    pub fn differing(&self, stamps: &BTreeMap<PathBuf, FileStamp>) -> BTreeSet<RawPath> {
        let gone = self.files.keys().filter(|path| !stamps.contains_key(path.as_path())).cloned();
        let other = stamps.iter().filter_map(|(path, stamp)| {
            let path = RawPath::from(path.clone());
            let is_same = self.files.get(&path).is_some_and(|file| !file.stamp.differs(stamp));
            (!is_same).then_some(path)
        });
        gone.chain(other).filter(|path| !path.is_program()).collect()
    }
}

/// A path below MODEL_DIR, of any bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "PathText", into = "PathText")]
pub struct RawPath(PathBuf);

/// In JSON a text, or, where the name is not UTF-8, a list of bytes.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum PathText {
    Text(String),
    Bytes(Vec<u8>),
}

impl RawPath {
    pub fn as_path(&self) -> &Path {
        &self.0
    }

    /// Whether it is a Python file directly in MODEL_DIR: the program itself, which is never put back, even if
    /// somebody edited it while a training ran.
    pub fn is_program(&self) -> bool {
        let is_direct = self.0.parent().is_none_or(|parent| parent.as_os_str().is_empty());
        is_direct && self.0.extension().is_some_and(|extension| extension == "py")
    }
}

impl From<PathBuf> for RawPath {
    fn from(path: PathBuf) -> Self {
        Self(path)
    }
}

impl From<PathText> for RawPath {
    fn from(text: PathText) -> Self {
        Self(match text {
            PathText::Text(text) => text.into(),
            PathText::Bytes(bytes) => OsString::from_vec(bytes).into(),
        })
    }
}

impl From<RawPath> for PathText {
    fn from(path: RawPath) -> Self {
        match path.0.into_os_string().into_string() {
            Ok(text) => Self::Text(text),
            Err(raw) => Self::Bytes(raw.into_vec()),
        }
    }
}

/// A map whose keys are not always texts, as a list.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer};

    use super::{KeptFile, RawPath};

    pub(super) fn serialize<S: Serializer>(
        files: &BTreeMap<RawPath, KeptFile>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(files)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<RawPath, KeptFile>, D::Error> {
        let files = Vec::<(RawPath, KeptFile)>::deserialize(deserializer)?;
        Ok(files.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::changes::EntryKind;

    #[test]
    fn a_name_of_any_bytes_is_kept() {
        let stamp = FileStamp {
            kind: EntryKind::Link,
            size: 3,
            mode: 0o777,
            modified: (1, 2),
            changed: (3, 4),
            inode: 5,
        };
        let path = RawPath::from(PathBuf::from(OsString::from_vec(b"w\xff\n".to_vec())));
        let content = KeptContent::Link(path.clone());
        let files = [(path, KeptFile { stamp, content })].into();
        let manifest = Manifest { files, ..Manifest::default() };
        let json = serde_json::to_vec(&manifest).unwrap();
        assert_eq!(serde_json::from_slice::<Manifest>(&json).unwrap(), manifest);
    }
}
