//! Notes which class last used a model folder, in `MODEL_DIR/.label-studio-ml/class`.
//!
//! Two projects that share a folder serve each other's versions and stored keys, mostly because both were
//! started in the same place. The note is only for a warning: if it cannot be read or written, there is none.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::{durable_fs, own_folder};

/// Maximum length of a name that is kept, in characters.
const MAX_NAME: usize = 200;
/// Maximum number of bytes that are read: a name of that length and a line end.
const MAX_BYTES: u64 = 4 * MAX_NAME as u64 + 1;

/// Notes that `class` uses a model folder. Returns the class that used it before, if that was another one.
pub fn replace(model_dir: &Path, class: &str) -> Option<String> {
    let path = own_folder::path(model_dir).join("class");
    let class: String = class.chars().take(MAX_NAME).collect();
    let before = read(&path);
    if before.as_ref() == Some(&class) {
        return None;
    }
    if model_dir.is_dir() {
        // A folder that is read-only keeps no note.
        let _ = write(&path, &class);
    }
    before
}

fn read(path: &Path) -> Option<String> {
    let mut text = String::new();
    File::open(path).ok()?.take(MAX_BYTES).read_to_string(&mut text).ok()?;
    let name = text.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

fn write(path: &Path, class: &str) -> io::Result<()> {
    let own = path.parent().unwrap_or(path);
    durable_fs::create_dirs(own)?;
    durable_fs::write_note(own, path, format!("{class}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_class_before_is_told_once() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(replace(dir.path(), "Cats"), None, "no class used it before");
        assert_eq!(replace(dir.path(), "Cats"), None);
        assert_eq!(replace(dir.path(), "Dogs").as_deref(), Some("Cats"));
        assert_eq!(replace(dir.path(), "Dogs"), None);
        assert_eq!(replace(dir.path(), "Cats").as_deref(), Some("Dogs"));
    }

    #[test]
    fn names_of_any_length_and_alphabet_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let long = "Ж".repeat(10 * MAX_NAME);
        assert_eq!(replace(dir.path(), &long), None);
        assert_eq!(replace(dir.path(), &long), None);
        assert_eq!(replace(dir.path(), "Cats"), Some("Ж".repeat(MAX_NAME)));
    }

    #[test]
    fn a_note_that_cannot_be_used_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("missing");
        assert_eq!(replace(&missing, "Cats"), None);
        assert!(!missing.exists(), "the folder is not made for the note");
        let own = dir.path().join(".label-studio-ml");
        fs::create_dir(&own).unwrap();
        for damaged in [&b"\xff\xfe"[..], b"", b"\n\n"] {
            fs::write(own.join("class"), damaged).unwrap();
            assert_eq!(replace(dir.path(), "Cats"), None);
            assert_eq!(fs::read_to_string(own.join("class")).unwrap(), "Cats\n");
        }
        fs::remove_file(own.join("class")).unwrap();
        fs::create_dir(own.join("class")).unwrap();
        assert_eq!(replace(dir.path(), "Cats"), None);
        assert!(fs::read_dir(&own).unwrap().count() == 1, "nothing half-written is left");
    }
}
