//! Where the server of a project is: at the port that the user gives, or that its server wrote beside the
//! project's models.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use reqwest::Url;

use super::ServerArgs;
use crate::cli::listen;
use crate::cli::project_args::expand_user;
use crate::cli::start::DEFAULT_PORT;
use crate::os::listeners;
use crate::project::find::{self, FoundProject};
use crate::store::own_folder::lock_file;
use crate::store::{lock, models_folder};

/// Where a server is asked.
pub(super) struct ServerPlace {
    /// Without a slash at its end.
    pub(super) url: String,
    /// The project as a command line names it.
    pub(super) project: String,
}

pub(super) fn find(args: &ServerArgs, name: Option<&str>) -> Result<ServerPlace> {
    let project = match find::project(&args.root_dir, name) {
        Ok(project) => Some(project),
        // A project that the user names must exist.
        Err(error) if name.is_some() => return Err(error.into()),
        Err(_) => None,
    };
    let named = project.as_ref().map_or_else(|| "NAME".to_owned(), ToString::to_string);
    if let Some(given) = &args.url {
        return Ok(ServerPlace { url: address(given)?, project: named });
    }
    let port = match args.port {
        Some(port) => port,
        None => port_of_owner(args, project.as_ref()).unwrap_or(DEFAULT_PORT),
    };
    let (_, url) = listen::found_at(port, &listeners::on(port));
    Ok(ServerPlace { url, project: named })
}

/// The address of a server, checked.
fn address(given: &str) -> Result<String> {
    let text = if given.contains("://") { given.to_owned() } else { format!("http://{given}") };
    let url: Url = text.parse().context("--url is not an address")?;
    if !url.username().is_empty() || url.password().is_some() {
        bail!(
            "--url has a user or a password in it: give --basic-auth-user and --basic-auth-pass instead"
        );
    }
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        bail!("--url {given:?} is not an address: write it like http://localhost:9090");
    }
    if url.query().is_some() || url.fragment().is_some() {
        bail!("--url {given:?} has a part after the path: leave out what follows ? or #");
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// The port of the server that owns the folder in which the models of a project are.
fn port_of_owner(args: &ServerArgs, project: Option<&FoundProject>) -> Option<u16> {
    let folders = match &args.model_dir {
        Some(chosen) => vec![expand_user(chosen)],
        None => usual_folders(project.map(|project| project.folder.as_path())),
    };
    let owner = |folder: PathBuf| lock::holder(&lock_file(&folder)).ok()??;
    folders.into_iter().find_map(|folder| owner(folder)?.port)
}

fn usual_folders(project: Option<&Path>) -> Vec<PathBuf> {
    let here = PathBuf::from(".");
    match project {
        None => vec![here],
        Some(folder) => match models_folder::of_project(folder) {
            Some(own) => vec![own],
            None => vec![folder.to_owned(), here],
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_checked() {
        for (given, url) in [
            ("https://h/base/", "https://h/base"),
            ("h:9090", "http://h:9090"),
            ("http://h", "http://h"),
        ] {
            assert_eq!(address(given).unwrap(), url);
        }
        for wrong in ["ftp://h", "http://", "http://h/?a=1", "http://h/#x", "http://h:x"] {
            let error = format!("{:#}", address(wrong).unwrap_err());
            assert!(error.starts_with("--url "), "{error}");
        }
        for secret in [
            "http://user:geheim@h",
            "https://geheim@h/base",
            "u:geheim@h:9090",
            "http://u:geheim@h:x",
        ] {
            let error = format!("{:#}", address(secret).unwrap_err());
            assert!(error.starts_with("--url ") && !error.contains("geheim"), "{error}");
        }
    }
}
