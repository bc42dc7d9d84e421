//! Writes a project folder.
//!
//! In: a script and what its inspection found. Out: the complete folder or none, since it is made under
//! another name and then renamed. With `force` an existing folder gets the new files; other files in it,
//! trained models above all, stay.

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
const README: &str = include_str!("templates/README.md");
const WSGI_V1: &str = include_str!("templates/wsgi_v1.py");
const WSGI_V2: &str = include_str!("templates/wsgi_v2.py");

/// Files beside the script that are copied too.
const COMPANIONS: [&str; 4] = ["README.md", "conftest.py", "test_api.py", "start.sh"];

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
    /// Modules and packages beside the script that it imports; paths relative to the script's folder.
    pub siblings: Vec<PathBuf>,
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
    copy(&plan.script, &into.join(name))?;
    for sibling in &plan.siblings {
        copy(&from.join(sibling), &into.join(sibling))?;
    }
    for companion in COMPANIONS {
        let path = from.join(companion);
        if path.is_file() {
            copy(&path, &into.join(companion))?;
        }
    }
    copy_requirements(from, into, &mut report)?;
    write(&into.join(WSGI), &wsgi(plan))?;
    write(&into.join("Dockerfile"), DOCKERFILE)?;
    write(&into.join("docker-compose.yml"), COMPOSE)?;
    write(&into.join(".dockerignore"), DOCKERIGNORE)?;
    let readme = into.join("README.md");
    if !readme.exists() {
        let shown = plan.folder.file_name().unwrap_or_default().to_string_lossy();
        write(&readme, &README.replace("{class}", &plan.class).replace("{folder}", &shown))?;
    }
    Ok(report)
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

/// Copies a file or a folder; does nothing if both paths are the same.
fn copy(from: &Path, to: &Path) -> Result<(), ScaffoldError> {
    let same =
        fs::canonicalize(from).ok().zip(fs::canonicalize(to).ok()).is_some_and(|(a, b)| a == b);
    if same {
        return Ok(());
    }
    if from.is_dir() {
        fs::create_dir_all(to).map_err(at(to))?;
        for entry in fs::read_dir(from).map_err(at(from))? {
            let entry = entry.map_err(at(from))?;
            let (path, name) = (entry.path(), entry.file_name());
            // The project may lie inside the package that is copied.
            if name == "__pycache__" || to.starts_with(&path) {
                continue;
            }
            if path.is_symlink() {
                let target = fs::read_link(&path).map_err(at(&path))?;
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
