//! `label-studio-ml install`: installs what a project requires into the environment that runs the model.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;

use super::say;
use crate::project::find;
use crate::workers::process::Launch;

/// The file that names what a project requires.
const REQUIREMENTS: &str = "requirements.txt";

#[derive(Debug, Args)]
pub(super) struct InstallArgs {
    /// Project folder, or a model script, beside which a requirements.txt lies [default: this folder,
    /// `my_ml_backend`, or the only project in this folder]
    name: Option<String>,
    /// Folder in which the project folder is looked for
    #[arg(long, value_name = "DIR", default_value = ".")]
    root_dir: PathBuf,
}

pub(super) fn run(args: &InstallArgs, launch: &Launch) -> Result<i32> {
    let (folder, shown) = folder(&args.root_dir, args.name.as_deref())?;
    let file = std::path::absolute(folder.join(REQUIREMENTS)).context("the path of the project")?;
    if !file.is_file() {
        bail!("{} has no {REQUIREMENTS}, so there is nothing to install", folder.display());
    }
    let status = Command::new(&launch.python)
        .args(["-m", "label_studio_ml._inspect.install"])
        .arg(&file)
        .current_dir(&launch.package_root)
        .status()
        .with_context(|| launch.python.display().to_string())?;
    // It was ended by a signal: the user interrupted it.
    let Some(code) = status.code() else { return Ok(1) };
    if code == 0 {
        say(&format!("Next: label-studio-ml start {shown}"));
    }
    Ok(code)
}

/// The folder of a project, and how the user names the project. A folder with requirements counts, whatever
/// else it holds: its script may be the one that cannot be imported.
fn folder(root: &Path, name: Option<&str>) -> Result<(PathBuf, String)> {
    if let Some(name) = name {
        let path = find::below(root, name);
        if path.join(REQUIREMENTS).is_file() {
            return Ok((path.clone(), path.display().to_string()));
        }
    }
    let found = find::project(root, name)?;
    let shown = found.to_string();
    Ok((found.folder, shown))
}
