//! The folder `models` of a project that `init` made, where such a project keeps its models wherever its
//! server is started from. What marks it is a `.gitignore` that keeps everything but itself out of git: a
//! project of the original has none, and keeps the original's rules.

use std::fs;
use std::path::{Path, PathBuf};

const NAME: &str = "models";
const MARKER: &str = ".gitignore";
/// Maximum length of a marker in bytes: two patterns, and what is said about them.
const MAX_BYTES: u64 = 4096;

/// The folder `models` of the project in `folder`, if it has one.
pub fn of_project(folder: &Path) -> Option<PathBuf> {
    let models = folder.join(NAME);
    is_marked(&models).then_some(models)
}

fn is_marked(models: &Path) -> bool {
    let marker = models.join(MARKER);
    let is_short = fs::metadata(&marker).is_ok_and(|about| about.len() <= MAX_BYTES);
    let Some(text) = is_short.then(|| fs::read_to_string(&marker).ok()).flatten() else {
        return false;
    };
    let lines = text.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).eq(["*", "!.gitignore"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_marker_makes_a_folder_that_of_the_project() {
        let dir = tempfile::tempdir().unwrap();
        let models = dir.path().join("models");
        assert_eq!(of_project(dir.path()), None);
        fs::create_dir(&models).unwrap();
        assert_eq!(of_project(dir.path()), None);
        for other in ["", "*\n", "*.bin\n!.gitignore\n", "!.gitignore\n*\n", "*\n!.gitignore\n!a\n"]
        {
            fs::write(models.join(MARKER), other).unwrap();
            assert_eq!(of_project(dir.path()), None, "{other:?}");
        }
        for marker in ["*\n!.gitignore\n", "# Trained models.\n\n*\r\n!.gitignore"] {
            fs::write(models.join(MARKER), marker).unwrap();
            assert_eq!(of_project(dir.path()), Some(models.clone()), "{marker:?}");
        }
        fs::write(models.join(MARKER), format!("# {}\n*\n!.gitignore\n", "x".repeat(5000)))
            .unwrap();
        assert_eq!(of_project(dir.path()), None);
        fs::remove_file(models.join(MARKER)).unwrap();
        fs::create_dir(models.join(MARKER)).unwrap();
        assert_eq!(of_project(dir.path()), None);
    }
}
