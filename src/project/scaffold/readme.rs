//! The README of a project folder. Every command in it works in that folder.

use std::fmt::Write;

use super::ScaffoldPlan;

/// The files that the README may tell of, with what each is for.
const FILES: [(&str, &str); 7] = [
    (
        "requirements.txt",
        "the packages that the model needs; `label-studio-ml install` installs them",
    ),
    ("label_config.xml", "the labelling config: paste it into your project in Label Studio"),
    ("tasks.json", "tasks to import into the project, and to predict for"),
    ("annotations.json", "annotated tasks to learn from"),
    ("test_backend.py", "tests of health, setup and one prediction; they need the package pytest"),
    ("test_api.py", "tests of the model over HTTP; they need the package pytest"),
    ("models", "where trained models are kept; git and docker leave them out"),
];

/// What a project folder contains.
#[derive(Debug)]
pub(super) struct Content<'a> {
    /// The name of the folder.
    pub(super) folder: &'a str,
    /// Names of the files and folders in it.
    pub(super) names: &'a [String],
    /// The tasks name files below Label Studio's root for local files.
    pub(super) has_local_files: bool,
}

impl Content<'_> {
    fn has(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }
}

pub(super) fn text(plan: &ScaffoldPlan, content: &Content<'_>) -> String {
    let script = plan.script.file_name().unwrap_or_default().to_string_lossy();
    let (folder, class) = (content.folder, &plan.class);
    let about = if content.has(super::ABOUT) {
        format!(" [{0}]({0}) is the README that lay beside the script.", super::ABOUT)
    } else {
        String::new()
    };
    let mut text = format!(
        "# {folder}\n\nA Label Studio ML backend around the model `{class}` in `{script}`.{about} All commands are for \
         this folder.\n\n## Run\n\n```bash\nlabel-studio-ml install\nlabel-studio-ml start\n```\n\n"
    );
    text.push_str("Make a project in Label Studio");
    if content.has("label_config.xml") {
        text.push_str(" with the labelling config in `label_config.xml`");
    }
    if content.has("tasks.json") {
        text.push_str(", import `tasks.json`");
    }
    text.push_str(
        ", and open **Settings → Model → Connect model**. `start` prints the address to paste there. If something does \
         not work, run `label-studio-ml doctor` in another terminal.\n\n",
    );
    text.push_str(&check(content));
    text.push_str(&files(content));
    text.push_str(
        "## Container\n\nPut the `label_studio_ml` wheel into this folder (`scripts/quickstart` in a clone of \
         label-studio-ml leaves it in `.cache/wheel`), or set the build argument `WHEEL` to its address. \
         `docker compose up --build` then starts the server. A Label Studio in another container reaches it at \
         `http://host.docker.internal:9090`. There, models are kept in `data/models`.\n",
    );
    text
}

fn check(content: &Content<'_>) -> String {
    let mut commands = String::new();
    let mut missing = Vec::new();
    for (name, what) in [("label_config.xml", "labelling config"), ("tasks.json", "tasks")] {
        if !content.has(name) {
            missing.push(format!("the {what} of your project into `{name}`"));
        }
    }
    if missing.is_empty() {
        if content.has_local_files {
            commands.push_str("export LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT=\"$PWD\"\n");
        }
        commands.push_str("label-studio-ml validate --task tasks.json\n");
    }
    commands.push_str("python -m pytest\n");
    let put = if missing.is_empty() {
        String::new()
    } else {
        format!(
            "Put {}. Then `label-studio-ml validate --task tasks.json` shows whether Label Studio can show what the \
             model predicts; without it, some tests are skipped.\n\n",
            missing.join(" and ")
        )
    };
    format!("## Check\n\n{put}```bash\n{commands}```\n\n")
}

fn files(content: &Content<'_>) -> String {
    let mut text = "## Files\n\n| File | |\n|---|---|\n".to_owned();
    for (name, what) in FILES.iter().filter(|(name, _)| content.has(name)) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| `{name}` | {what} |");
    }
    text + "\n"
}
