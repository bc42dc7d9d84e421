//! A server that runs already, for commands that ask it for its versions and jobs.
//!
//! In: how the user names it. Out: [`RemoteServer`], which has answered `/health` as a server of `start`; else
//! a sentence that says what is there instead, and what to do.

pub(super) mod place;
pub(super) mod table;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use clap::Args;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Client, Method, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::probe::{ProbeResult, Prober};
use super::terminal::printable;
use super::values::whole;
use super::{note, password};
use crate::label_studio::{self, LabelStudioError};

/// Exit status if the server answers, and does not do what it was asked for.
pub(super) const REFUSED: i32 = 1;
/// Longest time for a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// Longest time for an answer: a version is loaded before it is activated.
const WHOLE: Duration = Duration::from_secs(330);
/// Heading of options.
const SERVER: &str = "Server";

#[derive(Debug, Args)]
pub(super) struct ServerArgs {
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    /// Port of the server [default: that of the server on the project's models, else 9090]
    #[arg(short, long, env = "PORT", value_parser = whole::<u16>(1..=65_535), help_heading = SERVER)]
    port: Option<u16>,
    /// Address of the server, if it is on another machine, behind TLS or below a path
    #[arg(long, value_name = "URL", help_heading = SERVER)]
    url: Option<String>,
    /// User name for the server [default: `$BASIC_AUTH_USER`, `$ML_SERVER_BASIC_AUTH_USER`]
    #[arg(long, value_name = "USER", help_heading = SERVER)]
    basic_auth_user: Option<String>,
    /// Password for the server [default: `$BASIC_AUTH_PASS`, `$ML_SERVER_BASIC_AUTH_PASS`]
    #[arg(long, value_name = "PASSWORD", help_heading = SERVER)]
    basic_auth_pass: Option<String>,
    /// Folder for trained models, as given to `start`
    #[arg(long, env = "MODEL_DIR", value_name = "DIR", help_heading = SERVER)]
    model_dir: Option<PathBuf>,
    /// Folder in which the project folder is looked for
    #[arg(long, value_name = "DIR", default_value = ".", help_heading = SERVER)]
    root_dir: PathBuf,
}

/// An answer that refuses a request.
#[derive(Debug, Deserialize)]
pub(super) struct Refusal {
    pub(super) detail: String,
    #[serde(default)]
    pub(super) error_code: String,
}

/// A server of `start` that answers.
pub(super) struct RemoteServer {
    http: Client,
    pub(super) url: String,
    authorization: Option<HeaderValue>,
    as_json: bool,
}

/// Runs a command with the server that `args` name; `project` is a project folder or a script.
pub(super) fn run(
    args: &ServerArgs,
    project: Option<&str>,
    command: impl AsyncFnOnce(&RemoteServer) -> Result<i32>,
) -> Result<i32> {
    super::terminal::init_log("ERROR");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        let server = RemoteServer::find(args, project).await?;
        command(&server).await
    });
    runtime.shutdown_background();
    done
}

impl RemoteServer {
    async fn find(args: &ServerArgs, project: Option<&str>) -> Result<Self> {
        let credentials =
            password::find(args.basic_auth_user.as_deref(), args.basic_auth_pass.as_deref())?;
        let pair = credentials.as_ref().map(|(user, password)| (user.as_str(), password.as_str()));
        let prober = Prober::new(pair)?;
        let place = place::find(args, project)?;
        let url = place.url;
        match prober.health(&url).await {
            ProbeResult::Backend(health) if health.workers.is_some() => {}
            ProbeResult::Backend(_) => bail!(
                "the server at {url} was not started with `label-studio-ml start`, so it has no list of versions and \
                 jobs: it is of the original, or runs under gunicorn, uWSGI or --debug"
            ),
            ProbeResult::Locked if pair.is_some() => bail!(
                "the server at {url} does not accept this user and password: give those that it was started with"
            ),
            ProbeResult::Locked => bail!(
                "the server at {url} requires a password: give --basic-auth-user and --basic-auth-pass, or set \
                 BASIC_AUTH_USER and BASIC_AUTH_PASS"
            ),
            ProbeResult::Stranger(what) => bail!(
                "another program answers at {url} ({what}); give the --port of the server, or its --url"
            ),
            ProbeResult::Nothing(why) => bail!(
                "no server answers at {url}: {why}; start one with `label-studio-ml start {}`, or give the --port or \
                 --url of one that runs",
                place.project
            ),
        }
        Ok(Self {
            http: label_studio::http_client(CONNECT, WHOLE, false)?,
            url,
            authorization: prober.authorization_header(),
            as_json: args.json,
        })
    }

    /// The JSON that a route answers with, or its refusal.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Result<Value, Refusal>> {
        let (status, bytes) = self.send(method, path, body).await?;
        if status.is_success() {
            let read = serde_json::from_slice(&bytes);
            return Ok(Ok(read.map_err(|error| self.strange(path, &error.to_string()))?));
        }
        match serde_json::from_slice(&bytes) {
            Ok(refusal) => Ok(Err(refusal)),
            Err(_) => Err(self.strange(path, &status.to_string())),
        }
    }

    /// The text that a route answers with, or its refusal.
    pub(super) async fn text(&self, path: &str) -> Result<Result<String, Refusal>> {
        let (status, bytes) = self.send(Method::GET, path, None).await?;
        if status.is_success() {
            return Ok(Ok(String::from_utf8_lossy(&bytes).into_owned()));
        }
        match serde_json::from_slice(&bytes) {
            Ok(refusal) => Ok(Err(refusal)),
            Err(_) => Err(self.strange(path, &status.to_string())),
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<(StatusCode, Vec<u8>)> {
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        if let Some(value) = &self.authorization {
            request = request.header(AUTHORIZATION, value.clone());
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let failed = |error: &reqwest::Error| {
            let why = LabelStudioError::transport(&self.url, error).summary();
            anyhow!("the server at {} did not answer {path}: {why}", self.url)
        };
        let response = request.send().await.map_err(|error| failed(&error))?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(|error| failed(&error))?;
        Ok((status, bytes.to_vec()))
    }

    fn strange(&self, path: &str, how: &str) -> anyhow::Error {
        anyhow!(
            "the server at {} answers {path} with {how}: it is of another version, or a proxy in front of it does \
             not pass this path on",
            self.url
        )
    }

    /// Prints an answer as JSON if the user wants that; else as `show` says.
    pub(super) fn print(&self, answer: &Value, show: impl FnOnce() -> String) -> Result<()> {
        let text = if self.as_json { serde_json::to_string_pretty(answer)? } else { show() };
        super::say(&printable(text.trim_end()));
        Ok(())
    }

    /// Ends a command that the server refused.
    pub(super) fn refuse(sentence: &str) -> i32 {
        note(&printable(&format!("error: {sentence}")));
        REFUSED
    }
}

/// A name as a part of a path.
pub(super) fn in_path(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~+".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = std::fmt::Write::write_fmt(&mut escaped, format_args!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_one_part_of_a_path() {
        assert_eq!(in_path("0.0.1+2"), "0.0.1+2");
        assert_eq!(in_path("a b/../ü?#%"), "a%20b%2F..%2F%C3%BC%3F%23%25");
    }
}
