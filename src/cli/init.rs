//! `label-studio-ml init`: creates a project folder from a model script.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;

use super::inspect::{NotImported, inspect};
use super::offline::not_imported;
use super::{note, say};
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
    let asked = inspect(
        ClassSource::Script { path: script.clone(), class },
        serde_json::Map::new(),
        None,
        "init",
        launch,
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let found = match runtime.block_on(asked) {
        Ok(found) => found,
        Err(error) => return Err(reason_last(error)),
    };
    let inspection = found.inspection.unwrap_or_default();
    let report = scaffold::create(&ScaffoldPlan {
        folder: folder.clone(),
        script: script.clone(),
        class: found.class.clone(),
        api: found.api,
        companions: inspection.companions,
        requirements: inspection.requirements,
        has_tests: is_new,
        force: args.force,
    })?;
    let made = Made { folder: &folder, script: &script, is_new };
    say(&format!(
        "Congratulations! {} is an ML backend with {} ({}).\n",
        folder.display(),
        found.class,
        found.api
    ));
    for (file, line) in report.commented_out {
        say(&format!(
            "{file}: commented out `{line}`, which would replace the installed label-studio-ml"
        ));
    }
    for name in inspection.left_out {
        say(&format!(
            "{}: not copied, because it is large; copy it if the model needs it",
            name.display()
        ));
    }
    say(&made.next_steps());
    Ok(0)
}

/// Prints the traceback of a failed import, so that the reason is what the user reads last.
fn reason_last(error: anyhow::Error) -> anyhow::Error {
    let Some(NotImported(failure)) = error.downcast_ref() else { return error };
    if let Some(traceback) = &failure.traceback {
        note(traceback);
    }
    not_imported(&failure.message)
}

/// A project folder that was just made.
struct Made<'a> {
    folder: &'a Path,
    script: &'a Path,
    /// The script is the model to start from.
    is_new: bool,
}

impl Made<'_> {
    /// What to change, and then what to run.
    fn next_steps(&self) -> String {
        let folder = self.folder.display();
        let name = self.script.file_name().unwrap_or_default().to_string_lossy();
        let is_there = |name: &str| self.folder.join(name).is_file();
        let model = if self.is_new {
            format!(
                "Your model is {folder}/{name}: change it, and the labelling config in label_config.xml with it."
            )
        } else if is_there("label_config.xml") {
            format!(
                "Your model is {folder}/{name}; README.md there says what else the folder holds."
            )
        } else {
            format!(
                "Your model is {folder}/{name}. Put the labelling config of your project into {folder}/label_config.xml."
            )
        };
        let validate = if is_there("label_config.xml") && is_there("tasks.json") {
            format!("    label-studio-ml validate {folder} --task {folder}/tasks.json\n")
        } else {
            String::new()
        };
        format!(
            "{model}\n\nNext:\n\n    label-studio-ml install {folder}\n{validate}    label-studio-ml start {folder}\n"
        )
    }
}
