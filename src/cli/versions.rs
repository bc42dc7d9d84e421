//! `label-studio-ml versions`: lists the model versions of a running server.

use anyhow::Result;
use clap::Args;
use reqwest::Method;
use serde_json::Value;

use super::remote::table::{PlainTable, local_time, text};
use super::remote::{self, RemoteServer, ServerArgs, in_path};

#[derive(Debug, Args)]
pub(super) struct VersionsArgs {
    /// Project folder or model script whose server is asked [default: this folder, `my_ml_backend`, or the only project in this folder, if there is one]
    name: Option<String>,
    /// Only the versions of this project of Label Studio: its id, or its key as listed
    #[arg(long, value_name = "ID")]
    project: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) fn run(args: &VersionsArgs) -> Result<i32> {
    remote::run(&args.server, args.name.as_deref(), async |server| {
        let mut listed = match list(server, args.project.as_deref()).await? {
            Ok(listed) => listed,
            Err(sentence) => return Ok(RemoteServer::refuse(&sentence)),
        };
        if let Some(asked) = &args.project {
            let details = listed["details"].as_array_mut();
            if let Some(details) = details {
                details.retain(|row| is_of(row, asked));
            }
        }
        server.print(&listed, || shown(&listed))?;
        Ok(0)
    })
}

/// What `GET /versions` answers; of one project if `asked` is its whole key.
pub(super) async fn list(
    server: &RemoteServer,
    asked: Option<&str>,
) -> Result<Result<Value, String>> {
    let query = match asked.filter(|project| project.contains('.')) {
        Some(project) => format!("?project={}", in_path(project)),
        None => String::new(),
    };
    let answer = server.ask(Method::GET, &format!("/versions{query}"), None).await?;
    Ok(answer.map_err(|refusal| refusal.detail))
}

/// Whether a row of the details is about the project that `asked` names by its key or its id.
pub(super) fn is_of(row: &Value, asked: &str) -> bool {
    let key = row["project"].as_str().unwrap_or_default();
    key == asked || key.split('.').next() == Some(asked)
}

fn shown(listed: &Value) -> String {
    let rows = listed["details"].as_array().cloned().unwrap_or_else(|| {
        // A server of an earlier version tells the names alone.
        let names = listed["versions"].as_array().into_iter().flatten();
        names.map(|name| serde_json::json!({ "version": name })).collect()
    });
    if rows.is_empty() {
        return format!("No trained versions yet in {}.", text(&listed["model_dir"]));
    }
    let mut table = PlainTable::new(&["", "VERSION", "PROJECT", "TRAINED", "ANNOTATIONS", "JOB"]);
    let mut served = Vec::new();
    for row in &rows {
        let is_served = row["is_served"] == true;
        if is_served && !row["served_since"].is_null() {
            served.push(local_time(&row["served_since"]));
        }
        let cells = vec![
            if is_served { "*" } else { "" }.to_owned(),
            text(&row["version"]),
            text(&row["project"]),
            local_time(&row["trained_at"]),
            text(&row["annotations"]),
            text(&row["job"]),
        ];
        let cannot = row["can_be_activated"] == false && !is_served;
        let reason = text(&row["reason"]);
        table.add(cells, cannot.then(|| format!("cannot be activated: {reason}")));
    }
    let mut lines = table.lines();
    if rows.iter().any(|row| row["is_served"] == true) {
        let since = match served.as_slice() {
            [only] => format!(", since {only}"),
            _ => String::new(),
        };
        lines.push_str("\n\n*  served now");
        lines.push_str(&since);
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn versions_are_lines_and_the_served_one_is_marked() {
        let listed = json!({"model_dir": "/m", "versions": ["0.0.1+2", "0.0.1+1"], "details": [
            {"project": "2.17", "version": "0.0.1+2", "is_served": true, "served_since": null,
             "trained_at": null, "job": 7, "annotations": 12, "can_be_activated": true, "reason": null},
            {"project": "2.17", "version": "0.0.1+1", "is_served": false, "served_since": null,
             "trained_at": null, "job": 6, "annotations": 9, "can_be_activated": false,
             "reason": "its files were removed"}]});
        assert_eq!(
            shown(&listed),
            "   VERSION  PROJECT  ANNOTATIONS  JOB\n\
             *  0.0.1+2  2.17     12           7\n   \
                0.0.1+1  2.17     9            6\n      \
                   cannot be activated: its files were removed\n\n\
             *  served now"
        );
        let names = json!({"model_dir": "/m", "versions": ["2", "1"]});
        assert_eq!(shown(&names), "VERSION\n2\n1");
        let none = json!({"model_dir": "/m", "versions": [], "details": []});
        assert_eq!(shown(&none), "No trained versions yet in /m.");
    }

    #[test]
    fn a_project_is_named_by_its_key_or_its_id() {
        let row = json!({"project": "2.17"});
        assert!(is_of(&row, "2") && is_of(&row, "2.17"));
        assert!(!is_of(&row, "2.1") && !is_of(&row, "17") && !is_of(&row, ""));
    }
}
