//! `label-studio-ml init`: creates a project folder from a model script.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;

use super::inspect::inspect;
use super::say;
use crate::project::find::{DEFAULT_NAME, below, split_class};
use crate::project::scaffold::{self, ScaffoldPlan};
use crate::project::{model_script, template};
use crate::wire::protocol::ClassSource;
use crate::workers::process::Launch;

/// The script that is used if the user names none.
const DEFAULT_SCRIPT: &str = model_script::FIRST_CHOICE;

#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// Folder to create
    #[arg(default_value = DEFAULT_NAME)]
    name: String,
    /// Model script, or script and class: path/to/script.py:ModelClass [default: model.py in this folder, else
    /// a new model to start from]
    #[arg(long, visible_alias = "from", value_name = "PATH[:CLASS]")]
    script: Option<String>,
    /// Folder in which the project folder is created
    #[arg(long, value_name = "DIR", default_value = ".")]
    root_dir: PathBuf,
    /// Write into the folder if it exists; other files in it stay
    #[arg(long)]
    force: bool,
}

pub(super) fn run(args: &InitArgs, launch: &Launch) -> Result<i32> {
    // It is deleted once the project folder is there.
    let new = tempfile::tempdir().context("a folder for the new model")?;
    let (script, class) = match &args.script {
        Some(script) => split_class(Path::new("."), script),
        None if Path::new(DEFAULT_SCRIPT).is_file() => (DEFAULT_SCRIPT.into(), None),
        None => (template::write_into(new.path()).context("the new model")?, None),
    };
    if !script.is_file() {
        bail!("there is no script {}", script.display());
    }
    let is_new = script.starts_with(new.path());
    let script = std::path::absolute(&script).context("the path of the script")?;
    let folder = below(&args.root_dir, &args.name);
    if folder.exists() && !args.force {
        return Err(scaffold::ScaffoldError::Exists(folder).into());
    }
    let found =
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(inspect(
            ClassSource::Script { path: script.clone(), class },
            serde_json::Map::new(),
            None,
            "init",
            launch,
        ))?;
    let report = scaffold::create(&ScaffoldPlan {
        folder: folder.clone(),
        script,
        class: found.class.clone(),
        api: found.api,
        siblings: found.inspection.unwrap_or_default().siblings,
        force: args.force,
    })?;
    for (file, line) in report.commented_out {
        say(&format!(
            "{file}: commented out `{line}`, which would replace the installed label-studio-ml"
        ));
    }
    let shown = folder.display();
    say(&format!(
        "Congratulations! {} ({}) is now an ML backend in {shown}. Start it with:\n\n    label-studio-ml start {shown}\n",
        found.class, found.api
    ));
    if is_new {
        say(&format!(
            "Your model is {shown}/model.py: change it, and test it by running pytest in {shown}."
        ));
    }
    Ok(0)
}
