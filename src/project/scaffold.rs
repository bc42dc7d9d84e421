//! Writes a project folder.
//!
//! In: a script and what its inspection found. Out: the complete folder or none, since it is made under
//! another name and then renamed. With `force` an existing folder gets the new files; other files in it,
//! trained models above all, stay.

mod readme;

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::find::WSGI;
use super::requirements;
use crate::store::durable_fs;
use crate::wire::api_version::ApiVersion;

const DOCKERFILE: &str = include_str!("templates/Dockerfile");
const COMPOSE: &str = include_str!("templates/docker-compose.yml");
const DOCKERIGNORE: &str = include_str!("templates/dockerignore");
const GITIGNORE: &str = include_str!("templates/gitignore");
const MODELS_GITIGNORE: &str = include_str!("templates/models_gitignore");
const TEST: &str = include_str!("templates/test_backend.py");
const TEST_REQUIREMENTS: &str = include_str!("templates/new/requirements-test.txt");
const WSGI_V1: &str = include_str!("templates/wsgi_v1.py");
const WSGI_V2: &str = include_str!("templates/wsgi_v2.py");

/// The README of the script, whose commands are for another folder.
const ABOUT: &str = "ABOUT.md";
/// The folder in which models are kept: `start` does so because of the `.gitignore` in it.
const MODELS: &str = "models";
/// Maximum size of a file of tasks that is searched for names of local files, in bytes.
const MAX_TASKS: u64 = 16 << 20;

#[derive(Debug, Error)]
pub enum ScaffoldError {
    #[error("{} exists already; use --force to write into it", .0.display())]
    Exists(PathBuf),
    #[error("{} cannot be imported by its name, which contains a dot; rename it", .0.display())]
    Dotted(PathBuf),
    #[error("{}: {reason}", path.display())]
    Io { path: PathBuf, reason: io::Error },
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> ScaffoldError + '_ {
    |reason| ScaffoldError::Io { path: path.to_owned(), reason }
}

/// What to make a project from.
#[derive(Debug)]
pub struct ScaffoldPlan {
    /// The folder to make.
    pub folder: PathBuf,
    pub script: PathBuf,
    pub class: String,
    pub api: ApiVersion,
    /// Files and folders beside the script that are brought; paths relative to the script's folder.
    pub companions: Vec<PathBuf>,
    /// The text of requirements.txt if there is none beside the script.
    pub requirements: String,
    /// The script has tests of health, setup and a prediction already.
    pub has_tests: bool,
    pub force: bool,
}

/// What the user should know about the new project.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ScaffoldReport {
    /// Requirements that were commented out: file and line.
    pub commented_out: Vec<(String, String)>,
}

pub fn create(plan: &ScaffoldPlan) -> Result<ScaffoldReport, ScaffoldError> {
    let folder = &plan.folder;
    if plan.script.file_stem().is_some_and(|stem| stem.to_string_lossy().contains('.')) {
        return Err(ScaffoldError::Dotted(plan.script.clone()));
    }
    if folder.exists() {
        if !plan.force {
            return Err(ScaffoldError::Exists(folder.clone()));
        }
        return fill(plan, folder);
    }
    let parent = match folder.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(at(parent))?;
    let staged = tempfile::Builder::new()
        .prefix(".label-studio-ml-init-")
        .tempdir_in(parent)
        .map_err(at(parent))?;
    let report = fill(plan, staged.path())?;
    make_readable(staged.path()).map_err(at(staged.path()))?;
    let staged = staged.keep();
    fs::rename(&staged, folder).map_err(at(folder))?;
    durable_fs::sync_parent(folder).map_err(at(folder))?;
    Ok(report)
}

/// Gives a temporary folder, which only its owner can read, the usual mode of a folder.
fn make_readable(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755))
}

fn fill(plan: &ScaffoldPlan, into: &Path) -> Result<ScaffoldReport, ScaffoldError> {
    let mut report = ScaffoldReport::default();
    let from = plan.script.parent().unwrap_or(Path::new(""));
    let name = plan.script.file_name().map_or(plan.script.as_path(), Path::new);
    let holds_models = holds_models(into);
    copy(&plan.script, &into.join(name))?;
    for companion in &plan.companions {
        let is_readme = companion == Path::new("README.md") && !is_same(from, into);
        let to = if is_readme { Path::new(ABOUT) } else { companion };
        copy(&from.join(companion), &into.join(to))?;
    }
    copy_requirements(from, into, &mut report)?;
    write(&into.join(WSGI), &wsgi(plan))?;
    write(&into.join("Dockerfile"), DOCKERFILE)?;
    write(&into.join("docker-compose.yml"), COMPOSE)?;
    // A package of this name is the model's own, and models that are there already stay where they are.
    if plan.companions.iter().any(|companion| companion.starts_with(MODELS)) {
        write(&into.join(".dockerignore"), DOCKERIGNORE)?;
    } else {
        write(&into.join(".dockerignore"), &format!("{DOCKERIGNORE}{MODELS}/\n"))?;
        if !holds_models {
            let models = into.join(MODELS);
            fs::create_dir_all(&models).map_err(at(&models))?;
            write_new(&models.join(".gitignore"), MODELS_GITIGNORE)?;
        }
    }
    write_new(&into.join(".gitignore"), GITIGNORE)?;
    write_new(&into.join("requirements.txt"), &plan.requirements)?;
    write_new(&into.join("requirements-test.txt"), TEST_REQUIREMENTS)?;
    if !plan.has_tests {
        write_new(&into.join("test_backend.py"), TEST)?;
    }
    let content = readme::Content {
        folder: &plan.folder.file_name().unwrap_or_default().to_string_lossy(),
        names: &names(into)?,
        has_local_files: names_local_files(&into.join("tasks.json")),
    };
    write_new(&into.join("README.md"), &readme::text(plan, &content))?;
    Ok(report)
}

/// Whether a folder holds what models keep beside their script, as in projects of the original.
fn holds_models(folder: &Path) -> bool {
    let names = names(folder).unwrap_or_default();
    // The folder of a project of Label Studio: `2.1795430965`.
    let is_project =
        |name: &String| name.contains('.') && name.chars().all(|c| c.is_ascii_digit() || c == '.');
    names.iter().any(|name| name == "cache.db" || name == ".label-studio-ml" || is_project(name))
}

/// The names of the files and folders in a folder.
fn names(folder: &Path) -> Result<Vec<String>, ScaffoldError> {
    let entries = fs::read_dir(folder).map_err(at(folder))?.flatten();
    Ok(entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
}

/// Whether tasks name files below Label Studio's root for local files.
fn names_local_files(tasks: &Path) -> bool {
    let is_small = tasks.metadata().is_ok_and(|about| about.len() <= MAX_TASKS);
    is_small && fs::read_to_string(tasks).is_ok_and(|text| text.contains("/data/local-files/"))
}

fn copy_requirements(
    from: &Path,
    into: &Path,
    report: &mut ScaffoldReport,
) -> Result<(), ScaffoldError> {
    let dir = if from.as_os_str().is_empty() { Path::new(".") } else { from };
    for entry in fs::read_dir(dir).map_err(at(dir))? {
        let entry = entry.map_err(at(dir))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let text_file = Path::new(&name).extension().is_some_and(|e| e.eq_ignore_ascii_case("txt"));
        if !(name.starts_with("requirements") && text_file) {
            continue;
        }
        // A file in another encoding is copied as it is.
        let Ok(text) = fs::read_to_string(entry.path()) else {
            copy(&entry.path(), &into.join(&name))?;
            continue;
        };
        let cleaned = requirements::clean(&text);
        write(&into.join(&name), &cleaned.text)?;
        report
            .commented_out
            .extend(cleaned.commented_out.into_iter().map(|line| (name.clone(), line)));
    }
    report.commented_out.sort();
    Ok(())
}

/// The text of the file that `start` imports. It names a script by a string if the name is not a Python
/// identifier.
fn wsgi(plan: &ScaffoldPlan) -> String {
    let module = plan.script.file_stem().unwrap_or_default().to_string_lossy();
    let class = &plan.class;
    let import = if is_identifier(&module) {
        format!("from {module} import {class}")
    } else {
        // A JSON string is a Python string too.
        format!("{class} = __import__({}).{class}", serde_json::Value::from(&*module))
    };
    let template = match plan.api {
        ApiVersion::V1 => WSGI_V1,
        ApiVersion::V2 => WSGI_V2,
    };
    template.replace("__IMPORT__", &import).replace("__CLASS__", class)
}

/// Whether an import statement can name the module.
fn is_identifier(module: &str) -> bool {
    const KEYWORDS: [&str; 35] = [
        "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class",
        "continue", "def", "del", "elif", "else", "except", "finally", "for", "from", "global",
        "if", "import", "in", "is", "lambda", "nonlocal", "not", "or", "pass", "raise", "return",
        "try", "while", "with", "yield",
    ];
    module.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !module.starts_with(|c: char| c.is_ascii_digit())
        && !KEYWORDS.contains(&module)
}

fn write(path: &Path, text: &str) -> Result<(), ScaffoldError> {
    fs::write(path, text).map_err(at(path))
}

/// Writes a file unless there is one, which is the user's.
fn write_new(path: &Path, text: &str) -> Result<(), ScaffoldError> {
    if path.exists() { Ok(()) } else { write(path, text) }
}

fn is_same(one: &Path, other: &Path) -> bool {
    fs::canonicalize(one).ok().zip(fs::canonicalize(other).ok()).is_some_and(|(a, b)| a == b)
}

/// Copies a file or a folder; does nothing if both paths are the same.
/// Hidden files are secrets and settings of tools, such as `.env` and `.git`.
fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

fn copy(from: &Path, to: &Path) -> Result<(), ScaffoldError> {
    if is_same(from, to) {
        return Ok(());
    }
    if from.is_dir() {
        fs::create_dir_all(to).map_err(at(to))?;
        for entry in fs::read_dir(from).map_err(at(from))? {
            let entry = entry.map_err(at(from))?;
            let (path, name) = (entry.path(), entry.file_name());
            // The project may lie inside the package that is copied.
            if name == "__pycache__" || is_hidden(&name) || to.starts_with(&path) {
                continue;
            }
            if path.is_symlink() {
                let target = fs::read_link(&path).map_err(at(&path))?;
                // Elsewhere it would lead to a file of this machine.
                if target.is_absolute() {
                    continue;
                }
                let link = to.join(name);
                if !link.is_symlink() {
                    std::os::unix::fs::symlink(target, &link).map_err(at(&link))?;
                }
                continue;
            }
            copy(&path, &to.join(name))?;
        }
        return Ok(());
    }
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).map_err(at(parent))?;
    }
    fs::copy(from, to).map(|_| ()).map_err(at(from))
}

#[cfg(test)]
mod tests;
