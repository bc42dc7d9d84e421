//! What a server found out by importing its program, in `MODEL_DIR/.label-studio-ml/ready.json`: with it the
//! next one knows which version it is going to serve while it still imports.
//!
//! The note only saves a wait: if it cannot be read or written, there is none.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{durable_fs, own_folder};
use crate::ids::ProjectKey;

const FILE: &str = "ready.json";
/// Maximum length of the file in bytes.
const MAX_BYTES: u64 = 4 << 20;
/// Maximum number of projects in it.
pub const MAX_PROJECTS: usize = 10_000;

/// The note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadyNote {
    /// Digest of the program and of the options that it was started with.
    pub program: String,
    pub class: String,
    /// API of the class, 1 or 2.
    pub api: u8,
    /// The program checks requests itself, so nobody can be told anything before it is imported.
    pub has_gate: bool,
    /// Projects of API v2 whose model was loaded and did not name its version.
    pub unnamed: BTreeSet<ProjectKey>,
}

/// The note of a model folder, if it is about `program`.
pub fn read(model_dir: &Path, program: &str) -> Option<ReadyNote> {
    let path = own_folder::path(model_dir).join(FILE);
    let mut text = Vec::new();
    File::open(path).ok()?.take(MAX_BYTES).read_to_end(&mut text).ok()?;
    let note: ReadyNote = serde_json::from_slice(&text).ok()?;
    (note.program == program).then_some(note)
}

/// Replaces the note of a model folder.
pub fn write(model_dir: &Path, note: &ReadyNote) -> io::Result<()> {
    let path = own_folder::path(model_dir).join(FILE);
    let own = path.parent().unwrap_or(&path);
    durable_fs::create_dirs(own)?;
    durable_fs::write_note(own, &path, &serde_json::to_vec(note)?)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn note(program: &str) -> ReadyNote {
        ReadyNote {
            program: program.into(),
            class: "Cats".into(),
            api: 2,
            has_gate: false,
            unnamed: [ProjectKey::from("2.17")].into(),
        }
    }

    #[test]
    fn a_note_counts_for_the_program_that_it_is_about() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path(), "a"), None);
        write(dir.path(), &note("a")).unwrap();
        assert_eq!(read(dir.path(), "a"), Some(note("a")));
        assert_eq!(read(dir.path(), "b"), None);
        write(dir.path(), &note("b")).unwrap();
        assert_eq!(read(dir.path(), "a"), None);
    }

    #[test]
    fn a_damaged_note_is_none() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &note("a")).unwrap();
        let path = dir.path().join(".label-studio-ml").join(FILE);
        for damaged in [&b""[..], b"{", b"[]", b"{\"program\": \"a\"}", b"\xff"] {
            fs::write(&path, damaged).unwrap();
            assert_eq!(read(dir.path(), "a"), None);
        }
    }
}
