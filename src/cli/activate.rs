//! `label-studio-ml activate`: makes a running server serve an earlier model version.

use std::collections::BTreeSet;

use anyhow::Result;
use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use super::remote::table::text;
use super::remote::{self, RemoteServer, ServerArgs, in_path};
use super::versions::{is_of, list};

#[derive(Debug, Args)]
pub(super) struct ActivateArgs {
    /// Version to serve, as `label-studio-ml versions` lists it
    version: String,
    /// Project folder or model script whose server is asked [default: this folder, `my_ml_backend`, or the only project in this folder, if there is one]
    name: Option<String>,
    /// Project of Label Studio: its id, or its key as listed [default: the only one that has the version]
    #[arg(long, value_name = "ID")]
    project: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) fn run(args: &ActivateArgs) -> Result<i32> {
    remote::run(&args.server, args.name.as_deref(), async |server| {
        let listed = match list(server, None).await? {
            Ok(listed) => listed,
            Err(sentence) => return Ok(RemoteServer::refuse(&sentence)),
        };
        let project = match project(&listed, &args.version, args.project.as_deref()) {
            Ok(project) => project,
            Err(sentence) => return Ok(RemoteServer::refuse(&sentence)),
        };
        let path = format!("/versions/{}/activate", in_path(&args.version));
        let body = project.map(|project| json!({ "project": project }));
        match server.ask(Method::POST, &path, body).await? {
            Ok(done) => {
                server.print(&done, || {
                    let (version, project) = (text(&done["model_version"]), text(&done["project"]));
                    format!("Version {version} of project {project} is served now.")
                })?;
                Ok(0)
            }
            Err(refusal) if refusal.error_code == "unknown_version" => {
                Ok(RemoteServer::refuse(&unknown(&args.version, "", &names(&listed))))
            }
            Err(refusal) => Ok(RemoteServer::refuse(&refusal.detail)),
        }
    })
}

/// The key of the project whose version is meant; none where the server finds it.
fn project(listed: &Value, version: &str, asked: Option<&str>) -> Result<Option<String>, String> {
    let Some(rows) = listed["details"].as_array() else {
        // A server of an earlier version tells the names alone.
        return Ok(asked.map(str::to_owned));
    };
    let of_project = |row: &&Value| asked.is_none_or(|asked| is_of(row, asked));
    let rows: Vec<&Value> = rows.iter().filter(of_project).collect();
    let having = rows.iter().filter(|row| row["version"] == version);
    let projects: BTreeSet<String> = having.map(|row| text(&row["project"])).collect();
    match projects.len() {
        0 => {
            let of = asked.map(|asked| format!(" of project {asked}")).unwrap_or_default();
            let names: Vec<String> = rows.iter().map(|row| text(&row["version"])).collect();
            // It may have another name by which the server knows it.
            if asked.is_none() && !names.is_empty() {
                return Ok(None);
            }
            Err(unknown(version, &of, &names))
        }
        1 => Ok(projects.into_iter().next()),
        _ => {
            let projects = projects.into_iter().collect::<Vec<_>>().join(", ");
            Err(format!(
                "several projects have a version {version}: {projects}; name one with --project"
            ))
        }
    }
}

fn names(listed: &Value) -> Vec<String> {
    listed["versions"].as_array().into_iter().flatten().map(text).collect()
}

fn unknown(version: &str, of: &str, names: &[String]) -> String {
    match names {
        [] => format!("there is no version {version:?}{of}: nothing was trained yet"),
        names => format!("there is no version {version:?}{of}; there are {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_project_is_the_one_that_has_the_version() {
        let row = |project: &str, version: &str| json!({"project": project, "version": version});
        let listed = json!({"versions": ["2", "1"], "details":
            [row("2.17", "2"), row("2.17", "1"), row("3.9", "1")]});
        let found = |version: &str, asked| project(&listed, version, asked);
        assert_eq!(found("2", None), Ok(Some("2.17".into())));
        assert_eq!(found("1", Some("3")), Ok(Some("3.9".into())));
        assert_eq!(found("1", Some("2.17")), Ok(Some("2.17".into())));
        let several = found("1", None).unwrap_err();
        assert!(several.ends_with("2.17, 3.9; name one with --project"), "{several}");
        let other = found("2", Some("3")).unwrap_err();
        assert_eq!(other, r#"there is no version "2" of project 3; there are 1"#);
        assert_eq!(found("9", None), Ok(None), "the server decides");
        let none = project(&json!({"versions": [], "details": []}), "9", None).unwrap_err();
        assert_eq!(none, r#"there is no version "9": nothing was trained yet"#);
        assert_eq!(project(&json!({"versions": ["9"]}), "9", Some("3")), Ok(Some("3".into())));
    }
}
