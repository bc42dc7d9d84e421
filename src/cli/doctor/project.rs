//! Checks the project folder: whether its script loads and its models can be saved.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tokio::time::timeout;

use super::report::CheckGroup;
use crate::cli::inspect::inspect;
use crate::cli::kwargs;
use crate::cli::project_args::expand_user;
use crate::project::find::FoundProject;
use crate::store::lock::{self, with_pid};
use crate::store::own_folder::lock_file;
use crate::wire::protocol::ClassInfo;
use crate::workers::process::Launch;

/// Longest time that an import may take: scripts import whole frameworks.
const IMPORT_TIMEOUT: Duration = Duration::from_secs(120);
/// With less free space than this, in bytes, a training may fail.
const LITTLE: u64 = 1 << 30;
/// With less free space than this, in bytes, nothing can be saved.
const NOTHING: u64 = 64 << 20;

/// Imports the project's script; returns what it found.
pub(super) async fn check_script(
    group: &mut CheckGroup,
    project: &FoundProject,
    model_dir: Option<&Path>,
    launch: &Launch,
) -> Option<ClassInfo> {
    match import(project, model_dir, launch).await {
        Ok(class) => {
            let learns = if class.train_events.is_empty() && !class.wants_every_event {
                ", which has no `fit` and does not learn"
            } else {
                ""
            };
            group.ok(format!("the script loads: {} ({}){learns}", class.class, class.api));
            Some(class)
        }
        Err(error) => {
            let mut lines = format!("{error:#}").trim_end().to_owned();
            // The user needs the place in their own code.
            if let Some(place) = lines.lines().rev().find(|line| line.trim().starts_with("File ")) {
                lines = format!("{} ({})", first_line(&lines), place.trim());
            }
            group.problem(
                format!("the script does not load: {lines}"),
                format!(
                    "correct it; `label-studio-ml start {project} --check` shows the whole traceback"
                ),
            );
            None
        }
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

async fn import(
    project: &FoundProject,
    model_dir: Option<&Path>,
    launch: &Launch,
) -> Result<ClassInfo> {
    let project = project.absolute().context("the path of the project")?;
    let init_kwargs = kwargs::gather(&project.folder, &[])?;
    let model_dir = model_dir
        .map(|dir| std::path::absolute(expand_user(dir)))
        .transpose()
        .context("--model-dir")?;
    timeout(IMPORT_TIMEOUT, inspect(project.source, init_kwargs, model_dir, "doctor", launch))
        .await
        .map_err(|_| anyhow!("importing it takes longer than {} s", IMPORT_TIMEOUT.as_secs()))?
}

/// Checks MODEL_DIR. `serving`: a server with this MODEL_DIR answers at the given port.
pub(super) fn check_model_dir(group: &mut CheckGroup, model_dir: &Path, serving: bool) {
    let shown = model_dir.display();
    let there = existing(model_dir);
    match tempfile::tempfile_in(&there) {
        Ok(_) => group.ok(format!("MODEL_DIR is {shown}, and is writable")),
        Err(error) => group.problem(
            format!("MODEL_DIR {shown} is not writable: {error}"),
            "give this user permission to write there, or choose another folder with --model-dir or MODEL_DIR",
        ),
    }
    if let Ok(room) = free(&there) {
        let in_words = format!("{:.1} GiB are free for MODEL_DIR", in_gib(room));
        match room {
            ..NOTHING => {
                group.problem(in_words, "free some space: nothing that is learned can be saved");
            }
            NOTHING..LITTLE => group.warning(in_words, "free some space before the next training"),
            _ => group.ok(in_words),
        }
    }
    match lock::holder(&lock_file(model_dir)) {
        Ok(Some(_)) if serving => {}
        Ok(Some(holder)) => {
            let port = holder.and_then(|holder| holder.port);
            let port = port.map(|port| format!(", and listens on port {port}")).unwrap_or_default();
            group.warning(
                format!("{} uses MODEL_DIR {shown}{port}", with_pid(holder)),
                "a second server on this folder does not train, and stops after a minute (--lock-wait): stop the \
                 other one, choose another --model-dir, or run doctor with its --port",
            );
        }
        Ok(None) => {}
        Err(error) => group.warning(
            format!("cannot find out which server uses MODEL_DIR: {error}"),
            "run this command as the user that runs the server",
        ),
    }
}

/// The folder itself, or its nearest parent that exists.
fn existing(folder: &Path) -> PathBuf {
    let there = folder.ancestors().find(|folder| folder.is_dir());
    there.unwrap_or(Path::new("/")).to_owned()
}

fn free(folder: &Path) -> std::io::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[expect(clippy::cast_precision_loss, reason = "one digit after the point is shown")]
fn in_gib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 30)
}

#[cfg(test)]
mod tests {
    use super::super::report::CheckLevel;
    use super::*;

    #[test]
    fn a_folder_that_does_not_exist_yet_is_judged_by_its_parent() {
        let dir = tempfile::tempdir().unwrap();
        let model_dir = dir.path().join("a/b");
        let mut group = CheckGroup::new("");
        check_model_dir(&mut group, &model_dir, false);
        assert!(group.checks.iter().all(|check| check.level != CheckLevel::Problem), "{group:?}");
        assert!(!dir.path().join("a").exists());
    }

    #[test]
    fn another_server_is_reported_unless_it_is_the_one_at_the_port() {
        let dir = tempfile::tempdir().unwrap();
        let path = lock_file(dir.path());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let taken = lock::take(&path, Some(9123)).unwrap();
        for (serving, warned) in [(false, true), (true, false)] {
            let mut group = CheckGroup::new("");
            check_model_dir(&mut group, dir.path(), serving);
            let told = format!("another server (pid {}) uses MODEL_DIR", std::process::id());
            assert_eq!(group.checks.iter().any(|check| check.text.starts_with(&told)), warned);
        }
        drop(taken);
    }
}
