//! Finds the project folder that a command is to use.

use std::path::{Path, PathBuf};

use thiserror::Error;

/// The file by which a project folder is recognised.
pub const WSGI: &str = "_wsgi.py";
/// The name of a project folder whose user gives none.
pub const DEFAULT_NAME: &str = "my_ml_backend";

#[derive(Debug, Error, PartialEq, Eq)]
pub enum FindError {
    #[error("there is no folder {}", .0.display())]
    NoFolder(PathBuf),
    #[error("{} is not a project: it contains no {WSGI}", .0.display())]
    NoProject(PathBuf),
    #[error(
        "no project was named, and {} contains none; make one with \
         `label-studio-ml init {DEFAULT_NAME} --script my_model.py`", .0.display()
    )]
    None(PathBuf),
    #[error(
        "no project was named, and {} contains several: {}; name one",
        .root.display(), .names.join(", ")
    )]
    Several { root: PathBuf, names: Vec<String> },
}

/// The path of `name` below `root`; without `./`, which would clutter messages.
pub fn below(root: &Path, name: &str) -> PathBuf {
    if root == Path::new(".") { name.into() } else { root.join(name) }
}

/// The project folder `name` below `root`. Without a name it is `root` itself if that is a project,
/// else `my_ml_backend` in it, else the only project in it.
pub fn project(root: &Path, name: Option<&str>) -> Result<PathBuf, FindError> {
    let is_project = |dir: &Path| dir.join(WSGI).is_file();
    if let Some(name) = name {
        let dir = below(root, name);
        return match (dir.is_dir(), is_project(&dir)) {
            (_, true) => Ok(dir),
            (true, false) => Err(FindError::NoProject(dir)),
            (false, false) => Err(FindError::NoFolder(dir)),
        };
    }
    for dir in [root.to_owned(), below(root, DEFAULT_NAME)] {
        if is_project(&dir) {
            return Ok(dir);
        }
    }
    // A folder that cannot be read counts as empty: its projects could not be started.
    let entries = root.read_dir().into_iter().flatten().flatten();
    let mut projects: Vec<PathBuf> =
        entries.map(|entry| entry.path()).filter(|dir| is_project(dir)).collect();
    projects.sort();
    match projects.len() {
        0 => Err(FindError::None(root.to_owned())),
        1 => Ok(projects.remove(0)),
        _ => {
            let name = |dir: &PathBuf| dir.file_name().map(|n| n.to_string_lossy().into_owned());
            let names = projects.iter().filter_map(name).collect();
            Err(FindError::Several { root: root.to_owned(), names })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn with_projects(names: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("other")).unwrap();
        for name in names {
            fs::create_dir_all(root.path().join(name)).unwrap();
            fs::write(root.path().join(name).join(WSGI), "").unwrap();
        }
        root
    }

    #[test]
    fn a_named_project_must_be_one() {
        let root = with_projects(&["a"]);
        let dir = root.path();
        assert_eq!(project(dir, Some("a")), Ok(dir.join("a")));
        assert_eq!(project(dir, Some("b")), Err(FindError::NoFolder(dir.join("b"))));
        assert_eq!(project(dir, Some("other")), Err(FindError::NoProject(dir.join("other"))));
    }

    #[test]
    fn without_a_name_it_takes_the_obvious_project() {
        let root = with_projects(&["a"]);
        assert_eq!(project(root.path(), None), Ok(root.path().join("a")));
        let root = with_projects(&["a", DEFAULT_NAME]);
        assert_eq!(project(root.path(), None), Ok(root.path().join(DEFAULT_NAME)));
        let root = with_projects(&["a", "."]);
        assert_eq!(project(root.path(), None), Ok(root.path().to_owned()));
    }

    #[test]
    fn without_an_obvious_project_the_error_lists_what_it_found() {
        let root = with_projects(&[]);
        assert_eq!(project(root.path(), None), Err(FindError::None(root.path().to_owned())));
        let root = with_projects(&["b", "a"]);
        let error = project(root.path(), None).unwrap_err();
        assert!(error.to_string().ends_with("contains several: a, b; name one"), "{error}");
    }
}
