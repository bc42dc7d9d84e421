//! Checks this package, its interpreter, and whether the project's requirements are installed.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::process::Command;
use tokio::time::timeout;

use super::report::CheckGroup;
use crate::workers::process::Launch;

/// An interpreter on a slow disk starts slowly.
const TIMEOUT: Duration = Duration::from_secs(20);

#[derive(Deserialize)]
struct Packages {
    python: String,
    package: Option<String>,
    requirements: Vec<Requirement>,
}

#[derive(Deserialize)]
struct Requirement {
    line: String,
    name: String,
    installed: Option<String>,
    satisfied: bool,
}

/// `requirements`: the requirements file of the project, if there is one.
pub(super) async fn check(launch: &Launch, requirements: Option<&Path>) -> CheckGroup {
    let mut group = CheckGroup::new("Installation");
    let version = env!("CARGO_PKG_VERSION");
    let packages = match ask(launch, requirements).await {
        Ok(packages) => packages,
        Err(reason) => {
            group.problem(
                format!("label-studio-ml {version}, but its Python does not run: {reason}"),
                format!("install label-studio-ml again for {}", launch.python.display()),
            );
            return group;
        }
    };
    let python = format!("Python {} ({})", packages.python, launch.python.display());
    match packages.package {
        Some(other) if other != version => group.problem(
            format!("label-studio-ml {version} runs, but {python} has {other} installed"),
            "install label-studio-ml again: another package of this name was installed over it",
        ),
        _ => group.ok(format!("label-studio-ml {version}, {python}")),
    }
    if let Some(file) = requirements {
        list(&mut group, &packages.requirements, launch, file);
    }
    group
}

fn list(group: &mut CheckGroup, requirements: &[Requirement], launch: &Launch, file: &Path) {
    let lacking: Vec<&Requirement> = requirements.iter().filter(|r| !r.satisfied).collect();
    if lacking.is_empty() {
        group.ok(format!("all packages of {} are installed", file.display()));
        return;
    }
    let install = format!("{} -m pip install -r {}", launch.python.display(), file.display());
    for requirement in lacking {
        let seen = match &requirement.installed {
            None => format!("the package {} is not installed", requirement.name),
            Some(version) => format!("{} {version} is installed", requirement.name),
        };
        let wanted = format!("{seen}, but {} requires {}", file.display(), requirement.line);
        group.problem(wanted, install.clone());
    }
}

async fn ask(launch: &Launch, requirements: Option<&Path>) -> Result<Packages, String> {
    let mut command = Command::new(&launch.python);
    command
        .args(["-m", "label_studio_ml._inspect.requirements"])
        .args(requirements.and_then(|file| std::path::absolute(file).ok()))
        // As for workers: a folder `label_studio_ml` in the user's folder must not be imported instead.
        .current_dir(&launch.package_root)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = timeout(TIMEOUT, command.output())
        .await
        .map_err(|_| format!("no answer within {} s", TIMEOUT.as_secs()))?
        .map_err(|error| error.to_string())?;
    serde_json::from_slice(&output.stdout).map_err(|_| {
        let error = String::from_utf8_lossy(&output.stderr);
        error.lines().last().unwrap_or("it printed nothing").to_owned()
    })
}
