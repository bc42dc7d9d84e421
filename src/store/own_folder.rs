//! The folder in a MODEL_DIR that is the server's own: its queue, its lock and its notes.
//!
//! Only its owner may read it, since the queue in it holds events of Label Studio, with tokens of its
//! projects. `durable_fs::create_dirs` sees to that, whoever makes it first.

use std::path::{Path, PathBuf};

pub const NAME: &str = ".label-studio-ml";

/// The own folder of a model folder.
pub fn path(model_dir: &Path) -> PathBuf {
    model_dir.join(NAME)
}

/// The file that the server locks which owns a model folder.
pub fn lock_file(model_dir: &Path) -> PathBuf {
    path(model_dir).join("lock")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::ids::ProjectKey;
    use crate::store::durable_fs;
    use crate::store::maker::{self, Maker};
    use crate::store::ready_note::{self, ReadyNote};

    #[test]
    fn it_is_private_whoever_makes_it() {
        let by_hand = |dir: &Path| durable_fs::create_dirs(&path(dir).join("versions/7")).unwrap();
        let by_class = |dir: &Path| maker::claim(dir, &Maker::new("Cats", None));
        let by_note = |dir: &Path| {
            let note = ReadyNote {
                program: "a".into(),
                class: "Cats".into(),
                api: 2,
                has_gate: false,
                unnamed: [ProjectKey::from("2.17")].into(),
            };
            ready_note::write(dir, &note).unwrap();
        };
        let makers: [&dyn Fn(&Path); 3] = [&by_hand, &by_class, &by_note];
        for maker in makers {
            let dir = tempfile::tempdir().unwrap();
            maker(dir.path());
            let mode = fs::metadata(path(dir.path())).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700);
        }
    }
}
