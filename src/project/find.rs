//! Finds the project that a command is to use: a folder with a `_wsgi.py`, or a script with a model class.

use std::path::{Path, PathBuf};

use thiserror::Error;

use super::model_script::{FIRST_CHOICE, model_scripts};
use crate::wire::protocol::ClassSource;

/// The file by which a project folder is recognised.
pub const WSGI: &str = "_wsgi.py";
/// The name of a project folder whose user gives none.
pub const DEFAULT_NAME: &str = "my_ml_backend";

/// What a command works with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundProject {
    /// The folder in which config.json and `label_config.xml` are looked for.
    pub folder: PathBuf,
    pub source: ClassSource,
}

impl FoundProject {
    fn of_folder(folder: &Path) -> Self {
        Self { source: ClassSource::Wsgi { path: folder.join(WSGI) }, folder: folder.to_owned() }
    }

    fn of_script(path: PathBuf, class: Option<String>) -> Self {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        Self {
            folder: folder.unwrap_or(Path::new(".")).to_owned(),
            source: ClassSource::Script { path, class },
        }
    }

    /// The file that is imported first.
    pub fn file(&self) -> &Path {
        match &self.source {
            ClassSource::Script { path, .. } | ClassSource::Wsgi { path } => path,
        }
    }

    /// The same project with absolute paths.
    pub fn absolute(&self) -> std::io::Result<Self> {
        let path = std::path::absolute(self.file())?;
        Ok(Self {
            folder: std::path::absolute(&self.folder)?,
            source: match &self.source {
                ClassSource::Script { class, .. } => {
                    ClassSource::Script { path, class: class.clone() }
                }
                ClassSource::Wsgi { .. } => ClassSource::Wsgi { path },
            },
        })
    }
}

/// As a command line names it.
impl std::fmt::Display for FoundProject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.source {
            ClassSource::Script { path, class: Some(class) } => {
                write!(f, "{}:{class}", path.display())
            }
            ClassSource::Script { path, class: None } => path.display().fmt(f),
            ClassSource::Wsgi { .. } => self.folder.display().fmt(f),
        }
    }
}

#[derive(Debug, Error, PartialEq, Eq)]
pub enum FindError {
    #[error("there is no folder {}", .0.display())]
    NoFolder(PathBuf),
    #[error("there is no script {}", .0.display())]
    NoScript(PathBuf),
    #[error("{} is neither a project folder nor a Python script", .0.display())]
    NotPython(PathBuf),
    #[error("{} names its class itself: leave out :{class}", path.display())]
    ClassOfWsgi { path: PathBuf, class: String },
    #[error("{} is not a project: it contains no {WSGI}, and no script with a model class", .0.display())]
    NoProject(PathBuf),
    #[error(
        "{} contains no {WSGI}, and several scripts with a model class: {}; name one, as in {}",
        folder.display(), names.join(", "), first.display()
    )]
    SeveralScripts { folder: PathBuf, names: Vec<String>, first: PathBuf },
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

/// Splits `path:Class` below `root`; a colon inside the path stays there.
pub fn split_class(root: &Path, argument: &str) -> (PathBuf, Option<String>) {
    let whole = below(root, argument);
    if !whole.exists()
        && let Some((path, class)) = argument.rsplit_once(':')
        && !class.is_empty()
        && !class.contains(['/', '\\', '.'])
    {
        return (below(root, path), Some(class.to_owned()));
    }
    (whole, None)
}

/// The project `name` below `root`: a folder, or a script and perhaps a class in it. Without a name it is
/// `root` itself if that is a project folder, else `my_ml_backend` in it, else the only one in it.
pub fn project(root: &Path, name: Option<&str>) -> Result<FoundProject, FindError> {
    match name {
        Some(name) => named(root, name),
        None => obvious(root).map(|folder| FoundProject::of_folder(&folder)),
    }
}

fn is_project(dir: &Path) -> bool {
    dir.join(WSGI).is_file()
}

fn named(root: &Path, name: &str) -> Result<FoundProject, FindError> {
    let (path, class) = split_class(root, name);
    if path.is_dir() && class.is_none() {
        if is_project(&path) {
            return Ok(FoundProject::of_folder(&path));
        }
        return only_script(&path).map(|script| FoundProject::of_script(script, None));
    }
    let is_python = path.extension().is_some_and(|extension| extension == "py");
    match (path.is_file(), is_python) {
        (true, true) if path.file_name().is_some_and(|name| name == WSGI) => match class {
            Some(class) => Err(FindError::ClassOfWsgi { path, class }),
            None => Ok(FoundProject {
                folder: FoundProject::of_script(path.clone(), None).folder,
                source: ClassSource::Wsgi { path },
            }),
        },
        (true, true) => Ok(FoundProject::of_script(path, class)),
        (true, false) => Err(FindError::NotPython(path)),
        (false, true) => Err(FindError::NoScript(path)),
        (false, false) => Err(FindError::NoFolder(below(root, name))),
    }
}

/// The script with a model class in a folder without `_wsgi.py`: the only one, or model.py.
fn only_script(folder: &Path) -> Result<PathBuf, FindError> {
    let mut scripts = model_scripts(folder);
    let name = |path: &PathBuf| path.file_name().map(|n| n.to_string_lossy().into_owned());
    let is_first_choice = |path: &PathBuf| name(path).is_some_and(|name| name == FIRST_CHOICE);
    match scripts.iter().position(is_first_choice) {
        Some(place) => Ok(scripts.swap_remove(place)),
        None if scripts.len() > 1 => Err(FindError::SeveralScripts {
            folder: folder.to_owned(),
            names: scripts.iter().filter_map(name).collect(),
            first: scripts.swap_remove(0),
        }),
        None => scripts.pop().ok_or_else(|| FindError::NoProject(folder.to_owned())),
    }
}

fn obvious(root: &Path) -> Result<PathBuf, FindError> {
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
        assert_eq!(project(dir, Some("a")), Ok(FoundProject::of_folder(&dir.join("a"))));
        assert_eq!(project(dir, Some("b")), Err(FindError::NoFolder(dir.join("b"))));
        assert_eq!(project(dir, Some("other")), Err(FindError::NoProject(dir.join("other"))));
    }

    #[test]
    fn a_script_is_a_project_too() {
        let root = with_projects(&["a", "a:b"]);
        let dir = root.path();
        for script in ["m.py", "a/m.py", "a:b/m.py"] {
            fs::write(dir.join(script), "").unwrap();
            for class in [None, Some("My")] {
                let name = class.map_or(script.to_owned(), |class| format!("{script}:{class}"));
                let path = dir.join(script);
                let found = project(dir, Some(&name)).unwrap();
                assert_eq!(found.folder, path.parent().unwrap(), "{name}");
                assert_eq!(found.to_string(), dir.join(&name).display().to_string());
                let class = class.map(str::to_owned);
                assert_eq!(found.source, ClassSource::Script { path, class }, "{name}");
            }
        }
        let wsgi = project(dir, Some("a:b/_wsgi.py")).unwrap();
        assert_eq!(wsgi, FoundProject::of_folder(&dir.join("a:b")));
        fs::write(dir.join("notes.txt"), "").unwrap();
        for (name, error) in [
            ("none.py", FindError::NoScript(dir.join("none.py"))),
            ("none.py:My", FindError::NoScript(dir.join("none.py"))),
            ("a:c/m.py", FindError::NoScript(dir.join("a:c/m.py"))),
            ("notes.txt", FindError::NotPython(dir.join("notes.txt"))),
            ("a:My", FindError::NoFolder(dir.join("a:My"))),
            (
                "a/_wsgi.py:My",
                FindError::ClassOfWsgi { path: dir.join("a/_wsgi.py"), class: "My".into() },
            ),
        ] {
            assert_eq!(project(dir, Some(name)), Err(error), "{name}");
        }
    }

    #[test]
    fn a_folder_without_wsgi_is_a_project_if_one_script_is_the_one() {
        let root = with_projects(&[]);
        let dir = root.path().join("other");
        let write = |name: &str| {
            fs::write(dir.join(name), "class M(LabelStudioMLBase): ...").unwrap();
        };
        let found = || project(root.path(), Some("other")).map(|found| found.file().to_owned());
        write("b.py");
        fs::write(dir.join("helpers.py"), "class Helper: ...").unwrap();
        assert_eq!(found(), Ok(dir.join("b.py")));
        write("a.py");
        let error = found().unwrap_err().to_string();
        let told = "several scripts with a model class: a.py, b.py; name one, as in";
        assert!(error.contains(told) && error.ends_with("other/a.py"), "{error}");
        write("model.py");
        assert_eq!(found(), Ok(dir.join("model.py")));
    }

    #[test]
    fn paths_become_absolute_with_the_project() {
        let script =
            FoundProject::of_script("./m.py".into(), Some("My".into())).absolute().unwrap();
        let here = std::env::current_dir().unwrap();
        assert_eq!(script.folder, here);
        assert_eq!(script.to_string(), format!("{}:My", here.join("m.py").display()));
        assert_eq!(
            FoundProject::of_folder(Path::new("a")).absolute().unwrap().folder,
            here.join("a")
        );
    }

    #[test]
    fn without_a_name_it_takes_the_obvious_project() {
        let found = |root: &Path| project(root, None).map(|found| found.folder);
        let root = with_projects(&["a"]);
        assert_eq!(found(root.path()), Ok(root.path().join("a")));
        let root = with_projects(&["a", DEFAULT_NAME]);
        assert_eq!(found(root.path()), Ok(root.path().join(DEFAULT_NAME)));
        let root = with_projects(&["a", "."]);
        assert_eq!(found(root.path()), Ok(root.path().to_owned()));
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
