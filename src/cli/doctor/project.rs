//! The project folder: does its script load, and can its models be kept?

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tokio::time::timeout;

use super::report::Group;
use crate::cli::inspect::inspect;
use crate::cli::kwargs;
use crate::cli::project_args::expand_user;
use crate::project::find::WSGI;
use crate::store::lock;
use crate::store::versions::lock_file;
use crate::wire::protocol::{ClassInfo, ClassSource};
use crate::workers::process::Launch;

/// Scripts import whole frameworks.
const IMPORT: Duration = Duration::from_secs(120);
/// With less room than this a training may fail.
const LITTLE: u64 = 1 << 30;
/// With less room than this nothing can be kept.
const NOTHING: u64 = 64 << 20;

/// Imports the project's script; returns what it found.
pub(super) async fn check_script(
    group: &mut Group,
    project: &Path,
    model_dir: Option<&Path>,
    launch: &Launch,
) -> Option<ClassInfo> {
    match import(project, model_dir, launch).await {
        Ok(class) => {
            let learns = if class.train_events.is_empty() && !class.wants_every_event {
                ", which has no fit and learns nothing"
            } else {
                ""
            };
            group.ok(format!("the script loads: {} ({}){learns}", class.class, class.api));
            Some(class)
        }
        Err(error) => {
            let mut lines = format!("{error:#}").trim_end().to_owned();
            // The place in the user's own code is what helps.
            if let Some(place) = lines.lines().rev().find(|line| line.trim().starts_with("File ")) {
                lines = format!("{} ({})", first_line(&lines), place.trim());
            }
            group.problem(
                format!("the script does not load: {lines}"),
                format!(
                    "mend it; `label-studio-ml start {} --check` shows the whole traceback",
                    project.display()
                ),
            );
            None
        }
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

async fn import(project: &Path, model_dir: Option<&Path>, launch: &Launch) -> Result<ClassInfo> {
    let project = std::path::absolute(project).context("the path of the project")?;
    let source = ClassSource::Wsgi { path: project.join(WSGI) };
    let init_kwargs = kwargs::gather(&project, &[])?;
    let model_dir = model_dir
        .map(|dir| std::path::absolute(expand_user(dir)))
        .transpose()
        .context("--model-dir")?;
    timeout(IMPORT, inspect(source, init_kwargs, model_dir, "doctor", launch))
        .await
        .map_err(|_| anyhow!("it takes longer than {} s", IMPORT.as_secs()))?
}

/// Looks at MODEL_DIR. `serving`: a server with this MODEL_DIR answers at the port that was asked for.
pub(super) fn check_model_dir(group: &mut Group, model_dir: &Path, serving: bool) {
    let shown = model_dir.display();
    let there = existing(model_dir);
    match tempfile::tempfile_in(&there) {
        Ok(_) => group.ok(format!("MODEL_DIR is {shown}, and can be written")),
        Err(error) => group.problem(
            format!("MODEL_DIR {shown} cannot be written: {error}"),
            "give this user the right to write there, or choose another folder with --model-dir or MODEL_DIR",
        ),
    }
    if let Ok(room) = free(&there) {
        let in_words = format!("{:.1} GiB are free for MODEL_DIR", in_gib(room));
        match room {
            ..NOTHING => group.problem(in_words, "make room: nothing that is learnt can be kept"),
            NOTHING..LITTLE => group.warning(in_words, "make room before the next training"),
            _ => group.ok(in_words),
        }
    }
    match lock::holder(&lock_file(model_dir)) {
        Ok(Some(_)) if serving => {}
        Ok(Some(holder)) => {
            let pid = holder.map(|pid| format!(" (pid {pid})")).unwrap_or_default();
            group.warning(
                format!("another server{pid} owns MODEL_DIR {shown}"),
                "a second server on it predicts only, and ends after --lock-wait: stop the other one, give one \
                 of them another --model-dir, or ask with its --port",
            );
        }
        Ok(None) => {}
        Err(error) => group.warning(
            format!("who owns MODEL_DIR cannot be told: {error}"),
            "run this command as the user who runs the server",
        ),
    }
}

/// The folder itself, or the nearest one above it that is there.
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
    use super::super::report::Level;
    use super::*;

    #[test]
    fn a_folder_that_is_still_to_be_made_is_judged_by_the_one_above() {
        let dir = tempfile::tempdir().unwrap();
        let model_dir = dir.path().join("a/b");
        let mut group = Group::new("");
        check_model_dir(&mut group, &model_dir, false);
        assert!(group.checks.iter().all(|check| check.level != Level::Problem), "{group:?}");
        assert!(!dir.path().join("a").exists());
    }

    #[test]
    fn an_owner_is_told_unless_it_is_the_server_itself() {
        let dir = tempfile::tempdir().unwrap();
        let path = lock_file(dir.path());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let taken = lock::take(&path).unwrap();
        for (serving, warned) in [(false, true), (true, false)] {
            let mut group = Group::new("");
            check_model_dir(&mut group, dir.path(), serving);
            let told = format!("another server (pid {}) owns", std::process::id());
            assert_eq!(group.checks.iter().any(|check| check.text.starts_with(&told)), warned);
        }
        drop(taken);
    }
}
